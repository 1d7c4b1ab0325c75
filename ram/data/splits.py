"""The images of a configuration, in training, validation and test."""

import os
from typing import Any, NamedTuple, Optional, Tuple

import numpy

from ram.config import Config, DataConfig, config_from_dict
from ram.data import canvas, folder, mnist, npz, synthetic
from ram.data.canvas import Canvases
from ram.data.scaling import scale
from ram.devices import Array
from ram.errors import RamError
from ram.games.catch import Catch

SYNTHETIC_TRAIN, SYNTHETIC_TEST = 12000, 2000
GAMES_TRAIN, GAMES_TEST = 107400, 10000


class Split(NamedTuple):
    """Stored images, before they are put on a canvas.

    Attributes:
        images: (N, C, h, w) uint8.
        labels: (N,) int32.

    """

    images: Any
    labels: Any


class Splits(NamedTuple):
    """The three parts of a data set.

    Attributes:
        train: Training images; clutter is cut from them.
        validation: The last images of the training set: they select the best
            epoch.
        test: Measured once, at the end.

    """

    train: Split
    validation: Split
    test: Split


def name_classes(config: Config) -> Config:
    """Names the classes of a folder in its configuration.

    Args:
        config: Any.

    Returns:
        The same where there is no folder to ask, or the
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


def load_data(config: Config, root: Optional[str] = None
              ) -> Tuple[Config, Splits]:
    """Reads the images, and completes their configuration.

    Args:
        config: Any.
        root: Data root; wins over ``data.root``.

    Returns:
        The configuration with the names of the classes and the range of the
        stored values, as far as the images say them, and the images.

    Raises:
        RamError: See :func:`load_splits`.

    """
    config = name_classes(config)
    data, splits = _load(config.data, root)
    if data == config.data:
        return config, splits
    tree = config.as_dict()
    tree['data'] = data.model_dump(mode='json')
    return config_from_dict(tree, data.file or data.folder), splits


def load_splits(data: DataConfig, root: Optional[str] = None) -> Splits:
    """Reads the images, or draws the synthetic ones.

    Args:
        data: Which.
        root: Data root; wins over ``data.root``.

    Raises:
        RamError: Where a file is missing, damaged, or does not fit the
            configuration.

    """
    return _load(data, root)[1]


def _load(data, root):
    """The completed DataConfig, and the Splits."""
    origin = data.file or data.folder or data.name
    (train, test), names = _read(data, root, origin)
    if names:
        data = data.model_copy(update={'class_names': names})
    if not data.is_game:
        train, test = _relabel(train, data), _relabel(test, data)
        _check(train, test, data, origin)
    train = _first(train, data.train_images, 'train_images', origin)
    test = _first(test, data.test_images, 'test_images', origin)
    if data.validation >= len(train.labels):
        raise RamError(
            f'{origin}: data.validation: {data.validation} of '
            f'{len(train.labels)} training images leave none to train on; '
            f'set it lower, for example to {len(train.labels) // 10 or 1}')
    cut = len(train.labels) - data.validation
    splits = Splits(Split(train.images[:cut], train.labels[:cut]),
                    Split(train.images[cut:], train.labels[cut:]), test)
    if data.range is None:
        return data, splits
    if data.range == 'auto':
        images = splits.train.images
        limits = float(images.min()), float(images.max())
        if limits[0] == limits[1]:
            raise RamError(f'{origin}: data.range: all training images hold '
                           f'{limits[0]:g} alone; set it to [low, high]')
        data = data.model_copy(update={'range': limits})
    return data, Splits(*(
        Split(scale(split.images, data.range, f'{origin}, {name}'),
              split.labels) for name, split in splits._asdict().items()))


def _read(data, root, origin):
    """(training set, test set), and names of classes that were found."""
    if data.is_game:
        return _sample_games(data), None
    if data.name == 'synthetic':
        return [_as_split(*synthetic.make_digits(count, data.seed, part))
                for part, count in (
                    ('train', data.train_images or SYNTHETIC_TRAIN),
                    ('test', data.test_images or SYNTHETIC_TEST))], None
    if data.name == 'npz':
        images, labels, names = npz.load(data)
        return _split_at_random([(images, labels)], data, origin), names
    if data.name == 'folder':
        return _split_at_random(folder.load(data), data, origin), None
    found = mnist.load(data.name, root or data.root)
    return [_as_split(found.train_images, found.train_labels),
            _as_split(found.test_images, found.test_labels)], None


def _sample_games(data):
    """First positions in the place of images; they have no labels."""
    game = Catch.of(data)
    for part, count in (('train', data.train_images or GAMES_TRAIN),
                        ('test', data.test_images or GAMES_TEST)):
        rng = numpy.random.Generator(numpy.random.PCG64(
            [data.seed, Splits._fields.index(part)]))
        yield Split(game.sample_starts(count, rng),
                    numpy.zeros(count, 'int32'))


def _as_split(images, labels):
    if images.ndim == 3:
        images = images[:, None]
    return Split(images, labels.astype('int32'))


def _relabel(split, data):
    """Labels from 0, and images upright."""
    images, labels = split
    if data.transpose:
        images = numpy.ascontiguousarray(images.transpose(0, 1, 3, 2))
    return Split(images, (labels - data.first_label).astype('int32'))


def _first(split, count, key, origin):
    if count is None:
        return split
    if count > len(split.labels):
        raise RamError(f'{origin}: data.{key}: {count} images are wanted, but '
                       f'there are {len(split.labels)}; set it lower')
    return Split(split.images[:count], split.labels[:count])


def _check(train, test, data, origin):
    """Refuses images that the configured network does not fit."""
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


def _split_at_random(parts, data, origin):
    """Training and test set in a random order; one part is split in two."""
    # Files are often sorted by class.
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


def make_canvases(data: DataConfig, images: Array, source: Array,
                  rng: numpy.random.Generator) -> Canvases:
    """Makes the images that the network sees.

    Args:
        data: Which variant.
        images: (B, C, h, w), from 0 to 255.
        source: (N, C, h, w) uint8: training images, to cut clutter
            from.
        rng: Samples places and clutter.

    Returns:
        Float32. Images that are put on no canvas
        are their own, and lie at its row and column 0.

    """
    if data.is_game:  # first positions
        return canvas.Canvases(images, numpy.zeros((len(images), 2), 'int64'))
    images = images.astype('float32') / 255
    if data.variant == 'translated':
        return canvas.translate(images, data.canvas, rng)
    if data.variant == 'cluttered':
        return canvas.clutter(images, data.canvas, source, data.clutter,
                              data.clutter_size, rng)
    return canvas.Canvases(images, numpy.zeros((len(images), 2), 'int64'))


class FixedCanvases(NamedTuple):
    """Images to measure a network on.

    Attributes:
        images: (N, C, H, W) float32 in [0, 1].
        labels: (N,) int32.
        places: (N, 2) int64, row and column of the top left pixel of each
            stored image on its canvas.

    """

    images: Any
    labels: Any
    places: Any


def fixed_canvases(data: DataConfig, splits: Splits,
                   name: str) -> FixedCanvases:
    """The canvases of validation or test, the same for every model.

    They depend on ``data`` alone, not on the training.

    Args:
        data: Which variant.
        splits: The images.
        name: ``validation`` or ``test``.

    """
    split = getattr(splits, name)
    rng = numpy.random.Generator(numpy.random.PCG64(
        [data.seed, Splits._fields.index(name)]))
    # In parts: clutter takes memory in proportion to the batch.
    parts = [make_canvases(data, split.images[i:i + 1000],
                           splits.train.images, rng)
             for i in range(0, len(split.images), 1000)]
    images, places = map(numpy.concatenate, zip(*parts))
    return FixedCanvases(images, split.labels, places)
