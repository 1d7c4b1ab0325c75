"""The element-wise work of a rollout, in place and in few passes.

Every function writes into arrays that its caller owns. All arrays are of one
dtype, (B, width) each, rows contiguous but perhaps a part of wider ones.
"""


def rectify(xp, z, b, *outs):
    """out = Rect(z + b), into each of ``outs``; z is used up."""
    z += b
    xp.maximum(z, 0, out=outs[0])
    for out in outs[1:]:
        out[...] = outs[0]


def rectify_backward(xp, d, y, out):
    """Gradient of ``y = Rect(z)`` with respect to z."""
    xp.multiply(d, y > 0, out=out)


def lstm(xp, z, b, c, next_c, tanh_c, room, *outs):
    """A step of an LSTM from the sums of its gates.

    Args:
        xp (module): NumPy or CuPy.
        z (array): (B, 4 units), input, forget and output gate, and input,
            without bias; replaced by what they let through.
        b (array): (4 units,).
        c (array): (B, units).
        next_c (array): (B, units), the next c goes there.
        tanh_c (array): (B, units), its tanh goes there.
        room (array): (B, units), to work in.
        *outs (arrays): (B, units), the next state h goes into each.

    """
    units = c.shape[1]
    z += b
    # sigmoid(z) is (tanh(z / 2) + 1) / 2, so one tanh does for all gates.
    sigmoids = z[:, :3 * units]
    sigmoids *= 0.5
    xp.tanh(z, out=z)
    sigmoids *= 0.5
    sigmoids += 0.5
    i, f, o, a = _gates(z)
    xp.multiply(f, c, out=next_c)
    xp.multiply(i, a, out=room)
    next_c += room
    xp.tanh(next_c, out=tanh_c)
    xp.multiply(o, tanh_c, out=outs[0])
    for out in outs[1:]:
        out[...] = outs[0]


def lstm_backward(xp, z, c, tanh_c, dh, dc, dz, room, slopes):
    """Gradients of :func:`lstm`.

    Args:
        xp (module): NumPy or CuPy.
        z (array): (B, 4 units), as :func:`lstm` left it.
        c (array): (B, units), before the step.
        tanh_c (array): (B, units), after the step.
        dh (array): (B, units), of the next h.
        dc (array): (B, units), of the next c but by way of h; replaced by
            that of c.
        dz (array): (B, 4 units), that of the sums goes there.
        room (array): (B, units), to work in.
        slopes (array): (B, 3 units), likewise.

    """
    units = c.shape[1]
    i, f, o, a = _gates(z)
    di, df, do, da = _gates(dz)
    xp.multiply(tanh_c, tanh_c, out=room)
    xp.subtract(1, room, out=room)
    room *= o
    room *= dh
    dc += room
    xp.multiply(dc, a, out=di)
    xp.multiply(dc, c, out=df)
    xp.multiply(dh, tanh_c, out=do)
    sigmoids = z[:, :3 * units]
    xp.subtract(1, sigmoids, out=slopes)
    slopes *= sigmoids
    dz[:, :3 * units] *= slopes
    xp.multiply(a, a, out=room)
    xp.subtract(1, room, out=room)
    room *= i
    xp.multiply(room, dc, out=da)
    dc *= f


def _gates(z):
    units = z.shape[1] // 4
    return (z[:, j * units:(j + 1) * units] for j in range(4))


def choose(xp, z, b, noise, std, mean, drawn):
    """The policy: mean = tanh(z + b), drawn = mean + std noise; uses z up."""
    z += b
    xp.tanh(z, out=mean)
    xp.multiply(noise, std, out=drawn)
    drawn += mean


def look_at(xp, drawn, looked, locations):
    """Clips locations as drawn to the image, into both arrays."""
    xp.clip(drawn, -1, 1, out=looked)
    locations[...] = looked
