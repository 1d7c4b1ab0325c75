"""All glimpses of a batch, forward and backward through time, on arrays.

The Links in ``ram/links`` compute the same step by step in Chainer's graph;
they are the form to read, and the tests compare with them. Here one product a
step serves the glimpse vector and the state together, the gradient of a weight
is one product for all steps, and all intermediate arrays live in a workspace
that is reused for every batch.
"""

from typing import Any, Dict, Optional

import numpy

from ram.devices import Array
from ram.fast.elementwise import Policy
from ram.fast.products import dot, sum_rows
from ram.fast.workspace import (
    PackedWeights,
    RolloutConfig,
    Weights,
    Workspace,
    gate_major,
    interleaved,
)


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
    images = xp.ascontiguousarray(images)
    table = ws.table(images) if config.scales > 1 else None
    policy = None
    for t in range(config.glimpses):
        clipped, encoded, x = ws.clipped[t], ws.encoded[t], ws.x[t]
        ops.look(images, table, config.factor, policy, sampled[t],
                 weights.where_W, weights.where_b, clipped, locations[t],
                 ws.pre_where, encoded[:, what:], ws.retina[t])
        retina = ws.retina[t].reshape(len(images), -1)
        dot(retina, weights.what_W.T, out=ws.pre_what)
        ops.rectify(ws.pre_what, weights.what_b, encoded[:, :what])
        dot(encoded, packed.out_W.T, out=ws.pre_g)
        ops.rectify(ws.pre_g, packed.out_b, x[:, :g])
        last = t + 1 == config.glimpses
        outs = [states[t]] if last else [states[t], ws.x[t + 1][:, g:]]
        _step(ws, t, g, packed, config, outs)
        if not last and config.learned:
            policy = _policy(ws, t, states[t], noise, means, weights, config)
        elif not last:
            sampled[t + 1] = noise[t]


def _step(ws, t, g, packed, config, outs):
    """A step of the core: the next state, into each of ``outs``."""
    ops, z, x, W, b = ws.ops, ws.z[t], ws.x[t], packed.core_W, packed.core_b
    if t == 0:  # the first state is zero
        x, W, b = x[:, :g], W[ws.start_row:, :g], b[ws.start_row:]
    if config.lstm and ops.GATE_MAJOR:
        for sums, rows in zip(z, gate_major(W, len(z))):
            dot(x, rows.T, out=sums)
    else:
        dot(x, W.T, out=z)
    if config.lstm:
        ops.lstm(z, b, ws.c[t] if t else None, ws.c[t + 1], ws.tanh_c[t],
                 ws.buffer, *outs)
    else:
        ops.rectify(z, b, *outs)


def _policy(ws, t, h, noise, means, weights, config):
    """The policy of location t + 1, in state h."""
    b = hidden = None
    if weights.hidden_W is not None:
        h = dot(h, weights.hidden_W.T, out=ws.pre_hidden)
        b, hidden = weights.hidden_b, ws.hidden[t]
    ws.ops.mean_sums(h, b, hidden, weights.mean_W, ws.mean_sums)
    return Policy(ws.mean_sums, weights.mean_b, noise[t], config.std,
                  config.squash, means[t])


def trains_location(config: RolloutConfig, d_sums: Optional[Array]) -> bool:
    """Whether the location network has a gradient."""
    return config.learned and d_sums is not None and config.glimpses > 1


