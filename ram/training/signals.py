"""The end of a run: by its last epoch, lost patience, or a signal."""

import contextlib
import signal


class StopTrigger:
    """Ends a run: at its last epoch, by lost patience, or by a signal.

    A signal is heeded between two iterations, when everything that a
    snapshot holds is whole. A second one ends the program at once.
    """

    def __init__(self, epochs, patience, best, ranks):
        self._epochs = epochs
        self._patience = patience
        self._best = best
        self._ranks = ranks
        self.signal = 0

    def __call__(self, trainer):
        epoch = trainer.updater.epoch
        weary = (self._patience is not None
                 and epoch - self._best.epoch >= self._patience)
        self.signal = max(self._ranks.all_of(self.signal))
        return epoch >= self._epochs or weary or bool(self.signal)

    def get_training_length(self):
        return self._epochs, 'epoch'

    @contextlib.contextmanager
    def listening(self):
        """While it lasts, signals are noted instead of obeyed."""
        before = {}

        def heed(number, frame):
            self.signal = number
            signal.signal(number, before[number])

        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                before[number] = signal.signal(number, heed)
        except ValueError:  # not the main thread, which alone gets signals
            pass
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
