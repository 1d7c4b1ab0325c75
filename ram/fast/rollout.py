"""All time steps in one function: the fast form of the RAM's recurrence.

The Links in ``ram/links`` say the same step by step; they are the form to
read, and what this one is tested against. Here nothing is left to the graph:
one product a step serves glimpse vector and state together, gradients with
respect to the weights are one product for all steps, and all arrays in
between stand in a workspace that serves batch after batch.
"""

from typing import Any, NamedTuple, Optional

import chainer
import numpy

from ram.fast import elementwise, kernels
from ram.functions.glimpse import glimpse, summed_area_table


class Weights(NamedTuple):
    """Parameters of the recurrence: (out, in) matrices and (out,) biases.

    ``hidden_W`` and ``hidden_b`` are None where the location network is
    linear. The rows of ``core_W`` are an LSTM's gates in turn, as in
    :func:`chainer.functions.lstm`, or a rectifier's units.
    """

    what_W: Any
    what_b: Any
    where_W: Any
    where_b: Any
    what_out_W: Any
    what_out_b: Any
    where_out_W: Any
    where_out_b: Any
    core_W: Any
    core_b: Any
    mean_W: Any
    mean_b: Any
    hidden_W: Optional[Any] = None
    hidden_b: Optional[Any] = None


class RolloutConfig(NamedTuple):
    """What a rollout does beside its weights.

    Attributes:
        glimpses (int): T.
        size (int): Side g of a patch.
        scales (int): Patches k.
        factor (int): How much wider each is than the one before.
        lstm (bool): LSTM core, else the rectifier's.
        std (float): Standard deviation of the policy.
        chosen (bool): Whether the location network chooses; else the noise
            is the locations themselves.
        reaches_core (bool): Whether the gradient of the means goes on into
            the states.

    """

    glimpses: int
    size: int
    scales: int
    factor: int
    lstm: bool
    std: float
    chosen: bool
    reaches_core: bool


class Workspace:
    """Arrays of one batch, used again for every batch."""

    def __init__(self, xp, dtype, batch, channels, setting, weights):
        def make(*shape):
            return xp.empty(shape, dtype)

        T, B = setting.glimpses, batch
        what, where = len(weights.what_W), len(weights.where_W)
        g, units = len(weights.what_out_W), weights.mean_W.shape[1]
        hidden = 0
        if weights.hidden_W is not None:
            hidden, units = weights.hidden_W.shape
        gates = len(weights.core_W) // units
        self.key = _key(xp, dtype, batch, channels, setting, weights)
        apart = _operations(xp).GATES_APART
        self.retina = make(T, B, setting.scales, channels, setting.size,
                           setting.size)
        self.looked = make(T, B, 2)
        self.encoded = make(T, B, what + where)   # h_g and h_l
        # g_t and h_{t-1}, which like c_{t-1} is not read in the first step.
        self.x = make(T, B, g + units)
        # The first step has nothing to forget, and no gate for it: the rows
        # of the core begin with the next.
        self.begin = units if setting.lstm else 0
        self.z = []
        for t in range(T):
            count = gates - 1 if setting.lstm and t == 0 else gates
            self.z.append(make(count, B, units) if apart
                          else make(B, count, units).swapaxes(0, 1))
        self.c = make(T + 1, B, units)
        self.tanh_c = make(T, B, units)
        self.hidden = make(T - 1, B, hidden)
        self.what, self.where = make(B, what), make(B, where)
        self.g, self.h, self.pre_hidden = (make(B, g), make(B, units),
                                           make(B, hidden))
        self.mean = make(B, 2)
        # Backward.
        self.dz = make(T, B, gates * units)
        self.dz[0, :, :self.begin] = 0
        self.dx = make(B, g + units)
        self.dg = make(T, B, g)
        self.dc, self.dh = make(B, units), make(B, units)
        self.slopes = make(3 if setting.lstm else 0, B, units)
        self.d_encoded = make(T, B, what + where)
        self.d_hidden = make(T - 1, B, hidden)
        self.d_states = make(T - 1, B, units)
        self._table = None

    def table(self, images):
        """:func:`summed_area_table`, in the memory of the last batch's."""
        shape = numpy.add(images.shape, (0, 0, 1, 1))
        if self._table is not None and self._table.shape != tuple(shape):
            self._table = None
        self._table = summed_area_table(images, self._table)
        return self._table


