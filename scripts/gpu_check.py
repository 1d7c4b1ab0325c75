"""One command for a machine with a GPU: is it right there, and how fast?

    python scripts/gpu_check.py --out gpu --data-root DIR    # DIR holds mnist/
    python scripts/gpu_check.py --out gpu --parts speed

It runs these parts, each in a process of its own with a time limit, in less
than four minutes together:

    tests       the GPU tests (CPU against GPU), 8 at a time, into tests.txt
    speed       training of the standard configurations at batch 128 and 1024,
                in float32 and TF32, beside the products of an iteration alone
                as a CUDA graph: the floor
    training    150 epochs of configs/mnist.yaml; without --data-root some
                epochs on synthetic digits
    evaluation  images/s of a pretrained network

gpu_report.json in the folder is written after each part, whether or not it
succeeded, and printed as a table, with what a GPU like the H200 should reach.
"""
import argparse
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import benchmark
import numpy

from ram.checkpoint import load_checkpoint
from ram.commands.arguments import positive, reports_errors
from ram.config import load_config
from ram.data.splits import fixed_canvases, load_splits
from ram.devices import get_device
from ram.errors import RamError
from ram.evaluation.play import evaluate_split
from ram.files import read_log, write_json
from ram.training.run_folder import versions

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CONFIGS = ('mnist', 'cluttered', 'translated')
BATCHES = (128, 1024)
# Part and its limit in seconds: 235 together.
LIMITS = {'tests': 80, 'speed': 60, 'training': 75, 'evaluation': 20}
# Configuration, batch, products, least images/s.
SPEEDS = (('mnist', 128, 'float32', 250000), ('mnist', 128, 'TF32', 330000),
          ('mnist', 1024, 'float32', 1000000),
          ('mnist', 1024, 'TF32', 1600000))
SHARE = 0.85  # of the products alone, at batch 128
WHOLE = {'test_error': 1.2, 'seconds': 40}
EPOCHS = 150  # of the training; the recipe has 400


def is_gpu(device):
    return device.name.startswith('@cupy')


def used_memory(device):
    """MiB of the GPU that are taken; None on a CPU."""
    if not is_gpu(device):
        return None
    free, total = device.xp.cuda.runtime.memGetInfo()
    return round((total - free) / 2 ** 20)


def path_of(name):
    return os.path.join(TOP, 'configs', f'{name}.yaml')


def run_tests(args, device, save):
    """The outcome of the tests that need a GPU: pytest's last line.

    All that pytest says goes into tests.txt, test by test.
    """
    many = ['-n', '8'] if importlib.util.find_spec('xdist') else []
    path = os.path.join(args.out, 'tests.txt')
    with open(path, 'w') as file:
        done = subprocess.run(
            [sys.executable, '-m', 'pytest', '-v', '-m', 'gpu', '-p',
             'no:cacheprovider', '--durations=10', *many,
             os.path.join(TOP, 'tests', 'test_gpu.py')], stdout=file,
            stderr=file, env=dict(os.environ, OMP_NUM_THREADS='1'))
    with open(path) as file:
        lines = file.read().strip().split('\n')
    print('\n'.join(lines[-40:]))
    save({'passed': done.returncode == 0, 'summary': lines[-1]})


def measure_speed(args, device, save):
    """Images/s of training and of its products alone."""
    rows, modes = [], {'float32': False}
    if is_gpu(device):
        modes['TF32'] = True
    for name in args.configs:
        for batch in args.batches:
            for mode, tf32 in modes.items():
                config = load_config(path_of(name), [
                    f'training.batch_size={batch}', f'training.tf32={tf32}'])
                # As many images as MNIST: epochs end no more often.
                subject = benchmark.Subject(config, device, 60000)
                found = benchmark.measure(
                    {'train': (subject, 'train'),
                     'products': (subject, 'floor')}, args.repeats,
                    args.iterations)
                row = {work: benchmark.summary(figures)
                       for work, figures in found.items()}
                rows.append(dict(row, config=name, batch=batch, mode=mode,
                                 share=row['train']['median']
                                 / row['products']['median']))
                save({'rows': rows, 'memory_mib': used_memory(device)})


