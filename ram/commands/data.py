"""ram data fetch | preview"""

import argparse
from typing import Any

import numpy

from ram.commands import arguments
from ram.config import load_config
from ram.data.batches import BatchIterator
from ram.data.splits import Splits, fixed_canvases, load_data
from ram.games.catch import Catch
from ram.random_streams import make_streams

FETCH_EXAMPLES = """\
examples:
  ram data fetch
  ram data fetch mnist --data-root data --remember
"""
PREVIEW_EXAMPLES = """\
examples:
  ram data preview configs/cluttered.yaml --out seen.png
  ram data preview configs/mnist.yaml --out seen.png --set data.name=synthetic
"""


def add_parser(commands: Any) -> None:
    """Adds the arguments of `ram data`."""
    parser = commands.add_parser(
        'data', help='fetch or look at images', allow_abbrev=False)
    commands = parser.add_subparsers(
        title='commands', metavar='COMMAND', required=True)
    parser = arguments.command(commands, 'fetch', run_fetch,
                               'find or download a data set', FETCH_EXAMPLES)
    parser.add_argument('name', nargs='?', default='mnist',
                        help='default: %(default)s')
    arguments.add_root(parser)
    parser.add_argument('--remember', action='store_true', help=(
        'make --data-root the default of all later commands'))
    parser = arguments.command(commands, 'preview', run_preview,
                               'draw what the network will see',
                               PREVIEW_EXAMPLES)
    add = parser.add_argument
    add('config', metavar='CONFIG', help='YAML file')
    add('--out', metavar='FILE', default='preview.png',
        help='.png (default: %(default)s)')
    add('--examples', type=arguments.positive, metavar='N', default=40,
        help='number of images (default: %(default)s)')
    add('--split', choices=Splits._fields, default='train',
        help='default: %(default)s')
    arguments.add_set(parser)
    arguments.add_root(parser)


def run_fetch(args: argparse.Namespace) -> None:
    """Prints the files of a data set."""
    from ram.data import mnist
    for path in mnist.fetch(args.name, args.data_root):
        print(path)
    if args.remember:
        print(f'written: {mnist.remember(mnist.data_root(args.data_root))}')


def run_preview(args: argparse.Namespace) -> None:
    """Writes a picture of some images."""
    from ram import visualizations
    config, splits = load_data(load_config(args.config, args.set),
                               args.data_root)
    data = config.data
    if args.split == 'train':
        images, labels = next(BatchIterator(
            data, splits.train, min(args.examples, len(splits.train.labels)),
            make_streams(config.training.seed)))
    else:
        images, labels, _ = fixed_canvases(data, splits, args.split)
    images, labels = images[:args.examples], labels[:args.examples]
    names = data.class_names or range(data.classes)
    if data.is_game:
        game = Catch.of(data)
        words = [f'speed {speed}' for speed in images[:, 1]]
        images = game.draw(game.start(images))
        title = (f'{data.name}, {game.height}x{game.width}, {args.split}: '
                 'first screens')
    else:
        height, width = data.canvas_size
        words = [names[label] for label in labels]
        title = f'{data.name}, {data.variant}, {height}x{width}, {args.split}'
    visualizations.save_preview(args.out, images, words, title)
    if not data.is_game:
        _print_counts([str(name) for name in names], splits)
    print(f'written: {args.out}')


def _print_counts(names, splits):
    """Prints how many images each class has in each split."""
    counts = [numpy.bincount(split.labels, minlength=len(names))
              for split in splits]
    rows = [('images', *splits._fields)] + [
        (name, *map(str, row)) for name, row in zip(names, zip(*counts))]
    first, *widths = (max(map(len, column)) for column in zip(*rows))
    for name, *row in rows:
        print(name.ljust(first) + ''.join(
            f'  {count:>{width}}' for count, width in zip(row, widths)))
