"""Values that fall over the epochs: the policy explores first."""

from typing import Any, Callable

from chainer.training import extension

from ram.config import TrainingConfig
from ram.models.ram import RAM
from ram.training.extensions.learning_rate import half_cosine
from ram.training.train_chain import TrainChain


class ValueSchedule(extension.Extension):
    """Lowers a value along half a cosine.

    Like the learning rate it is computed from the epochs passed.

    Args:
        assign: Called with the value before every update.
        first: The value at the start.
        last: The value at the end.
        epochs: Of the training.

    """

    trigger = 1, 'iteration'
    priority = extension.PRIORITY_EDITOR

    def __init__(self, assign: Callable[[float], None], first: float,
                 last: float, epochs: int):
        self._assign = assign
        self._first = first
        self._last = last
        self._epochs = epochs

    def initialize(self, trainer: Any) -> None:
        self(trainer)

    def __call__(self, trainer: Any) -> None:
        self._assign(self.at(trainer.updater.epoch_detail))

    def at(self, epoch: float) -> float:
        """The value after so many epochs, fractions included."""
        return self._last + half_cosine(epoch, self._epochs) * (
            self._first - self._last)


def std_schedule(model: RAM, training: TrainingConfig) -> ValueSchedule:
    """Lowers the policy's standard deviation from ``first_std`` to its own.

    A wide policy explores; at the end the classifier should see what it will
    see when the policy's mean is followed.
    """
    def assign(std):
        model.std = std
    return ValueSchedule(assign, training.first_std, model.std, training.epochs)


def entropy_schedule(chain: TrainChain, training: TrainingConfig) -> ValueSchedule:
    """Lowers the weight of a player's entropy."""
    def assign(weight):
        chain.objective = chain.objective._replace(entropy_weight=weight)
    return ValueSchedule(assign, training.first_entropy_weight,
                   training.entropy_weight, training.epochs)
