import chainer
import chainer.functions as F

from ram.baselines import Baseline
from ram.losses import hybrid_loss
from ram.streams import serialize_generator


class TrainChain(chainer.Chain):
    """The model with its loss, as Chainer's updaters want it.

    It is the one place where glimpses are taken for training. Its state
    includes that of the generators it draws from.

    Args:
        model (ram.ram.RAM): The network.
        training (ram.config.TrainingConfig): The weights of the terms.
        streams (dict of str to numpy.random.Generator): ``location`` and
            ``noise`` are drawn from.

    Attributes:
        baseline_weight (float): Weight of the baseline term.
        reinforce_weight (float): Weight of the REINFORCE term.

    """

    def __init__(self, model, training, streams):
        super().__init__()
        self._streams = streams
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
        model, xp = self.model, self.xp
        rollout = model(images, *model.draw(self._streams, len(images)))
        logits = model.action(rollout.states[-1])
        # A decision, its mean and its baseline belong to the state it was
        # taken in; the last state decides nothing.
        loss = hybrid_loss(
            logits, labels, rollout.drawn[1:], rollout.means, model.std,
            model.baseline(rollout.states[:-1]), self.reinforce_weight,
            self.baseline_weight)
        right = (logits.array.argmax(axis=1) == labels).mean()
        drawn = rollout.drawn[1:].reshape(-1, 2)
        report = {
            'loss': loss.total, 'loss/action': loss.action,
            'loss/reinforce': loss.reinforce, 'loss/baseline': loss.baseline,
            'accuracy': right, 'error': 100 * (1 - right)}
        if len(drawn):
            report.update({
                'location/x': drawn[:, 0].mean(),
                'location/y': drawn[:, 1].mean(),
                'location/spread': drawn.std(axis=0).mean(),
                'location/outside': (xp.abs(drawn) > 1).any(axis=1).mean()})
        chainer.report(report, self)
        return loss.total

    def serialize(self, serializer):
        super().serialize(serializer)
        for name in ('location', 'noise'):
            serialize_generator(serializer, f'stream {name}',
                                self._streams[name])


class BaselineTrainChain(chainer.Chain):
    """A baseline with its loss, the cross-entropy.

    Args:
        model (ram.baselines.Baseline): The network.

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


def build_train_chain(model, training, streams):
    """The network with the loss that it is trained by.

    Args:
        model (ram.ram.RAM or ram.baselines.Baseline): The network.
        training (ram.config.TrainingConfig): The weights of the terms.
        streams (dict of str to numpy.random.Generator): For the glimpses.

    Returns:
        TrainChain or BaselineTrainChain

    """
    if isinstance(model, Baseline):
        return BaselineTrainChain(model)
    return TrainChain(model, training, streams)
