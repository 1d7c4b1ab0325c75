"""The commands: ram train | verify | evaluate | render | inspect | data."""

import argparse
import json
import os
import signal
import sys

import ram
from ram import checkpoint
from ram.config import load_config
from ram.data.batches import BatchIterator
from ram.data.splits import Splits, fixed_canvases, load_splits, name_classes
from ram.devices import get_device
from ram.errors import RamError
from ram.evaluation import inspect
from ram.evaluation.evaluate import evaluate, evaluation_streams, trajectories
from ram.evaluation.verify import verify
from ram.files import make_folder, replacing
from ram.models.parts import import_module
from ram.random_streams import make_streams
from ram.training.distributed import COMMUNICATORS, get_ranks
from ram.training.run import train

FIRST_HOUR = """\
a first hour:
  ram train configs/quickstart.yaml --out runs/quick    two minutes, no download
  ram evaluate runs/quick/best.npz                      how often it is right
  ram render runs/quick/best.npz --out look.gif         where it looks
  ram inspect runs/quick/best.npz --out inspected       the policy as a whole
  ram data preview configs/cluttered.yaml --out seen.png
  ram evaluate pretrained:mnist                         a network that is trained

`ram COMMAND --help` shows examples of each.
"""


def main(argv=None):
    """Runs a command.

    Args:
        argv (list of str): Without the program's name; the process's own if
            left out.

    Returns:
        int: Exit status: 0, 1 for what ram verify refutes, 2 for what the user can mend, 128 + n after
        signal n.

    """
    args = _parser().parse_args(argv)
    try:
        status = args.run(args) or 0
        sys.stdout.flush()
        return status
    except RamError as error:
        if args.debug:
            raise
        _tell(error)
        return 2
    except MemoryError as error:
        if args.debug:
            raise
        _tell(RamError(f'out of memory: {error}; take a smaller batch_size, '
                       'network or canvas'))
        return 2
    except BrokenPipeError:  # whoever read, head for one, has seen enough
        with open(os.devnull, 'w') as nowhere:  # for the flush at exit
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        print('ram: interrupted', file=sys.stderr)
        return 130


def _tell(error):
    for problem in error.problems:
        print(f'ram: {problem}', file=sys.stderr, flush=True)


def _parser():
    parser = argparse.ArgumentParser(
        prog='ram', description=ram.__doc__, epilog=FIRST_HOUR,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False)
    parser.add_argument('--version', action='version',
                        version=f'ram {ram.__version__}')
    commands = parser.add_subparsers(
        title='commands', metavar='COMMAND', required=True)

    _add_train(commands)
    _add_verify(commands)
    _add_evaluate(commands)
    _add_render(commands)
    _add_inspect(commands)
    _add_data(commands)
    return parser


def _add_train(commands):
    add = _command(commands, 'train', _train, 'train a network', """\
examples:
  ram train configs/mnist.yaml --out runs/mnist
  ram train configs/mnist.yaml --set model.glimpses=4 training.epochs=30
  ram train configs/cluttered.yaml --device @cupy:0 --seed 2
  ram train configs/mnist.yaml --out runs/mnist --resume
  ram train configs/mnist.yaml --tensorboard
  mpiexec -n 2 ram train configs/mnist.yaml --communicator naive
""")
    add('config', metavar='CONFIG', help='YAML file')
    add('--out', metavar='DIR', help=(
        'run folder, new or empty (default: runs/CONFIG-SEED)'))
    _add_set(add)
    _add_device(add)
    _add_root(add)
    add('--seed', type=_natural, metavar='N', help='sets training.seed')
    add('--resume', action='store_true',
        help='go on with the run in the folder')
    add('--tensorboard', action='store_true', help=(
        'write losses, errors, gradients and glimpses of each epoch for '
        'TensorBoard too, into tensorboard/ of the run folder (needs '
        'tensorboardX)'))
    add('--communicator', choices=COMMUNICATORS, help=(
        'train with all processes that mpiexec started, by ChainerMN'))


def _add_verify(commands):
    add = _command(commands, 'verify', _verify,
                   "measure a run's best network again", """\
examples:
  ram verify runs/mnist
  ram verify runs/mnist --device @cupy:0

Exit status 0 if configuration, log and error agree, 1 if they do not.
""")
    add('folder', metavar='RUN_DIR', help='a run folder of ram train')
    _add_import(add)
    _add_device(add)
    _add_root(add)


