"""CPU against GPU: run where CuPy and a GPU are, by `pytest -m gpu`."""

import io

import chainer
import chainer.functions as F
import numpy
import pytest

from ram.config import config_from_dict
from ram.data import canvas
from ram.functions.glimpse import glimpse
from ram.ram import build_ram
from ram.streams import make_streams
from ram.training import run


def has_gpu():
    if not chainer.backends.cuda.available:
        return False
    return chainer.backends.cuda.cupy.cuda.runtime.getDeviceCount() > 0


pytestmark = [pytest.mark.gpu,
              pytest.mark.skipif(not has_gpu(), reason='no CuPy or no GPU')]


@pytest.fixture
def gpu():
    return run.get_device('@cupy:0')


def to_cpu(array):
    return chainer.get_device('@numpy').send(chainer.as_array(array))


@pytest.mark.parametrize('seed', range(6))
def test_the_crop(gpu, seed):
    rng = numpy.random.default_rng(seed)
    images = rng.random((5, 2, 31, 22), 'float32')
    locations = rng.uniform(-1.5, 1.5, (5, 2)).astype('float32')
    want = glimpse(images, locations, 5, 1 + seed % 4)
    got = glimpse(gpu.send(images), gpu.send(locations), 5, 1 + seed % 4)
    numpy.testing.assert_allclose(to_cpu(got), want, atol=1e-6)


def test_canvases(gpu):
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
@pytest.mark.parametrize('by_steps', [False, True])
def test_rollout_and_all_gradients(gpu, core, reaches_core, by_steps):
    config = config_from_dict(
        {'model': {'core': core, 'scales': 2},
         'training': {'reinforce_reaches_core': reaches_core}}, 'test')
    rng = numpy.random.default_rng(0)
    images = rng.random((7, 1, 28, 28), 'float32')
    results = []
    for device in (chainer.get_device('@numpy'), gpu):
        streams = make_streams(0)
        model = build_ram(config, streams['weights'])
        model.to_device(device)
        device.use()
        forward = model.forward_by_steps if by_steps else model
        rollout = forward(device.send(images), *model.draw(streams, 7))
        model.cleargrads()
        (F.sum(rollout.states ** 2) + F.sum(rollout.means * 3)).backward()
        results.append([to_cpu(a) for a in rollout] + [
            to_cpu(p.grad) for p in model.params() if p.grad is not None])
    assert len(results[0]) == len(results[1]) > 10
    for a, b in zip(*results):
        numpy.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('optimizer', list(run.OPTIMIZERS))
def test_training_and_resuming(gpu, tmp_path, optimizer):
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
