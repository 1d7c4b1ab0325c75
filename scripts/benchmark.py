"""Measures the speed of training and inference, and what the cost grows with.

    python scripts/benchmark.py                      # the standard configurations
    python scripts/benchmark.py --json speed.json configs/mnist.yaml
    python scripts/benchmark.py --engine fused links --set model.core=rnn
    python scripts/benchmark.py --growth --plots media
    mpiexec -n 2 python scripts/benchmark.py configs/mnist.yaml --communicator naive

Images are noise, so no data set is needed. The engines are compared in one
run: they alternate in every repeat, and ratios are taken within a repeat.
`floor` is the matrix products of an iteration alone, through the same BLAS
with the same threads, recorded from an iteration of the engine `fused` (or,
on a GPU, `device`: they are replayed as a CUDA graph). With training.threads
above 1, `one thread` is the same training in one thread.
Run it alone on the machine, with OMP_NUM_THREADS=1 for one thread.
"""
import argparse
import os
import sys
import tempfile
import time
from types import SimpleNamespace
from unittest import mock

import matplotlib
import numpy

from ram.commands.arguments import positive, reports_errors
from ram.config import config_from_dict, load_config
from ram.data.splits import Split, Splits
from ram.devices import get_device
from ram.errors import RamError
from ram.evaluation.evaluate import evaluate
from ram.fast import products
from ram.fast.engine import ENGINES
from ram.files import make_folder, write_json
from ram.random_streams import make_streams
from ram.training.build import build_trainer
from ram.training.distributed import COMMUNICATORS, SINGLE_PROCESS, Ranks
from ram.training.run_folder import versions

STANDARD = ['mnist', 'translated', 'cluttered']
GROWTH = {
    'model.glimpses': [2, 4, 6, 8, 12],
    'model.scales': [1, 2, 3],
    'data.canvas': [28, 60, 100, 200],
    'training.batch_size': [32, 64, 128, 256, 512],
    'model.core_units': [64, 128, 256, 512],
}
NAMES = {'model.glimpses': 'glimpses T', 'model.scales': 'scales k',
         'data.canvas': 'image side (pixels)',
         'training.batch_size': 'batch size',
         'model.core_units': 'state width'}


def noise_splits(data, count):
    """A data set of noise in the configuration's shape."""
    rng = numpy.random.default_rng(0)
    images = rng.integers(256, size=(count, data.channels) + data.image_size,
                          dtype='uint8')
    labels = rng.integers(data.classes, size=count).astype('int32')
    split = Split(images, labels)
    return Splits(split, Split(images[:500], labels[:500]),
                  Split(images[:500], labels[:500]))


class Subject:
    """A network in training on noise, and its matrix products."""

    def __init__(self, config, device, count=0, ranks=SINGLE_PROCESS):
        self.config = config
        self.device = device
        self.ranks = ranks
        self.splits = noise_splits(config.data, max(
            1024, count, config.training.batch_size))
        self.updater = self._build()
        self.model = self.updater.get_optimizer('main').target.chain.model
        self.images = numpy.random.default_rng(1).random(
            (500, config.data.channels) + config.data.canvas_size, 'float32')
        self.labels = self.splits.test.labels
        self.products = []
        if self.engine == 'device' or (
                device.xp is numpy and self.engine == 'fused'):
            self._record()

    def _build(self):
        with tempfile.TemporaryDirectory() as out:
            composed = build_trainer(self.config, self.splits, out,
                                     self.device, sys.stderr, self.ranks)
        self.engine = composed.engine.name
        return composed.trainer.updater

    def _record(self):
        """Records the products of an iteration; the floor repeats them."""
        calls, products_of = self.products, products.products_of

        def noting(call):
            def note(*args, **options):
                calls.append(lambda: call(*args, **options))
                return calls[-1]()
            return note

        def recording(array):
            own = products_of(array)
            on_cpu = own is products.NumpyProducts
            return SimpleNamespace(  # cuBLAS sums by a product with ones
                dot=noting(own.dot),
                sum_rows=own.sum_rows if on_cpu else noting(own.sum_rows))

        with mock.patch.object(products, 'products_of', recording):
            self.updater.update()
        if self.device.xp is not numpy:
            from ram.fast.cuda_graph import CudaGraphRunner

            self.floor = CudaGraphRunner(self.floor, True)

    def keep_batch(self):
        """Excludes the making of batches from what is measured."""
        iterator = self.updater.get_iterator('main')
        batch = iterator.next()
        iterator.next = lambda: batch

    def floor(self):
        for repeat in self.products:
            repeat()

    def train(self):
        self.updater.update()

    def infer(self):
        evaluate(self.model, self.images, self.labels, make_streams(0),
                 batch_size=self.config.training.batch_size)

    def images_per_second(self, work, iterations):
        """Of ``floor``, ``train`` or ``infer``, which is 500 images, not B."""
        images = (len(self.labels) if work == 'infer'
                  else self.config.training.batch_size)
        work = getattr(self, work)
        self._wait()
        start = time.perf_counter()
        for _ in range(iterations):
            work()
        self._wait()
        return images * iterations / (time.perf_counter() - start)

    def _wait(self):
        if self.device.xp is not numpy:
            self.device.xp.cuda.Device().synchronize()


def measure(works, repeats, iterations):
    """Images/s of each work, a list; all alternate in every repeat.

    ``works`` holds (Subject, name of its method) by any name.
    """
    found = {name: [] for name in works}
    for subject, work in works.values():  # warm-up
        subject.images_per_second(work, 3)
    for _ in range(repeats):
        for name, (subject, work) in works.items():
            found[name].append(subject.images_per_second(work, iterations))
    return found


