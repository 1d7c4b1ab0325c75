"""A trained network from Python: load it, let it look, see where it looked."""

from typing import Any, NamedTuple

import numpy

from ram.checkpoint import load_checkpoint
from ram.devices import get_device
from ram.errors import RamError
from ram.evaluation import evaluate as evaluation
from ram.models.comparison import Baseline

# The layouts of images, and the way from each to (N, C, H, W).
LAYOUTS = {
    'HW': lambda images: images[None, None],
    'HWC': lambda images: images.transpose(2, 0, 1)[None],
    'NHW': lambda images: images[:, None],
    'NHWC': lambda images: images.transpose(0, 3, 1, 2),
    'NCHW': lambda images: images}


class Prediction(NamedTuple):
    """How the network looked at N images, image by image.

    Attributes:
        classes (array): (N,) int32, what each is taken for after the last
            glimpse.
        probabilities (array): (N, T, K) float32, after each glimpse.
        locations (array): (N, T, 2) float64, (x, y) in pixels: (0, 0) is the
            outer corner of the top left pixel, (W, H) that of the bottom
            right one. A baseline, which looks nowhere, has (N, 0, 2).
        images (array): (N, C, H, W) float32 in [0, 1], as they were looked at.
        model (Model): Who looked.

    """

    classes: Any
    probabilities: Any
    locations: Any
    images: Any
    model: Any

    @property
    def names(self):
        """The N classes by name."""
        return [self.model.class_names[i] for i in self.classes]

    def trajectory(self, index, label=None):
        """What :mod:`ram.visualizations` draws of one image.

        Args:
            index (int): The image.
            label (int): Its true class, if it is known.

        Returns:
            ram.evaluation.evaluate.Trajectory

        Raises:
            RamError: For a baseline, which takes no glimpses.

        """
        if isinstance(self.model.network, Baseline):
            raise RamError(f'{self.model.path}: a baseline, which takes no '
                           'glimpses; load the checkpoint of a RAM')
        height, width = self.images.shape[2:]
        locations = 2 * self.locations[index] / (width, height) - 1
        return evaluation.trajectory(
            self.model.network, self.images[index],
            locations.astype('float32'), self.probabilities[index], label)


class Model:
    """A trained network. Get one with :func:`ram.load`.

    Attributes:
        network (ram.models.ram.RAM or ram.models.comparison.Baseline): On its device.
        config (ram.config.Config): The whole configuration.
        metrics (dict): What was measured when it was saved: ``epoch``,
            ``iteration`` and ``validation_error`` in %.
        path (str): The file.

    """

    def __init__(self, path, device='@numpy'):
        self.network, self.config, self.metrics, self.path = (
            load_checkpoint(path))
        self.network.to_device(get_device(device))

    @property
    def patch_sizes(self):
        """Sides of the patches of a glimpse, in pixels, finest first."""
        return self.config.model.patch_sizes

    @property
    def class_names(self):
        """The K classes by name: numbers where they have none."""
        data = self.config.data
        return data.class_names or [str(i) for i in range(data.classes)]

    def predict(self, images):
        """Lets the network look at images, following its mean policy.

        The first locations are those of ``ram evaluate``: the same images
        give the same result, and the test images the error measured there.

        Args:
            images (array): One image, (H, W) or (H, W, C), or N of them,
                (N, H, W), (N, H, W, C) or (N, C, H, W), of the height, width
                and channels that the network was trained on; uint8, or float
                in [0, 1].

        Returns:
            Prediction

        Raises:
            RamError: Where the images do not fit the network, or could be
                meant in more than one way.

        """
        images = self._understand(images)
        locations, probabilities = evaluation.predict(
            self.network, images,
            evaluation.evaluation_streams(self.config.data, 'test'),
            batch_size=self.config.evaluation.batch_size)
        size = images.shape[:1:-1]
        locations = locations.transpose(1, 0, 2).astype('float64')
        return Prediction(
            probabilities[-1].argmax(axis=1).astype('int32'),
            probabilities.transpose(1, 0, 2), (locations + 1) / 2 * size,
            images, self)

    def _understand(self, images):
        """(N, C, H, W) float32 in [0, 1] of whatever was given."""
        try:
            images = numpy.asarray(images)
        except (TypeError, ValueError) as error:  # ragged, or on a GPU
            raise self._refusal(f'no NumPy array ({error})')
        given = f'{images.dtype} of shape {images.shape}'
        ways = self._readings(images.shape)
        if not ways or not images.size:
            raise self._refusal(given)
        if len(ways) > 1:
            raise self._refusal(f'{given}, which could be '
                                + ' or '.join(map(_shape, ways)))
        if images.dtype == 'uint8':
            images = images.astype('float32') / 255
        elif images.dtype.kind != 'f':
            raise self._refusal(given)
        elif not (images.min() >= 0 and images.max() <= 1):  # NaN too
            raise self._refusal(f'{given}, with values from {images.min()} '
                                f'to {images.max()}')
        return LAYOUTS[ways[0]](images).astype('float32', copy=False)

    def _readings(self, shape):
        """The layouts that a shape allows."""
        sizes = self._sizes()
        return [layout for layout in LAYOUTS if len(layout) == len(shape)
                and all(sizes.get(axis, length) == length
                        for axis, length in zip(layout, shape))
                and ('C' in layout or sizes['C'] == 1)]

    def _sizes(self):
        height, width = self.config.data.canvas_size
        return {'H': height, 'W': width, 'C': self.config.data.channels}

    def _refusal(self, given):
        sizes = self._sizes()
        shapes = [_shape(sizes.get(axis, axis) for axis in layout)
                  for layout in LAYOUTS if 'C' in layout or sizes['C'] == 1]
        return RamError(
            f'images: {given}; {self.path} takes uint8, or float in [0, 1], '
            f'of shape {", ".join(shapes[:-1])} or {shapes[-1]}')


def _shape(sizes):
    return f'({", ".join(map(str, sizes))})'
