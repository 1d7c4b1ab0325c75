"""Measures players of Catch, and makes their table.

    python scripts/catch.py runs/catch-1 runs/catch-2   # records of runs
    python scripts/catch.py --table                     # from the records
    python scripts/catch.py runs/catch-1 --export       # ships its network

A run is a run folder of `ram train configs/catch.yaml`. Its best network plays
10,000 games, greedily and with sampled actions, with its own gaze and with a
random and a fixed one, and a record goes to media/results/. --table measures
scripted players on the same games and writes the table into
configs/paper/README.md.
"""
import argparse
import hashlib
import json
import os
import sys

import numpy
from make_media import fill
from reproduction import rows
from reproduction.records import commit, read_records

from ram.checkpoint import PRETRAINED, load_checkpoint, save_checkpoint
from ram.commands.arguments import reports_errors
from ram.config import RUN_OPTIONS, differences, load_config
from ram.data.splits import load_splits
from ram.errors import RamError
from ram.evaluation.evaluate import evaluation_streams
from ram.evaluation.play import evaluate_games
from ram.files import read_log, write_json
from ram.games.catch import Catch

CONFIG = os.path.join(rows.TOP, 'configs', 'catch.yaml')
PAGE = os.path.join(rows.TOP, 'configs', 'paper', 'README.md')
PAPER = 85.0  # % caught (Section 4.2)
GAZES = {'learned': 'learned', 'random': 'random', 'center': 'at the centre',
         'frozen': 'frozen'}


def measure(model, config):
    """Shares of balls missed by gaze and policy, in %, with intervals."""
    starts = load_splits(config.data).test.images
    found, own = {}, model.policy
    for gaze in dict.fromkeys([own, 'random', 'center']):
        model.policy = gaze
        for policy in ('mean', 'sample'):
            result = evaluate_games(
                model, starts, evaluation_streams(config.data, 'test'),
                policy, config.evaluation.batch_size)
            found.setdefault(gaze, {})[policy] = {
                'error': result.error, 'interval': result.interval,
                'n': result.n}
    model.policy = own
    return found


def record_run(folder):
    """Measures the best network of a run and writes its record.

    Raises:
        RamError: Where it is not a run of configs/catch.yaml.

    """
    log = read_log(folder)
    loaded = load_checkpoint(os.path.join(folder, 'best.npz'))
    config = loaded.config
    overrides = [f'model.policy={config.model.policy}']
    for key, was, now in differences(config, load_config(CONFIG, [
            f'training.seed={config.training.seed}', *overrides]),
            RUN_OPTIONS):
        raise RamError(f'{folder}: trained with {key} {was}, and '
                       f'configs/catch.yaml has {now}; name a run of ram '
                       'train configs/catch.yaml')
    with open(os.path.join(folder, 'versions.json')) as file:
        versions = json.load(file)
    name = 'catch' if config.model.policy == 'learned' else (
        f'catch-{config.model.policy}')
    missed = measure(loaded.model, config)
    record = {
        'row': name, 'seed': config.training.seed,
        **missed[config.model.policy]['mean'], 'missed': missed,
        'validation_error': loaded.metrics['validation_error'],
        'epoch': loaded.metrics['epoch'], 'epochs': len(log),
        'games': log[-1]['iteration'] * config.training.batch_size,
        'minutes': round(log[-1]['elapsed_time'] / 60, 1),
        'device': versions['device'], 'commit': commit(),
        'command': 'ram train configs/catch.yaml --seed '
                   f'{config.training.seed}' + (
                       '' if name == 'catch' else f' --set {overrides[0]}'),
        'versions': {key: versions[key] for key in (
            'ram', 'python', 'chainer', 'numpy', 'threads')},
        'config': config.as_dict(),
        'curve': [[entry['epoch'], entry['validation/main/error']]
                  for entry in log if 'validation/main/error' in entry]}
    path = os.path.join(rows.RESULTS, f'{name}-{config.training.seed}.json')
    write_json(path, record)
    print(f'written: {path}')
    return record, loaded


def export(record, loaded):
    """Ships a network as pretrained:catch."""
    path = os.path.join(PRETRAINED, 'catch.npz')
    save_checkpoint(path, loaded.model, loaded.config, loaded.metrics)
    with open(path, 'rb') as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    card = {key: record[key] for key in (
        'row', 'seed', 'error', 'interval', 'n', 'missed',
        'validation_error', 'epoch', 'command', 'commit', 'config')}
    write_json(path[:-4] + '.json', dict(card, sha256=digest))
    print(f'written: {path}')


def share_of(act, config):
    """Share of test balls that a scripted player catches, in %."""
    game = Catch.of(config.data)
    state = game.start(load_splits(config.data).test.images)
    for _ in range(game.steps):
        state = game.step(state, act(game, state))
    return 100 * float(game.rewards(state).mean())


def _toward(column, paddle):
    return numpy.where(column < paddle, 0,
                       numpy.where(column > paddle + 1, 2, 1))


def follow(game, state):
    """Moves toward the column of the ball."""
    return _toward(state.ball, state.paddle)


def perfect(game, state):
    """Moves toward the column where the ball will land."""
    later = state
    while later.row < game.steps:
        later = game.step(later, numpy.ones_like(state.ball))
    return _toward(later.ball, state.paddle)


def table(config):
    """The table as Markdown."""
    lines = ['| player | gaze | caught, greedy (%) | caught, sampled (%) | '
             'games of training |', '|---|---|---|---|---|',
             f'| the paper\'s | learned | | {PAPER:.0f} | |']
    for record in read_records(['catch'] + [f'catch-{gaze}' for gaze in GAZES]):
        for gaze, found in record['missed'].items():
            trained = record['row'].partition('-')[2] or 'learned'
            lines.append(
                f'| seed {record["seed"]}, trained with gaze '
                f'{GAZES[trained]} | {GAZES[gaze]} | {_cell(found["mean"])} '
                f'| {_cell(found["sample"])} | {record["games"]:,} |')
    rng = numpy.random.default_rng(0)
    for name, act in (('moves to where the ball lands', perfect),
                      ("follows the ball's column", follow),
                      ('moves at random', lambda game, state: rng.integers(
                          3, size=len(state.ball)))):
        lines.append(f'| scripted: {name} | sees all | '
                     f'{share_of(act, config):.1f} | | |')
    return '\n'.join(lines)


def _cell(found):
    low, high = found['interval']
    return f'{100 - found["error"]:.2f} [{100 - high:.2f}, {100 - low:.2f}]'


@reports_errors
def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('runs', nargs='*', metavar='RUN', help='run folders')
    parser.add_argument('--export', action='store_true',
                        help='ship the network of the first run')
    parser.add_argument('--table', action='store_true',
                        help='write the table into configs/paper/README.md')
    args = parser.parse_args()
    if not args.runs and not args.table:
        parser.error('name run folders, or --table')
    found = [record_run(folder) for folder in args.runs]
    if args.export and found:
        export(*found[0])
    if args.table:
        fill(PAGE, 'catch', table(load_config(CONFIG)))
        print(f'written: {PAGE}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
