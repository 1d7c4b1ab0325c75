import chainer
import chainer.functions as F
import chainer.links as L
from chainer.initializers import LeCunNormal


class BaselineNetwork(chainer.Chain):
    """The reward to expect: b_t = E[R | h_t], linear (Section 3.2).

    The states are cut from the graph: the baseline only watches.

    Args:
        in_units (int): Width of the state h.
        rng (numpy.random.Generator): Draws the initial weights.

    """

    def __init__(self, in_units, rng=None):
        super().__init__()
        with self.init_scope():
            self.value = L.Linear(in_units, 1, initialW=LeCunNormal(rng=rng))

    def forward(self, h):
        """Expected rewards (...,) of states h (..., in_units)."""
        h = chainer.as_array(h)
        flat = h.reshape(-1, h.shape[-1])
        return F.reshape(self.value(flat), h.shape[:-1])
