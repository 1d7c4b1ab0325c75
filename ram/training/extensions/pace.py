"""Slow work beside the training, such as drawing, kept to a share of it."""

import gc
import math
import time


class Pace:
    """Says when something slow may be done again.

    What is done within ``with pace:`` is timed; :meth:`due` then says no until
    so much other time has passed that it took no more than its share::

        if pace.due():
            with pace:
                draw()

    Args:
        share (float): Of the time, above 0 and below 1.

    """

    def __init__(self, share):
        self._share = share
        self._start = self._next = -math.inf

    def due(self):
        """Whether it is time again (bool); at first it is."""
        return time.monotonic() >= self._next

    def __enter__(self):
        self._start = time.monotonic()
        return self

    def __exit__(self, *_):
        # A figure's parts hold each other, and would stay.
        gc.collect()
        end = time.monotonic()
        self._next = end + (end - self._start) / self._share