def measure_training(args, device, save):
    """A training run: errors, wall time, seconds of an epoch."""
    out = os.path.join(args.out, 'run')
    overrides = [f'training.epochs={EPOCHS}', *args.set]
    if args.data_root is None:
        overrides += ['data.name=synthetic', 'data.validation=1000']
        if not args.set:
            overrides.append('training.epochs=10')
    root = ['--data-root', args.data_root] if args.data_root else []
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, '-m', 'ram', 'train', path_of('mnist'), '--out', out,
         '--device', args.device, *root,
         '--set', *overrides])
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RamError(f'ram train ended with status {done.returncode}')
    ends = [entry['elapsed_time'] for entry in read_log(out)]
    checkpoint = load_checkpoint(os.path.join(out, 'best.npz'))
    config, model = checkpoint.config, checkpoint.model
    model.to_device(device)
    images, labels, _ = fixed_canvases(
        config.data, load_splits(config.data, args.data_root), 'test')
    test = evaluate_split(model, images, labels, config, 'test')
    epochs = numpy.diff(ends)
    save({'data': 'mnist' if args.data_root else 'synthetic',
          'overrides': args.set, 'test_error': test.error,
          'seconds': seconds, 'first_epoch_seconds': ends[0],
          'epoch_seconds': float(numpy.median(epochs)) if len(ends) > 1
          else None, 'memory_mib': used_memory(device)})


def measure_evaluation(args, device, save):
    """Images/s of a pretrained network on noise, the second time."""
    checkpoint = load_checkpoint('pretrained:mnist-6')
    model, config = checkpoint.model, checkpoint.config
    model.to_device(device)
    split = benchmark.noise_splits(config.data, args.images).train
    images = split.images.astype('float32') / 255
    for _ in range(2):
        found = evaluate_split(model, images, split.labels, config, 'test')
    save({'images_per_second': found.images_per_second,
          'memory_mib': used_memory(device)})


PARTS = {'tests': run_tests, 'speed': measure_speed,
         'training': measure_training, 'evaluation': measure_evaluation}


def run_part(name, limit, arguments, result):
    """Runs a part as a process, and ends it and its children in time.

    Returns the figures that it wrote into the file ``result`` so far, with
    ``problem`` if it did not succeed.
    """
    process = subprocess.Popen(
        [sys.executable, os.path.abspath(__file__), *arguments, '--run',
         name], start_new_session=True)
    start, problem = time.perf_counter(), None
    try:
        if process.wait(limit):
            problem = f'ended with status {process.returncode}'
    except subprocess.TimeoutExpired:
        problem = f'took more than {limit:g} s'
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    figures = {}
    if os.path.exists(result):
        with open(result) as file:
            figures = json.load(file)
        os.remove(result)
    elif problem is None:
        problem = 'gave no figures'
    figures['part_seconds'] = time.perf_counter() - start
    return dict(figures, problem=problem) if problem else figures


def targets(report):
    """What a GPU like the H200 should reach, and whether it was reached.

    Gives tuples of what, what it should be, what it is, and whether that will
    do, of the figures that there are.
    """
    found, parts = [], report['parts']
    rows = {(row['config'], row['batch'], row['mode']): row
            for row in parts.get('speed', {}).get('rows', [])}
    for *key, least in SPEEDS:
        row = rows.get(tuple(key))
        if row is None:
            continue
        name, batch, mode = key
        speed, share = row['train']['median'], row['share']
        found.append((f'{name}.yaml, batch {batch}, {mode}, images/s',
                      f'>= {least}', round(speed), speed >= least))
        if batch == 128:
            found.append((f'{name}.yaml, batch {batch}, {mode}, share of the '
                          'products alone', f'>= {SHARE}', round(share, 2),
                          share >= SHARE))
    run = parts.get('training', {})
    if run.get('data') == 'mnist' and not run['overrides']:
        found += [(f'mnist.yaml whole, {what}', f'<= {most}',
                   round(run[what], 2), run[what] <= most)
                  for what, most in WHOLE.items()]
    return found


