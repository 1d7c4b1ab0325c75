"""What the fuzzer reads: sound files of each kind, and how they are altered."""

import gzip
import io
import json
import os
import random
import struct
import zipfile

import numpy
from PIL import Image

import ram.compat  # noqa: F401
from ram import checkpoint
from ram.config import Config, config_from_dict, load_config, reference
from ram.data import folder, mnist
from ram.data.idx import parse_idx, read_content
from ram.data.splits import load_splits
from ram.errors import RamError
from ram.files import DAMAGED
from ram.models.build import build_network
from ram.random_streams import make_streams

CANARY = 'canary'  # what the code in a hostile file would write
SMALL = {'model': {'what_units': 3, 'where_units': 2, 'glimpse_units': 4,
                   'core_units': 3, 'location_units': 2},
         'data': {'name': 'npz', 'file': 'x.npz', 'image_size': [8, 8],
                  'validation': 2, 'test_images': 2}}


class Steals:
    """A pickle that would be noticed."""

    def __reduce__(self):
        return open, (CANARY, 'w')


# How cases are made: a target has seeds (sound files, as bytes), words of its
# language, and a way from bytes to a file.

def npy(array):
    """The bytes of an .npy member."""
    file = io.BytesIO()
    numpy.lib.format.write_array(file, array)
    return file.getvalue()


def archive(members, rng):
    """A zip archive whose checksums are right, whatever its members hold."""
    file = io.BytesIO()
    how = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    with zipfile.ZipFile(file, 'w', how) as out:
        for name, content in members.items():
            out.writestr(name, content)
    return file.getvalue()


def pack(members):
    """Members of an archive as one string of bytes, to be altered."""
    return b''.join(struct.pack('<HI', len(name), len(content))
                    + name.encode() + content
                    for name, content in members.items())


def unpack(data):
    """Undoes :func:`pack` as far as that makes sense."""
    members, place = {}, 0
    while place + 6 <= len(data) and len(members) < 40:
        name, size = struct.unpack_from('<HI', data, place)
        name, size = name % 64, size % (1 << 20)
        place += 6
        title = data[place:place + name].decode('latin-1').split('\0')[0]
        members[title or 'nameless'] = data[place + name:place + name + size]
        place += name + size
    return members


def config_seeds():
    texts = [Config().to_yaml(), 'extends: case.yaml\n', 'model: {glimpses: 4}',
             'data:\n  name: synthetic\n  canvas: [60, 60]\n',
             'model: {glimpse_network: steals.Network}\n',
             'a: &x [1, 2]\nb: *x\n', '!!python/object/apply:os.system [ls]']
    return [text.encode() for text in texts]


def images_npz():
    rng = numpy.random.default_rng(0)
    return {'images.npy': npy(rng.integers(
        256, size=(12, 8, 8), dtype='uint8')),
        'labels.npy': npy(rng.integers(10, size=12))}


def picture_seeds():
    colours = numpy.random.default_rng(0).integers(
        256, size=(8, 8, 4), dtype='uint8')
    seeds = []
    for format, mode in (('PNG', 'RGBA'), ('PNG', 'L'), ('PNG', 'P'),
                         ('JPEG', 'RGB'), ('JPEG', 'CMYK')):
        file = io.BytesIO()
        Image.fromarray(colours).convert('RGB').convert(mode).save(
            file, format)
        seeds.append(file.getvalue())
    return seeds


def picture(path):
    """Reads a file of a folder, as it is and scaled."""
    for resize in (False, True):
        folder.read_image(path, config_from_dict({'data': {
            'name': 'folder', 'folder': '.', 'image_size': [8, 8],
            'channels': 3, 'resize': resize}}, 'fuzz').data)


def weights(**parts):
    """Arrays and header of a sound checkpoint."""
    config = config_from_dict(SMALL, 'fuzz')
    network = build_network(config, make_streams(0)['weights'])
    members = {name.lstrip('/') + '.npy': npy(param.array)
               for name, param in network.namedparams()}
    meta = {'config': config.as_dict(), 'metrics': {'epoch': 1}}
    meta['config']['model'].update(parts)
    return members, meta


def zipped(members):
    """Three seeds of an archive: as a file, as members, as a pickle."""
    rng = random.Random(0)
    evil = dict(members)
    file = io.BytesIO()
    numpy.save(file, numpy.array([Steals()], dtype=object),
               allow_pickle=True)
    evil[next(iter(evil))] = file.getvalue()
    return [b'F' + archive(members, rng), b'M' + pack(members),
            b'M' + pack(evil), b'F' + archive(evil, rng)]


def checkpoint_seeds():
    members, meta = weights()
    header = {'kind': 'ram checkpoint', 'format': 1, 'meta': meta}
    whole = {checkpoint._META + '.npy': npy(numpy.array(json.dumps(header)))}
    whole.update(members)
    seeds = zipped(whole)
    for parts in ({}, {'glimpse_network': 'steals.Network'},
                  {'location_network': 'chainer.links.Linear'}):
        text = json.dumps(weights(**parts)[1]).encode()
        seeds.append(b'S' + struct.pack('<I', len(text)) + text
                     + pack(members))
    return seeds


