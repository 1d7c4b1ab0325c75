"""CPU against GPU: run where CuPy and a GPU are, by `pytest -m gpu`."""

import io
from types import SimpleNamespace

import chainer
import numpy
import pytest
from philox import PUBLISHED, upper_bits
from random_models import make_model
from training_runs import assert_same_run, begin

from ram.config import config_from_dict
from ram.data import canvas
from ram.data.splits import load_splits
from ram.devices import get_device
from ram.evaluation.evaluate import predict
from ram.fast import batch_kernels
from ram.fast.device import DeviceUpdater
from ram.fast.device_evaluation import DevicePrediction
from ram.fast.fused import fused_loss
from ram.fast.products import dot, has_tf32, sum_rows
from ram.functions.glimpse import glimpse, summed_area_table
from ram.losses import Objective, loss_by_links
from ram.models.build import build_network
from ram.random_streams import make_streams
from ram.training import build, run
from ram.training.signals import StopTrigger
from ram.training.train_chain import TrainChain


def has_gpu():
    if not chainer.backends.cuda.available:
        return False
    return chainer.backends.cuda.cupy.cuda.runtime.getDeviceCount() > 0


pytestmark = [pytest.mark.gpu,
              pytest.mark.skipif(not has_gpu(), reason='no CuPy or no GPU')]


@pytest.fixture
def gpu():
    return get_device('@cupy:0')


def to_cpu(array):
    return chainer.get_device('@numpy').send(chainer.as_array(array))


@pytest.mark.parametrize('seed', range(6))
def test_glimpse_equals_the_cpus(gpu, seed):
    rng = numpy.random.default_rng(seed)
    images = rng.random((5, 2, 31, 22), 'float32')
    locations = rng.uniform(-1.5, 1.5, (5, 2)).astype('float32')
    want = glimpse(images, locations, 5, 1 + seed % 4)
    got = glimpse(gpu.send(images), gpu.send(locations), 5, 1 + seed % 4)
    numpy.testing.assert_allclose(to_cpu(got), want, atol=1e-6)


def test_summed_area_table_equals_the_cpus(gpu):
    images = numpy.random.default_rng(0).random((5, 2, 31, 22), 'float32')
    numpy.testing.assert_array_equal(
        to_cpu(summed_area_table(gpu.send(images))),
        summed_area_table(images))


def test_canvases_equal_the_cpus(gpu):
    rng = numpy.random.default_rng(0)
    images = rng.random((6, 1, 8, 8), 'float32')
    source = rng.integers(256, size=(9, 1, 8, 8)).astype('uint8')
    want, got = (canvas.clutter(
        device.send(images), (20, 17), device.send(source), 3, 4,
        numpy.random.default_rng(1))
        for device in (chainer.get_device('@numpy'), gpu))
    numpy.testing.assert_allclose(to_cpu(got.images), want.images, atol=1e-6)
    numpy.testing.assert_array_equal(got.places, want.places)


@pytest.mark.parametrize('core', ['lstm', 'rnn'])
@pytest.mark.parametrize('reaches_core', [False, True])
@pytest.mark.parametrize('loss', [loss_by_links, fused_loss])
def test_loss_and_all_gradients_equal_the_cpus(gpu, core, reaches_core, loss):
    config = config_from_dict(
        {'model': {'core': core, 'scales': 2},
         'training': {'reinforce_reaches_core': reaches_core}}, 'test')
    rng = numpy.random.default_rng(0)
    images = rng.random((7, 1, 28, 28), 'float32')
    labels = rng.integers(10, size=7).astype('int32')
    results = []
    for device in (chainer.get_device('@numpy'), gpu):
        streams = make_streams(0)
        model = build_network(config, streams['weights'])
        model.to_device(device)
        device.use()
        result = loss(model, device.send(images), device.send(labels),
                      *model.sample_noise(streams, 7), Objective())
        model.cleargrads()
        result.loss.total.backward()
        results.append([to_cpu(result.logits), to_cpu(result.sampled)] + [
            to_cpu(p.grad) for p in model.params() if p.grad is not None])
    assert len(results[0]) == len(results[1]) > 10
    for a, b in zip(*results):
        numpy.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_philox_equals_the_published_answers(gpu):
    for counter, key, words in PUBLISHED:
        assert upper_bits(counter, key, gpu) == [w >> 8 for w in words]


