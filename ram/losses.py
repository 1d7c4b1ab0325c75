"""The hybrid loss (Section 3.2): cross-entropy, REINFORCE and baseline.

Which term reaches which part of the network:

- cross-entropy: action network, core and glimpse network;
- REINFORCE: location network, and core and glimpse network as well if the
  means were computed from states that are not detached;
- baseline: baseline network.

Shapes: T glimpses, B images, K classes. The first location is not chosen by
the policy, so there are T - 1 decisions. Decision i is made in state h_i, has
mean ``means[i]`` and baseline ``baselines[i]``, and led to ``sampled[i]``, the
location of glimpse i + 1.
"""

import math
from typing import Any, NamedTuple, Optional, Tuple

import chainer
import chainer.functions as F
import numpy

from ram.config import TrainingConfig
from ram.devices import Array


class Objective(NamedTuple):
    """What a training minimizes.

    Attributes:
        reinforce_weight: Weight of the REINFORCE term.
        baseline_weight: Weight of the baseline term.
        reward: Kind of the reward, see :func:`reward`.
        entropy_weight: Weight of the entropy of a player's actions.
        border_weight: Weight of the border term, see :func:`border`.
        class_weights: K weights of the cross-entropy, by the label; None: 1.

    """

    reinforce_weight: float = 1.0
    baseline_weight: float = 1.0
    reward: str = 'correct'
    entropy_weight: float = 0.0
    border_weight: float = 0.0
    class_weights: Optional[Tuple[float, ...]] = None


PLAIN = Objective()


def objective_of(training: TrainingConfig, policy: str,
                 class_weights: Optional[Tuple[float, ...]] = None
                 ) -> Objective:
    """What a training minimizes.

    Args:
        training: Weights of the terms, kind of the reward.
        policy: Unless it is ``learned``, REINFORCE and border weigh 0.
        class_weights: K weights of the cross-entropy; None: 1.

    """
    learns = policy == 'learned'
    return Objective(training.reinforce_weight if learns else 0,
                     training.baseline_weight, training.reward,
                     training.entropy_weight,
                     training.border_weight if learns else 0, class_weights)


class HybridLoss(NamedTuple):
    """The loss and its three terms, scalars; the terms are not weighted."""

    total: Any
    action: Any
    reinforce: Any
    baseline: Any


class StepResult(NamedTuple):
    """The loss of a batch and what it was computed from.

    Attributes:
        loss: Its total is a Variable with a graph.
        logits: (B, K) after the last glimpse.
        sampled: (T, B, 2) locations as sampled, not clipped.

    """

    loss: HybridLoss
    logits: Array
    sampled: Array


def reward(logits: Array, labels: Array, kind: str = 'correct') -> Array:
    """The reward R of each path.

    Args:
        logits: (B, K).
        labels: (B,) int32.
        kind: ``correct``: 1 if the class is correct, else 0, as in the paper.
            ``probability``: the probability of the correct class. That is the
            expectation of the former if the class were sampled from the
            softmax; it varies less and distinguishes a close guess from a bad one.

    Returns:
        (B,) array of the logits' dtype, detached.

    Raises:
        ValueError: Where there is no such reward.

    """
    logits = chainer.as_array(logits)
    if kind == 'correct':
        return (logits.argmax(axis=1) == labels).astype(logits.dtype)
    if kind == 'probability':
        rows = chainer.backend.get_array_module(logits).arange(len(logits))
        return F.softmax(logits).array[rows, labels]
    raise ValueError(f'{kind}: no such reward')


def balanced_weights(labels: Array, classes: int) -> Tuple[float, ...]:
    """Weights of classes with which all of them count the same.

    Args:
        labels: (N,) int32, of the training images.
        classes: K.

    Returns:
        K weights, inverse to the number of images; their mean over the images
        is 1.

    """
    counts = numpy.bincount(labels, minlength=classes)
    present = (counts > 0).sum()
    return tuple((len(labels) / (present * numpy.maximum(counts, 1))).tolist())


def cross_entropy(logits: chainer.Variable, labels: Array,
                  class_weights: Optional[Tuple[float, ...]] = None
                  ) -> chainer.Variable:
    """Mean over the batch of ``-w[label] log p(label)``.

    Args:
        logits: (B, K).
        labels: (B,) int32.
        class_weights: K weights w; None: 1.

    """
    if class_weights is None:
        return F.softmax_cross_entropy(logits, labels)
    return F.softmax_cross_entropy(
        logits, labels, class_weight=chainer.backend.get_array_module(
            labels).asarray(class_weights, logits.dtype))


def log_pi(sampled: Array, means: Any, std: float) -> chainer.Variable:
    """Log density of the Gaussian policy at the locations sampled from it.

    Args:
        sampled: (T - 1, B, 2) locations as sampled: not clipped.
        means: (T - 1, B, 2).
        std: The standard deviation that they were sampled with.

    Returns:
        (T - 1, B).

    """
    z = (sampled - means) / std
    return -0.5 * F.sum(z * z, axis=2) - math.log(2 * math.pi * std ** 2)


