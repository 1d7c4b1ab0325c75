"""Statistics of glimpses.

Points are (x, y) in pixels, x to the right and y downwards: of the image, or
of the digit, whose upper left corner is (0, 0) anywhere on its canvas. T
glimpses, N images, K classes.
"""

from typing import NamedTuple, Tuple

import numpy

CELLS = 30  # along the longer side of a heat map, at most


class HeatMap(NamedTuple):
    """Counts of the glimpses whose center is in each cell of a grid.

    Attributes:
        counts: (T, K, R, S) int64: after t glimpses, of class k, in row r and
            column s.
        left, top: x and y of the grid's upper left corner, in pixels.
        cell: Side of a cell, in pixels.

    """

    counts: numpy.ndarray
    left: int
    top: int
    cell: int


class MeanPaths(NamedTuple):
    """The mean path of each class and, in the last row, of all images.

    Attributes:
        means: (K + 1, T, 2) float64, pixels; NaN without an image.
        covariances: (K + 1, T, 2, 2) float64, of the points of each glimpse.

    """

    means: numpy.ndarray
    covariances: numpy.ndarray


class FirstLocations(NamedTuple):
    """Error and loss by first location.

    Attributes:
        coordinates: (G,) float64 in (-1, 1), the middles of G equal parts: x
            of the columns, y of the rows.
        error: (G, G) float64, after the last glimpse, in %; row y, column x.
        loss: (G, G) float64, mean cross-entropy, in nats.
        n: Number of images, the same at each location.

    """

    coordinates: numpy.ndarray
    error: numpy.ndarray
    loss: numpy.ndarray
    n: int


def heat_map(points: numpy.ndarray, labels: numpy.ndarray, classes: int,
             corner: Tuple[int, int], size: Tuple[int, int]) -> HeatMap:
    """Counts where glimpses land.

    A point between two cells belongs to the lower right one, a point on the
    grid's right or lower border to the last cell; those beyond do not count.

    Args:
        points: (T, N, 2) float, pixels.
        labels: (N,) int32.
        classes: K.
        corner: x and y of the grid's upper left corner.
        size: Its width and height, in pixels. Cells are so wide that there
            are at most ``CELLS``; the last ones may reach beyond.

    """
    cell = -(-max(size) // CELLS)
    shape = -(-size[1] // cell), -(-size[0] // cell)
    offset = numpy.asarray(points, 'float64') - corner
    within = ((offset >= 0) & (offset <= size)).all(axis=2)
    at = numpy.minimum(offset // cell, (shape[1] - 1, shape[0] - 1))
    columns, rows = at.astype('int64').transpose(2, 0, 1)
    counts = numpy.zeros((len(points), classes) + shape, 'int64')
    steps, images = within.nonzero()
    numpy.add.at(counts, (steps, labels[images], rows[within],
                          columns[within]), 1)
    return HeatMap(counts, corner[0], corner[1], cell)


def mean_paths(points: numpy.ndarray, labels: numpy.ndarray, classes: int
               ) -> MeanPaths:
    """The mean path of each class and of all images.

    Args:
        points: (T, N, 2) float.
        labels: (N,) int32.
        classes: K.

    """
    glimpses = len(points)
    means = numpy.full((classes + 1, glimpses, 2), numpy.nan)
    covariances = numpy.full((classes + 1, glimpses, 2, 2), numpy.nan)
    for k in range(classes + 1):
        chosen = points if k == classes else points[:, labels == k]
        if chosen.shape[1]:
            means[k] = chosen.mean(axis=1)
            offset = chosen - means[k][:, None]
            covariances[k] = numpy.einsum(
                'tni,tnj->tij', offset, offset) / chosen.shape[1]
    return MeanPaths(means, covariances)


def saccade_lengths(points: numpy.ndarray) -> numpy.ndarray:
    """Distances from each glimpse to the next: (T, N, 2) to (T - 1, N)."""
    return numpy.hypot(*numpy.diff(points, axis=0).transpose(2, 0, 1))


def saccade_histogram(lengths: numpy.ndarray
                      ) -> Tuple[numpy.ndarray, numpy.ndarray]:
    """Counts saccades by their length.

    Args:
        lengths: (T - 1, N) float.

    Returns:
        Counts (T - 1, 40) int64, and the 41 edges of their equal bins, from 0
        to the greatest length, or 1 if that is less.

    """
    edges = numpy.linspace(0, max(lengths.max(initial=0), 1), 41)
    counts = [numpy.histogram(row, edges)[0] for row in lengths]
    return numpy.array(counts, 'int64').reshape(len(lengths), 40), edges


def deviations(points: numpy.ndarray, paths: numpy.ndarray) -> numpy.ndarray:
    """How far paths are from others, without the first location.

    Args:
        points: (T, N, 2) float.
        paths: (N, T, 2) float, what each is compared with.

    Returns:
        (N,) float64: root of the mean over the glimpses after the first of
        the squared distance; zero if there are none.

    """
    offset = (points - paths.transpose(1, 0, 2))[1:]
    if not len(offset):
        return numpy.zeros(points.shape[1])
    return numpy.sqrt((offset ** 2).sum(axis=2).mean(axis=0))
