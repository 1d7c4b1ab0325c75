"""Recurrent Models of Visual Attention (Mnih et al., NIPS 2014) in Chainer."""

from ram import compat as _compat  # first: it lets Chainer import
from ram.errors import RamError

__version__ = '0.1.0'


def load(path, device='@numpy'):
    """Loads a trained network, to let it look at images.

    ::

        model = ram.load('pretrained:mnist')
        result = model.predict(images)
        result.classes, result.probabilities, result.locations

    A Link of your own that the network has must be imported before: the file
    alone imports nothing.

    Args:
        path (str): A checkpoint, or ``pretrained:NAME`` for one that comes
            with the program.
        device (str): ``@numpy``, ``@cupy:N``, or N for the GPU of that
            number.

    Returns:
        ram.api.Model

    Raises:
        RamError: Where there is no such file or device, or the file is
            damaged or no checkpoint.

    """
    from ram.api import Model  # all else stays unread until it is needed
    return Model(path, device)
