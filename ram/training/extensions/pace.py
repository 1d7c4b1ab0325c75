"""Slow work beside the training, such as drawing, kept to a share of it."""

import gc
import math
import time


class Pace:
    """Limits slow work to a share of the time.

    The block ``with pace:`` is timed; :meth:`due` then is False until enough
    other time has passed::

        if pace.due():
            with pace:
                draw()

    Args:
        share: Of the time, above 0 and below 1.

    """

    def __init__(self, share: float):
        self._share = share
        self._start = self._next = -math.inf

    def due(self) -> bool:
        """Whether to do the work now; True at first."""
        return time.monotonic() >= self._next

    def __enter__(self) -> 'Pace':
        self._start = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        # A figure's parts refer to each other, so only this frees them.
        gc.collect()
        end = time.monotonic()
        self._next = end + (end - self._start) / self._share