def _add_evaluate(commands):
    add = _command(commands, 'evaluate', _evaluate, 'measure the error', """\
examples:
  ram evaluate pretrained:mnist
  ram evaluate runs/mnist/best.npz --json error.json
  ram evaluate runs/mnist/best.npz --policy sample --samples 10
  ram evaluate runs/mine/best.npz --import my_module
""")
    _add_checkpoint(add)
    _add_split(add)
    add('--policy', choices=('mean', 'sample'),
        help="look at the policy's mean, or sample it (default: as configured)")
    add('--samples', type=_positive, metavar='M', help=(
        'paths per image, whose probabilities are averaged (default: as '
        'configured)'))
    _add_device(add)
    _add_root(add)
    add('--json', metavar='FILE', help='write the result there too')


def _add_render(commands):
    add = _command(commands, 'render', _render, 'show where it looks', """\
examples:
  ram render pretrained:mnist
  ram render runs/mnist/best.npz --out look.gif --examples 8
  ram render runs/mnist/best.npz --out look.png --indices 3 14 15
  ram render pretrained:mnist --out frames/%02d.png --examples 1
""")
    _add_checkpoint(add)
    add('--out', metavar='FILE', default='trajectories.gif', help=(
        '.gif, .mp4, .png for a strip, or NAME%%02d.png for single frames '
        '(default: %(default)s)'))
    which = add.group()
    which.add_argument('--examples', type=_positive, metavar='N', default=6,
                       help='the first N images (default: %(default)s)')
    which.add_argument('--indices', type=_natural, nargs='+', metavar='I',
                       help='these images, counted from 0')
    _add_split(add)
    _add_device(add)
    _add_root(add)


def _add_inspect(commands):
    add = _command(commands, 'inspect', _inspect,
                   'show the policy as a whole, on one page', """\
examples:
  ram inspect pretrained:mnist --out inspected
  ram inspect runs/mnist/best.npz --out inspected --split validation
  ram inspect runs/mnist/best.npz --out inspected --grid 15 --images 4000

Writes index.html, to be opened in a browser, its pictures and inspect.json.
""")
    _add_checkpoint(add)
    add('--out', metavar='DIR', default='inspected', help=(
        'folder; files of the same names are replaced (default: '
        '%(default)s)'))
    _add_split(add)
    add('--grid', type=_positive, metavar='G', default=9, help=(
        'try G x G first locations (default: %(default)s)'))
    add('--images', type=_positive, metavar='N', default=1000, help=(
        'with the first N images each (default: %(default)s)'))
    add('--examples', type=_positive, metavar='N', default=12, help=(
        'play the first, hardest and oddest N (default: %(default)s each)'))
    _add_device(add)
    _add_root(add)


def _add_data(commands):
    data = commands.add_parser(
        'data', help='fetch or look at images', allow_abbrev=False)
    data_commands = data.add_subparsers(
        title='commands', metavar='COMMAND', required=True)
    add = _command(data_commands, 'fetch', _fetch,
                   'find or download a data set', """\
examples:
  ram data fetch
  ram data fetch mnist --data-root data
""")
    add('name', nargs='?', default='mnist', help='default: %(default)s')
    _add_root(add)
    add = _command(data_commands, 'preview', _preview,
                   'draw what the network will see', """\
examples:
  ram data preview configs/cluttered.yaml --out seen.png
  ram data preview configs/mnist.yaml --out seen.png --set data.name=synthetic
""")
    add('config', metavar='CONFIG', help='YAML file')
    add('--out', metavar='FILE', default='preview.png',
        help='.png (default: %(default)s)')
    add('--examples', type=_positive, metavar='N', default=40,
        help='number of images (default: %(default)s)')
    add('--split', choices=Splits._fields, default='train',
        help='default: %(default)s')
    _add_set(add)
    _add_root(add)


