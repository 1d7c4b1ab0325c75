"""What RAM is compared with: the paper's FC and convolutional networks."""

import chainer
import chainer.functions as F
import chainer.links as L
from chainer.initializers import LeCunNormal

FILTERS, SIDE, STRIDE = 8, 10, 5  # of the paper's one convolution


class Baseline(chainer.Chain):
    """A network that sees the whole image at once.

    Called with images, a (B, C, H, W) float32 array in [0, 1], it returns
    logits, a (B, K) Variable.
    """


class FullyConnected(Baseline):
    """Two rectified layers, then a softmax (Tables 1 and 2).

    Args:
        pixels (int): C * H * W.
        units (int): Width of each layer.
        classes (int): Number of classes K.
        rng (numpy.random.Generator): Draws the initial weights.

    """

    def __init__(self, pixels, units, classes, rng=None):
        super().__init__()
        with self.init_scope():
            self.first = _linear(pixels, units, rng)
            self.second = _linear(units, units, rng)
            self.logits = _linear(units, classes, rng)

    def forward(self, images):
        return self.logits(F.relu(self.second(F.relu(self.first(images)))))


class Convolutional(Baseline):
    """8 filters of 10x10 at stride 5, a rectified layer, then a softmax.

    Args:
        channels (int): C.
        size (tuple of int): (H, W) of an image, at least (10, 10).
        units (int): Width of the layer.
        classes (int): Number of classes K.
        rng (numpy.random.Generator): Draws the initial weights.

    """

    def __init__(self, channels, size, units, classes, rng=None):
        super().__init__()
        places = [(side - SIDE) // STRIDE + 1 for side in size]
        with self.init_scope():
            self.convolution = L.Convolution2D(
                channels, FILTERS, SIDE, STRIDE,
                initialW=LeCunNormal(rng=rng))
            self.hidden = _linear(FILTERS * places[0] * places[1], units, rng)
            self.logits = _linear(units, classes, rng)

    def forward(self, images):
        """Does what ``self.convolution`` would, in one product.

        At this stride a pixel is in few windows: to copy them all at once is
        three times as fast as Chainer's way, a pixel of the filter at a time.
        """
        batch, filters = len(images), self.convolution
        windows = self.xp.lib.stride_tricks.sliding_window_view(
            images, (SIDE, SIDE), axis=(2, 3))[:, :, ::STRIDE, ::STRIDE]
        windows = windows.transpose(0, 2, 3, 1, 4, 5).reshape(
            -1, filters.W.size // FILTERS)
        seen = F.relu(F.linear(
            windows, filters.W.reshape(FILTERS, -1), filters.b))
        seen = seen.reshape(batch, -1, FILTERS).transpose(0, 2, 1)
        return self.logits(F.relu(self.hidden(seen)))


def _linear(in_units, out_units, rng):
    return L.Linear(in_units, out_units, initialW=LeCunNormal(rng=rng))


def build_baseline(config, rng):
    """Builds the baseline that a configuration names.

    Args:
        config (ram.config.Config): With ``model.network`` fc or conv.
        rng (numpy.random.Generator): Draws the initial weights.

    Returns:
        Baseline: On the CPU, float32.

    """
    data, units = config.data, config.model.units
    height, width = data.canvas_size
    with chainer.using_config('dtype', 'float32'):
        if config.model.network == 'fc':
            return FullyConnected(data.channels * height * width, units,
                                  data.classes, rng)
        return Convolutional(data.channels, (height, width), units,
                             data.classes, rng)
