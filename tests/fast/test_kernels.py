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
    device_evaluation,
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
    update_kernels.SOURCE, device_evaluation.SOURCE],
    ids=['rollout', 'glimpse', 'batch', 'update', 'evaluation'])
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
    assert names
    for name in names:
        assert f'.entry {name}(' in ptx


def run_both(name, arguments, dtype):
    """Runs both forms on copies; gives all arguments after each.

    An argument may be (array, slice): a part of the rows of a wider one.
    """
    results = []
    for module in (elementwise, kernels):
        def copied(a, parts=module.MEAN_PARTS):
            if isinstance(a, tuple) and isinstance(a[-1], slice):
                return a[0].copy()[:, a[1]]
            if isinstance(a, tuple):
                return type(a)(*map(copied, a))
            return a.copy('K') if isinstance(a, numpy.ndarray) else a

        copies = [copied(a) for a in arguments]
        getattr(module, name)(*copies)
        results.append(copies)
    return results


def assert_same(name, arguments, written, dtype):
    """Compares what both forms wrote into some of their arguments."""
    one, two = run_both(name, arguments, dtype)
    for i in written:
        numpy.testing.assert_allclose(
            one[i], two[i], rtol=0, atol=2e-6 if dtype == 'float32' else 1e-13)


@pytest.fixture(params=['float32', 'float64'])
def dtype(request):
    return request.param


@pytest.fixture(params=range(4))
def rng(request):
    return numpy.random.default_rng(request.param)


def sizes(rng):
    return (int(n) for n in rng.integers(1, 40, size=2))


def normal(rng, dtype):
    return lambda *shape: rng.standard_normal(shape).astype(dtype)


def part(rng, dtype):
    """(B, width) arrays that are parts of rows."""
    return lambda batch, width: (
        rng.standard_normal((batch, width + 5)).astype(dtype),
        slice(3, 3 + width))


def test_rectifier_kernels_equal_numpy(kernels_as_cpp, rng, dtype):
    batch, units = sizes(rng)
    array, rows = normal(rng, dtype), part(rng, dtype)
    z, b = array(batch, units), array(units)
    assert_same('rectify', [z, b, rows(batch, units)], [2], dtype)
    assert_same('rectify', [z, b, array(batch, units), rows(batch, units)],
                [2, 3], dtype)
    for terms in (1, 2):
        assert_same('rectify_backward', [
            rows(batch, units), array(batch, units),
            *(rows(batch, units) for _ in range(terms))], [1], dtype)
    assert_same('join', [array(units, batch), array(units, 3), array(units),
                         array(units), array(units, batch + 3),
                         array(units)], [4, 5], dtype)


def interleaved_gates(z, units):
    """Gate-major sums (f, i, o, a) in the order of the kernels: a, i, f, o."""
    if len(z) == 3:
        z = numpy.concatenate([numpy.full_like(z[:1], 0.5), z])
    return numpy.ascontiguousarray(
        z[[3, 1, 0, 2]].transpose(1, 2, 0)).reshape(-1, 4 * units)