def _key(xp, dtype, batch, channels, setting, weights):
    """All that the arrays of a workspace depend on."""
    return (_operations(xp), numpy.dtype(dtype), batch, channels,
            setting._replace(std=None),
            tuple(w is not None and w.shape for w in weights))


class WorkspacePool:
    """Workspaces that no rollout holds at the moment.

    A rollout takes one and gives it back once its backward pass is done, so
    two rollouts never write into one.
    """

    def __init__(self):
        self._free = []

    def __deepcopy__(self, memo):
        # A copied network works in a pool of its own.
        return WorkspacePool()

    def take(self, xp, dtype, batch, channels, setting, weights):
        """A free workspace of the shapes wanted, or a new one."""
        key = _key(xp, dtype, batch, channels, setting, weights)
        for i, workspace in enumerate(self._free):
            if workspace.key == key:
                return self._free.pop(i)
        return Workspace(xp, dtype, batch, channels, setting, weights)

    def give_back(self, workspace):
        """Hands a workspace back; the least recently used are forgotten."""
        self._free = [workspace, *self._free][:2]


def rollout(images, first, noise, weights, setting, pool):
    """Looks at each image T times.

    Args:
        images (array): (B, C, H, W) float.
        first (array): (B, 2) first locations.
        noise (array): (T - 1, B, 2) standard normal noise of the policy, or
            the locations themselves where it does not choose.
        weights (Weights): Of Variables.
        setting (RolloutConfig): The rest.
        pool (WorkspacePool): Arrays to work in.

    Returns:
        tuple: Locations as drawn and clipped, (T, B, 2) arrays; means
        (T - 1, B, 2) and states (T, B, units), Variables.

    """
    function = RolloutFunction(images, first, noise, setting, pool)
    means, states = function.apply(
        [w for w in weights if w is not None])
    return function.drawn, function.locations, means, states


class RolloutFunction(chainer.FunctionNode):
    """All T steps; for a graph, or without one.

    Args:
        images (array): As for :func:`rollout`, like all these.
        first (array): First locations.
        noise (array): The policy's.
        setting (RolloutConfig): The rest.
        pool (WorkspacePool): Arrays to work in.

    Attributes:
        drawn (array): (T, B, 2) locations as drawn, after :meth:`forward`.
        locations (array): (T, B, 2) the same, clipped.

    """

    def __init__(self, images, first, noise, setting, pool):
        self._images = images
        self._first = first
        self._noise = noise
        self._setting = setting
        self._pool = pool
        self._workspace = None

    def forward(self, inputs):
        """Means and states, from the arrays of :class:`Weights`."""
        weights = Weights(*inputs)
        images, setting, pool = self._images, self._setting, self._pool
        xp = chainer.backend.get_array_module(images)
        T, batch = setting.glimpses, len(images)
        dtype = weights.core_W.dtype
        units = len(weights.core_W) // (4 if setting.lstm else 1)
        self._workspace = pool.take(xp, dtype, batch, images.shape[1],
                                    setting, weights)
        self.drawn = xp.empty((T, batch, 2), dtype)
        self.locations = xp.empty((T, batch, 2), dtype)
        self.drawn[0] = self._first
        means = xp.zeros((T - 1, batch, 2), dtype)
        states = xp.empty((T, batch, units), dtype)
        arranged = pack_weights(weights, setting)
        forward(xp, self._workspace, images, self._noise, self.drawn,
                self.locations, means, states, weights, arranged, setting)
        if chainer.config.enable_backprop:
            self.retain_inputs(tuple(range(len(inputs))))
            self.retain_outputs((0, 1))
            self._arranged = arranged
        else:
            self._release()
        return means, states

    def _release(self):
        self._pool.give_back(self._workspace)
        self._workspace = None

    def backward(self, indexes, gradients):
        """Gradients of the weights, in a graph."""
        inputs = [v.array for v in self.get_retained_inputs()]
        means, states = self.get_retained_outputs()
        # A gradient may be one number for all, without rows in memory.
        xp = chainer.backend.get_array_module(means.array)
        d_means, d_states = [
            None if g is None else xp.ascontiguousarray(g.array)
            for g in gradients]
        # Arrays of their own: MPI takes no views.
        names = Weights._fields[:len(inputs)]
        written = self.gradients(
            inputs, means.array, states.array, d_means,
            [None] * self._setting.glimpses if d_states is None else d_states,
            {name: xp.empty_like(w) for name, w in zip(names, inputs)})
        return tuple(chainer.Variable(written[name]) if name in written
                     else None for name in names)

    def gradients(self, inputs, means, states, d_means, d_states, grads):
        """Gradients of the weights; once, for the workspace moves on.

        Args:
            inputs (sequence of arrays): Of :class:`Weights`, those that are
                not None.
            means (array): (T - 1, B, 2), by :meth:`forward`.
            states (array): (T, B, units), likewise.
            d_means (array): (T - 1, B, 2), their gradient, or None.
            d_states (sequence of arrays): (B, units) for each state; any may
                be None.
            grads (dict of str to array): By the name of the weight: they go
                there.

        Returns:
            dict of str to array: Those of ``grads`` that were written: the
            location network's only where the means have a gradient.

        """
        if self._workspace is None:
            raise RuntimeError(
                'the fused rollout goes backward once; run it forward again')
        weights, setting = Weights(*inputs), self._setting
        xp = chainer.backend.get_array_module(means)
        grads = {name: grad for name, grad in grads.items()
                 if name not in LOCATION or _learns(setting, d_means)}
        backward(xp, self._workspace, means, states, d_means, d_states,
                 weights, self._arranged, setting, grads)
        self._release()
        return grads


