"""The policy as a whole: where it looks, and what comes of it.

Points are (x, y) in pixels, x to the right and y downwards: of the image, or
of the digit, whose own upper left corner is (0, 0) wherever it lies on its
canvas.
"""

import time
from typing import Any, NamedTuple

import numpy

from ram.evaluation.evaluate import losses, measure, predict, predict_from

CELLS = 30  # along the longer side of a heat map, at most


class HeatMap(NamedTuple):
    """How many glimpses have their middle in each cell of a grid.

    Attributes:
        counts (array): (T, K, R, S) int64: after t glimpses, of class k, in
            row r and column s.
        left (int): x of the grid's left border, in pixels.
        top (int): y of its upper border.
        cell (int): Side of a cell, in pixels.

    """

    counts: Any
    left: int
    top: int
    cell: int


class Paths(NamedTuple):
    """The mean path of each class, and, in the last row, of all images.

    Attributes:
        means (array): (K + 1, T, 2) float64, pixels; NaN without an image.
        covariances (array): (K + 1, T, 2, 2) float64, of the places of each
            glimpse.

    """

    means: Any
    covariances: Any


class FirstLocations(NamedTuple):
    """What becomes of images that are first looked at in a given place.

    Attributes:
        coordinates (array): (G,) float64 in (-1, 1), the middles of G equal
            parts: x of the columns, y of the rows.
        error (array): (G, G) float64, after the last glimpse, in %; row y,
            column x.
        loss (array): (G, G) float64, mean cross-entropy, in nats.
        n (int): Number of images, the same at each place.

    """

    coordinates: Any
    error: Any
    loss: Any
    n: int


class Inspection(NamedTuple):
    """What N images say of a policy.

    Attributes:
        evaluation (ram.evaluation.evaluate.Evaluation): As ``ram evaluate`` has it.
        image_size (tuple of int): (H, W).
        labels (array): (N,) int32.
        points (array): (T, N, 2) float64: middles of the glimpses, in pixels
            of the image.
        on_image (HeatMap): In pixels of the image.
        on_digit (HeatMap): In pixels of the digit; it reaches half a digit
            beyond it. None where the image is not put on a canvas.
        inside (array): (T,) float64: share of the glimpses with their middle
            within the square of the digit. None as above.
        digits (array): (K + 1, h, w) float64: the mean of what lies in the
            place of the digit, in the order of ``paths``.
        paths (Paths): In pixels of the digit.
        saccades (array): (T - 1, N) float64: way from one glimpse to the
            next, in pixels.
        first (FirstLocations): On the first so many images.
        loss (array): (N,) float64: cross-entropy after the last glimpse.
        deviation (array): (N,) float64: how far, as the root of the mean
            square over the glimpses that the policy chose, an image's path
            is from its class's mean path, in pixels.

    """

    evaluation: Any
    image_size: tuple
    labels: Any
    points: Any
    on_image: HeatMap
    on_digit: Any
    inside: Any
    digits: Any
    paths: Paths
    saccades: Any
    first: FirstLocations
    loss: Any
    deviation: Any


