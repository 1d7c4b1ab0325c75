"""ram evaluate"""

import argparse
import json
import sys
from typing import Any

from ram.commands import arguments
from ram.evaluation.evaluate import evaluate
from ram.files import replacing

EXAMPLES = """\
examples:
  ram evaluate pretrained:mnist
  ram evaluate runs/mnist/best.npz --json error.json
  ram evaluate runs/mnist/best.npz --policy sample --samples 10
  ram evaluate runs/mine/best.npz --import my_module
"""


def add_parser(commands: Any) -> None:
    """Adds the arguments of `ram evaluate`."""
    parser = arguments.command(commands, 'evaluate', run, 'measure the error',
                               EXAMPLES)
    arguments.add_checkpoint(parser)
    arguments.add_split(parser)
    parser.add_argument('--policy', choices=('mean', 'sample'), help=(
        "follow the policy's mean, or sample it (default: as configured)"))
    parser.add_argument(
        '--samples', type=arguments.positive, metavar='M', help=(
            'paths per image, whose probabilities are averaged (default: as '
            'configured)'))
    arguments.add_device(parser)
    arguments.add_root(parser)
    parser.add_argument('--json', metavar='FILE',
                        help='write the result there too')


def run(args: argparse.Namespace) -> None:
    """Prints error, interval, error by glimpse, and confusion."""
    (model, config, metrics, _), (images, labels, _), streams = (
        arguments.load(args, needs_glimpses=False))
    policy = args.policy or config.evaluation.policy
    samples = args.samples or config.evaluation.samples
    result = evaluate(model, images, labels, streams(), policy, samples,
                      config.evaluation.batch_size, _progress(samples))
    print(f'error {result.error:.2f} % [{result.interval[0]:.2f}, '
          f'{result.interval[1]:.2f}] (95 % Wilson interval) on {result.n} '
          f'{args.split} images, policy {policy}, paths per image {samples}')
    print('after each glimpse: ' + ' '.join(
        f'{error:.2f}' for error in result.error_by_glimpse) + ' %')
    print(f'{result.images_per_second:.0f} images/s')
    print('confusion (row: class, column: predicted)')
    width = len(str(result.confusion.max())) + 1
    names = config.data.class_names or [''] * len(result.confusion)
    for name, row in zip(names, result.confusion):
        print(name.ljust(max(map(len, names)))
              + ''.join(f'{count:{width}d}' for count in row))
    if args.json:
        values = result._asdict()
        del values['loss']
        values.update(
            confusion=result.confusion.tolist(), split=args.split,
            policy=policy, samples=samples, checkpoint=args.checkpoint,
            metrics=metrics, config=config.as_dict())
        with replacing(args.json, 'w') as file:
            json.dump(values, file, indent=2)
            file.write('\n')
        print(f'written: {args.json}')


def _progress(samples):
    """Counts the paths on a terminal."""
    bar, done = arguments.progress_bar('paths'), []

    def progress():
        done.append(1)
        if samples > 1 and sys.stderr.isatty():
            bar(len(done), samples)

    return progress
