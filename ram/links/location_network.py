"""The location network f_l: where to look next."""

from typing import Any, Optional

import chainer
import chainer.functions as F
import chainer.links as L
import numpy
from chainer.initializers import LeCunNormal


class LocationNetwork(chainer.Chain):
    """The mean of the Gaussian policy (Section 3.1).

    The paper's mean is linear in the state. By default a tanh keeps it inside
    the image, and a hidden layer lets it learn where its gradient does not
    reach the core.

    Args:
        in_units: Width of the state h.
        hidden_units: Width of the hidden layer; 0 for none.
        rng: Samples the initial weights.

    Attributes:
        squash (bool): Whether the mean is squashed by a tanh.

    """

    squash = True

    def __init__(self, in_units: int, hidden_units: int = 0,
                 rng: Optional[numpy.random.Generator] = None):
        super().__init__()
        with self.init_scope():
            if hidden_units:
                self.hidden = L.Linear(in_units, hidden_units,
                                       initialW=LeCunNormal(rng=rng))
            self.mean = L.Linear(hidden_units or in_units, 2,
                                 initialW=LeCunNormal(rng=rng))
        if not hidden_units:
            self.hidden = None

    def forward(self, h: Any) -> chainer.Variable:
        """The policy's mean.

        Args:
            h: (B, in_units), detached by the caller where REINFORCE must not
                reach the core.

        Returns:
            (B, 2), (x, y); in [-1, 1] if squashed.

        """
        if self.hidden is not None:
            h = F.relu(self.hidden(h))
        mean = self.mean(h)
        return F.tanh(mean) if self.squash else mean