class PackedWeights(NamedTuple):
    """Weights as the products take them.

    Attributes:
        core_W (array): Rows of the core gate by gate: forget, input and
            output gate, and the input.
        core_b (array): Likewise.
        out_W (array): (g, what + where): what is made of h_g and of h_l.

    """

    core_W: Any
    core_b: Any
    out_W: Any


def pack_weights(weights, setting):
    """Arranges the weights for :func:`forward` and :func:`backward`.

    Args:
        weights (Weights): Of arrays.
        setting (RolloutConfig): The rest.

    Returns:
        PackedWeights

    """
    what, where = weights.what_out_W, weights.where_out_W
    xp = chainer.backend.get_array_module(what)
    out = xp.empty((len(what), what.shape[1] + where.shape[1]), what.dtype)
    out[:, :what.shape[1]] = what
    out[:, what.shape[1]:] = where
    if not setting.lstm:
        return PackedWeights(weights.core_W, weights.core_b, out)
    return PackedWeights(_by_gate(weights.core_W), _by_gate(weights.core_b), out)


def _by_gate(rows):
    """Rows of an LSTM's gates in turn, gate by gate."""
    xp = chainer.backend.get_array_module(rows)
    out = xp.empty_like(rows)
    for gate, turn in zip(_parts(out, 4), _turns(rows, 4)):
        gate[...] = turn
    return out


def _put_in_turn(out, rows, gates):
    """Undoes :func:`_by_gate`, into ``out``."""
    for turn, gate in zip(_turns(out, gates), _parts(rows, gates)):
        turn[...] = gate


def _turns(rows, gates):
    """Each gate's rows, where they come in turn: f, i, o, and the input."""
    if gates == 1:
        return [rows]
    turns = rows.reshape((-1, gates) + rows.shape[1:])
    return [turns[:, j] for j in (2, 1, 3, 0)]


def _parts(rows, gates):
    """Each gate's rows, where they come gate by gate."""
    return rows.reshape((gates, -1) + rows.shape[1:])


def _operations(xp):
    """The element-wise operations for arrays of NumPy, or of CuPy."""
    return elementwise if xp is numpy else kernels


