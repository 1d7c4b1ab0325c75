"""The error on the validation images."""

from typing import Any, Callable, Optional

import chainer
import numpy
from chainer.training import extension

from ram.config import Config
from ram.evaluation.evaluate import evaluate, evaluation_streams, measure
from ram.evaluation.play import evaluate_games
from ram.models.player import Player
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
            return _report(measure(self._predict().astype('float64'),
                                   self._labels, 1.0))
        streams = evaluation_streams(self._config.data, 'validation')
        batch_size = self._config.evaluation.batch_size
        if isinstance(self.model, Player):
            result = evaluate_games(self.model, self._images, streams,
                                    batch_size=batch_size)
            return {'validation/main/error': result.error}
        return _report(evaluate(self.model, self._images, self._labels,
                                streams, batch_size=batch_size))


def _report(result):
    return {'validation/main/error': result.error,
            'validation/main/loss': result.loss}
