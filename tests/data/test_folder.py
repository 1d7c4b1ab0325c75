"""Folders of images: what is read, how it is split, and what is refused."""

import os
import struct
import zlib

import numpy
import pytest
from PIL import Image

import ram
from ram.commands.main import main
from ram.config import config_from_dict
from ram.data import folder
from ram.data.splits import load_data, load_splits
from ram.errors import RamError


def data_config(path, **values):
    return config_from_dict({'data': {
        'name': 'folder', 'folder': str(path), 'image_size': [9, 11],
        'classes': 3, 'validation': 6, **values},
        'model': {'glimpse_size': 1}}, 'test').data


def write(path, array, **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **kwargs)


def fill(path, count=12, size=(9, 11), names=('ant', 'Bee', 'cat')):
    """Grey images; image i of class j is of brightness 80 j + i."""
    for j, name in enumerate(names):
        for i in range(count):
            write(path / name / f'{i}.png',
                  numpy.full(size, 80 * j + i, 'uint8'))
    return path


def problem_of(data):
    with pytest.raises(RamError) as caught:
        load_splits(data)
    problem, = caught.value.problems
    return problem


def test_a_folder_is_shuffled_and_split(tmp_path):
    fill(tmp_path / 'x')
    (tmp_path / 'x' / 'README.txt').write_text('beside the classes')
    (tmp_path / 'x' / 'ant' / '.hidden').write_text('x')
    data = data_config(tmp_path / 'x')
    splits = load_splits(data)
    assert [len(s.labels) for s in splits] == [24, 6, 6]
    values = [s.images[:, 0, 0, 0] for s in splits]
    assert sorted(numpy.concatenate(values)) == [
        80 * j + i for j in range(3) for i in range(12)]
    order = ['Bee', 'ant', 'cat']  # sorted: capitals first
    assert folder.class_names(str(tmp_path / 'x')) == order
    for split, own in zip(splits, values):
        assert split.images.shape[1:] == (1, 9, 11)
        names = [('ant', 'Bee', 'cat')[v // 80] for v in own]
        assert [order[label] for label in split.labels] == names
        assert len(set(names)) > 1  # not class by class
    again = load_splits(data)
    numpy.testing.assert_array_equal(again.test.images, splits.test.images)
    other = load_splits(data_config(tmp_path / 'x', seed=3))
    assert (other.test.images != splits.test.images).any()


def test_split_folders_are_kept_apart(tmp_path):
    fill(tmp_path / 'train', count=10)
    fill(tmp_path / 'test', count=4, names=('ant', 'cat', 'Bee'))
    splits = load_splits(data_config(tmp_path, test_images=9))
    assert [len(s.labels) for s in splits] == [24, 6, 9]
    assert set(splits.test.labels) == {0, 1, 2}
    # In test the cats came second.
    assert (splits.test.images[splits.test.labels == 2] // 80 == 1).all()


def test_names_in_an_order_of_ones_own(tmp_path):
    fill(tmp_path)
    splits = load_splits(data_config(
        tmp_path, class_names=['cat', 'ant', 'Bee']))
    for image, label in zip(splits.train.images, splits.train.labels):
        assert (2, 0, 1)[label] == image[0, 0, 0] // 80


def test_the_names_go_into_the_configuration(tmp_path):
    fill(tmp_path)
    config = config_from_dict({'data': data_config(tmp_path).model_dump(
        mode='json')}, '')
    named, _ = load_data(config)
    assert named.data.class_names == ['Bee', 'ant', 'cat']
    assert load_data(named)[0] is named
    wrong = config_from_dict({'data': data_config(
        tmp_path, classes=4).model_dump(mode='json')}, '')
    with pytest.raises(RamError, match='data.classes: 4 classes, but 3 '):
        load_data(wrong)


def test_colour_and_grey(tmp_path):
    red = numpy.zeros((9, 11, 3), 'uint8')
    red[:, :5, 0] = 255
    for name in ('a', 'b', 'c'):
        for i in range(6):
            write(tmp_path / name / f'{i}.png', red)
    write(tmp_path / 'a' / '0.png', red[:, :, 0])  # grey among them
    colour = load_splits(data_config(tmp_path, channels=3, validation=1))
    images = numpy.concatenate([split.images for split in colour])
    assert images.shape == (18, 3, 9, 11)
    found = {tuple(image[:, 0, 0]) for image in images}
    assert found == {(255, 0, 0), (255, 255, 255)}
    assert not images[:, :, :, 5:].any()
    grey = load_splits(data_config(tmp_path, validation=1))
    assert {int(v) for split in grey for v in split.images[:, 0, 0, 0]} == {
        76, 255}  # the weight of red in brightness


def test_resize_whatever_the_shape(tmp_path):
    half = numpy.zeros((40, 80), 'uint8')
    half[:, 40:] = 200
    for name in ('a', 'b', 'c'):
        for i, size in enumerate([(40, 80), (18, 22), (9, 11), (3, 2)] * 2):
            write(tmp_path / name / f'{i}.jpeg', numpy.asarray(
                Image.fromarray(half).resize(size[::-1])), quality=95)
    splits = load_splits(data_config(tmp_path, resize=True, validation=1))
    for image in splits.train.images[:, 0].astype(int):
        assert image.shape == (9, 11)
        assert abs(image[:, :4]).max() < 70 and image[:, -3:].min() > 130


def test_what_is_clear_is_black(tmp_path):
    fill(tmp_path)
    clear = numpy.full((9, 11, 4), 250, 'uint8')
    clear[:, :, 3] = [0] * 5 + [255] * 6
    for i in range(12):
        write(tmp_path / 'ant' / f'{i}.png', clear)
    splits = load_splits(data_config(tmp_path, channels=3))
    clear = splits.train.images[splits.train.labels == 1]
    assert not clear[..., :5].any() and (clear[..., 5:] == 250).all()


def test_a_turned_photograph_is_turned_back(tmp_path):
    fill(tmp_path)
    picture = numpy.zeros((11, 9), 'uint8')
    picture[0] = 255  # will be the right column
    image = Image.fromarray(picture)
    exif = image.getexif()
    exif[0x0112] = 6  # turn it right by a quarter
    for i in range(12):
        image.save(tmp_path / 'ant' / f'{i}.png', exif=exif)
    splits = load_splits(data_config(tmp_path))
    images = splits.train.images[splits.train.labels == 1]
    assert (images[..., -1] == 255).all() and not images[..., :-1].any()


def test_signed_values_stay_signed(tmp_path):
    fill(tmp_path)
    # A TIFF of 16 bits with sign, as scanners write it.
    values = numpy.array([[-1000, -1, 300]], '<i2')
    tags = [(256, 3, 1, 3), (257, 3, 1, 1), (258, 3, 1, 16), (259, 3, 1, 1),
            (262, 3, 1, 1), (273, 4, 1, 8), (278, 3, 1, 1), (279, 4, 1, 6),
            (339, 3, 1, 2)]
    (tmp_path / 'x.tif').write_bytes(
        b'II*\0' + struct.pack('<I', 14) + values.tobytes()
        + struct.pack('<H', len(tags))
        + b''.join(struct.pack('<HHII', *tag) for tag in tags) + b'\0\0\0\0')
    data = data_config(tmp_path, image_size=[1, 3])
    ranged = data.model_copy(update={'range': (-1000, 1000)})
    image = folder.read_image(str(tmp_path / 'x.tif'), ranged)
    assert image.tolist() == [[[0, 127, 166]]]
    with pytest.raises(RamError, match='images is int32; set data.range'):
        folder.read_image(str(tmp_path / 'x.tif'), data)


def test_a_turned_photograph_is_measured_upright(tmp_path):
    image = Image.fromarray(numpy.zeros((30, 40), 'uint8'))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / 'x.png', exif=exif)
    with pytest.raises(RamError, match=r'is 40x30 pixels, not 9x11; .* '
                       r'data.image_size to \[40, 30\]'):
        folder.read_image(str(tmp_path / 'x.png'), data_config(tmp_path))
    folder.read_image(str(tmp_path / 'x.png'), data_config(
        tmp_path, image_size=[40, 30]))


def test_another_number_of_images_is_not_split(tmp_path):
    fill(tmp_path / 'x')
    config = config_from_dict({'data': data_config(
        tmp_path / 'x').model_dump(mode='json')}, '')
    trained, _ = load_data(config)
    assert trained.data.split_count == 36
    load_splits(trained.data)
    write(tmp_path / 'x' / 'ant' / 'new.png', numpy.zeros((9, 11), 'uint8'))
    assert 'data.split_count: 37 images, but 36 were split' in (
        problem_of(trained.data))
    # Test images of their own are not split.
    fill(tmp_path / 'y' / 'train')
    fill(tmp_path / 'y' / 'test', count=2)
    load_splits(data_config(tmp_path / 'y', split_count=7))


def png(width, height):
    """The head of a PNG of that size, and no body."""
    def chunk(kind, content):
        return (struct.pack('>I', len(content)) + kind + content
                + struct.pack('>I', zlib.crc32(kind + content)))
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack(
        '>IIBBBBB', width, height, 8, 2, 0, 0, 0))
        + chunk(b'IDAT', zlib.compress(b'\0' * 1000)) + chunk(b'IEND', b''))