def _command(commands, name, run, what, examples):
    parser = commands.add_parser(
        name, help=what, description=what[0].upper() + what[1:] + '.',
        epilog=examples, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(run=run)
    parser.add_argument('--debug', action='store_true',
                        help='show the traceback of an error')

    def add(*args, **kwargs):
        return parser.add_argument(*args, **kwargs)

    add.group = parser.add_mutually_exclusive_group
    return add


def _add_checkpoint(add):
    add('checkpoint', metavar='CHECKPOINT',
        help='a file that ram train wrote, or pretrained:NAME')
    _add_import(add)


def _add_import(add):
    add('--import', dest='imports', action='append', default=[],
        metavar='MODULE', help=(
            'import this module, which runs it: for a network with a Link of '
            "your own; a checkpoint's word alone imports nothing"))


def _add_split(add):
    add('--split', choices=('test', 'validation'), default='test',
        help='default: %(default)s')


def _add_set(add):
    add('--set', nargs='+', action='extend', default=[], metavar='K=V',
        help='override the configuration, for example model.glimpses=4')


def _add_device(add):
    add('--device', default='@numpy', metavar='D',
        help='@numpy, @cupy:N, or N for GPU N (default: %(default)s)')


def _add_root(add):
    add('--data-root', metavar='DIR', help=(
        'folder that holds mnist/ (default: RAM_DATA_ROOT, else the user '
        'cache)'))


def _natural(text):
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'{text!r} is not a whole number')
    return int(text)


def _positive(text):
    number = _natural(text)
    if not number:
        raise argparse.ArgumentTypeError('must be at least 1')
    return number


def _train(args):
    overrides = list(args.set)
    if args.seed is not None:
        overrides.append(f'training.seed={args.seed}')
    config = load_config(args.config, overrides)
    name = os.path.splitext(os.path.basename(args.config))[0]
    out = args.out or os.path.join('runs', f'{name}-{config.training.seed}')
    ranks = get_ranks(args.communicator)
    try:
        outcome = train(config, out, get_device(args.device), args.data_root,
                        args.resume, ranks=ranks,
                        tensorboard=args.tensorboard)
    except RamError as error:
        if ranks.size > 1:
            _tell(error)
            ranks.abort(2)
        raise
    if ranks.rank:
        return 0
    if outcome.best:
        print(f'best validation error {outcome.error:.2f} % at epoch '
              f'{outcome.epoch}')
    print('files: ' + ' '.join(outcome.files))
    if outcome.interrupted:
        print('stopped by a signal; go on with the same command and '
              f'--out {out} --resume')
        return 128 + outcome.interrupted
    if outcome.best:
        print(' '.join([f'next: ram evaluate {outcome.best}'] + sorted({
            '--import ' + name.rpartition('.')[0]
            for name in config.model.own_parts.values()})))
    return 0


def _import(args):
    for name in args.imports:
        import_module(name, f'--import {name}')


def _verify(args):
    _import(args)
    findings = verify(args.folder, get_device(args.device), args.data_root)
    for finding in findings:
        print(f'{finding.what}: {finding.told}; {finding.found}: '
              + ('agrees' if finding.holds else 'DIFFERS'))
    holds = all(finding.holds for finding in findings)
    print(f'{args.folder}: ' + ('verified' if holds else 'not verified'))
    return 0 if holds else 1


def _load(args):
    """The checkpoint on its device, and its images."""
    _import(args)
    loaded = checkpoint.load_checkpoint(args.checkpoint)
    loaded.model.to_device(get_device(args.device))
    splits = load_splits(loaded.config.data, args.data_root)
    canvases = fixed_canvases(loaded.config.data, splits, args.split)
    streams = evaluation_streams(loaded.config.data, args.split)
    return loaded, canvases, streams


def _require_glimpses(args, loaded):
    if loaded.config.model.network != 'ram':
        raise RamError(f'{args.checkpoint}: a baseline ('
                       f'{loaded.config.model.network}), which takes no '
                       'glimpses; name the checkpoint of a RAM')


