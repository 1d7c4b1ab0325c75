from typing import Any, NamedTuple

import chainer
import chainer.functions as F

from ram import links
from ram.fast.rollout import RolloutFunction, Weights
from ram.losses import HybridLoss, Terms, hybrid_loss, terms_of, weigh
from ram.models.comparison import Baseline
from ram.random_streams import serialize_generator


class StepResult(NamedTuple):
    """What came of the images that a gradient was computed of.

    Attributes:
        loss (ram.losses.HybridLoss): Of arrays.
        logits (array): (B, K).
        drawn (array): (T, B, 2) locations as drawn.

    """

    loss: HybridLoss
    logits: Any
    drawn: Any


class TrainChain(chainer.Chain):
    """The model with its loss, as Chainer's updaters want it.

    It is the one place where glimpses are taken for training. Its state
    includes that of the generators it draws from.

    Args:
        model (ram.models.ram.RAM): The network.
        training (ram.config.TrainingConfig): The weights of the terms.
        streams (dict of str to numpy.random.Generator): ``location`` and
            ``noise`` are drawn from.

    Attributes:
        baseline_weight (float): Weight of the baseline term.
        reinforce_weight (float): Weight of the REINFORCE term.
        reward (str): Kind of the reward.

    """

    def __init__(self, model, training, streams):
        super().__init__()
        self._streams = streams
        self.reward = training.reward
        self.baseline_weight = training.baseline_weight
        # A control policy does not learn.
        self.reinforce_weight = (training.reinforce_weight
                                 if model.policy == 'learned' else 0)
        with self.init_scope():
            self.model = model

    def forward(self, images, labels):
        """The loss of a batch; its terms are reported.

        Args:
            images (array): (B, C, H, W) float32 in [0, 1].
            labels (array): (B,) int32.

        Returns:
            Variable: Scalar.

        """
        model = self.model
        rollout = model(images, *self.draw(len(images)))
        logits = model.action(rollout.states[-1])
        # A decision, its mean and its baseline belong to the state it was
        # taken in; the last state decides nothing.
        loss = hybrid_loss(
            logits, labels, rollout.drawn[1:], rollout.means, model.std,
            model.baseline(rollout.states[:-1]), self.reinforce_weight,
            self.baseline_weight, self.reward)
        self.tell(labels, StepResult(loss, logits.array, rollout.drawn))
        return loss.total

    def learn(self, images, labels):
        """Writes the gradient of the loss, whose terms are reported.

        The same as :meth:`forward` and the backward pass of its graph, which
        would take a tenth of an iteration; for a network that says so
        (:meth:`gradients_in_one`). Every parameter's ``grad`` is an array
        already (:meth:`ram.fast.flat.FlatChain.join_gradients`).

        Args:
            images (array): (B, C, H, W) float32 in [0, 1].
            labels (array): (B,) int32.

        """
        self.tell(labels, self.write_gradient(
            images, labels, *self.draw(len(images))))

    def draw(self, batch):
        """The chance of a batch, see :meth:`ram.models.ram.RAM.draw`."""
        return self.model.draw(self._streams, batch)

    def write_gradient(self, images, labels, first, noise, share=1):
        """Writes the gradient of the loss, or of a part of it.

        Args:
            images (array): (B, C, H, W) float32 in [0, 1].
            labels (array): (B,) int32.
            first (array): (B, 2) of :meth:`draw`, like the next.
            noise (array): (T - 1, B, 2).
            share (float): What part of a batch the images are. The losses and
                gradients of all parts add up to those of the batch.

        Returns:
            StepResult

        """
        model, xp = self.model, self.xp
        action, value = model.action.logits, model.baseline.value
        weights, setting = model.recurrence()
        names, weights = zip(*((name, w) for name, w in zip(
            Weights._fields, weights) if w is not None))
        inputs = [w.array for w in weights]
        function = RolloutFunction(images, first, noise, setting, model.pool)
        means, states = function.forward(inputs)
        last = states[-1]
        before = states[:-1].reshape(-1, last.shape[1])
        logits = xp.dot(last, action.W.array.T)
        logits += action.b.array
        values = xp.dot(before, value.W.array.T)
        values += value.b.array
        found = Terms(*(share * term for term in terms_of(
            logits, labels, function.drawn[1:], means, model.std,
            values.reshape(means.shape[:2]), self.reward)))

        found.d_means[...] *= self.reinforce_weight
        found.d_baselines[...] *= self.baseline_weight
        d_values = found.d_baselines.reshape(-1, 1)
        for link, d, into in ((action, found.d_logits, last),
                              (value, d_values, before)):
            xp.dot(d.T, into, out=link.W.grad)
            d.sum(axis=0, out=link.b.grad)
        function.gradients(
            inputs, means, states,
            found.d_means if self.reinforce_weight else None,
            [None] * len(means) + [xp.dot(found.d_logits, action.W.array)],
            {name: w.grad for name, w in zip(names, weights)})
        return StepResult(weigh(found, self.reinforce_weight,
                            self.baseline_weight), logits, function.drawn)

    def gradients_in_one(self):
        """Whether :meth:`learn` says the same as the Links (bool)."""
        model = self.model
        return (model.fusible()
                and type(model.action) is links.ActionNetwork
                and type(model.baseline) is links.BaselineNetwork)

    def tell(self, labels, learnt):
        """Reports what came of a batch.

        Args:
            labels (array): (B,) int32.
            learnt (StepResult): Of all of it.

        """
        loss = learnt.loss
        right = (learnt.logits.argmax(axis=1) == labels).mean()
        # All x, then all y: in pairs they would be summed slowly.
        drawn = self.xp.ascontiguousarray(learnt.drawn[1:].reshape(-1, 2).T)
        report = {
            'loss': loss.total, 'loss/action': loss.action,
            'loss/reinforce': loss.reinforce, 'loss/baseline': loss.baseline,
            'accuracy': right, 'error': 100 * (1 - right)}
        if drawn.size:
            x, y = drawn.mean(axis=1)
            report.update({
                'location/x': x, 'location/y': y,
                'location/spread': drawn.std(axis=1).mean(),
                'location/outside': (
                    self.xp.abs(drawn) > 1).any(axis=0).mean()})
        chainer.report(report, self)

    def serialize(self, serializer):
        super().serialize(serializer)
        for name in ('location', 'noise'):
            serialize_generator(serializer, f'stream {name}',
                                self._streams[name])


