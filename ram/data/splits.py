"""The images of a configuration, in training, validation and test."""

import os
from typing import Any, NamedTuple, Optional

import numpy

from ram.config import Config, DataConfig, config_from_dict
from ram.data import canvas, folder, mnist, npz, synthetic
from ram.data.canvas import Canvases
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


def load_splits(data: DataConfig, root: Optional[str] = None) -> Splits:
    """Reads the images, or draws the synthetic ones.

    Args:
        data: Which.
        root: Data root; wins over ``data.root``.

    Raises:
        RamError: Where a file is missing, damaged, or does not fit the
            configuration.

    """
    if data.is_game:
        train, test = _sample_games(data)
    elif data.name == 'synthetic':
        train = _as_split(*synthetic.make_digits(
            data.train_images or SYNTHETIC_TRAIN, data.seed, 'train'))
        test = _as_split(*synthetic.make_digits(
            data.test_images or SYNTHETIC_TEST, data.seed, 'test'))
    elif data.name == 'npz':
        train, test = _split_at_random(
            [npz.load(os.path.expanduser(data.file))], data, data.file)
    elif data.name == 'folder':
        train, test = _split_at_random(folder.load(data), data, data.folder)
    else:
        found = mnist.load(data.name, root or data.root)
        train = _as_split(found.train_images, found.train_labels)
        test = _as_split(found.test_images, found.test_labels)
    origin = data.file or data.folder or data.name
    if not data.is_game:
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


def _first(split, count, key, origin):
    if count is None:
        return split
    if count > len(split.labels):
        raise RamError(f'{origin}: data.{key}: {count} images are wanted, but '
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