def _evaluate(args):
    loaded, (images, labels, _), streams = _load(args)
    evaluation = loaded.config.evaluation
    policy = args.policy or evaluation.policy
    samples = args.samples or evaluation.samples
    bar = sys.stderr.isatty() and samples > 1
    done = []

    def progress():
        done.append(1)
        if bar:
            print(f'\rpath {len(done)} of {samples}', end='', file=sys.stderr)

    result = evaluate(loaded.model, images, labels, streams, policy, samples,
                      evaluation.batch_size, progress)
    if bar:
        print('\r\033[K', end='', file=sys.stderr)
    print(f'error {result.error:.2f} % [{result.interval[0]:.2f}, '
          f'{result.interval[1]:.2f}] (95 % Wilson interval) on {result.n} '
          f'{args.split} images, policy {policy}, paths per image {samples}')
    print('after each glimpse: ' + ' '.join(
        f'{error:.2f}' for error in result.error_by_glimpse) + ' %')
    print(f'{result.images_per_second:.0f} images/s')
    print('confusion (row: class, column: taken for)')
    width = len(str(result.confusion.max())) + 1
    names = loaded.config.data.class_names or [''] * len(result.confusion)
    for name, row in zip(names, result.confusion):
        print(name.ljust(max(map(len, names)))
              + ''.join(f'{count:{width}d}' for count in row))
    if args.json:
        with replacing(args.json, 'w') as file:
            json.dump({
                'error': result.error, 'interval': result.interval,
                'n': result.n, 'split': args.split,
                'error_by_glimpse': result.error_by_glimpse,
                'confusion': result.confusion.tolist(),
                'policy': policy, 'samples': samples,
                'images_per_second': result.images_per_second,
                'checkpoint': args.checkpoint,
                'metrics': loaded.metrics,
                'config': loaded.config.as_dict()}, file, indent=2)
            file.write('\n')
        print(f'written: {args.json}')


def _render(args):
    # Drawing is slow to import, and not needed by all commands.
    from ram import visualizations
    loaded, (images, labels, _), streams = _load(args)
    _require_glimpses(args, loaded)
    indices = args.indices or list(range(min(args.examples, len(images))))
    if max(indices) >= len(images):
        raise RamError(f'--indices {max(indices)}: there are {len(images)} '
                       f'{args.split} images; the last is {len(images) - 1}')
    visualizations.save_trajectories(
        args.out,
        trajectories(loaded.model, images, labels, indices, streams),
        loaded.config.model.patch_sizes, loaded.config.data.class_names)
    print(f'written: {args.out}')


def _inspect(args):
    from ram import visualizations
    loaded, canvases, _ = _load(args)
    _require_glimpses(args, loaded)
    make_folder(args.out)

    def streams():
        return evaluation_streams(loaded.config.data, args.split)

    result = inspect.inspect(
        loaded.model, canvases, loaded.config.data, streams, args.grid,
        args.images, loaded.config.evaluation.batch_size, _bar('looking'))
    chosen = inspect.notable(result, args.examples)
    examples = [
        (kind, index, trajectory) for kind, indices in chosen.items()
        for index, trajectory in zip(indices, trajectories(
            loaded.model, canvases.images, canvases.labels, indices,
            streams()))]
    files = visualizations.save_inspection(
        args.out, result, examples, loaded.config.model.patch_sizes,
        {'checkpoint': args.checkpoint, 'split': args.split,
         'chosen': chosen, 'metrics': loaded.metrics,
         'config': loaded.config.as_dict()},
        loaded.config.data.class_names, _bar('drawing'))
    print('written: ' + ' '.join(files))


def _bar(what):
    """Draws how much of something is done, on a terminal; else nothing."""
    if not sys.stderr.isatty():
        return lambda done, total: None

    def draw(done, total):
        marks = '#' * (40 * done // total)
        print(f'\r{what} [{marks:40}]' if done < total else '\r\033[K',
              end='', file=sys.stderr, flush=True)

    return draw


def _fetch(args):
    from ram.data import mnist
    for path in mnist.fetch(args.name, args.data_root):
        print(path)


def _preview(args):
    from ram import visualizations
    config = name_classes(load_config(args.config, args.set))
    splits = load_splits(config.data, args.data_root)
    if args.split == 'train':
        images, labels = next(BatchIterator(
            config.data, splits.train,
            min(args.examples, len(splits.train.labels)),
            make_streams(config.training.seed)))
    else:
        images, labels, _ = fixed_canvases(config.data, splits, args.split)
    height, width = config.data.canvas_size
    names = config.data.class_names or range(config.data.classes)
    visualizations.save_preview(
        args.out, images[:args.examples],
        [names[label] for label in labels[:args.examples]],
        f'{config.data.name}, {config.data.variant}, {height}x{width}, '
        f'{args.split}')
    print(f'written: {args.out}')
