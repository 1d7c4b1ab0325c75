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
    xp = chainer.backend.get_array_module(images)
    size = images.shape[2:]
    down, right = (rng.integers(-most, most + 1, size=len(images))
                   for _ in size)
    framed = xp.pad(images, ((0, 0), (0, 0), (most, most), (most, most)))
    windows, at = _windows(framed, size, numpy.arange(len(images)),
                           most - down, most - right)
    return windows[at]


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
    maps = numpy.eye(2) + rng.uniform(-most, most, (len(images), 2, 2))
    xp = chainer.backend.get_array_module(images)
    maps = xp.asarray(maps, 'float32')[..., None, None]
    # So few images at a time that the arrays stay in the processor's cache.
    return xp.concatenate([
        _warp(images[i:i + 64], maps[i:i + 64])
        for i in range(0, len(images), 64)])


def _warp(images, maps):
    """Moves the pixels of (B, C, h, w) by (B, 2, 2, 1, 1) maps."""
    xp = chainer.backend.get_array_module(images)
    batch, channels, height, width = images.shape
    down = xp.arange(height, dtype='float32')[:, None] - (height - 1) / 2
    right = xp.arange(width, dtype='float32') - (width - 1) / 2
    # Beyond one pixel outside all is zero alike, so a frame of that width will
    # do, and one more row and column at its end, of no weight.
    framed = xp.pad(images, ((0, 0), (0, 0), (1, 2), (1, 2))).reshape(-1)
    line = width + 3
    at = xp.arange(0, framed.size, (height + 3) * line)
    at = at.reshape(batch, channels, 1, 1)
    shares = []
    for i, (length, step) in enumerate(((height, line), (width, 1))):
        place = maps[:, i, 0] * down + maps[:, i, 1] * right
        place += (length + 1) / 2
        xp.clip(place, 0, length + 1, out=place)
        whole = xp.floor(place)
        place -= whole
        at = at + whole.astype('int32')[:, None] * step
        shares.append(place[:, None])
    corners = [framed[step:].take(at).astype('float32')
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
        windows, at = _windows(source, (patch_size, patch_size), chosen,
                               rows, columns)
        patch = windows[at].astype(images.dtype) / 255
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
    windows, at = _windows(canvas, images.shape[2:],
                           numpy.arange(len(canvas)), rows, columns)
    windows[at] += images


def _windows(planes, size, chosen, rows, columns):
    """Windows of (N, C, H, W) planes: a view of all, and which are meant.

    Indexed so, the view gives (B, C, h, w), copied a row at a time, which
    takes a third of the time that an index of every pixel does.
    """
    xp = chainer.backend.get_array_module(planes)
    windows = xp.lib.stride_tricks.sliding_window_view(
        planes, size, axis=(2, 3), writeable=True)
    return windows, (xp.asarray(chosen), slice(None), xp.asarray(rows),
                     xp.asarray(columns))
