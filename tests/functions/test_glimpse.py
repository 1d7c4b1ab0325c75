import importlib

import chainer
import numpy
import pytest

from ram.functions.glimpse import glimpse
from ram.functions.glimpse import patch_start
from ram.functions.glimpse import summed_area_table


def naive(images, locations, size, scales, factor):
    """Pixel by pixel, with the rounding spelt out."""
    batch, channels, height, width = images.shape
    out = numpy.zeros((batch, scales, channels, size, size))
    for b in range(batch):
        x, y = (float(v) for v in locations[b])
        for j in range(scales):
            step = factor ** j
            side = size * step
            left = int(numpy.floor((x + 1) / 2 * width - side / 2 + 0.5))
            top = int(numpy.floor((y + 1) / 2 * height - side / 2 + 0.5))
            for c in range(channels):
                for row in range(side):
                    for column in range(side):
                        u, v = top + row, left + column
                        if 0 <= u < height and 0 <= v < width:
                            out[b, j, c, row // step, column // step] += (
                                images[b, c, u, v] / step ** 2)
    return out


@pytest.mark.parametrize('seed', range(40))
def test_equals_a_loop_over_pixels(seed):
    rng = numpy.random.default_rng(seed)
    channels = int(rng.choice([1, 3]))
    scales = int(rng.integers(1, 6))
    factor = int(rng.choice([2, 3])) if scales < 4 else 2
    size = int(rng.integers(1, 8)) if scales < 4 else int(rng.integers(1, 3))
    dtype = str(rng.choice(['float32', 'float64']))
    images = rng.random((3, channels, int(rng.integers(5, 30)),
                         int(rng.integers(5, 30)))).astype(dtype)
    # Inside, at the border, and far outside.
    reach = float(rng.choice([0.5, 1, 3]))
    locations = rng.uniform(-reach, reach, (3, 2)).astype(dtype)
    if seed % 5 == 0:
        locations[0] = 1
        locations[1] = -1
    got = glimpse(images, locations, size, scales, factor)
    assert got.dtype == images.dtype
    assert got.shape == (3, scales, channels, size, size)
    numpy.testing.assert_allclose(
        got, naive(images, locations, size, scales, factor), atol=1e-6)
    # With a table made before, and into an array of the caller's.
    out = numpy.empty_like(got)
    again = glimpse(images, locations, size, scales, factor,
                    summed_area_table(images), out)
    assert again is out
    numpy.testing.assert_array_equal(again, got)


def test_an_even_patch_in_the_middle_is_centred():
    images = numpy.arange(28 * 28, dtype='float32').reshape(1, 1, 28, 28)
    got = glimpse(images, numpy.zeros((1, 2), 'float32'), 8)
    numpy.testing.assert_array_equal(got[0, 0, 0], images[0, 0, 10:18, 10:18])


def test_x_runs_along_the_width():
    images = numpy.zeros((2, 1, 10, 20), 'float32')
    images[0, 0, 9, 0] = 1  # bottom left
    images[1, 0, 0, 19] = 1  # top right
    corners = numpy.array([[-1, 1], [1, -1]], 'float32')
    got = glimpse(images, corners, 2)[:, 0, 0]
    assert got[0, 0, 1] == 1 and got[1, 1, 0] == 1 and got.sum() == 2


def test_where_a_patch_starts():
    locations = numpy.array([[-1, 1], [0, 0], [1, -1], [9, -9]], 'float32')
    rows, columns = patch_start(locations, (10, 21), 3)
    # floor(u - 1.5 + 0.5) for u of (0, 10), (10.5, 5), (21, 0), held outside.
    assert columns.tolist() == [-1, 9, 20, 21]
    assert rows.tolist() == [9, 4, -1, -3]


@pytest.mark.parametrize('value', [1e30, -1e30, numpy.inf, numpy.nan])
def test_wild_locations_do_not_crash(value):
    images = numpy.ones((1, 1, 6, 6), 'float32')
    got = glimpse(images, numpy.full((1, 2), value, 'float32'), 4, 3)
    assert got.shape == (1, 3, 1, 4, 4) and not got[:, 0].any()


def test_work_does_not_grow_with_the_patch(monkeypatch):
    # The package hands on the function under the module's name.
    module = importlib.import_module('ram.functions.glimpse')
    read = []
    gather = module._gather

    def counting(planes, rows, columns):
        result = gather(planes, rows, columns)
        read.append(result.size)
        return result

    monkeypatch.setattr(module, '_gather', counting)
    images = numpy.ones((2, 1, 200, 200), 'float32')
    glimpse(images, numpy.zeros((2, 2), 'float32'), 8, 4, 2)
    assert read == [2 * 64, 2 * 81, 2 * 81, 2 * 81]


def test_no_gradient_passes():
    location = chainer.Variable(numpy.zeros((1, 2), 'float32'))
    got = glimpse(numpy.ones((1, 1, 6, 6), 'float32'), location.array, 4)
    assert isinstance(got, numpy.ndarray)
