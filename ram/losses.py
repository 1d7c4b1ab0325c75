"""The hybrid loss (Section 3.2): cross-entropy, REINFORCE and baseline.

Which term reaches which part of the network:

- cross-entropy: action network, core and glimpse network;
- REINFORCE: location network, and the core and the glimpse network if the
  means were computed from uncut states;
- baseline: baseline network.

Each term has a gradient in closed form, so all of it is one function: what
would be two dozen nodes of a graph costs a tenth of a training iteration.

Shapes: T glimpses, B images, K classes. The first location is not the
policy's choice, so there are T - 1 decisions. Decision i is taken in state
h_i, has mean ``means[i]`` and baseline ``baselines[i]``, and led to the
location ``choices[i]`` of glimpse i + 1.
"""

import math
from typing import NamedTuple

import chainer


class HybridLoss(NamedTuple):
    """The loss and its terms, each a scalar Variable, not yet weighted."""

    total: chainer.Variable
    action: chainer.Variable
    reinforce: chainer.Variable
    baseline: chainer.Variable


def reward(logits, labels):
    """R: 1 where the class is right, else 0.

    Args:
        logits (Variable or array): (B, K).
        labels (array): (B,) int32.

    Returns:
        array: (B,), of the logits' dtype; outside any graph.

    """
    logits = chainer.as_array(logits)
    return (logits.argmax(axis=1) == labels).astype(logits.dtype)


def log_pi(choices, means, std):
    """Log density of the Gaussian policy at the locations drawn from it.

    Args:
        choices (array): (T - 1, B, 2), as drawn: not clipped.
        means (array): (T - 1, B, 2).
        std (float): Standard deviation, the one that was sampled with.

    Returns:
        array: (T - 1, B).

    """
    z = (choices - means) * (1 / std)
    return -0.5 * (z * z).sum(axis=2) - math.log(2 * math.pi * std ** 2)


def hybrid_loss(logits, labels, choices, means, std, baselines,
                reinforce_weight=1.0, baseline_weight=1.0):
    """Cross-entropy + REINFORCE + baseline (Section 3.2).

    The terms, of which the last two are weighted in the total:

    - action: mean over the batch of ``-log p(label)``;
    - reinforce: mean over the batch of the sum over the decisions of
      ``-log pi * (R - b)``, whose gradient is an unbiased one of the expected
      ``-R``. The bracket is cut: through this term baselines do not learn;
    - baseline: mean over decisions and batch of ``(b - R)^2``.

    Choices and rewards are data, in no graph, so each term reaches its own
    part of the network and no other.

    Args:
        logits (Variable): (B, K) after the last glimpse.
        labels (array): (B,) int32.
        choices (array): (T - 1, B, 2) locations as drawn.
        means (Variable): (T - 1, B, 2).
        std (float): Standard deviation of the policy.
        baselines (Variable): (T - 1, B).
        reinforce_weight (float): Weight of the REINFORCE term.
        baseline_weight (float): Weight of the baseline term.

    Returns:
        HybridLoss

    """
    function = _HybridLoss(chainer.as_array(labels), chainer.as_array(choices),
                           std, reinforce_weight, baseline_weight)
    return HybridLoss(*function.apply((logits, means, baselines)))


class _HybridLoss(chainer.FunctionNode):

    def __init__(self, labels, choices, std, reinforce_weight,
                 baseline_weight):
        self._labels = labels
        self._choices = choices
        self._std = std
        self._reinforce_weight = reinforce_weight
        self._baseline_weight = baseline_weight

    def forward(self, inputs):
        """The total and its three terms, () each."""
        logits, means, baselines = inputs
        self.retain_inputs((1,))
        xp = chainer.backend.get_array_module(logits)
        batch = len(logits)
        rewards = reward(logits, self._labels)
        scores = logits - logits.max(axis=1, keepdims=True)
        scores -= xp.log(xp.exp(scores).sum(axis=1, keepdims=True))
        rows = xp.arange(batch)
        self._probabilities = xp.exp(scores)
        self._advantage = rewards - baselines
        action = -scores[rows, self._labels].sum() / batch
        reinforce = -(log_pi(self._choices, means, self._std)
                      * self._advantage).sum() / batch
        baseline = (self._advantage * self._advantage).sum() / max(
            self._advantage.size, 1)
        total = (action + self._reinforce_weight * reinforce
                 + self._baseline_weight * baseline)
        return tuple(xp.asarray(term, logits.dtype)
                     for term in (total, action, reinforce, baseline))

    def backward(self, indexes, gradients):
        """Gradients of logits, means and baselines.

        - action: ``p - 1`` at the label and ``p`` elsewhere;
        - reinforce: ``-(l - mean) / std^2 * (R - b)``;
        - baseline: ``2 (b - R)``;

        each divided by what its term is a mean over.
        """
        total, action, reinforce, baseline = (
            None if g is None else g.array for g in gradients)
        means, = self.get_retained_inputs()
        advantage, batch = self._advantage, len(self._labels)
        xp = chainer.backend.get_array_module(advantage)

        d = _share(total, 1, action)
        d_logits = d_means = d_baselines = None
        if d is not None:
            d_logits = self._probabilities.copy()
            d_logits[xp.arange(batch), self._labels] -= 1
            d_logits *= d / batch
        d = _share(total, self._reinforce_weight, reinforce)
        if d is not None:
            d_means = self._choices - means.array
            d_means *= (advantage * (-d / (batch * self._std ** 2)))[..., None]
        d = _share(total, self._baseline_weight, baseline)
        if d is not None:
            d_baselines = advantage * (-2 * d / max(advantage.size, 1))
        return tuple(None if d is None else chainer.Variable(
                         d.astype(advantage.dtype, copy=False))
                     for d in (d_logits, d_means, d_baselines))


def _share(total, weight, term):
    """Gradient of a term, by way of the total and of its own."""
    if total is None:
        return term
    return weight * total if term is None else weight * total + term
