"""The crop: what the glimpse sensor reads of an image (Section 3.1)."""

from typing import Optional, Tuple

import chainer
import numpy

from ram.devices import Array
from ram.functions import glimpse_kernels


def patch_start(locations: Array, image_size: Tuple[int, int],
                side: int) -> Tuple[Array, Array]:
    """First row and column of the patch of a given side at each location.

    A location ``l`` is ``u = (l + 1) / 2 * (W, H)`` in pixels, and a patch of
    side ``w`` around it starts at ``round(u - w / 2)``, halves rounded up. An
    even patch in the middle of an even image is therefore exactly centred.

    Args:
        locations: (B, 2) float, (x, y); (-1, -1) is the outer corner of the
            top left pixel, (1, 1) that of the bottom right one.
        image_size: (H, W).
        side: Side w of the patch in pixels.

    Returns:
        Rows and columns, (B,) int64 each, from -w (entirely outside on one
        side) to H or W (on the other).

    """
    xp = chainer.backend.get_array_module(locations)
    lengths = xp.array(image_size[::-1], locations.dtype)
    starts = xp.floor((locations + 1) / 2 * lengths - side / 2 + 0.5)
    # Not clip, which keeps NaN: a network that has diverged must reach the
    # check of its loss.
    starts = xp.fmin(xp.fmax(starts, -side), lengths).astype('int64')
    return starts[:, 1], starts[:, 0]


def summed_area_table(images: Array, out: Optional[Array] = None) -> Array:
    """Sums over all top left rectangles of each image.

    Args:
        images: (B, C, H, W) float.
        out: A table of images of the same shape, to overwrite; allocated if
            left out.

    Returns:
        (B, C, H + 1, W + 1) float64; entry (i, j) is the sum of
        ``images[..., :i, :j]``. In float32 the differences of large sums
        would lose small values. On the CPU the images are innermost in
        memory.

    """
    xp = chainer.backend.get_array_module(images)
    batch, channels, height, width = images.shape
    if xp is not numpy:
        if out is None:
            out = xp.empty((batch, channels, height + 1, width + 1),
                           'float64')
        glimpse_kernels.sum_up(xp.ascontiguousarray(images), out)
        return out
    # A running sum waits for the sum before it; those of many images, side by
    # side, take a third of the time.
    if out is None:
        out = numpy.empty((height + 1, width + 1, batch, channels),
                          'float64').transpose(2, 3, 0, 1)
    sums = out.transpose(2, 3, 0, 1)
    pixels = numpy.ascontiguousarray(images.transpose(2, 3, 0, 1))
    sums[0] = 0
    sums[:, 0] = 0
    for column in range(width):
        numpy.add(sums[1:, column], pixels[:, column],
                  out=sums[1:, column + 1])
    for row in range(1, height):
        sums[row + 1] += sums[row]
    return out


def glimpse(images: Array, locations: Array, size: int, scales: int = 1,
            factor: int = 2, table: Optional[Array] = None,
            out: Optional[Array] = None) -> Array:
    """Reads patches of several scales around a location of each image.

    The patch of scale ``j`` covers a square of side ``size * factor ** j``
    and is averaged down to ``size`` x ``size``. Outside the image is zero.
    The result is data, detached from any graph.

    The work for a scale depends neither on the size of the image nor on that
    of the patch: the finest scale is read directly, and each mean of a
    coarser one takes four look-ups in a summed-area table.

    Args:
        images: (B, C, H, W) float.
        locations: (B, 2) float, (x, y) as in :func:`patch_start`, at or
            beyond the border too.
        size: Side g of a patch as it is returned.
        scales: Number k of patches.
        factor: How much wider each patch is than the one before.
        table: :func:`summed_area_table` of the images, for repeated glimpses
            of the same images; computed if left out.
        out: The result is written here; allocated if left out.

    Returns:
        (B, k, C, g, g) of the images' dtype, the finest scale first.

    """
    xp = chainer.backend.get_array_module(images)
    batch, channels, height, width = images.shape
    retina = out
    if retina is None:
        retina = xp.empty((batch, scales, channels, size, size), images.dtype)
    if scales > 1 and table is None:
        table = summed_area_table(images)
    if xp is not numpy:
        glimpse_kernels.glimpse(
            xp.ascontiguousarray(images), xp.ascontiguousarray(locations),
            factor, table, retina)
        return retina
    images = numpy.ascontiguousarray(images)
    _read(images, locations, size, retina[:, 0])
    for j in range(1, scales):
        step = factor ** j
        rows, columns = patch_start(locations, (height, width), size * step)
        # Cells beyond the border shrink to nothing, which is zero padding.
        edges = numpy.arange(size + 1) * step
        rows = _clamp(rows[:, None] + edges, height)
        columns = _clamp(columns[:, None] + edges, width)
        corners = _gather(table, rows, columns)
        strips = corners[:, :, 1:] - corners[:, :, :-1]
        retina[:, j] = (strips[..., 1:] - strips[..., :-1]) / step ** 2
    return retina


def _read(images, locations, size, out):
    """Patches at full resolution, into (B, C, g, g)."""
    channels, height, width = images.shape[1:]
    rows, columns = patch_start(locations, (height, width), size)
    side = numpy.arange(size)
    pixels = (numpy.arange(channels)[:, None, None] * (height * width)
              + side[:, None] * width + side)
    first = (numpy.arange(0, images.size, channels * height * width)
             + rows * width + columns)
    # Beyond the border this reads some other pixel, which is masked below.
    patches = _take(images, first[:, None] + pixels.ravel()).reshape(out.shape)
    # As floats: a product of two dtypes is buffered, and slow.
    down, across = (
        ((places >= 0) & (places < end)).astype(out.dtype)
        for places, end in ((rows[:, None] + side, height),
                            (columns[:, None] + side, width)))
    inside = down[:, :, None] * across[:, None, :]
    numpy.multiply(patches, inside[:, None], out=out)


def _clamp(places, end):
    """Clamps to 0 .. ``end``, in place: clip takes longer to start."""
    numpy.maximum(places, 0, out=places)
    return numpy.minimum(places, end, out=places)


def _gather(planes, rows, columns):
    """(B, C, R, S) entries of (B, C, H, W) planes at (B, R) and (B, S)."""
    # One index serves all four axes, in any memory order.
    steps = [step // planes.itemsize for step in planes.strides]
    index = (numpy.arange(planes.shape[0])[:, None, None, None] * steps[0]
             + numpy.arange(planes.shape[1])[:, None, None] * steps[1]
             + (rows * steps[2])[:, None, :, None]
             + (columns * steps[3])[:, None, None, :])
    return _take(planes, index)


def _take(planes, index):
    """Elements at an index in memory order, clamped to its ends."""
    return planes.ravel('K').take(index, mode='clip')