def backward(ws: Workspace, states: Array, d_sums: Optional[Array],
             d_last: Array, weights: Weights, packed: PackedWeights,
             config: RolloutConfig, grads: Dict[str, Array]) -> None:
    """Writes the gradients of all weights of the recurrence.

    Args:
        ws: As :func:`forward` left it; parts of it are overwritten.
        states: (T, B, units), by :func:`forward`.
        d_sums: (T - 1, B, 2), gradient of the means before their tanh (if
            they have one), or None.
        d_last: (B, units), gradient of the last state.
        weights: Arrays.
        packed: The same, packed.
        config: The rollout.
        grads: The gradients are written here, by the name of the weight.
            ``LOCATION_WEIGHTS`` are left as they are where the means have no
            gradient.

    """
    ops = ws.ops
    T, g = config.glimpses, ws.pre_g.shape[1]
    through_means = trains_location(config, d_sums)
    if through_means:
        _backward_location(ws, states, d_sums, weights, grads, config)
    terms = [d_last]
    for t in reversed(range(T)):
        dz = ws.dz[t] if t else ws.dz[0][:, ws.start_row:]
        if config.lstm:
            ops.lstm_backward(ws.z[t], ws.c[t] if t else None, ws.tanh_c[t],
                              terms, t + 1 == T, ws.dc, dz,
                              (ws.buffer, ws.dh, ws.slopes))
        else:
            ops.rectify_backward(states[t], dz, *terms)
        if t == 0:  # the first state is zero
            dot(dz, packed.core_W[ws.start_row:, :g], out=ws.dx[0][:, :g])
            break
        dot(dz, packed.core_W, out=ws.dx[t])
        terms = [ws.dx[t][:, g:]]
        if through_means and config.reaches_core:
            terms.append(ws.d_states[t - 1])
    dg = _all_steps(ws.dg)
    ops.rectify_backward(_all_steps(ws.x)[:, :g], dg,
                         _all_steps(ws.dx)[:, :g])
    _backward_core(ws, config, grads)
    _backward_glimpse(ws, dg, packed, grads)


def _all_steps(array):
    """(T, B, ...) as (T B, width)."""
    return array.reshape(array.shape[0] * array.shape[1], -1)


def _backward_core(ws, config, grads):
    """The core's weights, all steps at once."""
    dz, x = _all_steps(ws.dz), _all_steps(ws.x)
    d_W, d_b = grads['core_W'], grads['core_b']
    if not ws.ops.GATE_MAJOR:
        dot(dz.T, x, out=d_W)  # the first state is zero
        sum_rows(dz, out=d_b)
        return
    batch, g = ws.pre_g.shape
    gates = 4 if config.lstm else 1
    parts = [(dz, x[:, :g], d_W[:, :g])]
    if len(dz) > batch:
        parts.append((dz[batch:], x[batch:, g:], d_W[:, g:]))
    else:
        d_W[:, g:] = 0
    for d, inputs, out in parts:
        for rows, d_gate in zip(interleaved(out, gates),
                                gate_major(d.T, gates)):
            dot(d_gate, inputs, out=rows)
    sums = sum_rows(dz, out=numpy.empty_like(d_b))
    for rows, gate in zip(interleaved(d_b, gates), gate_major(sums, gates)):
        rows[...] = gate


def _backward_glimpse(ws, dg, packed, grads):
    """The glimpse network, all steps at once."""
    what = ws.pre_what.shape[1]
    encoded, d_encoded = _all_steps(ws.encoded), _all_steps(ws.d_encoded)
    dot(dg.T, encoded[:, :what], out=grads['what_out_W'])
    dot(dg.T, encoded[:, what:], out=grads['where_out_W'])
    sum_rows(dg, out=grads['what_out_b'])
    grads['where_out_b'][...] = grads['what_out_b']
    dot(dg, packed.out_W, out=d_encoded)
    ws.ops.rectify_backward(encoded, d_encoded, d_encoded)
    dot(d_encoded[:, :what].T, _all_steps(ws.retina), out=grads['what_W'])
    dot(d_encoded[:, what:].T, _all_steps(ws.clipped), out=grads['where_W'])
    sum_rows(d_encoded[:, :what], out=grads['what_b'])
    sum_rows(d_encoded[:, what:], out=grads['where_b'])


def _backward_location(ws, states, d_sums, weights, grads, config):
    """The location network, all steps at once: they are independent."""
    d = d_sums.reshape(-1, 2)
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
        ws.ops.rectify_backward(inputs, d_hidden, d_hidden)
        dot(d_hidden.T, states, out=grads['hidden_W'])
        sum_rows(d_hidden, out=grads['hidden_b'])
        d, W = d_hidden, weights.hidden_W
    if config.reaches_core:
        dot(d, W, out=d_states)
