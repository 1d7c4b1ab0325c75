"""Element-wise operations of a rollout on the CPU, in place, in few passes.

:mod:`ram.fast.kernels` has the same functions for a GPU. All write into arrays
of the caller. Arrays have one dtype; most are (B, width), with contiguous rows
that may be parts of wider rows.
"""

import numpy

Array = numpy.ndarray

# The sums of a gate are contiguous: a pass over them takes half as long as
# over parts of rows.
GATE_MAJOR = True


def rectify(z: Array, b: Array, *outs: Array) -> None:
    """out = Rect(z + b), for each of ``outs``; z is overwritten."""
    # max(z, -b) + b is the same to the bit and takes a pass less.
    numpy.maximum(z, -b, out=z)
    for out in outs:
        numpy.add(z, b, out=out)


def rectify_backward(d: Array, y: Array, out: Array) -> None:
    """Gradient of ``y = Rect(z)`` with respect to z."""
    # A product of two dtypes is buffered, and slow.
    numpy.multiply(d, (y > 0).astype(d.dtype), out=out)


def lstm(z: Array, b: Array, c: Array, next_c: Array, tanh_c: Array,
         buffer: Array, *outs: Array) -> None:
    """A step of an LSTM from the sums of its gates.

    Args:
        z: (4, B, units) sums without bias: forget, input and output gate, cell
            input; overwritten by their activations. The first step has no
            forget gate: (3, B, units).
        b: (4 units,) or (3 units,).
        c: (B, units); not read without the forget gate.
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


def lstm_backward(z: Array, c: Array, tanh_c: Array, dh: Array, dc: Array,
                  dz: Array, buffer: Array, slopes: Array) -> None:
    """Gradients of :func:`lstm`.

    Args:
        z: (4, B, units) or (3, B, units), as :func:`lstm` left it.
        c: (B, units), before the step.
        tanh_c: (B, units), after the step.
        dh: (B, units), gradient of the next h.
        dc: (B, units), gradient of the next c except through h; overwritten
            by that of c, if there is a forget gate.
        dz: (B, 4 units) or (B, 3 units), gradient of the sums, written.
        buffer: (B, units), scratch.
        slopes: (3, B, units), scratch.

    """
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


def sample_location(z: Array, b: Array, noise: Array, std: float,
                    squash: bool, mean: Array, sampled: Array) -> None:
    """mean = z + b, or its tanh, sampled = mean + std noise."""
    numpy.add(z, b, out=mean)
    if squash:
        numpy.tanh(mean, out=mean)
    numpy.multiply(noise, std, out=sampled)
    sampled += mean


def encode_location(sampled: Array, W: Array, b: Array, clipped: Array,
                    locations: Array, buffer: Array, out: Array) -> None:
    """Clips locations to the image and encodes them: Rect(Linear(l)).

    Args:
        sampled: (B, 2).
        W: (units, 2).
        b: (units,).
        clipped: (B, 2), written like all that follow.
        locations: (B, 2), the same.
        buffer: (B, units), scratch.
        out: (B, units), the code.

    """
    numpy.maximum(sampled, -1, out=clipped)
    numpy.minimum(clipped, 1, out=clipped)
    locations[...] = clipped
    numpy.dot(clipped, W.T, out=buffer)
    rectify(buffer, b, out)
