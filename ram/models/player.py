"""The player: the network that sees a game through its retina and acts."""

from typing import Any, Dict, NamedTuple, Tuple

import chainer
import chainer.functions as F
import numpy

from ram.devices import Array
from ram.games.catch import ACTIONS, Catch
from ram.models.ram import RAM


class Games(NamedTuple):
    """T steps of B games.

    At step t the player takes a glimpse of the screen at ``locations[t]``,
    samples ``actions[t]`` from ``logits[t]``, and ``sampled[t + 1]`` around
    ``means[t]``, all in ``states[t]``.

    Attributes:
        sampled: (T, B, 2) locations as sampled, which REINFORCE scores.
        locations: (T, B, 2) the same, clipped to [-1, 1].
        means: (T - 1, B, 2), Variable.
        states: (T, B, core units), Variable.
        logits: (T, B, 3), Variable.
        actions: (T, B) int, index in ``ACTIONS``.
        balls: (T + 1, B) int32, column of the ball in row t.
        paddles: (T + 1, B) int32, left column of the paddle at the same time.
        rewards: (B,) float32, 1 where the ball was caught, else 0.

    """

    sampled: Array
    locations: Array
    means: Any
    states: Any
    logits: Any
    actions: Array
    balls: Array
    paddles: Array
    rewards: Array


class Player(RAM):
    """RAM that plays (Section 4.2): an action and a location at every step.

    Its action network gives the logits of three actions, and its screen
    changes from glimpse to glimpse. All else is RAM.

    Args:
        game: The rules.
        **parts: See :class:`ram.models.ram.RAM`.

    """

    def __init__(self, game: Catch, **parts: Any):
        super().__init__(**parts)
        self.game = game

    def sample_noise(self, streams: Dict[str, numpy.random.Generator],
                     batch: int, mean: bool = False) -> Tuple[Array, Array]:
        """Samples all the randomness of a batch of games.

        Args:
            streams: ``location`` and ``noise`` are used.
            batch: B.
            mean: Follow the mean of the policy and take the likeliest action:
                no noise. The random policy keeps its random locations.

        Returns:
            First locations (B, 2) and noise (T, B, 2 + 3), float32 on the
            model's device. The first two entries are those of
            :meth:`RAM.sample_noise`; the last ones are standard Gumbel:
            ``argmax(logits + noise)`` is a sample of the softmax.

        """
        first, noise = super().sample_noise(streams, batch, mean)
        shape = (self.glimpses, batch, len(ACTIONS))
        gumbel = (numpy.zeros(shape, 'float32') if mean else
                  streams['noise'].gumbel(size=shape).astype('float32'))
        last = self.xp.zeros((1, batch, 2), 'float32')  # looks no further
        return first, self.xp.concatenate(
            [self.xp.concatenate([noise, last]), self.device.send(gumbel)],
            axis=2)

    def forward(self, starts: Array, first: Array, noise: Array) -> Games:
        """Plays B games to their end.

        Args:
            starts: (B, 3) int32, see :meth:`Catch.sample_starts`.
            first: (B, 2) first locations.
            noise: (T, B, 5), see :meth:`sample_noise`.

        """
        xp = self.xp
        game, core = self.game.start(starts), self.core.initial_state(
            len(starts))
        sampled, means, states, logits, actions = [first], [], [], [], []
        locations, balls, paddles = [], [game.ball], [game.paddle]
        for t in range(self.glimpses):
            locations.append(xp.clip(sampled[t], -1, 1))
            screens = self.game.draw(game).astype(first.dtype, copy=False)
            core = self.core(core, self.glimpse(screens, locations[t]))
            h = core[-1]
            states.append(h)
            logits.append(self.action(h))
            actions.append((logits[t].array + noise[t, :, 2:]).argmax(axis=1))
            game = self.game.step(game, actions[t])
            balls.append(game.ball)
            paddles.append(game.paddle)
            if t + 1 < self.glimpses:
                mean, location = self._next_location(h, noise[t, :, :2])
                means.append(mean)
                sampled.append(location)
        means = (F.stack(means) if means else
                 chainer.Variable(xp.zeros((0,) + first.shape, first.dtype)))
        return Games(xp.stack(sampled), xp.stack(locations), means,
                     F.stack(states), F.stack(logits), xp.stack(actions),
                     xp.stack(balls), xp.stack(paddles),
                     self.game.rewards(game).astype(first.dtype))
