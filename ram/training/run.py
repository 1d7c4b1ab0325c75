"""One training run, from configuration to run folder."""

import os
import sys
from typing import Any, List, NamedTuple, Optional

import chainer
import numpy

from ram.config import Config
from ram.data.splits import load_data
from ram.errors import RamError
from ram.files import write_json
from ram.models.build import import_parts
from ram.training.build import build_trainer
from ram.training.distributed import SINGLE_PROCESS, SingleProcess
from ram.training.extensions.tensorboard import FOLDER, require_tensorboard
from ram.training.run_folder import (
    prepare_folder,
    write_config,
    write_versions,
)

FILES = ('config.yaml', 'versions.json', 'log', 'loss.png', 'error.png',
         'trajectories.gif', FOLDER, 'best.npz', 'last.npz', 'snapshot.npz',
         'snapshot-before.npz')


class Outcome(NamedTuple):
    """How a run ended.

    Attributes:
        best: The best checkpoint, or None if no epoch was finished.
        error: Its validation error in %.
        epoch: Its epoch.
        files: All files written.
        interrupted: The signal that ended the run early, or 0.

    """

    best: Optional[str]
    error: float
    epoch: int
    files: List[str]
    interrupted: int


def train(config: Config, out: str, device: chainer.backend.Device,
          root: Optional[str] = None, resume: bool = False,
          stream: Any = None,
          ranks: SingleProcess = SINGLE_PROCESS,
          tensorboard: bool = False) -> Outcome:
    """Trains a network.

    The run folder then holds ``config.yaml`` (resolved), ``versions.json``,
    ``log`` (JSON, one entry an epoch), ``loss.png``, ``error.png``,
    ``trajectories.gif`` (how the policy changed; of RAM), ``best.npz``,
    ``last.npz``, ``snapshot.npz`` and the snapshot before it.

    Args:
        config: The configuration.
        out: Run folder.
        device: Where to train.
        root: Data root, if not the configuration's.
        resume: Resume the run in the folder.
        stream: Progress is written there; to standard output if left out.
        ranks: The processes that train together.
        tensorboard: Write for TensorBoard too, into ``tensorboard``.

    Raises:
        RamError: For a folder in use, bad data, a full disk, a loss that is
            not finite, an engine that does not apply, a missing tensorboardX,
            or a class of the configuration that is not what it should be.

    """
    stream = stream or sys.stdout
    if tensorboard:
        require_tensorboard()
    import_parts(config)
    config, splits = load_data(config, root)
    if config.training.batch_size > len(splits.train.labels):
        raise RamError(
            f'training.batch_size: {config.training.batch_size} is more than '
            f'the {len(splits.train.labels)} training images; set it lower')
    if config.training.batch_size % ranks.size:
        raise RamError(
            f'training.batch_size: {config.training.batch_size} cannot be '
            f'shared by {ranks.size} processes; set it to a multiple')
    composed = build_trainer(config, splits, out, device, stream, ranks,
                             tensorboard)
    if ranks.rank:
        ranks.from_first(None)  # waits for the folder
        return _run(composed, config, out, device, stream, ranks)
    with prepare_folder(out, config, resume):
        ranks.from_first(None)
        return _run(composed, config, out, device, stream, ranks)


def _run(composed, config, out, device, stream, ranks):
    trainer, best, snapshot, engine = composed
    resumed = _resume(composed, config, out, stream, ranks)
    if ranks.rank == 0:
        print(f'engine: {engine}', file=stream)
        write_versions(out, device, ranks, engine, resumed)
    stop = trainer.stop_trigger
    if not stop(trainer):
        try:
            # CheckFinite reports what overflows, in one line.
            with stop.listening(), numpy.errstate(all='ignore'):
                trainer.run(show_loop_exception_msg=False)
        except BrokenPipeError:  # of the stream, not of the folder
            raise
        except OSError as error:
            raise RamError(
                f'{out}: cannot be written: {error.strerror or error}; make '
                'room and continue with --resume') from error
        if snapshot.iteration != trainer.updater.iteration:
            snapshot.save(trainer)
    files = [path for path in (os.path.join(out, name) for name in FILES)
             if os.path.exists(path)]
    return Outcome(os.path.join(out, 'best.npz')
                   if numpy.isfinite(best.error) else None,
                   best.error, best.epoch, files, stop.signal)


def _resume(composed, config, out, stream, ranks):
    """Loads the snapshot, if there is one; returns its entry in the record."""
    trainer, snapshot = composed.trainer, composed.snapshot
    if not snapshot.exists():
        return None
    warning, changed = snapshot.load(trainer)
    composed.best.check(out)
    epoch, iteration = trainer.updater.epoch, trainer.updater.iteration
    if epoch > config.training.epochs:
        raise RamError(f'training.epochs: {config.training.epochs}, but {out} '
                       f'has trained for {epoch}; set it to {epoch} or more')
    if ranks.rank == 0:
        if warning:
            print(f'ram: {warning}', file=sys.stderr)
        print(f'resumed after epoch {epoch}, iteration {iteration}'
              + ''.join(f'; {change}' for change in changed), file=stream)
        write_config(out, config)
        write_json(os.path.join(out, 'log'),
                   trainer.get_extension('LogReport').log)
    return {'epoch': epoch, 'iteration': iteration, 'changed': changed}
