"""Checkpoints of the best and of the last measured epoch."""

import math
import os
from typing import Any

import chainer
from chainer.training import extension

from ram import checkpoint
from ram.config import Config
from ram.errors import RamError


class SaveBest(extension.Extension):
    """Writes ``last.npz`` whenever the model was measured, and ``best.npz``.

    Chainer's ``MinValueTrigger`` would fail in epochs without a measurement.

    Args:
        model: The network.
        config: Written into the checkpoints.
        writes: Whether this process writes them.

    Attributes:
        error: The least validation error so far, in %.
        epoch: The epoch that reached it; 0 before the first.

    """

    trigger = 1, 'epoch'
    priority = extension.PRIORITY_EDITOR

    def __init__(self, model: chainer.Chain, config: Config, writes: bool):
        self._model = model
        self._config = config
        self._writes = writes
        self.error = math.inf
        self.epoch = 0

    def __call__(self, trainer: Any) -> None:
        error = trainer.observation.get('validation/main/error')
        if error is None:  # not measured after this epoch
            return
        metrics = {'epoch': trainer.updater.epoch,
                   'iteration': trainer.updater.iteration,
                   'validation_error': error}
        if error < self.error:  # of equal ones the first
            self.error, self.epoch = error, trainer.updater.epoch
            self._save(trainer, 'best.npz', metrics)
        self._save(trainer, 'last.npz', metrics)

    def _save(self, trainer, name, metrics):
        if self._writes:
            checkpoint.save_checkpoint(os.path.join(trainer.out, name),
                                       self._model, self._config, metrics)

    def check(self, out: str) -> None:
        """Forgets the best error if ``best.npz`` is not of it.

        A killed run may have written the network of a later epoch than its
        snapshot knows, and a resumed one may not come by it again.
        """
        try:
            _, meta = checkpoint.read_arrays(os.path.join(out, 'best.npz'),
                                             'checkpoint')
            epoch = (meta.get('metrics') or {}).get('epoch')
        except RamError:  # missing or damaged
            epoch = None
        if epoch != self.epoch:
            self.error = math.inf

    def serialize(self, serializer):
        self.error = float(serializer('error', self.error))
        self.epoch = int(serializer('epoch', self.epoch))
