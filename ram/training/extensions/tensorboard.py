"""A training's curves, gradients and glimpses for TensorBoard."""

import os

from chainer.training import extension

from ram.errors import RamError

FOLDER = 'tensorboard'  # in the run folder


class TensorBoard(extension.Extension):
    """Writes each epoch for TensorBoard, into the run folder.

    Scalars are those of the log: loss and its terms, error, learning rate,
    and statistics of the locations, means over the epoch. To them come the
    gradient's norms at its last iteration. A picture shows the paths over a
    few validation images. It looks on and changes nothing of the training.

    Args:
        model (chainer.Chain): The network that learns; a norm for each of its
            parts.
        examples (ram.training.extensions.trajectory_film.Examples): What the picture shows; None
            for a network that takes no glimpses.
        out (str): Run folder.

    Raises:
        RamError: Where tensorboardX is missing.

    """

    priority = extension.PRIORITY_READER - 1  # after the log's

    def __init__(self, model, examples, out):
        require_tensorboard()
        self._model = model
        self._examples = examples
        self._folder = os.path.join(out, FOLDER)
        self._writer = None

    @staticmethod
    def trigger(trainer):
        """Whether an epoch has ended; unlike Chainer's, without a state."""
        return trainer.updater.is_new_epoch

    def initialize(self, trainer):
        from tensorboardX import SummaryWriter
        # What a process wrote that was killed after its last snapshot is not
        # shown twice. A file is named by the second it was made in, in which
        # another may have been.
        epoch = trainer.updater.epoch
        self._writer = SummaryWriter(self._folder, purge_step=epoch + 1,
                                     filename_suffix=f'.epoch{epoch}')

    def __call__(self, trainer):
        entry = trainer.get_extension('LogReport').log[-1]
        epoch = entry['epoch']
        for key, value in entry.items():
            if key not in ('epoch', 'iteration'):
                self._writer.add_scalar(_tag(key), value, epoch)
        for part, norm in gradient_norms(self._model).items():
            self._writer.add_scalar(f'gradient_norm/{part}', norm, epoch)
        if self._examples is not None:
            picture = self._examples.draw(self._examples.look(), epoch,
                                          entry.get('validation/main/error'))
            self._writer.add_image('glimpses', picture, epoch,
                                   dataformats='HWC')
        self._writer.flush()

    def finalize(self):
        if self._writer is not None:
            self._writer.close()


def _tag(key):
    """A name of the log, so that what belongs in one chart stands together."""
    name = key.split('main/')[-1]
    if name not in ('loss', 'error'):
        return name
    return name + ('/validation' if key.startswith('validation/')
                   else '/training')


def gradient_norms(model):
    """The norm of the last gradient of each part of a network.

    It is that of this process's share of the batch, before it is clipped.

    Args:
        model (chainer.Chain): After a backward pass.

    Returns:
        dict of str to float: By the name of the part; 0 where no term of the
        loss reached it.

    """
    norms = {}
    for part in model.children():
        squares = [(param.grad ** 2).sum() for param in part.params()
                   if param.grad is not None]
        norms[part.name] = float(sum(squares)) ** 0.5
    return norms


def require_tensorboard():
    """Makes sure that TensorBoard's files can be written.

    Raises:
        RamError: Where they cannot.

    """
    try:
        import tensorboardX  # noqa: F401
    except ImportError:
        raise RamError('--tensorboard: needs tensorboardX: python -m pip '
                       'install tensorboardX')
