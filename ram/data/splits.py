"""The images of a configuration, in training, validation and test."""

from typing import Any, NamedTuple, Optional, Tuple

import numpy

from ram.config import Config, DataConfig, config_from_dict
from ram.data import canvas, folder, mnist, npz, synthetic
from ram.data.canvas import Canvases
from ram.data.checks import check_images
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


def load_data(config: Config, root: Optional[str] = None
              ) -> Tuple[Config, Splits]:
    """Reads the images, and completes their configuration.

    Args:
        config: Any.
        root: Data root; wins over ``data.root``.

    Returns:
        The configuration with the number of the images, the names of the
        classes and the range of the stored values, as far as the images say
        them, and the images.

    Raises:
        RamError: See :func:`load_splits`.

    """
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
    if data.name in ('npz', 'folder'):
        data = data.model_copy(update={
            'split_count': len(train.labels) + len(test.labels)})
    if not data.is_game:
        train, test = _relabel(train, data), _relabel(test, data)
        check_images(train, test, data, origin)
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
        parts, names = folder.load(data)
        return _split_at_random(parts, data, origin), names
    return [_as_split(*part)
            for part in mnist.load(data.name, root or data.root)], None


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
    return Split(images[:, None], labels.astype('int32'))


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


def _split_at_random(parts, data, origin):
    """Training and test set in a random order; one part is split in two."""
    rng = numpy.random.Generator(numpy.random.PCG64(data.seed))
    parts = [Split(*(array[order] for array in part)) for part, order in (
        (part, _mix(part[1], rng)) for part in parts)]
    if len(parts) > 1:
        return parts
    (images, labels), = parts
    if data.split_count not in (None, len(labels)):
        raise RamError(
            f'{origin}: data.split_count: {len(labels)} images, but '
            f'{data.split_count} were split when the network was trained; '
            'now it would be tested on images that trained it; restore the '
            'files, or remove data.split_count and train anew')
    test = data.test_images or max(len(labels) // 6, 1)
    if test >= len(labels):
        raise RamError(f'{origin}: data.test_images: {test} of '
                       f'{len(labels)} images leave none to train on; set it '
                       'lower')
    return (Split(images[:-test], labels[:-test]),
            Split(images[-test:], labels[-test:]))


def _mix(labels, rng):
    """A random order, of which every part has the classes in their shares.

    The n images of a class are spread evenly over it, at places
    (i + offset) / n in random order; so in any stretch of it their number
    differs from their share by less than two.

    Args:
        labels: (N,) int.
        rng: Samples the order and the offset of each class.

    Returns:
        (N,) indices.

    """
    order = rng.permutation(len(labels))
    order = order[labels[order].argsort(kind='stable')]  # class by class
    _, counts = numpy.unique(labels, return_counts=True)
    first = numpy.repeat(counts.cumsum() - counts, counts)
    offsets = numpy.repeat(rng.random(len(counts)), counts)
    places = (numpy.arange(len(labels)) - first + offsets) / numpy.repeat(
        counts, counts)
    return order[places.argsort(kind='stable')]


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
    assert data.variant == 'original', data.variant
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