def border(means: Any, std: float) -> chainer.Variable:
    """How far the policy's means are from where it samples inside.

    A location beyond the border is clipped: all of them give one glimpse, and
    REINFORCE cannot tell them apart. So a mean closer than a standard
    deviation to the border costs the square of what is missing.

    Args:
        means: (T - 1, B, 2).
        std: Standard deviation of the policy.

    Returns:
        (), mean over the batch of the sum over decisions and coordinates.

    """
    excess = F.relu(F.absolute(means) + (std - 1))
    return F.sum(excess * excess) / means.shape[1]


def hybrid_loss(logits: chainer.Variable, labels: Array, sampled: Array,
                means: chainer.Variable, std: float,
                baselines: chainer.Variable,
                objective: Objective = PLAIN) -> HybridLoss:
    """Cross-entropy + REINFORCE + baseline (Section 3.2).

    - action: see :func:`cross_entropy`;
    - reinforce: mean over the batch of the sum over decisions of
      ``-log pi * (R - b)``. Its gradient is an unbiased estimate of that of
      the expected ``-R``. The bracket is detached;
    - baseline: mean over decisions and batch of ``(b - R)^2``.

    Args:
        logits: (B, K) after the last glimpse.
        labels: (B,) int32.
        sampled: (T - 1, B, 2) locations as sampled.
        means: (T - 1, B, 2) means of the policy.
        std: Standard deviation of the policy.
        baselines: (T - 1, B) expected rewards.
        objective: Weights of the terms, kind of the reward.

    """
    R = reward(logits, labels, objective.reward)  # an array: detached
    advantage = R - baselines.array               # detached as well
    batch, decisions = len(labels), max(advantage.size, 1)
    action = cross_entropy(logits, labels, objective.class_weights)
    reinforce = -F.sum(log_pi(
        chainer.as_array(sampled), means, std) * advantage) / batch
    baseline = F.sum((baselines - R) ** 2) / decisions
    total = (action + objective.reinforce_weight * reinforce
             + objective.baseline_weight * baseline)
    if objective.border_weight:
        total += objective.border_weight * border(means, std)
    return HybridLoss(total, action, reinforce, baseline)


def loss_by_links(model: chainer.Chain, images: Array, labels: Array,
                  first: Array, noise: Array,
                  objective: Objective) -> StepResult:
    """The loss of a batch, computed Link by Link in Chainer's graph.

    :func:`ram.fast.fused.fused_loss` computes the same in one function.

    Args:
        model (ram.models.ram.RAM): The network.
        images: (B, C, H, W) float in [0, 1].
        labels: (B,) int32.
        first: (B, 2) first locations.
        noise: (T - 1, B, 2), see :meth:`ram.models.ram.RAM.sample_noise`.
        objective: Weights of the terms, kind of the reward.

    """
    rollout = model(images, first, noise)
    logits = model.action(rollout.states[-1])
    # A decision, its mean and its baseline belong to the state it was made
    # in; the last state decides nothing.
    loss = hybrid_loss(logits, labels, rollout.sampled[1:], rollout.means,
                       model.std, model.baseline(rollout.states[:-1]),
                       objective)
    return StepResult(loss, logits.array, rollout.sampled)


class GameLoss(NamedTuple):
    """The loss of a batch of games and its terms, scalars, not weighted."""

    total: Any
    action: Any
    reinforce: Any
    baseline: Any
    entropy: Any


def game_loss(logits: chainer.Variable, actions: Array, rewards: Array,
              sampled: Array, means: chainer.Variable, std: float,
              baselines: chainer.Variable,
              objective: Objective = PLAIN) -> GameLoss:
    """REINFORCE for actions and locations + baseline (Section 3.2).

    With T steps and B games, sums over the steps and means over the batch:

    - action: ``-log p(action) (R - b)``;
    - reinforce: ``-log pi (R - b)``, for the locations;
    - baseline: ``(b - R)^2``, a mean over the steps too;
    - entropy: that of the distribution of the actions, in nats. The total
      has it with a minus sign: actions stay various.

    The bracket is detached. The gradient of action + reinforce is an
    unbiased estimate of that of the expected ``-R``.

    Args:
        logits: (T, B, K) of the actions.
        actions: (T, B) int, as sampled.
        rewards: (B,), one at the end of each game.
        sampled: (T - 1, B, 2) locations as sampled.
        means: (T - 1, B, 2) means of the policy.
        std: Standard deviation of the policy.
        baselines: (T, B) expected rewards.
        objective: Weights of the terms.

    """
    steps, batch = actions.shape
    advantage = rewards - baselines.array
    log_p = F.log_softmax(logits, axis=2)
    chosen = F.reshape(F.select_item(
        F.reshape(log_p, (steps * batch, -1)), actions.ravel()),
        (steps, batch))
    action = -F.sum(chosen * advantage) / batch
    reinforce = -F.sum(log_pi(sampled, means, std) * advantage[:-1]) / batch
    baseline = F.sum((baselines - rewards) ** 2) / advantage.size
    entropy = -F.sum(F.exp(log_p) * log_p) / batch
    total = (action + objective.reinforce_weight * reinforce
             + objective.baseline_weight * baseline
             - objective.entropy_weight * entropy)
    if objective.border_weight:
        total += objective.border_weight * border(means, std)
    return GameLoss(total, action, reinforce, baseline, entropy)
