"""The program `ram`: its commands, exit statuses and error messages."""

import argparse
import os
import signal
import sys
from typing import List, Optional

import ram
from ram.commands import (
    compare,
    data,
    evaluate,
    inspect,
    predict,
    pretrained,
    render,
    runs,
    train,
    verify,
)
from ram.commands.arguments import print_error
from ram.errors import RamError

COMMANDS = (train, verify, evaluate, predict, render, inspect, pretrained,
            runs, compare, data)

FIRST_HOUR = """\
a first hour:
  ram train configs/quickstart.yaml --out runs/quick   two minutes, no download
  ram evaluate runs/quick/best.npz                     its error
  ram render runs/quick/best.npz --out look.gif        where it looks
  ram inspect runs/quick/best.npz --out inspected      the policy on one page
  ram data preview configs/cluttered.yaml --out seen.png
  ram evaluate pretrained:mnist-6                      a trained network
  ram pretrained                                       the trained networks
  ram predict pretrained:mnist-6 digit.png             an image of your own

`ram COMMAND --help` shows examples of each.
"""


def main(argv: Optional[List[str]] = None) -> int:
    """Runs a command.

    Args:
        argv: Arguments without the program's name; those of the process if
            left out.

    Returns:
        Exit status: 0; 1 if `ram verify` finds a difference; 2 for invalid
        input; 128 + n after signal n.

    """
    _mend_streams()
    args = _parser().parse_args(argv)
    try:
        status = args.run(args) or 0
        sys.stdout.flush()
        return status
    except RamError as error:
        if args.debug:
            raise
        print_error(error)
        return 2
    except MemoryError as error:
        if args.debug:
            raise
        print_error(RamError(f'out of memory: {error}; use a smaller '
                             'batch_size, network or canvas'))
        return 2
    except BrokenPipeError:  # the reader, such as head, has closed the pipe
        with open(os.devnull, 'w') as nowhere:  # for the flush at exit
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        print('ram: interrupted', file=sys.stderr)
        return 130


def _mend_streams():
    """Lets printing succeed where a stream is closed or knows few letters."""
    for name in ('stdout', 'stderr'):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, 'w'))
        elif hasattr(getattr(sys, name), 'reconfigure'):
            getattr(sys, name).reconfigure(errors='backslashreplace')


def _parser():
    parser = argparse.ArgumentParser(
        prog='ram', description=ram.__doc__, epilog=FIRST_HOUR,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False)
    parser.add_argument('--version', action='version',
                        version=f'ram {ram.__version__}')
    commands = parser.add_subparsers(
        title='commands', metavar='COMMAND', required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    return parser
