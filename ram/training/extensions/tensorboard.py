"""Curves, gradient norms and glimpses of a training for TensorBoard."""

import os
from typing import Any, Dict, Optional

import chainer
from chainer.training import extension

from ram.errors import RamError

FOLDER = 'tensorboard'  # in the run folder


class TensorBoard(extension.Extension):
    """Writes each epoch for TensorBoard, into the run folder.

    Scalars are those of the log, and the norms of the gradient at the last
    iteration of the epoch. A picture shows the paths over a few validation
    images. The training does not change.

    Args:
        model: The network that learns; a norm for each of its parts.
        examples (ram.training.extensions.trajectory_film.Examples): What the
            picture shows; None for a baseline.
        out: Run folder.

    Raises:
        RamError: If tensorboardX is missing.

    """

    priority = extension.PRIORITY_READER - 1  # after the log's

    def __init__(self, model: chainer.Chain, examples: Optional[Any],
                 out: str):
        require_tensorboard()
        self._model = model
        self._examples = examples
        self._folder = os.path.join(out, FOLDER)
        self._writer = None

    @staticmethod
    def trigger(trainer: Any) -> bool:
        """Whether an epoch has ended; unlike Chainer's, without a state."""
        return trainer.updater.is_new_epoch

    def initialize(self, trainer: Any) -> None:
        from tensorboardX import SummaryWriter
        # purge_step voids what a killed process wrote after its last
        # snapshot. The suffix distinguishes files of the same second.
        epoch = trainer.updater.epoch
        self._writer = SummaryWriter(self._folder, purge_step=epoch + 1,
                                     filename_suffix=f'.epoch{epoch}')

    def __call__(self, trainer: Any) -> None:
        entry = trainer.get_extension('LogReport').log[-1]
        epoch = entry['epoch']
        for key, value in entry.items():
            if key not in ('epoch', 'iteration'):
                self._writer.add_scalar(_tag(key), value, epoch)
        for part, norm in gradient_norms(self._model).items():
            self._writer.add_scalar(f'gradient_norm/{part}', norm, epoch)
        if self._examples is not None:
            picture = self._examples.draw(self._examples.predict(), epoch,
                                          entry.get('validation/main/error'))
            self._writer.add_image('glimpses', picture, epoch,
                                   dataformats='HWC')
        self._writer.flush()

    def finalize(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _tag(key):
    """A name that shows training and validation in one chart."""
    name = key.split('main/')[-1]
    if name not in ('loss', 'error'):
        return name
    return name + ('/validation' if key.startswith('validation/')
                   else '/training')


def gradient_norms(model: chainer.Chain) -> Dict[str, float]:
    """The norm of the last gradient of each part of a network, by name.

    It is that of this process's share of the batch, before clipping; 0 for a
    part that no term of the loss reaches.
    """
    norms = {}
    for part in model.children():
        squares = [(param.grad ** 2).sum() for param in part.params()
                   if param.grad is not None]
        norms[part.name] = float(sum(squares)) ** 0.5
    return norms


def require_tensorboard() -> None:
    """Raises a RamError if tensorboardX is missing."""
    try:
        import tensorboardX  # noqa: F401
    except ImportError:
        raise RamError('--tensorboard: needs tensorboardX: python -m pip '
                       'install tensorboardX') from None
