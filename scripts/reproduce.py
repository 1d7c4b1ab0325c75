"""Trains the rows of the paper's tables and shows what came of it.

    python scripts/reproduce.py --data-root DIR mnist-6        # one row
    python scripts/reproduce.py --data-root DIR all --jobs 4 --seeds 3
    python scripts/reproduce.py --table                        # from the records
    python scripts/reproduce.py --data-root DIR all --export

A row is a configuration in configs/paper/. What has a record in media/results/
is done; what was interrupted is gone on with; a row that starts from another
one's weights waits for it. The epoch with the least validation error is
evaluated once on the test set, and one record a run is written.
"""
import argparse
import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from typing import NamedTuple, Optional

from ram.checkpoint import PRETRAINED, load_checkpoint, save_checkpoint
from ram.config import load_config
from ram.errors import RamError
from ram.evaluation.evaluate import wilson_interval
from ram.files import replacing

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CONFIGS = os.path.join(TOP, 'configs', 'paper')
RESULTS = os.path.join(TOP, 'media', 'results')


class Row(NamedTuple):
    """A row of the paper's tables, or a control beside it.

    Attributes:
        name (str): Of its configuration.
        task (str): What is classified.
        model (str): By what.
        paper (float): The paper's test error in %, if it has one.
        public (float): The least that a public program was found to reach.

    """

    name: str
    task: str
    model: str
    paper: Optional[float] = None
    public: Optional[float] = None


_MNIST = 'MNIST 28x28'
_MOVED = 'translated 60x60'
_CLUTTER = 'cluttered 60x60'
_WIDE = 'cluttered 100x100'
ROWS = [
    Row('mnist-fc', _MNIST, 'FC, 2 layers of 256', 1.69),
    Row('mnist-conv', _MNIST, 'convolutional', 1.21),
    Row('mnist-2', _MNIST, 'RAM, 2 glimpses', 3.79, 2.34),
    Row('mnist-3', _MNIST, 'RAM, 3 glimpses', 1.51),
    Row('mnist-4', _MNIST, 'RAM, 4 glimpses', 1.54, 1.07),
    Row('mnist-5', _MNIST, 'RAM, 5 glimpses', 1.34),
    Row('mnist-6', _MNIST, 'RAM, 6 glimpses', 1.12, 0.67),
    Row('mnist-7', _MNIST, 'RAM, 7 glimpses', 1.07, 0.85),
    Row('mnist-moved', _MNIST, 'RAM, 4 glimpses, first part'),
    Row('mnist-moved-3', _MNIST, 'RAM, 3 glimpses, second part'),
    Row('mnist-moved-4', _MNIST, 'RAM, 4 glimpses, second part'),
    Row('mnist-frozen', _MNIST, 'RAM, 6 glimpses, frozen policy'),
    Row('mnist-faithful', _MNIST, "RAM, 6 glimpses, paper's recipe", 1.12),
    Row('translated-fc64', _MOVED, 'FC, 2 layers of 64', 6.42, 6.78),
    Row('translated-fc256', _MOVED, 'FC, 2 layers of 256', 2.63, 2.65),
    Row('translated-conv', _MOVED, 'convolutional', 1.62, 1.57),
    Row('translated-4', _MOVED, 'RAM, 4 glimpses', 1.54, 1.54),
    Row('translated-6', _MOVED, 'RAM, 6 glimpses', 1.22, 1.08),
    Row('translated-8', _MOVED, 'RAM, 8 glimpses', 1.20, 0.94),
    Row('translated-turned', _MOVED, 'FC, 2 layers of 256, first part'),
    Row('translated-frozen', _MOVED, 'RAM, 6 glimpses, frozen policy'),
    Row('translated-faithful', _MOVED, "RAM, 6 glimpses, paper's recipe",
        1.22),
    Row('cluttered-fc64', _CLUTTER, 'FC, 2 layers of 64', 28.58, 29.13),
    Row('cluttered-fc256', _CLUTTER, 'FC, 2 layers of 256', 11.96, 11.36),
    Row('cluttered-conv', _CLUTTER, 'convolutional', 8.09, 8.37),
    Row('cluttered-4', _CLUTTER, 'RAM, 4 glimpses', 4.96, 5.15),
    Row('cluttered-6', _CLUTTER, 'RAM, 6 glimpses', 4.08, 3.33),
    Row('cluttered-8', _CLUTTER, 'RAM, 8 glimpses', 4.04, 2.63),
    # What those two go on from.
    Row('cluttered-upright', _CLUTTER, 'RAM, 6 glimpses, first part'),
    Row('cluttered-right', _CLUTTER, 'RAM, 8 glimpses, second part'),
    Row('cluttered-random', _CLUTTER, 'RAM, 8 random glimpses', 14.4),
    Row('cluttered-frozen', _CLUTTER, 'RAM, 6 glimpses, frozen policy'),
    Row('cluttered-faithful', _CLUTTER, "RAM, 6 glimpses, paper's recipe",
        4.08),
    Row('wide-conv', _WIDE, 'convolutional', 14.35, 16.22),
    Row('wide-4', _WIDE, 'RAM, 4 glimpses', 9.41, 14.86),
    Row('wide-6', _WIDE, 'RAM, 6 glimpses', 8.31, 4.62),
    Row('wide-8', _WIDE, 'RAM, 8 glimpses', 8.11, 2.68),
    Row('wide-random', _WIDE, 'RAM, 8 random glimpses', 28.4),
    Row('wide-frozen', _WIDE, 'RAM, 6 glimpses, frozen policy'),
]
NAMES = [row.name for row in ROWS]


