"""Measures what each choice of a recipe is worth, one change at a time.

    python scripts/ablation.py --data-root DIR
    python scripts/ablation.py --data-root DIR --jobs 8 --device @cupy:0
    python scripts/ablation.py --data-root DIR mnist-faithful --seeds 1

Trains a row of the paper's tables for a few epochs as it is, and then with one
value changed after another. cluttered-4 changes our recipe, mnist-faithful and
cluttered-faithful the paper's. A finished training is not repeated, and an
interrupted one is resumed. The validation errors are written into
media/results/ablation-ROW.json and, as a table, into configs/paper/README.md.
"""
import argparse
import os
import statistics
import sys

from make_media import fill
from reproduction.trainings import Training, train_all

from ram.commands.arguments import positive, reports_errors
from ram.config import RUN_OPTIONS, differences, load_config
from ram.errors import RamError
from ram.files import write_json
from ram.training.read_runs import read_run

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = 'configs/paper/README.md'


EPOCHS = 10  # of each training
# Changes of a row, by what the table calls them.
OF_OURS = {
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
OF_THE_PAPERS = {
    'as it is': [],
    'LSTM core': ['model.core=lstm'],
    'location network with a hidden layer and tanh': [
        'model.location_units=128', 'model.location_squash=tanh'],
    'first glimpse at the centre': ['model.first_location=center'],
    'reward: probability of the correct class': [
        'training.reward=probability'],
    'REINFORCE reaches core and glimpse network': [
        'training.reinforce_reaches_core=true'],
    'std falls from 0.2 to 0.05': ['training.first_std=0.2', 'model.std=0.05'],
    'average of the weights': ['training.average=0.998'],
    'Adam, rate 0.001, cosine to 1 %': [
        'training.optimizer=adam', 'training.learning_rate=0.001',
        'training.schedule=cosine', 'training.final_rate=0.01'],
}
STUDIES = {
    'cluttered-4': OF_OURS,
    'mnist-faithful': {
        **OF_THE_PAPERS,
        'images moved and warped': ['data.shift=2', 'data.warp=0.1']},
    'cluttered-faithful': {
        **OF_THE_PAPERS,
        'images warped': ['data.warp=0.1'],
        'REINFORCE weighted 0.1, border_weight 0.1': [
            'training.reinforce_weight=0.1', 'training.border_weight=0.1']},
}


def base_of(args):
    return os.path.join(TOP, 'configs', 'paper', f'{args.row}.yaml')


def config_of(args, changes, seed):
    return load_config(base_of(args), overrides(args, changes, seed))


def folder_of(args, changes, seed):
    """A run folder's name says what was changed."""
    parts = [c.partition('.')[2] for c in changes + args.set]
    return os.path.join(args.runs, args.row,
                        '-'.join(parts + [f'seed={seed}']))


def overrides(args, changes, seed):
    return [f'training.epochs={EPOCHS}',
            f'training.seed={seed}', *changes, *args.set]


def least_error(folder):
    """Least validation error of a training, in %."""
    return min(read_run(folder).errors.values())


class Change(Training):
    """A training with one change.

    Args:
        args: Of the command line.
        name: What the table calls the change.
        seed: Of the training.

    """

    def __init__(self, args: argparse.Namespace, name: str, seed: int):
        changes = STUDIES[args.row][name]
        self._wanted = config_of(args, changes, seed)
        super().__init__(
            f'{name}, seed {seed}', folder_of(args, changes, seed),
            self._wanted.training.epochs,
            [base_of(args), '--device', args.device, '--set',
             *overrides(args, changes, seed)], args.data_root)

    def measure(self) -> str:
        """Its least validation error."""
        for key, was, now in differences(
                read_run(self.folder).config, self._wanted, RUN_OPTIONS):
            raise RamError(f'{self.folder}: trained with {key} {was}, not '
                           f'{now}; move the folder away to train it again')
        return f'{least_error(self.folder):.2f} %'


def make_record(args):
    """Least validation errors of all trainings."""
    rows = []
    for name, changes in STUDIES[args.row].items():
        errors = [least_error(folder_of(args, changes, seed))
                  for seed in args.seeds]
        rows.append({
            'name': name, 'set': changes, 'errors': errors,
            'mean': statistics.mean(errors),
            'standard_error': statistics.stdev(errors) / len(errors) ** 0.5
            if len(errors) > 1 else None})
    return {'row': args.row, 'epochs': config_of(args, [], 1).training.epochs,
            'seeds': args.seeds, 'rows': rows}


def table(record):
    """The record as Markdown."""
    lines = ['| changed | least validation error, mean | standard error |',
             '|---|---|---|']
    for row in record['rows']:
        error = row['standard_error']
        lines.append(f'| {row["name"]} | {row["mean"]:.2f} | '
                     f'{"" if error is None else f"{error:.2f}"} |')
    return '\n'.join(lines)


@reports_errors
def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('row', metavar='ROW', nargs='?', choices=STUDIES,
                        default='cluttered-4',
                        help='one of %(choices)s (default: %(default)s)')
    parser.add_argument('--seeds', type=positive, default=3, metavar='N',
                        help='seeds 1 to N (default: 3)')
    parser.add_argument('--data-root', metavar='DIR',
                        help='folder that holds mnist/')
    parser.add_argument('--jobs', type=positive, default=1, metavar='J',
                        help='trainings side by side (default: 1)')
    parser.add_argument('--device', default='@numpy', metavar='D',
                        help='default: %(default)s')
    parser.add_argument('--runs', metavar='DIR',
                        default=os.path.join(TOP, 'runs', 'ablation'),
                        help='run folders go there (default: runs/ablation)')
    parser.add_argument('--every', type=float, default=10, metavar='SECONDS',
                        help='between two looks at the runs (default: 10)')
    parser.add_argument('--set', nargs='+', action='extend', default=[],
                        metavar='K=V', help='for all trainings; the table is then printed, '
                        'and written nowhere')
    args = parser.parse_args()
    args.seeds = list(range(1, args.seeds + 1))
    args.runs = os.path.abspath(args.runs)
    status = train_all([
        Change(args, name, seed) for seed in args.seeds
        for name in STUDIES[args.row]], args.jobs, args.every)
    if status:
        return status
    record = make_record(args)
    if args.set:
        print(table(record))
        return 0
    path = os.path.join(TOP, 'media', 'results',
                        f'ablation-{args.row}.json')
    write_json(path, record)
    page = os.path.join(TOP, PAGE)
    fill(page, f'ablation {args.row}', table(record))
    print(f'written: {path} {page}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