def put(name, content):
    def change(path):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_bytes(content)
    return change


def move(old, new):
    def change(path):
        (path / new).parent.mkdir(parents=True, exist_ok=True)
        (path / old).rename(path / new)
    return change


BAD = {
    'text': (put('cat/x.png', b'text'), 'cat/x.png: no PNG, JPEG'),
    'nothing': (put('cat/x.jpg', b''), 'cat/x.jpg: no PNG, JPEG'),
    'cut off': (lambda path: put('cat/3.png', (
        path / 'cat/3.png').read_bytes()[:-30])(path), 'cat/3.png: no PNG'),
    'another format': (put('cat/x.png', b'GIF89a' + bytes(40)), 'cat/x.png:'),
    'another name': (put('cat/notes.txt', b''), 'cat/notes.txt: not a .png'),
    'a folder in a class': (lambda path: (path / 'cat' / 'more').mkdir(),
                            'cat/more: a folder among the images'),
    'a class without images': (lambda path: [
        file.unlink() for file in (path / 'cat').iterdir()],
        'cat: holds no image'),
    'one class more': (lambda path: (path / 'dog').mkdir(),
                       "data.classes: 3 classes, but 4 in the folder "
                       "(Bee, ant, cat, dog); set it to 4"),
    'another size': (lambda path: write(path / 'cat' / 'x.png', numpy.zeros(
        (7, 8), 'uint8')), 'cat/x.png: is 7x8 pixels, not 9x11; set '
        'data.resize: true'),
    'a link to nowhere': (lambda path: os.symlink(
        'nowhere', path / 'cat' / 'x.png'), 'cat/x.png: no PNG, JPEG'),
    'huge': (put('cat/x.png', png(9000, 9000)), 'cat/x.png: has more than '),
    'a bomb': (put('cat/x.png', png(60000, 60000)), 'has more than '),
    'half of a split': (move('ant', 'train/ant'), 'train/ant: a folder among'),
    'a split and more': (lambda path: [
        (path / name).mkdir() for name in ('train', 'test')],
        'holds train, test and also Bee')}