class Run:
    """One row with one seed.

    Args:
        name (str): Of the row.
        seed (int): Of the training.
        args (argparse.Namespace): ``runs``, ``device`` and ``data_root``.

    """

    def __init__(self, name, seed, args):
        self.name, self.seed, self._args = name, seed, args
        self.title = f'{name}-{seed}'
        self.folder = os.path.join(args.runs, self.title)
        self.best = os.path.join(self.folder, 'best.npz')
        self.record = os.path.join(RESULTS, f'{self.title}.json')
        self.config_file = os.path.join(CONFIGS, f'{name}.yaml')
        config = load_config(self.config_file)
        self.epochs = config.training.epochs
        self.process = None
        start = config.training.start_from or ''
        self.before = None
        if start.startswith('pretrained:') and start[11:] in NAMES:
            self.before = Run(start[11:], seed, args)

    def overrides(self):
        """Where it starts from is the run before, not the one that ships."""
        if self.before is not None and os.path.exists(self.before.best):
            return [f'training.start_from={self.before.best}']
        return []

    def done(self):
        """Whether it has its record."""
        return os.path.exists(self.record)

    def command(self):
        """What trains it, as it is run."""
        command = ['ram', 'train', os.path.relpath(self.config_file, TOP),
                   '--seed', str(self.seed), '--out', self.folder,
                   '--device', self._args.device, '--resume']
        overrides = self.overrides()
        return command + (['--set'] + overrides if overrides else [])

    def start(self):
        """Starts or goes on with its training."""
        os.makedirs(self._args.runs, exist_ok=True)
        environment = dict(os.environ)
        environment.setdefault('OMP_NUM_THREADS', '1')
        if self._args.data_root:
            environment['RAM_DATA_ROOT'] = os.path.abspath(
                self._args.data_root)
        with open(self.folder + '.log', 'ab') as log:
            self.process = subprocess.Popen(
                [sys.executable, '-m'] + self.command(), cwd=TOP,
                env=environment, stdout=log, stderr=log)

    def log(self):
        """Entries of its log so far, one an epoch."""
        try:
            with open(os.path.join(self.folder, 'log')) as file:
                return json.load(file)
        except FileNotFoundError:
            return []
        except ValueError:  # is being written
            return []

    def progress(self):
        """How far it is, in one line."""
        entries = self.log()
        if not entries:
            return f'{self.title:22} starts'
        least = min(entry['validation/main/error'] for entry in entries)
        left = entries[-1]['elapsed_time'] / len(entries) * (
            self.epochs - len(entries))
        return (f'{self.title:22} epoch {len(entries):4} of {self.epochs}, '
                f'validation error {entries[-1]["validation/main/error"]:.2f} '
                f'%, least {least:.2f} %, {left / 60:.0f} min left')

    def trained(self):
        """Whether its training came to its end."""
        entries = self.log()
        return bool(entries) and entries[-1]['epoch'] >= self.epochs

    def write_record(self):
        """Evaluates the best checkpoint once, and writes the record.

        Raises:
            RamError: Where the run is of another configuration than the
                row's.

        """
        loaded = load_checkpoint(self.best)
        wanted = load_config(self.config_file, [
            f'training.seed={self.seed}'] + self.overrides())
        if loaded.config != wanted:
            raise RamError(
                f'{self.best}: was trained with another configuration than '
                f'{self.config_file} says; move {self.folder} away to train '
                'it anew')
        result = evaluate(self.best, self._args)
        entries = self.log()
        minutes = entries[-1]['elapsed_time'] / 60
        with open(os.path.join(self.folder, 'versions.json')) as file:
            found = json.load(file)
        per_epoch = (entries[-1]['iteration']
                     * wanted.training.batch_size / len(entries))
        record = {
            'row': self.name, 'seed': self.seed, 'error': result['error'],
            'interval': result['interval'], 'n': result['n'],
            'error_by_glimpse': result['error_by_glimpse'],
            'validation_error': loaded.metrics['validation_error'],
            'epoch': loaded.metrics['epoch'], 'epochs': len(entries),
            'minutes': round(minutes, 1),
            'images_per_second': round(
                per_epoch * len(entries) / (minutes * 60)),
            'device': found['device'],
            'versions': {key: found[key] for key in (
                'ram', 'python', 'chainer', 'numpy', 'threads')},
            'commit': commit(),
            'command': (f'ram train {os.path.relpath(self.config_file, TOP)} '
                        f'--seed {self.seed}'),
            'curve': [entry['validation/main/error'] for entry in entries]}
        os.makedirs(RESULTS, exist_ok=True)
        with replacing(self.record, 'w') as file:
            json.dump(record, file, indent=1)
            file.write('\n')


