"""What the fused functions work on: weights, sizes and scratch arrays."""

from __future__ import annotations

import threading
from typing import Any, List, NamedTuple, Optional, Tuple

import numpy

from ram import links
from ram.devices import Array
from ram.fast import elementwise, kernels
from ram.models.ram import RAM


class Weights(NamedTuple):
    """Parameters of RAM, or their arrays: (out, in) matrices, (out,) biases.

    ``hidden_W`` and ``hidden_b`` are None where the location network has no
    hidden layer. The rows of ``core_W`` are the interleaved gates of an LSTM,
    as in :func:`chainer.functions.lstm`, or the units of a rectifier core.
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
    action_W: Any
    action_b: Any
    value_W: Any
    value_b: Any
    hidden_W: Optional[Any] = None
    hidden_b: Optional[Any] = None

    @classmethod
    def of(cls, model: RAM) -> Weights:
        """The parameters of a network whose Links are all built in."""
        hidden = model.location.hidden
        layers = [model.glimpse.what, model.glimpse.where,
                  model.glimpse.what_out, model.glimpse.where_out,
                  model.core.linear, model.location.mean, model.action.logits,
                  model.baseline.value]
        return cls(*(p for layer in layers + ([hidden] if hidden else [])
                     for p in (layer.W, layer.b)))

    def arrays(self) -> Weights:
        """The arrays of the parameters."""
        return Weights(*(None if p is None else p.array for p in self))


# The weights that only the gradient of the policy's means reaches.
LOCATION_WEIGHTS = ('mean_W', 'mean_b', 'hidden_W', 'hidden_b')


class RolloutConfig(NamedTuple):
    """What defines a rollout besides its weights.

    Attributes:
        glimpses: T.
        size: Side g of a patch as the network receives it.
        scales: Number k of patches.
        factor: How much wider each patch is than the one before.
        lstm: LSTM core, else the rectifier core.
        std: Standard deviation of the policy.
        squash: Whether a tanh keeps its mean inside the image.
        learned: Whether the location network gives the means; else the noise
            is the locations themselves.
        reaches_core: Whether the gradient of the means continues into the
            states.

    """

    glimpses: int
    size: int
    scales: int
    factor: int
    lstm: bool
    std: float
    squash: bool
    learned: bool
    reaches_core: bool

    @classmethod
    def of(cls, model: RAM) -> RolloutConfig:
        """The rollout of a network whose Links are all built in."""
        sensor = model.glimpse.sensor
        return cls(
            glimpses=model.glimpses, size=sensor.size, scales=sensor.scales,
            factor=sensor.factor, lstm=type(model.core) is links.LSTMCore,
            std=model.std, squash=model.location.squash,
            learned=model.policy not in ('random', 'center'),
            reaches_core=model.reinforce_reaches_core)


class PackedWeights(NamedTuple):
    """Weights as the products take them.

    Attributes:
        core_W: Rows of the core; on the CPU gate-major: forget, input and
            output gate, cell input.
        core_b: Likewise.
        out_W: (g, what + where): what_out_W and where_out_W side by side.
        out_b: (g,): what_out_b + where_out_b.

    """

    core_W: Array
    core_b: Array
    out_W: Array
    out_b: Array


def pack_weights(ws: Workspace, weights: Weights,
                 config: RolloutConfig) -> PackedWeights:
    """Packs the weights for the forward and the backward pass."""
    ws.ops.join(weights.what_out_W, weights.where_out_W, weights.what_out_b,
                weights.where_out_b, ws.out_W, ws.out_b)
    core = [weights.core_W, weights.core_b]
    if config.lstm and ws.ops.GATE_MAJOR:
        for i, rows in enumerate(core):
            core[i] = numpy.empty_like(rows)
            for gate, values in zip(gate_major(core[i], 4),
                                    interleaved(rows, 4)):
                gate[...] = values
    return PackedWeights(*core, ws.out_W, ws.out_b)


def interleaved(rows: Array, gates: int) -> List[Array]:
    """Views of each gate's rows in Chainer's interleaved order: f, i, o, a."""
    if gates == 1:
        return [rows]
    split = rows.reshape((-1, gates) + rows.shape[1:])
    return [split[:, j] for j in (2, 1, 3, 0)]


def gate_major(rows: Array, gates: int) -> Array:
    """A view of gate-major rows, one entry a gate."""
    return rows.reshape((gates, -1) + rows.shape[1:])


def operations(xp: Any) -> Any:
    """The module of element-wise operations for NumPy's or CuPy's arrays."""
    return elementwise if xp is numpy else kernels


class Workspace:
    """Scratch arrays of one batch, reused for every batch.

    Args:
        xp: NumPy or CuPy.
        dtype: Of the weights.
        batch: B.
        channels: C.
        config: The rollout.
        weights: Arrays or parameters, for their shapes.

    """

    def __init__(self, xp: Any, dtype: Any, batch: int, channels: int,
                 config: RolloutConfig, weights: Weights):
        def make(*shape):
            return xp.empty(shape, dtype)

        T, B = config.glimpses, batch
        what, where = len(weights.what_W), len(weights.where_W)
        g, units = len(weights.what_out_W), weights.action_W.shape[1]
        hidden = 0 if weights.hidden_W is None else len(weights.hidden_W)
        gates = 4 if config.lstm else 1
        self.ops = operations(xp)
        self.key = _key(xp, dtype, batch, channels, config, weights)
        self.retina = make(T, B, config.scales, channels, config.size,
                           config.size)
        self.clipped = make(T, B, 2)
        self.encoded = make(T, B, what + where)  # h_g and h_l
        # g_t and h_{t-1}: the first state stays zero.
        self.x = xp.zeros((T, B, g + units), dtype)
        # The first step has nothing to forget. With gate-major rows it skips
        # the forget gate: the rows of its core begin at start_row.
        by_gate = config.lstm and self.ops.GATE_MAJOR
        self.start_row = units if by_gate else 0
        self.z = ([make(3 if t == 0 else 4, B, units) for t in range(T)]
                  if by_gate else make(T, B, gates * units))
        self.c, self.tanh_c = make(T + 1, B, units), make(T, B, units)
        self.hidden = make(T - 1, B, hidden)
        self.pre_what, self.pre_where = make(B, what), make(B, where)
        self.pre_g, self.pre_hidden = make(B, g), make(B, hidden)
        self.mean_sums = make(B, self.ops.MEAN_PARTS, 2)
        self.out_W, self.out_b = make(g, what + where), make(g)
        self.buffer = make(B, units)
        # Backward.
        # Of the first step, the part before start_row stays zero.
        self.dz = xp.zeros((T, B, gates * units), dtype)
        self.dx, self.dg = make(T, B, g + units), make(T, B, g)
        self.dc, self.dh = make(B, units), make(B, units)
        self.slopes = make(3 if config.lstm else 0, B, units)
        self.d_encoded = make(T, B, what + where)
        self.d_hidden = make(T - 1, B, hidden)
        self.d_states = make(T - 1, B, units)
        self._table = None

    def table(self, images: Array) -> Array:
        """The summed-area table, in the memory of the last batch's."""
        shape = tuple(numpy.add(images.shape, (0, 0, 1, 1)))
        if self._table is not None and self._table.shape != shape:
            self._table = None
        self._table = self.ops.sum_up(images, self._table)
        return self._table


def _key(xp, dtype, batch, channels, config, weights) -> Tuple:
    """All that the arrays of a workspace depend on."""
    return (operations(xp), numpy.dtype(dtype), batch, channels,
            config._replace(std=None),
            tuple(w is not None and w.shape for w in weights))


class WorkspacePool:
    """Workspaces that no rollout uses at the moment.

    A rollout takes one and gives it back after its backward pass, so two
    rollouts never write into the same one.
    """

    def __init__(self):
        self._free = []
        self._lock = threading.Lock()

    def take(self, xp: Any, dtype: Any, batch: int, channels: int,
             config: RolloutConfig, weights: Weights) -> Workspace:
        """A free workspace of these shapes, or a new one."""
        key = _key(xp, dtype, batch, channels, config, weights)
        with self._lock:
            for i, workspace in enumerate(self._free):
                if workspace.key == key:
                    return self._free.pop(i)
        return Workspace(xp, dtype, batch, channels, config, weights)

    def give_back(self, workspace: Workspace) -> None:
        """Returns a workspace; all but the two last used are dropped."""
        with self._lock:
            self._free = [workspace, *self._free][:2]
