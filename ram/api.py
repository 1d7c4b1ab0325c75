"""A trained network from Python: load it, predict, and see its glimpses."""

from typing import Any, List, NamedTuple, Optional, Tuple

import numpy

from ram.checkpoint import load_checkpoint
from ram.devices import get_device
from ram.errors import RamError
from ram.evaluation import evaluate as evaluation
from ram.models.comparison import Baseline

# The layouts of images, and the conversion of each to (N, C, H, W).
LAYOUTS = {
    'HW': lambda images: images[None, None],
    'HWC': lambda images: images.transpose(2, 0, 1)[None],
    'NHW': lambda images: images[:, None],
    'NHWC': lambda images: images.transpose(0, 3, 1, 2),
    'NCHW': lambda images: images}


class Prediction(NamedTuple):
    """Classes of N images, and the T glimpses of each.

    Attributes:
        classes: (N,) int32, the prediction after the last glimpse.
        probabilities: (N, T, K) float32, after each glimpse.
        locations: (N, T, 2) float64, (x, y) in pixels: (0, 0) is the outer
            corner of the top left pixel, (W, H) that of the bottom right one.
            A baseline, which takes no glimpses, has (N, 0, 2).
        images: (N, C, H, W) float32 in [0, 1], the network's input.
        model: The Model that predicts.

    """

    classes: numpy.ndarray
    probabilities: numpy.ndarray
    locations: numpy.ndarray
    images: numpy.ndarray
    model: 'Model'

    @property
    def names(self) -> List[str]:
        """The N classes by name."""
        return [self.model.class_names[i] for i in self.classes]

    def trajectory(self, index: int, label: Optional[int] = None
                   ) -> evaluation.Trajectory:
        """The glimpses of one image, which :mod:`ram.visualizations` draws.

        Args:
            index: The image.
            label: Its true class, if it is known.

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
        network: A ram.models.ram.RAM or ram.models.comparison.Baseline.
        config: The whole ram.config.Config.
        metrics: Dict of the measurements saved with it: ``epoch``,
            ``iteration`` and ``validation_error`` in %.
        path: The file.

    """

    def __init__(self, path: str, device: str = '@numpy'):
        self.network, self.config, self.metrics, self.path = (
            load_checkpoint(path))
        self.network.to_device(get_device(device))

    @property
    def patch_sizes(self) -> Tuple[int, ...]:
        """Sides of the patches of a glimpse, in pixels, finest first."""
        return self.config.model.patch_sizes

    @property
    def class_names(self) -> List[str]:
        """The K classes by name: numbers where they have none."""
        data = self.config.data
        return data.class_names or [str(i) for i in range(data.classes)]

    def predict(self, images: Any) -> Prediction:
        """Predicts the classes of images, following the mean policy.

        The first locations are those of ``ram evaluate``: the same images
        give the same result, and the test images the error measured there.

        Args:
            images: One image, (H, W) or (H, W, C), or N of them, (N, H, W),
                (N, H, W, C) or (N, C, H, W), of the height, width and
                channels that the network is trained on; uint8, or float in
                [0, 1].

        Raises:
            RamError: If the images do not fit the network, or their layout
                is ambiguous.

        """
        if self.config.data.is_game:
            raise RamError(f'{self.path}: plays a game and classifies no '
                           'images; load the checkpoint of another network')
        images = self._convert(images)
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

    def _convert(self, images):
        """Images of any layout as (N, C, H, W) float32 in [0, 1]."""
        try:
            images = numpy.asarray(images)
        except (TypeError, ValueError) as error:  # ragged, or on a GPU
            raise self._refusal(f'not a NumPy array ({error})') from error
        given = f'{images.dtype} of shape {images.shape}'
        sizes = self._sizes()
        layouts = [layout for layout in LAYOUTS
                   if len(layout) == images.ndim
                   and all(sizes.get(axis, length) == length
                           for axis, length in zip(layout, images.shape))
                   and ('C' in layout or sizes['C'] == 1)]
        if not layouts or not images.size:
            raise self._refusal(given)
        if len(layouts) > 1:
            raise self._refusal(f'{given}, which could be '
                                + ' or '.join(map(_shape, layouts)))
        if images.dtype == 'uint8':
            images = images.astype('float32') / 255
        elif images.dtype.kind != 'f':
            raise self._refusal(given)
        elif not (images.min() >= 0 and images.max() <= 1):  # NaN too
            raise self._refusal(f'{given}, with values from {images.min()} '
                                f'to {images.max()}')
        return LAYOUTS[layouts[0]](images).astype('float32', copy=False)

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
