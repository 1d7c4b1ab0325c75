"""The CUDA kernels, without a GPU.

nvcc compiles them where it is installed. They run as plain C++ (see
conftest.py): each against its NumPy counterpart, and in a whole loss.
"""

import re
import shutil
import subprocess

import numpy
import pytest
from random_models import (
    assert_same_loss,
    inputs,
    loss_and_gradients,
    make_model,
)

from ram.fast import (
    batch_kernels,
    elementwise,
    kernels,
    update_kernels,
    workspace,
)
from ram.fast.fused import fused_loss
from ram.functions import glimpse_kernels
from ram.functions.glimpse import glimpse, summed_area_table
from ram.losses import Objective


@pytest.mark.skipif(not shutil.which('nvcc'), reason='no CUDA compiler')
@pytest.mark.parametrize('source', [
    kernels.SOURCE, glimpse_kernels.SOURCE, batch_kernels.SOURCE,
    update_kernels.SOURCE], ids=['rollout', 'glimpse', 'batch', 'update'])
@pytest.mark.parametrize('real', ['float', 'double'])
def test_kernels_compile_as_cuda(tmp_path, source, real):
    (tmp_path / 'k.cu').write_text(source)
    done = subprocess.run(
        ['nvcc', '-ptx', f'-DREAL={real}', '--fmad=false', '-Werror',
         'all-warnings', '-o', str(tmp_path / 'k.ptx'),
         str(tmp_path / 'k.cu')], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ptx = (tmp_path / 'k.ptx').read_text()
    names = re.findall(r'__global__ void (\w+)', source)
    assert len(names) >= 3
    for name in names:
        assert f'.entry {name}(' in ptx


def assert_same(name, arrays, written, dtype):
    """Runs both forms on copies and compares what they wrote.

    An argument may be (array, slice): a part of the rows of a wider one.
    """
    results = []
    for module in (elementwise, kernels):
        copies = [a[0].copy()[:, a[1]] if isinstance(a, tuple)
                  else a.copy('K') if isinstance(a, numpy.ndarray) else a
                  for a in arrays]
        getattr(module, name)(*copies)
        results.append([copies[i] for i in written])
    for a, b in zip(*results):
        numpy.testing.assert_allclose(
            a, b, rtol=0, atol=2e-6 if dtype == 'float32' else 1e-13)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('seed', range(4))
def test_kernels_equal_numpy(kernels_as_cpp, dtype, seed):
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
    # Gate-major, as on a CPU, and row by row, as on a GPU.
    for z in (normal(4, batch, units), normal(batch, 4, units).swapaxes(0, 1),
              normal(3, batch, units), normal(batch, 3, units).swapaxes(0, 1)):
        assert_same('lstm', [
            z, normal(len(z) * units), normal(batch, units),
            normal(batch, units), normal(batch, units), normal(batch, units),
            normal(batch, units), part(units)], [0, 3, 4, 6, 7], dtype)
        assert_same('lstm_backward', [
            abs(numpy.tanh(z)), normal(batch, units),
            numpy.tanh(normal(batch, units)), part(units),
            normal(batch, units), part(len(z) * units), normal(batch, units),
            normal(3, batch, units)], [4, 5][4 - len(z):], dtype)
    assert_same('sample_location', [
        normal(batch, 2), normal(2), normal(batch, 2), 0.3, batch % 2 == 0,
        normal(batch, 2), normal(batch, 2)], [5, 6], dtype)
    assert_same('encode_location', [
        2 * normal(batch, 2), normal(units, 2), normal(units),
        normal(batch, 2), normal(batch, 2), normal(batch, units),
        part(units)], [3, 4, 6], dtype)


@pytest.mark.parametrize('seed', range(10))
def test_glimpse_kernels_equal_numpy(kernels_as_cpp, seed):
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
    table = None
    if scales > 1:
        table = numpy.full_like(summed_area_table(images), 7, order='C')
        glimpse_kernels.sum_up(images, table)
        numpy.testing.assert_array_equal(table, summed_area_table(images))
    glimpse_kernels.glimpse(images, locations, factor, table, got)
    numpy.testing.assert_array_equal(got, want)


@pytest.mark.parametrize('seed', range(8))
def test_fused_loss_by_kernels_equals_numpy(kernels_as_cpp, monkeypatch,
                                            seed):
    rng = numpy.random.default_rng(seed)
    model, channels = make_model(rng, core=['lstm', 'rnn'][seed % 2],
                                 policy='learned', glimpses=1 + seed % 4)
    arrays = inputs(model, channels, rng, batch=3)
    results = []
    for module in (elementwise, kernels):
        monkeypatch.setattr(workspace, 'operations', lambda xp: module)
        results.append(loss_and_gradients(fused_loss, model, arrays,
                                          Objective()))
    assert_same_loss(*results, 1e-10, 1e-11)
