"""ram train"""

import argparse
import io
import os
from typing import Any

from ram.commands import arguments
from ram.config import load_config
from ram.devices import get_device
from ram.errors import RamError
from ram.fast.engine import ENGINES
from ram.training.distributed import COMMUNICATORS, SINGLE_PROCESS, Ranks
from ram.training.run import train

EXAMPLES = """\
examples:
  ram train configs/mnist.yaml --out runs/mnist
  ram train configs/mnist.yaml --set model.glimpses=4 training.epochs=30
  ram train configs/cluttered.yaml --device @cupy:0 --seed 2
  ram train configs/mnist.yaml --engine links
  ram train configs/mnist.yaml --device @cupy:0 --no-tf32
  ram train configs/mnist.yaml --out runs/mnist --resume
  ram train configs/mnist.yaml --out runs/mnist --resume \\
      --set training.epochs=200
  ram train configs/mnist.yaml --tensorboard
  mpiexec -n 2 ram train configs/mnist.yaml --communicator naive
"""


def add_parser(commands: Any) -> None:
    """Adds the arguments of `ram train`."""
    parser = arguments.command(commands, 'train', run, 'train a network',
                               EXAMPLES)
    add = parser.add_argument
    add('config', metavar='CONFIG', help='YAML file')
    add('--out', metavar='DIR', help=(
        'run folder, new or empty (default: runs/CONFIG-SEED)'))
    arguments.add_set(parser)
    arguments.add_device(parser)
    arguments.add_root(parser)
    add('--seed', type=arguments.natural, metavar='N',
        help='sets training.seed')
    add('--engine', choices=('auto',) + ENGINES[::-1], help=(
        'sets training.engine: how a step is computed; auto takes the '
        'fastest that applies'))
    add('--tf32', action=argparse.BooleanOptionalAction, help=(
        'sets training.tf32: products of float32 in TF32, which is faster '
        'and rounds to 10 bits, on GPUs that have it (default: yes)'))
    add('--resume', action='store_true', help=(
        'resume the run in the folder; training.epochs, '
        'training.learning_rate and run options may differ'))
    add('--tensorboard', action='store_true', help=(
        'write losses, errors, gradients and glimpses of each epoch for '
        'TensorBoard too, into tensorboard/ of the run folder (needs '
        'tensorboardX)'))
    add('--quiet', action='store_true',
        help='print only how the run ended')
    add('--communicator', choices=COMMUNICATORS, help=(
        'train with all processes that mpiexec started, by ChainerMN'))


def run(args: argparse.Namespace) -> int:
    """Trains, and prints what was written and what to do next."""
    overrides = args.set + [
        f'training.{key}={value}' for key, value in (
            ('seed', args.seed), ('engine', args.engine),
            ('tf32', args.tf32))
        if value is not None]
    config = load_config(args.config, overrides)
    name = os.path.splitext(os.path.basename(args.config))[0]
    out = args.out or os.path.join('runs', f'{name}-{config.training.seed}')
    ranks = Ranks(args.communicator) if args.communicator else SINGLE_PROCESS
    try:
        outcome = train(config, out, get_device(args.device), args.data_root,
                        args.resume, ranks=ranks,
                        stream=io.StringIO() if args.quiet else None,
                        tensorboard=args.tensorboard)
    except RamError as error:
        if ranks.size > 1:
            arguments.print_error(error)
            ranks.abort(2)
        raise
    if ranks.rank:
        return 0
    if outcome.best:
        print(f'best validation error {outcome.error:.2f} % at epoch '
              f'{outcome.epoch}')
    print('files: ' + ' '.join(outcome.files))
    if outcome.interrupted:
        print('stopped by a signal; to continue, use the same command with '
              f'--out {out} --resume')
        return 128 + outcome.interrupted
    if outcome.best:
        print(' '.join([f'next: ram evaluate {outcome.best}'] + sorted({
            '--import ' + name.rpartition('.')[0]
            for name in config.model.own_parts.values()})))
    return 0
