"""Trains the rows of the paper's tables, and makes the table.

    python scripts/reproduce.py --data-root DIR mnist-6        # one row
    python scripts/reproduce.py --data-root DIR all --jobs 4 --seeds 3
    python scripts/reproduce.py --data-root DIR all --jobs 8 --device @cupy:0
    python scripts/reproduce.py --table                        # from the records
    python scripts/reproduce.py --data-root DIR all --export

A row is a configuration in configs/paper/. A row with a record in
media/results/ is done; an interrupted run is resumed. Trainings side by side,
on CPUs or on one GPU, are a process each with one thread. The epoch with the
least validation error is evaluated once on the test set, and one record a run
is written.
"""
import argparse
import os
import sys
from typing import List

from make_media import fill
from reproduction import rows
from reproduction.export import export
from reproduction.figures import draw_claims, draw_results
from reproduction.records import short_table, table
from reproduction.runs import Run
from reproduction.trainings import train_all

from ram.commands.arguments import positive, reports_errors
from ram.errors import RamError


def reproduce(runs: List[Run], args: argparse.Namespace) -> int:
    """Trains all runs without a record; returns the exit status."""
    for run in runs:
        if run.done():
            print(f'{run.title}: has a record, {os.path.relpath(run.record)}; '
                  'move it away to train the row again')
    return train_all([run for run in runs if not run.done()], args.jobs,
                     args.every)


def write_table() -> None:
    """Writes the tables into both pages, and draws their figures."""
    print(table())
    pages = {os.path.join(rows.CONFIGS, 'README.md'): ('table', table()),
             os.path.join(rows.TOP, 'README.md'): ('results', short_table())}
    for page, (name, body) in pages.items():
        fill(page, name, body)
    pictures = [os.path.join(rows.TOP, 'media', name)
                for name in ('results.png', 'claims.png')]
    draw_results(pictures[0])
    draw_claims(pictures[1])
    print('written: ' + ' '.join(map(os.path.relpath,
                                      [*pages, *pictures])))


@reports_errors
def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('rows', nargs='*', metavar='ROW',
                        help='names of configs/paper/ROW.yaml, or all')
    parser.add_argument('--seeds', type=positive, default=1, metavar='N',
                        help='seeds 1 to N of each row (default: 1)')
    parser.add_argument('--jobs', type=positive, default=2, metavar='J',
                        help='trainings side by side (default: 2)')
    parser.add_argument('--device', default='@numpy', metavar='D')
    parser.add_argument('--data-root', metavar='DIR',
                        help='folder that holds mnist/')
    parser.add_argument('--runs', default=os.path.join(rows.TOP, 'runs', 'paper'),
                        metavar='DIR', help='run folders go there '
                        '(default: runs/paper)')
    parser.add_argument('--every', type=float, default=10, metavar='SECONDS',
                        help='between two looks at the runs (default: 10)')
    parser.add_argument('--table', action='store_true',
                        help='print the table, write it into the READMEs and '
                        'draw media/results.png and media/claims.png')
    parser.add_argument('--export', action='store_true',
                        help='ship the best checkpoints of the rows')
    args = parser.parse_args()
    args.runs = os.path.abspath(args.runs)
    names = (rows.names() if args.rows == ['all']
             else list(dict.fromkeys(args.rows)))
    for name in names:
        if name not in rows.names():
            raise RamError(f'{name}: no such row; known are '
                           + ', '.join(rows.names()))
    if not names and not args.table:
        parser.error('name rows, or all, or --table')
    status = reproduce([Run(name, seed, args) for name in names
                        for seed in range(1, args.seeds + 1)], args)
    if args.export and not status:
        export(names, args)
    if args.table:
        write_table()
    return status


if __name__ == '__main__':
    sys.exit(main())
