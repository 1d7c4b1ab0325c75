"""RAM: the recurrent attention model, composed of its Links."""

from typing import Any, NamedTuple

import chainer
import chainer.functions as F

from ram import links
from ram.fast.rollout import RolloutConfig, Weights, WorkspacePool, rollout
from ram.functions.glimpse import summed_area_table
from ram.links.core import CORES


class Rollout(NamedTuple):
    """What happened over T glimpses of B images.

    ``states[t]`` follows glimpse t, which was taken at ``locations[t]``.
    ``means[t]`` is the policy's mean in ``states[t]``, from which
    ``drawn[t + 1]`` was drawn.

    Attributes:
        drawn (array): (T, B, 2) locations as drawn, which REINFORCE scores.
        locations (array): (T, B, 2) the same clipped to [-1, 1]: where the
            network looked.
        means (Variable): (T - 1, B, 2).
        states (Variable): (T, B, core units).

    """

    drawn: Any
    locations: Any
    means: chainer.Variable
    states: chainer.Variable


class RAM(chainer.Chain):
    """Recurrent attention model (Section 3, Figure 1C).

    Args:
        glimpse (GlimpseNetwork): f_g.
        core (LSTMCore or RNNCore): f_h.
        location (LocationNetwork): f_l.
        action (ActionNetwork): f_a.
        baseline (BaselineNetwork): Expects the reward.
        glimpses (int): T.
        std (float): Standard deviation of the location policy.
        first_location (str): ``random`` (uniform), ``center``, or
            ``near_center``: the centre with the policy's noise.
        policy (str): ``learned``, or one of the controls: ``random`` draws
            every location uniformly; ``frozen`` follows the location network
            as it was initialized.
        reinforce_reaches_core (bool): Whether the means hang on the states'
            graph, so that REINFORCE trains core and glimpse network too.

    Attributes:
        pool (ram.fast.rollout.WorkspacePool): What the fused function
            works in.

    """

    def __init__(self, glimpse, core, location, action, baseline, glimpses,
                 std, first_location='random', policy='learned',
                 reinforce_reaches_core=False):
        super().__init__()
        self.glimpses = glimpses
        self.std = std
        self.first_location = first_location
        self.policy = policy
        self.reinforce_reaches_core = reinforce_reaches_core
        self.pool = WorkspacePool()
        with self.init_scope():
            self.glimpse = glimpse
            self.core = core
            self.location = location
            self.action = action
            self.baseline = baseline

    def draw(self, streams, batch, mean=False):
        """Draws all the chance that a rollout needs.

        Args:
            streams (dict of str to numpy.random.Generator): ``location`` and
                ``noise`` are drawn from.
            batch (int): B.
            mean (bool): Follow the mean of the policy: no noise. The random
                policy, which has no other mean, stays random.

        Returns:
            tuple of arrays: First locations (B, 2) and noise (T - 1, B, 2),
            float32 on the model's device. The noise is standard normal, or,
            for the random policy, the locations themselves.

        """
        steps = (self.glimpses - 1, batch, 2)
        if self.first_location == 'random':
            first = _uniform(streams['location'], (batch, 2))
        elif self.first_location == 'near_center' and not mean:
            first = self.std * streams['location'].standard_normal(
                (batch, 2), 'float32')
        else:
            first = self.xp.zeros((batch, 2), 'float32')
        if self.policy == 'random':
            noise = _uniform(streams['location'], steps)
        elif mean:
            noise = self.xp.zeros(steps, 'float32')
        else:
            noise = streams['noise'].standard_normal(steps, 'float32')
        return self.device.send(first), self.device.send(noise)

    def forward(self, images, first, noise):
        """Looks at each image T times.

        It is computed in one fused function where every Link is one of this
        program's own, and by :meth:`forward_by_steps` where one was changed.

        Args:
            images (array): (B, C, H, W) float in [0, 1].
            first (array): (B, 2) first locations.
            noise (array): (T - 1, B, 2), see :meth:`draw`.

        Returns:
            Rollout

        """
        if not self.fusible():
            return self.forward_by_steps(images, first, noise)
        return Rollout(*rollout(images, first, noise, *self.recurrence(),
                                self.pool))

    def recurrence(self):
        """What the fused function computes.

        Returns:
            tuple: Its :class:`~ram.fast.rollout.Weights`, of Parameters,
            and :class:`~ram.fast.rollout.RolloutConfig`.

        """
        glimpse, location = self.glimpse, self.location
        sensor, hidden = glimpse.sensor, location.hidden
        weights = Weights(
            glimpse.what.W, glimpse.what.b, glimpse.where.W, glimpse.where.b,
            glimpse.what_out.W, glimpse.what_out.b,
            glimpse.where_out.W, glimpse.where_out.b,
            self.core.linear.W, self.core.linear.b,
            location.mean.W, location.mean.b,
            *((hidden.W, hidden.b) if hidden is not None else ()))
        setting = RolloutConfig(
            glimpses=self.glimpses, size=sensor.size, scales=sensor.scales,
            factor=sensor.factor, lstm=type(self.core) is links.LSTMCore,
            std=self.std, chosen=self.policy != 'random',
            reaches_core=self.reinforce_reaches_core)
        return weights, setting

    def fusible(self):
        """Whether the fused function says the same as the Links (bool)."""
        return (type(self.glimpse) is links.GlimpseNetwork
                and type(self.glimpse.sensor) is links.GlimpseSensor
                and type(self.core) in CORES.values()
                and type(self.location) is links.LocationNetwork)

    def forward_by_steps(self, images, first, noise):
        """:meth:`forward` in its readable form, Link by Link."""
        xp = self.xp
        table = (summed_area_table(images)
                 if self.glimpse.sensor.scales > 1 else None)
        state = self.core.initial_state(len(images))
        drawn, locations, means, states = [first], [], [], []
        for t in range(self.glimpses):
            # A choice is clipped where the network looks, not where it is
            # scored: a clipped one has no density.
            locations.append(xp.clip(drawn[t], -1, 1))
            state = self.core(state, self.glimpse(images, locations[t], table))
            states.append(state[-1])
            if t + 1 < self.glimpses:
                if self.policy == 'random':
                    means.append(chainer.Variable(xp.zeros_like(first)))
                    drawn.append(noise[t])
                    continue
                h = states[t]
                if not self.reinforce_reaches_core:
                    h = h.array
                means.append(self.location(h))
                # .array cuts the choice from the graph: it is data.
                drawn.append(means[t].array + self.std * noise[t])
        means = (F.stack(means) if means else
                 chainer.Variable(xp.zeros((0,) + first.shape, first.dtype)))
        return Rollout(xp.stack(drawn), xp.stack(locations), means,
                       F.stack(states))


def _uniform(generator, shape):
    """Locations anywhere in the image, float32."""
    return 2 * generator.random(shape, 'float32') - 1


