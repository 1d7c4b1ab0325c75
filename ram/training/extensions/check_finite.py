"""The end of a run that has diverged."""

import math
import os

import chainer
from chainer.training import extension

from ram.errors import RamError


class CheckFinite(extension.Extension):
    """Stops a run whose loss or weights are no longer finite.

    The loss is looked at whenever it is reported, and the weights once an
    epoch, before they are measured.

    Args:
        snapshot (str): The file to name as the way back.
        ranks (ram.training.distributed.SingleProcess): Those that train together: they
            stop together.

    """

    trigger = 1, 'iteration'
    priority = extension.PRIORITY_WRITER + 100

    def __init__(self, snapshot, ranks):
        self._snapshot = snapshot
        self._ranks = ranks

    def __call__(self, trainer):
        observation = trainer.observation
        if 'main/loss' not in observation:
            return
        loss = float(chainer.as_array(observation['main/loss']))
        # A loss that was reported late says since when it is no number.
        iteration = observation.get('main/lost', trainer.updater.iteration)
        for loss, iteration in self._ranks.all_of((loss, iteration)):
            if not math.isfinite(loss):
                _stop(iteration, self._snapshot, f'the loss became {loss}')
        if trainer.updater.is_new_epoch:
            check_weights(trainer, self._snapshot)


def check_weights(trainer, snapshot):
    """Stops a run with a weight that is no longer finite.

    Args:
        trainer (chainer.training.Trainer): Of the run.
        snapshot (str): The file to name as the way back.

    Raises:
        RamError: Names the weight and the iteration.

    """
    for name, param in trainer.updater.get_optimizer(
            'main').target.chain.namedparams():
        if not bool(param.xp.isfinite(param.array).all()):
            _stop(trainer.updater.iteration, snapshot,
                  f'the weight {name} became infinite')


def _stop(iteration, snapshot, what):
    way_back = (f'the last good snapshot is {snapshot}'
                if os.path.exists(snapshot) else 'there is no snapshot yet')
    raise RamError(
        f'{what} at iteration {iteration}; {way_back}; '
        'lower training.learning_rate or training.clip')
