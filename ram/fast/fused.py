"""Rollout, heads and hybrid loss as one function of Chainer's graph."""

import collections
import functools
import os
import weakref
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Dict, List, Optional

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

_pools = weakref.WeakKeyDictionary()  # WorkspacePools by network and part
_problems = weakref.WeakKeyDictionary()  # what fused_problem found, likewise


class _Part:
    """Rollout, heads and loss of a part of a batch, on arrays.

    It has a workspace of its own from :meth:`roll_out` to :meth:`release`.

    Args:
        images: (B, C, H, W) float in [0, 1], like the three that follow a
            part of those of :func:`fused_loss`.
        labels: (B,) int32; None for a rollout without loss.
        first: (B, 2).
        noise: (T - 1, B, 2).
        config: The rollout.
        objective: Weights of the terms, kind of the reward.
        pool: Workspaces.
        share: B over the number of images of the batch.

    """

    def __init__(self, images: Array, labels: Optional[Array], first: Array,
                 noise: Array, config: RolloutConfig, objective: Objective,
                 pool: WorkspacePool, share: float):
        self.images = images
        self.config = config
        self.share = share
        self._labels = labels
        self._first = first
        self._noise = noise
        self._objective = objective
        self._pool = pool
        self.workspace = self.rollout = self.found = self._packed = None

    def forward(self, weights: Weights) -> None:
        """Sets ``rollout`` and ``found``, the loss with its gradients."""
        self.roll_out(weights)
        self.found = heads.loss_and_gradients(
            self.rollout.states, self.rollout.means, self.rollout.sampled[1:],
            self._labels, self.config.std, weights, self._objective)

    def roll_out(self, weights: Weights) -> None:
        """Sets ``rollout``; the workspace is kept for :meth:`backward`."""
        images, config = self.images, self.config
        xp = chainer.backend.get_array_module(images)
        T, batch, dtype = config.glimpses, len(images), weights.core_W.dtype
        self.workspace = self._pool.take(xp, dtype, batch, images.shape[1],
                                         config, weights)
        sampled = xp.empty((T, batch, 2), dtype)
        sampled[0] = self._first
        self.rollout = Rollout(
            sampled, xp.empty_like(sampled),
            xp.zeros((T - 1, batch, 2), dtype),
            xp.empty((T, batch, weights.action_W.shape[1]), dtype))
        self._packed = pack_weights(self.workspace, weights, config)
        recurrence.forward(xp, self.workspace, images, self._noise,
                           *self.rollout, weights, self._packed, config)

    def backward(self, weights: Weights, scale: Array) -> Dict[str, Array]:
        """Its share of the gradients, times the scale, by weight; releases."""
        found, scale = self.found, self.share * scale
        for d in (found.d_logits, found.d_means, found.d_baselines):
            d *= scale
        _, _, means, states = self.rollout
        d_sums = None
        if (self._objective.reinforce_weight
                or self._objective.border_weight):
            d_sums = found.d_means
            if self.config.squash:
                d_sums = d_sums * (1 - means * means)
        xp = chainer.backend.get_array_module(states)
        grads = {
            name: xp.empty_like(w) for name, w in weights._asdict().items()
            if w is not None and (
                name not in LOCATION_WEIGHTS
                or recurrence.trains_location(self.config, d_sums))}
        d_last = heads.backward(found, states, weights, grads)
        recurrence.backward(self.workspace, states, d_sums, d_last, weights,
                            self._packed, self.config, grads)
        self.release()
        return grads

    def release(self) -> None:
        """Gives the workspace back."""
        self._pool.give_back(self.workspace)
        self.workspace = None


class FusedLoss(chainer.FunctionNode):
    """The hybrid loss of a batch, as a function of all weights.

    Args:
        parts: Of the batch; each is computed by a thread, the first by the
            caller's.

    """

    def __init__(self, parts: List[_Part]):
        self._parts = parts
        self._loss = None

    def check_type_forward(self, in_types):
        """Checks the dtypes and shapes of the weights."""
        type_check.expect(in_types.size() >= len(Weights._fields) - 2)
        gates = 4 if self._parts[0].config.lstm else 1
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
        weights = Weights(*inputs)
        _side_by_side(lambda part: part.forward(weights), self._parts)
        if chainer.config.enable_backprop:
            self.retain_inputs(tuple(range(len(inputs))))
        else:
            for part in self._parts:
                part.release()
        self._loss = HybridLoss(*map(sum, zip(*(
            [part.share * term for term in part.found.loss]
            for part in self._parts))))
        xp = chainer.backend.get_array_module(*inputs)
        return xp.asarray(self._loss.total),

    def backward(self, indexes, gradients):
        """Gradients of the weights; once, since a workspace is reused."""
        if self._parts[0].workspace is None:
            raise RuntimeError(
                'the fused loss goes backward once; run it forward again')
        weights = Weights(*(v.array for v in self.get_retained_inputs()))
        scale = gradients[0].array
        grads, *others = _side_by_side(
            lambda part: part.backward(weights, scale), self._parts)
        for name, gradient in grads.items():
            for other in others:
                gradient += other[name]
        return tuple(chainer.Variable(grads[name]) if name in grads else None
                     for name, W in weights._asdict().items()
                     if W is not None)

    def result(self, total: chainer.Variable) -> StepResult:
        """The loss, whose total is a variable, and what it was read from."""
        return StepResult(
            HybridLoss(total, *self._loss[1:]),
            _join([part.found.logits for part in self._parts]),
            _join([part.rollout.sampled for part in self._parts], axis=1))