def evaluate(checkpoint, args):
    """What `ram evaluate` says of a checkpoint on the test images."""
    out = os.path.join(args.runs, '.evaluation.json')
    command = ['evaluate', checkpoint, '--json', out, '--device', args.device]
    if args.data_root:
        command += ['--data-root', args.data_root]
    done = subprocess.run([sys.executable, '-m', 'ram'] + command, cwd=TOP,
                          capture_output=True, text=True)
    if done.returncode:
        raise RamError(*done.stderr.strip().split('\n'))
    with open(out) as file:
        return json.load(file)


def commit():
    """The commit that is checked out, as far as it can be told."""
    done = subprocess.run(['git', 'rev-parse', '--short=12', 'HEAD'], cwd=TOP,
                          capture_output=True, text=True)
    return done.stdout.strip() or None


def reproduce(runs, args):
    """Trains side by side what has no record; returns the exit status."""
    waiting = []
    for run in runs:
        chain = [run]
        while chain[0].before is not None:
            chain.insert(0, chain[0].before)
        known = {other.title for other in waiting}
        waiting += [r for r in chain if not r.done() and r.title not in known]
    active, failed, shown = [], set(), 0
    stopped = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda n, frame: stopped.append(n))
    while waiting or active:
        for run in list(waiting):
            before = run.before
            if before is not None and before.title in failed:
                print(f'{run.title}: left out, for {before.title} failed')
                failed.add(run.title)
                waiting.remove(run)
            elif len(active) < args.jobs and not stopped and (
                    before is None or before.done()
                    or not any(r.title == before.title
                               for r in waiting + active)):
                waiting.remove(run)
                active.append(run)
                if not run.trained():
                    run.start()
        if stopped:
            waiting = []
            for run in active:
                if run.process and run.process.poll() is None:
                    run.process.send_signal(signal.SIGTERM)
        for run in list(active):
            status = run.process.poll() if run.process else 0
            if status is None:
                continue
            active.remove(run)
            if status or not run.trained():
                if not stopped:
                    failed.add(run.title)
                    print(f'{run.title}: ended with status {status}; see '
                          f'{run.folder}.log')
                continue
            run.write_record()
            print(f'{run.title}: {described(read_records([run.name])[-1])}')
            shown = 0
        shown = show(active, shown)
        if active:
            time.sleep(0.2 if stopped else args.every)
    if stopped:
        print('stopped; the same command goes on')
        return 128 + stopped[0]
    return 1 if failed else 0