class BaselineTrainChain(chainer.Chain):
    """A baseline with its loss, the cross-entropy.

    Args:
        model (ram.models.comparison.Baseline): The network.

    """

    def __init__(self, model):
        super().__init__()
        with self.init_scope():
            self.model = model

    def forward(self, images, labels):
        """The loss of a batch; it is reported with the error.

        Args:
            images (array): (B, C, H, W) float32 in [0, 1].
            labels (array): (B,) int32.

        Returns:
            Variable: Scalar.

        """
        logits = self.model(images)
        loss = F.softmax_cross_entropy(logits, labels)
        right = (logits.array.argmax(axis=1) == labels).mean()
        chainer.report({'loss': loss, 'loss/action': loss, 'accuracy': right,
                        'error': 100 * (1 - right)}, self)
        return loss

    def gradients_in_one(self):
        """See :meth:`TrainChain.gradients_in_one`; here there is a graph."""
        return False


def build_train_chain(model, training, streams):
    """The network with the loss that it is trained by.

    Args:
        model (ram.models.ram.RAM or ram.models.comparison.Baseline): The network.
        training (ram.config.TrainingConfig): The weights of the terms.
        streams (dict of str to numpy.random.Generator): For the glimpses.

    Returns:
        TrainChain or BaselineTrainChain

    """
    if isinstance(model, Baseline):
        return BaselineTrainChain(model)
    return TrainChain(model, training, streams)
