"""Element-wise operations of a rollout on the CPU, in place, in few passes.

:mod:`ram.fast.kernels` has the same functions for a GPU. All write into arrays
of the caller. Arrays have one dtype; most are (B, width), with contiguous rows
that may be parts of wider rows.
"""

from typing import NamedTuple, Optional, Sequence, Tuple

import numpy

from ram.fast.products import dot
from ram.functions.glimpse import glimpse, summed_area_table

Array = numpy.ndarray

# The sums of a gate are contiguous: a pass over them takes half as long as
# over parts of rows.
GATE_MAJOR = True
MEAN_PARTS = 1


class Policy(NamedTuple):
    """From what a location is sampled.

    Attributes:
        sums: (B, MEAN_PARTS, 2), whose sum over parts is that of the policy's
            last layer without bias.
        b: (2,), its bias.
        noise: (B, 2).
        std: Its factor.
        squash: Whether the mean is the tanh of sum and bias, or the sum.
        mean: (B, 2), written.

    """

    sums: Array
    b: Array
    noise: Array
    std: float
    squash: bool
    mean: Array


def sum_up(images: Array, table: Optional[Array]) -> Array:
    """See :func:`ram.functions.glimpse.summed_area_table`."""
    return summed_area_table(images, table)


def join(what_W: Array, where_W: Array, what_b: Array, where_b: Array,
         W: Array, b: Array) -> None:
    """W is the two matrices side by side, b the sum of the two vectors."""
    W[:, :what_W.shape[1]] = what_W
    W[:, what_W.shape[1]:] = where_W
    numpy.add(what_b, where_b, out=b)


def look(images: Array, table: Optional[Array], factor: int,
         policy: Optional[Policy], sampled: Array, W: Array, b: Array,
         clipped: Array, locations: Array, buffer: Array, code: Array,
         retina: Array) -> None:
    """Samples and encodes the locations, and reads the patches there.

    Args:
        images: (B, C, H, W) contiguous.
        table: Their :func:`ram.functions.glimpse.summed_area_table`; None for
            one scale.
        factor: See :func:`ram.functions.glimpse.glimpse`.
        policy: None where ``sampled`` is given.
        sampled: (B, 2) locations.
        W: (units, 2), weights of the code.
        b: (units,), its bias.
        clipped: (B, 2), written like all that follow: inside the image.
        locations: (B, 2), the same.
        buffer: (B, units), scratch.
        code: (B, units), Rect(W l + b).
        retina: (B, k, C, g, g).

    """
    if policy is not None:
        numpy.add(policy.sums[:, 0], policy.b, out=policy.mean)
        if policy.squash:
            numpy.tanh(policy.mean, out=policy.mean)
        numpy.multiply(policy.noise, policy.std, out=sampled)
        sampled += policy.mean
    numpy.maximum(sampled, -1, out=clipped)
    numpy.minimum(clipped, 1, out=clipped)
    locations[...] = clipped
    dot(clipped, W.T, out=buffer)
    rectify(buffer, b, code)
    _, scales, _, _, size = retina.shape
    glimpse(images, clipped, size, scales, factor, table, out=retina)


def rectify(z: Array, b: Array, *outs: Array) -> None:
    """out = Rect(z + b), for each of ``outs``; z is overwritten."""
    # max(z, -b) + b is the same to the bit and takes a pass less.
    numpy.maximum(z, -b, out=z)
    for out in outs:
        numpy.add(z, b, out=out)


def rectify_backward(y: Array, out: Array, *terms: Array) -> None:
    """Gradient of ``y = Rect(z)`` with respect to z.

    Args:
        y: (B, width).
        out: (B, width), written; not y, and no term but the first.
        *terms: (B, width) each: their sum, of one or two, is the gradient
            with respect to y.

    """
    d = _sum(terms, out)
    # A product of two dtypes is buffered, and slow.
    numpy.multiply(d, (y > 0).astype(d.dtype), out=out)


def _sum(terms, buffer):
    """The sum of one or two arrays; in the buffer if there are two."""
    return terms[0] if len(terms) == 1 else numpy.add(*terms, out=buffer)


