"""Rollout, heads and hybrid loss as one function of Chainer's graph."""

import weakref
from typing import Optional

import chainer
import numpy
from chainer.utils import type_check

from ram import links
from ram.devices import Array
from ram.fast import heads, recurrence
from ram.fast.workspace import (
    LOCATION_WEIGHTS,
    RolloutConfig,
    Weights,
    WorkspacePool,
    pack_weights,
)
from ram.losses import HybridLoss, Objective, StepResult, loss_by_links
from ram.models.player import Player
from ram.models.ram import RAM, Rollout

_pools = weakref.WeakKeyDictionary()  # WorkspacePool by network
_problems = weakref.WeakKeyDictionary()  # what fused_problem found, likewise


class FusedLoss(chainer.FunctionNode):
    """The hybrid loss of a batch, as a function of all weights.

    Args:
        images: (B, C, H, W) float in [0, 1].
        labels: (B,) int32; None for a rollout without loss.
        first: (B, 2) first locations.
        noise: (T - 1, B, 2), see :meth:`ram.models.ram.RAM.sample_noise`.
        config: The rollout.
        objective: Weights of the terms, kind of the reward.
        pool: Workspaces.

    Attributes:
        rollout (Rollout): Of arrays, after :meth:`forward`.
        found (heads.LossGradients): Likewise.

    """

    def __init__(self, images: Array, labels: Optional[Array], first: Array,
                 noise: Array, config: RolloutConfig, objective: Objective,
                 pool: WorkspacePool):
        self._images = images
        self._labels = labels
        self._first = first
        self._noise = noise
        self._config = config
        self._objective = objective
        self._pool = pool
        self._workspace = None

    def check_type_forward(self, in_types):
        """Checks the dtypes and shapes of the weights."""
        type_check.expect(in_types.size() >= len(Weights._fields) - 2)
        gates = 4 if self._config.lstm else 1
        weights = dict(zip(Weights._fields, in_types))
        for name, W in weights.items():
            type_check.expect(W.dtype == in_types[0].dtype,
                              W.ndim == (2 if name.endswith('W') else 1))
        type_check.expect(
            weights['core_W'].shape[0]
            == gates * weights['action_W'].shape[1],
            weights['core_W'].shape[1]
            == weights['what_out_W'].shape[0] + weights['action_W'].shape[1],
            weights['mean_W'].shape[0] == 2, weights['value_W'].shape[0] == 1)

    def forward(self, inputs):
        """The total loss, ()."""
        self._packed = self._roll_out(Weights(*inputs))
        _, _, means, states = self.rollout
        self.found = heads.loss_and_gradients(
            states, means, self.rollout.sampled[1:], self._labels,
            self._config.std, Weights(*inputs), self._objective)
        if chainer.config.enable_backprop:
            self.retain_inputs(tuple(range(len(inputs))))
        else:
            self._release()
        total = self.found.loss.total
        return chainer.backend.get_array_module(total).asarray(total),

    def _roll_out(self, weights):
        images, config = self._images, self._config
        xp = chainer.backend.get_array_module(images)
        T, batch, dtype = config.glimpses, len(images), weights.core_W.dtype
        self._workspace = self._pool.take(xp, dtype, batch, images.shape[1],
                                          config, weights)
        sampled = xp.empty((T, batch, 2), dtype)
        sampled[0] = self._first
        self.rollout = Rollout(
            sampled, xp.empty_like(sampled),
            xp.zeros((T - 1, batch, 2), dtype),
            xp.empty((T, batch, weights.action_W.shape[1]), dtype))
        packed = pack_weights(self._workspace, weights, config)
        recurrence.forward(xp, self._workspace, images, self._noise,
                           *self.rollout, weights, packed, config)
        return packed

    def roll_out(self, weights: Weights) -> Rollout:
        """The rollout alone, without loss or graph, of arrays."""
        self._roll_out(weights)
        self._release()
        return self.rollout

    def _release(self):
        self._pool.give_back(self._workspace)
        self._workspace = None

    def backward(self, indexes, gradients):
        """Gradients of the weights; once, since the workspace is reused."""
        if self._workspace is None:
            raise RuntimeError(
                'the fused loss goes backward once; run it forward again')
        scale, found = gradients[0].array, self.found
        for d in (found.d_logits, found.d_means, found.d_baselines):
            d *= scale
        inputs = [v.array for v in self.get_retained_inputs()]
        weights = Weights(*inputs)
        _, _, means, states = self.rollout
        xp = chainer.backend.get_array_module(states)
        d_sums = None
        if (self._objective.reinforce_weight
                or self._objective.border_weight):
            d_sums = found.d_means
            if self._config.squash:
                d_sums = d_sums * (1 - means * means)
        # Arrays of their own: MPI takes no views.
        grads = {
            name: xp.empty_like(w) for name, w in zip(Weights._fields, inputs)
            if name not in LOCATION_WEIGHTS
            or recurrence.trains_location(self._config, d_sums)}
        d_last = heads.backward(found, states, weights, grads)
        recurrence.backward(self._workspace, states, d_sums, d_last, weights,
                            self._packed, self._config, grads)
        self._release()
        return tuple(chainer.Variable(grads[name]) if name in grads else None
                     for name in Weights._fields[:len(inputs)])


