import gzip
import os
import struct
import tracemalloc
import zipfile

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ram.config import config_from_dict
from ram.data.splits import fixed_canvases, load_splits
from ram.errors import RamError


def data_config(**values):
    return config_from_dict({'data': values}, 'test').data


def npz(path, **arrays):
    numpy.savez(path, **arrays)
    return str(path)


def npz_config(path, **values):
    values = {'name': 'npz', 'file': str(path), 'image_size': [9, 11],
              'classes': 3, 'validation': 10, **values}
    return data_config(**values)


def arrays(count=60, shape=(9, 11), classes=3):
    rng = numpy.random.default_rng(0)
    return {'images': rng.integers(256, size=(count,) + shape).astype('uint8'),
            'labels': numpy.sort(rng.integers(classes, size=count))}


def test_npz_is_shuffled_and_split(tmp_path):
    made = arrays()
    made['images'][:, 0, 0] = numpy.arange(60)  # a number for each
    splits = load_splits(npz_config(npz(tmp_path / 'x.npz', **made)))
    assert [len(s.labels) for s in splits] == [40, 10, 10]
    numbers = [s.images[:, 0, 0, 0] for s in splits]
    assert sorted(numpy.concatenate(numbers)) == list(range(60))
    for split, own in zip(splits, numbers):
        assert split.images.shape[1:] == (1, 9, 11)
        assert split.labels.dtype == numpy.int32
        numpy.testing.assert_array_equal(split.labels, made['labels'][own])
        assert len(set(split.labels)) == 3  # sorted by class in the file


@pytest.mark.parametrize('counts, seed', [
    ((100, 30, 12), 0), ((100, 30, 12), 1), ((6, 6, 600), 2),
    ((50, 1, 200), 3)])
