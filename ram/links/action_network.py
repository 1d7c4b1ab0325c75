"""The action network f_a: which class the image is."""

from typing import Optional

import chainer
import chainer.links as L
import numpy
from chainer.initializers import LeCunNormal


class ActionNetwork(chainer.Chain):
    """The logits of a softmax, linear in the state (Section 3.1).

    Args:
        in_units: Width of the state h.
        classes: Number of classes K.
        rng: Samples the initial weights.

    """

    def __init__(self, in_units: int, classes: int,
                 rng: Optional[numpy.random.Generator] = None):
        super().__init__()
        with self.init_scope():
            self.logits = L.Linear(in_units, classes,
                                   initialW=LeCunNormal(rng=rng))

    def forward(self, h: chainer.Variable) -> chainer.Variable:
        """Logits (..., K) of states h (..., in_units)."""
        return self.logits(h, n_batch_axes=h.ndim - 1)
