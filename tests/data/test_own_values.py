"""Images with other values than 0 to 255, and labels that are not numbers."""

import gzip
import io
import struct
import zlib

import chainer
import numpy
import pytest
from PIL import Image

from ram.commands.main import main
from ram.config import config_from_dict
from ram.data.folder import read_image
from ram.data.splits import load_data, load_splits
from ram.errors import RamError
from ram.training.build import build_trainer

RNG = numpy.random.default_rng(0)
LABELS = numpy.arange(60) % 3


def config_of(**values):
    return config_from_dict({'data': {
        'image_size': [9, 11], 'classes': 3, 'validation': 10, **values}},
        'test')


def npz_config(path, images, labels=LABELS, **values):
    numpy.savez(path / 'x.npz', images=images, labels=labels)
    return config_of(name='npz', file=str(path / 'x.npz'), **values)


def folder_config(path, images, suffix='png', **values):
    for i, image in enumerate(images):
        folder = path / 'x' / 'abc'[i % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f'{i}.{suffix}')
    return config_of(name='folder', folder=str(path / 'x'), **values)


def by_content(splits):
    """All images as a sorted list, whatever their split."""
    images = numpy.concatenate([split.images for split in splits])
    return sorted(image.tobytes() for image in images)


def expected(images, low, high):
    """What should be read, pixel by pixel."""
    return sorted(
        bytes(int(min(max((int(v) - low) / (high - low), 0), 1) * 255 + 0.5)
              for v in image.ravel()) for image in images)


def deep_images(low=0, high=65535, dtype='uint16'):
    return RNG.integers(low, high, (60, 9, 11), endpoint=True).astype(dtype)


@pytest.mark.parametrize('make', [npz_config, folder_config])
def test_16_bits_are_scaled_by_65535_or_by_the_range(tmp_path, make, capsys):
    images = deep_images(100, 4095)
    images[0, 0, :2] = 100, 4095
    whole = load_splits(make(tmp_path, images).data)
    assert by_content(whole) == expected(images, 0, 65535)
    ranged = load_splits(make(tmp_path, images, range=[0, 4095]).data)
    assert by_content(ranged) == expected(images, 0, 4095)
    assert not capsys.readouterr().err
    cut = load_splits(make(tmp_path, images, range=[200, 3000]).data)
    assert by_content(cut) == expected(images, 200, 3000)
    lines = capsys.readouterr().err.strip().split('\n')
    assert len(lines) == 3  # of the three splits
    assert 'test: 10 of 10 images hold values outside data.range [200, 3000]' \
        in lines[2] and 'clipped' in lines[2]


def test_auto_is_the_range_of_the_training_images(tmp_path, capsys):
    images = deep_images(1000, 2000)
    config = npz_config(tmp_path, images, range='auto')
    named, splits = load_data(config)
    train = load_splits(npz_config(
        tmp_path, images, range=[0, 65535]).data).train
    # 40 images of 99 pixels: both ends appear among them.
    assert named.data.range == (1000, 2000)
    assert splits.train.images.min() == 0
    assert splits.train.images.max() == 255
    assert len(train.labels) == len(splits.train.labels) == 40
    assert by_content(load_splits(named.data)) == by_content(splits)
    assert load_data(named)[0] is named  # the range is kept, not found anew
    capsys.readouterr()
    with pytest.raises(RamError, match='hold 7 alone'):
        load_data(npz_config(tmp_path, numpy.full_like(images, 7),
                             range='auto'))
    with pytest.raises(RamError, match='are too far apart'):
        load_data(npz_config(tmp_path, 1.7e308 * (-1.) ** images,
                             range='auto'))


