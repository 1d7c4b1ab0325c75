"""The images a configuration speaks of, as training, validation and test."""

import os
from typing import Any, NamedTuple

import numpy

from ram.config import config_from_dict
from ram.data import canvas, folder, mnist, synthetic
from ram.errors import RamError
from ram.files import DAMAGED, read_npz

SYNTHETIC_TRAIN, SYNTHETIC_TEST = 12000, 2000


class Split(NamedTuple):
    """Images as they are stored, before they are put on a canvas.

    Attributes:
        images (array): (N, C, h, w) uint8.
        labels (array): (N,) int32.

    """

    images: Any
    labels: Any


class Splits(NamedTuple):
    """The three parts of a data set.

    Attributes:
        train (Split): What is learnt from, clutter cut from it included.
        validation (Split): The last images of the training set: they choose
            the best epoch.
        test (Split): Measured once, at the end.

    """

    train: Split
    validation: Split
    test: Split


def name_classes(config):
    """Names the classes of a folder in its configuration.

    Args:
        config (ram.config.Config): Any.

    Returns:
        ram.config.Config: The same where there is no folder to ask, or the
        names stand there already.

    Raises:
        RamError: Where the folder is not one of classes, or has another
            number of them.

    """
    data = config.data
    if data.name != 'folder' or data.class_names is not None:
        return config
    tree = config.as_dict()
    tree['data']['class_names'] = folder.class_names(
        os.path.expanduser(data.folder))
    return config_from_dict(tree, data.folder)


def load_splits(data, root=None):
    """Reads or draws the images.

    Args:
        data (ram.config.DataConfig): Which.
        root (str): Data root; wins over ``data.root``.

    Returns:
        Splits

    Raises:
        RamError: Where a file is missing, damaged, or does not fit the
            configuration.

    """
    if data.name == 'synthetic':
        train = _as_split(*synthetic.make_digits(
            data.train_images or SYNTHETIC_TRAIN, data.seed, 'train'))
        test = _as_split(*synthetic.make_digits(
            data.test_images or SYNTHETIC_TEST, data.seed, 'test'))
    elif data.name == 'npz':
        train, test = _split_by_chance(
            [_read_npz(os.path.expanduser(data.file))], data, data.file)
    elif data.name == 'folder':
        train, test = _split_by_chance(folder.load(data), data, data.folder)
    else:
        found = mnist.load(data.name, root or data.root)
        train = _as_split(found.train_images, found.train_labels)
        test = _as_split(found.test_images, found.test_labels)
    origin = data.file or data.folder or data.name
    for part in (train, test):
        _check(part, data, origin)
    train = _first(train, data.train_images, 'train_images', origin)
    test = _first(test, data.test_images, 'test_images', origin)
    if data.validation >= len(train.labels):
        raise RamError(
            f'{origin}: data.validation: {data.validation} of '
            f'{len(train.labels)} training images leave none to train on; '
            f'set it lower, for example to {len(train.labels) // 10 or 1}')
    cut = len(train.labels) - data.validation
    return Splits(Split(train.images[:cut], train.labels[:cut]),
                  Split(train.images[cut:], train.labels[cut:]), test)


def _as_split(images, labels):
    if images.ndim == 3:
        images = images[:, None]
    return Split(images, labels.astype('int32'))


def _first(split, count, key, origin):
    if count is None:
        return split
    if count > len(split.labels):
        raise RamError(f'{origin}: data.{key}: {count} images asked for, but '
                       f'there are {len(split.labels)}; set it lower')
    return Split(split.images[:count], split.labels[:count])


def _check(split, data, origin):
    """Refuses images that the configured network does not fit."""
    problems = []
    _, channels, height, width = split.images.shape
    if (height, width) != data.image_size:
        problems.append(f'{origin}: the images are {height}x{width} pixels; '
                        f'set data.image_size to [{height}, {width}]')
    if channels != data.channels:
        problems.append(f'{origin}: the images have {channels} channels; set '
                        f'data.channels to {channels}')
    low, high = int(split.labels.min()), int(split.labels.max())
    if low < 0 or high >= data.classes:
        problems.append(
            f'{origin}: labels from {low} to {high} do not fit data.classes '
            f'{data.classes}; labels count from 0' + (
                f', so set it to {high + 1}' if low >= 0 else ''))
    if problems:
        raise RamError(*problems)


def _split_by_chance(parts, data, origin):
    """Training and test set of either or of both, in an order by chance."""
    # They are often sorted by class.
    rng = numpy.random.Generator(numpy.random.PCG64(data.seed))
    parts = [Split(*(array[order] for array in part)) for part, order in (
        (part, rng.permutation(len(part[1]))) for part in parts)]
    if len(parts) > 1:
        return parts
    (images, labels), = parts
    test = data.test_images or max(len(labels) // 6, 1)
    if test >= len(labels):
        raise RamError(f'{origin}: data.test_images: {test} of '
                       f'{len(labels)} images leave none to train on; set it '
                       'lower')
    return (Split(images[:-test], labels[:-test]),
            Split(images[-test:], labels[-test:]))


def _read_npz(path):
    """(N, C, H, W) uint8 images and (N,) int32 labels of an .npz file."""
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


def make_canvases(data, images, source, rng):
    """Turns stored images into what the network sees.

    Args:
        data (ram.config.DataConfig): Which variant.
        images (array): (B, C, h, w), from 0 to 255.
        source (array): (N, C, h, w) uint8: training images, to cut clutter
            from.
        rng (numpy.random.Generator): Draws places and clutter.

    Returns:
        ram.data.canvas.Canvases: float32. Images that are put on no canvas
        are their own, and lie at its row and column 0.

    """
    images = images.astype('float32') / 255
    if data.variant == 'translated':
        return canvas.translate(images, data.canvas, rng)
    if data.variant == 'cluttered':
        return canvas.clutter(images, data.canvas, source, data.clutter,
                              data.clutter_size, rng)
    return canvas.Canvases(images, numpy.zeros((len(images), 2), 'int64'))


class FixedCanvases(NamedTuple):
    """What a network is measured on.

    Attributes:
        images (array): (N, C, H, W) float32 in [0, 1].
        labels (array): (N,) int32.
        places (array): (N, 2) int64: row and column of the canvas at which
            the top left pixel of each stored image lies.

    """

    images: Any
    labels: Any
    places: Any


def fixed_canvases(data, splits, name):
    """The canvases of validation or test, the same for every model.

    They depend on ``data`` alone: its seed, and nothing of the training.

    Args:
        data (ram.config.DataConfig): Which variant.
        splits (Splits): The images.
        name (str): ``validation`` or ``test``.

    Returns:
        FixedCanvases

    """
    split = getattr(splits, name)
    rng = numpy.random.Generator(numpy.random.PCG64(
        [data.seed, Splits._fields.index(name)]))
    # In parts, for clutter costs memory by the batch.
    parts = [make_canvases(data, split.images[i:i + 1000],
                           splits.train.images, rng)
             for i in range(0, len(split.images), 1000)]
    images, places = map(numpy.concatenate, zip(*parts))
    return FixedCanvases(images, split.labels, places)
