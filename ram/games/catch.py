"""Catch, the paper's game (Section 4.2), for many games at once.

A ball of one pixel falls from the top row of a binary screen, one row a step,
and bounces off the sides. A paddle of two pixels in the bottom row moves left,
right, or not at all. The reward is 1 if the paddle is under the ball when it
reaches the bottom row, else 0.

What the paper does not state is chosen here: the ball starts in any column,
its sideways speed is a whole number of columns a step, and the paddle starts
anywhere or in the middle.
"""

from typing import Any, NamedTuple

import chainer
import numpy

from ram.config import DataConfig
from ram.devices import Array

ACTIONS = ('left', 'stay', 'right')
PADDLE = 2  # pixels


class State(NamedTuple):
    """Where ball and paddle are in B games.

    Attributes:
        row: Row of all balls.
        ball: (B,) int32, column of the ball.
        speed: (B,) int32, columns that it moves in a step.
        paddle: (B,) int32, left column of the paddle.

    """

    row: int
    ball: Any
    speed: Any
    paddle: Any


class Catch(NamedTuple):
    """The rules.

    Attributes:
        height: Of the screen, in pixels.
        width: Likewise.
        max_speed: Largest sideways speed of the ball, in columns a step.
        paddle_start: ``any`` or ``center``.

    """

    height: int = 24
    width: int = 24
    max_speed: int = 1
    paddle_start: str = 'any'

    @classmethod
    def of(cls, data: DataConfig) -> 'Catch':
        """The rules of a configuration."""
        return cls(*data.image_size, data.ball_speed, data.paddle_start)

    @property
    def steps(self) -> int:
        """Steps, and so actions, of a game."""
        return self.height - 1

    def sample_starts(self, count: int,
                      rng: numpy.random.Generator) -> numpy.ndarray:
        """Samples first positions.

        Args:
            count: N.
            rng: Samples them.

        Returns:
            (N, 3) int32: column and speed of the ball, column of the paddle.

        """
        places = self.width - PADDLE + 1
        paddle = numpy.full(count, places // 2)
        if self.paddle_start == 'any':
            paddle = rng.integers(places, size=count)
        return numpy.stack([
            rng.integers(self.width, size=count),
            rng.integers(-self.max_speed, self.max_speed + 1, size=count),
            paddle], axis=1).astype('int32')

    def start(self, starts: Array) -> State:
        """The first state of games from their first positions (B, 3)."""
        return State(0, starts[:, 0], starts[:, 1], starts[:, 2])

    def step(self, state: State, actions: Array) -> State:
        """The next state: paddle and ball move at once.

        Args:
            state: Of B games.
            actions: (B,) int, index in ``ACTIONS``.

        """
        xp = chainer.backend.get_array_module(actions)
        paddle = xp.clip(state.paddle + actions.astype('int32') - 1, 0,
                         self.width - PADDLE)
        ball, last = state.ball + state.speed, self.width - 1
        bounced = (ball < 0) | (ball > last)
        ball = xp.where(ball < 0, -ball, ball)
        ball = xp.where(ball > last, 2 * last - ball, ball)
        return State(state.row + 1, ball,
                     xp.where(bounced, -state.speed, state.speed), paddle)

    def rewards(self, state: State) -> Array:
        """(B,) float32 rewards of the last state: 1 where caught, else 0."""
        under = state.ball - state.paddle
        return ((under >= 0) & (under < PADDLE)).astype('float32')

    def draw(self, state: State) -> Array:
        """The screens of B games, (B, 1, height, width) float32, 0 or 1."""
        xp = chainer.backend.get_array_module(state.ball)
        games = xp.arange(len(state.ball))
        screens = xp.zeros((len(games), 1, self.height, self.width),
                           'float32')
        screens[games, 0, state.row, state.ball] = 1
        for pixel in range(PADDLE):
            screens[games, 0, -1, state.paddle + pixel] = 1
        return screens
