"""Training that stays on the GPU: images, chance, loss and update.

The host tells the GPU once an epoch what is to come (the order of the images,
the learning rates) and asks it once an epoch how it went; in between it only
launches. See :mod:`ram.fast.iteration` for the kernels.
"""

import chainer
import numpy
from chainer import training

from ram.data.splits import Split
from ram.fast import iteration
from ram.fast.rollout import (
    Weights,
    Workspace,
    backward,
    forward,
    pack_weights,
)
from ram.random_streams import stream_number


def stays_on(device, chain, config):
    """Whether a training can stay on its device.

    Args:
        device (chainer.backend.Device): It.
        chain (chainer.Chain): The model with its loss.
        config (ram.config.Config): The configuration.

    Returns:
        bool: False on the CPU, for another optimizer than Adam, and for a
        network that has other parts than this program's.

    """
    return (device.xp is not numpy and config.training.optimizer == 'adam'
            and chain.gradients_in_one())


class Iteration:
    """One training iteration, on arrays that are made once.

    Called, it makes a batch, looks at it, and updates the weights; all of it
    is launches, with the same arguments each time.

    Args:
        chain (ram.training.train_chain.TrainChain): The model with its loss.
        optimizer (ram.fast.flat.Adam): Of the flat chain.
        split (ram.data.splits.Split): Training images, on the CPU.
        config (ram.config.Config): The configuration.
        batch (int): B, the part of this process.
        longest (int): Most iterations of a plan.
        ranks (ram.training.distributed.SingleProcess): The processes that train together.
        average (ram.training.extensions.average_weights.AverageWeights): Follows the weights;
            or None.

    Attributes:
        canvases (array): (B, C, H, W) of the last iteration, like all
            these: what was looked at.
        windows (array): (B, patches + 1, WINDOW) int32: what of.
        maps (array): (B, 4) uniform in [-1, 1): what they are warped by.
        labels (array): (B,) int32.
        drawn (array): (T, B, 2) locations as drawn.
        noise (array): (T - 1, B, 2): the policy's, times its deviation; or
            the locations of the random one.

    """

    def __init__(self, chain, optimizer, split, config, batch, longest, ranks,
                 average):
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

        parameters, setting = model.recurrence()
        self._weights = Weights(*[p if p is None else p.array
                                  for p in parameters])
        # The noise comes with its deviation.
        self._setting = setting._replace(std=1.0)
        self._grads = {name: p.grad
                       for name, p in zip(Weights._fields, parameters)
                       if p is not None}
        xp, T = model.xp, setting.glimpses

        dtype = vector.dtype
        channels, classes = config.data.channels, config.data.classes
        units = parameters.mean_W.shape[1]
        if parameters.hidden_W is not None:
            units = parameters.hidden_W.shape[1]
        patches = (config.data.clutter if config.data.variant == 'cluttered'
                   else 0)
        self._workspace = Workspace(xp, dtype, batch, channels, setting,
                                    parameters)
        self._split = Split(*(self._send(numpy.ascontiguousarray(array))
                              for array in split))
        self.windows = xp.zeros((batch, patches + 1, iteration.WINDOW),
                                'int32')
        self.maps = xp.zeros((batch, 4), dtype)
        self.canvases = xp.zeros((batch, channels) + config.data.canvas_size,
                                 dtype)
        self.labels = xp.zeros(batch, 'int32')
        self.drawn = xp.zeros((T, batch, 2), dtype)
        self.noise = xp.zeros((T - 1, batch, 2), dtype)
        self._locations = xp.zeros_like(self.drawn)
        self._means = xp.zeros_like(self.noise)
        self._d_means = xp.zeros_like(self.noise)
        self._states = xp.zeros((T, batch, units), dtype)
        self._d_last = xp.zeros((batch, units), dtype)
        self._logits = xp.zeros((batch, classes), dtype)
        self._values = xp.zeros(((T - 1) * batch, 1), dtype)
        self._rows = xp.zeros((batch, len(iteration.COLUMNS)), 'float64')
        self._totals = xp.zeros(len(iteration.COLUMNS), 'float64')
        self._lanes = xp.zeros(iteration.LANES, 'float64')
        self._square = xp.zeros((), 'float64')

        seed = config.training.seed
        self._key = self._send(numpy.array(
            [seed % 2 ** 32, seed >> 32, ranks.rank], 'uint32'))
        self._clock = xp.zeros(2, 'int64')
        self._order = xp.zeros((longest, batch), 'int32')
        self._rates = xp.zeros(longest, dtype)
        self._stds = xp.zeros(longest, dtype)
        self._sums = xp.zeros(len(iteration.TERMS), 'float64')
        self._lost = xp.zeros(2, 'float64')

    def plan(self, order, rates, stds, passed):
        """Tells what the next iterations will need.

        Args:
            order (array): (n, B) indices of the training images.
            rates (list of float): Learning rates, with Adam's correction.
            stds (list of float): The policy's standard deviations.
            passed (int): Iterations of the run so far.

        """
        dtype = self._rates.dtype
        for array, values in (
                (self._order, order.astype('int32')),
                (self._rates, numpy.array(rates, dtype)),
                (self._stds, numpy.array(stds, dtype)),
                (self._clock, numpy.array([0, passed], 'int64'))):
            array[:len(values)] = self._send(values)

    def __call__(self):
        self._make_batch()
        arranged = pack_weights(self._weights, self._setting)
        forward(self._model.xp, self._workspace, self.canvases, self.noise,
                self.drawn, self._locations, self._means, self._states,
                self._weights, arranged, self._setting)
        self._judge()
        self._learn(arranged)
        self._update()

    def _make_batch(self):
        """Images, labels, first locations and noise."""
        model = self._model
        location, noise = stream_number('location'), stream_number('noise')
        canvas = stream_number('canvas')
        iteration.place(self._clock, self._key, canvas, self._order,
                        self._split, self._data, self.windows, self.labels)
        if self._data.warp:
            # Two blocks went to each window.
            iteration.draw(self._clock, self._key, canvas,
                           2 * self.windows[:, :, 0].size, False, self._stds,
                           self.maps)
        iteration.paint(self._split, self._data, self.windows, self.maps,
                        self.canvases)
        first = self.drawn[0]
        if model.first_location != 'center':
            iteration.draw(self._clock, self._key, location, 0,
                           model.first_location == 'near_center', self._stds,
                           first)
        if model.policy == 'random':
            iteration.draw(self._clock, self._key, location,
                           iteration.blocks(first.size), False, self._stds,
                           self.noise)
        else:
            iteration.draw(self._clock, self._key, noise, 0, True, self._stds,
                           self.noise)

    def _judge(self):
        """The loss, and the gradients of all that it is a function of."""
        xp, chain = self._model.xp, self._chain
        action, value = self._model.action.logits, self._model.baseline.value
        states = self._states.reshape(-1, self._states.shape[2])
        last, before = self._states[-1], states[:len(self._values)]
        xp.dot(last, action.W.array.T, out=self._logits)
        if len(before):
            xp.dot(before, value.W.array.T, out=self._values)
        iteration.loss(
            self._clock, self._stds, self.labels, self._logits,
            action.b.array, self.drawn[1:], self._means, self._values,
            value.b.array, chain.reinforce_weight, chain.baseline_weight,
            chain.reward, self._d_means, self._rows)
        xp.dot(self._logits.T, last, out=action.W.grad)
        self._logits.sum(axis=0, out=action.b.grad)
        xp.dot(self._logits, action.W.array, out=self._d_last)
        if len(before):
            xp.dot(self._values.T, before, out=value.W.grad)
            self._values.sum(axis=0, out=value.b.grad)

    def _learn(self, arranged):
        """The gradients of the recurrence."""
        backward(self._model.xp, self._workspace, self._means, self._states,
                 self._d_means if self._chain.reinforce_weight else None,
                 [None] * (len(self._states) - 1) + [self._d_last],
                 self._weights, arranged, self._setting, self._grads)

    def _update(self):
        """Clips the gradient, updates, and counts."""
        chain, vector = self._chain, self._optimizer.target.vector
        state, average = vector.update_rule.state, self._average
        if self._ranks.size > 1:
            self._ranks.mean_gradients(self._optimizer)
        iteration.squares(vector.grad, self._lanes)
        self._lanes.sum(out=self._square)
        iteration.adam(
            self._clock, self._rates, self._square, self._clip,
            vector.update_rule.hyperparam, vector.grad, state['m'],
            state['v'], vector.array,
            *((0, vector.array) if average is None
              else (average.decay, average.vector)))
        self._rows.sum(axis=0, out=self._totals)
        iteration.tally(len(self.labels), len(self.noise),
                        chain.reinforce_weight, chain.baseline_weight,
                        self._totals, self._sums, self._lost, self._clock)

    def outcome(self):
        """How the iterations went since it was asked last; waits for them.

        Returns:
            dict of str to float: What a train chain reports, means over the
            iterations; and ``lost``, the first iteration whose loss was no
            number, if there was one.

        """
        sums = dict(zip(iteration.TERMS, _to_cpu(self._sums).tolist()))
        self._sums[...] = 0
        count = sums.pop('iterations')
        means = {name: value / count for name, value in sums.items()
                 if len(self.noise) or not name.startswith('location/')}
        means['error'] = 100 * (1 - means['accuracy'])
        lost, loss = _to_cpu(self._lost).tolist()
        if lost:
            means.update(lost=int(lost), loss=loss)
        return means

    def serialize(self, serializer):
        """Saves or restores the sums of the epoch under way."""
        loading = isinstance(serializer, chainer.serializer.Deserializer)
        saved = serializer('sums', None if loading else self._sums)
        if loading and saved is not None:  # a run on the CPU has none
            self._sums[...] = self._send(numpy.asarray(saved))


