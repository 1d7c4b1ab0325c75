"""Products by cuBLAS, on the stand-in of cublas_stand_in.py."""

import contextlib
import ctypes
import sys
from types import SimpleNamespace

import chainer
import cublas_stand_in
import numpy
import pytest
from training_runs import make_config

from ram.data.splits import Split
from ram.errors import RamError
from ram.fast import kernels, products, workspace
from ram.fast.device_iteration import DeviceIteration
from ram.fast.flat import Adam, FlatChain
from ram.fast.products import CublasError, dot, sum_rows
from ram.models.build import build_network
from ram.random_streams import make_streams
from ram.training.distributed import SingleProcess
from ram.training.train_chain import TrainChain


@pytest.fixture
def cublas(blas, monkeypatch):
    """NumPy's arrays are multiplied by the C library."""
    own = cublas_stand_in.products(blas)
    monkeypatch.setattr(products, 'products_of', lambda array: own)
    return own


def layouts(rng, m, n, dtype):
    """The same shape as whole array, part of rows, and transposes of both."""
    def normal(*shape):
        return rng.standard_normal(shape).astype(dtype)

    return [normal(m, n), normal(m, n + 5)[:, 3:3 + n], normal(n, m).T,
            normal(n, m + 4)[:, 1:1 + m].T]


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('shape', [
    (3, 4, 5), (1, 4, 5), (3, 1, 5), (3, 4, 1), (1, 1, 5), (3, 1, 1),
    (1, 4, 1), (1, 1, 1), (7, 2, 9), (3, 0, 5), (0, 4, 5)], ids=str)
def test_dot_equals_numpy_in_every_layout(cublas, dtype, shape):
    rng = numpy.random.default_rng(0)
    m, k, n = shape
    for a in layouts(rng, m, k, dtype):
        for b in layouts(rng, k, n, dtype):
            for beta in (0, 1):
                wide = rng.standard_normal((m, n + 4)).astype(dtype)
                want = wide.copy()
                want[:, 2:2 + n] = a @ b + (
                    beta * wide[:, 2:2 + n] if beta else 0)
                if not beta:
                    wide[:, 2:2 + n] = numpy.nan  # must not be read
                for by in (cublas, products.NumpyProducts):
                    got = wide.copy()
                    assert by.dot(a, b, got[:, 2:2 + n], beta).base is got
                    numpy.testing.assert_allclose(got, want, rtol=0,
                                                  atol=2e-6)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_sum_rows_equals_numpy(cublas, dtype):
    rng = numpy.random.default_rng(0)
    for m, n in ((6, 5), (1, 5), (6, 1), (2, 3)):
        for a in layouts(rng, m, n, dtype):
            out = numpy.full(n, numpy.nan, dtype)
            assert sum_rows(a, out) is out
            numpy.testing.assert_allclose(out, a.sum(axis=0), rtol=0,
                                          atol=2e-6)


def test_dot_refuses_what_cublas_cannot_read(cublas):
    a = numpy.ones((4, 4), 'f')
    for b, out, problem in (
            (a[:, ::2], numpy.ones((4, 2), 'f'), 'strides'),
            (numpy.broadcast_to(a[0], (4, 4)), a.copy(), 'strides'),
            (a, a.copy().T, 'rows of a product'),
            (a, a[:3].copy(), 'into'), (a[:3], a.copy(), 'times'),
            (a.astype('d'), a.copy(), 'float64')):
        with pytest.raises(ValueError, match=problem):
            dot(a, b, out)


@pytest.mark.parametrize('status, name', [
    (7, 'CUBLAS_STATUS_INVALID_VALUE'), (13, 'CUBLAS_STATUS_EXECUTION_FAILED'),
    (99, 'CUBLAS_STATUS_99')])
def test_an_error_of_cublas_has_its_name(blas, cublas, status, name):
    a = numpy.ones((2, 2))
    ctypes.c_int.in_dll(blas, 'fault').value = status
    with pytest.raises(CublasError, match=f'cublasDgemm_v2: {name}$'):
        dot(a, a, a.copy())
    assert dot(a, a, a.copy())[0, 0] == 2


class Recorder:
    """Passes the functions of a library on and lists the calls."""

    def __init__(self, library):
        self._library = library
        self.calls = []

    def __getattr__(self, name):
        function = getattr(self._library, name)

        def call(*args):
            self.calls.append((name, *args[1:3]))
            return function(*args)

        return call


def test_a_new_stream_is_set_before_its_own_workspace(blas):
    recorder, current = Recorder(blas), [0]
    own = cublas_stand_in.products(recorder, lambda: current[0])
    a = numpy.ones((2, 2), 'f')
    used = {}
    for stream in (0, 5, 5, 7, 5, 0):
        del recorder.calls[:]
        changed, current[0] = stream != current[0] or not used, stream
        own.dot(a, a, a.copy())
        names = [call[0] for call in recorder.calls]
        assert names == (['cublasSetStream_v2', 'cublasSetWorkspace_v2']
                         if changed else []) + ['cublasSgemm_v2']
        if changed:
            assert recorder.calls[0][1] == stream
            address, size = recorder.calls[1][1:]
            assert size == 32 * 2 ** 20
            # One for each stream: work of two streams may overlap.
            assert used.setdefault(stream, address) == address
    assert len(set(used.values())) == 3