def forward(xp, ws, images, noise, drawn, locations, means, states, weights,
            arranged, setting):
    """All T steps, into arrays of the caller.

    Args:
        xp (module): NumPy or CuPy.
        ws (Workspace): For the arrays in between, which :func:`backward`
            reads.
        images (array): (B, C, H, W) float.
        noise (array): (T - 1, B, 2), as for :func:`rollout`.
        drawn (array): (T, B, 2) locations as drawn, of which the first is
            there.
        locations (array): (T, B, 2) the same, clipped.
        means (array): (T - 1, B, 2), left as it is where the location network
            does not choose.
        states (array): (T, B, units).
        weights (Weights): Of arrays.
        arranged (PackedWeights): The same.
        setting (RolloutConfig): The rest.

    """
    ops = _operations(xp)
    core_W, core_b, out = arranged
    what, g = ws.what.shape[1], ws.g.shape[1]
    out_b = weights.what_out_b + weights.where_out_b
    table = ws.table(images) if setting.scales > 1 else None
    for t in range(setting.glimpses):
        looked, encoded, x, z = ws.looked[t], ws.encoded[t], ws.x[t], ws.z[t]
        ops.encode_location(drawn[t], weights.where_W, weights.where_b,
                            looked, locations[t], ws.where, encoded[:, what:])
        glimpse(images, looked, setting.size, setting.scales, setting.factor,
                table, out=ws.retina[t])
        xp.dot(_rows(ws.retina[t]), weights.what_W.T, out=ws.what)
        ops.rectify(ws.what, weights.what_b, encoded[:, :what])
        xp.dot(encoded, out.T, out=ws.g)
        ops.rectify(ws.g, out_b, x[:, :g])
        inputs, W, b = x, core_W, core_b
        if t == 0:  # the first state is zero
            inputs, W, b = x[:, :g], core_W[ws.begin:, :g], core_b[ws.begin:]
        _sum_up(xp, inputs, W, z, ops.GATES_APART)
        last = t + 1 == setting.glimpses
        outs = [states[t]] if last else [states[t], ws.x[t + 1][:, g:]]
        if setting.lstm:
            ops.lstm(z, b, ws.c[t], ws.c[t + 1], ws.tanh_c[t], ws.h, *outs)
        else:
            ops.rectify(z[0], b, *outs)
        if last:
            break
        if not setting.chosen:
            drawn[t + 1] = noise[t]
            continue
        h = states[t]
        if weights.hidden_W is not None:
            xp.dot(h, weights.hidden_W.T, out=ws.pre_hidden)
            ops.rectify(ws.pre_hidden, weights.hidden_b, ws.hidden[t])
            h = ws.hidden[t]
        xp.dot(h, weights.mean_W.T, out=ws.mean)
        ops.choose(ws.mean, weights.mean_b, noise[t], setting.std, means[t],
                   drawn[t + 1])


def _sum_up(xp, x, W, z, apart):
    """z = x W^T, where (gates, B, units) lie gate by gate or row by row."""
    if apart:
        for sums, rows in zip(z, _parts(W, len(z))):
            xp.dot(x, rows.T, out=sums)
    else:
        xp.dot(x, W.T, out=z.swapaxes(0, 1).reshape(len(x), -1))


def _rows(array):
    """One row for each image."""
    return array.reshape(len(array), -1)


# The weights that learn by the means' gradient alone.
LOCATION = ('mean_W', 'mean_b', 'hidden_W', 'hidden_b')


def _learns(setting, d_means):
    """Whether the location network has a gradient."""
    return setting.chosen and d_means is not None and setting.glimpses > 1