@pytest.mark.parametrize('case', BAD)
def test_what_cannot_be_used_is_named(tmp_path, case, recwarn):
    change, words = BAD[case]
    fill(tmp_path, count=6)
    change(tmp_path)
    problem = problem_of(data_config(tmp_path))
    assert problem.startswith(str(tmp_path))
    assert words in problem and '; ' in problem
    assert not recwarn.list


def test_files_of_the_operating_system_are_passed_over(tmp_path):
    fill(tmp_path)
    before = load_splits(data_config(tmp_path))
    for folder_ in (tmp_path, tmp_path / 'ant'):
        for name in ('Thumbs.db', 'desktop.ini', '.DS_Store', 'DESKTOP.INI'):
            (folder_ / name).write_bytes(b'x')
        (folder_ / '__MACOSX').mkdir()
        (folder_ / '__MACOSX' / '0.png').write_bytes(b'no image')
    after = load_splits(data_config(tmp_path))
    for one, two in zip(before, after):
        numpy.testing.assert_array_equal(one.images, two.images)
    assert folder.class_names(str(tmp_path)) == ['Bee', 'ant', 'cat']


def test_all_problems_are_reported_at_once(tmp_path):
    fill(tmp_path)
    put('ant/notes.txt', b'')(tmp_path)
    put('ant/0.png', b'text')(tmp_path)
    (tmp_path / 'Bee' / 'more').mkdir()
    write(tmp_path / 'cat' / 'x.png', numpy.zeros((7, 8), 'uint8'))
    with pytest.raises(RamError) as caught:
        load_splits(data_config(tmp_path))
    assert [os.path.relpath(line.split(': ')[0], tmp_path)
            for line in caught.value.problems] == [
        'Bee/more', 'ant/notes.txt', 'ant/0.png', 'cat/x.png']