def inspect(model, canvases, data, make_streams, grid=9, images=1000,
            batch_size=500, progress=None):
    """Looks at all images, and again at some from a grid of first places.

    Args:
        model (ram.models.ram.RAM): On any device. Its policy takes its mean.
        canvases (ram.data.splits.FixedCanvases): N images.
        data (ram.config.DataConfig): What they are.
        make_streams (callable): Without an argument, the generators of an
            evaluation, as if nothing had been drawn yet.
        grid (int): G first places along each side.
        images (int): So many images, the first, are looked at from each.
        batch_size (int): Images at a time.
        progress (callable): Called with the images looked at, and those to
            look at in all, after each batch.

    Returns:
        Inspection

    """
    labels, places = canvases.labels, canvases.places
    some = min(images, len(labels))
    total, done = len(labels) + grid ** 2 * some, [0]

    def count(batch):
        done[0] += batch
        if progress:
            progress(done[0], total)

    start = time.perf_counter()
    seen = predict(model, canvases.images, make_streams(),
                batch_size=batch_size, progress=count)
    seconds = time.perf_counter() - start
    probabilities = seen.probabilities.astype('float64')
    first = error_by_first_location(
        model, canvases.images[:some], labels[:some], make_streams(), grid,
        batch_size, count)

    height, width = canvases.images.shape[2:]
    points = (seen.locations.astype('float64') + 1) / 2 * (width, height)
    from_digit = points - places[:, ::-1]
    rows, columns = data.image_size
    on_digit = inside = None
    if data.variant != 'original':
        on_digit = heat_map(from_digit, labels, data.classes,
                            (-(columns // 2), -(rows // 2)),
                            (2 * columns, 2 * rows))
        inside = ((from_digit >= 0) & (from_digit <= (columns, rows))).all(
            axis=2).mean(axis=1)
    paths = mean_paths(from_digit, labels, data.classes)
    return Inspection(
        evaluation=measure(probabilities, labels, seconds),
        image_size=(height, width), labels=labels, points=points,
        on_image=heat_map(points, labels, data.classes, (0, 0),
                          (width, height)),
        on_digit=on_digit, inside=inside,
        digits=_mean_digits(canvases, data), paths=paths,
        saccades=saccade_lengths(points), first=first,
        loss=losses(probabilities[-1], labels),
        deviation=deviations(from_digit, paths.means[labels]))


def notable(inspection, count):
    """Images to look at one by one.

    Args:
        inspection (Inspection): What is known of them.
        count (int): Of each kind, at most.

    Returns:
        dict of str to list of int: ``first``; ``hardest``, of the highest
        loss; ``oddest``, of the greatest deviation, which is empty where the
        policy chooses no place.

    """
    count = min(count, len(inspection.labels))
    kinds = {'first': numpy.arange(count),
             'hardest': numpy.argsort(-inspection.loss, kind='stable'),
             'oddest': numpy.argsort(-inspection.deviation, kind='stable')}
    if not len(inspection.saccades):
        kinds['oddest'] = kinds['oddest'][:0]
    return {kind: [int(n) for n in order[:count]]
            for kind, order in kinds.items()}


def numbers(inspection):
    """All of an inspection but the images' own, in plain JSON types.

    Args:
        inspection (Inspection): What to tell.

    Returns:
        dict: Lengths and places in pixels, errors in %, losses in nats; None
        for a mean of nothing.

    """
    evaluation, first = inspection.evaluation, inspection.first
    counts, edges = saccade_histogram(inspection.saccades)
    return {
        'n': evaluation.n,
        'error': evaluation.error,
        'interval': evaluation.interval,
        'loss': evaluation.loss,
        'error_by_glimpse': evaluation.error_by_glimpse,
        'confusion': evaluation.confusion.tolist(),
        'image_size': inspection.image_size,
        'heat_image': _heat_numbers(inspection.on_image),
        'heat_digit': _heat_numbers(inspection.on_digit),
        'inside_digit': (None if inspection.inside is None
                         else inspection.inside.tolist()),
        'paths': {'means': _plain(inspection.paths.means),
                  'covariances': _plain(inspection.paths.covariances)},
        'saccades': {
            'mean': inspection.saccades.mean(axis=1).tolist(),
            'median': numpy.median(inspection.saccades, axis=1).tolist(),
            'edges': edges.tolist(), 'counts': counts.tolist()},
        'first_location': {
            'n': first.n, 'coordinates': first.coordinates.tolist(),
            'error': first.error.tolist(), 'loss': first.loss.tolist()}}


def _heat_numbers(heat_map):
    return None if heat_map is None else dict(
        heat_map._asdict(), counts=heat_map.counts.tolist())


def _plain(array):
    return numpy.where(numpy.isnan(array), None, array).tolist()


def heat_map(points, labels, classes, corner, size):
    """Counts where glimpses land.

    A point between two cells belongs to the lower right one, one on the
    grid's right or lower border to the last cell; those beyond are left out.

    Args:
        points (array): (T, N, 2) float, pixels.
        labels (array): (N,) int32.
        classes (int): K.
        corner (tuple of int): x and y of the grid's upper left corner.
        size (tuple of int): Its width and height, in pixels. Cells are as
            many pixels wide as make them ``CELLS`` or less; the last ones
            may reach beyond.

    Returns:
        HeatMap

    """
    cell = -(-max(size) // CELLS)
    shape = -(-size[1] // cell), -(-size[0] // cell)
    offset = numpy.asarray(points, 'float64') - corner
    within = ((offset >= 0) & (offset <= size)).all(axis=2)
    at = numpy.minimum(offset // cell, (shape[1] - 1, shape[0] - 1))
    columns, rows = at.astype('int64').transpose(2, 0, 1)
    steps = numpy.arange(len(offset))[:, None]
    flat = ((steps * classes + labels) * shape[0] + rows) * shape[1] + columns
    counts = numpy.bincount(
        flat[within], minlength=len(offset) * classes * shape[0] * shape[1])
    return HeatMap(counts.reshape((len(offset), classes) + shape),
                   corner[0], corner[1], cell)


def mean_paths(points, labels, classes):
    """The mean path of each class and of all images.

    Args:
        points (array): (T, N, 2) float.
        labels (array): (N,) int32.
        classes (int): K.

    Returns:
        Paths

    """
    glimpses = len(points)
    means = numpy.full((classes + 1, glimpses, 2), numpy.nan)
    covariances = numpy.full((classes + 1, glimpses, 2, 2), numpy.nan)
    for k in range(classes + 1):
        chosen = points if k == classes else points[:, labels == k]
        if chosen.shape[1]:
            means[k] = chosen.mean(axis=1)
            apart = chosen - means[k][:, None]
            covariances[k] = numpy.einsum(
                'tni,tnj->tij', apart, apart) / chosen.shape[1]
    return Paths(means, covariances)


def saccade_lengths(points):
    """How far it is from each glimpse to the next.

    Args:
        points (array): (T, N, 2) float.

    Returns:
        array: (T - 1, N) float64.

    """
    return numpy.hypot(*numpy.diff(points, axis=0).transpose(2, 0, 1))


def saccade_histogram(lengths):
    """Counts of saccades by their length.

    Args:
        lengths (array): (T - 1, N) float.

    Returns:
        tuple of arrays: Counts (T - 1, 40) int64, and the 41 edges of their
        equal bins, from 0 to the greatest length, or 1 if that is less.

    """
    edges = numpy.linspace(0, max(lengths.max(initial=0), 1), 41)
    counts = [numpy.histogram(row, edges)[0] for row in lengths]
    return numpy.array(counts, 'int64').reshape(len(lengths), 40), edges


def deviations(points, paths):
    """How far paths are from others, without the first place.

    Args:
        points (array): (T, N, 2) float.
        paths (array): (N, T, 2) float: what each is compared with.

    Returns:
        array: (N,) float64: root of the mean over the glimpses after the
        first of the squared distance; zero where there are none.

    """
    apart = (points - paths.transpose(1, 0, 2))[1:]
    if not len(apart):
        return numpy.zeros(points.shape[1])
    return numpy.sqrt((apart ** 2).sum(axis=2).mean(axis=0))


def error_by_first_location(model, images, labels, streams, grid=9,
                            batch_size=500, progress=None):
    """The error on images that are first looked at in one place, by place.

    Args:
        model (ram.models.ram.RAM): On any device. Its policy takes its mean.
        images (array): (N, C, H, W) float32 on the CPU.
        labels (array): (N,) int32.
        streams (dict of str to numpy.random.Generator): For a policy that is
            random, which then looks at the same later places from all.
        grid (int): G.
        batch_size (int): Images at a time.
        progress (callable): Called with the number of images of each batch
            done.

    Returns:
        FirstLocations

    """
    first, noise = model.sample_noise(streams, len(images), mean=True)
    coordinates = (2 * numpy.arange(grid) + 1) / grid - 1
    error, loss = numpy.empty((grid, grid)), numpy.empty((grid, grid))
    for i, y in enumerate(coordinates):
        for j, x in enumerate(coordinates):
            first[:] = model.xp.array([x, y], 'float32')
            last = predict_from(model, images, first, noise, batch_size,
                             progress).probabilities[-1].astype('float64')
            error[i, j] = 100 * (last.argmax(axis=1) != labels).mean()
            loss[i, j] = losses(last, labels).mean()
    return FirstLocations(coordinates, error, loss, len(labels))


def _mean_digits(canvases, data):
    """What lies in the place of the digit, of each class and of all."""
    height, width = data.image_size
    sums = numpy.zeros((data.classes + 1, height, width))
    for image, label, (row, column) in zip(*canvases):
        sums[label] += image[:, row:row + height,
                             column:column + width].mean(axis=0)
    sums[-1] = sums[:-1].sum(axis=0)
    counts = numpy.bincount(canvases.labels, minlength=data.classes)
    counts = numpy.append(counts, len(canvases.labels))
    return sums / numpy.maximum(counts, 1)[:, None, None]
