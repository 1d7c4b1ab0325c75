"""Measures what each choice of the recipe is worth, one change at a time.

    python scripts/ablation.py --data-root DIR
    python scripts/ablation.py --data-root DIR --jobs 2 --set training.seed=2

Trains a row of the paper's tables for a few epochs as it is, and then with one
value changed after another. A finished training is not repeated, and an
interrupted one is resumed. The validation errors are written into
media/results/ablation.json and, as a table, into README.md.
"""
import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from make_media import fill

from ram.errors import RamError
from ram.evaluation.evaluate import wilson_interval
from ram.files import replacing

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BASE = 'configs/paper/cluttered-4.yaml'
CHANGES = {
    'as it is': [],
    'REINFORCE trains the location network alone, as in the paper': [
        'training.reinforce_reaches_core=false'],
    'REINFORCE weighted 1': ['training.reinforce_weight=1'],
    'REINFORCE weighted 0.01': ['training.reinforce_weight=0.01'],
    'policy narrow from the start': ['training.first_std=null'],
    'policy starts less wide, at 0.12': ['training.first_std=0.12'],
    'first glimpse anywhere': ['model.first_location=random'],
    "rewarded by the right class's probability": [
        'training.reward=probability'],
    'linear location network, as in the paper': ['model.location_units=0'],
    'LSTM core': ['model.core=lstm'],
    'the weights themselves, no average': ['training.average=0'],
    'momentum SGD, rate 0.02': ['training.optimizer=momentum_sgd',
                                'training.learning_rate=0.02'],
    'batch 256, rate 0.002': ['training.batch_size=256',
                              'training.learning_rate=0.002'],
    'rate 0.003': ['training.learning_rate=0.003'],
}
EPOCHS = 20
RECORD = os.path.join(TOP, 'media', 'results', 'ablation.json')


def folder_of(args, changes):
    """A run folder's name says what was changed."""
    parts = [c.split('.', 1)[1] for c in changes + args.set]
    return os.path.join(args.runs, '-'.join(parts) or 'as-it-is')


def curve(folder):
    """Validation errors so far, one an epoch."""
    try:
        with open(os.path.join(folder, 'log')) as file:
            return [entry['validation/main/error']
                    for entry in json.load(file)]
    except (FileNotFoundError, ValueError):  # not yet, or being written
        return []


def train(args, name):
    """Trains with one change, unless that is done.

    Raises:
        RamError: Where the training failed.

    """
    changes = CHANGES[name]
    folder = folder_of(args, changes)
    if len(curve(folder)) < EPOCHS:
        os.makedirs(args.runs, exist_ok=True)
        command = ['train', os.path.join(TOP, BASE), '--out', folder,
                   '--resume', '--set', f'training.epochs={EPOCHS}',
                   *changes, *args.set]
        if args.data_root:
            command += ['--data-root', args.data_root]
        with open(folder + '.log', 'a') as log:
            done = subprocess.run([sys.executable, '-m', 'ram'] + command,
                                  stdout=log, stderr=log)
        if done.returncode:
            raise RamError(f'{name}: ended with status {done.returncode}; '
                           f'see {folder}.log')
    print(f'{name}: {min(curve(folder)):.2f} %', flush=True)


def table(record):
    """The record as Markdown."""
    lines = ['| changed | least validation error | 95 % interval |',
             '|---|---|---|']
    for row in record['rows']:
        low, high = row['interval']
        lines.append(f'| {row["name"]} | {row["error"]:.2f} | '
                     f'{low:.2f} to {high:.2f} |')
    return '\n'.join(lines)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--data-root', metavar='DIR',
                        help='folder that holds mnist/')
    parser.add_argument('--jobs', type=int, default=1, metavar='J',
                        help='trainings side by side (default: 1)')
    parser.add_argument('--runs', metavar='DIR',
                        default=os.path.join(TOP, 'runs', 'ablation'),
                        help='run folders go there (default: runs/ablation)')
    parser.add_argument('--set', nargs='+', action='extend', default=[],
                        metavar='K=V', help='for all trainings')
    args = parser.parse_args()
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    try:
        with ThreadPoolExecutor(args.jobs) as pool:
            list(pool.map(lambda name: train(args, name), CHANGES))
        n = 5000  # the last images of the training set
        rows = []
        for name, changes in CHANGES.items():
            error = min(curve(folder_of(args, changes)))
            rows.append({'name': name, 'set': changes, 'error': error,
                         'interval': [100 * bound for bound in
                                      wilson_interval(
                                          round(error * n / 100), n)]})
        record = {'base': BASE, 'epochs': EPOCHS, 'set': args.set, 'n': n,
                  'rows': rows}
        with replacing(RECORD, 'w') as file:
            json.dump(record, file, indent=1)
            file.write('\n')
        page = os.path.join(TOP, 'README.md')
        with open(page, encoding='utf-8') as file:
            readme = fill(file.read(), 'ablation', table(record))
        with replacing(page) as file:
            file.write(readme.encode())
    except RamError as error:
        for problem in error.problems:
            print(f'ablation: {problem}', file=sys.stderr)
        return 2
    print(f'written: {RECORD} README.md')
    return 0


if __name__ == '__main__':
    sys.exit(main())
