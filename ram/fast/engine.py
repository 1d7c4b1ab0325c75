"""Which engine trains: the one place that decides."""

from typing import NamedTuple

import chainer
import numpy

from ram.config import Config
from ram.errors import RamError
from ram.fast import batch_kernels, update_kernels
from ram.fast.fused import fused_problem
from ram.fast.products import has_tf32
from ram.losses import objective_of

# From the fastest to the most general.
ENGINES = ('device', 'fused', 'links')


class Engine(NamedTuple):
    """The engine of a training.

    Attributes:
        name: ``links``: Link by Link in Chainer's graph. ``fused``: rollout,
            heads and loss are one function of that graph. ``device``: an
            iteration stays on the GPU.
        reason: Why none of the faster ones applies; empty if there is none.
        tf32: Whether products of float32 use TF32.

    """

    name: str
    reason: str
    tf32: bool = False

    def __str__(self):
        return (self.name + (', TF32' if self.tf32 else '')
                + (f' ({self.reason})' if self.reason else ''))


def select_engine(config: Config, model: chainer.Chain,
                  device: chainer.backend.Device) -> Engine:
    """Selects the engine that ``training.engine`` asks for.

    Args:
        config: ``auto`` takes the fastest engine that applies.
        model: The network.
        device: Where it will be trained.

    Raises:
        RamError: Where the engine that is asked for does not apply.

    """
    wanted = config.training.engine
    fused = fused_problem(model, objective_of(config.training, config.model.policy))
    problems = {'device': _device_problem(config, device) or fused,
                'fused': fused, 'links': None}
    if wanted == 'auto':
        wanted = next(name for name in ENGINES if not problems[name])
    elif problems[wanted]:
        raise RamError(f'training.engine: {wanted} does not apply: '
                       f'{problems[wanted]}; use auto')
    faster = ENGINES[:ENGINES.index(wanted)]
    reasons = [f'{name}: {problems[name]}' for name in faster
               if problems[name]]
    tf32 = (config.training.tf32 and wanted != 'links'
            and device.xp is not numpy and has_tf32(device.device.id))
    return Engine(wanted, '; '.join(dict.fromkeys(reasons)), tf32)


def _device_problem(config, device):
    if device.xp is numpy:
        return 'no GPU'
    if config.training.optimizer != 'adam':
        return f'training.optimizer is {config.training.optimizer}'
    if config.model.policy == 'center':
        return 'model.policy is center'
    if config.training.class_weights != 'none':
        return 'training.class_weights is set'
    if config.training.reward not in update_kernels.REWARDS:
        return f'training.reward is {config.training.reward}'
    if config.data.variant not in batch_kernels.VARIANTS:
        return f'data.variant is {config.data.variant}'
    return None