def _to_cpu(array):
    return chainer.get_device('@numpy').send(array)


class DeviceUpdater(training.updaters.StandardUpdater):
    """Updates by iterations that stay on the device.

    Chainer's updater would make each batch on the CPU, send it, and wait for
    its loss. Here what is reported comes once, at the end of an epoch.

    Args:
        iterator (ram.data.batches.BatchIterator): Gives the order.
        optimizer (ram.fast.flat.Adam): Of the flat chain.
        iteration (Iteration): The work.
        run (callable): Does the work.
        rate (callable): The learning rate after so many epochs (float).
        std (callable): The policy's standard deviation, likewise.

    """

    def __init__(self, iterator, optimizer, iteration, run, rate, std):
        super().__init__(iterator, optimizer)
        self._iteration = iteration
        self._rate = rate
        self._std = std
        self._run = run
        self._planned = 0

    def update_core(self):
        """Does an iteration; at the end of an epoch reports how it went."""
        iterator, optimizer = self.get_iterator('main'), self.get_optimizer(
            'main')
        rule = optimizer.target.vector.update_rule
        if not self._planned:
            self._plan(iterator, rule)
        iterator.take()
        self._run()
        self._planned -= 1
        optimizer.t += 1
        rule.t += 1
        if iterator.is_new_epoch:
            optimizer.new_epoch(auto=True)
            chainer.report(self._iteration.outcome(), optimizer.target.chain)

    def _plan(self, iterator, rule):
        order, epochs = iterator.ahead()
        hp, rates = rule.hyperparam, []
        for i, epoch in enumerate(epochs.tolist()):
            t = rule.t + 1 + i
            rates.append(self._rate(epoch) * (1 - hp.beta2 ** t) ** 0.5
                         / (1 - hp.beta1 ** t))
        stds = [self._std(epoch) for epoch in epochs.tolist()]
        self._iteration.plan(order, rates, stds, self.iteration)
        self._planned = len(rates)

    def serialize(self, serializer):
        super().serialize(serializer)
        self._iteration.serialize(serializer['iteration of the device'])