def backward(xp, ws, means, states, d_means, d_states, weights, arranged,
             setting, grads):
    """Gradients of all weights that there is one of.

    Args:
        xp (module): NumPy or CuPy.
        ws (Workspace): As :func:`forward` left it.
        means (array): (T - 1, B, 2), by :func:`forward`.
        states (array): (T, B, units), likewise.
        d_means (array): (T - 1, B, 2), their gradient, or None.
        d_states (sequence of arrays): The T states' gradients (B, units), of
            which some may be None.
        weights (Weights): Of arrays.
        arranged (PackedWeights): The same.
        setting (RolloutConfig): The rest.
        grads (dict of str to array): By the name of the weight: the gradients
            go there. Those of ``LOCATION`` are only written where the means
            have a gradient.

    """
    ops = _operations(xp)
    core_W, out = arranged.core_W, arranged.out_W
    T, what, g = setting.glimpses, ws.what.shape[1], ws.g.shape[1]
    learns = _learns(setting, d_means)
    if learns:
        _backward_location(xp, ws, means, states, d_means, weights, grads,
                           setting)
    d_past = None
    ws.dc[...] = 0
    for t in reversed(range(T)):
        parts = [d for d in (d_states[t], d_past) if d is not None]
        if learns and setting.reaches_core and t < T - 1:
            parts.append(ws.d_states[t])
        dh = _sum(xp, parts, ws.dh)
        dz = ws.dz[t] if t else ws.dz[0][:, ws.begin:]
        if setting.lstm:
            ops.lstm_backward(ws.z[t], ws.c[t], ws.tanh_c[t], dh, ws.dc, dz,
                              ws.h, ws.slopes)
        else:
            ops.rectify_backward(dh, states[t], dz)
        if t == 0:  # nothing came before
            xp.dot(dz, core_W[ws.begin:, :g], out=ws.dg[0])
            d = ws.dg[0]
        else:
            xp.dot(dz, core_W, out=ws.dx)
            d, d_past = ws.dx[:, :g], ws.dx[:, g:]
        ops.rectify_backward(d, ws.x[t][:, :g], ws.dg[t])
    dz, dg, x, encoded, retina, looked = (
        a.reshape(T * a.shape[1], -1)
        for a in (ws.dz, ws.dg, ws.x, ws.encoded, ws.retina, ws.looked))
    _backward_core(xp, ws, dz, x, grads, ops.GATES_APART)
    d_out = xp.dot(dg.T, encoded)
    grads['what_out_W'][...] = d_out[:, :what]
    grads['where_out_W'][...] = d_out[:, what:]
    dg.sum(axis=0, out=grads['what_out_b'])
    grads['where_out_b'][...] = grads['what_out_b']
    d_encoded = ws.d_encoded.reshape(encoded.shape)
    xp.dot(dg, out, out=d_encoded)
    ops.rectify_backward(d_encoded, encoded, d_encoded)
    d_what, d_where = d_encoded[:, :what], d_encoded[:, what:]
    xp.dot(d_what.T, retina, out=grads['what_W'])
    xp.dot(d_where.T, looked, out=grads['where_W'])
    both = d_encoded.sum(axis=0)
    grads['what_b'][...] = both[:what]
    grads['where_b'][...] = both[what:]


def _backward_core(xp, ws, dz, x, grads, apart):
    """The core's weights, all steps at once."""
    batch, g = ws.g.shape
    gates = dz.shape[1] // ws.h.shape[1]
    d_W = grads['core_W']
    parts = [(dz, x[:, :g], d_W[:, :g])]
    if len(dz) > batch:  # the first state is zero
        parts.append((dz[batch:], x[batch:, g:], d_W[:, g:]))
    else:
        d_W[:, g:] = 0
    for d, inputs, out in parts:
        if apart:  # a product can go into part of a row
            for turn, rows in zip(_turns(out, gates), _parts(d.T, gates)):
                xp.matmul(rows, inputs, out=turn)
        else:
            _put_in_turn(out, xp.dot(d.T, inputs), gates)
    _put_in_turn(grads['core_b'], dz.sum(axis=0), gates)


def _sum(xp, parts, room):
    """The sum of arrays, in the room where it is not one of them."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        room[...] = 0
        return room
    xp.add(parts[0], parts[1], out=room)
    for part in parts[2:]:
        room += part
    return room


def _backward_location(xp, ws, means, states, d_means, weights, grads,
                       setting):
    """The location network, all steps at once: no step hangs on another."""
    units = ws.h.shape[1]
    d = (d_means * (1 - means * means)).reshape(-1, 2)
    states = states[:-1].reshape(-1, units)  # what the network read
    into = states if weights.hidden_W is None else ws.hidden.reshape(
        len(d), -1)
    xp.dot(d.T, into, out=grads['mean_W'])
    d.sum(axis=0, out=grads['mean_b'])
    d_states = ws.d_states.reshape(-1, units)
    if weights.hidden_W is None:
        if setting.reaches_core:
            xp.dot(d, weights.mean_W, out=d_states)
        return
    d_hidden = ws.d_hidden.reshape(into.shape)
    xp.dot(d, weights.mean_W, out=d_hidden)
    _operations(xp).rectify_backward(d_hidden, into, d_hidden)
    xp.dot(d_hidden.T, states, out=grads['hidden_W'])
    d_hidden.sum(axis=0, out=grads['hidden_b'])
    if setting.reaches_core:
        xp.dot(d_hidden, weights.hidden_W, out=d_states)
