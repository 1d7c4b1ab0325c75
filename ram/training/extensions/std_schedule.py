"""The standard deviation of the policy over the epochs."""

from typing import Any

from chainer.training import extension

from ram.config import TrainingConfig
from ram.models.ram import RAM
from ram.training.extensions.learning_rate import half_cosine


class StdSchedule(extension.Extension):
    """Lowers the policy's standard deviation during the training.

    A wide policy explores; at the end the classifier should see what it will
    see when the policy's mean is followed. Like the learning rate it is
    computed from the epochs passed.

    Args:
        model: Its ``std`` is set before every update.
        training: With a ``first_std``.

    """

    trigger = 1, 'iteration'
    priority = extension.PRIORITY_EDITOR

    def __init__(self, model: RAM, training: TrainingConfig):
        self._model = model
        self._training = training
        self._last = model.std

    def initialize(self, trainer: Any) -> None:
        self(trainer)

    def __call__(self, trainer: Any) -> None:
        self._model.std = self.at(trainer.updater.epoch_detail)

    def at(self, epoch: float) -> float:
        """The standard deviation after so many epochs, fractions included."""
        share = half_cosine(epoch, self._training.epochs)
        return self._last + share * (self._training.first_std - self._last)