def summary(figures):
    """Median, least and greatest."""
    return {'median': float(numpy.median(figures)),
            'least': min(figures), 'greatest': max(figures)}


def compare(name, config, device, args, ranks):
    """All figures of one configuration, printed and returned."""
    subjects = {engine: Subject(changed(config, 'training.engine', engine),
                                device, ranks=ranks)
                for engine in args.engine}
    first = next(iter(subjects.values()))
    works = {}
    for subject in subjects.values():  # auto selects one of them
        works[subject.engine] = (subject, 'train')
    names = list(works)
    if config.training.threads > 1:
        names.append('one thread')
        works['one thread'] = (
            Subject(changed(config, 'training.threads', 1), device), 'train')
    elif ranks.size == 1:
        works['infer'] = (first, 'infer')
        if first.products:
            names.append('floor')
            works['floor'] = (first, 'floor')
    found = measure(works, args.repeats, args.iterations)
    row = {f'{work} images/s': summary(figures)
           for work, figures in found.items()}
    for other in names[1:]:
        row[f'{names[0]} / {other}'] = summary(
            (numpy.array(found[names[0]]) / found[other]).tolist())
    for what, figures in row.items() if ranks.rank == 0 else ():
        print(f'{name:24} {what:20} {figures["median"]:10.2f}  '
              f'[{figures["least"]:.2f}, {figures["greatest"]:.2f}]',
              flush=True)
    return row


def growth(config, device, args):
    """Milliseconds of a training iteration, one value changed at a time.

    On the CPU one batch is made before and used again: only the network is
    measured.
    """
    found = {}
    for key, values in GROWTH.items():
        works = {}
        for value in values:
            subject = Subject(changed(config, key, value), device)
            subject.keep_batch()
            works[value] = subject, 'train'
        speeds = measure(works, args.repeats, args.iterations)
        found[key] = []
        for value, (subject, _) in works.items():
            batch = subject.config.training.batch_size
            found[key].append({'value': value, 'ms': summary(
                [1000 * batch / speed for speed in speeds[value]])})
            print(f'{NAMES[key]:24} {value:6} '
                  f'{found[key][-1]["ms"]["median"]:10.2f} ms', flush=True)
    return found


def changed(config, key, value):
    """The configuration with one value changed."""
    tree = config.as_dict()
    section, name = key.split('.')
    tree[section][name] = value
    if key == 'data.canvas':
        # An image of that size instead of a canvas.
        tree['data'].update(canvas=None, variant='original', name='npz',
                            file='noise', image_size=value)
    return config_from_dict(tree, key)


def plot(found, folder):
    """One figure for each thing that grows, into a folder."""
    matplotlib.use('Agg')
    from matplotlib import pyplot
    paths = []
    for key, rows in found.items():
        figure, axes = pyplot.subplots(figsize=(4.5, 3))
        x = [row['value'] for row in rows]
        axes.plot(x, [row['ms']['median'] for row in rows], 'o-',
                  color='#0072B2')
        axes.fill_between(x, [row['ms']['least'] for row in rows],
                          [row['ms']['greatest'] for row in rows],
                          color='#0072B2', alpha=0.2)
        axes.set_xlabel(NAMES[key])
        axes.set_ylabel('ms per training batch')
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        path = os.path.join(folder, f'cost_{key.split(".")[1]}.png')
        figure.savefig(path, dpi=120, bbox_inches='tight')
        pyplot.close(figure)
        paths.append(path)
    return paths


@reports_errors
def main():
    top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('configs', nargs='*', metavar='CONFIG', default=[
        os.path.join(top, 'configs', f'{name}.yaml') for name in STANDARD])
    parser.add_argument('--set', nargs='+', action='extend', default=[],
                        metavar='K=V', help='override the configurations')
    parser.add_argument('--device', default='@numpy', metavar='D')
    parser.add_argument(
        '--engine', nargs='+', choices=('auto',) + ENGINES,
        default=['auto'], help='engines to compare; ratios are to the first')
    parser.add_argument('--communicator', choices=COMMUNICATORS, help=(
        'images/s in training of all processes that mpiexec started'))
    parser.add_argument('--repeats', type=positive, default=7, metavar='N')
    parser.add_argument('--iterations', type=positive, default=10, metavar='N',
                        help='in a repeat (default: %(default)s)')
    parser.add_argument('--growth', action='store_true', help=(
        'also measure what the cost grows with, from the first '
        'configuration'))
    parser.add_argument('--plots', metavar='DIR',
                        help='with --growth: plots go there')
    parser.add_argument('--json', metavar='FILE', help='figures go there')
    args = parser.parse_args()
    device = get_device(args.device)
    if args.plots:
        make_folder(args.plots)
    ranks = (Ranks(args.communicator) if args.communicator
             else SINGLE_PROCESS)
    configs = {os.path.splitext(os.path.basename(path))[0]:
               load_config(path, args.set) for path in args.configs}
    for name, config in configs.items():
        if config.data.is_game:
            raise RamError(f'{name}: a game is not measured; name '
                           'configurations of images')
    report = {'versions': versions(device), 'rows': {
        name: compare(name, config, device, args, ranks)
        for name, config in configs.items()}}
    if ranks.rank:
        return 0
    if args.growth:
        first = next(iter(configs.values()))
        report['growth'] = growth(first, device, args)
        if args.plots:
            print('written: ' + ' '.join(
                plot(report['growth'], args.plots)))
    if args.json:
        write_json(args.json, report)
        print(f'written: {args.json}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
