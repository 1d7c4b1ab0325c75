import chainer
import chainer.functions as F
import chainer.links as L
import numpy
from chainer.initializers import LeCunNormal


class _Core(chainer.Chain):
    """What both cores share: one product for glimpse and state together."""

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

    The rows of the weight belong to the gates in turn, ``[i::4]`` to the
    input, input gate, forget gate and output gate, as in
    :func:`chainer.functions.lstm`. The forget gate starts open.

    Args:
        in_units (int): Width of the glimpse vector g.
        units (int): Width of the state h.
        rng (numpy.random.Generator): Draws the initial weights.

    """

    def __init__(self, in_units, units, rng=None):
        super().__init__(in_units, units, 4, rng)
        self.linear.b.array[2::4] = 1

    def initial_state(self, batch):
        """(c, h), zeros of (B, units) each."""
        return self._zeros(batch), self._zeros(batch)

    def forward(self, state, g):
        """One step.

        Args:
            state (tuple of Variables): (c, h), (B, units) each.
            g (Variable): (B, in_units).

        Returns:
            tuple of Variables: The next state, h last.

        """
        c, h = state
        return F.lstm(c, self.linear(F.concat([g, h])))


class RNNCore(_Core):
    """The paper's core for images (Section 4):

    .. math:: h_t = Rect(Linear(h_{t-1}) + Linear(g_t))

    The state's own weights start at half the identity, and so hand the past
    on through the rectifier without growing over the steps.

    Args:
        in_units (int): Width of the glimpse vector g.
        units (int): Width of the state h.
        rng (numpy.random.Generator): Draws the initial weights.

    """

    def __init__(self, in_units, units, rng=None):
        super().__init__(in_units, units, 1, rng)
        self.linear.W.array[:, in_units:] = 0.5 * numpy.eye(units)

    def initial_state(self, batch):
        """(h,), zeros of (B, units)."""
        return self._zeros(batch),

    def forward(self, state, g):
        """One step, (h,) to (h,); see :meth:`LSTMCore.forward`."""
        h, = state
        return F.relu(self.linear(F.concat([g, h]))),


CORES = {'lstm': LSTMCore, 'rnn': RNNCore}
