"""Images of the user's own in an ``.npz`` file."""

import os
from typing import List, Optional, Tuple

import numpy

from ram.config import DataConfig
from ram.data.scaling import scale
from ram.errors import RamError
from ram.files import read_npz

_REMEDY = ('make it with numpy.savez(file, images=..., labels=...): '
           'images (N, H, W) or (N, H, W, C), labels (N,)')


def load(data: DataConfig
         ) -> Tuple[numpy.ndarray, numpy.ndarray, Optional[List[str]]]:
    """Reads images and labels.

    Args:
        data: ``file``, ``range`` and ``class_names`` are used. The file has
            arrays ``images``, (N, H, W) or (N, H, W, C), of numbers, and
            ``labels``, (N,) whole numbers or names.

    Returns:
        Images (N, C, H, W), uint8, or as stored if ``data.range`` is set;
        labels (N,) int64; names of the classes where the labels are names.

    Raises:
        RamError: Where the file is missing, damaged, or holds other arrays.

    """
    path = os.path.expanduser(data.file)
    arrays = read_npz(path, f'name another one in data.file, or {_REMEDY}')
    missing = {'images', 'labels'}.difference(arrays)
    if missing:
        raise RamError(f'{path}: has no array '
                       f'{" and ".join(sorted(missing))}; {_REMEDY}')
    images = _check_images(path, arrays['images'], data)
    return (images, *_check_labels(path, arrays['labels'], len(images),
                                   data.class_names))


def _check_images(path, images, data):
    if images.ndim not in (3, 4) or not images.size:
        raise RamError(f'{path}: images has shape {images.shape}; {_REMEDY}')
    if images.dtype.kind not in 'buif':
        raise RamError(f'{path}: images is {images.dtype}; store uint8, or '
                       'other numbers')
    if images.dtype.kind == 'f' and not numpy.isfinite(images).all():
        raise RamError(f'{path}: images holds NaN or infinite values; '
                       'replace them by values within data.range or [0, 1]')
    if images.ndim == 3:
        images = images[:, None]
    else:
        images = numpy.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return scale(images, None, path) if data.range is None else images


def _check_labels(path, labels, count, names):
    """Labels as numbers, and the names of the classes if they are names."""
    if labels.shape != (count,):
        raise RamError(f'{path}: labels has shape {labels.shape} for {count} '
                       f'images; {_REMEDY}')
    if labels.dtype.kind == 'U':
        found, labels = numpy.unique(labels, return_inverse=True)
        found = found.tolist()
        if names is None:
            return labels, found
        odd = sorted(set(found).difference(names))
        if odd:
            raise RamError(f'{path}: labels holds {", ".join(odd):.60}, not '
                           'among data.class_names; set that to '
                           f'[{", ".join(found)}]')
        return numpy.array([names.index(name) for name in found])[labels], None
    if labels.dtype.kind not in 'iu':
        raise RamError(f'{path}: labels is {labels.dtype}; store whole '
                       'numbers, or names as text')
    if labels.min() < 0 or labels.max() > 2 ** 31 - 1:
        raise RamError(f'{path}: labels from {labels.min()} to '
                       f'{labels.max()}; subtract {labels.min()}, so that '
                       'they count from 0')
    return labels.astype('int64'), None
