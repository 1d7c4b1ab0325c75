"""Images of the user's own in an ``.npz`` file."""

import os
from typing import Tuple

import numpy

from ram.errors import RamError
from ram.files import DAMAGED, read_npz


def load(path: str) -> Tuple[numpy.ndarray, numpy.ndarray]:
    """Reads images and labels.

    Args:
        path: The file, with arrays ``images``, (N, H, W) or (N, H, W, C),
            uint8 or float in [0, 1], and ``labels``, (N,) whole numbers.

    Returns:
        (N, C, H, W) uint8 images and (N,) int32 labels.

    Raises:
        RamError: Where the file is missing, damaged, or holds other arrays.

    """
    remedy = ('make it with numpy.savez(file, images=..., labels=...): '
              'images (N, H, W) or (N, H, W, C), labels (N,)')
    try:
        arrays = read_npz(path)
    except OSError as error:
        if isinstance(error, FileNotFoundError) or not os.path.isfile(path):
            raise RamError(f'{path}: {error.strerror or error}; name the '
                           'file in data.file') from error
        raise RamError(
            f'{path}: cannot be read ({error}); {remedy}') from error
    except DAMAGED as error:
        raise RamError(
            f'{path}: not a valid .npz file ({error}); {remedy}') from error
    missing = {'images', 'labels'}.difference(arrays)
    if missing:
        raise RamError(f'{path}: has no array '
                       f'{" and ".join(sorted(missing))}; {remedy}')
    images = _check_images(path, arrays['images'], remedy)
    return images, _check_labels(path, arrays['labels'], len(images), remedy)


def _check_images(path, images, remedy):
    if images.ndim not in (3, 4) or not images.size:
        raise RamError(f'{path}: images has shape {images.shape}; {remedy}')
    if images.dtype.kind == 'f':
        if not (images.min() >= 0 and images.max() <= 1):  # NaN too
            raise RamError(f'{path}: images holds floats that are not within '
                           '[0, 1]; scale them, or store uint8')
        images = (images * 255 + 0.5).astype('uint8')
    elif images.dtype != 'uint8':
        raise RamError(f'{path}: images is {images.dtype}; store uint8, or '
                       'floats within [0, 1]')
    if images.ndim == 3:
        return images[:, None]
    return numpy.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _check_labels(path, labels, count, remedy):
    if labels.shape != (count,):
        raise RamError(f'{path}: labels has shape {labels.shape} for {count} '
                       f'images; {remedy}')
    if labels.dtype.kind not in 'iu':
        raise RamError(f'{path}: labels is {labels.dtype}; store whole '
                       'numbers')
    if labels.min() < 0 or labels.max() > 2 ** 31 - 1:
        raise RamError(f'{path}: labels must count from 0')
    return labels.astype('int32')
