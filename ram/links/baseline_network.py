"""The baseline: the reward to expect."""

from typing import Any, Optional

import chainer
import chainer.functions as F
import chainer.links as L
import numpy
from chainer.initializers import LeCunNormal


class BaselineNetwork(chainer.Chain):
    """The expected reward b_t = E[R | h_t], linear in the state (Section 3.2).

    The states are detached: the baseline trains no other part.

    Args:
        in_units: Width of the state h.
        rng: Samples the initial weights.

    """

    def __init__(self, in_units: int,
                 rng: Optional[numpy.random.Generator] = None):
        super().__init__()
        with self.init_scope():
            self.value = L.Linear(in_units, 1, initialW=LeCunNormal(rng=rng))

    def forward(self, h: Any) -> chainer.Variable:
        """Expected rewards (...,) of states h (..., in_units)."""
        h = chainer.as_array(h)  # detached
        flat = h.reshape(-1, h.shape[-1])
        return F.reshape(self.value(flat), h.shape[:-1])