def test_a_run_records_the_range_and_predicts_by_it(tmp_path, monkeypatch,
                                                    capsys):
    monkeypatch.chdir(tmp_path)
    folder_config(tmp_path, deep_images(0, 1000))
    (tmp_path / 'c.yaml').write_text('''
data: {name: folder, folder: x, image_size: [9, 11], classes: 3, range: auto,
       validation: 10}
model: {glimpses: 2, core: rnn, core_units: 8}
training: {epochs: 1, batch_size: 8}
''')
    assert main(['train', 'c.yaml', '--out', 'run']) == 0
    assert main(['train', 'c.yaml', '--out', 'run', '--resume']) == 0
    assert 'range:\n  - 0.0\n  - 1000.0' in (
        tmp_path / 'run' / 'config.yaml').read_text()
    assert main(['verify', 'run']) == 0
    assert main(['data', 'preview', 'c.yaml', '--out', 'seen.png']) == 0


@pytest.mark.parametrize('dtype, low, high', [
    ('int16', -500, 500), ('int32', 0, 100000), ('float32', -3, 3),
    ('uint8', 20, 60)])
def test_any_numbers_by_a_range(tmp_path, dtype, low, high):
    images = deep_images(low, high, dtype)
    splits = load_splits(npz_config(tmp_path, images, range=[low, high]).data)
    assert by_content(splits) == expected(images, low, high)
    if dtype != 'uint8':
        with pytest.raises(RamError, match='set data.range: .low, high., or'):
            load_splits(npz_config(tmp_path, images).data)


def test_masks_are_black_and_white(tmp_path):
    images = RNG.random((60, 9, 11)) < 0.5
    splits = load_splits(npz_config(tmp_path, images).data)
    assert by_content(splits) == sorted(
        (255 * image.astype('uint8')).tobytes() for image in images)


@pytest.mark.parametrize('suffix', ['tif', 'TIFF', 'bmp'])
def test_other_formats(tmp_path, suffix):
    images = deep_images(0, 255, 'uint8')
    splits = load_splits(folder_config(tmp_path, images, suffix).data)
    assert by_content(splits) == expected(images, 0, 255)


@pytest.mark.parametrize('dtype, values', [
    ('uint16', {}), ('>u2', {}), ('uint16', {'range': [0, 65535]}),
    ('int32', {'range': [0, 65535]}), ('float32', {'range': [0, 65535]})])
def test_deep_tiff(tmp_path, dtype, values):
    images = deep_images(dtype=dtype)
    splits = load_splits(folder_config(tmp_path, images, 'tif', channels=3,
                                       **values).data)
    assert by_content(splits) == [3 * image for image in expected(
        images, 0, 65535)]


def test_deep_images_are_resized(tmp_path):
    half = numpy.zeros((40, 80), 'uint16')
    half[:, 40:] = 60000
    config = folder_config(tmp_path, [half] * 60, resize=True)
    for image in load_splits(config.data).train.images[:, 0].astype(int):
        assert (image[:, :5] == 0).all() and (image[:, 6:] == 233).all()


def sixteen_bit_colour():
    """A PNG of 9x11 pixels, 16 bits a channel, all 0x8040."""
    def chunk(kind, content):
        return (struct.pack('>I', len(content)) + kind + content
                + struct.pack('>I', zlib.crc32(kind + content)))
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack(
        '>IIBBBBB', 11, 9, 16, 2, 0, 0, 0)) + chunk(b'IDAT', zlib.compress(
            9 * (b'\0' + 33 * b'\x80\x40'))) + chunk(b'IEND', b''))


def test_deep_colour_is_read_unless_a_range_is_set(tmp_path):
    path = tmp_path / 'x.png'
    path.write_bytes(sixteen_bit_colour())
    image = read_image(str(path), config_of(
        name='folder', folder='x', channels=3).data)
    assert (image == 128).all() and image.shape == (3, 9, 11)
    with pytest.raises(RamError, match='16-bit colour'):
        read_image(str(path), config_of(
            name='folder', folder='x', channels=3, range=[0, 9]).data)