def print_report(report):
    parts = report['parts']
    for row in parts.get('speed', {}).get('rows', []):
        print(f'{row["config"]:12} batch {row["batch"]:5} {row["mode"]:8}'
              f'{row["train"]["median"]:12.0f} images/s, products alone'
              f'{row["products"]["median"]:12.0f}, share {row["share"]:.2f}')
    if 'test_error' in parts.get('training', {}):
        run = parts['training']
        print(f'training ({run["data"]}): test error {run["test_error"]:.2f} '
              f'% in {run["seconds"]:.0f} s; first epoch after '
              f'{run["first_epoch_seconds"]:.1f} s, median epoch '
              f'{run["epoch_seconds"] or 0:.2f} s')
    if 'images_per_second' in parts.get('evaluation', {}):
        print('evaluation: '
              f'{parts["evaluation"]["images_per_second"]:.0f} images/s')
    if 'summary' in parts.get('tests', {}):
        print(f'tests: {parts["tests"]["summary"]}')
    for name, figures in parts.items():
        if figures.get('memory_mib') is not None:
            print(f'GPU memory in use after {name}: '
                  f'{figures["memory_mib"]} MiB')
        if 'problem' in figures:
            print(f'{name}: {figures["problem"]}')
    for what, wanted, found, holds in report['targets']:
        print(f'{what}: {found} ({wanted}: {"yes" if holds else "no"})')


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add('--out', required=True, metavar='DIR',
        help='new folder for report and run')
    add('--device', default='@cupy:0', metavar='D')
    add('--data-root', metavar='DIR', help='folder that holds mnist/')
    add('--parts', nargs='+', choices=list(PARTS), default=list(PARTS),
        help='default: all')
    add('--limit', type=float, metavar='SECONDS',
        help='of each part, instead of its own')
    add('--set', nargs='+', action='extend', metavar='K=V', default=[],
        help='override the training run')
    add('--configs', nargs='+', default=CONFIGS, metavar='NAME',
        help='speed: of configs/NAME.yaml')
    add('--batches', type=positive, nargs='+', default=BATCHES, metavar='B')
    add('--repeats', type=positive, default=3, metavar='N')
    add('--iterations', type=positive, default=100, metavar='N')
    add('--images', type=positive, default=10000, metavar='N',
        help='evaluation: number of images')
    add('--run', choices=list(PARTS), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


@reports_errors
def main(arguments):
    args = parse(arguments)

    def write(name, values):
        path = os.path.join(args.out, name)
        write_json(path, values)
        return path

    device = get_device(args.device)
    if args.run:
        PARTS[args.run](args, device,
                        lambda values: write(f'{args.run}.json', values))
        return 0
    parts = [name for name in args.parts
             if name != 'tests' or is_gpu(device)]
    if not parts:
        raise RamError(f'--parts tests: {args.device} is no GPU; name '
                       '--device @cupy:0, or other parts')
    os.makedirs(args.out, exist_ok=True)
    report = {'versions': versions(device), 'parts': {}}
    for name in parts:
        report['parts'][name] = run_part(
            name, args.limit or LIMITS[name], arguments,
            os.path.join(args.out, f'{name}.json'))
        report['targets'] = targets(report)
        path = write('gpu_report.json', report)
    print_report(report)
    print(f'written: {path}')
    succeeded = all('problem' not in figures and figures.get('passed', True)
                    for figures in report['parts'].values())
    return 0 if succeeded else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
