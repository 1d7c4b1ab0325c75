"""All glimpses of a batch, forward and backward through time, on arrays.

The Links in ``ram/links`` compute the same step by step in Chainer's graph;
they are the form to read, and the tests compare with them. Here one product a
step serves the glimpse vector and the state together, the gradient of a weight
is one product for all steps, and all intermediate arrays live in a workspace
that is reused for every batch.
"""

from typing import Any, Dict, Optional

from ram.devices import Array
from ram.fast.products import dot, sum_rows
from ram.fast.workspace import (
    PackedWeights,
    RolloutConfig,
    Weights,
    Workspace,
    gate_major,
    interleaved,
)
from ram.functions.glimpse import glimpse


def forward(xp: Any, ws: Workspace, images: Array, noise: Array,
            sampled: Array, locations: Array, means: Array, states: Array,
            weights: Weights, packed: PackedWeights,
            config: RolloutConfig) -> None:
    """Takes all T glimpses; writes into arrays of the caller.

    Args:
        xp: NumPy or CuPy.
        ws: Intermediate arrays, which :func:`backward` reads.
        images: (B, C, H, W) float.
        noise: (T - 1, B, 2) standard normal, or the locations themselves
            where the policy is not learned.
        sampled: (T, B, 2) locations as sampled; the first is given.
        locations: (T, B, 2) the same, clipped.
        means: (T - 1, B, 2), left as it is where the policy is not learned.
        states: (T, B, units).
        weights: Arrays.
        packed: The same, packed.
        config: The rollout.

    """
    ops = ws.ops
    what, g = ws.pre_what.shape[1], ws.pre_g.shape[1]
    out_b = weights.what_out_b + weights.where_out_b
    table = ws.table(images) if config.scales > 1 else None
    for t in range(config.glimpses):
        clipped, encoded, x, z = ws.clipped[t], ws.encoded[t], ws.x[t], ws.z[t]
        ops.encode_location(sampled[t], weights.where_W, weights.where_b,
                            clipped, locations[t], ws.pre_where,
                            encoded[:, what:])
        glimpse(images, clipped, config.size, config.scales, config.factor,
                table, out=ws.retina[t])
        retina = ws.retina[t].reshape(len(images), -1)
        dot(retina, weights.what_W.T, out=ws.pre_what)
        ops.rectify(ws.pre_what, weights.what_b, encoded[:, :what])
        dot(encoded, packed.out_W.T, out=ws.pre_g)
        ops.rectify(ws.pre_g, out_b, x[:, :g])
        core_x, W, b = x, packed.core_W, packed.core_b
        if t == 0:  # the first state is zero
            core_x, W, b = x[:, :g], W[ws.start_row:, :g], b[ws.start_row:]
        _gate_products(xp, core_x, W, z, ops.GATE_MAJOR)
        last = t + 1 == config.glimpses
        outs = [states[t]] if last else [states[t], ws.x[t + 1][:, g:]]
        if config.lstm:
            ops.lstm(z, b, ws.c[t], ws.c[t + 1], ws.tanh_c[t], ws.buffer,
                     *outs)
        else:
            ops.rectify(z[0], b, *outs)
        if not last:
            _next_location(xp, ws, t, noise, sampled, means, states[t],
                           weights, config)


def _gate_products(xp, x, W, z, is_gate_major):
    """z = x W^T, where z is (gates, B, units), gate-major or row by row."""
    if is_gate_major:
        for sums, rows in zip(z, gate_major(W, len(z))):
            dot(x, rows.T, out=sums)
    else:
        dot(x, W.T, out=z.swapaxes(0, 1).reshape(len(x), -1))


def _next_location(xp, ws, t, noise, sampled, means, h, weights, config):
    """Samples location t + 1 from the policy in state h."""
    ops = ws.ops
    if not config.learned:
        sampled[t + 1] = noise[t]
        return
    if weights.hidden_W is not None:
        dot(h, weights.hidden_W.T, out=ws.pre_hidden)
        ops.rectify(ws.pre_hidden, weights.hidden_b, ws.hidden[t])
        h = ws.hidden[t]
    dot(h, weights.mean_W.T, out=ws.pre_mean)
    ops.sample_location(ws.pre_mean, weights.mean_b, noise[t], config.std,
                        config.squash, means[t], sampled[t + 1])


def trains_location(config: RolloutConfig, d_means: Optional[Array]) -> bool:
    """Whether the location network has a gradient."""
    return config.learned and d_means is not None and config.glimpses > 1


