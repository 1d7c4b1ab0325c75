"""A running average of the weights."""

from typing import Any

import chainer
from chainer.training import extension

from ram.fast.flat import flatten


class AverageWeights(extension.Extension):
    """Keeps a running average of the weights, which is what is measured.

    Averaged over some epochs, weights change less from one epoch to the next
    than the learning rate makes them, and the best epoch on validation is less
    a matter of luck.

    Args:
        model: The network that learns.
        decay: Weight of the average so far, below 1. It starts lower, so that
            the first weights are soon forgotten.
        updated_by_engine: The engine ``device`` updates the average within
            its iterations; the extension then only saves it.

    Attributes:
        model: The network with the averaged weights.
        vector: (number of weights,) array of all of these.
        decay: As given.

    """

    trigger = 1, 'iteration'
    priority = extension.PRIORITY_WRITER + 50  # before it is measured

    def __init__(self, model: chainer.Chain, decay: float,
                 updated_by_engine: bool = False):
        self.decay = decay
        self.model = model.copy('copy')
        self.vector = flatten(self.model)
        self._updated_by_engine = updated_by_engine

    def __call__(self, trainer: Any) -> None:
        if self._updated_by_engine:
            return
        t = trainer.updater.iteration
        step = 1 - min(self.decay, t / (t + 10))
        weights = trainer.updater.get_optimizer('main').target.vector.array
        self.vector += step * (weights - self.vector)

    def serialize(self, serializer):
        self.model.serialize(serializer['model'])
