"""The error on the validation images."""

from typing import Any, Callable, Optional

import chainer
import numpy
from chainer.training import extension

from ram.config import Config
from ram.evaluation.evaluate import measure
from ram.evaluation.play import evaluate_split
from ram.training.distributed import SingleProcess


class Validation(extension.Extension):
    """Measures the error on the validation images.

    It does so after every ``evaluation.every`` epochs, and after the last.
    Images, first locations and (for the random policy) glimpses are the same
    each time and for every model. It stands in for Chainer's ``Evaluator``,
    whose mean over batches is unweighted.

    Args:
        model: The network.
        images: (N, C, H, W) float32.
        labels: (N,) int32.
        config: The configuration.
        ranks: Rank 0 measures for all.
        predict: Gives the probabilities (T, N, K) of the images; left out,
            the network predicts them batch by batch.

    """

    trigger = 1, 'epoch'
    priority = extension.PRIORITY_WRITER

    def __init__(self, model: chainer.Chain, images: numpy.ndarray,
                 labels: numpy.ndarray, config: Config, ranks: SingleProcess,
                 predict: Optional[Callable[[], numpy.ndarray]] = None):
        self.model = model
        self._images = images
        self._labels = labels
        self._config = config
        self._ranks = ranks
        self._predict = predict

    def __call__(self, trainer: Any) -> None:
        epoch = trainer.updater.epoch
        if (epoch % self._config.evaluation.every
                and epoch < self._config.training.epochs):
            return
        report = None
        if self._ranks.rank == 0:
            report = self._measure()
        chainer.report(self._ranks.from_first(report))

    def _measure(self):
        if self._predict is not None:
            result = measure(self._predict().astype('float64'),
                             self._labels, 1.0)
        else:
            result = evaluate_split(self.model, self._images, self._labels,
                                    self._config, 'validation')
        report = {'validation/main/error': result.error}
        if not self._config.data.is_game:
            report['validation/main/loss'] = result.loss
        return report
