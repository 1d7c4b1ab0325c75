"""Whether the images that were read fit their configuration."""

from typing import Any

import numpy

from ram.config import DataConfig
from ram.errors import RamError


def check_images(train: Any, test: Any, data: DataConfig, origin: str):
    """Refuses images that the configured network does not fit.

    Args:
        train: Images (N, C, h, w) and labels (N,), from data.first_label.
        test: Likewise.
        data: The configuration.
        origin: The file or data set, for the errors.

    Raises:
        RamError: With one line for each problem.

    """
    problems = []
    sizes = {split.images.shape[1:]: None for split in (train, test)}
    for channels, height, width in sizes:
        if data.name == 'npz' and _is_channels_first(
                channels, height, width, data):
            raise RamError(
                f'{origin}: images has shape (N, {height}, {width}, '
                f'{channels}), with channels before rows and columns; they '
                'come last: store numpy.moveaxis(images, 1, -1)')
        if (height, width) != data.image_size:
            problems.append(
                f'{origin}: the images are {height}x{width} pixels; '
                f'set data.image_size to [{height}, {width}]')
        if channels != data.channels:
            problems.append(f'{origin}: the images have {channels} channels; '
                            f'set data.channels to {channels}')
    labels = numpy.concatenate([train.labels, test.labels])
    problem = _labels_problem(int(labels.min()), int(labels.max()), data)
    if problem:
        problems.append(f'{origin}: {problem}')
    if problems:
        raise RamError(*problems)


def _is_channels_first(channels, height, width, data):
    """Whether images that do not fit were stored as (N, C, H, W)."""
    if (height, width) == data.image_size and channels == data.channels:
        return False
    return (height, width, channels) == (data.channels, *data.image_size) or (
        height in (1, 3, 4) and channels > 4)


def _labels_problem(low, high, data):
    """Why labels, counted from data.first_label, do not fit; or None."""
    if 0 <= low and high < data.classes:
        return None
    first = data.first_label + low
    problem = (f'labels from {first} to {data.first_label + high} do not fit '
               f'data.classes {data.classes}')
    if low < 0:
        return (f'{problem}; labels count from data.first_label, so set that '
                f'to {first}' if first >= 0 else
                f'{problem}; labels count from 0')
    count = high - low + 1
    if low == 0:
        return f'{problem}; labels count from {first}, so set it to {count}'
    return (f'{problem}; set data.first_label to {first}' + (
        f' and data.classes to {count}' if count != data.classes else ''))
