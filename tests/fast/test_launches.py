"""How much an iteration of the engine ``device`` launches.

On an H200, before, it was 201 launches for mnist.yaml at batch 128 (without
the product of reinforce_reaches_core): 169 of the program's, and 32 that
cuBLAS added to products (split-K reductions).
"""

import collections
import os

import cublas_stand_in
import numpy
import pytest
from training_runs import TOP

from ram.config import load_config
from ram.data.splits import load_splits
from ram.fast import kernels, products, workspace
from ram.fast.device_iteration import DeviceIteration
from ram.fast.flat import Adam, FlatChain
from ram.functions import cuda
from ram.models.build import build_network
from ram.random_streams import make_streams
from ram.training.distributed import SingleProcess
from ram.training.extensions.average_weights import AverageWeights
from ram.training.train_chain import TrainChain


class Recorder:
    """Counts kernels, products, and operations that are neither."""

    def __init__(self):
        self.counts = collections.Counter()
        self.is_product = False

    def count(self, name):
        if not self.is_product:
            self.counts[name] += 1


@pytest.fixture
def recorder(kernels_as_cpp, blas, monkeypatch):
    """What is launched on arrays that numpy.empty and numpy.zeros give."""
    recorder = Recorder()
    monkeypatch.setattr(workspace, 'operations', lambda xp: kernels)
    load_function = cuda.load_function

    def load_and_count(source, name, real):
        function = load_function(source, name, real)

        def launch(*args):
            recorder.count(f'kernel {name}')
            function(*args)

        return launch

    monkeypatch.setattr(cuda, 'load_function', load_and_count)
    own = cublas_stand_in.products(blas)

    class Products:
        @staticmethod
        def dot(a, b, out, beta=0):
            recorder.count('product')
            return own.dot(a, b, out, beta)

        @staticmethod
        def sum_rows(a, out):
            recorder.count('product')
            return own.sum_rows(a, out)

    monkeypatch.setattr(products, 'products_of', lambda array: Products)

    class Recorded(numpy.ndarray):
        """Each operation of CuPy's would be a launch."""

        def __array_ufunc__(self, ufunc, method, *inputs, out=(), **options):
            recorder.count(f'array {ufunc.__name__}')
            plain = [numpy.asarray(a) for a in inputs]
            result = getattr(ufunc, method)(
                *plain, out=tuple(map(numpy.asarray, out)) or None, **options)
            return out[0] if out else result.view(Recorded)

        def __array_function__(self, function, types, args, options):
            recorder.count(f'array {function.__name__}')
            return super().__array_function__(function, types, args, options)

        def __setitem__(self, key, value):
            recorder.count('array copy')
            super().__setitem__(key, value)

    def recorded(allocate):
        return lambda *args, **options: allocate(*args, **options).view(
            Recorded)

    for name in ('empty', 'zeros'):
        monkeypatch.setattr(numpy, name, recorded(getattr(numpy, name)))
    return recorder


def record(recorder, name, *overrides):
    """The second iteration of a configuration, with a batch of 3."""
    config = load_config(os.path.join(TOP, 'configs', name), [
        'data.name=synthetic', 'data.train_images=40', 'data.validation=8',
        'training.batch_size=3', *overrides])
    model = build_network(config, make_streams(1)['weights'])
    average = AverageWeights(model, config.training.average)
    chain = TrainChain(model, config.training, make_streams(0))
    optimizer = Adam(0.01)
    optimizer.setup(FlatChain(chain))
    iteration = DeviceIteration(
        chain, optimizer, load_splits(config.data).train, config, 3, 8,
        SingleProcess(), average)
    iteration.schedule(numpy.arange(6).reshape(2, 3), [0.01] * 2, [0.3] * 2,
                       0)
    iteration()
    recorder.counts.clear()
    iteration()
    return recorder.counts


@pytest.mark.parametrize('name, overrides, products_, kernels_', [
    ('mnist.yaml', [], 53, 45),
    ('mnist.yaml', ['training.reinforce_reaches_core=false'], 52, 45),
    ('mnist.yaml', ['model.core=rnn'], 53, 45),
    ('cluttered.yaml', ['model.core=rnn', 'model.scales=3'], 53, 47)])
def test_launches_of_an_iteration(recorder, name, overrides, products_,
                                  kernels_):
    counts = record(recorder, name, *overrides)
    assert counts.pop('product') == products_
    assert counts.pop('array copy') == 1  # of a bias that has the same gradient
    assert sum(counts.values()) == kernels_
    assert all(key.startswith('kernel') for key in counts), counts
