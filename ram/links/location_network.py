import chainer
import chainer.functions as F
import chainer.links as L
from chainer.initializers import LeCunNormal


class LocationNetwork(chainer.Chain):
    """Where to look next: the mean of a Gaussian (Section 3.1).

    The paper's mean is linear in the state. Squashed by a tanh it cannot
    leave the image, and a hidden layer lets it learn while the core hears
    nothing of it.

    Args:
        in_units (int): Width of the state h.
        hidden_units (int): Width of the hidden layer; 0 for none.
        rng (numpy.random.Generator): Draws the initial weights.

    """

    def __init__(self, in_units, hidden_units=0, rng=None):
        super().__init__()
        with self.init_scope():
            if hidden_units:
                self.hidden = L.Linear(in_units, hidden_units,
                                       initialW=LeCunNormal(rng=rng))
            self.mean = L.Linear(hidden_units or in_units, 2,
                                 initialW=LeCunNormal(rng=rng))
        if not hidden_units:
            self.hidden = None

    def forward(self, h):
        """The policy's mean.

        Args:
            h (Variable): (B, in_units), cut from the graph by the caller
                where REINFORCE must not reach the core.

        Returns:
            Variable: (B, 2), (x, y) in [-1, 1].

        """
        if self.hidden is not None:
            h = F.relu(self.hidden(h))
        return F.tanh(self.mean(h))
