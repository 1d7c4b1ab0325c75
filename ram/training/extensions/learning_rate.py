"""The learning rate over the epochs."""

import math
from typing import Any

import chainer
from chainer.training import extension

from ram.config import TrainingConfig


class LearningRate(extension.Extension):
    """Sets the learning rate before every update.

    It stands in for Chainer's ``ExponentialShift`` and its like: the rate is
    computed from the epochs passed, so that a resumed run continues at exactly
    the same rate. Only ``plateau`` has a state, which is saved.

    Args:
        optimizer: Its rate is set.
        training: The schedule.

    """

    trigger = 1, 'iteration'
    priority = extension.PRIORITY_EDITOR

    def __init__(self, optimizer: Any, training: TrainingConfig):
        self._optimizer = optimizer
        # Adam's lr is a derived value; its alpha is the rate.
        self._name = 'alpha' if hasattr(optimizer, 'alpha') else 'lr'
        self._training = training
        self._share = 1.0
        self._best = math.inf
        self._since = 0  # the epoch of the best error, or of the last drop

    def initialize(self, trainer: Any) -> None:
        self._set(trainer)

    def __call__(self, trainer: Any) -> None:
        error = trainer.observation.get('validation/main/error')
        if self._training.schedule == 'plateau' and error is not None:
            self._watch(error, trainer.updater.epoch)
        chainer.report({'learning_rate': self._set(trainer)})

    def _watch(self, error, epoch):
        training = self._training
        if error < self._best:
            self._best, self._since = error, epoch
        elif epoch - self._since >= training.plateau_patience:
            self._share = max(self._share * training.step_factor,
                              training.final_rate)
            self._since = epoch

    def _set(self, trainer):
        rate = self.at(trainer.updater.epoch_detail)
        setattr(self._optimizer, self._name, rate)
        return rate

    def at(self, epoch: float) -> float:
        """The rate after so many epochs, fractions included."""
        training = self._training
        if training.schedule == 'cosine':
            share = training.final_rate + (1 - training.final_rate) * (
                half_cosine(epoch, training.epochs))
        elif training.schedule == 'linear':
            share = training.final_rate + (1 - training.final_rate) * (
                1 - min(epoch / training.epochs, 1))
        elif training.schedule == 'step':
            share = training.step_factor ** sum(
                epoch >= step for step in training.step_epochs)
        else:
            share = self._share
        return training.learning_rate * share

    def serialize(self, serializer):
        self._share = float(serializer('share', self._share))
        self._best = float(serializer('best', self._best))
        self._since = int(serializer('since', self._since))


def half_cosine(epoch: float, epochs: int) -> float:
    """Falls from 1 at the start to 0 after so many epochs."""
    return (1 + math.cos(math.pi * min(epoch / epochs, 1))) / 2
