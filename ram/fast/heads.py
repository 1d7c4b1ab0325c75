"""Heads and hybrid loss with their gradients in closed form.

:func:`ram.losses.hybrid_loss` is the form to read.
"""

import math
from typing import Dict, NamedTuple

import chainer

from ram.devices import Array
from ram.fast.products import dot, sum_rows
from ram.fast.workspace import Weights
from ram.losses import HybridLoss, Objective


class LossGradients(NamedTuple):
    """The loss of a batch and its gradients.

    Attributes:
        loss: Of arrays.
        logits: (B, K).
        d_logits: (B, K), gradient of the total, like the two that follow.
        d_means: (T - 1, B, 2).
        d_baselines: (T - 1, B).

    """

    loss: HybridLoss
    logits: Array
    d_logits: Array
    d_means: Array
    d_baselines: Array


def loss_and_gradients(states: Array, means: Array, sampled: Array,
                       labels: Array, std: float, weights: Weights,
                       objective: Objective) -> LossGradients:
    """The hybrid loss of a rollout.

    Args:
        states: (T, B, units).
        means: (T - 1, B, 2).
        sampled: (T - 1, B, 2) locations that the policy sampled.
        labels: (B,) int32.
        std: Standard deviation of the policy.
        weights: Arrays.
        objective: Weights of the terms, kind of the reward.

    Raises:
        ValueError: Where there is no such reward.

    """
    xp = chainer.backend.get_array_module(states)
    batch, rows = len(labels), xp.arange(len(labels))
    logits = dot(states[-1], weights.action_W.T,
                 xp.empty((batch, len(weights.action_W)), states.dtype))
    logits += weights.action_b
    baselines = dot(_before_last(states), weights.value_W.T,
                    xp.empty((means.shape[0] * batch, 1), states.dtype))
    baselines += weights.value_b
    baselines = baselines.reshape(means.shape[:2])
    log_p = logits - logits.max(axis=1, keepdims=True)
    log_p -= xp.log(xp.exp(log_p).sum(axis=1, keepdims=True))
    p = xp.exp(log_p)
    if objective.reward == 'probability':
        R = p[rows, labels]
    elif objective.reward == 'correct':
        R = (logits.argmax(axis=1) == labels).astype(logits.dtype)
    else:
        raise ValueError(f'{objective.reward}: no such reward')
    advantage = R - baselines
    decisions = max(advantage.size, 1)
    z = (sampled - means) * (1 / std)
    log_pi = -0.5 * (z * z).sum(axis=2) - math.log(2 * math.pi * std ** 2)

    image_weights = 1 if objective.class_weights is None else xp.asarray(
        objective.class_weights, logits.dtype)[labels]
    action = -(image_weights * log_p[rows, labels]).sum() / batch
    reinforce = -(log_pi * advantage).sum() / batch
    baseline = (advantage * advantage).sum() / decisions
    total = (action + objective.reinforce_weight * reinforce
             + objective.baseline_weight * baseline)
    excess = xp.maximum(abs(means) + (std - 1), 0)
    total = total + objective.border_weight / batch * (excess * excess).sum()
    p[rows, labels] -= 1
    p *= 1 / batch
    if objective.class_weights is not None:
        p *= image_weights[:, None]
    z *= (advantage * (-objective.reinforce_weight / (batch * std)))[..., None]
    z += (2 * objective.border_weight / batch) * excess * xp.sign(means)
    d_baselines = advantage * (-2 * objective.baseline_weight / decisions)
    return LossGradients(HybridLoss(total, action, reinforce, baseline),
                         logits, p, z, d_baselines)


def backward(found: LossGradients, states: Array, weights: Weights,
             grads: Dict[str, Array]) -> Array:
    """Writes the gradients of action network and baseline.

    Args:
        found: By :func:`loss_and_gradients`.
        states: (T, B, units).
        weights: Arrays.
        grads: The gradients are written here, by the name of the weight.

    Returns:
        (B, units), the gradient of the last state.

    """
    xp = chainer.backend.get_array_module(states)
    for name, d, inputs in (
            ('action', found.d_logits, states[-1]),
            ('value', found.d_baselines.reshape(-1, 1),
             _before_last(states))):
        dot(d.T, inputs, out=grads[f'{name}_W'])
        sum_rows(d, out=grads[f'{name}_b'])
    return dot(found.d_logits, weights.action_W, xp.empty_like(states[-1]))


def _before_last(states):
    """((T - 1) B, units): all states but the last, which decides nothing."""
    return states[:-1].reshape(-1, states.shape[2])
