import chainer
import chainer.links as L
from chainer.initializers import LeCunNormal


class ActionNetwork(chainer.Chain):
    """What it is: the logits of a softmax, linear in the state (Section 3.1).

    Args:
        in_units (int): Width of the state h.
        classes (int): Number of classes K.
        rng (numpy.random.Generator): Draws the initial weights.

    """

    def __init__(self, in_units, classes, rng=None):
        super().__init__()
        with self.init_scope():
            self.logits = L.Linear(in_units, classes,
                                   initialW=LeCunNormal(rng=rng))

    def forward(self, h):
        """Logits (..., K) of states h (..., in_units)."""
        return self.logits(h, n_batch_axes=h.ndim - 1)