def idx_seeds():
    rng = numpy.random.default_rng(0)
    content = bytes([0, 0, 8, 3]) + struct.pack('>3I', 4, 5, 6) + rng.bytes(
        120)
    return [content, gzip.compress(content), content[:16]]


def sealed(data, rng):
    """A checkpoint with altered parts and a checksum that fits."""
    size = struct.unpack_from('<I', data.ljust(4, b'\0'))[0] % (1 << 16)
    members, arrays = unpack(data[4 + size:]), {}
    for name, content in members.items():
        try:
            arrays[name[:-4]] = numpy.lib.format.read_array(
                io.BytesIO(content), allow_pickle=False)
        except DAMAGED:
            continue
    try:
        meta = json.loads(data[4:4 + size])
    except (ValueError, RecursionError):
        meta = None
    header = {'kind': 'ram checkpoint', 'format': 1, 'meta': meta,
              'checksum': checkpoint._checksum(arrays)}
    members[checkpoint._META + '.npy'] = npy(numpy.array(json.dumps(header)))
    return archive(members, rng)


def as_file(data, rng):
    """The file that a case of an archive stands for."""
    how, data = data[:1], data[1:]
    if how == b'M':
        return archive(unpack(data), rng)
    return sealed(data, rng) if how == b'S' else data


class Target:
    """A reader, what it is fed with, and the file it reads it from."""

    def __init__(self, seeds, words, name, read, build=None):
        self.seeds, self.words = seeds(), [w.encode() for w in words]
        self.name, self.read, self.build = name, read, build

    def run(self, data):
        """One case; an exception that gets out of here is a finding."""
        rng = random.Random(len(data))
        if self.build:
            data = self.build(data, rng)
        with open(self.name, 'wb') as file:
            file.write(data)
        try:
            self.read(self.name)
        except RamError as error:
            if not error.problems or not all(
                    line.strip() and '\n' not in line
                    for line in error.problems):
                raise AssertionError(
                    f'an error without words: {error!r}') from error
        if os.path.exists(CANARY):
            os.unlink(CANARY)
            raise AssertionError('code of the file was run')


NPY_WORDS = ["'descr'", "'fortran_order': True", "'shape': (", '<f8', '|O',
             '|u1', '(4294967296,)', '(-1,)', '()', '\x93NUMPY\1\0', 'PK\1\2',
             'images.npy', 'labels.npy', 'ram.json.npy', '../x', '<U9999']
TARGETS = {
    'config': lambda: Target(
        config_seeds, ['&a', '*a', '!!', '!!python/name:os.system', '<<: ',
                       '- ', '{', '[', '"', "'", '|', '>', '? ', '%YAML', '\t',
                       '0x', '1e999', '.nan', '.inf', '~', '1:30', '---\n',
                       'extends: case.yaml\n', 'extends: .\n', '\0', '\x85']
        + [line.split('`')[1] for line in reference().split('\n')
           if line.startswith('| `')], 'case.yaml', load_config),
    'idx': lambda: Target(
        idx_seeds, ['\x1f\x8b\x08', '\0\0\x08\3', '\xff\xff\xff\xff',
                    '\0\0\0\0', '\x7f\xff\xff\xff'], 'case-idx',
        lambda path: parse_idx(read_content(path, mnist.LIMIT), 3, path)),
    'npz': lambda: Target(
        lambda: zipped(images_npz()), NPY_WORDS, 'x.npz',
        lambda path: load_splits(config_from_dict(SMALL, 'fuzz').data),
        as_file),
    'picture': lambda: Target(
        picture_seeds, ['IHDR', 'IDAT', 'PLTE', 'tRNS', 'eXIf', 'zTXt', 'acTL',
                        'Exif\0\0II*\0', '\xff\xd8\xff', '\xff\xc0',
                        '\xff\xe1', '\0\0\xff\xff', 'GIF89a'],
        'case.png', picture),
    'checkpoint': lambda: Target(
        checkpoint_seeds, NPY_WORDS + [
            '"format": 2', '"config": {', 'null', '1e400', 'NaN', '"core_units":'
            ' 100000000', '"scales": 10', '"network": "fc"', '[[[[[[',
            '"core": "steals.Core"', 'steals.', 'os.system', 'ram.links.'],
        'case.npz', checkpoint.load_checkpoint, as_file)}


def altered(target, rng):
    """A seed with some things changed."""
    data = bytearray(rng.choice(target.seeds))
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        place = rng.randrange(len(data) + 1)
        end = min(len(data), place + rng.choice([1, 2, 4, 30, 300]))
        what = rng.randrange(8)
        if what == 0 and place < len(data):
            data[place] ^= 1 << rng.randrange(8)
        elif what == 1 and place < len(data):
            data[place] = rng.choice([0, 1, 127, 128, 255, 10, 32])
        elif what == 2:
            data[place:end] = rng.choice(target.words)
        elif what == 3:
            data[place:place] = rng.choice(target.words)
        elif what == 4:
            del data[place:end]
        elif what == 5:
            data[place:place] = data[place:end] * rng.choice([1, 2, 50])
        elif what == 6:
            other = rng.choice(target.seeds)
            cut = rng.randrange(len(other) + 1)
            data[place:end] = other[cut:cut + end - place]
        else:
            del data[place:]
    return bytes(data)
