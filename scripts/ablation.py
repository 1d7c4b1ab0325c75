"""Measures what each choice of the recipe is worth, one change at a time.

    python scripts/ablation.py --data-root DIR
    python scripts/ablation.py --data-root DIR --jobs 8 --device @cupy:0

Trains a row of the paper's tables for a few epochs as it is, and then with one
value changed after another, three seeds each. A finished training is not
repeated, and an interrupted one is resumed. The validation errors are written
into media/results/ablation.json and, as a table, into configs/paper/README.md.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from make_media import fill

from ram.config import RUN_OPTIONS, differences, load_config
from ram.errors import RamError
from ram.files import replacing

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BASE = 'configs/paper/cluttered-4.yaml'
PAGE = 'configs/paper/README.md'
CHANGES = {
    'as it is': [],
    'REINFORCE trains the location network alone, as in the paper': [
        'training.reinforce_reaches_core=false'],
    'REINFORCE weighted 1': ['training.reinforce_weight=1'],
    'REINFORCE weighted 0.01': ['training.reinforce_weight=0.01'],
    'std 0.05 from the start': ['training.first_std=null'],
    'first std 0.12': ['training.first_std=0.12'],
    'first glimpse at a random location, as in the paper': [
        'model.first_location=random'],
    'reward 1 or 0, as in the paper': ['training.reward=correct'],
    'mean linear in the state, as in the paper': [
        'model.location_units=0', 'model.location_squash=none'],
    'rectifier core, as in the paper': ['model.core=rnn'],
    'no augmentation': ['data.warp=0'],
    'the weights themselves, no average': ['training.average=0'],
    'momentum SGD, as in the paper (rate 0.05)': [
        'training.optimizer=momentum_sgd', 'training.learning_rate=0.05'],
    'batch 128, rate 0.001': ['training.batch_size=128',
                              'training.learning_rate=0.001'],
}
EPOCHS = 10
SEEDS = (1, 2, 3)
RECORD = os.path.join(TOP, 'media', 'results', 'ablation.json')


def folder_of(args, changes, seed):
    """A run folder's name says what was changed."""
    parts = [c.split('.', 1)[1] for c in changes + args.set]
    return os.path.join(args.runs, '-'.join(parts + [f'seed={seed}']))


def overrides(args, changes, seed):
    return [f'training.epochs={EPOCHS}', f'training.seed={seed}',
            *changes, *args.set]


def curve(folder):
    """Validation errors so far, one a measurement."""
    try:
        with open(os.path.join(folder, 'log')) as file:
            return [entry['validation/main/error'] for entry in json.load(file)
                    if 'validation/main/error' in entry]
    except (FileNotFoundError, ValueError):  # not yet, or being written
        return []


def is_finished(folder):
    try:
        with open(os.path.join(folder, 'log')) as file:
            return json.load(file)[-1]['epoch'] >= EPOCHS
    except (FileNotFoundError, ValueError):
        return False


def check_finished(folder, wanted):
    """Refuses the result of a training with another configuration."""
    found = load_config(os.path.join(folder, 'config.yaml'))
    for key, was, now in differences(found, wanted, RUN_OPTIONS):
        raise RamError(f'{folder}: trained with {key} {was}, not {now}; move '
                       'the folder away to train it again')


def train(args, name, seed):
    """Trains with one change, unless that is done.

    Raises:
        RamError: Where the training failed, or a finished one has another
            configuration.

    """
    changes = CHANGES[name]
    folder = folder_of(args, changes, seed)
    options = overrides(args, changes, seed)
    base = os.path.join(TOP, BASE)
    if is_finished(folder):
        check_finished(folder, load_config(base, options))
    else:
        os.makedirs(args.runs, exist_ok=True)
        command = ['train', base, '--out', folder, '--resume', '--device',
                   args.device, '--set', *options]
        if args.data_root:
            command += ['--data-root', args.data_root]
        with open(folder + '.log', 'a') as log:
            done = subprocess.run([sys.executable, '-m', 'ram'] + command,
                                  stdout=log, stderr=log)
        if done.returncode:
            raise RamError(f'{name}, seed {seed}: ended with status '
                           f'{done.returncode}; see {folder}.log')
    print(f'{name}, seed {seed}: {min(curve(folder)):.2f} %', flush=True)


def make_record(args):
    """Least validation errors of all trainings."""
    rows = []
    for name, changes in CHANGES.items():
        errors = [min(curve(folder_of(args, changes, seed)))
                  for seed in SEEDS]
        rows.append({
            'name': name, 'set': changes, 'errors': errors,
            'mean': statistics.mean(errors),
            'standard_error': statistics.stdev(errors) / len(errors) ** 0.5})
    return {'base': BASE, 'epochs': EPOCHS, 'set': args.set, 'seeds': SEEDS,
            'rows': rows}


def table(record):
    """The record as Markdown."""
    lines = ['| changed | least validation error, mean | standard error |',
             '|---|---|---|']
    for row in record['rows']:
        lines.append(f'| {row["name"]} | {row["mean"]:.2f} | '
                     f'{row["standard_error"]:.2f} |')
    return '\n'.join(lines)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--data-root', metavar='DIR',
                        help='folder that holds mnist/')
    parser.add_argument('--jobs', type=int, default=1, metavar='J',
                        help='trainings side by side (default: 1)')
    parser.add_argument('--device', default='@numpy', metavar='D',
                        help='default: %(default)s')
    parser.add_argument('--runs', metavar='DIR',
                        default=os.path.join(TOP, 'runs', 'ablation'),
                        help='run folders go there (default: runs/ablation)')
    parser.add_argument('--set', nargs='+', action='extend', default=[],
                        metavar='K=V', help='for all trainings')
    args = parser.parse_args()
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    try:
        with ThreadPoolExecutor(args.jobs) as pool:
            list(pool.map(lambda pair: train(args, *pair), [
                (name, seed) for seed in SEEDS for name in CHANGES]))
        record = make_record(args)
        with replacing(RECORD, 'w') as file:
            json.dump(record, file, indent=1)
            file.write('\n')
        page = os.path.join(TOP, PAGE)
        fill(page, 'ablation', table(record))
    except RamError as error:
        for problem in error.problems:
            print(f'ablation: {problem}', file=sys.stderr)
        return 2
    print(f'written: {RECORD} {page}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