def show(active, shown):
    """One progress line a run; on a terminal in place of the last ones."""
    lines = [run.progress() for run in active]
    if sys.stdout.isatty() and shown:
        print(f'\033[{shown}A\033[J', end='')
    if lines:
        print('\n'.join(lines), flush=True)
    return len(lines)


def described(record):
    """A record in a few words."""
    low, high = record['interval']
    return (f'test error {record["error"]:.2f} % [{low:.2f}, {high:.2f}] on '
            f'{record["n"]} images, best epoch {record["epoch"]} of '
            f'{record["epochs"]} (validation {record["validation_error"]:.2f}'
            f' %), {record["minutes"]:.0f} min')


def read_records(names=NAMES):
    """Records of rows, in the order of the table and the seeds."""
    found = []
    for name in names:
        own = []
        if os.path.isdir(RESULTS):
            for file_name in os.listdir(RESULTS):
                if file_name.rpartition('-')[0] == name:
                    with open(os.path.join(RESULTS, file_name)) as file:
                        own.append(json.load(file))
        found += sorted(own, key=lambda record: record['seed'])
    return found


class Summary(NamedTuple):
    """What the records of a row say together.

    Attributes:
        error (float): Mean over the seeds, in %.
        spread (str): 95 % Wilson interval of one seed, standard error of the
            mean of several.
        low (float): Lower end of what ``spread`` says.
        high (float): Its upper end.
        seeds (int): Number of seeds.

    """

    error: float
    spread: str
    low: float
    high: float
    seeds: int


def summarize(records):
    """One row's records in one line.

    Args:
        records (list of dict): At least one.

    Returns:
        Summary

    """
    errors = [record['error'] for record in records]
    mean = sum(errors) / len(errors)
    if len(errors) == 1:
        n = records[0]['n']
        low, high = (100 * bound for bound in wilson_interval(
            round(errors[0] * n / 100), n))
        return Summary(mean, f'[{low:.2f}, {high:.2f}]', low, high, 1)
    variance = sum((e - mean) ** 2 for e in errors) / (len(errors) - 1)
    half = math.sqrt(variance / len(errors))
    return Summary(mean, f'± {half:.2f}', mean - half, mean + half,
                   len(errors))


def table():
    """The whole table as Markdown, from the records."""
    lines = ['| task | model | paper | best public | here | | seeds | '
             'epochs | minutes | row |',
             '|---|---|---|---|---|---|---|---|---|---|']
    for row in ROWS:
        records = read_records([row.name])
        cells = [row.task, row.model, _number(row.paper),
                 _number(row.public)]
        if records:
            found = summarize(records)
            error = f'{found.error:.2f}'
            if row.paper is not None and found.error <= row.paper:
                error = f'**{error}**'
            minutes = sum(r['minutes'] for r in records) / len(records)
            cells += [error, found.spread, str(found.seeds),
                      str(records[0]['epochs']), f'{minutes:.0f}']
        else:
            cells += ['not yet', '', '', '', '']
        lines.append('| ' + ' | '.join(cells + [f'`{row.name}`']) + ' |')
    return '\n'.join(lines)


def _number(value):
    return '' if value is None else f'{value:.2f}'


