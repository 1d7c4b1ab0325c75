"""The CUDA kernels, without a GPU.

They are compiled by nvcc, to see that they are CUDA. And they are compiled as
plain C++, where a loop stands for the threads, to see that they are right: each
against its NumPy counterpart, and the whole rollout run by them. None of them
has threads that wait for one another, so a loop is as good.
"""

import ctypes
import shutil
import subprocess

import chainer
import chainer.functions as F
import numpy
import pytest

from ram.functions import elementwise
from ram.functions import kernels
from ram.functions import rollout
from ram.functions.glimpse import glimpse
from ram.functions.glimpse import summed_area_table

from test_rollout import inputs
from test_rollout import make_model

SHIM = r'''
#include <cmath>
using std::floor; using std::fmin; using std::fmax; using std::tanh;
#define __global__
#define __device__ static
struct Dim { unsigned x; };
static Dim blockIdx, blockDim, threadIdx;
extern "C" void be_thread(unsigned block, unsigned size, unsigned thread)
{ blockIdx.x = block; blockDim.x = size; threadIdx.x = thread; }
'''

needs_compiler = pytest.mark.skipif(not shutil.which('g++'),
                                    reason='no C++ compiler')


@pytest.fixture(scope='module')
def libraries(tmp_path_factory):
    """The kernels as C++, by the name of their type."""
    folder = tmp_path_factory.mktemp('kernels')
    (folder / 'k.cpp').write_text(SHIM + kernels.SOURCE)
    made = {}
    for real in ('float', 'double'):
        path = folder / f'{real}.so'
        subprocess.run(
            ['g++', '-O1', '-ffp-contract=off', '-shared', '-fPIC',
             f'-DREAL={real}', '-o', str(path), str(folder / 'k.cpp')],
            check=True)
        made[real] = ctypes.CDLL(str(path))
    return made


@pytest.fixture
def threads_in_turn(libraries, monkeypatch):
    """Lets the kernels be launched on NumPy arrays."""
    def convert(argument):
        if argument is None:
            return None
        if isinstance(argument, numpy.ndarray):
            return ctypes.c_void_p(argument.ctypes.data)
        return {'i': ctypes.c_int, 'f': ctypes.c_float,
                'd': ctypes.c_double}[argument.dtype.char](argument)

    def function(name, real):
        library = libraries[real]

        def launch(grid, block, arguments):
            converted = [convert(a) for a in arguments]
            for i in range(grid[0]):
                for j in range(block[0]):
                    library.be_thread(i, block[0], j)
                    getattr(library, name)(*converted)

        return launch

    monkeypatch.setattr(kernels, '_function', function)


