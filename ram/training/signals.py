"""When a run ends: after its last epoch, without progress, or by a signal."""

import contextlib
import signal
from typing import Any, Iterator, Optional, Tuple

from ram.training.distributed import SingleProcess


class StopTrigger:
    """Ends a run: after its last epoch, patience exhausted, or by a signal.

    A signal takes effect between two iterations, when everything that a
    snapshot holds is consistent. A second one ends the program at once.

    Args:
        epochs: The last epoch.
        patience: Epochs without a better validation error, or None.
        every: Epochs from one measurement to the next; patience ends there.
        best (ram.training.extensions.save_best.SaveBest): Knows the best
            epoch.
        ranks: The processes that train together.

    Attributes:
        signal: Number of the signal that came, or 0.

    """

    def __init__(self, epochs: int, patience: Optional[int], every: int,
                 best: Any, ranks: SingleProcess):
        self._epochs = epochs
        self._patience = patience
        self._every = every
        self._best = best
        self._ranks = ranks
        self.signal = 0

    def __call__(self, trainer: Any) -> bool:
        epoch = trainer.updater.epoch
        patience_exhausted = (self._patience is not None
                              and epoch % self._every == 0
                              and epoch - self._best.epoch >= self._patience)
        self.signal = max(self._ranks.all_of(self.signal))
        return (epoch >= self._epochs or patience_exhausted
                or bool(self.signal))

    def get_training_length(self) -> Tuple[int, str]:
        """For Chainer's progress bar."""
        return self._epochs, 'epoch'

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Within this context the first signal is noted, not obeyed."""
        before = {}

        def on_signal(number, frame):
            self.signal = number
            signal.signal(number, before[number])

        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                before[number] = signal.signal(number, on_signal)
        except ValueError:  # only the main thread can handle signals
            before.clear()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
