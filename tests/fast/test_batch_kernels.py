"""The kernels that make a batch, run as C++ (see conftest.py)."""

from types import SimpleNamespace

import numpy
import pytest
from philox import PUBLISHED, upper_bits
from training_runs import CPU

from ram.config import config_from_dict
from ram.data.canvas import warp
from ram.data.splits import Split
from ram.fast import batch_kernels

pytestmark = pytest.mark.usefixtures('kernels_as_cpp')


def philox(counter, key):
    """Philox 4x32-10 of Python's integers."""
    c, k = [int(w) for w in counter], [int(w) for w in key]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b % 2 ** 32,
             (a >> 32) ^ c[3] ^ k[1], a % 2 ** 32]
        k = [(k[0] + 0x9E3779B9) % 2 ** 32, (k[1] + 0xBB67AE85) % 2 ** 32]
    return c


def test_philox_equals_the_published_answers():
    for counter, key, words in PUBLISHED:
        assert philox(counter, key) == words
        assert upper_bits(counter, key, CPU) == [w >> 8 for w in words]


COUNTER = numpy.array([2, 1000], 'int64')
KEY = numpy.array([5, 6, 1], 'uint32')
SCALES = numpy.array([9, 9, 0.5])


def samples(size, normal, dtype='float32', stream=7, first_block=3,
            counter=COUNTER, key=KEY):
    out = numpy.full(size, numpy.nan, dtype)
    batch_kernels.sample(counter, key, SCALES.astype(dtype), [
        batch_kernels.Draw(stream, first_block, normal, out)])
    return out


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('size', [1, 4, 6, 11])
def test_sample_equals_philox(dtype, size):
    words = numpy.array([philox([3 + i, 1000, 7, 1], KEY[:2])
                         for i in range(3)]).ravel()
    u = (words >> 8) / 2 ** 24
    uniform = 2 * u - 1
    radius = 0.5 * numpy.sqrt(-2 * numpy.log(1 - u[::2]))
    normal = numpy.stack([radius * numpy.cos(2 * numpy.pi * u[1::2]),
                          radius * numpy.sin(2 * numpy.pi * u[1::2])],
                         axis=1).ravel()
    close = dict(rtol=0, atol=1e-6 if dtype == 'float32' else 1e-12)
    numpy.testing.assert_allclose(samples(size, False, dtype), uniform[:size],
                                  **close)
    numpy.testing.assert_allclose(samples(size, True, dtype), normal[:size],
                                  **close)


@pytest.mark.parametrize('count', [1, 2, 3])
def test_sample_of_several_arrays_equals_each_alone(count):
    draws = [batch_kernels.Draw(stream, first, normal, numpy.zeros(size, 'f'))
             for stream, first, normal, size in (
                 (7, 0, True, 5), (8, 2, False, 8), (7, 9, True, 3))][:count]
    batch_kernels.sample(COUNTER, KEY, SCALES.astype('f'), draws)
    for stream, first, normal, out in draws:
        numpy.testing.assert_array_equal(out, samples(
            len(out), normal, stream=stream, first_block=first))


def test_sample_is_uniform_or_normal():
    n = 10 ** 6
    for values, variance, fourth in ((samples(n, False), 1 / 3, 1 / 5),
                                     (samples(n, True) / 0.5, 1, 3)):
        assert numpy.isfinite(values).all()
        assert abs(values.mean(dtype='float64')) < 5 * (variance / n) ** 0.5
        squares = values.astype('float64') ** 2
        for power, moment in ((squares, variance), (squares ** 2, fourth)):
            assert abs(power.mean() - moment) < 5 * power.std() / n ** 0.5
        # Neighbours are uncorrelated.
        for lag in (1, 2, 4):
            assert abs(numpy.mean(values[lag:] * values[:-lag])) < (
                5 * variance / n ** 0.5)


def test_sample_depends_on_counter_key_and_stream():
    base = samples(8, False)
    assert not numpy.array_equal(base[4:], base[:4])
    assert (samples(4, False, first_block=4) == base[4:]).all()
    others = [samples(8, False, stream=8),
              samples(8, False, counter=numpy.array([2, 1001], 'int64')),
              samples(8, False, key=numpy.array([5, 6, 0], 'uint32')),
              samples(8, False, key=numpy.array([5, 7, 1], 'uint32')),
              samples(8, False, key=numpy.array([4, 6, 1], 'uint32'))]
    for other in others:
        assert (other != base).all()


