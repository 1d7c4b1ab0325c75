"""The core f_h: what the network remembers from glimpse to glimpse."""

from typing import Optional, Tuple

import chainer
import chainer.functions as F
import chainer.links as L
import numpy
from chainer.initializers import LeCunNormal

State = Tuple[chainer.Variable, ...]


class _Core(chainer.Chain):
    """One product for glimpse vector and state together, for both cores."""

    def __init__(self, in_units, units, gates, rng):
        super().__init__()
        self.units = units
        with self.init_scope():
            self.linear = L.Linear(in_units + units, gates * units,
                                   initialW=LeCunNormal(rng=rng))

    def _zeros(self, batch):
        return chainer.Variable(
            self.xp.zeros((batch, self.units), self.linear.W.dtype))


class LSTMCore(_Core):
    """An LSTM without peepholes, as the paper uses for changing scenes.

    The rows of the weight are the interleaved gates of
    :func:`chainer.functions.lstm`: ``[i::4]`` are cell input, input gate,
    forget gate and output gate. The forget gate starts open.

    Args:
        in_units: Width of the glimpse vector g.
        units: Width of the state h.
        rng: Samples the initial weights.

    """

    def __init__(self, in_units: int, units: int,
                 rng: Optional[numpy.random.Generator] = None):
        super().__init__(in_units, units, 4, rng)
        self.linear.b.array[2::4] = 1

    def initial_state(self, batch: int) -> State:
        """(c, h), zeros of (B, units) each."""
        return self._zeros(batch), self._zeros(batch)

    def forward(self, state: State, g: chainer.Variable) -> State:
        """One step.

        Args:
            state: (c, h), (B, units) each.
            g: (B, in_units) glimpse vector.

        Returns:
            The next state, h last.

        """
        c, h = state
        return F.lstm(c, self.linear(F.concat([g, h])))


class RNNCore(_Core):
    """The paper's core for images (Section 4):

    .. math:: h_t = Rect(Linear(h_{t-1}) + Linear(g_t))

    The recurrent weights start at half the identity: they pass the state on
    through the rectifier, and it does not grow over the steps.

    Args:
        in_units: Width of the glimpse vector g.
        units: Width of the state h.
        rng: Samples the initial weights.

    """

    def __init__(self, in_units: int, units: int,
                 rng: Optional[numpy.random.Generator] = None):
        super().__init__(in_units, units, 1, rng)
        self.linear.W.array[:, in_units:] = 0.5 * numpy.eye(units)

    def initial_state(self, batch: int) -> State:
        """(h,), zeros of (B, units)."""
        return self._zeros(batch),

    def forward(self, state: State, g: chainer.Variable) -> State:
        """One step, (h,) to (h,); see :meth:`LSTMCore.forward`."""
        h, = state
        return F.relu(self.linear(F.concat([g, h]))),
