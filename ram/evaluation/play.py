"""Games of a player, and the share of balls that it catches."""

import time
from typing import Callable, NamedTuple, Optional, Sequence, Tuple, Union

import chainer
import chainer.functions as F
import numpy

from ram.config import Config
from ram.devices import Array
from ram.evaluation.evaluate import (
    Evaluation,
    Streams,
    evaluate,
    evaluation_streams,
    wilson_interval,
)
from ram.models.player import Player


class Played(NamedTuple):
    """T steps of N games; arrays of NumPy. See :class:`ram.models.player.Games`.

    Attributes:
        locations: (T, N, 2) float32, clipped, (x, y) in [-1, 1].
        probabilities: (T, N, 3) float32, of the actions.
        actions: (T, N) int.
        balls: (T + 1, N) int32.
        paddles: (T + 1, N) int32.
        rewards: (N,) float32.

    """

    locations: numpy.ndarray
    probabilities: numpy.ndarray
    actions: numpy.ndarray
    balls: numpy.ndarray
    paddles: numpy.ndarray
    rewards: numpy.ndarray


class GameEvaluation(NamedTuple):
    """Measurements on n games.

    Attributes:
        error: Balls that were missed, in %.
        interval: Its 95 % Wilson interval, in %.
        n: Number of games.
        games_per_second: Games over the wall time.

    """

    error: float
    interval: Tuple[float, float]
    n: int
    games_per_second: float


def play(model: Player, starts: numpy.ndarray, streams: Streams,
         policy: str = 'mean', batch_size: int = 500,
         progress: Optional[Callable[[int, int], None]] = None,
         indices: Optional[Sequence[int]] = None) -> Played:
    """Plays games to their end.

    Args:
        model: On any device.
        starts: (N, 3) int32 first positions.
        streams: ``location`` and ``noise`` are sampled for all games at
            once, so that the batch size changes nothing.
        policy: ``mean``: the likeliest action and the policy's mean;
            ``sample``: both sampled.
        batch_size: Games at a time.
        progress: Called after each batch with the number of games played and
            of all.
        indices: Of the games to play, as they are among all; all if left out.

    """
    first, noise = model.sample_noise(streams, len(starts),
                                      mean=policy == 'mean')
    if indices is not None:
        starts, first, noise = (starts[indices], first[indices],
                                noise[:, indices])
    parts = []
    for i in range(0, len(starts), batch_size):
        part = slice(i, i + batch_size)
        parts.append(_play_batch(model, starts[part], first[part],
                                 noise[:, part]))
        if progress:
            progress(min(i + batch_size, len(starts)), len(starts))
    return Played(*(numpy.concatenate(arrays, axis=-1 if arrays[0].ndim < 3
                                      else 1) for arrays in zip(*parts)))


def _play_batch(model, starts, first, noise):
    to_cpu = chainer.get_device('@numpy').send
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        games = model(model.device.send(starts), first, noise)
        shares = F.softmax(games.logits, axis=2)
    return Played(*map(to_cpu, (
        games.locations, shares.array, games.actions, games.balls,
        games.paddles, games.rewards)))


def evaluate_games(model: Player, starts: numpy.ndarray, streams: Streams,
                   policy: str = 'mean', batch_size: int = 500,
                   progress: Optional[Callable[[int, int], None]] = None
                   ) -> GameEvaluation:
    """Measures how many balls are missed; the arguments are those of
    :func:`play`."""
    begin = time.perf_counter()
    rewards = play(model, starts, streams, policy, batch_size,
                   progress).rewards
    seconds = time.perf_counter() - begin
    n, missed = len(rewards), int((rewards == 0).sum())
    low, high = wilson_interval(missed, n)
    return GameEvaluation(100 * missed / n, (100 * low, 100 * high), n,
                          n / seconds)


def evaluate_split(model: chainer.Chain, images: Array, labels: Array,
                   config: Config, split: str
                   ) -> Union[Evaluation, GameEvaluation]:
    """Measures a network or player on ``validation`` or ``test``.

    Args:
        model: On any device.
        images: (N, C, H, W) float32, or (N, 3) int32 first positions.
        labels: (N,) int32.
        config: The configuration.
        split: Its generators are used.

    """
    streams = evaluation_streams(config.data, split)
    batch_size = config.evaluation.batch_size
    if config.data.is_game:
        return evaluate_games(model, images, streams, batch_size=batch_size)
    return evaluate(model, images, labels, streams, batch_size=batch_size)