def make_data(variant, channels=2, **more):
    data = {'name': 'npz', 'file': 'x', 'image_size': [5, 4], 'classes': 3,
            'channels': channels, **more}
    if variant != 'original':
        data.update(variant=variant, canvas=[11, 9])
    if variant == 'cluttered':
        data.update(clutter=4, clutter_size=3)
    return config_from_dict({'data': data, 'model': {'glimpse_size': 2}},
                            'test').data


def make_batch(data, batch, dtype='float32', counter=COUNTER):
    rng = numpy.random.default_rng(0)
    split = Split(
        rng.integers(1, 255, (6, data.channels) + data.image_size, 'uint8'),
        rng.integers(3, size=6).astype('int32'))
    order = rng.integers(6, size=(3, batch)).astype('int32')
    patches = data.clutter if data.variant == 'cluttered' else 0
    windows = numpy.full((batch, patches + 1, batch_kernels.WINDOW), -99,
                         'int32')
    labels, now = numpy.full(batch, -99, 'int32'), numpy.zeros(2, 'int64')
    maps = rng.uniform(-1, 1, (batch, 4)).astype(dtype)
    canvases = numpy.full((batch, data.channels) + data.canvas_size,
                          numpy.nan, dtype)
    batch_kernels.sample_windows(counter, KEY, 7, order, split, data, windows,
                                 labels, now)
    assert now.tolist() == counter.tolist()
    batch_kernels.compose_canvases(split, data, windows, maps, canvases)
    return split, order, windows, labels, maps, canvases


VARIANTS = [('original', {}), ('original', {'shift': 2}), ('translated', {}),
            ('cluttered', {}), ('original', {'shift': 1, 'warp': 0.3}),
            ('cluttered', {'warp': 0.4})]


@pytest.mark.parametrize('variant,more', VARIANTS)
def test_compose_canvases_equals_a_loop(variant, more):
    data = make_data(variant, **more)
    split, order, windows, labels, maps, canvases = make_batch(data, 40)
    images = split.images.astype('float32') / 255
    # test_canvas.py compares warp with a loop.
    warped = warp(split.images[windows[:, -1, 0]], data.warp, SimpleNamespace(
        uniform=lambda low, high, shape: high * maps.reshape(shape))) / 255
    rows, columns = data.canvas_size
    for b in range(40):
        want = numpy.zeros((data.channels, rows + 20, columns + 20),
                           'float32')
        for j, (index, top, left, row, column) in enumerate(windows[b]):
            height, width = data.image_size
            if j + 1 < len(windows[b]):
                height = width = data.clutter_size
            else:
                assert index == order[2, b] and top == left == 0
                assert labels[b] == split.labels[index]
            patch = images[index, :, top:top + height, left:left + width]
            assert patch.shape[1:] == (height, width)
            if j + 1 == len(windows[b]):
                patch = warped[b]
            want[:, 10 + row:10 + row + height,
                 10 + column:10 + column + width] += patch
        want = numpy.clip(want[:, 10:10 + rows, 10:10 + columns], 0, 1)
        numpy.testing.assert_allclose(
            canvases[b], want, rtol=0, atol=1e-5 if data.warp else 0)
    assert (canvases == 1).any() == (variant == 'cluttered')


@pytest.mark.parametrize('variant,more', VARIANTS)
def test_sample_windows_is_uniform(variant, more):
    data = make_data(variant, **more)
    batch = 30000
    windows = make_batch(data, batch)[2]
    rows, columns = data.canvas_size
    height, width = data.image_size
    shift, side = data.shift, data.clutter_size

    def even(values, low, high):
        counts = numpy.bincount(values - low, minlength=high - low)
        assert len(counts) == high - low  # the last included, none beyond
        expected = len(values) / len(counts)
        chi2 = ((counts - expected) ** 2 / expected).sum()
        free = len(counts) - 1
        assert chi2 < free + 5 * (2 * max(free, 1)) ** 0.5

    image = windows[:, -1]
    even(image[:, 3], -shift, rows - height + shift + 1)
    even(image[:, 4], -shift, columns - width + shift + 1)
    if variant == 'original' and not shift:
        return
    ordered = numpy.corrcoef(image[:, 3], image[:, 4])
    assert abs(ordered[0, 1]) < 5 / batch ** 0.5
    for patch in windows[:, :-1].swapaxes(0, 1):
        for values, end in zip(patch.T, (
                6, height - side + 1, width - side + 1, rows - side + 1,
                columns - side + 1)):
            even(values, 0, end)
        assert abs(numpy.corrcoef(patch.T) - numpy.eye(5)).max() < (
            5 / batch ** 0.5)
