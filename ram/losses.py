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
from typing import Any, NamedTuple

import chainer


class HybridLoss(NamedTuple):
    """The loss and its terms, scalars; the terms are not yet weighted.

    Variables where there is a graph, arrays where there is none.
    """

    total: Any
    action: Any
    reinforce: Any
    baseline: Any


def reward(logits, labels, kind='correct'):
    """R, what a path is worth.

    Args:
        logits (Variable or array): (B, K).
        labels (array): (B,) int32.
        kind (str): ``correct``: 1 where the class is correct, else 0, as in the
            paper. ``probability``: what the network believes the right class
            to be: were the class drawn from that belief, as an action is in
            Section 3.2, it would be the mean of the former. It varies less,
            and tells a close guess from a bad one.

    Returns:
        array: (B,), of the logits' dtype; outside any graph.

    """
    logits = chainer.as_array(logits)
    if kind == 'correct':
        return (logits.argmax(axis=1) == labels).astype(logits.dtype)
    xp = chainer.backend.get_array_module(logits)
    return xp.exp(_log_softmax(logits)[xp.arange(len(logits)), labels])


def _log_softmax(logits):
    xp = chainer.backend.get_array_module(logits)
    scores = logits - logits.max(axis=1, keepdims=True)
    scores -= xp.log(xp.exp(scores).sum(axis=1, keepdims=True))
    return scores


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
                reinforce_weight=1.0, baseline_weight=1.0, kind='correct'):
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
        kind (str): Of the :func:`reward`.

    Returns:
        HybridLoss

    """
    function = _HybridLoss(chainer.as_array(labels), chainer.as_array(choices),
                           std, reinforce_weight, baseline_weight, kind)
    return HybridLoss(*function.apply((logits, means, baselines)))


class Terms(NamedTuple):
    """The terms of the loss and the gradient of each, not yet weighted.

    Attributes:
        action (array): () like the two that follow.
        reinforce (array): See :func:`hybrid_loss`.
        baseline (array): Likewise.
        d_logits (array): (B, K), of the action term: the probability of each
            class, less 1 for the right one, over B.
        d_means (array): (T - 1, B, 2), of the REINFORCE term:
            ``-(l - mean) / std^2 * (R - b) / B``.
        d_baselines (array): (T - 1, B), of the baseline term:
            ``2 (b - R)`` over the number of decisions.

    """

    action: Any
    reinforce: Any
    baseline: Any
    d_logits: Any
    d_means: Any
    d_baselines: Any


def terms_of(logits, labels, choices, means, std, baselines, kind='correct'):
    """The terms of :func:`hybrid_loss` with their gradients, of arrays.

    Returns:
        Terms: Of the logits' dtype.

    """
    xp = chainer.backend.get_array_module(logits)
    batch, rows = len(logits), xp.arange(len(logits))
    advantage = reward(logits, labels, kind) - baselines
    scores = _log_softmax(logits)
    d_logits = xp.exp(scores)
    d_logits[rows, labels] -= 1
    d_logits *= 1 / batch
    d_means = choices - means
    d_means *= (advantage * (-1 / (batch * std ** 2)))[..., None]
    decisions = max(advantage.size, 1)
    return Terms(
        -scores[rows, labels].sum() / batch,
        -(log_pi(choices, means, std) * advantage).sum() / batch,
        (advantage * advantage).sum() / decisions,
        d_logits, d_means, advantage * (-2 / decisions))


def weigh(found, reinforce_weight, baseline_weight):
    """The loss of its terms.

    Args:
        found (Terms): They.
        reinforce_weight (float): Weight of the REINFORCE term.
        baseline_weight (float): Weight of the baseline term.

    Returns:
        HybridLoss: Of arrays.

    """
    total = (found.action + reinforce_weight * found.reinforce
             + baseline_weight * found.baseline)
    return HybridLoss(total, *found[:3])


class _HybridLoss(chainer.FunctionNode):

    def __init__(self, labels, choices, std, reinforce_weight,
                 baseline_weight, kind):
        self._labels = labels
        self._choices = choices
        self._std = std
        self._weights = reinforce_weight, baseline_weight
        self._kind = kind

    def forward(self, inputs):
        """The total and its three terms, () each."""
        logits, means, baselines = inputs
        xp = chainer.backend.get_array_module(logits)
        found = terms_of(logits, self._labels, self._choices, means,
                         self._std, baselines, self._kind)
        self._gradients = found[3:]
        return tuple(xp.asarray(term, logits.dtype)
                     for term in weigh(found, *self._weights))

    def backward(self, indexes, gradients):
        """Gradients of logits, means and baselines."""
        total, *own = (None if g is None else g.array for g in gradients)
        found = []
        for gradient, weight, term in zip(self._gradients,
                                          (1,) + self._weights, own):
            share = _share(total, weight, term)
            found.append(None if share is None else chainer.Variable(
                (share * gradient).astype(gradient.dtype, copy=False)))
        return tuple(found)


def _share(total, weight, term):
    """Gradient of a term, by way of the total and of its own."""
    if total is None:
        return term
    return weight * total if term is None else weight * total + term
