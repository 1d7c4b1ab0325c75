"""All parameters as one vector, which an optimizer passes over once."""

import chainer
import numpy
from chainer.optimizers import adam

_BLOCK = 2 ** 15  # elements: a block and what is made of it stay in the cache


def flatten(link):
    """Moves the parameters of a link into one vector.

    Args:
        link (chainer.Link): Its parameters become views of the vector, in
            the order of their names.

    Returns:
        array: (number of weights,), on the link's device.

    """
    vector = link.xp.concatenate(
        [param.array.ravel() for param in _ordered(link)])
    attach(link, vector)
    return vector


def attach(link, vector):
    """Makes parameters views of a vector, whose numbers become theirs.

    Args:
        link (chainer.Link): Its parameters are taken as in :func:`flatten`.
        vector (array): (number of weights,).

    """
    end = 0
    for param in _ordered(link):
        begin, end = end, end + param.size
        param.array = vector[begin:end].reshape(param.shape)


def _ordered(link):
    return [param for _, param in sorted(link.namedparams())]


class FlatChain(chainer.Chain):
    """A chain as optimizers see it: with one parameter.

    What an optimizer does parameter by parameter (norms, clipping, moments,
    the sum over processes) it does here once.

    Args:
        chain (chainer.Chain): With all parameters initialized, on its device.
        vector (array): Where they are to be, with their values in it; one of
            its own if left out.
        gradient (array): Where their gradients are to be, likewise.

    Attributes:
        chain (chainer.Chain): The same, whose parameters are now views of
            this one's.

    """

    def __init__(self, chain, vector=None, gradient=None):
        super().__init__()
        self.chain = chain  # no child: its parameters are not seen
        self._views = _ordered(chain)
        if vector is None:
            vector = flatten(chain)
        else:
            attach(chain, vector)
        with self.init_scope():
            self.vector = chainer.Parameter(vector)
        self._gradient = (self.xp.empty_like(vector) if gradient is None
                          else gradient)

    @property
    def xp(self):
        return self.chain.xp

    def forward(self, *args):
        """The chain's loss."""
        return self.chain(*args)

    def cleargrads(self):
        # Not the vector's, which gather fills anew.
        self.chain.cleargrads()

    def gather(self, optimizer):
        """An optimizer hook, the first: brings the gradients together.

        What no term of the loss reached has none, that is, zero.
        """
        self.xp.concatenate(
            [(self.xp.zeros_like(param.array) if param.grad is None
              else param.grad).ravel() for param in self._views],
            out=self._gradient)
        self.vector.grad = self._gradient

    def join_gradients(self):
        """Makes the parameters' gradients views of the vector's.

        They are zero at first, and stay so where no term of the loss reaches.
        This is for one who writes them in place, and calls neither
        ``cleargrads`` nor ``gather``.
        """
        self._gradient[...] = 0
        self.vector.grad = self._gradient
        end = 0
        for param in self._views:
            begin, end = end, end + param.size
            param.grad = self._gradient[begin:end].reshape(param.shape)

    def serialize(self, serializer):
        # The vector is what the chain's parameters are views of.
        self.chain.serialize(serializer)


class Adam(chainer.optimizers.Adam):
    """Chainer's Adam, with a pass on the CPU that stays in the cache.

    Attributes:
        helpers (ram.fast.workers.Helpers): They do parts of the pass; or
            None. Set before :meth:`setup`.

    """

    helpers = None

    def create_update_rule(self):
        return _AdamRule(self.hyperparam, self.helpers)


class _AdamRule(adam.AdamRule):

    def __init__(self, hyperparam, helpers):
        super().__init__(hyperparam)
        self._helpers = helpers

    def update_core_cpu(self, param):
        """Updates a parameter and its moments, by the helpers if any.

        Args:
            param (chainer.Parameter): With its gradient.

        Raises:
            RamError: Where a helper has died.

        """
        hp, state = self.hyperparam, self.state
        # alpha_t has the corrections for a young m and v.
        numbers = self.alpha_t, hp.beta1, hp.beta2, hp.eps
        if self._helpers is None:
            adam_pass(*(a.ravel() for a in (param.array, param.grad,
                                            state['m'], state['v'])), *numbers)
            return
        for name, shared in self._helpers.moments.items():
            if state[name] is not shared:  # new, or read from a snapshot
                shared[...] = state[name]
                state[name] = shared
        self._helpers.adam(*numbers)


def adam_pass(weights, gradient, m, v, rate, beta1, beta2, eps):
    """Kingma and Ba's update, Chainer's own, block by block in place.

    Args:
        weights (array): (n,), updated like m and v.
        gradient (array): (n,).
        m (array): (n,), running mean of the gradient.
        v (array): (n,), of its square.
        rate (float): Learning rate, corrected for a young m and v.
        beta1 (float): Decay of m.
        beta2 (float): Decay of v.
        eps (float): Added to the root of v.

    """
    room = numpy.empty(min(_BLOCK, len(weights)), weights.dtype)
    for begin in range(0, len(weights), _BLOCK):
        w, g, m_, v_ = (a[begin:begin + _BLOCK]
                        for a in (weights, gradient, m, v))
        step = room[:len(w)]
        numpy.subtract(g, m_, out=step)
        step *= 1 - beta1
        m_ += step
        numpy.multiply(g, g, out=step)
        step -= v_
        step *= 1 - beta2
        v_ += step
        numpy.sqrt(v_, out=step)
        step += eps
        numpy.divide(m_, step, out=step)
        step *= rate
        w -= step
