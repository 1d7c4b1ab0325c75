"""ram compare"""

import argparse
from typing import Any

from ram.commands import arguments
from ram.errors import RamError
from ram.training.read_runs import read_run

EXAMPLES = """\
examples:
  ram compare runs/mnist-1 runs/mnist-2
  ram compare runs/* --out curves.png
"""


def add_parser(commands: Any) -> None:
    """Adds the arguments of `ram compare`."""
    parser = arguments.command(commands, 'compare', run,
                               'draw the curves of several runs', EXAMPLES)
    parser.add_argument('folders', metavar='RUN_DIR', nargs='+',
                        help='run folders of ram train')
    parser.add_argument('--out', metavar='FILE', default='compare.png',
                        help='a .png file (default: %(default)s)')


def run(args: argparse.Namespace) -> None:
    """Draws the validation errors of the runs."""
    # Matplotlib is slow to import, and not needed by all commands.
    from ram.visualizations.comparison import save_comparison
    if not args.out.lower().endswith('.png'):
        raise RamError(f'{args.out}: unknown format; let the name end in .png')
    runs = [read_run(folder) for folder in args.folders]
    for found in runs:
        if not found.errors:
            raise RamError(f'{found.folder}: no validation error yet; wait '
                           'for its first measurement, or leave it out')
    names = [found.name for found in runs]
    save_comparison(args.out, {
        found.folder if names.count(found.name) > 1 else found.name:
        found.errors for found in runs})
    print(f'written: {args.out}')