def test_ten_problems_and_the_number_of_the_others(tmp_path):
    fill(tmp_path)
    for i in range(12):
        put(f'ant/{i}.png', b'text')(tmp_path)
        put(f'cat/{i}.txt', b'text')(tmp_path)
    with pytest.raises(RamError) as caught:
        load_splits(data_config(tmp_path))
    *lines, last = caught.value.problems
    assert len(lines) == 10
    assert last.startswith(f'{tmp_path}: and 14 more such problems; ')


@pytest.mark.parametrize('made, words', [
    ([], 'holds no sub-folders'), (['a'], 'holds one class, a'),
    (['train/a', 'test/a'], 'train: holds one class, a'),
    (['train/a', 'train/b', 'test/a', 'test/c'],
     'has not the classes of'), (None, 'cannot be read: No such file')])
def test_folders_that_are_no_classes(tmp_path, made, words):
    for name in made or []:
        (tmp_path / 'x' / name).mkdir(parents=True)
    if made is not None:
        (tmp_path / 'x').mkdir(exist_ok=True)
    problem = problem_of(data_config(tmp_path / 'x'))
    assert words in problem and '; ' in problem
    with pytest.raises(RamError):
        folder.class_names(str(tmp_path / 'x'))


def test_a_file_and_impossible_names_as_folder(tmp_path):
    (tmp_path / 'x').write_text('')
    for name in (tmp_path / 'x', 'a\0b'):
        assert 'cannot be read' in problem_of(data_config(name))


def test_classes_other_than_when_it_was_trained(tmp_path):
    fill(tmp_path)
    problem = problem_of(data_config(tmp_path,
                                     class_names=['Bee', 'ant', 'cow']))
    assert 'data.class_names (cat, cow); set that to [Bee, ant, cat]' in (
        problem)


def test_more_than_memory_should_hold_is_refused(tmp_path, monkeypatch):
    fill(tmp_path)
    monkeypatch.setattr(folder, 'BYTES', 36 * 99)
    load_splits(data_config(tmp_path))
    monkeypatch.setattr(folder, 'BYTES', 36 * 99 - 1)
    monkeypatch.setattr(folder, 'read_image', None)  # before any is read
    assert '36 images of 9x11 pixels would take' in problem_of(
        data_config(tmp_path))


def test_from_folder_to_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / 'x')
    (tmp_path / 'c.yaml').write_text('''
data: {name: folder, folder: x, image_size: [9, 11], classes: 3, validation: 6}
model: {glimpses: 2, core: rnn, core_units: 8}
training: {epochs: 1, batch_size: 8}
''')
    assert main(['train', 'c.yaml', '--out', 'run']) == 0
    assert main(['train', 'c.yaml', '--out', 'run', '--resume']) == 0
    capsys.readouterr()
    assert main(['evaluate', 'run/best.npz']) == 0
    rows = capsys.readouterr().out.strip().split('\n')[-3:]
    assert [row.split(' ')[0] for row in rows] == ['Bee', 'ant', 'cat']
    assert len({len(row) for row in rows}) == 1
    for i, row in enumerate(rows):  # 2 of each class in the test set
        _, *counts, error, _ = row.split()
        assert sum(map(int, counts)) == 2
        assert float(error) == 50 * (2 - int(counts[i]))
    assert main(['verify', 'run']) == 0
    seen = []
    from ram import visualizations
    monkeypatch.setattr(visualizations, 'save_trajectories',
                        lambda *args: seen.append(args[3]))
    monkeypatch.setattr(visualizations, 'save_preview',
                        lambda *args: seen.append(set(args[2])))
    assert main(['render', 'run/best.npz']) == 0
    assert main(['data', 'preview', 'c.yaml']) == 0
    assert seen == [['Bee', 'ant', 'cat'], {'Bee', 'ant', 'cat'}]
    # From Python the folder need not be there.
    (tmp_path / 'x').rename(tmp_path / 'y')
    result = ram.load('run/best.npz').predict(numpy.zeros((9, 11), 'uint8'))
    assert result.names[0] in ('Bee', 'ant', 'cat')
    capsys.readouterr()
    for command in ('evaluate run/best.npz', 'train c.yaml'):
        assert main(command.split()) == 2
        line, = capsys.readouterr().err.strip().split('\n')
        assert 'x: cannot be read: No such file' in line