@pytest.mark.skipif(not shutil.which('nvcc'), reason='no CUDA compiler')
@pytest.mark.parametrize('real', ['float', 'double'])
def test_they_are_cuda(tmp_path, real):
    (tmp_path / 'k.cu').write_text(kernels.SOURCE)
    done = subprocess.run(
        ['nvcc', '-ptx', f'-DREAL={real}', '--fmad=false', '-Werror',
         'all-warnings', '-o', str(tmp_path / 'k.ptx'),
         str(tmp_path / 'k.cu')], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ptx = (tmp_path / 'k.ptx').read_text()
    for name in ('glimpse', 'look_at', 'rectify', 'rectify_backward', 'lstm',
                 'lstm_backward', 'choose'):
        assert f'.entry {name}(' in ptx


def assert_same(name, arrays, written, dtype):
    """Runs both forms on copies and compares what they wrote.

    An argument may be (array, slice): a part of the rows of a wider one.
    """
    results = []
    for module in (elementwise, kernels):
        copies = [a[0].copy()[:, a[1]] if isinstance(a, tuple)
                  else a.copy() if isinstance(a, numpy.ndarray) else a
                  for a in arrays]
        getattr(module, name)(*copies)
        results.append([copies[i] for i in written])
    for a, b in zip(*results):
        numpy.testing.assert_allclose(
            a, b, rtol=0, atol=2e-6 if dtype == 'float32' else 1e-13)


@needs_compiler
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('seed', range(4))
def test_they_equal_numpy(threads_in_turn, dtype, seed):
    rng = numpy.random.default_rng(seed)
    batch, units = (int(n) for n in rng.integers(1, 40, size=2))

    def normal(*shape):
        return rng.standard_normal(shape).astype(dtype)

    def part(width):
        return normal(batch, width + 5), slice(3, 3 + width)

    assert_same('rectify', [normal(batch, units), normal(units), part(units)],
                [2], dtype)
    assert_same('rectify', [normal(batch, units), normal(units),
                            normal(batch, units), part(units)], [2, 3], dtype)
    assert_same('rectify_backward',
                [part(units), part(units), normal(batch, units)], [2], dtype)
    assert_same('lstm', [
        normal(batch, 4 * units), normal(4 * units), normal(batch, units),
        normal(batch, units), normal(batch, units), normal(batch, units),
        normal(batch, units), part(units)], [0, 3, 4, 6, 7], dtype)
    gates = rng.random((batch, 4 * units)).astype(dtype)
    assert_same('lstm_backward', [
        gates, normal(batch, units), numpy.tanh(normal(batch, units)),
        normal(batch, units), normal(batch, units), normal(batch, 4 * units),
        normal(batch, units), normal(batch, 3 * units)], [4, 5], dtype)
    assert_same('choose', [normal(batch, 2), normal(2), normal(batch, 2), 0.3,
                           normal(batch, 2), normal(batch, 2)], [4, 5], dtype)
    assert_same('look_at', [2 * normal(batch, 2), normal(batch, 2),
                            normal(batch, 2)], [1, 2], dtype)


@needs_compiler
@pytest.mark.parametrize('seed', range(10))
def test_the_crop_equals_numpy(threads_in_turn, seed):
    rng = numpy.random.default_rng(seed)
    dtype = ['float32', 'float64'][seed % 2]
    factor, scales = int(rng.integers(2, 4)), int(rng.integers(1, 4))
    images = rng.random((3, int(rng.integers(1, 4)), int(rng.integers(5, 30)),
                         int(rng.integers(5, 30)))).astype(dtype)
    size = int(rng.integers(1, 7))
    locations = rng.uniform(-1.5, 1.5, (3, 2)).astype(dtype)
    if seed < 4:  # on the borders of pixels
        locations = (rng.integers(-9, 10, (3, 2)) / 8).astype(dtype)
    if seed == 9:
        locations[0], locations[1] = numpy.nan, 1e30
    want = glimpse(images, locations, size, scales, factor)
    got = numpy.full_like(want, 7)
    # On a GPU the table lies as it is indexed.
    table = (numpy.ascontiguousarray(summed_area_table(images))
             if scales > 1 else None)
    kernels.glimpse(images, locations, factor, table, got)
    numpy.testing.assert_array_equal(got, want)


@needs_compiler
@pytest.mark.parametrize('seed', range(8))
def test_a_rollout_run_by_them(threads_in_turn, monkeypatch, seed):
    rng = numpy.random.default_rng(seed)
    model, channels = make_model(rng, core=['lstm', 'rnn'][seed % 2],
                                 policy='learned', glimpses=1 + seed % 4)
    arrays = inputs(model, channels, rng, batch=3)
    results = []
    for module in (elementwise, kernels):
        monkeypatch.setattr(rollout, '_operations', lambda xp: module)
        got = model(*arrays)
        model.cleargrads()
        (F.sum(got.states ** 2) + F.sum(got.means * 3)).backward()
        results.append(
            [chainer.as_array(a) for a in got]
            + [p.grad for p in model.params() if p.grad is not None])
    assert len(results[0]) == len(results[1]) > 4
    for a, b in zip(*results):
        numpy.testing.assert_allclose(a, b, rtol=0, atol=1e-11)
