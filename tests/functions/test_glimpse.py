import tracemalloc

import chainer
import numpy
import pytest

from ram.functions.glimpse import glimpse, patch_start, summed_area_table


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


def some_locations(rng, dtype):
    """Inside, at the border, outside, far outside; and eighths.

    Eighths are exact in both types, and often put a patch between pixels.
    """
    return numpy.array([
        rng.uniform(-0.9, 0.9, 2), rng.choice([-1, 1], 2),
        rng.uniform(-3, 3, 2), rng.uniform(-1, 1, 2) * 1e4,
        rng.integers(-8, 9, 2) / 8]).astype(dtype)


@pytest.mark.parametrize('scales', [1, 2, 3, 4, 5])
@pytest.mark.parametrize('factor', [2, 3])
@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_equals_a_loop_over_pixels(scales, factor, channels, dtype):
    rng = numpy.random.default_rng(
        [scales, factor, channels, dtype == 'float64'])
    # The loop takes long over the widest patches.
    size = int(rng.integers(1, 8 if scales < 4 else 3))
    height, width = (int(n) for n in rng.integers(5, 30, 2))
    images = rng.random((5, channels, height, width)).astype(dtype)
    locations = some_locations(rng, dtype)
    got = glimpse(images, locations, size, scales, factor)
    assert got.dtype == images.dtype
    assert got.shape == (5, scales, channels, size, size)
    numpy.testing.assert_allclose(
        got, naive(images, locations, size, scales, factor),
        rtol=0, atol=1e-6 if dtype == 'float32' else 1e-12)
    # With a table made before, and into an array of the caller's.
    out = numpy.empty_like(got)
    again = glimpse(images, locations, size, scales, factor,
                    summed_area_table(images), out)
    assert again is out
    numpy.testing.assert_array_equal(again, got)


def test_a_given_table_is_what_is_read():
    rng = numpy.random.default_rng(0)
    images, locations = rng.random((2, 1, 9, 12)), rng.uniform(-1, 1, (2, 2))
    got = glimpse(images, locations, 3, 2)
    other = glimpse(images, locations, 3, 2,
                    table=2 * summed_area_table(images))
    numpy.testing.assert_array_equal(other[:, 0], got[:, 0])
    numpy.testing.assert_allclose(other[:, 1], 2 * got[:, 1])


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


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('value', [1e30, -1e30, numpy.inf, -numpy.inf,
                                   numpy.nan])
def test_wild_locations_see_nothing(value, dtype):
    images = numpy.ones((3, 1, 6, 7), dtype)
    # Both coordinates, and either.
    locations = numpy.array(
        [[value, value], [value, 0], [0, value]], dtype)
    got = glimpse(images, locations, 4, 3)
    assert got.shape == (3, 3, 1, 4, 4) and not got.any()
    rows, columns = patch_start(locations, (6, 7), 4)
    assert -4 <= rows.min() and rows.max() <= 6
    assert -4 <= columns.min() and columns.max() <= 7


class CountedTable(numpy.ndarray):
    """A summed-area table that counts the elements read from it."""

    def take(self, index, *args, **kwargs):
        self.counts.append(numpy.size(index))
        return numpy.asarray(self).take(index, *args, **kwargs)

    def __array_finalize__(self, parent):
        self.counts = getattr(parent, 'counts', [])


def test_glimpse_reads_as_much_of_a_table_for_every_scale():
    for side, factor in ((200, 2), (200, 3), (30, 2)):
        images = numpy.ones((2, 1, side, side), 'float32')
        table = summed_area_table(images).view(CountedTable)
        locations = numpy.zeros((2, 2), 'float32')
        got = glimpse(images, locations, 8, 4, factor, table)
        assert table.counts == [2 * 81, 2 * 81, 2 * 81]
        numpy.testing.assert_array_equal(
            got, glimpse(images, locations, 8, 4, factor))


def test_memory_does_not_grow_with_the_patch():
    """Nor with the image, whose table is at hand."""
    peaks = []
    for side, factor in ((40, 2), (200, 2), (200, 9)):
        images = numpy.ones((4, 2, side, side), 'float32')
        table = summed_area_table(images)
        locations = numpy.zeros((4, 2), 'float32')
        glimpse(images, locations, 8, 3, factor, table)
        tracemalloc.start()
        glimpse(images, locations, 8, 3, factor, table)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < 1.1 * min(peaks)


def test_no_gradient_passes():
    location = chainer.Variable(numpy.zeros((1, 2), 'float32'))
    got = glimpse(numpy.ones((1, 1, 6, 6), 'float32'), location.array, 4)
    assert isinstance(got, numpy.ndarray)
