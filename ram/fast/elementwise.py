"""The element-wise work of a rollout on the CPU, in place, in few passes.

:mod:`ram.fast.kernels` has the same functions for a GPU. Every one writes
into arrays that its caller owns. All arrays are of one dtype, most of them
(B, width), rows contiguous but perhaps a part of wider ones.
"""

import numpy

# The sums of an LSTM's gate lie in one piece of memory: a pass over them takes
# half as long as over a part of rows.
GATE_MAJOR = True


def rectify(z, b, *outs):
    """out = Rect(z + b), into each of ``outs``; z is used up."""
    # max(z, -b) + b is the same to the bit, and a row of numbers to compare
    # with is faster than one.
    numpy.maximum(z, -b, out=z)
    for out in outs:
        numpy.add(z, b, out=out)


def rectify_backward(d, y, out):
    """Gradient of ``y = Rect(z)`` with respect to z."""
    # A product of two dtypes would go through a buffer.
    numpy.multiply(d, (y > 0).astype(d.dtype), out=out)


def lstm(z, b, c, next_c, tanh_c, buffer, *outs):
    """A step of an LSTM from the sums of its gates.

    Args:
        z (array): (4, B, units), forget, input and output gate, and input,
            without bias; replaced by what they let through. Without the
            forget gate, (3, B, units), nothing came before.
        b (array): (4 units,), or (3 units,).
        c (array): (B, units); not read where there is no forget gate.
        next_c (array): (B, units), the next c goes there.
        tanh_c (array): (B, units), its tanh goes there.
        buffer (array): (B, units), to work in.
        *outs (arrays): (B, units), the next state h goes into each.

    """
    i, o, a = z[-3:]
    # tanh(z) is 2 sigmoid(2 z) - 1, so one exponential does for all gates;
    # it takes half as long as a tanh. Where it overflows, a sigmoid is 0.
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


def lstm_backward(z, c, tanh_c, dh, dc, dz, buffer, slopes):
    """Gradients of :func:`lstm`.

    Args:
        z (array): (4, B, units) or (3, B, units), as :func:`lstm` left it.
        c (array): (B, units), before the step.
        tanh_c (array): (B, units), after the step.
        dh (array): (B, units), of the next h.
        dc (array): (B, units), of the next c but by way of h; replaced by
            that of c, where there is a forget gate.
        dz (array): (B, 4 units) or (B, 3 units), that of the sums goes
            there.
        buffer (array): (B, units), to work in.
        slopes (array): (3, B, units), likewise.

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
    # From the last, for the forget gate may be missing.
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


def sample_location(z, b, noise, std, mean, sampled):
    """The policy: mean = tanh(z + b), sampled = mean + std noise; uses z up."""
    z += b
    numpy.tanh(z, out=mean)
    numpy.multiply(noise, std, out=sampled)
    sampled += mean


def encode_location(sampled, W, b, clipped, locations, buffer, out):
    """Clips locations to the image and encodes them: Rect(Linear(l)).

    Args:
        sampled (array): (B, 2) as sampled.
        W (array): (units, 2).
        b (array): (units,).
        clipped (array): (B, 2), the clipped ones go there.
        locations (array): (B, 2), and there.
        buffer (array): (B, units), to work in.
        out (array): (B, units), what they are encoded as goes there.

    """
    numpy.maximum(sampled, -1, out=clipped)
    numpy.minimum(clipped, 1, out=clipped)
    locations[...] = clipped
    numpy.dot(clipped, W.T, out=buffer)
    rectify(buffer, b, out)
