"""ram render"""

import argparse
from typing import Any

from ram.commands import arguments, games
from ram.errors import RamError
from ram.evaluation.evaluate import trajectories

EXAMPLES = """\
examples:
  ram render pretrained:mnist-6
  ram render pretrained:catch --out catch.gif --examples 12
  ram render runs/mnist/best.npz --out look.gif --examples 8
  ram render runs/mnist/best.npz --out look.png --indices 3 14 15
  ram render pretrained:mnist-6 --out frames/%02d.png --examples 1
"""


def add_parser(commands: Any) -> None:
    """Adds the arguments of `ram render`."""
    parser = arguments.command(commands, 'render', run, 'show where it looks',
                               EXAMPLES)
    arguments.add_checkpoint(parser)
    parser.add_argument('--out', metavar='FILE', default='trajectories.gif',
                        help=('.gif, .mp4, .png for a strip, or NAME%%02d.png '
                              'for single frames (default: %(default)s)'))
    which = parser.add_mutually_exclusive_group()
    which.add_argument('--examples', type=arguments.positive, metavar='N',
                       default=6,
                       help='the first N images (default: %(default)s)')
    which.add_argument('--indices', type=arguments.natural, nargs='+',
                       metavar='I', help='these images, counted from 0')
    arguments.add_split(parser)
    arguments.add_device(parser)
    arguments.add_root(parser)


def run(args: argparse.Namespace) -> None:
    """Writes the trajectories of some images."""
    # Matplotlib is slow to import, and not needed by all commands.
    from ram import visualizations
    loaded = arguments.load(args, needs_glimpses=True)
    (model, config, *_), (images, labels, _), streams, _ = loaded
    indices = args.indices or list(range(min(args.examples, len(images))))
    if max(indices) >= len(images):
        what = 'games' if config.data.is_game else 'images'
        raise RamError(f'--indices {max(indices)}: there are {len(images)} '
                       f'{args.split} {what}; the last is {len(images) - 1}')
    if config.data.is_game:
        games.render(args, loaded, indices)
        return
    visualizations.save_trajectories(
        args.out, trajectories(model, images, labels, indices, streams()),
        config.model.patch_sizes, config.data.class_names)
    print(f'written: {args.out}')