def backward(xp: Any, ws: Workspace, means: Array, states: Array,
             d_means: Optional[Array], d_states: Any, weights: Weights,
             packed: PackedWeights, config: RolloutConfig,
             grads: Dict[str, Array]) -> None:
    """Writes the gradients of all weights of the recurrence.

    Args:
        xp: NumPy or CuPy.
        ws: As :func:`forward` left it; parts of it are overwritten.
        means: (T - 1, B, 2), by :func:`forward`.
        states: (T, B, units), likewise.
        d_means: (T - 1, B, 2), gradient of the means, or None.
        d_states: T gradients (B, units) of the states; any may be None.
        weights: Arrays.
        packed: The same, packed.
        config: The rollout.
        grads: The gradients are written here, by the name of the weight.
            ``LOCATION_WEIGHTS`` are left as they are where the means have no
            gradient.

    """
    ops = ws.ops
    T, g = config.glimpses, ws.pre_g.shape[1]
    through_means = trains_location(config, d_means)
    if through_means:
        _backward_location(xp, ws, means, states, d_means, weights, grads,
                           config)
    d_past = None
    ws.dc[...] = 0
    for t in reversed(range(T)):
        terms = [d for d in (d_states[t], d_past) if d is not None]
        if through_means and config.reaches_core and t < T - 1:
            terms.append(ws.d_states[t])
        dh = _sum(xp, terms, ws.dh)
        dz = ws.dz[t] if t else ws.dz[0][:, ws.start_row:]
        if config.lstm:
            ops.lstm_backward(ws.z[t], ws.c[t], ws.tanh_c[t], dh, ws.dc, dz,
                              ws.buffer, ws.slopes)
        else:
            ops.rectify_backward(dh, states[t], dz)
        if t == 0:  # the first state is zero
            dot(dz, packed.core_W[ws.start_row:, :g], out=ws.dg[0])
            d = ws.dg[0]
        else:
            dot(dz, packed.core_W, out=ws.dx)
            d, d_past = ws.dx[:, :g], ws.dx[:, g:]
        ops.rectify_backward(d, ws.x[t][:, :g], ws.dg[t])
    _backward_core(xp, ws, grads)
    _backward_glimpse(xp, ws, packed, grads)


def _sum(xp, terms, buffer):
    """The sum of arrays; in the buffer unless it is one of them."""
    if len(terms) == 1:
        return terms[0]
    if not terms:
        buffer[...] = 0
        return buffer
    xp.add(terms[0], terms[1], out=buffer)
    for term in terms[2:]:
        buffer += term
    return buffer


def _all_steps(array):
    """(T, B, ...) as (T B, width)."""
    return array.reshape(array.shape[0] * array.shape[1], -1)


def _backward_core(xp, ws, grads):
    """The core's weights, all steps at once."""
    dz, x = _all_steps(ws.dz), _all_steps(ws.x)
    batch, g = ws.pre_g.shape
    gates = dz.shape[1] // ws.buffer.shape[1]
    d_W = grads['core_W']
    parts = [(dz, x[:, :g], d_W[:, :g])]
    if len(dz) > batch:  # the first state is zero
        parts.append((dz[batch:], x[batch:, g:], d_W[:, g:]))
    else:
        d_W[:, g:] = 0
    for d, inputs, out in parts:
        if ws.ops.GATE_MAJOR:  # a product can go into parts of rows
            for rows, d_gate in zip(interleaved(out, gates),
                                    gate_major(d.T, gates)):
                dot(d_gate, inputs, out=rows)
        else:
            _interleave(out, dot(d.T, inputs, xp.empty(out.shape, out.dtype)),
                        gates)
    d_b = sum_rows(dz, xp.empty_like(grads['core_b']))
    _interleave(grads['core_b'], d_b, gates)


def _interleave(out, rows, gates):
    """Writes gate-major rows in Chainer's interleaved order."""
    for target, gate in zip(interleaved(out, gates), gate_major(rows, gates)):
        target[...] = gate


def _backward_glimpse(xp, ws, packed, grads):
    """The glimpse network, all steps at once."""
    what = ws.pre_what.shape[1]
    dg, encoded = _all_steps(ws.dg), _all_steps(ws.encoded)
    d_out = dot(dg.T, encoded, xp.empty_like(packed.out_W))
    grads['what_out_W'][...] = d_out[:, :what]
    grads['where_out_W'][...] = d_out[:, what:]
    sum_rows(dg, out=grads['what_out_b'])
    grads['where_out_b'][...] = grads['what_out_b']
    d_encoded = _all_steps(ws.d_encoded)
    dot(dg, packed.out_W, out=d_encoded)
    ws.ops.rectify_backward(d_encoded, encoded, d_encoded)
    dot(d_encoded[:, :what].T, _all_steps(ws.retina), out=grads['what_W'])
    dot(d_encoded[:, what:].T, _all_steps(ws.clipped),
           out=grads['where_W'])
    d_b = sum_rows(d_encoded, xp.empty(encoded.shape[1], encoded.dtype))
    grads['what_b'][...] = d_b[:what]
    grads['where_b'][...] = d_b[what:]


def _backward_location(xp, ws, means, states, d_means, weights, grads,
                       config):
    """The location network, all steps at once: they are independent."""
    d = d_means.reshape(-1, 2)
    if config.squash:
        d = (d_means * (1 - means * means)).reshape(-1, 2)
    states, d_states = _all_steps(states[:-1]), _all_steps(ws.d_states)
    has_hidden = weights.hidden_W is not None
    inputs, W = states, weights.mean_W
    if has_hidden:
        inputs = _all_steps(ws.hidden)
    dot(d.T, inputs, out=grads['mean_W'])
    sum_rows(d, out=grads['mean_b'])
    if has_hidden:
        d_hidden = _all_steps(ws.d_hidden)
        dot(d, W, out=d_hidden)
        ws.ops.rectify_backward(d_hidden, inputs, d_hidden)
        dot(d_hidden.T, states, out=grads['hidden_W'])
        sum_rows(d_hidden, out=grads['hidden_b'])
        d, W = d_hidden, weights.hidden_W
    if config.reaches_core:
        dot(d, W, out=d_states)
