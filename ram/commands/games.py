"""What the commands do with a player's checkpoint: its games in the place of
images."""

import argparse
import os
from typing import List, Optional

import numpy

from ram.commands import arguments
from ram.errors import RamError
from ram.evaluation.gaze import gaze_numbers, measure_gaze
from ram.evaluation.play import Played, evaluate_games, play
from ram.files import make_folder, write_json


def evaluate(args: argparse.Namespace, loaded: arguments.Loaded) -> None:
    """Prints the share of balls caught, by the greedy and the sampled player.

    Raises:
        RamError: For an option that games do not have.

    """
    model, config, metrics, _ = loaded.checkpoint
    for option, given in (('--csv', args.csv), ('--samples', args.samples),
                          ('--canvas-seeds', args.canvas_seeds > 1)):
        if given:
            raise RamError(f'{option}: is for networks that classify images, '
                           f'and {args.checkpoint} plays; leave it out')
    values = {}
    for policy in [args.policy] if args.policy else ['mean', 'sample']:
        result = evaluate_games(
            model, loaded.canvases.images, loaded.streams(), policy,
            config.evaluation.batch_size, arguments.progress_bar('playing'))
        low, high = (100 - bound for bound in result.interval[::-1])
        print(f'caught {100 - result.error:.2f} % [{low:.2f}, {high:.2f}] '
              f'(95 % Wilson interval) of {result.n} balls, policy {policy}')
        print(f'{result.games_per_second:.0f} games/s')
        values[policy] = {'caught': 100 - result.error,
                          'interval': [low, high], 'n': result.n}
    if args.json:
        values.update(split=args.split, checkpoint=args.checkpoint,
                      metrics=metrics, config=config.as_dict())
        write_json(args.json, values)
        print(f'written: {args.json}')


def _play(loaded: arguments.Loaded,
          indices: Optional[List[int]] = None) -> Played:
    """Games as `ram evaluate` plays them, greedily."""
    model, config, *_ = loaded.checkpoint
    return play(model, loaded.canvases.images, loaded.streams(),
                batch_size=config.evaluation.batch_size, indices=indices)


def render(args: argparse.Namespace, loaded: arguments.Loaded,
           indices: List[int]) -> None:
    """Writes an animation of the games of these indices."""
    from ram.visualizations.games import save_games
    save_games(args.out, loaded.checkpoint.model, _play(loaded, indices),
               loaded.checkpoint.config.model.patch_sizes)
    print(f'written: {args.out}')


def inspect(args: argparse.Namespace, loaded: arguments.Loaded) -> None:
    """Writes where the player looks, with other gazes beside its own."""
    from ram.visualizations.games import save_gaze
    make_folder(args.out)
    model, policy = loaded.checkpoint.model, loaded.checkpoint.model.policy
    played, caught = {}, {}
    for gaze in dict.fromkeys([policy, 'random', 'center']):
        model.policy = gaze
        played[gaze] = _play(loaded)
        caught[gaze] = 100 * float(numpy.mean(played[gaze].rewards))
        print(f'gaze {gaze}: caught {caught[gaze]:.2f} % of '
              f'{len(played[gaze].rewards)} balls')
    model.policy = policy
    gazes = {name: measure_gaze(games, model.game)
             for name, games in played.items()}
    files = [os.path.join(args.out, name)
             for name in ('gaze.png', 'inspect.json')]
    save_gaze(files[0], gazes[policy], {
        name: gazes[name] for name in gazes if name != policy})
    write_json(files[1], {
        'checkpoint': args.checkpoint, 'split': args.split,
        'caught': caught, 'distance': {
            name: gaze_numbers(gaze) for name, gaze in gazes.items()},
        'metrics': loaded.checkpoint.metrics,
        'config': loaded.checkpoint.config.as_dict()})
    print('written: ' + ' '.join(files))
