"""The networks that the paper compares RAM with: fully connected and conv."""

from typing import Any, Optional, Tuple

import chainer
import chainer.functions as F
import chainer.links as L
import numpy
from chainer.initializers import LeCunNormal

from ram.config import Config

FILTERS, SIDE, STRIDE = 8, 10, 5  # of the paper's one convolution


class Baseline(chainer.Chain):
    """A network that sees the whole image at once.

    Called with images, a (B, C, H, W) float32 array in [0, 1], it returns
    logits, a (B, K) Variable.
    """


class FullyConnected(Baseline):
    """Two rectified layers, then a softmax (Tables 1 and 2).

    Args:
        pixels: C * H * W.
        units: Width of each layer.
        classes: Number of classes K.
        rng: Samples the initial weights.

    """

    def __init__(self, pixels: int, units: int, classes: int,
                 rng: Optional[numpy.random.Generator] = None):
        super().__init__()
        with self.init_scope():
            self.first = _linear(pixels, units, rng)
            self.second = _linear(units, units, rng)
            self.logits = _linear(units, classes, rng)

    def forward(self, images: Any) -> chainer.Variable:
        return self.logits(F.relu(self.second(F.relu(self.first(images)))))


class Convolutional(Baseline):
    """8 filters of 10x10 at stride 5, a rectified layer, then a softmax.

    Args:
        channels: C.
        size: (H, W) of an image, at least (10, 10).
        units: Width of the layer.
        classes: Number of classes K.
        rng: Samples the initial weights.

    """

    def __init__(self, channels: int, size: Tuple[int, int], units: int,
                 classes: int, rng: Optional[numpy.random.Generator] = None):
        super().__init__()
        rows, columns = ((side - SIDE) // STRIDE + 1 for side in size)
        with self.init_scope():
            self.convolution = L.Convolution2D(
                channels, FILTERS, SIDE, STRIDE,
                initialW=LeCunNormal(rng=rng))
            self.hidden = _linear(FILTERS * rows * columns, units, rng)
            self.logits = _linear(units, classes, rng)

    def forward(self, images: Any) -> chainer.Variable:
        """Computes ``self.convolution`` as one product.

        At this stride the windows hardly overlap: to copy them all at once is
        three times as fast as Chainer's im2col.
        """
        batch, filters = len(images), self.convolution
        windows = self.xp.lib.stride_tricks.sliding_window_view(
            images, (SIDE, SIDE), axis=(2, 3))[:, :, ::STRIDE, ::STRIDE]
        windows = windows.transpose(0, 2, 3, 1, 4, 5).reshape(
            -1, filters.W.size // FILTERS)
        maps = F.relu(F.linear(
            windows, filters.W.reshape(FILTERS, -1), filters.b))
        maps = maps.reshape(batch, -1, FILTERS).transpose(0, 2, 1)
        return self.logits(F.relu(self.hidden(maps)))


def _linear(in_units, out_units, rng):
    return L.Linear(in_units, out_units, initialW=LeCunNormal(rng=rng))


def build_comparison(config: Config, rng: numpy.random.Generator) -> Baseline:
    """Builds the network that ``model.network`` names, fc or conv."""
    data, units = config.data, config.model.units
    height, width = data.canvas_size
    with chainer.using_config('dtype', 'float32'):
        if config.model.network == 'fc':
            return FullyConnected(data.channels * height * width, units,
                                  data.classes, rng)
        return Convolutional(data.channels, (height, width), units,
                             data.classes, rng)
