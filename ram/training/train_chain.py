"""The networks with their losses, as Chainer's updaters want them."""

from typing import Callable, Dict, Optional, Tuple

import chainer
import numpy

from ram.config import TrainingConfig
from ram.devices import Array
from ram.losses import (
    StepResult,
    cross_entropy,
    game_loss,
    loss_by_links,
    objective_of,
)
from ram.models.comparison import Baseline
from ram.models.ram import RAM
from ram.random_streams import serialize_generator

Streams = Dict[str, numpy.random.Generator]


class TrainChain(chainer.Chain):
    """RAM with its hybrid loss.

    It is the one place where glimpses are taken for training. Its state
    includes that of the generators it samples from.

    Args:
        model: The network.
        training: Weights of the terms, kind of the reward.
        streams: ``location`` and ``noise`` are used.
        compute_loss: :func:`ram.losses.loss_by_links`, or a faster function
            of the same arguments.
        class_weights: K weights of the cross-entropy; None: 1.

    Attributes:
        objective (Objective): Weights of the terms, kind of the reward.

    """

    def __init__(self, model: RAM, training: TrainingConfig, streams: Streams,
                 compute_loss: Callable[..., StepResult] = loss_by_links,
                 class_weights: Optional[Tuple[float, ...]] = None):
        super().__init__()
        self._streams = streams
        self._compute_loss = compute_loss
        self.objective = objective_of(training, model.policy, class_weights)
        with self.init_scope():
            self.model = model

    def forward(self, images: Array, labels: Array) -> chainer.Variable:
        """The loss of a batch, (); its terms are reported.

        Args:
            images: (B, C, H, W) float32 in [0, 1].
            labels: (B,) int32.

        """
        result = self._compute_loss(self.model, images, labels,
                                    *self._sample_noise(len(images)),
                                    self.objective)
        loss = result.loss
        accuracy = (result.logits.argmax(axis=1) == labels).mean()
        chainer.report({
            'loss': loss.total, 'loss/action': loss.action,
            'loss/reinforce': loss.reinforce, 'loss/baseline': loss.baseline,
            'accuracy': accuracy, 'error': 100 * (1 - accuracy),
            **self._location_statistics(result.sampled)}, self)
        return loss.total

    def _sample_noise(self, batch):
        return self.model.sample_noise(self._streams, batch)

    def _location_statistics(self, sampled):
        """What is reported of (T, B, 2) locations, without the first."""
        # All x, then all y: pairs would be summed slowly.
        xy = self.xp.ascontiguousarray(sampled[1:].reshape(-1, 2).T)
        if not xy.size:
            return {}
        x, y = xy.mean(axis=1)
        return {'location/x': x, 'location/y': y,
                'location/spread': xy.std(axis=1).mean(),
                'location/outside': (
                    self.xp.abs(xy) > 1).any(axis=0).mean()}

    def serialize(self, serializer):
        super().serialize(serializer)
        for name in ('location', 'noise'):
            serialize_generator(serializer, f'stream {name}',
                                self._streams[name])


class GameTrainChain(TrainChain):
    """A player with the loss of its games.

    Args:
        model: The player.
        training: Weights of the terms.
        streams: ``location`` and ``noise`` are used.

    """

    def set_entropy_weight(self, weight: float) -> None:
        """Sets the weight of the entropy of the actions."""
        self.objective = self.objective._replace(entropy_weight=weight)

    def forward(self, starts: Array, labels: Array) -> chainer.Variable:
        """The loss of a batch of games, (); its terms are reported.

        Args:
            starts: (B, 3) int32 first positions.
            labels: Not used.

        """
        model = self.model
        games = model(starts, *self._sample_noise(len(starts)))
        loss = game_loss(games.logits, games.actions, games.rewards,
                         games.sampled[1:], games.means, model.std,
                         model.baseline(games.states), self.objective)
        caught = games.rewards.mean()
        report = {f'loss/{name}': term for name, term in
                  loss._asdict().items() if name != 'total'}
        report.update(
            loss=loss.total, accuracy=caught, error=100 * (1 - caught),
            entropy=loss.entropy / len(games.logits))
        report.update(self._location_statistics(games.sampled))
        chainer.report(report, self)
        return loss.total


class ComparisonTrainChain(chainer.Chain):
    """One of the paper's networks for comparison, with its cross-entropy.

    Args:
        model: The network.
        class_weights: K weights of the cross-entropy; None: 1.

    """

    def __init__(self, model: Baseline,
                 class_weights: Optional[Tuple[float, ...]] = None):
        super().__init__()
        self._class_weights = class_weights
        with self.init_scope():
            self.model = model

    def forward(self, images: Array, labels: Array) -> chainer.Variable:
        """The loss of a batch, (); it is reported with the error.

        Args:
            images: (B, C, H, W) float32 in [0, 1].
            labels: (B,) int32.

        """
        logits = self.model(images)
        loss = cross_entropy(logits, labels, self._class_weights)
        accuracy = (logits.array.argmax(axis=1) == labels).mean()
        chainer.report({'loss': loss, 'loss/action': loss,
                        'accuracy': accuracy, 'error': 100 * (1 - accuracy)},
                       self)
        return loss
