"""ram evaluate"""

import argparse
import statistics
from typing import Any

from ram.commands import arguments, games
from ram.errors import RamError
from ram.evaluation.evaluate import evaluate, predict
from ram.evaluation.tables import prediction_rows, write_csv
from ram.files import write_json

EXAMPLES = """\
examples:
  ram evaluate pretrained:mnist-6
  ram evaluate runs/mnist/best.npz --json error.json --csv images.csv
  ram evaluate runs/mnist/best.npz --policy sample --samples 10
  ram evaluate pretrained:cluttered-8 --canvas-seeds 10
  ram evaluate pretrained:catch
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
    parser.add_argument(
        '--canvas-seeds', type=arguments.positive, metavar='N', default=1,
        help=('measure on N draws of the canvases: that of data.seed and the '
              'next ones (default: %(default)s)'))
    arguments.add_device(parser)
    arguments.add_root(parser)
    parser.add_argument('--json', metavar='FILE',
                        help='write the result there too')
    parser.add_argument('--csv', metavar='FILE', help=(
        "write every image's label, prediction, probabilities and locations "
        'there'))


def run(args: argparse.Namespace) -> None:
    """Prints error, interval, error by glimpse and by class, and confusion."""
    arguments.check_outputs([args.json, args.csv], [args.checkpoint])
    loaded = arguments.load(args, needs_glimpses=False)
    if loaded.checkpoint.config.data.is_game:
        games.evaluate(args, loaded)
        return
    (model, config, metrics, _), (images, labels, _), streams, draw_again = (
        loaded)
    if args.canvas_seeds > 1 and config.data.variant == 'original':
        raise RamError(f'--canvas-seeds: the images of {args.checkpoint} lie '
                       'on no canvas; leave it out')
    if args.csv and (args.samples or config.evaluation.samples) > 1:
        raise RamError('--csv: writes one path an image; set --samples 1')
    policy = args.policy or config.evaluation.policy
    samples = args.samples or config.evaluation.samples
    result = evaluate(model, images, labels, streams(), policy, samples,
                      config.evaluation.batch_size,
                      arguments.progress_bar('paths') if samples > 1 else None)
    print(f'error {result.error:.2f} % [{result.interval[0]:.2f}, '
          f'{result.interval[1]:.2f}] (95 % Wilson interval) on {result.n} '
          f'{args.split} images, policy {policy}, paths per image {samples}')
    print('after each glimpse: ' + ' '.join(
        f'{error:.2f}' for error in result.error_by_glimpse) + ' %')
    canvas_errors = [result.error] + [
        evaluate(model, again.images, labels, others, policy, samples,
                 config.evaluation.batch_size).error
        for again, others in map(draw_again, range(
            config.data.seed + 1, config.data.seed + args.canvas_seeds))]
    if args.canvas_seeds > 1:
        print(f'on {args.canvas_seeds} draws of the canvases: mean '
              f'{statistics.mean(canvas_errors):.2f} %, standard deviation '
              f'{statistics.stdev(canvas_errors):.2f}')
    print(f'{result.images_per_second:.0f} images/s')
    print(f'mean over the classes: error {result.mean_class_error:.2f} %')
    _print_confusion(result, config.data.class_names)
    if args.json:
        values = result._asdict()
        del values['loss']
        values.update(
            confusion=result.confusion.tolist(),
            error_by_class=[error if row.any() else None for row, error in zip(
                result.confusion, result.error_by_class.tolist())],
            mean_class_error=result.mean_class_error, split=args.split,
            policy=policy, samples=samples, canvas_errors=canvas_errors,
            checkpoint=args.checkpoint,
            metrics=metrics, config=config.as_dict())
        write_json(args.json, values)
        print(f'written: {args.json}')
    if args.csv:
        _write_csv(args, loaded, policy)
        print(f'written: {args.csv}')


def _write_csv(args, loaded, policy):
    model, config, *_ = loaded.checkpoint
    images, labels, _ = loaded.canvases
    paths = predict(model, images, loaded.streams(), policy,
                    config.evaluation.batch_size)
    points = (paths.locations.transpose(1, 0, 2) + 1) / 2 * (
        images.shape[:1:-1])
    write_csv(args.csv, list(prediction_rows(
        range(len(images)), paths.probabilities[-1], points,
        config.data.class_names or range(config.data.classes), labels)))


def _print_confusion(result, names):
    """Prints a row for each class, which ends with its error."""
    print('confusion (row: class, column: predicted), error')
    width = len(str(result.confusion.max())) + 1
    names = names or [''] * len(result.confusion)
    for name, row, error in zip(names, result.confusion,
                                result.error_by_class):
        print(name.ljust(max(map(len, names)))
              + ''.join(f'{count:{width}d}' for count in row)
              + (f'{error:8.2f} %' if row.any() else '         -'))
