import numpy
import pytest

from ram.evaluation import statistics
from ram.evaluation.evaluate import measure
from ram.evaluation.inspect import Inspection


@pytest.fixture(scope='session')
def made():
    """Makes an inspection of random paths, whose digits are 12 x 10."""
    return _made


def _made(glimpses=3, classes=4, canvas=True, size=(40, 30), count=60):
    rng = numpy.random.default_rng(0)
    labels = numpy.arange(count) % classes
    labels[labels == 2] = 1  # a class without an image
    points = rng.uniform(0, 1, (glimpses, count, 2)) * size[::-1]
    shares = rng.dirichlet(numpy.ones(classes), (glimpses, count))
    digits = rng.random((classes + 1, 12, 10))
    digits[2] = 0
    paths = statistics.mean_paths(points - 9, labels, classes)
    return Inspection(
        evaluation=measure(shares, labels, 1), image_size=size,
        labels=labels, points=points,
        on_image=statistics.heat_map(points, labels, classes, (0, 0),
                                     size[::-1]),
        on_digit=statistics.heat_map(points - 9, labels, classes, (-5, -6),
                                     (20, 24)) if canvas else None,
        inside=numpy.full(glimpses, 0.5) if canvas else None,
        digits=digits, paths=paths,
        saccades=statistics.saccade_lengths(points),
        first=statistics.FirstLocations(
            numpy.array([-0.5, 0.5]), numpy.array([[10., 20], [30, 40]]),
            numpy.array([[.1, .2], [.3, .4]]), 10),
        loss=rng.random(count), deviation=rng.random(count))
