import gzip
import struct

import numpy
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ram.data.idx import parse_idx, read_content
from ram.errors import RamError

IMAGES = numpy.arange(2 * 3 * 4, dtype='uint8').reshape(2, 3, 4)


def read_idx(path, ndim, limit=2 ** 30):
    return parse_idx(read_content(path, limit), ndim, path)


def content(array=IMAGES, magic=None, shape=None):
    magic = magic or bytes([0, 0, 8, array.ndim])
    shape = array.shape if shape is None else shape
    return magic + struct.pack(f'>{len(shape)}I', *shape) + array.tobytes()


@pytest.mark.parametrize('name', ['plain', 'misleading.gz'])
def test_reads_plain_files_whatever_their_name(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(content())
    array = read_idx(path, 3)
    assert array.dtype == numpy.uint8
    numpy.testing.assert_array_equal(array, IMAGES)


def test_reads_gzipped_labels(tmp_path):
    path = tmp_path / 'labels'
    path.write_bytes(gzip.compress(content(numpy.arange(5, dtype='uint8'))))
    numpy.testing.assert_array_equal(read_idx(path, 1), [0, 1, 2, 3, 4])


BAD = {
    'empty': b'',
    'short header': content()[:10],
    'truncated': content()[:-1],
    'trailing': content() + b'x',
    'wrong magic': content(magic=b'\1\0\x08\3'),
    'signed bytes': content(magic=b'\0\0\x09\3'),
    'labels': content(numpy.arange(24, dtype='uint8')),
    'no images': content(numpy.zeros((0, 3, 4), 'uint8')),
    '2^40 images': content(shape=(2 ** 20, 2 ** 10, 2 ** 10)),
    'html': b'<!DOCTYPE html><html>not here</html>',
    'truncated gzip': gzip.compress(content())[:-9],
    'damaged gzip': gzip.compress(content())[:20] + b'\xff' * 20,
    'gzip of nothing': gzip.compress(b''),
}


@pytest.mark.parametrize('case', BAD)
def test_bad_file_is_named(tmp_path, case):
    path = tmp_path / 'images'
    path.write_bytes(BAD[case])
    with pytest.raises(RamError) as caught:
        read_idx(path, 3)
    problem, = caught.value.problems
    assert str(path) in problem and 'fetch' in problem


def test_missing_file_and_folder_are_named(tmp_path):
    for path in (tmp_path / 'nothing', tmp_path):
        with pytest.raises(RamError, match=str(path)):
            read_idx(path, 3)


def test_a_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / 'bomb'
    path.write_bytes(gzip.compress(b'\0' * 10 ** 7))
    with pytest.raises(RamError, match='larger than the 1000 bytes'):
        read_idx(path, 3, limit=1000)


@settings(max_examples=100, deadline=None)
@given(npst.arrays('u1', npst.array_shapes(min_dims=1, max_dims=3)),
       st.booleans())
def test_any_images_come_back(tmp_path_factory, array, zipped):
    path = tmp_path_factory.mktemp('idx') / 'x'
    path.write_bytes(gzip.compress(content(array)) if zipped
                     else content(array))
    numpy.testing.assert_array_equal(read_idx(path, array.ndim), array)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.lists(st.tuples(
    st.integers(0, 39), st.integers(0, 255)), max_size=5), st.booleans())
@example(b'', [(4, 255)], False)  # 2^32 images, less a few
def test_any_bytes_are_read_or_named(tmp_path_factory, tail, edits, zipped):
    altered = bytearray(content())
    for place, byte in edits:
        altered[place] = byte
    altered = bytes(altered) + tail
    path = tmp_path_factory.mktemp('idx') / 'x'
    path.write_bytes(gzip.compress(altered) if zipped else altered)
    try:
        array = read_idx(path, 3)
    except RamError as error:
        assert str(path) in str(error)
    else:  # then the bytes are the header and the array, and nothing else
        assert content(array) == altered
