"""Where a player looks: how far its gaze is from the ball."""

from typing import Dict, NamedTuple

import numpy

from ram.evaluation.play import Played
from ram.games.catch import Catch


class Gaze(NamedTuple):
    """Distances between glimpses and ball, in pixels.

    Attributes:
        caught: (T,) float64, median at each step of the games whose ball was
            caught; NaN if there are none.
        missed: (T,) float64, of the other games.
        all: (N,) float64, mean over the steps of each game.

    """

    caught: numpy.ndarray
    missed: numpy.ndarray
    all: numpy.ndarray


def gaze_distances(played: Played, game: Catch) -> numpy.ndarray:
    """Distances between the centres of glimpse and ball.

    Args:
        played: T steps of N games.
        game: Their rules.

    Returns:
        (T, N) float64, in pixels.

    """
    steps = len(played.locations)
    gaze = (played.locations.astype('float64') + 1) / 2 * (
        game.width, game.height)
    x = played.balls[:-1] + 0.5
    y = numpy.arange(steps)[:, None] + 0.5
    return numpy.hypot(gaze[..., 0] - x, gaze[..., 1] - y)


def measure_gaze(played: Played, game: Catch) -> Gaze:
    """Medians of :func:`gaze_distances` by step."""
    distances = gaze_distances(played, game)
    was_caught = played.rewards > 0

    def median(which):
        if not which.any():
            return numpy.full(len(distances), numpy.nan)
        return numpy.median(distances[:, which], axis=1)

    return Gaze(median(was_caught), median(~was_caught),
                distances.mean(axis=0))


def gaze_numbers(gaze: Gaze) -> Dict[str, object]:
    """The same in plain JSON types; the median of nothing is None."""
    return {name: [None if numpy.isnan(v) else v for v in values.tolist()]
            for name, values in (('caught', gaze.caught),
                                 ('missed', gaze.missed))} | {
        'mean': float(gaze.all.mean())}
