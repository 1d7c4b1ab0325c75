"""ram runs"""

import argparse
from typing import Any, List

from ram.commands import arguments
from ram.training.read_runs import differing_keys, find_runs

EXAMPLES = """\
examples:
  ram runs runs
  ram runs runs/paper

One line a run: how far it is, its best validation error, and the keys of its
configuration that differ from run to run.
"""


def add_parser(commands: Any) -> None:
    """Adds the arguments of `ram runs`."""
    parser = arguments.command(commands, 'runs', run,
                               'list finished and running trainings',
                               EXAMPLES)
    parser.add_argument('folder', metavar='DIR', nargs='?', default='runs',
                        help='run folders are below it (default: %(default)s)')


def run(args: argparse.Namespace) -> None:
    """Prints a table of the runs."""
    runs = find_runs(args.folder)
    keys = differing_keys(runs)
    lines = [['run', 'state', 'epochs', 'best error', 'at epoch', 'minutes',
              'differs in']]
    for found in runs:
        best, tree = found.best_epoch, found.config.as_dict()
        values = ' '.join(f'{key}={tree[section][name]}' for key, section, name
                          in ((key, *key.split('.')) for key in keys))
        lines.append([
            found.folder, found.state,
            f'{len(found.log)}/{found.config.training.epochs}',
            '' if best is None else f'{found.errors[best]:.2f} %',
            '' if best is None else str(best), f'{found.minutes:.1f}',
            values])
    print_columns(lines)


def print_columns(lines: List[List[str]]) -> None:
    """Prints rows of cells, each column as wide as its longest cell."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        print('  '.join(map(str.ljust, line, widths)).rstrip())
