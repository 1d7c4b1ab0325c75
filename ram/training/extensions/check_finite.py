"""The end of a run that has diverged."""

import math
import os
from typing import Any

import chainer
import numpy
from chainer.training import extension

from ram.errors import RamError
from ram.fast.update_kernels import all_finite
from ram.training.distributed import SingleProcess


class CheckFinite(extension.Extension):
    """Stops a run whose loss or weights are not finite.

    The loss is checked whenever it is reported, and the weights once an
    epoch, before they are measured.

    Args:
        snapshot: The file that the error names to continue from.
        ranks: The processes that train together: they stop together.

    """

    trigger = 1, 'iteration'
    priority = extension.PRIORITY_WRITER + 100

    def __init__(self, snapshot: str, ranks: SingleProcess):
        self._snapshot = snapshot
        self._ranks = ranks

    def __call__(self, trainer: Any) -> None:
        observation = trainer.observation
        if 'main/loss' not in observation:
            return
        loss = float(chainer.as_array(observation['main/loss']))
        # The engine device reports once an epoch, with the first iteration
        # whose loss was not finite.
        iteration = observation.get('main/not_finite',
                                    trainer.updater.iteration)
        for loss, iteration in self._ranks.all_of((loss, iteration)):
            if not math.isfinite(loss):
                _stop(iteration, self._snapshot, f'the loss became {loss}')
        if trainer.updater.is_new_epoch:
            check_weights(trainer, self._snapshot)


def check_weights(trainer: Any, snapshot: str) -> None:
    """Stops a run with a weight that is not finite.

    Args:
        trainer: The run.
        snapshot: The file that the error names to continue from.

    Raises:
        RamError: Names the weight and the iteration.

    """
    target = trainer.updater.get_optimizer('main').target
    vector = target.vector.array
    if (numpy.isfinite(vector).all() if target.xp is numpy
            else all_finite(vector)):
        return
    for name, param in target.chain.namedparams():
        if not bool(param.xp.isfinite(param.array).all()):
            _stop(trainer.updater.iteration, snapshot,
                  f'the weight {name} became infinite')


def _stop(iteration, snapshot, what):
    way_back = (f'the last good snapshot is {snapshot}'
                if os.path.exists(snapshot) else 'there is no snapshot yet')
    raise RamError(
        f'{what} at iteration {iteration}; {way_back}; '
        'lower training.learning_rate or training.clip')
