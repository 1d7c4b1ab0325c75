"""ram inspect"""

import argparse
from typing import Any

from ram.commands import arguments, games
from ram.evaluation import inspect
from ram.evaluation.evaluate import trajectories
from ram.files import make_folder

EXAMPLES = """\
examples:
  ram inspect pretrained:mnist-6 --out inspected
  ram inspect pretrained:catch --out inspected
  ram inspect runs/mnist/best.npz --out inspected --split validation
  ram inspect runs/mnist/best.npz --out inspected --grid 15 --images 4000

Writes index.html, to be opened in a browser, its figures and inspect.json;
of a player of catch, gaze.png and inspect.json.
"""


def add_parser(commands: Any) -> None:
    """Adds the arguments of `ram inspect`."""
    parser = arguments.command(commands, 'inspect', run,
                               'show the policy as a whole, on one page',
                               EXAMPLES)
    add = parser.add_argument
    arguments.add_checkpoint(parser)
    add('--out', metavar='DIR', default='inspected', help=(
        'folder; files of the same names are replaced (default: '
        '%(default)s)'))
    arguments.add_split(parser)
    add('--grid', type=arguments.positive, metavar='G', default=9,
        help='try G x G first locations (default: %(default)s)')
    add('--images', type=arguments.positive, metavar='N', default=1000,
        help='with the first N images each (default: %(default)s)')
    add('--examples', type=arguments.positive, metavar='N', default=12, help=(
        'play the first, hardest and oddest N (default: %(default)s each)'))
    arguments.add_device(parser)
    arguments.add_root(parser)


def run(args: argparse.Namespace) -> None:
    """Writes the page."""
    # Matplotlib is slow to import, and not needed by all commands.
    from ram import visualizations
    loaded = arguments.load(args, needs_glimpses=True)
    if loaded.checkpoint.config.data.is_game:
        games.inspect(args, loaded)
        return
    (model, config, metrics, _), canvases, streams, _ = loaded
    make_folder(args.out)
    result = inspect.inspect(
        model, canvases, config.data, streams, args.grid, args.images,
        config.evaluation.batch_size, arguments.progress_bar('looking'))
    error_by_gaze = inspect.error_by_gaze(
        model, canvases, streams, config.evaluation.batch_size)
    print('error by gaze: ' + ', '.join(
        f'{gaze} {error:.2f} %' for gaze, error in error_by_gaze.items()))
    chosen = inspect.notable(result, args.examples)
    examples = [
        (kind, index, trajectory) for kind, indices in chosen.items()
        for index, trajectory in zip(indices, trajectories(
            model, canvases.images, canvases.labels, indices, streams()))]
    files = visualizations.save_inspection(
        args.out, result, examples, config.model.patch_sizes,
        {'checkpoint': args.checkpoint, 'split': args.split,
         'error_by_gaze': error_by_gaze, 'chosen': chosen, 'metrics': metrics, 'config': config.as_dict()},
        config.data.class_names, arguments.progress_bar('drawing'))
    print('written: ' + ' '.join(files))