@pytest.mark.parametrize('normal', [False, True])
def test_sample_is_uniform_or_normal(gpu, normal):
    out = gpu.xp.zeros(10 ** 6, 'float32')
    batch_kernels.sample(
        gpu.xp.zeros(2, 'int64'), gpu.xp.zeros(3, 'uint32'),
        gpu.xp.ones(1, 'float32'), [batch_kernels.Draw(1, 0, normal, out)])
    values = to_cpu(out).astype('float64')
    variance = 1 if normal else 1 / 3
    assert abs(values.mean()) < 5e-3 * variance ** 0.5
    assert values.var() == pytest.approx(variance, rel=0.01)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_products_equal_numpy(gpu, dtype):
    rng = numpy.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype(dtype)
            for shape in ((70, 50), (70, 61)))
    out = gpu.send(numpy.zeros((50, 80), dtype))
    dot(gpu.send(a).T, gpu.send(b)[:, 1:], out[:, 7:67])
    numpy.testing.assert_allclose(
        to_cpu(out)[:, 7:67], a.T @ b[:, 1:], rtol=0,
        atol=1e-4 if dtype == 'float32' else 1e-12)
    sums = sum_rows(gpu.send(b), gpu.send(numpy.zeros(61, dtype)))
    numpy.testing.assert_allclose(to_cpu(sums), b.sum(axis=0), rtol=0,
                                  atol=1e-4 if dtype == 'float32' else 1e-12)


def test_tf32_rounds_to_ten_bits_only_where_it_is_asked_for(gpu):
    if not has_tf32(gpu.device.id):
        pytest.skip('no TF32')
    rng = numpy.random.default_rng(0)
    a, b = (rng.standard_normal((256, 256)).astype('float32')
            for _ in range(2))
    errors = []
    for tf32 in (True, False):
        with chainer.using_config('tf32', tf32):
            out = gpu.send(numpy.zeros((256, 256), 'float32'))
            got = to_cpu(dot(gpu.send(a), gpu.send(b), out))
        errors.append(abs(got - a.astype('float64') @ b).max())
    assert 1e-3 < errors[0] < 0.2 and errors[1] < 1e-4


CASES = [{'core': 'lstm', 'variant': 'cluttered', 'reaches': True},
         {'core': 'rnn', 'variant': 'translated', 'reaches': False},
         {'core': 'rnn', 'variant': 'original', 'shift': 2, 'warp': 0.2,
          'reaches': True},
         {'core': 'lstm', 'variant': 'original', 'reaches': False}]


def make_config(case, **training):
    data = {'name': 'synthetic', 'train_images': 300, 'validation': 100,
            'test_images': 50, 'variant': case['variant'],
            'shift': case.get('shift', 0), 'warp': case.get('warp', 0.0)}
    if case['variant'] != 'original':
        data['canvas'] = 40
    return config_from_dict(
        {'data': data,
         'model': {'glimpses': 4, 'core_units': 32, 'core': case['core'],
                   'scales': 2, 'glimpse_size': 6},
         'training': {'epochs': 2, 'batch_size': 32, 'average': 0.9,
                      'first_std': 0.3, 'reinforce_weight': 0.1,
                      'reinforce_reaches_core': case['reaches'],
                      'tf32': False, **training}}, 'test')


def build_model(config, device, out):
    """A trainer's updater, chain and what it runs."""
    updater = begin(config, out, device)[0].updater
    assert isinstance(updater, DeviceUpdater)
    return (updater, updater.get_optimizer('main').target.chain,
            load_splits(config.data))


