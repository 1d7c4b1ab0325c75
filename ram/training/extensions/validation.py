"""The error on the validation images."""

import chainer
from chainer.training import extension

from ram.evaluation.evaluate import evaluate, evaluation_streams


class Validation(extension.Extension):
    """Measures the error on the validation images.

    It does so after every ``evaluation.every`` epochs, and after the last.
    The images, first locations and (for the random policy) glimpses are the
    same each time and for every model.

    Args:
        model (ram.models.ram.RAM): The network.
        images (array): (N, C, H, W) float32 on the CPU.
        labels (array): (N,) int32.
        config (ram.config.Config): The configuration.
        ranks (ram.training.distributed.SingleProcess): Rank 0 measures for all.

    Attributes:
        model (ram.models.ram.RAM): The network.

    """

    trigger = 1, 'epoch'
    priority = extension.PRIORITY_WRITER

    def __init__(self, model, images, labels, config, ranks):
        self.model = model
        self._images = images
        self._labels = labels
        self._config = config
        self._ranks = ranks

    def __call__(self, trainer):
        epoch = trainer.updater.epoch
        if (epoch % self._config.evaluation.every
                and epoch < self._config.training.epochs):
            return
        report = None
        if self._ranks.rank == 0:
            result = evaluate(
                self.model, self._images, self._labels,
                evaluation_streams(self._config.data, 'validation'),
                batch_size=self._config.evaluation.batch_size)
            report = {'validation/main/error': result.error,
                      'validation/main/loss': result.loss}
        chainer.report(self._ranks.from_first(report))
