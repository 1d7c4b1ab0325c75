"""The training iterator."""

import copy
from typing import Dict, Tuple

import chainer
import numpy

from ram.config import DataConfig
from ram.data.canvas import shift, warp
from ram.data.splits import Split, make_canvases
from ram.devices import Array
from ram.random_streams import serialize_generator


class BatchIterator(chainer.dataset.Iterator):
    """Returns whole batches of canvases, in a new order every epoch.

    Every batch has the same size: one that reaches the end of an epoch is
    filled up from the next. The full state can be saved and restored. It
    stands in for Chainer's ``SerialIterator``, which returns examples one by
    one and shuffles by the global generator.

    Args:
        data: Which canvases.
        split: Training images.
        batch_size: B; at most the number of images.
        streams: ``order`` and ``canvas`` are used.
        rank: Of this process among ``size`` that share each batch; it gets
            its part of B / size images.
        size: Number of processes, of which B is a multiple.

    """

    def __init__(self, data: DataConfig, split: Split, batch_size: int,
                 streams: Dict[str, numpy.random.Generator], rank: int = 0,
                 size: int = 1):
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

    def __next__(self) -> Tuple[Array, ...]:
        """The next batch.

        Returns:
            Images (B, C, H, W) float32 in [0, 1] and labels (B,) int32.

        """
        chosen = self.next_indices()
        images = self._split.images[chosen]
        if self._data.warp:
            images = warp(images, self._data.warp, self._rng_canvas)
        images, _ = make_canvases(self._data, images, self._split.images,
                                  self._rng_canvas)
        if self._data.shift:
            images = shift(images, self._data.shift, self._rng_canvas)
        return images, self._split.labels[chosen]

    next = __next__

    def next_indices(self) -> Array:
        """Moves on by a batch, without its images.

        Returns:
            (B / size,) the images' indices.

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
        return chosen[self._part]

    def remaining_batches(self) -> Tuple[Array, ...]:
        """What :meth:`next_indices` will give until the epoch is over.

        Returns:
            (n, B / size) indices for each of the next n
            batches, and (n,) ``epoch_detail`` before each.

        """
        count = -(-(len(self._order) - self._position) // self.batch_size)
        following = copy.deepcopy(self._rng_order).permutation(
            len(self._order))
        chosen = numpy.concatenate([self._order[self._position:], following])
        chosen = chosen[:count * self.batch_size].reshape(count, -1)
        passed = self._position + self.batch_size * numpy.arange(count)
        return chosen[:, self._part], self.epoch + passed / len(self._order)

    @property
    def max_batches(self):
        """The most batches that end in one epoch."""
        return -(-len(self._order) // self.batch_size)

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