@pytest.mark.parametrize('gates', [3, 4])
@pytest.mark.parametrize('terms', [1, 2])
@pytest.mark.parametrize('is_last', [True, False])
def test_lstm_kernels_equal_numpy(kernels_as_cpp, rng, dtype, gates, terms,
                                  is_last):
    batch, units = sizes(rng)
    array = normal(rng, dtype)
    z, b = array(gates, batch, units), array(gates, 1, units)
    c = array(batch, units) if gates == 4 else None
    done = []
    for module, sums, bias in (
            (elementwise, z.copy(), b.ravel()),
            (kernels, interleaved_gates(z, units),
             interleaved_gates(b, units)[0])):
        next_c, tanh_c, h, copy = (numpy.empty((batch, units), dtype)
                                   for _ in range(4))
        wide = numpy.empty((batch, units + 3), dtype)
        module.lstm(sums, bias, c, next_c, tanh_c, copy, h, wide[:, 2:-1])
        by_kernel = module is kernels
        done.append([next_c, tanh_c, h, wide[:, 2:-1],
                     sums if by_kernel else interleaved_gates(sums, units)])
    if gates == 3:  # the forget gate is not used
        for arrays in done:
            arrays[-1] = arrays[-1].reshape(batch, units, 4)[..., [0, 1, 3]]
    tolerance = 2e-6 if dtype == 'float32' else 1e-13
    for one, two in zip(*done):
        numpy.testing.assert_allclose(one, two, rtol=0, atol=tolerance)

    z = abs(numpy.tanh(z))
    tanh_c, dc = numpy.tanh(array(batch, units)), array(batch, units)
    dh = [array(batch, units + 2)[:, 1:-1] for _ in range(terms)]
    done = []
    for module in (elementwise, kernels):
        by_kernel = module is kernels
        dz = numpy.empty((batch, (4 if by_kernel else gates) * units), dtype)
        d_before = numpy.full_like(dc, numpy.nan) if is_last else dc.copy()
        module.lstm_backward(
            interleaved_gates(z, units) if by_kernel else z.copy(), c, tanh_c,
            dh, is_last, d_before, dz, (
                numpy.empty((batch, units), dtype),
                numpy.empty((batch, units), dtype),
                numpy.empty((3, batch, units), dtype)))
        if not by_kernel:
            dz = dz.reshape(batch, gates, units).swapaxes(0, 1)
            if gates == 3:
                dz = numpy.concatenate([numpy.zeros_like(dz[:1]), dz])
            dz = interleaved_gates(dz, units)
        # Nothing reads the gradient of c before the first step.
        done.append([dz] + ([d_before] if gates == 4 else []))
    for one, two in zip(*done):
        numpy.testing.assert_allclose(one, two, rtol=0, atol=tolerance)


@pytest.mark.parametrize('is_given', [True, False])
@pytest.mark.parametrize('scales', [1, 2])
@pytest.mark.parametrize('has_hidden', [True, False])
def test_look_and_mean_kernels_equal_numpy(kernels_as_cpp, rng, dtype,
                                           is_given, scales, has_hidden):
    batch, units = sizes(rng)
    array, rows = normal(rng, dtype), part(rng, dtype)
    inputs, W = array(batch, units), array(2, units)
    bias = array(units) if has_hidden else None
    sums = []
    hidden = []
    for module in (elementwise, kernels):
        sums.append(numpy.full((batch, module.MEAN_PARTS, 2), 7, dtype))
        hidden.append(numpy.zeros((batch, units), dtype))
        module.mean_sums(inputs.copy(), bias, hidden[-1], W, sums[-1])
    tolerance = 2e-5 if dtype == 'float32' else 1e-12
    numpy.testing.assert_allclose(*hidden, rtol=0, atol=tolerance)
    numpy.testing.assert_allclose(*(s.sum(axis=1) for s in sums), rtol=0,
                                  atol=tolerance)

    images = rng.random((batch, 2, 9, 11)).astype(dtype)
    table = summed_area_table(images) if scales > 1 else None
    if table is not None:
        table = numpy.ascontiguousarray(table)
    b, noise, W = array(2), array(batch, 2), array(units, 2)
    wide, columns = rows(batch, units)
    done = []
    for module, own in zip((elementwise, kernels), sums):
        # The same sums: rounding may not move a patch by a pixel.
        own[...] = 0
        own[:, 0] = sums[0][:, 0]
        mean, clipped, locations = (numpy.full((batch, 2), 7, dtype)
                                    for _ in range(3))
        sampled = noise.copy() if is_given else numpy.full_like(noise, 7)
        code = wide.copy()[:, columns]
        retina = numpy.full((batch, scales, 2, 4, 4), 7, dtype)
        policy = None if is_given else elementwise.Policy(
            own.copy(), b, noise, 0.3, scales == 1, mean)
        module.look(images, table, 2, policy, sampled, W, array(units) * 0,
                    clipped, locations, numpy.empty((batch, units), dtype),
                    code, retina)
        done.append([mean, sampled, clipped, locations, code, retina])
    assert (done[0][0] == 7).all() == is_given
    for one, two in zip(*done):
        numpy.testing.assert_allclose(one, two, rtol=0, atol=tolerance)


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