def test_few_bits_do_not_fit_a_wide_range(tmp_path):
    path = tmp_path / 'x.png'
    Image.fromarray(numpy.full((9, 11), 200, 'uint8')).save(path)
    data = config_of(name='folder', folder='x', range=[0, 4095]).data
    with pytest.raises(RamError, match='x.png: has 8 bits a channel'):
        read_image(str(path), data)
    assert (read_image(str(path), config_of(
        name='folder', folder='x', range=[0, 250]).data) == 204).all()


def save_pages(path):
    page = Image.fromarray(numpy.zeros((9, 11), 'uint8'))
    page.save(path, save_all=True, append_images=[page])


@pytest.mark.parametrize('make, values, words', [
    (save_pages, {}, 'holds 2 images; store each'),
    (lambda path: Image.fromarray(numpy.full((9, 11), numpy.nan, 'float32')
                                  ).save(path), {}, 'NaN'),
    (lambda path: Image.fromarray(numpy.full((9, 11), 2, 'float32')
                                  ).save(path), {}, 'not within'),
    (lambda path: Image.fromarray(numpy.full((9, 11), 2, 'int32')
                                  ).save(path), {}, 'set data.range'),
    (lambda path: Image.fromarray(numpy.full((9, 11), 2, 'uint8')).save(path),
     {'range': [0, 9]}, 'is uint8, others are uint16')])
def test_files_that_do_not_fit_are_named(tmp_path, make, values, words):
    config = folder_config(tmp_path, deep_images(), **values)
    make(tmp_path / 'x' / 'b' / 'odd.tif')
    with pytest.raises(RamError) as caught:
        load_splits(config.data)
    assert 'odd.tif: ' in str(caught.value) and words in str(caught.value)


@pytest.mark.parametrize('value', ['wide', [1], [2, 1], [0, 'x'], [0, '.nan']])
def test_ranges_that_are_none(tmp_path, value):
    with pytest.raises(RamError, match='data.range: must be auto, or .low'):
        config_of(name='npz', file='x', range=value)


def test_labels_that_are_names(tmp_path):
    images = numpy.repeat(LABELS[:, None, None], 99, axis=1).reshape(60, 9, 11)
    names = numpy.array(['cat', 'ant', 'bee'])[LABELS]
    config = npz_config(tmp_path, images.astype('uint8'), names)
    named, splits = load_data(config)
    assert named.data.class_names == ['ant', 'bee', 'cat']
    for order in (['ant', 'bee', 'cat'], ['cat', 'bee', 'ant']):
        splits = load_splits(npz_config(
            tmp_path, images.astype('uint8'), names, class_names=order).data)
        for image, label in zip(splits.train.images, splits.train.labels):
            assert order[label] == ('cat', 'ant', 'bee')[image[0, 0, 0]]
    with pytest.raises(RamError, match='not among data.class_names'):
        load_splits(npz_config(tmp_path, images.astype('uint8'), names,
                               class_names=['ant', 'bee', 'dog']).data)
    with pytest.raises(RamError, match='data.classes: 4 classes, but 3'):
        load_data(npz_config(tmp_path, images.astype('uint8'), names,
                             classes=4))


def test_labels_from_one(tmp_path):
    images = deep_images(0, 255, 'uint8')
    splits = load_splits(npz_config(tmp_path, images, LABELS + 1,
                                    first_label=1).data)
    assert set(splits.train.labels) == {0, 1, 2}
    for classes, words in (
            (3, 'set data.first_label to 1'),
            (2, 'set data.first_label to 1 and data.classes to 3')):
        with pytest.raises(RamError) as caught:
            load_splits(npz_config(tmp_path, images, LABELS + 1,
                                   classes=classes).data)
        assert str(caught.value).endswith(words)
    with pytest.raises(RamError, match='so set that to 0'):
        load_splits(npz_config(tmp_path, images, first_label=1).data)