def lstm(z: Array, b: Array, c: Array, next_c: Array, tanh_c: Array,
         buffer: Array, *outs: Array) -> None:
    """A step of an LSTM from the sums of its gates.

    Args:
        z: (4, B, units) sums without bias: forget, input and output gate, cell
            input; overwritten by their activations. The first step has no
            forget gate: (3, B, units).
        b: (4 units,) or (3 units,).
        c: (B, units); None in the first step.
        next_c: (B, units), written like all that follow.
        tanh_c: (B, units), tanh of ``next_c``.
        buffer: (B, units), scratch.
        *outs: (B, units), each receives the next state h.

    """
    i, o, a = z[-3:]
    # tanh(z) is 2 sigmoid(2 z) - 1: one exponential serves all gates and takes
    # half as long as a tanh. Where it overflows, a sigmoid is 0.
    numpy.subtract(-b.reshape(len(z), 1, -1), z, out=z)
    a *= 2
    with numpy.errstate(over='ignore'):
        numpy.exp(z, out=z)
    z += 1
    numpy.reciprocal(z, out=z)
    a *= 2
    a -= 1
    numpy.multiply(i, a, out=next_c)
    if len(z) == 4:
        numpy.multiply(z[0], c, out=buffer)
        next_c += buffer
    numpy.tanh(next_c, out=tanh_c)
    numpy.multiply(o, tanh_c, out=outs[0])
    for out in outs[1:]:
        out[...] = outs[0]


def lstm_backward(z: Array, c: Optional[Array], tanh_c: Array,
                  terms: Sequence[Array], is_last: bool, dc: Array, dz: Array,
                  buffers: Tuple[Array, Array, Array]) -> None:
    """Gradients of :func:`lstm`.

    Args:
        z: (4, B, units) or (3, B, units), as :func:`lstm` left it.
        c: (B, units), before the step; None in the first step.
        tanh_c: (B, units), after the step.
        terms: (B, units) each: their sum, of one or two, is the gradient of
            the next h.
        is_last: The last step: the next c has no gradient except through h.
        dc: (B, units), otherwise that gradient; overwritten by that of c.
        dz: (B, 4 units) or (B, 3 units), gradient of the sums, written.
        buffers: (B, units), (B, units) and (3, B, units), scratch.

    """
    buffer, dh, slopes = buffers
    dh = _sum(terms, dh)
    if is_last:
        dc[...] = 0
    i, o, a = z[-3:]
    *d_sigmoids, da = dz.reshape(len(dz), len(z), -1).swapaxes(0, 1)
    _slope_of_tanh(tanh_c, buffer)
    buffer *= o
    buffer *= dh
    dc += buffer
    sigmoids, slopes = z[:-1], slopes[-len(d_sigmoids):]
    numpy.subtract(1, sigmoids, out=slopes)
    slopes *= sigmoids
    # From the last: the forget gate may be missing.
    for slope, factor, d, out in zip(
            slopes[::-1], (tanh_c, a, c), (dh, dc, dc), d_sigmoids[::-1]):
        slope *= factor
        numpy.multiply(slope, d, out=out)
    _slope_of_tanh(a, buffer)
    buffer *= i
    numpy.multiply(buffer, dc, out=da)
    if len(z) == 4:
        dc *= z[0]


def _slope_of_tanh(y, out):
    numpy.multiply(y, y, out=out)
    numpy.subtract(1, out, out=out)


def mean_sums(inputs: Array, b: Optional[Array], hidden: Optional[Array],
              W: Array, sums: Array) -> None:
    """Sums of the policy's mean, with its hidden layer if it has one.

    Args:
        inputs: (B, width): the hidden layer without bias, overwritten; or,
            without a hidden layer, the state.
        b: (width,), bias of the hidden layer, or None.
        hidden: (B, width), written: the hidden layer; or None.
        W: (2, width).
        sums: (B, MEAN_PARTS, 2), written, see :class:`Policy`.

    """
    if b is not None:
        rectify(inputs, b, hidden)
        inputs = hidden
    dot(inputs, W.T, out=sums[:, 0])