@pytest.mark.parametrize('case', CASES, ids=str)
@pytest.mark.parametrize('updates', [1, 4])  # launched, and replayed
def test_device_iteration_equals_links(gpu, tmp_path, case, updates):
    config = make_config(case)
    updater, chain, splits = build_model(config, gpu, tmp_path / 'run')
    for _ in range(updates - 1):
        updater.update()
    own = TrainChain(build_network(config, make_streams(1)['weights']),
                     config.training, make_streams(1))
    for name, param in own.namedparams():
        param.array[...] = to_cpu(dict(chain.namedparams())[name].array)
    std = updater.std(updater.epoch_detail)
    updater.update()
    done = updater.device_iteration

    # The canvases are those of the windows and the maps of the warp.
    windows, images = to_cpu(done.windows), to_cpu(done.canvases)
    pixels = splits.train.images.astype('float32') / 255
    maps = to_cpu(done.maps)
    warped = canvas.warp(
        splits.train.images[windows[:, -1, 0]], config.data.warp,
        SimpleNamespace(uniform=lambda low, high, shape: high * maps.reshape(
            shape))) / 255
    rows, columns = config.data.canvas_size
    for b in range(32):
        want = numpy.zeros((1, rows + 60, columns + 60), 'float32')
        for j, (index, top, left, row, column) in enumerate(windows[b]):
            side = 28 if j + 1 == len(windows[b]) else config.data.clutter_size
            want[:, 30 + row:30 + row + side,
                 30 + column:30 + column + side] += (
                     warped[b] if j + 1 == len(windows[b]) else
                     pixels[index, :, top:top + side, left:left + side])
        want = numpy.minimum(want[:, 30:30 + rows, 30:30 + columns], 1)
        numpy.testing.assert_allclose(
            images[b], want, rtol=0, atol=1e-5 if config.data.warp else 0)
    labels = splits.train.labels[windows[:, -1, 0]]
    assert to_cpu(done.labels).tolist() == labels.tolist()

    own.model.std = std
    own.model.sample_noise = lambda streams, batch: (
        to_cpu(done.sampled[0]), to_cpu(done.noise) / numpy.float32(std))
    own.cleargrads()
    own(images, labels).backward()
    gradients = dict(chain.namedparams())
    for name, param in own.namedparams():
        want = (numpy.zeros_like(param.array) if param.grad is None
                else param.grad)
        scale = abs(want).max() + 1e-6
        assert abs(to_cpu(gradients[name].grad) - want).max() < 1e-3 * scale, (
            name)


@pytest.mark.parametrize('core, scales', [('lstm', 1), ('rnn', 2)])
def test_predictions_equal_the_cpus(gpu, core, scales):
    from ram.fast.cuda_graph import CudaGraphRunner

    rng = numpy.random.default_rng(0)
    model, channels = make_model(rng, 'float32', core=core, scales=scales,
                                 policy='learned', glimpses=4)
    images = rng.random((70, channels, 17, 23)).astype('float32')
    on_gpu = model.copy('copy')
    on_gpu.to_device(gpu)
    replayed = DevicePrediction(
        on_gpu, images, *on_gpu.sample_noise(make_streams(5), 70, mean=True),
        30)
    replayed.run = CudaGraphRunner(replayed.launch, True)
    for _ in range(4):
        want, got = (predict(m, images, make_streams(5), batch_size=30
                             ).probabilities for m in (model, on_gpu))
        for probabilities in (got, replayed()):
            # Rounding may move a crop by a pixel.
            worst = abs(probabilities - want).max(axis=(0, 2))
            assert (worst < 1e-4).mean() > 0.9
        for m in (model, on_gpu):
            for param in m.params():
                param.array *= numpy.float32(0.9)


@pytest.mark.parametrize('case', CASES, ids=str)
def test_cuda_graph_changes_nothing(gpu, tmp_path, capsys, case):
    for graph in ('off', 'auto'):
        run.train(make_config(case, cuda_graph=graph),
                  str(tmp_path / graph), gpu, stream=io.StringIO())
    assert not capsys.readouterr().err  # it could be made
    assert_same_run(tmp_path / 'off', tmp_path / 'auto')


@pytest.mark.parametrize('stop', [3, 7, 9])
def test_interrupted_run_ends_as_one_that_was_not(
        gpu, tmp_path, monkeypatch, stop):
    config = make_config(CASES[0])
    run.train(config, str(tmp_path / 'whole'), gpu, stream=io.StringIO())
    call = StopTrigger.__call__

    def interrupted(self, trainer):
        if trainer.updater.iteration == stop:
            self.signal = 2
        return call(self, trainer)

    monkeypatch.setattr(StopTrigger, '__call__', interrupted)
    run.train(config, str(tmp_path / 'parts'), gpu, stream=io.StringIO())
    monkeypatch.setattr(StopTrigger, '__call__', call)
    run.train(config, str(tmp_path / 'parts'), gpu, stream=io.StringIO(),
              resume=True)
    assert_same_run(tmp_path / 'whole', tmp_path / 'parts')


@pytest.mark.parametrize('optimizer', list(build.OPTIMIZERS))
def test_every_optimizer_trains_and_resumes(gpu, tmp_path, optimizer):
    values = {'data': {'name': 'synthetic', 'train_images': 300,
                       'validation': 100, 'test_images': 50},
              'model': {'glimpses': 3, 'core_units': 32},
              'training': {'epochs': 2, 'batch_size': 32, 'average': 0.9,
                           'optimizer': optimizer}}
    config = config_from_dict(values, 'test')
    out = str(tmp_path / 'run')
    outcome = run.train(config, out, gpu, stream=io.StringIO())
    assert outcome.best
    again = run.train(config, out, gpu, stream=io.StringIO(), resume=True)
    assert again.error == outcome.error
