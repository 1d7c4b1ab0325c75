import numpy
import pytest

from ram.data import canvas


def rng(seed=0):
    return numpy.random.default_rng(seed)


@pytest.mark.parametrize('channels, image, size', [
    (1, (4, 4), (9, 9)), (3, (3, 5), (7, 11)), (1, (4, 4), (4, 4))])
def test_translate_equals_a_loop(channels, image, size):
    images = rng().random((6, channels) + image).astype('float32')
    got, places = canvas.translate(images, size, rng(1))
    replay = rng(1)
    rows = replay.integers(size[0] - image[0] + 1, size=6)
    columns = replay.integers(size[1] - image[1] + 1, size=6)
    want = numpy.zeros((6, channels) + size, 'float32')
    for b in range(6):
        for c in range(channels):
            for i in range(image[0]):
                for j in range(image[1]):
                    want[b, c, rows[b] + i, columns[b] + j] = images[b, c,
                                                                     i, j]
    assert got.dtype == numpy.float32
    numpy.testing.assert_array_equal(got, want)
    numpy.testing.assert_array_equal(places, list(zip(rows, columns)))


def test_every_place_is_as_likely_the_last_one_too():
    got = canvas.translate(numpy.ones((40000, 1, 2, 2), 'float32'), (5, 4),
                           rng())
    firsts = numpy.argmax(got.images.reshape(40000, -1), axis=1)
    numpy.testing.assert_array_equal(
        firsts, got.places[:, 0] * 4 + got.places[:, 1])
    counts = numpy.bincount(firsts, minlength=20).reshape(5, 4)
    assert not counts[4].any() and not counts[:, 3].any()
    places = counts[:4, :3]
    expected = 40000 / 12
    # Chi-squared of 11 degrees of freedom, 99.9 %.
    assert ((places - expected) ** 2 / expected).sum() < 31.3


@pytest.mark.parametrize('channels, image, size', [
    (1, (6, 6), (12, 12)), (3, (6, 7), (9, 14))])
def test_clutter_equals_a_loop(channels, image, size):
    images = rng().random((5, channels) + image).astype('float32')
    source = rng(2).integers(256, size=(9, channels) + image).astype('uint8')
    got, places = canvas.clutter(images, size, source, 3, 4, rng(1))
    replay = rng(1)
    want = numpy.zeros((5, channels) + size, 'float32')
    for _ in range(3):
        chosen = replay.integers(9, size=5)
        top = replay.integers(image[0] - 4 + 1, size=5)
        left = replay.integers(image[1] - 4 + 1, size=5)
        rows = replay.integers(size[0] - 4 + 1, size=5)
        columns = replay.integers(size[1] - 4 + 1, size=5)
        for b in range(5):
            patch = source[chosen[b], :, top[b]:top[b] + 4,
                           left[b]:left[b] + 4] / numpy.float32(255)
            want[b, :, rows[b]:rows[b] + 4, columns[b]:columns[b] + 4] += patch
    rows = replay.integers(size[0] - image[0] + 1, size=5)
    columns = replay.integers(size[1] - image[1] + 1, size=5)
    for b in range(5):
        want[b, :, rows[b]:rows[b] + image[0],
             columns[b]:columns[b] + image[1]] += images[b]
    assert want.max() > 1
    numpy.testing.assert_allclose(got, numpy.minimum(want, 1), atol=1e-6)
    numpy.testing.assert_array_equal(places, list(zip(rows, columns)))


def test_inputs_are_left_alone():
    images = numpy.full((3, 1, 4, 4), 0.5, 'float32')
    source = numpy.full((2, 1, 4, 4), 200, 'uint8')
    canvas.clutter(images, (4, 4), source, 4, 4, rng())
    assert (images == 0.5).all() and (source == 200).all()


@pytest.mark.parametrize('most', [1, 3])
def test_shift_equals_a_loop(most):
    images = 1 + rng().random((9, 2, 5, 4)).astype('float32')
    got = canvas.shift(images, most, rng(1))
    replay = rng(1)
    down = replay.integers(-most, most + 1, size=9)
    right = replay.integers(-most, most + 1, size=9)
    want = numpy.zeros_like(images)
    for b in range(9):
        for i in range(5):
            for j in range(4):
                if 0 <= i + down[b] < 5 and 0 <= j + right[b] < 4:
                    want[b, :, i + down[b], j + right[b]] = images[b, :, i, j]
    assert got.dtype == numpy.float32 and got.flags.c_contiguous
    numpy.testing.assert_array_equal(got, want)


def test_all_shifts_are_as_likely():
    images = numpy.zeros((50000, 1, 5, 5), 'float32')
    images[:, :, 2, 2] = 1
    counts = canvas.shift(images, 2, rng()).sum(axis=(0, 1))
    expected = 50000 / 25
    assert ((counts - expected) ** 2 / expected).sum() < 52  # chi2, 1e-3


def hat(distance):
    """What a pixel so far away counts in one direction: bilinear."""
    return max(0, 1 - abs(distance))


@pytest.mark.parametrize('dtype', ['uint8', 'float32'])
@pytest.mark.parametrize('channels, height, width, most', [
    (1, 6, 6, 0.5), (3, 7, 4, 0.2), (1, 1, 5, 0.3), (2, 5, 1, 0.3)])
def test_warp_equals_a_loop(channels, height, width, most, dtype):
    shape = (4, channels, height, width)
    images = (rng().random(shape) * 255).astype(dtype)
    before = images.copy()
    got = canvas.warp(images, most, rng(1))
    maps = numpy.eye(2) + rng(1).uniform(-most, most, (4, 2, 2))
    want = numpy.zeros(shape)
    for b, _, i, j in numpy.ndindex(shape):
        middle = numpy.array([height - 1, width - 1]) / 2
        y, x = maps[b] @ ([i, j] - middle) + middle
        want[b, :, i, j] = sum(
            hat(y - p) * hat(x - q) * images[b, :, p, q]
            for p in range(height) for q in range(width))
    assert got.dtype == numpy.float32
    numpy.testing.assert_allclose(got, want, rtol=0, atol=2e-3)
    numpy.testing.assert_array_equal(images, before)
    numpy.testing.assert_array_equal(canvas.warp(images, 0, rng()), images)


def test_many_images_are_warped_as_one_after_another():
    images = rng().random((130, 1, 6, 5)).astype('float32')
    one = rng(1)
    numpy.testing.assert_array_equal(
        canvas.warp(images, 0.3, rng(1)),
        numpy.concatenate([canvas.warp(images[i:i + 1], 0.3, one)
                           for i in range(130)]))