def test_emnist_is_turned_upright(tmp_path):
    folder = tmp_path / 'letters'
    folder.mkdir()
    images = RNG.integers(256, size=(30, 28, 28)).astype('uint8')
    for part in ('train', 't10k'):
        for name, array in (('images-idx3', images),
                            ('labels-idx1', 1 + numpy.arange(30) % 26)):
            with gzip.open(folder / f'{part}-{name}-ubyte.gz', 'wb') as file:
                file.write(bytes([0, 0, 8, array.ndim]) + struct.pack(
                    f'>{array.ndim}I', *array.shape)
                    + array.astype('uint8').tobytes())
    values = {'name': 'letters', 'classes': 26, 'image_size': 28}
    splits = load_splits(config_of(first_label=1, transpose=True,
                                   **values).data, str(tmp_path))
    numpy.testing.assert_array_equal(splits.test.images[:, 0],
                                     images.transpose(0, 2, 1))
    assert splits.test.labels[0] == 0
    with pytest.raises(RamError, match='set data.first_label to 1'):
        load_splits(config_of(**values).data, str(tmp_path))


def test_preview_counts_the_images_of_each_class(tmp_path, monkeypatch,
                                                 capsys):
    monkeypatch.chdir(tmp_path)
    labels = numpy.repeat(['ant', 'bee', 'elephant'], [36, 6, 18])
    npz_config(tmp_path, deep_images(), labels)
    (tmp_path / 'c.yaml').write_text(
        'data: {name: npz, file: x.npz, image_size: [9, 11], classes: 3, '
        'validation: 10}')
    assert main(['data', 'preview', 'c.yaml', '--out', 'seen.png']) == 0
    *table, last = capsys.readouterr().out.strip().split('\n')
    assert last == 'written: seen.png'
    assert table[0].split() == ['images', 'train', 'validation', 'test']
    counts = {name: list(map(int, row)) for name, *row in (
        line.split() for line in table[1:])}
    assert [sum(row) for row in counts.values()] == [36, 6, 18]
    assert [sum(column) for column in zip(*counts.values())] == [40, 10, 10]
    assert all(abs(row[0] - sum(row) * 2 / 3) < 2 for row in counts.values())


@pytest.mark.parametrize('engine', ['links', 'fused'])
def test_class_weights_reach_the_loss(tmp_path, engine):
    labels = numpy.repeat([0, 1, 2], [45, 5, 10])
    tree = npz_config(tmp_path, deep_images(), labels).as_dict()
    tree['training'].update(class_weights='balanced', engine=engine,
                            batch_size=8)
    tree['model'].update(core_units=8)
    config = config_from_dict(tree, 'test')
    splits = load_splits(config.data)
    trainer = build_trainer(config, splits, str(tmp_path),
                            chainer.get_device('@numpy'), io.StringIO())[0]
    chain = trainer.updater.get_optimizer('main').target.chain
    counts = numpy.bincount(splits.train.labels)
    numpy.testing.assert_allclose(chain.objective.class_weights,
                                  40 / (3 * counts))
    tree['model'].update(network='fc')
    tree['training'].update(engine='links')
    trainer = build_trainer(config_from_dict(tree, 'test'), splits,
                            str(tmp_path), chainer.get_device('@numpy'),
                            io.StringIO())[0]
    chain = trainer.updater.get_optimizer('main').target.chain
    images = splits.train.images[:5].astype('float32') / 255
    logits = chain.model(images).array
    p = numpy.exp(logits) / numpy.exp(logits).sum(axis=1, keepdims=True)
    own = splits.train.labels[:5]
    assert float(chain(images, own).array) == pytest.approx(numpy.mean(
        [-40 / (3 * counts[k]) * numpy.log(q[k]) for q, k in zip(p, own)]),
        rel=1e-4)


@pytest.mark.parametrize('values, key', [
    ({'name': 'mnist', 'range': 'auto'}, 'range'),
    ({'name': 'folder', 'folder': 'x', 'transpose': True}, 'transpose'),
    ({'name': 'folder', 'folder': 'x', 'first_label': 1}, 'first_label')])
def test_keys_that_do_not_apply(values, key):
    with pytest.raises(RamError, match=f'data.{key}: .*remove it'):
        config_of(**values)
