"""A warning about a policy that is stuck."""

import sys
from typing import Any

import numpy
from chainer.training import extension

from ram.config import Config
from ram.evaluation.evaluate import evaluation_streams, predict
from ram.models.ram import RAM

OUTSIDE = 0.1  # share of the locations
SPREAD = 0.02  # of the mean path over images; the image is 2 wide
_IMAGES = 200
_SKIPPED = 0.1  # share of the epochs that pass before the spread counts


class WatchPolicy(extension.Extension):
    """Warns once if the policy leaves the image or ignores it.

    A network with such a policy may still have a low error, so the error does
    not show it. It reads the share outside of the epoch's last batch (engine
    ``device``: of the epoch), and the mean paths of the first validation
    images.

    Args:
        model: The network that is measured.
        images: (N, C, H, W) float32 validation images.
        config: The configuration.

    """

    trigger = 1, 'epoch'
    priority = extension.PRIORITY_READER

    def __init__(self, model: RAM, images: numpy.ndarray, config: Config):
        self._model = model
        self._images = images[:_IMAGES]
        self._config = config
        self._has_warned = False

    def __call__(self, trainer: Any) -> None:
        if self._has_warned:
            return
        observation, epoch = trainer.observation, trainer.updater.epoch
        problem = None
        outside = float(observation.get('main/location/outside', 0))
        if outside > OUTSIDE:
            problem = (f'{100 * outside:.0f} % of the locations lie outside '
                       'the image; try a larger training.border_weight, '
                       'from 0.1, model.first_location: near_center, or a '
                       'smaller training.reinforce_weight')
        elif ('validation/main/error' in observation
              and epoch > _SKIPPED * self._config.training.epochs
              and len(self._images) > 1 and self._spread() < SPREAD):
            problem = ('the policy looks at the same locations whatever the '
                       'image; try a larger training.first_std, a larger '
                       'training.reinforce_weight, or training.reward: '
                       'probability')
        if problem:
            self._has_warned = True
            print(f'ram: warning: epoch {epoch}: {problem}', file=sys.stderr,
                  flush=True)

    def _spread(self):
        """Largest deviation over the images of a step of the mean path."""
        paths = predict(self._model, self._images,
                        evaluation_streams(self._config.data, 'validation'))
        return paths.locations[1:].std(axis=1).max()

    def serialize(self, serializer: Any) -> None:
        self._has_warned = bool(serializer('has_warned', self._has_warned))
