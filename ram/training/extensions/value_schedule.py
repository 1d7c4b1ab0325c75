"""Values that fall over the epochs: the policy explores first."""

from typing import Any, Callable

from chainer.training import extension

from ram.training.extensions.learning_rate import half_cosine


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
