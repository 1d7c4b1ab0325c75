"""The updater of trainings that stay on the GPU."""

from typing import Any, Callable

import chainer
from chainer.training.updaters import StandardUpdater

from ram.data.batches import BatchIterator
from ram.fast.device_iteration import DeviceIteration


class DeviceUpdater(StandardUpdater):
    """Updates by iterations that stay on the GPU.

    Chainer's own updater would make each batch on the CPU, send it, and wait
    for its loss. Here the metrics are reported once, at the end of an epoch.

    Args:
        iterator: Gives the order of the images.
        optimizer: :class:`ram.fast.flat.Adam` of the flat chain.
        iteration: What an iteration is.
        run: Runs it: the iteration itself or a
            :class:`ram.fast.cuda_graph.CudaGraphRunner` of it.
        rate: The learning rate after so many epochs.
        std: The policy's standard deviation, likewise.
        tf32: Whether products of float32 use TF32.

    Attributes:
        device_iteration: As given.
        std: As given.

    """

    def __init__(self, iterator: BatchIterator, optimizer: Any,
                 iteration: DeviceIteration, run: Callable[[], None],
                 rate: Callable[[float], float],
                 std: Callable[[float], float], tf32: bool = False):
        super().__init__(iterator, optimizer)
        self.device_iteration = iteration
        self._run = run
        self._rate = rate
        self._tf32 = tf32
        self.std = std
        self._scheduled = 0

    def update_core(self):
        """Runs an iteration; reports the metrics at the end of an epoch."""
        iterator = self.get_iterator('main')
        optimizer = self.get_optimizer('main')
        rule = optimizer.target.vector.update_rule
        if not self._scheduled:
            self._schedule(iterator, rule)
        iterator.next_indices()
        with chainer.using_config('tf32', self._tf32):
            self._run()
        self._scheduled -= 1
        optimizer.t += 1
        rule.t += 1
        if iterator.is_new_epoch:
            optimizer.new_epoch(auto=True)
            chainer.report(self.device_iteration.fetch_metrics(),
                           optimizer.target.chain)

    def _schedule(self, iterator, rule):
        order, epochs = iterator.remaining_batches()
        hp, rates = rule.hyperparam, []
        for t, epoch in enumerate(epochs.tolist(), start=rule.t + 1):
            rates.append(self._rate(epoch) * (1 - hp.beta2 ** t) ** 0.5
                         / (1 - hp.beta1 ** t))
        stds = [self.std(epoch) for epoch in epochs.tolist()]
        self.device_iteration.schedule(order, rates, stds, self.iteration)
        self._scheduled = len(rates)

    def serialize(self, serializer):
        super().serialize(serializer)
        self.device_iteration.serialize(serializer['device iteration'])