@pytest.mark.parametrize('tf32', [True, False])
def test_tf32_is_the_math_mode_of_the_handle(blas, tf32):
    recorder = Recorder(blas)
    cublas_stand_in.products(recorder, tf32=tf32)
    modes = [call[1] for call in recorder.calls
             if call[0] == 'cublasSetMathMode']
    assert modes == ([3] if tf32 else [])


@pytest.mark.parametrize('device, version, library', [
    (101, 12090, 'libcublas.so.12'), (102, 13020, 'libcublas.so.13')])
@pytest.mark.parametrize('capability, modes', [('75', []), ('80', [3]),
                                               ('120', [3])])
def test_products_of_a_gpu_use_the_library_of_its_cuda(
        blas, monkeypatch, device, version, library, capability, modes):
    class Device(contextlib.nullcontext):
        compute_capability = capability

    recorder, names = Recorder(blas), []
    monkeypatch.setitem(sys.modules, 'cupy', SimpleNamespace(
        cuda=SimpleNamespace(Device=Device, runtime=SimpleNamespace(
            runtimeGetVersion=lambda: version))))
    monkeypatch.setattr(ctypes, 'CDLL',
                        lambda name: names.append(name) or recorder)
    # A device of its own: its products are kept.
    array = SimpleNamespace(device=SimpleNamespace(
        id=1000 * int(capability) + device))
    with chainer.using_config('tf32', True):
        own = products.products_of(array)
        assert products.products_of(array) is own
    assert names == [library]
    assert [call[1] for call in recorder.calls
            if call[0] == 'cublasSetMathMode'] == modes
    assert products.products_of(array) is not own


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cupy', SimpleNamespace(
        cuda=SimpleNamespace(runtime=SimpleNamespace(
            runtimeGetVersion=lambda: 99000))))
    array = SimpleNamespace(device=SimpleNamespace(id=0))
    with pytest.raises(RamError, match='libcublas.so.99: not found'):
        products.products_of(array)


def one_iteration(core, scales, dtype, model_options=()):
    """Gradients and weights of an iteration of the engine ``device``."""
    config = make_config(
        {'reinforce_reaches_core': True, 'average': 0.9, 'batch_size': 5},
        {'core': core, 'scales': scales, 'glimpses': 3, 'glimpse_size': 4,
         'what_units': 7, 'where_units': 5, 'glimpse_units': 8,
         'core_units': 6, 'location_units': 9, **dict(model_options)},
        train_images=40, validation=8)
    rng = numpy.random.default_rng(0)
    split = Split(rng.integers(256, size=(40, 1, 28, 28), dtype='uint8'),
                  rng.integers(10, size=40).astype('int32'))
    model = build_network(config, make_streams(1)['weights'])
    for param in model.params():
        param.array = (0.3 * rng.standard_normal(param.shape)).astype(dtype)
    chain = TrainChain(model, config.training, make_streams(0))
    optimizer = Adam(0.01)
    optimizer.setup(FlatChain(chain))
    iteration = DeviceIteration(chain, optimizer, split, config, 5, 8,
                                SingleProcess(), None)
    iteration.schedule(rng.integers(40, size=(2, 5)), [0.01] * 2, [0.3] * 2,
                       0)
    vector = optimizer.target.vector
    iteration()
    return {'states': iteration.sampled, 'weights': vector.array,
            **{name: p.grad for name, p in chain.namedparams()},
            **iteration.fetch_metrics()}


@pytest.mark.parametrize('hidden', [9, 0])
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('scales', [1, 3])
@pytest.mark.parametrize('core', ['lstm', 'rnn'])
def test_all_products_of_an_iteration_go_through_cublas(
        kernels_as_cpp, blas, monkeypatch, core, scales, dtype, hidden):
    monkeypatch.setattr(workspace, 'operations', lambda xp: kernels)
    options = {'location_units': hidden}
    want = one_iteration(core, scales, dtype, options)
    own = cublas_stand_in.products(blas)
    monkeypatch.setattr(products, 'products_of', lambda array: own)
    for name in ('dot', 'matmul'):
        def refuse(*args, name=name, **kwargs):
            raise AssertionError(f'numpy.{name}')

        monkeypatch.setattr(numpy, name, refuse)
    before = cublas_stand_in.count(blas)
    got = one_iteration(core, scales, dtype, options)
    assert cublas_stand_in.count(blas) - before > 20
    for name, value in want.items():
        numpy.testing.assert_allclose(
            chainer.as_array(got[name]), value,
            **({'rtol': 1e-4, 'atol': 2e-5} if dtype == 'float32'
               else {'rtol': 1e-9, 'atol': 1e-12}), err_msg=name)
