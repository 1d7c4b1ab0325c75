"""Where arrays live: the CPU by NumPy, or a GPU by CuPy."""

from typing import Any

import chainer

from ram.errors import RamError

Array = Any  # an array of NumPy or CuPy


def get_device(name):
    """The device of a name.

    Args:
        name (str): ``@numpy``, ``@cupy:N``, or N for the GPU of that number.

    Returns:
        chainer.backend.Device

    Raises:
        RamError: Where there is no such device.

    """
    try:
        if name.isdecimal():
            name = f'@cupy:{name}'
        if not name.startswith(('@numpy', '@cupy')):
            raise ValueError('unknown name')
        device = chainer.get_device(name)
        device.use()
        return device
    except Exception as error:  # CuPy fails in ways of its own
        reason = str(error).strip().split('\n')[0]
        raise RamError(f'--device {name}: not available ({reason}); use '
                       '@numpy, or @cupy:0 or 0 with CuPy and a '
                       'GPU') from error
