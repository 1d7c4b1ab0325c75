"""All parameters as one vector, which an optimizer passes over once."""

from typing import Any, List

import chainer
import numpy
from chainer.optimizers import adam

from ram.devices import Array

ALIGNED = 64  # elements: 256 or 512 bytes
_BLOCK = 2 ** 15  # elements: a block and its scratch buffer stay in the cache


def flatten(link: chainer.Link) -> Array:
    """Moves the parameters of a link into one vector.

    Args:
        link: Its parameters become views of the vector, in the order of their
            names.

    Returns:
        Array on the link's device: the weights, and between parameters zeros,
        so that each begins where cuBLAS and the processor read fastest.

    """
    params = _ordered(link)
    # Zeros and copies, which CuPy compiles no kernel for.
    vector = link.xp.zeros(sum(_rounded(param.size) for param in params),
                           params[0].dtype)
    for param, part in _split(params, vector):
        part[...] = param.array
        param.array = part
    return vector


def _ordered(link) -> List[chainer.Parameter]:
    return [param for _, param in sorted(link.namedparams())]


def _split(params, vector):
    """Each parameter with its part of a vector, in its shape."""
    begin = 0
    for param in params:
        yield param, vector[begin:begin + param.size].reshape(param.shape)
        begin += _rounded(param.size)


def _rounded(size):
    return -(-size // ALIGNED) * ALIGNED


class FlatChain(chainer.Chain):
    """A chain as optimizers see it: with one parameter.

    What an optimizer does parameter by parameter (norm, clipping, moments,
    the sum over processes) it does here once.

    Args:
        chain: With all parameters initialized, on its device.

    Attributes:
        chain: The same, whose parameters are now views of a vector.

    """

    def __init__(self, chain: chainer.Chain):
        super().__init__()
        self.chain = chain  # not a child: its parameters are not seen
        self._views = _ordered(chain)
        vector = flatten(chain)
        with self.init_scope():
            self.vector = chainer.Parameter(vector)
        self._gradient = self.xp.zeros_like(vector)

    @property
    def xp(self):
        return self.chain.xp

    def forward(self, *args):
        """The chain's loss."""
        return self.chain(*args)

    def cleargrads(self):
        # Not the vector's, which gather overwrites.
        self.chain.cleargrads()

    def gather(self, optimizer: Any = None) -> None:
        """An optimizer hook, the first: collects the gradients.

        A parameter that no term of the loss reached has a gradient of zero.
        """
        for param, part in _split(self._views, self._gradient):
            part[...] = 0 if param.grad is None else param.grad
        self.vector.grad = self._gradient

    def join_gradients(self) -> None:
        """Makes the parameters' gradients views of the vector's, zero.

        For code that writes them in place and calls neither ``cleargrads``
        nor :meth:`gather`.
        """
        self._gradient[...] = 0
        self.vector.grad = self._gradient
        for param, part in _split(self._views, self._gradient):
            param.grad = part

    def serialize(self, serializer):
        # The vector holds what the chain's parameters are views of.
        self.chain.serialize(serializer)


class Adam(chainer.optimizers.Adam):
    """Chainer's Adam, with a pass on the CPU that stays in the cache."""

    def create_update_rule(self):
        return _AdamRule(self.hyperparam)


class _AdamRule(adam.AdamRule):

    def update_core_cpu(self, param):
        hp = self.hyperparam
        # alpha_t includes the corrections for a young m and v.
        adam_pass(*(array.ravel() for array in (
            param.array, param.grad, self.state['m'], self.state['v'])),
            self.alpha_t, hp.beta1, hp.beta2, hp.eps)


def adam_pass(weights: numpy.ndarray, gradient: numpy.ndarray,
              m: numpy.ndarray, v: numpy.ndarray, rate: float, beta1: float,
              beta2: float, eps: float) -> None:
    """Kingma and Ba's update as Chainer computes it, in place, in blocks.

    Args:
        weights: (n,), updated like m and v.
        gradient: (n,).
        m: (n,) running mean of the gradient.
        v: (n,) running mean of its square.
        rate: Learning rate, corrected for a young m and v.
        beta1: Decay of m.
        beta2: Decay of v.
        eps: Added to the root of v.

    """
    buffer = numpy.empty(min(_BLOCK, len(weights)), weights.dtype)
    for begin in range(0, len(weights), _BLOCK):
        w, g, m_, v_ = (a[begin:begin + _BLOCK]
                        for a in (weights, gradient, m, v))
        step = buffer[:len(w)]
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