def _function(model, images, labels, first, noise, objective):
    return FusedLoss(images, labels, first, noise, RolloutConfig.of(model),
                     objective, _pools.setdefault(model, WorkspacePool()))


def fused_loss(model: RAM, images: Array, labels: Array, first: Array,
               noise: Array, objective: Objective) -> StepResult:
    """:func:`ram.losses.loss_by_links`, in one function."""
    function = _function(model, images, labels, first, noise, objective)
    total, = function.apply([w for w in Weights.of(model) if w is not None])
    loss = HybridLoss(total, *function.found.loss[1:])
    return StepResult(loss, function.found.logits, function.rollout.sampled)


def fused_rollout(model: RAM, images: Array, first: Array,
                  noise: Array) -> Rollout:
    """:meth:`ram.models.ram.RAM.forward` without a graph; gives arrays."""
    function = _function(model, images, None, first, noise, Objective())
    return function.roll_out(Weights.of(model).arrays())


def fused_problem(model: chainer.Chain) -> Optional[str]:
    """Why the fused functions do not serve for a network.

    They serve if all its Links are built in, and if on a few random images
    they give the gradient that the Links give: so a Link or a loss that was
    edited takes effect.

    Returns:
        The reason, or None if they serve.

    """
    if model not in _problems:
        _problems[model] = _find_problem(model)
    return _problems[model]


def _find_problem(model):
    if not isinstance(model, RAM):
        return f'{type(model).__name__} takes no glimpses'
    if isinstance(model, Player):
        return 'a game is played step by step'
    if getattr(model.glimpse, 'sensor', None) and (
            model.glimpse.sensor.coarse != 'mean'):
        return f'model.coarse is {model.glimpse.sensor.coarse}'
    for part in (model.glimpse, model.core, model.location, model.action,
                 model.baseline, getattr(model.glimpse, 'sensor', None)):
        name = type(part).__name__
        if getattr(links, name, None) is not type(part):
            return f'{name} is not built in'
    # Rounding may move a crop by a pixel once, not twice.
    if not any(_same_gradient(model, seed) for seed in range(2)):
        return 'ram/links, ram/models or ram/losses compute something else'
    return None


def _same_gradient(model, seed):
    """Whether both forms of the loss have one gradient on random images."""
    rng = numpy.random.default_rng(seed)
    trial = model.copy('copy')
    trial.to_device('@numpy')
    sensor = trial.glimpse.sensor
    side = min(sensor.size * sensor.factor ** (sensor.scales - 1), 64)
    pixels = sensor.scales * sensor.size ** 2
    channels = trial.glimpse.what.W.shape[1] // pixels
    dtype = trial.core.linear.W.dtype
    images = rng.random((3, channels, side, side)).astype(dtype)
    first, noise = (array.astype(dtype) for array in trial.sample_noise(
        {'location': rng, 'noise': rng}, 3))
    with chainer.no_backprop_mode():
        states = trial(images, first, noise).states
        labels = trial.action(states[-1]).array.argmax(axis=1).astype('int32')
    labels[1:] = (labels[1:] + 1) % len(trial.action.logits.W)  # one is correct

    def gradient(loss, objective):
        trial.cleargrads()
        with chainer.using_config('train', True), \
                chainer.force_backprop_mode():
            loss(trial, images, labels, first, noise,
                 objective).loss.total.backward()
        return numpy.concatenate([
            numpy.zeros(p.size) if p.grad is None else p.grad.ravel()
            for _, p in sorted(trial.namedparams())])

    for objective in (Objective(0.6, 0.8, 'correct', border_weight=0.4),
                      Objective(1.7, 0.5, 'probability')):
        links_, fused = (gradient(loss, objective)
                         for loss in (loss_by_links, fused_loss))
        if not abs(links_ - fused).max() <= 1e-3 * abs(links_).max():
            return False
    return True
