"""RAM: the recurrent attention model, composed of its Links."""

from typing import Any, Dict, NamedTuple, Tuple

import chainer
import chainer.functions as F
import numpy

from ram.devices import Array
from ram.functions.glimpse import summed_area_table


class Rollout(NamedTuple):
    """T glimpses of B images.

    ``states[t]`` follows glimpse t, which was taken at ``locations[t]``.
    ``means[t]`` is the policy's mean in ``states[t]``; ``sampled[t + 1]`` was
    sampled around it.

    Attributes:
        sampled: (T, B, 2) locations as sampled, which REINFORCE scores.
        locations: (T, B, 2) the same, clipped to [-1, 1]: the centres of the
            glimpses.
        means: (T - 1, B, 2), Variable.
        states: (T, B, core units), Variable.

    """

    sampled: Array
    locations: Array
    means: Any
    states: Any


class RAM(chainer.Chain):
    """Recurrent attention model (Section 3, Figure 1C).

    Args:
        glimpse: f_g, the glimpse network.
        core: f_h, an LSTM or the paper's rectifier core.
        location: f_l, the location network.
        action: f_a, the action network.
        baseline: Expects the reward.
        glimpses: T.
        std: Standard deviation of the location policy.
        first_location: ``random`` (uniform), ``center``, or ``near_center``:
            the centre with the policy's noise.
        policy: ``learned``, or one of the controls: ``random`` samples every
            location uniformly; ``center`` looks at the centre all the time;
            ``frozen`` keeps the location network as it was initialized.
        reinforce_reaches_core: Whether the means are computed from states
            that are not detached, so that REINFORCE trains the core and the
            glimpse network too.

    """

    def __init__(self, glimpse: chainer.Link, core: chainer.Link,
                 location: chainer.Link, action: chainer.Link,
                 baseline: chainer.Link, glimpses: int, std: float,
                 first_location: str = 'random', policy: str = 'learned',
                 reinforce_reaches_core: bool = False):
        super().__init__()
        self.glimpses = glimpses
        self.std = std
        self.first_location = first_location
        self.policy = policy
        self.reinforce_reaches_core = reinforce_reaches_core
        with self.init_scope():
            self.glimpse = glimpse
            self.core = core
            self.location = location
            self.action = action
            self.baseline = baseline

    def sample_noise(self, streams: Dict[str, numpy.random.Generator],
                     batch: int, mean: bool = False) -> Tuple[Array, Array]:
        """Samples all the randomness of a rollout.

        Args:
            streams: ``location`` and ``noise`` are used.
            batch: B.
            mean: Follow the mean of the policy: no noise. The random policy
                has no other mean and stays random.

        Returns:
            First locations (B, 2) and noise (T - 1, B, 2), float32 on the
            model's device. The noise is standard normal, or, for the
            policies ``random`` and ``center``, the locations themselves.

        """
        steps = (self.glimpses - 1, batch, 2)
        if self.policy == 'center':
            first = numpy.zeros((batch, 2), 'float32')
        elif self.first_location == 'random':
            first = _uniform(streams['location'], (batch, 2))
        elif self.first_location == 'near_center' and not mean:
            first = self.std * streams['location'].standard_normal(
                (batch, 2), 'float32')
        else:
            first = numpy.zeros((batch, 2), 'float32')
        if self.policy == 'random':
            noise = _uniform(streams['location'], steps)
        elif mean or self.policy == 'center':
            noise = numpy.zeros(steps, 'float32')
        else:
            noise = streams['noise'].standard_normal(steps, 'float32')
        return self.device.send(first), self.device.send(noise)

    def forward(self, images: Array, first: Array, noise: Array) -> Rollout:
        """Takes T glimpses of each image.

        Args:
            images: (B, C, H, W) float in [0, 1].
            first: (B, 2) first locations.
            noise: (T - 1, B, 2), see :meth:`sample_noise`.

        """
        xp = self.xp
        table = (summed_area_table(images)
                 if self.glimpse.sensor.scales > 1 else None)
        state = self.core.initial_state(len(images))
        sampled, locations, means, states = [first], [], [], []
        for t in range(self.glimpses):
            # Clipped for the glimpse network, not for the score: a clipped
            # sample has no density.
            locations.append(xp.clip(sampled[t], -1, 1))
            state = self.core(state, self.glimpse(images, locations[t], table))
            h = state[-1]
            states.append(h)
            if t + 1 == self.glimpses:
                break
            mean, location = self._next_location(h, noise[t])
            means.append(mean)
            sampled.append(location)
        means = (F.stack(means) if means else
                 chainer.Variable(xp.zeros((0,) + first.shape, first.dtype)))
        return Rollout(xp.stack(sampled), xp.stack(locations), means,
                       F.stack(states))

    def _next_location(self, h, noise):
        """The policy's mean in state h, and the location sampled there."""
        if self.policy in ('random', 'center'):
            return chainer.Variable(self.xp.zeros_like(noise)), noise
        mean = self.location(h if self.reinforce_reaches_core else h.array)
        # .array detaches the sample from the graph: it is data.
        return mean, mean.array + self.std * noise


def _uniform(generator, shape):
    """Locations anywhere in the image, float32."""
    return 2 * generator.random(shape, 'float32') - 1
