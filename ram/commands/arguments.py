"""What several commands share: arguments, loading, progress bars."""

import argparse
import functools
import os
import sys
from typing import Any, Callable, Iterable, NamedTuple, Optional, Tuple

from ram.checkpoint import Checkpoint, load_checkpoint
from ram.data.splits import fixed_canvases, load_splits
from ram.devices import get_device
from ram.errors import RamError
from ram.evaluation.evaluate import evaluation_streams
from ram.files import is_device
from ram.models.parts import import_module


def command(commands: Any, name: str, run: Callable, what: str,
            examples: str) -> argparse.ArgumentParser:
    """Adds the parser of a command.

    Args:
        commands: Sub-parsers of the program, or of a command.
        name: Of the command.
        run: Takes the parsed arguments; returns the exit status or None.
        what: What it does, in a few words.
        examples: Shown below its help.

    """
    parser = commands.add_parser(
        name, help=what, description=what[0].upper() + what[1:] + '.',
        epilog=examples, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(run=run)
    parser.add_argument('--debug', action='store_true',
                        help='show the traceback of an error')
    return parser


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'checkpoint', metavar='CHECKPOINT',
        help='a file that ram train wrote, or pretrained:NAME')
    add_import(parser)


def add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--import', dest='imports', action='append', default=[],
        metavar='MODULE', help=(
            'import this module, which runs it: for a network with a Link of '
            'your own; a checkpoint alone imports nothing'))


def add_split(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--split', choices=('test', 'validation'),
                        default='test', help='default: %(default)s')


def add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--set', nargs='+', action='extend', default=[], metavar='K=V',
        help='override the configuration, for example model.glimpses=4')


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--device', default='@numpy', metavar='D',
        help='@numpy, @cupy:N, or N for GPU N (default: %(default)s)')


def add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--data-root', metavar='DIR', help=(
        'folder that holds mnist/ (default: data.root of the configuration, '
        'else RAM_DATA_ROOT, else the remembered one, else the user cache)'))


def natural(text: str) -> int:
    """A whole number, 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'{text!r} is not a whole number')
    return int(text)


def positive(text: str) -> int:
    """A whole number, 1 or more."""
    number = natural(text)
    if not number:
        raise argparse.ArgumentTypeError('must be at least 1')
    return number


def import_modules(args: argparse.Namespace) -> None:
    """Imports what --import names."""
    for name in args.imports:
        import_module(name, f'--import {name}')


class Loaded(NamedTuple):
    """A checkpoint on its device, with the images of its split.

    Attributes:
        checkpoint: The network with its configuration and metrics.
        canvases (ram.data.splits.FixedCanvases): Images, labels and places.
        streams: Makes fresh generators of the evaluation.
        draw_again: Gives other canvases and their generators, for a seed in
            the place of ``data.seed``.

    """

    checkpoint: Checkpoint
    canvases: Any
    streams: Callable[[], Any]
    draw_again: Callable[[int], Tuple[Any, Any]]


def load(args: argparse.Namespace, needs_glimpses: bool) -> Loaded:
    """Loads the checkpoint and the images that a command names.

    Raises:
        RamError: Also where it needs glimpses and the network takes none.

    """
    import_modules(args)
    checkpoint = load_checkpoint(args.checkpoint)
    config = checkpoint.config
    if needs_glimpses and config.model.network != 'ram':
        raise RamError(f'{args.checkpoint}: a network of kind '
                       f'{config.model.network}, which takes no glimpses; '
                       'name the checkpoint of a RAM')
    checkpoint.model.to_device(get_device(args.device))
    splits = load_splits(config.data, args.data_root)

    def draw(seed):
        data = config.data.model_copy(update={'seed': seed})
        return (fixed_canvases(data, splits, args.split),
                evaluation_streams(data, args.split))

    return Loaded(checkpoint, fixed_canvases(config.data, splits, args.split),
                  lambda: evaluation_streams(config.data, args.split), draw)


def check_outputs(outputs: Iterable[Optional[str]],
                  inputs: Iterable[str]) -> None:
    """Finds, before the work, outputs that cannot be or that destroy inputs.

    Raises:
        RamError: Where an output's folder is missing, or the file is an input
            or another output.

    """
    inputs = [os.path.realpath(path) for path in inputs]
    for path in filter(None, outputs):
        folder, found = os.path.dirname(path) or '.', os.path.realpath(path)
        # A folder of frames, NAME/%02d.png, is made.
        if not os.path.isdir(folder) and '%' not in path:
            raise RamError(f'{path}: cannot be written: there is no folder '
                           f'{folder}; make it, or name another')
        if found in inputs and not is_device(path):
            raise RamError(f'{path}: is read, or written by another option; '
                           'name another file')
        inputs.append(found)


def print_error(error: RamError) -> None:
    """Prints one line per problem to standard error."""
    for problem in error.problems:
        print(f'ram: {problem}', file=sys.stderr, flush=True)


def reports_errors(main: Callable) -> Callable:
    """The main of a script, which then prints a RamError and returns 2."""
    @functools.wraps(main)
    def run(*args):
        try:
            return main(*args)
        except RamError as error:
            print_error(error)
            return 2
        except KeyboardInterrupt:
            print('interrupted; the same command continues', file=sys.stderr)
            return 130

    return run


def progress_bar(what: str) -> Callable[[int, int], None]:
    """Draws how much of something is done, on a terminal; else nothing."""
    if not sys.stderr.isatty():
        return lambda done, total: None

    def draw(done, total):
        marks = '#' * (40 * done // total)
        print(f'\r{what} [{marks:40}]' if done < total else '\r\033[K',
              end='', file=sys.stderr, flush=True)

    return draw
