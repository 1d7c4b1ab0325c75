"""A running average of the weights."""

from chainer.training import extension

from ram.fast.flat import flatten


class AverageWeights(extension.Extension):
    """Keeps a running average of the weights, which is what is measured.

    Averaged over some epochs, weights jump less from one epoch to the next
    than the rate makes them, and the epoch that validation prefers is less a
    matter of luck.

    Args:
        model (ram.models.ram.RAM): The network that learns.
        decay (float): Weight of the average so far, below 1. It starts lower,
            so that the first weights are soon forgotten.

    Attributes:
        model (ram.models.ram.RAM): The network with the averaged weights.
        vector (array): All of these, (number of weights,).
        decay (float): As given.

    """

    trigger = 1, 'iteration'
    priority = extension.PRIORITY_WRITER + 50  # before it is measured

    def __init__(self, model, decay):
        self.decay = decay
        self.model = model.copy('copy')
        self.vector = flatten(self.model)

    def __call__(self, trainer):
        t = trainer.updater.iteration
        step = 1 - min(self.decay, t / (t + 10))
        weights = trainer.updater.get_optimizer('main').target.vector.array
        self.vector += step * (weights - self.vector)

    def serialize(self, serializer):
        self.model.serialize(serializer['model'])
