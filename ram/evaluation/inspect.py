"""The policy as a whole: statistics of its glimpses over many images."""

import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy

from ram.config import DataConfig
from ram.data.splits import FixedCanvases
from ram.evaluation import statistics
from ram.evaluation.evaluate import (
    Evaluation,
    Streams,
    losses,
    measure,
    predict,
    predict_from,
)
from ram.models.ram import RAM


class Inspection(NamedTuple):
    """Statistics of N images.

    Attributes:
        evaluation: As ``ram evaluate`` measures it.
        image_size: (H, W).
        labels: (N,) int32.
        points: (T, N, 2) float64: centers of the glimpses, in pixels of the
            image.
        on_image: In pixels of the image.
        on_digit: In pixels of the digit, and half a digit beyond it. None
            where the image is not put on a canvas.
        inside: (T,) float64: share of the glimpses with their center within
            the square of the digit. None as above.
        digits: (K + 1, h, w) float64: mean digits, in the order of ``paths``.
        paths: In pixels of the digit.
        saccades: (T - 1, N) float64: distances between glimpses, in pixels.
        first: On the first so many images.
        loss: (N,) float64: cross-entropy after the last glimpse.
        deviation: (N,) float64: root mean square distance of an image's path
            from its class's mean path, in pixels, without the first location.

    """

    evaluation: Evaluation
    image_size: Tuple[int, int]
    labels: numpy.ndarray
    points: numpy.ndarray
    on_image: statistics.HeatMap
    on_digit: Optional[statistics.HeatMap]
    inside: Optional[numpy.ndarray]
    digits: numpy.ndarray
    paths: statistics.MeanPaths
    saccades: numpy.ndarray
    first: statistics.FirstLocations
    loss: numpy.ndarray
    deviation: numpy.ndarray


def inspect(model: RAM, canvases: FixedCanvases, data: DataConfig,
            make_streams: Callable[[], Streams], grid: int = 9,
            images: int = 1000, batch_size: int = 500,
            progress: Optional[Callable[[int, int], None]] = None
            ) -> Inspection:
    """Predicts all images, and some again from a grid of first locations.

    Args:
        model: On any device. It follows the mean policy.
        canvases: N images.
        data: Their configuration.
        make_streams: Returns new generators of an evaluation.
        grid: G first locations along each side.
        images: Number of images, the first ones, to predict from each.
        batch_size: Images at a time.
        progress: Called after each batch with the number of images predicted
            and of all to predict.

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
        on_digit = statistics.heat_map(from_digit, labels, data.classes,
                            (-(columns // 2), -(rows // 2)),
                            (2 * columns, 2 * rows))
        inside = ((from_digit >= 0) & (from_digit <= (columns, rows))).all(
            axis=2).mean(axis=1)
    paths = statistics.mean_paths(from_digit, labels, data.classes)
    return Inspection(
        evaluation=measure(probabilities, labels, seconds),
        image_size=(height, width), labels=labels, points=points,
        on_image=statistics.heat_map(points, labels, data.classes, (0, 0),
                          (width, height)),
        on_digit=on_digit, inside=inside,
        digits=_mean_digits(canvases, data), paths=paths,
        saccades=statistics.saccade_lengths(points), first=first,
        loss=losses(probabilities[-1], labels),
        deviation=statistics.deviations(from_digit, paths.means[labels]))


def error_by_gaze(model: RAM, canvases: FixedCanvases,
                  make_streams: Callable[[], Streams],
                  batch_size: int = 500) -> Dict[str, float]:
    """What looking is worth: the error of the same network by its gaze.

    Args:
        model: On any device; it was trained with its own policy only.
        canvases: N images.
        make_streams: Returns new generators of an evaluation.
        batch_size: Images at a time.

    Returns:
        Errors in %: with the network's own policy, with all glimpses after
        the first at random locations, and with all glimpses at the centre.

    """
    own, errors = model.policy, {}
    try:
        for policy in dict.fromkeys([own, 'random', 'center']):
            model.policy = policy
            probabilities = predict(model, canvases.images, make_streams(),
                                    batch_size=batch_size).probabilities
            errors[policy] = 100 * float(
                (probabilities[-1].argmax(axis=1) != canvases.labels).mean())
    finally:
        model.policy = own
    return errors


def notable(inspection: Inspection, count: int) -> Dict[str, List[int]]:
    """Indices of images to look at, at most ``count`` of each kind.

    Returns:
        ``first``; ``hardest``, of the highest loss; ``oddest``, of the
        greatest deviation, none where the policy chooses no location.

    """
    kinds = {'first': numpy.arange(len(inspection.labels)),
             'hardest': numpy.argsort(-inspection.loss, kind='stable'),
             'oddest': numpy.argsort(-inspection.deviation, kind='stable')}
    if not len(inspection.saccades):
        kinds['oddest'] = kinds['oddest'][:0]
    return {kind: order[:count].tolist() for kind, order in kinds.items()}


def numbers(inspection: Inspection) -> Dict[str, Any]:
    """An inspection without single images, in plain JSON types.

    Lengths and points are in pixels, errors in %, losses in nats; the mean of
    nothing is None.
    """
    evaluation = inspection.evaluation._asdict()
    del evaluation['images_per_second']
    counts, edges = statistics.saccade_histogram(inspection.saccades)
    return _plain({
        **evaluation,
        'image_size': inspection.image_size,
        'heat_image': inspection.on_image,
        'heat_digit': inspection.on_digit,
        'inside_digit': inspection.inside,
        'paths': inspection.paths,
        'saccades': {
            'mean': inspection.saccades.mean(axis=1),
            'median': numpy.median(inspection.saccades, axis=1),
            'edges': edges, 'counts': counts},
        'first_location': inspection.first})


def _plain(value):
    if hasattr(value, '_asdict'):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, numpy.ndarray):
        return numpy.where(numpy.isnan(value), None, value).tolist()
    return value


def error_by_first_location(
        model: RAM, images: numpy.ndarray, labels: numpy.ndarray,
        streams: Streams, grid: int = 9, batch_size: int = 500,
        progress: Optional[Callable[[int], None]] = None
        ) -> statistics.FirstLocations:
    """Measures the error from each of a grid of G x G first locations.

    The arguments are those of :func:`ram.evaluation.evaluate.evaluate`. The
    random policy has the same later locations from all first ones.
    """
    first, noise = model.sample_noise(streams, len(images), mean=True)
    coordinates = (2 * numpy.arange(grid) + 1) / grid - 1
    error, loss = numpy.empty((grid, grid)), numpy.empty((grid, grid))
    for i, y in enumerate(coordinates):
        for j, x in enumerate(coordinates):
            first[:] = model.xp.array([x, y], 'float32')
            last = predict_from(
                model, images, first, noise, batch_size,
                progress).probabilities[-1].astype('float64')
            error[i, j] = 100 * (last.argmax(axis=1) != labels).mean()
            loss[i, j] = losses(last, labels).mean()
    return statistics.FirstLocations(coordinates, error, loss, len(labels))


def _mean_digits(canvases, data):
    """The mean of the digits, cropped from their canvases, by class."""
    height, width = data.image_size
    sums = numpy.zeros((data.classes + 1, height, width))
    for image, label, (row, column) in zip(*canvases):
        sums[label] += image[:, row:row + height,
                             column:column + width].mean(axis=0)
    sums[-1] = sums[:-1].sum(axis=0)
    counts = numpy.bincount(canvases.labels, minlength=data.classes)
    counts = numpy.append(counts, len(canvases.labels))
    return sums / numpy.maximum(counts, 1)[:, None, None]
