"""One command for a machine with a GPU: is it right there, and how fast?

    python scripts/gpu_check.py --out gpu --data-root DIR    # DIR holds mnist/

Runs the GPU tests (CPU against GPU for the crop, the canvases, the rollout and
all gradients), measures training and inference of configs/mnist.yaml at several
batch sizes, and trains it for some epochs (on drawn digits without
--data-root). Writes gpu_report.json into the folder and prints it as a table.
"""
import argparse
import json
import os
import subprocess
import sys
import time

import benchmark
from ram.config import load_config
from ram.errors import RamError
from ram.files import replacing
from ram.training.run import get_device
from ram.training.run import train
from ram.training.run import versions

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
    found = {}
    for batch in batches:
        config = load_config(MNIST, [f'training.batch_size={batch}'])
        subject = benchmark.Subject(config, device)
        figures = benchmark.measure(subject, ['fused', 'infer'], repeats,
                                    iterations)
        found[str(batch)] = {name: benchmark.summary(values)
                             for name, values in figures.items()}
    return found


def measure_training(device, out, root, overrides):
    """A training run: its error, its time and the GPU's peak memory."""
    if root is None:
        overrides = overrides + ['data.name=synthetic', 'data.validation=1000']
    start = time.perf_counter()
    outcome = train(load_config(MNIST, overrides), out, device, root)
    peak = None
    if device.name.startswith('@cupy'):
        peak = device.xp.get_default_memory_pool().total_bytes()
    return {'data': 'mnist' if root else 'synthetic',
            'overrides': overrides, 'validation_error': outcome.error,
            'epoch': outcome.epoch, 'seconds': time.perf_counter() - start,
            'device_memory_bytes': peak}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--out', required=True, metavar='DIR',
                        help='new folder for report and run')
    parser.add_argument('--device', default='@cupy:0', metavar='D')
    parser.add_argument('--data-root', metavar='DIR',
                        help='folder that holds mnist/')
    parser.add_argument('--set', nargs='+', action='extend', metavar='K=V',
                        default=[], help='override the training run')
    parser.add_argument('--repeats', type=int, default=5, metavar='N')
    parser.add_argument('--iterations', type=int, default=50, metavar='N')
    parser.add_argument('--batches', type=int, nargs='+', default=BATCHES,
                        metavar='B')
    args = parser.parse_args()
    try:
        device = get_device(args.device)
        report = {'versions': versions(device)}
        if device.name.startswith('@cupy'):
            report['tests'] = run_tests()
        report['images_per_second'] = measure_speed(
            device, args.batches, args.repeats, args.iterations)
        report['training'] = measure_training(
            device, os.path.join(args.out, 'run'), args.data_root,
            args.set or ['training.epochs=10'])
        path = os.path.join(args.out, 'gpu_report.json')
        with replacing(path, 'w') as file:
            json.dump(report, file, indent=2)
    except RamError as error:
        for problem in error.problems:
            print(f'gpu_check: {problem}', file=sys.stderr)
        return 2
    for batch, figures in report['images_per_second'].items():
        for name, figure in figures.items():
            print(f'batch {batch:>5} {name:6} {figure["median"]:12.0f} '
                  'images/s')
    run = report['training']
    print(f'{run["data"]}: validation error {run["validation_error"]:.2f} % '
          f'in {run["seconds"]:.0f} s')
    if 'tests' in report:
        print(f'tests: {report["tests"]["summary"]}')
    print(f'written: {path}')
    return 0 if report.get('tests', {'passed': True})['passed'] else 1


if __name__ == '__main__':
    sys.exit(main())
