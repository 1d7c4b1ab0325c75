"""The hybrid loss (Section 3.2): cross-entropy, REINFORCE and baseline.

Pure functions. Which term reaches which part of the network:

- cross-entropy: action network, core and glimpse network;
- REINFORCE: location network, and the core and the glimpse network if the
  means were computed from uncut states;
- baseline: baseline network.

Shapes: T glimpses, B images, K classes. The first location is not the
policy's choice, so there are T - 1 decisions. Decision i is taken in state
h_i, has mean ``means[i]`` and baseline ``baselines[i]``, and led to the
location ``choices[i]`` of glimpse i + 1.
"""

import math
from typing import NamedTuple

import chainer
import chainer.functions as F


class HybridLoss(NamedTuple):
    """The loss and its terms, each a scalar Variable, not yet weighted."""

    total: chainer.Variable
    action: chainer.Variable
    reinforce: chainer.Variable
    baseline: chainer.Variable


def reward(logits, labels):
    """R: 1 where the class is right, else 0.

    Args:
        logits (Variable): (B, K).
        labels (array): (B,) int32.

    Returns:
        array: (B,), of the logits' dtype; outside any graph.

    """
    logits = chainer.as_array(logits)
    return (logits.argmax(axis=1) == labels).astype(logits.dtype)


def log_pi(choices, means, std):
    """Log density of the Gaussian policy at the locations drawn from it.

    Args:
        choices (array): (T - 1, B, 2), as drawn: neither clipped nor in any
            graph.
        means (Variable): (T - 1, B, 2).
        std (float): Standard deviation, the one that was sampled with.

    Returns:
        Variable: (T - 1, B).

    """
    z = (chainer.as_array(choices) - means) * (1 / std)
    return -0.5 * F.sum(z * z, axis=2) - math.log(2 * math.pi * std ** 2)


def reinforce_loss(log_probabilities, rewards, baselines):
    """REINFORCE: its gradient is an unbiased one of the expected -R.

    Args:
        log_probabilities (Variable): (T - 1, B) of :func:`log_pi`.
        rewards (array): (B,).
        baselines (Variable): (T - 1, B); cut here, for through this term
            they must not learn.

    Returns:
        Variable: Scalar: mean over the batch of the sum over the decisions
        of ``-log pi * (R - b)``.

    """
    advantage = chainer.as_array(rewards) - chainer.as_array(baselines)
    return -F.sum(log_probabilities * advantage) / len(rewards)


def baseline_loss(baselines, rewards):
    """Mean squared error of the expected reward.

    Args:
        baselines (Variable): (T - 1, B).
        rewards (array): (B,).

    Returns:
        Variable: Scalar: mean over decisions and batch.

    """
    error = baselines - chainer.as_array(rewards)
    return F.sum(error * error) / max(error.size, 1)


def hybrid_loss(logits, labels, choices, means, std, baselines,
                reinforce_weight=1.0, baseline_weight=1.0):
    """Cross-entropy + REINFORCE + baseline (Section 3.2).

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
    rewards = reward(logits, labels)
    # The reward and the advantage take no part in any graph, so each term
    # reaches its own part of the network and no other.
    action = F.softmax_cross_entropy(logits, labels)
    reinforce = reinforce_loss(log_pi(choices, means, std), rewards, baselines)
    baseline = baseline_loss(baselines, rewards)
    total = (action + reinforce_weight * reinforce
             + baseline_weight * baseline)
    return HybridLoss(total, action, reinforce, baseline)