def test_every_split_has_the_classes_in_their_shares(tmp_path, counts, seed):
    labels = numpy.repeat(range(3), counts)
    images = numpy.zeros((len(labels), 9, 11), 'uint8')
    images[:, 0, :2] = numpy.stack(
        divmod(numpy.arange(len(labels)), 256), axis=1)  # a number for each
    path = npz(tmp_path / 'x.npz', images=images, labels=labels)
    config = npz_config(path, seed=seed, validation=len(labels) // 5)
    splits = load_splits(config)
    total = 0
    for split in splits:
        found = numpy.bincount(split.labels, minlength=3)
        shares = len(split.labels) / len(labels) * numpy.array(counts)
        assert (abs(found - shares) < 2).all()
        total += len(split.labels)
    assert total == len(labels)
    high, low = numpy.concatenate(
        [split.images[:, 0, 0, :2] for split in splits]).astype(int).T
    assert sorted(256 * high + low) == list(range(len(labels)))
    again = load_splits(config)
    numpy.testing.assert_array_equal(splits.test.images, again.test.images)
    other = load_splits(npz_config(path, seed=9, validation=len(labels) // 5))
    assert (other.test.images != splits.test.images).any()


def test_npz_in_colour_and_in_floats(tmp_path):
    made = arrays(shape=(9, 11, 3))
    path = npz(tmp_path / 'x.npz', images=made['images'] / 255,
               labels=made['labels'])
    splits = load_splits(npz_config(path, channels=3))
    as_bytes = load_splits(npz_config(
        npz(tmp_path / 'y.npz', **made), channels=3))
    assert splits.train.images.shape == (40, 3, 9, 11)
    numpy.testing.assert_array_equal(splits.train.images,
                                     as_bytes.train.images)
    assert any((splits.train.images[0] == image.transpose(2, 0, 1)).all()
               for image in made['images'])


BAD = {
    'no images': (lambda a: a.pop('images'), 'has no array images'),
    'no labels': (lambda a: a.pop('labels'), 'has no array labels'),
    'flat': (lambda a: a.update(images=a['images'].reshape(60, -1)),
             'images has shape'),
    'none': (lambda a: a.update(images=a['images'][:0]), 'images has shape'),
    'NaN': (lambda a: a.update(images=a['images'] * numpy.nan), 'within'),
    'beyond 1': (lambda a: a.update(images=a['images'] * 1.0), 'within'),
    'int32': (lambda a: a.update(images=a['images'].astype('int32')),
              'int32'),
    'size': (lambda a: a.update(images=a['images'][:, :8]),
             'data.image_size to [8, 11]'),
    'channels': (lambda a: a.update(
        images=numpy.stack([a['images']] * 2, axis=-1)),
        'data.channels to 2'),
    'fewer labels': (lambda a: a.update(labels=a['labels'][:-1]),
                     'labels has shape'),
    'float labels': (lambda a: a.update(labels=a['labels'] * 1.0),
                     'whole numbers'),
    'negative': (lambda a: a.update(labels=a['labels'] - 1), 'from 0'),
    'class 3': (lambda a: a.update(labels=a['labels'] * 2),
                'so set it to 5'),
    'pickled': (lambda a: a.update(labels=a['labels'].astype(object)),
                'not a valid .npz file')}


@pytest.mark.parametrize('case', BAD)
def test_bad_npz_is_named(tmp_path, case):
    change, words = BAD[case]
    made = arrays()
    change(made)
    path = npz(tmp_path / 'x.npz', **made)
    with pytest.raises(RamError) as caught:
        load_splits(npz_config(path))
    assert path in str(caught.value) and words in str(caught.value)


@pytest.mark.parametrize('channels, shape', [
    (3, (3, 9, 11)), (1, (1, 9, 11)), (1, (3, 48, 64)), (5, (5, 9, 11))])
def test_channels_that_come_first_are_named(tmp_path, channels, shape):
    made = arrays(shape=shape)
    path = npz(tmp_path / 'x.npz', **made)
    with pytest.raises(RamError) as caught:
        load_splits(npz_config(path, channels=channels))
    problem, = caught.value.problems
    assert f'(N, {", ".join(map(str, shape))})' in problem
    assert 'numpy.moveaxis(images, 1, -1)' in problem
    moved = npz(tmp_path / 'y.npz', labels=made['labels'],
                images=numpy.moveaxis(made['images'], 1, -1))
    splits = load_splits(npz_config(moved, image_size=list(shape[1:]),
                                    channels=shape[0]))
    assert splits.train.images.shape == (40,) + shape


@pytest.mark.parametrize('content', [
    b'', b'not a zip', b'PK\x03\x04' + b'\0' * 50, 'truncated'])
def test_what_is_no_npz_is_named(tmp_path, content):
    path = npz(tmp_path / 'x.npz', **arrays())
    if content == 'truncated':
        with open(path, 'rb') as file:
            content = file.read()[:-40]
    with open(path, 'wb') as file:
        file.write(content)
    for name in (path, str(tmp_path / 'nothing.npz'), str(tmp_path)):
        with pytest.raises(RamError, match=name):
            load_splits(npz_config(name))


@pytest.mark.parametrize('name', ['images', 'labels'])
def test_members_that_are_no_arrays(tmp_path, name):
    path = npz(tmp_path / 'x.npz', **arrays())
    with zipfile.ZipFile(path) as old:
        members = {entry: old.read(entry) for entry in old.namelist()}
    with zipfile.ZipFile(path, 'w') as new:
        for entry, content in members.items():
            new.writestr(entry, content[6:] if name in entry else content)
    with pytest.raises(RamError, match=f'{name} is not an array'):
        load_splits(npz_config(path))


@settings(max_examples=150, deadline=None)
@given(images=npst.arrays(
    st.sampled_from(['u1', 'f4', 'f8', '?', 'i2', 'c8', 'U2']),
    npst.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=12)),
    labels=npst.arrays(st.sampled_from(['u1', 'i8', 'f4', '?', 'u8']),
                       npst.array_shapes(min_dims=0, max_dims=2, min_side=0,
                                         max_side=12)))
def test_any_arrays_give_images_or_a_problem(tmp_path_factory, images,
                                             labels):
    path = npz(tmp_path_factory.mktemp('npz') / 'x.npz', images=images,
               labels=labels)
    size = (list(images.shape) + [1, 1, 1])[1:3]
    try:
        data = npz_config(path, image_size=[max(n, 8) for n in size],
                          validation=1, test_images=1)
        splits = load_splits(data)
    except RamError as error:
        assert path in str(error)
    else:
        # Only what counts as images and classes is let through.
        assert images.dtype.kind in 'buf' and labels.dtype.kind in 'iu'
        assert labels.shape == images.shape[:1] and labels.max() < 3
        assert sum(len(split.labels) for split in splits) == len(images)


def test_a_bomb_is_not_inflated(tmp_path):
    path = str(tmp_path / 'x.npz')
    numpy.savez_compressed(path, images=numpy.zeros((2000, 300, 300), 'uint8'),
                           labels=numpy.zeros(2000, 'int64'))
    tracemalloc.start()
    with pytest.raises(RamError, match='would inflate from'):
        load_splits(npz_config(path))
    assert tracemalloc.get_traced_memory()[1] < 2 ** 20
    tracemalloc.stop()


@pytest.mark.parametrize('values, key', [
    ({'validation': 50}, 'data.validation'),
    ({'test_images': 60}, 'data.test_images'),
    ({'train_images': 51}, 'data.train_images')])
def test_more_than_there_is(tmp_path, values, key):
    path = npz(tmp_path / 'x.npz', **arrays())
    with pytest.raises(RamError, match=key):
        load_splits(npz_config(path, **values))


def test_four_files(tmp_path):
    folder = tmp_path / 'mine'
    os.mkdir(folder)
    rng = numpy.random.default_rng(0)
    made = {}
    for part, count in (('train', 30), ('t10k', 20)):
        for name, shape in (('images-idx3', (count, 28, 28)),
                            ('labels-idx1', (count,))):
            array = rng.integers(10, size=shape).astype('uint8')
            made[part, name] = array
            with gzip.open(folder / f'{part}-{name}-ubyte.gz', 'wb') as file:
                file.write(bytes([0, 0, 8, array.ndim]) + struct.pack(
                    f'>{array.ndim}I', *shape) + array.tobytes())
    splits = load_splits(data_config(
        name='mine', validation=10, test_images=15), str(tmp_path))
    numpy.testing.assert_array_equal(
        splits.validation.images[:, 0], made['train', 'images-idx3'][20:])
    numpy.testing.assert_array_equal(
        splits.train.labels, made['train', 'labels-idx1'][:20])
    numpy.testing.assert_array_equal(
        splits.test.labels, made['t10k', 'labels-idx1'][:15])


def test_fixed_canvases_depend_on_the_data_alone():
    values = {'name': 'synthetic', 'train_images': 300, 'test_images': 50,
              'validation': 100, 'variant': 'cluttered', 'canvas': [40, 50]}
    data = data_config(**values)
    splits = load_splits(data)
    images, labels, places = fixed_canvases(data, splits, 'validation')
    assert images.shape == (100, 1, 40, 50) and images.dtype == numpy.float32
    assert 0 <= images.min() and images.max() <= 1
    numpy.testing.assert_array_equal(labels, splits.validation.labels)
    numpy.random.seed(1)
    again = fixed_canvases(data, load_splits(data), 'validation')
    numpy.testing.assert_array_equal(images, again.images)
    numpy.testing.assert_array_equal(places, again.places)
    assert fixed_canvases(data, splits, 'test').images.shape == (50, 1, 40, 50)
    other = data_config(**values, seed=5)
    assert (fixed_canvases(other, splits, 'validation')[0] != images).any()


@pytest.mark.parametrize('variant', ['original', 'translated', 'cluttered'])
def test_places_are_where_the_images_are(variant):
    values = {'name': 'synthetic', 'train_images': 1300, 'test_images': 5,
              'validation': 1200, 'variant': variant}
    if variant != 'original':
        values['canvas'] = [40, 50]
    data = data_config(**values)
    splits = load_splits(data)
    images, _, places = fixed_canvases(data, splits, 'validation')
    assert places.shape == (1200, 2)
    if variant == 'original':
        assert not places.any()
    else:
        assert set(places[:, 0]) == set(range(13))
        assert set(places[:, 1]) == set(range(23))
    for n in (0, 999, 1000, 1199):
        row, column = places[n]
        there = images[n, :, row:row + 28, column:column + 28]
        stored = splits.validation.images[n] / numpy.float32(255)
        if variant == 'cluttered':  # clutter lies beneath
            assert (there >= stored - 1e-6).all()
        else:
            numpy.testing.assert_array_equal(there, stored)
            assert images[n].sum() == pytest.approx(stored.sum(), rel=1e-5)
