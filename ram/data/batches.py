"""The training iterator."""

import chainer
import numpy

from ram.data.canvas import shift
from ram.data.splits import make_canvases
from ram.streams import serialize_generator


class BatchIterator(chainer.dataset.Iterator):
    """Hands out whole batches of canvases, in a new order every epoch.

    Every batch has the same size: one that reaches the end of an epoch is
    filled up from the next. Its full state can be saved and restored.

    Args:
        data (ram.config.DataConfig): Which canvases.
        split (ram.data.splits.Split): Training images.
        batch_size (int): B; at most the number of images.
        streams (dict of str to numpy.random.Generator): ``order`` and
            ``canvas`` are drawn from.
        rank (int): Of this process among ``size`` that share each batch; it
            is handed its part of B / size images.
        size (int): Number of processes, of which B is a multiple.

    """

    def __init__(self, data, split, batch_size, streams, rank=0, size=1):
        self._data = data
        self._split = split
        self.batch_size = batch_size
        self._part = slice(rank * batch_size // size,
                           (rank + 1) * batch_size // size)
        self._rng_order = streams['order']
        self._rng_canvas = streams['canvas']
        self.epoch = 0
        self.is_new_epoch = False
        self._position = 0
        self._previous_epoch_detail = -1.
        self._order = self._rng_order.permutation(len(split.labels))

    def __next__(self):
        """The next batch.

        Returns:
            tuple of arrays: Images (B, C, H, W) float32 in [0, 1] and labels
            (B,) int32.

        """
        self._previous_epoch_detail = self.epoch_detail
        chosen = self._order[self._position:self._position + self.batch_size]
        self._position += len(chosen)
        self.is_new_epoch = self._position >= len(self._order)
        if self.is_new_epoch:
            self.epoch += 1
            self._order = self._rng_order.permutation(len(self._order))
            self._position = self.batch_size - len(chosen)
            chosen = numpy.concatenate(
                [chosen, self._order[:self._position]])
        chosen = chosen[self._part]
        images, _ = make_canvases(self._data, self._split.images[chosen],
                                  self._split.images, self._rng_canvas)
        if self._data.shift:
            images = shift(images, self._data.shift, self._rng_canvas)
        return images, self._split.labels[chosen]

    next = __next__

    @property
    def epoch_detail(self):
        """Epochs passed, with the fraction of the one under way."""
        return self.epoch + self._position / len(self._order)

    @property
    def previous_epoch_detail(self):
        """``epoch_detail`` before the last batch; None before the first."""
        detail = self._previous_epoch_detail
        return None if detail < 0 else detail

    def serialize(self, serializer):
        """Saves or restores epoch, order, position and generators."""
        self.epoch = int(serializer('epoch', self.epoch))
        self.is_new_epoch = bool(
            serializer('is_new_epoch', self.is_new_epoch))
        self._position = int(serializer('position', self._position))
        self._previous_epoch_detail = float(serializer(
            'previous_epoch_detail', self._previous_epoch_detail))
        self._order = serializer('order', self._order)
        serialize_generator(serializer, 'rng_order', self._rng_order)
        serialize_generator(serializer, 'rng_canvas', self._rng_canvas)
