"""Recurrent Models of Visual Attention (Mnih et al., NIPS 2014) in Chainer."""

from typing import Any

from ram import compat as _compat  # first: Chainer cannot be imported without
from ram.errors import RamError

__version__ = '0.2.0'


def load(path: str, device: str = '@numpy') -> Any:
    """Loads a trained network, as a ram.api.Model.

    ::

        model = ram.load('pretrained:mnist-6')
        result = model.predict(images)
        result.classes, result.probabilities, result.locations

    If the network has a Link of your own, import that first: a checkpoint
    imports nothing.

    Args:
        path: A checkpoint, or ``pretrained:NAME`` for one that comes with the
            program.
        device: ``@numpy``, ``@cupy:N``, or N for the GPU of that number.

    Raises:
        RamError: If there is no such file or device, or the file is damaged
            or no checkpoint.

    """
    from ram.api import Model  # `import ram` stays fast
    return Model(path, device)