def draw(path):
    """The table as a figure: a row's errors beside one another."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    tasks = [_MNIST, _MOVED, _CLUTTER, _WIDE]
    counts = [sum(row.task == task for row in ROWS) for task in tasks]
    figure, axes = pyplot.subplots(
        len(tasks), 1, figsize=(9, 0.32 * sum(counts) + 3),
        gridspec_kw={'height_ratios': counts}, constrained_layout=True)
    for axis, task in zip(axes, tasks):
        rows = [row for row in ROWS if row.task == task]
        for y, row in enumerate(rows):
            if row.paper is not None:
                axis.plot(row.paper, y, 'D', color='#555555', mfc='white',
                          label='paper')
            if row.public is not None:
                axis.plot(row.public, y, 'x', color='#D55E00',
                          label='best public program')
            records = read_records([row.name])
            if records:
                found = summarize(records)
                axis.plot([found.low, found.high], [y, y], '-',
                          color='#0072B2', linewidth=2)
                axis.plot(found.error, y, 'o', color='#0072B2', label='here')
        axis.set_yticks(range(len(rows)))
        axis.set_yticklabels([row.model for row in rows])
        axis.set_ylim(len(rows) - 0.4, -0.6)
        axis.set_xscale('log')
        axis.xaxis.set_major_locator(matplotlib.ticker.LogLocator(
            subs=(1, 2, 3, 5, 7)))
        axis.xaxis.set_major_formatter(
            matplotlib.ticker.FormatStrFormatter('%g'))
        axis.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
        axis.grid(axis='x', color='#dddddd')
        axis.set_title(task, loc='left', fontsize=10)
    axes[-1].set_xlabel('test error (%), logarithmic; lines: 95 % interval '
                        'of one seed, standard error of several')
    handles = {}
    for axis in axes:
        handles.update(dict(zip(*reversed(
            axis.get_legend_handles_labels()))))
    figure.legend(handles.values(), handles.keys(), loc='lower right', ncol=3,
                  bbox_to_anchor=(1, 1), frameon=False)
    with replacing(path) as file:
        figure.savefig(file, format='png', dpi=110, bbox_inches='tight')
    pyplot.close(figure)


def draw_claims(path):
    """The paper's claims: error against glimpses, and what it is beside.

    A panel for each task: RAM by its number of glimpses, the paper's and
    ours, random glimpses, and the convolutional network as a line.
    """
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(1, 4, figsize=(12, 3.4),
                                   constrained_layout=True)
    for axis, task in zip(axes, [_MNIST, _MOVED, _CLUTTER, _WIDE]):
        rows = {row.name.partition('-')[2]: row
                for row in ROWS if row.task == task}
        found = {key: summarize(read_records([row.name]))
                 for key, row in rows.items() if read_records([row.name])}
        counts = sorted(int(key) for key in rows if key.isdecimal())
        axis.plot(counts, [rows[str(n)].paper for n in counts], 'D--',
                  color='#555555', mfc='white', label='RAM, paper')
        here = [n for n in counts if str(n) in found]
        if here:
            ours = [found[str(n)] for n in here]
            axis.errorbar(
                here, [o.error for o in ours],
                [[o.error - o.low for o in ours],
                 [o.high - o.error for o in ours]],
                fmt='o-', color='#0072B2', capsize=3, label='RAM, here')
        if 'random' in rows:
            axis.plot(8, rows['random'].paper, '^', color='#555555',
                      mfc='white', label='random glimpses, paper')
        if 'random' in found:
            axis.plot(8, found['random'].error, '^', color='#E69F00',
                      label='random glimpses, here')
        axis.axhline(rows['conv'].paper, color='#555555', linestyle=':',
                     label='convolutional, paper')
        if 'conv' in found:
            axis.axhline(found['conv'].error, color='#D55E00', linestyle='-.',
                         label='convolutional, here')
        axis.set_xticks(counts)
        axis.set_ylim(bottom=0)
        axis.set_xlabel('glimpses')
        axis.set_title(task, fontsize=10)
        axis.grid(color='#eeeeee')
    axes[0].set_ylabel('test error (%)')
    handles = {}
    for axis in axes:
        handles.update(dict(zip(*reversed(
            axis.get_legend_handles_labels()))))
    axes[-1].legend(handles.values(), handles.keys(), fontsize=7,
                    loc='upper left', bbox_to_anchor=(1, 1), frameon=False)
    with replacing(path) as file:
        figure.savefig(file, format='png', dpi=110, bbox_inches='tight')
    pyplot.close(figure)


def export(names, args):
    """Ships each row's best checkpoint, with a card, under ram/pretrained/.

    Of several seeds the one with the least validation error is taken. Weights
    are stored in half precision where the test error stays the very same.
    """
    for name in names:
        records = read_records([name])
        runs = [(record, Run(name, record['seed'], args))
                for record in records]
        runs = [(record, run) for record, run in runs
                if os.path.exists(run.best)]
        if not runs:
            continue
        record, run = min(runs, key=lambda r: r[0]['validation_error'])
        loaded = load_checkpoint(run.best)
        # As the row says it, without this machine's folders.
        config = load_config(run.config_file, [f'training.seed={run.seed}'])
        path = os.path.join(PRETRAINED, name + '.npz')
        for dtype in ('float16', 'float32'):
            save_checkpoint(path, loaded.model, config, loaded.metrics, dtype)
            if evaluate(path, args)['error'] == record['error']:
                break
        with open(path, 'rb') as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        card = {key: record[key] for key in (
            'row', 'seed', 'error', 'interval', 'n', 'validation_error',
            'epoch', 'command', 'commit')}
        card.update(sha256=digest, stored=dtype, config=config.as_dict())
        with replacing(path[:-4] + '.json', 'w') as file:
            json.dump(card, file, indent=1)
            file.write('\n')
        print(f'written: {path} ({os.path.getsize(path) / 1e6:.1f} MB), '
              f'pretrained:{name}, {record["error"]:.2f} %')


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('rows', nargs='*', metavar='ROW',
                        help='names of configs/paper/ROW.yaml, or all')
    parser.add_argument('--seeds', type=int, default=1, metavar='N',
                        help='seeds 1 to N of each row (default: 1)')
    parser.add_argument('--jobs', type=int, default=2, metavar='J',
                        help='trainings side by side (default: 2)')
    parser.add_argument('--device', default='@numpy', metavar='D')
    parser.add_argument('--data-root', metavar='DIR',
                        help='folder that holds mnist/')
    parser.add_argument('--runs', default=os.path.join(TOP, 'runs', 'paper'),
                        metavar='DIR', help='run folders go there '
                        '(default: runs/paper)')
    parser.add_argument('--every', type=float, default=10, metavar='SECONDS',
                        help='between two looks at the runs (default: 10)')
    parser.add_argument('--table', action='store_true',
                        help='print the table, write it into README.md and '
                        'draw media/results.png and media/claims.png')
    parser.add_argument('--export', action='store_true',
                        help='ship the best checkpoints of the rows')
    args = parser.parse_args()
    args.runs = os.path.abspath(args.runs)
    names = NAMES if args.rows == ['all'] else args.rows
    try:
        for name in names:
            if name not in NAMES:
                raise RamError(f'{name}: no such row; known are '
                               + ', '.join(NAMES))
        if not names and not args.table:
            parser.error('name rows, or all, or --table')
        status = reproduce([Run(name, seed, args) for name in names
                            for seed in range(1, args.seeds + 1)], args)
        if args.export and not status:
            export(names, args)
        if args.table:
            from make_media import fill
            print(table())
            with open(os.path.join(TOP, 'README.md'),
                      encoding='utf-8') as page:
                readme = fill(page.read(), 'table', table())
            with replacing(os.path.join(TOP, 'README.md')) as page:
                page.write(readme.encode())
            pictures = [os.path.join(TOP, 'media', name)
                        for name in ('results.png', 'claims.png')]
            draw(pictures[0])
            draw_claims(pictures[1])
            print('written: README.md '
                  + ' '.join(map(os.path.relpath, pictures)))
    except RamError as error:
        for problem in error.problems:
            print(f'reproduce: {problem}', file=sys.stderr)
        return 2
    return status


if __name__ == '__main__':
    sys.exit(main())