def _join(arrays, axis=0):
    return (arrays[0] if len(arrays) == 1
            else numpy.concatenate(arrays, axis=axis))


def _side_by_side(function, parts):
    """The function's results, as a list, each computed by a thread."""
    if len(parts) == 1:
        return [function(parts[0])]
    errors = numpy.geterr()  # a thread has its own

    def call(part):
        with numpy.errstate(**errors):
            return function(part)

    others = [_executor(len(parts) - 1).submit(call, part)
              for part in parts[1:]]
    try:
        return [function(parts[0]), *(other.result() for other in others)]
    finally:
        wait(others)  # none still computes after an error


@functools.lru_cache(maxsize=None)
def _executor(threads):
    return ThreadPoolExecutor(threads)


if hasattr(os, 'register_at_fork'):  # a forked process has no threads
    os.register_at_fork(after_in_child=_executor.cache_clear)


def _make_part(model, images, labels, first, noise, objective, index=0,
               share=1.0):
    """Part number ``index`` of a batch, with workspaces of its own."""
    pools = _pools.setdefault(model, collections.defaultdict(WorkspacePool))
    return _Part(images, labels, first, noise, RolloutConfig.of(model),
                 objective, pools[index], share)


def fused_loss(model: RAM, images: Array, labels: Array, first: Array,
               noise: Array, objective: Objective,
               threads: int = 1) -> StepResult:
    """:func:`ram.losses.loss_by_links`, in one function.

    Its arguments, and ``threads``: parts of the batch that are computed side
    by side; 1 on a GPU.
    """
    count = min(threads, len(images))
    ends = [len(images) * i // count for i in range(count + 1)]
    function = FusedLoss([
        _make_part(model, images[a:b], labels[a:b], first[a:b], noise[:, a:b],
                   objective, i, (b - a) / len(images))
        for i, (a, b) in enumerate(zip(ends, ends[1:]))])
    total, = function.apply([w for w in Weights.of(model) if w is not None])
    return function.result(total)


def fused_rollout(model: RAM, images: Array, first: Array,
                  noise: Array) -> Rollout:
    """:meth:`ram.models.ram.RAM.forward` without a graph; gives arrays."""
    part = _make_part(model, images, None, first, noise, Objective())
    part.roll_out(Weights.of(model).arrays())
    part.release()
    return part.rollout


def fused_problem(model: chainer.Chain,
                  objective: Optional[Objective] = None) -> Optional[str]:
    """Why the fused functions do not serve for a network.

    They serve if all its Links are built in, and if on a few random images
    they give the glimpses and the gradient that the Links give: so a Link or
    a loss that was edited takes effect.

    Args:
        model: The network.
        objective: What it will be trained to minimize, compared as well.

    Returns:
        The reason, or None if they serve.

    """
    if model not in _problems:
        _problems[model] = _find_problem(model)
    if objective is None or _problems[model]:
        return _problems[model]
    return _find_problem(model, objective)


def _find_problem(model, objective=None):
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
    try:
        # Rounding may move a crop by a pixel once, not twice.
        same = any(_same(model, objective, seed) for seed in range(2))
    except Exception as error:  # a built-in Link with other layers
        return f'it cannot compute this ({type(error).__name__}: {error})'
    return (None if same else
            'ram/links, ram/models or ram/losses compute something else')


def _same(model, objective, seed):
    """Whether both forms take the same glimpses of random images in an
    evaluation, and have the same loss with the same gradients in training."""
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
    with chainer.no_backprop_mode(), chainer.using_config('train', False):
        rollout = trial(images, first, noise)
        fused = fused_rollout(trial, images, first, noise)
        labels = trial.action(rollout.states[-1]).array.argmax(
            axis=1).astype('int32')
    if not (numpy.allclose(rollout.sampled, fused.sampled, atol=1e-4)
            and numpy.allclose(rollout.states.array, fused.states, atol=1e-4)):
        return False
    classes = len(trial.action.logits.W)
    labels[1:] = (labels[1:] + 1) % classes  # one is correct

    def loss_and_gradients(loss, objective):
        trial.cleargrads()
        with chainer.using_config('train', True), \
                chainer.force_backprop_mode():
            total = loss(trial, images, labels, first, noise,
                         objective).loss.total
            total.backward()
        return [total.array] + [
            numpy.zeros(p.shape) if p.grad is None else p.grad
            for _, p in sorted(trial.namedparams())]

    objectives = [
        Objective(0.6, 0.8, 'correct', border_weight=0.4),
        Objective(1.7, 0.5, 'probability',
                  class_weights=tuple(rng.random(classes).tolist()))]
    if objective is not None:  # no weight may be 0
        objectives = [objective._replace(
            reinforce_weight=0.6, baseline_weight=0.8, border_weight=0.4)]
    for trained in objectives:
        links_, fused = (loss_and_gradients(loss, trained)
                         for loss in (loss_by_links, fused_loss))
        # Each by its own size: an edit may act on a small gradient only.
        rounding = 1e-6 * max(abs(a).max() for a in links_)
        if not all(abs(a - b).max() <= 1e-4 * abs(a).max() + rounding
                   for a, b in zip(links_, fused)):
            return False
    return True
