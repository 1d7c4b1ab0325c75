"""The standard deviation of the policy over the epochs."""

from chainer.training import extension

from ram.training.extensions.learning_rate import half_cosine


class StdSchedule(extension.Extension):
    """Lets the policy's standard deviation fall while it is trained.

    A wide policy explores; the classifier that is left at the end should see
    what it will see when the policy's mean is followed. Like the learning
    rate it is computed from the epochs passed.

    Args:
        model (ram.models.ram.RAM): Its ``std`` is set before every update.
        training (ram.config.TrainingConfig): With a ``first_std``.

    """

    trigger = 1, 'iteration'
    priority = extension.PRIORITY_EDITOR

    def __init__(self, model, training):
        self._model = model
        self._training = training
        self._last = model.std

    def initialize(self, trainer):
        self(trainer)

    def __call__(self, trainer):
        self._model.std = self.at(trainer.updater.epoch_detail)

    def at(self, epoch):
        """The deviation after so many epochs (float), fractions counted."""
        share = half_cosine(epoch, self._training.epochs)
        return self._last + share * (self._training.first_std - self._last)
