"""One training run, from configuration to run folder."""

import os
import sys
from typing import NamedTuple

import numpy

from ram.data.splits import load_splits, name_classes
from ram.errors import RamError
from ram.models.build import import_parts
from ram.training.build import build_trainer
from ram.training.distributed import SingleProcess
from ram.training.extensions.tensorboard import FOLDER, require_tensorboard
from ram.training.run_folder import prepare_folder, write_versions


class Outcome(NamedTuple):
    """How a run ended.

    Attributes:
        best (str): The best checkpoint, or None if no epoch was finished.
        error (float): Its validation error in %.
        epoch (int): Its epoch.
        files (list of str): All files made.
        interrupted (int): The signal that ended the run early, or 0.

    """

    best: str
    error: float
    epoch: int
    files: list
    interrupted: int


def train(config, out, device, root=None, resume=False, stream=None,
          ranks=SingleProcess(), tensorboard=False):
    """Trains a network.

    The run folder then holds ``config.yaml`` (resolved), ``versions.json``,
    ``log`` (JSON, one entry an epoch), ``loss.png``, ``error.png``,
    ``trajectories.gif`` (how the policy changed; not of a baseline),
    ``best.npz``, ``last.npz``, ``snapshot.npz`` and the snapshot before it.

    Args:
        config (ram.config.Config): What and how.
        out (str): Run folder.
        device (chainer.backend.Device): Where.
        root (str): Data root, if not the configuration's.
        resume (bool): Go on with the run in the folder.
        stream (file object): Progress goes there; to standard output if left
            out.
        ranks (ram.training.distributed.SingleProcess): The processes that train together.
        tensorboard (bool): Write for TensorBoard too, into ``tensorboard``.

    Returns:
        Outcome

    Raises:
        RamError: For a folder in use, bad data, a full disk, a loss that is
            no longer finite, where tensorboardX is missing, or a class named
            by the configuration that is not what it should be.

    """
    stream = stream or sys.stdout
    if tensorboard:
        require_tensorboard()
    import_parts(config)
    config = name_classes(config)
    splits = load_splits(config.data, root)
    if config.training.batch_size > len(splits.train.labels):
        raise RamError(
            f'training.batch_size: {config.training.batch_size} is more than '
            f'the {len(splits.train.labels)} training images; set it lower')
    if config.training.batch_size % ranks.size:
        raise RamError(
            f'training.batch_size: {config.training.batch_size} cannot be '
            f'shared by {ranks.size} processes; set it to a multiple')
    if ranks.rank:
        ranks.from_first(None)  # waits for the folder
        return _train(config, splits, out, device, stream, ranks, False)
    with prepare_folder(out, config, resume):
        write_versions(out, device, ranks)
        ranks.from_first(None)
        return _train(config, splits, out, device, stream, ranks,
                      tensorboard)


def _train(config, splits, out, device, stream, ranks, tensorboard):
    trainer, best, snapshot = build_trainer(config, splits, out, device,
                                            stream, ranks, tensorboard)
    if snapshot.exists():
        warning = snapshot.load(trainer)
        if ranks.rank == 0:
            if warning:
                print(f'ram: {warning}', file=sys.stderr)
            print(f'resumed after epoch {trainer.updater.epoch}, iteration '
                  f'{trainer.updater.iteration}', file=stream)
    stop = trainer.stop_trigger
    if not stop(trainer):
        try:
            # What overflows is told by CheckFinite, in one line.
            with stop.listening(), numpy.errstate(all='ignore'):
                trainer.run(show_loop_exception_msg=False)
        except BrokenPipeError:  # of the stream, not of the folder
            raise
        except OSError as error:
            raise RamError(
                f'{out}: cannot be written: {error.strerror or error}; make '
                f'room and go on with --resume')
        if trainer.updater.epoch_detail != trainer.updater.epoch:
            snapshot.save(trainer)
    names = ['config.yaml', 'versions.json', 'log', 'loss.png', 'error.png',
             'trajectories.gif', FOLDER, 'best.npz', 'last.npz',
             'snapshot.npz', 'snapshot-before.npz']
    files = [path for path in (os.path.join(out, name) for name in names)
             if os.path.exists(path)]
    return Outcome(os.path.join(out, 'best.npz') if best.epoch else None,
                   best.error, best.epoch, files, stop.signal)
