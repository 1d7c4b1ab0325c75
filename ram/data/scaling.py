"""Stored values of images, as uint8 from black to white."""

import math
import sys
from typing import Optional, Tuple

import numpy

from ram.errors import RamError

# What is black and white where data.range says nothing.
_FULL = {'bool': (0, 1), 'uint8': (0, 255), 'uint16': (0, 65535)}
_AT_ONCE = 1000  # images


def full_range(values: numpy.ndarray, origin: str) -> Tuple[float, float]:
    """Black and white by the dtype of stored values.

    Args:
        values: Any shape.
        origin: The file, for the errors.

    Raises:
        RamError: Where the dtype does not say it.

    """
    if values.dtype.kind == 'f':
        if values.min() < 0 or values.max() > 1:
            raise RamError(f'{origin}: images holds floats that are not '
                           'within [0, 1]; scale them, or set data.range: '
                           '[low, high], or auto')
        return 0, 1
    if values.dtype.name not in _FULL:
        raise RamError(f'{origin}: images is {values.dtype}; set data.range: '
                       '[low, high], or auto, or store uint8')
    return _FULL[values.dtype.name]


def scale(values: numpy.ndarray, limits: Optional[Tuple[float, float]],
          origin: str) -> numpy.ndarray:
    """Scales stored values to uint8.

    Values beyond the limits are clipped, and a line on standard error says
    so.

    Args:
        values: (N, C, h, w), whole or finite numbers.
        limits: The values that become 0 and 255; None: by the dtype.
        origin: The file, for the errors.

    Returns:
        (N, C, h, w) uint8.

    """
    low, high = limits or full_range(values, origin)
    if not math.isfinite(float(high) - float(low)):
        raise RamError(f'{origin}: data.range: values from {low:g} to '
                       f'{high:g} are too far apart; scale them first')
    if (values.dtype, low, high) == ('uint8', 0, 255):
        return values
    scaled = numpy.empty(values.shape, 'uint8')
    outside, least, greatest = 0, low, high
    for i in range(0, len(values), _AT_ONCE):
        part = values[i:i + _AT_ONCE].astype('float64')
        odd = (part < low) | (part > high)
        if odd.any():
            outside += int(odd.any(axis=(1, 2, 3)).sum())
            least = min(least, part.min())
            greatest = max(greatest, part.max())
        part = (part - low) * (255 / (high - low)) + 0.5
        scaled[i:i + _AT_ONCE] = part.clip(0, 255)
    if outside:
        print(f'ram: {origin}: {outside} of {len(values)} images hold values '
              f'outside data.range [{low:g}, {high:g}], from {least:g} to '
              f'{greatest:g}; they are clipped', file=sys.stderr)
    return scaled
