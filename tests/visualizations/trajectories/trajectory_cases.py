"""Trajectories for tests, and what a picture of them shows."""

import numpy
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from ram.evaluation.evaluate import Trajectory
from ram.functions.glimpse import glimpse
from ram.visualizations.trajectories.panels import Scene

ZOOM = 12  # pixels of a drawing to a pixel of the image


def make(glimpses=3, image_size=(20, 33), channels=1, size=5, scales=1,
         classes=10, label=1, guess=None, locations=None, seed=0):
    """A trajectory whose retina is what the sensor really reads."""
    rng = numpy.random.default_rng(seed)
    image = rng.random((channels,) + image_size, 'float32')
    if locations is None:
        locations = rng.uniform(-1, 1, (glimpses, 2))
    locations = numpy.asarray(locations, 'float32')
    retina = numpy.stack([glimpse(image[None], location[None], size, scales)[0]
                          for location in locations])
    # The longer it looks, the surer it is; 90 % in the end.
    sure = numpy.linspace(0.6, 0.9, len(locations))[:, None]
    sure[-1] = 0.9
    probabilities = numpy.repeat((1 - sure) / (classes - 1), classes, axis=1)
    probabilities[:, label if guess is None else guess] = sure[:, 0]
    probabilities = probabilities.astype('float32')
    trajectory = Trajectory(image, retina, locations, probabilities, label)
    return trajectory, [size * 2 ** j for j in range(scales)]


def rasterise(figure):
    figure.canvas.draw()
    return numpy.array(figure.canvas.buffer_rgba())[:, :, :3].astype(int)


def scene(trajectory, patch_sizes, margin, step=-1):
    """Axes that fill a figure, ZOOM pixels to a pixel of the image."""
    height, width = (side + 2 * margin for side in trajectory.image.shape[1:])
    figure = Figure(figsize=(width * ZOOM / 72, height * ZOOM / 72), dpi=72)
    FigureCanvasAgg(figure)
    ax = figure.add_axes([0, 0, 1, 1])
    Scene(ax, trajectory, patch_sizes, margin).show(
        step % trajectory.glimpses)
    return ax


def coloured(raster, colour):
    """Bounding box of a colour: first and last row, first and last column."""
    colour = numpy.array([round(255 * c) for c in to_rgb(colour)])
    found = (abs(raster - colour) <= 3).all(axis=2)
    rows, columns = found.any(axis=1).nonzero()[0], found.any(axis=0).nonzero()
    return found, rows[0], rows[-1], columns[0][0], columns[0][-1]
