"""One training iteration on arrays that stay on the GPU."""

from typing import Any, Dict, List, Optional

import chainer
import numpy

from ram.config import Config
from ram.data.splits import Split
from ram.fast import batch_kernels, recurrence, update_kernels
from ram.fast.batch_kernels import Draw
from ram.fast.products import dot, sum_rows
from ram.fast.workspace import (
    RolloutConfig,
    Weights,
    Workspace,
    pack_weights,
)
from ram.random_streams import stream_number


class DeviceIteration:
    """Makes a batch, takes its glimpses, and updates the weights.

    All of it is kernel launches on arrays that are allocated once, with the
    same arguments each time, so that it can be recorded as a CUDA graph. The
    host writes a schedule once an epoch (order of the images, learning rates,
    standard deviations) and reads the metrics at its end.

    Args:
        chain (ram.training.train_chain.TrainChain): The model with its loss.
        optimizer: :class:`ram.fast.flat.Adam` of the flat chain.
        split: Training images, on the CPU.
        config: The configuration.
        batch: B, the part of this process.
        max_batches: Most iterations of a schedule.
        ranks (ram.training.distributed.SingleProcess): The processes that
            train together.
        average (ram.training.extensions.average_weights.AverageWeights):
            Follows the weights; or None.

    Attributes:
        canvases: (B, C, H, W) of the last iteration, like all these.
        windows: (B, patches + 1, WINDOW) int32: what they were composed of.
        maps: (B, 4) uniform in [-1, 1): the warp, divided by ``data.warp``.
        labels: (B,) int32.
        sampled: (T, B, 2) locations as sampled.
        noise: (T - 1, B, 2): the policy's, times its standard deviation; or
            the locations of the random policy.

    """

    def __init__(self, chain: chainer.Chain, optimizer: Any, split: Split,
                 config: Config, batch: int, max_batches: int, ranks: Any,
                 average: Optional[Any]):
        model = chain.model
        self._chain = chain
        self._model = model
        self._optimizer = optimizer
        self._data = config.data
        self._clip = config.training.clip or 0
        self._ranks = ranks
        self._average = average
        self._send = model.device.send
        optimizer.target.join_gradients()
        vector = optimizer.target.vector
        vector.update_rule._init_states(vector)

        parameters = Weights.of(model)
        self._weights = parameters.arrays()
        # The noise includes the standard deviation.
        self._config = RolloutConfig.of(model)._replace(std=1.0)
        self._grads = {name: p.grad
                       for name, p in zip(Weights._fields, parameters)
                       if p is not None}
        self._split = Split(*(self._send(numpy.ascontiguousarray(array))
                              for array in split))
        self._allocate(vector.dtype, batch, max_batches)
        seed = config.training.seed
        self._key = self._send(numpy.array(
            [seed % 2 ** 32, seed >> 32, ranks.rank], 'uint32'))

    def _allocate(self, dtype, batch, max_batches):
        xp, data, T = self._model.xp, self._data, self._config.glimpses
        classes, units = self._weights.action_W.shape
        patches = data.clutter if data.variant == 'cluttered' else 0
        self._workspace = Workspace(xp, dtype, batch, data.channels,
                                    self._config, self._weights)
        self.windows = xp.zeros((batch, patches + 1, batch_kernels.WINDOW),
                                'int32')
        self.maps = xp.zeros((batch, 4), dtype)
        self.canvases = xp.zeros((batch, data.channels) + data.canvas_size,
                                 dtype)
        self.labels = xp.zeros(batch, 'int32')
        self.sampled = xp.zeros((T, batch, 2), dtype)
        self.noise = xp.zeros((T - 1, batch, 2), dtype)
        self._locations = xp.zeros_like(self.sampled)
        self._means = xp.zeros_like(self.noise)
        self._d_sums = xp.zeros_like(self.noise)
        self._states = xp.zeros((T, batch, units), dtype)
        self._d_last = xp.zeros((batch, units), dtype)
        self._logits = xp.zeros((batch, classes), dtype)
        self._values = xp.zeros(((T - 1) * batch, 1), dtype)
        # One product sums the terms of the loss and the squared gradient.
        rows = len(update_kernels.ROWS) + 1
        self._table = xp.zeros(
            (rows, max(batch, update_kernels.PARTIAL_SUMS)), 'float64')
        self._totals = xp.zeros(rows, 'float64')
        self._counter = xp.zeros(2, 'int64')
        self._now = xp.zeros(2, 'int64')
        self._order = xp.zeros((max_batches, batch), 'int32')
        self._rates = xp.zeros(max_batches, dtype)
        self._stds = xp.zeros(max_batches, dtype)
        self._sums = xp.zeros(len(update_kernels.TERMS), 'float64')
        self._not_finite = xp.zeros(2, 'float64')

    def schedule(self, order: numpy.ndarray, rates: List[float],
                 stds: List[float], passed: int) -> None:
        """Writes what the next iterations need.

        Args:
            order: (n, B) indices of the training images.
            rates: Learning rates, with Adam's correction.
            stds: The policy's standard deviations.
            passed: Iterations of the run so far.

        """
        dtype = self._rates.dtype
        for array, values in (
                (self._order, order.astype('int32')),
                (self._rates, numpy.array(rates, dtype)),
                (self._stds, numpy.array(stds, dtype)),
                (self._counter, numpy.array([0, passed], 'int64'))):
            array[:len(values)] = self._send(values)

    def __call__(self) -> None:
        """Launches an iteration."""
        self._make_batch()
        packed = pack_weights(self._workspace, self._weights, self._config)
        recurrence.forward(
            self._model.xp, self._workspace, self.canvases, self.noise,
            self.sampled, self._locations, self._means, self._states,
            self._weights, packed, self._config)
        self._loss_and_gradients()
        objective = self._chain.objective
        trains = objective.reinforce_weight or objective.border_weight
        recurrence.backward(
            self._workspace, self._states, self._d_sums if trains else None,
            self._d_last, self._weights, packed, self._config, self._grads)
        self._update()

    def _make_batch(self):
        """Images, labels, first locations and noise."""
        model = self._model

        batch_kernels.sample_windows(
            self._counter, self._key, stream_number('canvas'), self._order,
            self._split, self._data, self.windows, self.labels, self._now)
        draws, first = [], self.sampled[0]
        if self._data.warp:
            # The windows used two blocks each.
            draws.append(Draw(stream_number('canvas'),
                              2 * self.windows[:, :, 0].size, False,
                              self.maps))
        if model.first_location != 'center':
            draws.append(Draw(stream_number('location'), 0,
                              model.first_location == 'near_center', first))
        if model.policy == 'random':
            draws.append(Draw(
                stream_number('location'), batch_kernels.blocks(first.size),
                False, self.noise))
        else:
            draws.append(Draw(stream_number('noise'), 0, True, self.noise))
        batch_kernels.sample(self._counter, self._key, self._stds, draws)
        batch_kernels.compose_canvases(self._split, self._data, self.windows,
                                       self.maps, self.canvases)

    def _loss_and_gradients(self):
        """The loss, and the gradients of heads, means and last state."""
        w, grads = self._weights, self._grads
        states = self._states.reshape(-1, self._states.shape[2])
        last, before = self._states[-1], states[:len(self._values)]
        dot(last, w.action_W.T, out=self._logits)
        if len(before):
            dot(before, w.value_W.T, out=self._values)
        update_kernels.loss_and_gradients(
            self._now, self._stds, self.labels, self._logits, w.action_b,
            self.sampled[1:], self._means, self._values, w.value_b,
            self._chain.objective, self._config.squash, self._d_sums,
            self._table)
        dot(self._logits.T, last, out=grads['action_W'])
        sum_rows(self._logits, out=grads['action_b'])
        dot(self._logits, w.action_W, out=self._d_last)
        if len(before):
            dot(self._values.T, before, out=grads['value_W'])
            sum_rows(self._values, out=grads['value_b'])

    def _update(self):
        """Clips the gradient, updates the weights, counts."""
        vector = self._optimizer.target.vector
        state, average = vector.update_rule.state, self._average
        if self._ranks.size > 1:
            self._ranks.mean_gradients(self._optimizer)
        update_kernels.partial_squared_norms(vector.grad, self._table[-1])
        sum_rows(self._table.T, out=self._totals)
        update_kernels.adam(
            self._now, self._rates, self._totals, self._clip,
            vector.update_rule.hyperparam, vector.grad, state['m'],
            state['v'], vector.array,
            *((0, vector.array) if average is None
              else (average.decay, average.vector)),
            update_kernels.Metrics(
                len(self.labels), len(self.noise), self._chain.objective,
                self._sums, self._not_finite, self._counter))

    def fetch_metrics(self) -> Dict[str, float]:
        """Metrics of the iterations since the last call; waits for the GPU.

        Returns:
            What a train chain reports, means over the iterations; and
            ``not_finite``, the first iteration whose loss was not finite, if
            there was one.

        """
        sums = dict(zip(update_kernels.TERMS, _to_cpu(self._sums).tolist()))
        self._sums[...] = 0
        count = sums.pop('iterations')
        means = {name: value / count for name, value in sums.items()
                 if len(self.noise) or not name.startswith('location/')}
        means['error'] = 100 * (1 - means['accuracy'])
        iteration, loss = _to_cpu(self._not_finite).tolist()
        if iteration:
            means.update(not_finite=int(iteration), loss=loss)
        return means

    def serialize(self, serializer: Any) -> None:
        """Saves or restores the sums of the current epoch."""
        loading = isinstance(serializer, chainer.serializer.Deserializer)
        saved = serializer('sums', None if loading else self._sums)
        if loading and saved is not None:  # a run on the CPU has none
            self._sums[...] = self._send(numpy.asarray(saved))


def _to_cpu(array):
    return chainer.get_device('@numpy').send(array)
