"""One command for a machine with a GPU: is it right there, and how fast?

    python scripts/gpu_check.py --out gpu --data-root DIR    # DIR holds mnist/
    python scripts/gpu_check.py --out gpu --data-root DIR --whole

Runs the GPU tests (CPU against GPU for the crop, the canvases, the rollout, all
gradients and the whole iteration), measures training of configs/mnist.yaml at
several batch sizes, with and without a CUDA graph, and inference, and trains it
for some epochs (on drawn digits without --data-root), or whole. Writes
gpu_report.json into the folder and prints it as a table, with what it should
reach on a GPU like the H200.
"""
import argparse
import json
import os
import subprocess
import sys
import time

import benchmark

from ram.checkpoint import load_checkpoint
from ram.config import load_config
from ram.data.splits import fixed_canvases, load_splits
from ram.devices import get_device
from ram.errors import RamError
from ram.evaluation.evaluate import evaluate, evaluation_streams
from ram.files import replacing
from ram.training.run import train
from ram.training.run_folder import versions

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MNIST = os.path.join(TOP, 'configs', 'mnist.yaml')
BATCHES = (128, 512, 1024)


def run_tests():
    """The outcome of the tests that need a GPU: pytest's last line."""
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', '-m', 'gpu', '--no-cov',
         os.path.join(TOP, 'tests')], capture_output=True, text=True)
    print(done.stdout[-4000:])
    return {'passed': done.returncode == 0,
            'summary': done.stdout.strip().split('\n')[-1]}


def measure_speed(device, batches, repeats, iterations):
    """Images/s of training and inference, by batch size."""
    graphs = {'train': 'off', 'train, graph': 'auto'}
    if not is_gpu(device):
        del graphs['train, graph']
    found = {}
    for batch in batches:
        figures = {}
        for name, graph in graphs.items():
            config = load_config(MNIST, [f'training.batch_size={batch}',
                                         f'training.cuda_graph={graph}'])
            # As many images as MNIST: an epoch's end is no more frequent.
            subject = benchmark.Subject(config, device, 60000)
            figures.update(benchmark.measure(
                {name: (subject, 'train')}, repeats, iterations))
        figures.update(benchmark.measure(
            {'infer': (subject, 'infer')}, repeats, iterations))
        found[str(batch)] = {name: benchmark.summary(values)
                             for name, values in figures.items()}
    return found


def is_gpu(device):
    return device.name.startswith('@cupy')


def used_memory(device):
    """Bytes of the GPU that are taken; pools keep what they once had."""
    free, total = device.xp.cuda.runtime.memGetInfo()
    return total - free


def measure_training(device, out, root, overrides):
    """A training run: its errors and its time."""
    if root is None:
        overrides = overrides + ['data.name=synthetic', 'data.validation=1000']
    config = load_config(MNIST, overrides)
    start = time.perf_counter()
    outcome = train(config, out, device, root)
    seconds = time.perf_counter() - start
    model = load_checkpoint(outcome.best).model
    model.to_device(device)
    images, labels, _ = fixed_canvases(
        config.data, load_splits(config.data, root), 'test')
    test = evaluate(model, images, labels,
                    evaluation_streams(config.data, 'test'),
                    batch_size=config.evaluation.batch_size)
    return {'data': 'mnist' if root else 'synthetic',
            'overrides': overrides, 'validation_error': outcome.error,
            'test_error': test.error, 'epoch': outcome.epoch,
            'seconds': seconds}


def targets(report):
    """What a GPU like the H200 should reach, and whether it was reached.

    Returns:
        list of tuple: What, what it should be, what it is, and whether that
        will do; of what was measured.

    """
    speeds = report['images_per_second']
    found = []
    for batch, name, least in ((128, 'train', 60000),
                               (128, 'train, graph', 250000),
                               (1024, 'train, graph', 600000)):
        if name in speeds.get(str(batch), {}):
            speed = speeds[str(batch)][name]['median']
            found.append((f'{name}, batch {batch}, images/s',
                          f'>= {least}', round(speed), speed >= least))
    if report['whole']:
        run = report['training']
        found += [('mnist.yaml whole, test error, %', '<= 1.2',
                   round(run['test_error'], 2), run['test_error'] <= 1.2),
                  ('mnist.yaml whole, seconds', '< 90',
                   round(run['seconds']), run['seconds'] < 90)]
    return found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--out', required=True, metavar='DIR',
                        help='new folder for report and run')
    parser.add_argument('--device', default='@cupy:0', metavar='D')
    parser.add_argument('--data-root', metavar='DIR',
                        help='folder that holds mnist/')
    parser.add_argument('--whole', action='store_true',
                        help='train configs/mnist.yaml to its end')
    parser.add_argument('--set', nargs='+', action='extend', metavar='K=V',
                        default=[], help='override the training run')
    parser.add_argument('--repeats', type=int, default=5, metavar='N')
    parser.add_argument('--iterations', type=int, default=50, metavar='N')
    parser.add_argument('--batches', type=int, nargs='+', default=BATCHES,
                        metavar='B')
    args = parser.parse_args()
    try:
        if args.whole and args.data_root is None:
            raise RamError('--whole: needs MNIST; name the folder that holds '
                           'mnist/ with --data-root')
        device = get_device(args.device)
        report = {'versions': versions(device), 'whole': args.whole}
        if is_gpu(device):
            report['tests'] = run_tests()
        report['images_per_second'] = measure_speed(
            device, args.batches, args.repeats, args.iterations)
        overrides = args.set or ([] if args.whole else ['training.epochs=10'])
        report['training'] = measure_training(
            device, os.path.join(args.out, 'run'), args.data_root, overrides)
        if is_gpu(device):
            report['device_memory_bytes'] = used_memory(device)
        report['targets'] = targets(report)
        path = os.path.join(args.out, 'gpu_report.json')
        with replacing(path, 'w') as file:
            json.dump(report, file, indent=2)
    except RamError as error:
        for problem in error.problems:
            print(f'gpu_check: {problem}', file=sys.stderr)
        return 2
    for batch, figures in report['images_per_second'].items():
        for name, figure in figures.items():
            print(f'batch {batch:>5} {name:12} {figure["median"]:12.0f} '
                  'images/s')
    run = report['training']
    print(f'{run["data"]}: test error {run["test_error"]:.2f} %, validation '
          f'error {run["validation_error"]:.2f} %, in {run["seconds"]:.0f} s')
    if 'device_memory_bytes' in report:
        print(f'GPU memory: {report["device_memory_bytes"] / 2 ** 20:.0f} MiB')
    for what, wanted, found, holds in report['targets']:
        print(f'{what}: {found} ({wanted}: {"yes" if holds else "no"})')
    if 'tests' in report:
        print(f'tests: {report["tests"]["summary"]}')
    print(f'written: {path}')
    return 0 if report.get('tests', {'passed': True})['passed'] else 1


if __name__ == '__main__':
    sys.exit(main())
