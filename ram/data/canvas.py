"""Translated and cluttered images (Section 4.1), whole batches at a time.

Pure functions of arrays and a generator, on NumPy or CuPy arrays alike.
"""

from typing import Any, NamedTuple, Tuple

import chainer
import numpy

from ram.devices import Array


class Canvases(NamedTuple):
    """Images on canvases.

    Attributes:
        images: (B, C, H, W) in [0, 1], the canvases.
        places: (B, 2) int64 on the CPU, row and column of the top left pixel
            of each image on its canvas.

    """

    images: Any
    places: Any


def translate(images: Array, size: Tuple[int, ...],
              rng: numpy.random.Generator) -> Canvases:
    """Puts each image at a random place of an empty canvas.

    Args:
        images: (B, C, h, w) float.
        size: (H, W) of the canvas, in pixels.
        rng: Samples the places, uniform over those at which the whole image
            is on the canvas.

    Returns:
        Of the images' dtype.

    """
    canvas = _empty(images, size)
    rows, columns = _places(images, size, rng)
    _add(canvas, images, rows, columns)
    return Canvases(canvas, numpy.stack([rows, columns], axis=1))


def shift(images: Array, most: int, rng: numpy.random.Generator) -> Array:
    """Moves each image by a few pixels, and fills up with zeros.

    Args:
        images: (B, C, h, w) float.
        most: Rows and columns to move by are uniform over ``-most`` to
            ``most``, each.
        rng: Samples them.

    Returns:
        (B, C, h, w), of the images' dtype.

    """
    height, width = images.shape[2:]
    xp = chainer.backend.get_array_module(images)
    canvas, _ = translate(images, (height + 2 * most, width + 2 * most), rng)
    return xp.ascontiguousarray(
        canvas[:, :, most:most + height, most:most + width])


def warp(images: Array, most: float, rng: numpy.random.Generator) -> Array:
    """Rotates, stretches and shears each image about its centre.

    Where a pixel of the result comes from is a linear map of its distance to
    the middle of the image; in between pixels they are interpolated
    (bilinear), and outside the image is zero.

    Args:
        images: (B, C, h, w).
        most: The four numbers of each map are those of the identity
            and what is uniform within ``-most`` and ``most``.
        rng: Samples them.

    Returns:
        (B, C, h, w) float32.

    """
    xp = chainer.backend.get_array_module(images)
    batch, channels, height, width = images.shape
    maps = numpy.eye(2) + rng.uniform(-most, most, (batch, 2, 2))
    maps = xp.asarray(maps, 'float32')[..., None, None]
    down = xp.arange(height, dtype='float32')[:, None] - (height - 1) / 2
    right = xp.arange(width, dtype='float32') - (width - 1) / 2
    # Beyond one pixel outside all is zero alike, so a frame of that width will
    # do, and one more row and column at its end, of no weight.
    framed = xp.pad(images, ((0, 0), (0, 0), (1, 2), (1, 2)))
    line = width + 3
    at, shares = [], []
    for i, length in enumerate((height, width)):
        place = maps[:, i, 0] * down + maps[:, i, 1] * right
        place += (length + 1) / 2
        xp.clip(place, 0, length + 1, out=place)
        at.append(place.astype('int64'))
        place -= at[-1]
        shares.append(place[:, None])
    planes = xp.arange(batch * channels).reshape(batch, channels, 1, 1)
    at = (at[0] * line + at[1])[:, None] + planes * ((height + 3) * line)
    corners = [framed.take(at + step).astype('float32')
               for step in (0, 1, line, line + 1)]
    for left, other in (corners[:2], corners[2:]):
        other -= left
        other *= shares[1]
        left += other
    upper, _, lower, _ = corners
    lower -= upper
    lower *= shares[0]
    upper += lower
    return upper


def clutter(images: Array, size: Tuple[int, ...], source: Array, patches: int,
            patch_size: int, rng: numpy.random.Generator) -> Canvases:
    """Puts each image at a random place of a cluttered canvas.

    First the clutter: square patches cut from random places of random
    images, added at random places. Then the image is added, and the sum is
    clipped to [0, 1].

    Args:
        images: (B, C, h, w) float.
        size: (H, W) of the canvas, in pixels.
        source: (N, C, h, w) uint8: images to cut patches from.
        patches: Patches on a canvas.
        patch_size: Their side, in pixels.
        rng: Samples images and places.

    Returns:
        Of the images' dtype.

    """
    xp = chainer.backend.get_array_module(images)
    canvas = _empty(images, size)
    batch = len(images)
    for _ in range(patches):
        chosen = rng.integers(len(source), size=batch)
        rows = rng.integers(source.shape[2] - patch_size + 1, size=batch)
        columns = rng.integers(source.shape[3] - patch_size + 1, size=batch)
        patch = source.reshape(-1)[_windows(
            source, chosen, rows, columns, (patch_size, patch_size))]
        patch = patch.astype(images.dtype) / 255
        _add(canvas, patch, *_places(patch, size, rng))
    rows, columns = _places(images, size, rng)
    _add(canvas, images, rows, columns)
    return Canvases(xp.clip(canvas, 0, 1, out=canvas),
                    numpy.stack([rows, columns], axis=1))


def _empty(images, size):
    xp = chainer.backend.get_array_module(images)
    return xp.zeros(images.shape[:2] + tuple(size), images.dtype)


def _places(images, size, rng):
    """Rows and columns of the top left corners, (B,) each."""
    batch, _, height, width = images.shape
    # integers() leaves its upper end out, and the last place is a place.
    return (rng.integers(size[0] - height + 1, size=batch),
            rng.integers(size[1] - width + 1, size=batch))


def _add(canvas, images, rows, columns):
    """Adds (B, C, h, w) images to canvases at (B,) rows and columns."""
    index = _windows(canvas, numpy.arange(len(canvas)), rows, columns,
                     images.shape[2:])
    canvas.reshape(-1)[index] += images


def _windows(planes, chosen, rows, columns, size):
    """Where (B, C, h, w) windows of some (N, C, H, W) planes lie in memory.

    One index serves for all axes, at a third of the cost of four.
    """
    xp = chainer.backend.get_array_module(planes)
    _, channels, height, width = planes.shape
    first = chosen * (channels * height * width) + rows * width + columns
    return (xp.asarray(first)[:, None, None, None]
            + (xp.arange(channels) * (height * width))[:, None, None]
            + (xp.arange(size[0]) * width)[:, None] + xp.arange(size[1]))
