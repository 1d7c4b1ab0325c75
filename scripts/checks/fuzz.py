"""Feeds the readers of files what no program of good will has written.

    python scripts/checks/fuzz.py --minutes 10
    python scripts/checks/fuzz.py --minutes 10 --target checkpoint --seed 7

The readers are those of configurations, IDX files, .npz data, PNG and JPEG files
and checkpoints.
A case is a sound file that was altered: bits, bytes, lengths and tokens, and
inside the zip archives too, with checksums made right again, so that what lies
behind them is reached. A reader may hand back a value or raise RamError with
lines to read. Everything else is a finding: another exception, more than ten
seconds, more than 300 MB of memory, or code of the file being run. Findings
are written, with what they did, into a folder that the last line names, and the
exit status is 1.

With atheris installed the cases are guided by what they reach in ram/ and in
the libraries that it reads with.
"""
import argparse
import gc
import gzip
import importlib.util
import io
import json
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import types
import zipfile

import numpy
from PIL import Image

import ram.compat  # noqa: F401
from ram import checkpoint
from ram.config import Config, config_from_dict, load_config, reference
from ram.data import folder
from ram.data.idx import read_idx
from ram.data.splits import load_splits
from ram.errors import RamError
from ram.files import DAMAGED, replacing
from ram.models.build import build_network
from ram.random_streams import make_streams

SECONDS, MEGABYTES = 10, 300
GUIDES = ('ram.', 'numpy.lib', 'zipfile', 'yaml', 'gzip')
CANARY = 'canary'  # what the code in a hostile file would write
SMALL = {'model': {'what_units': 3, 'where_units': 2, 'glimpse_units': 4,
                   'core_units': 3, 'location_units': 2},
         'data': {'name': 'npz', 'file': 'x.npz', 'image_size': [8, 8],
                  'validation': 2, 'test_images': 2}}


# A module that would be noticed if a file could have it imported.
MODULE = f"open({CANARY!r}, 'w').close()\n"


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


def archive(members, chance):
    """A zip archive whose checksums are right, whatever its members hold."""
    file = io.BytesIO()
    how = chance.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
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
    chance = random.Random(0)
    evil = dict(members)
    file = io.BytesIO()
    numpy.save(file, numpy.array([Steals()], dtype=object),
               allow_pickle=True)
    evil[next(iter(evil))] = file.getvalue()
    return [b'F' + archive(members, chance), b'M' + pack(members),
            b'M' + pack(evil), b'F' + archive(evil, chance)]


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


def sealed(data, chance):
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
    return archive(members, chance)


def as_file(data, chance):
    """The file that a case of an archive stands for."""
    how, data = data[:1], data[1:]
    if how == b'M':
        return archive(unpack(data), chance)
    return sealed(data, chance) if how == b'S' else data


class Target:
    """A reader, what it is fed with, and the file it reads it from."""

    def __init__(self, seeds, words, name, read, build=None):
        self.seeds, self.words = seeds(), [w.encode() for w in words]
        self.name, self.read, self.build = name, read, build

    def run(self, data):
        """One case; an exception that gets out of here is a finding."""
        chance = random.Random(len(data))
        if self.build:
            data = self.build(data, chance)
        with open(self.name, 'wb') as file:
            file.write(data)
        try:
            self.read(self.name)
        except RamError as error:
            if not error.problems or not all(
                    line.strip() and '\n' not in line
                    for line in error.problems):
                raise AssertionError(f'an error without words: {error!r}')
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
        lambda path: read_idx(path, 3)),
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


def altered(target, chance):
    """A seed with some things changed."""
    data = bytearray(chance.choice(target.seeds))
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        place = chance.randrange(len(data) + 1)
        end = min(len(data), place + chance.choice([1, 2, 4, 30, 300]))
        what = chance.randrange(8)
        if what == 0 and place < len(data):
            data[place] ^= 1 << chance.randrange(8)
        elif what == 1 and place < len(data):
            data[place] = chance.choice([0, 1, 127, 128, 255, 10, 32])
        elif what == 2:
            data[place:end] = chance.choice(target.words)
        elif what == 3:
            data[place:place] = chance.choice(target.words)
        elif what == 4:
            del data[place:end]
        elif what == 5:
            data[place:place] = data[place:end] * chance.choice([1, 2, 50])
        elif what == 6:
            other = chance.choice(target.seeds)
            cut = chance.randrange(len(other) + 1)
            data[place:end] = other[cut:cut + end - place]
        else:
            del data[place:]
    return bytes(data)


class Watch:
    """Counts the cases of a target, and keeps what it finds."""

    def __init__(self, name, findings):
        self.name, self._findings = name, findings
        self.target = TARGETS[name]()
        self.cases, self.found = 0, {}
        self.began = time.monotonic()
        self._memory = self._peak()
        signal.signal(signal.SIGALRM, self._too_long)

    @staticmethod
    def _peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    @staticmethod
    def _too_long(number, frame):
        raise TimeoutError(f'more than {SECONDS} seconds')

    def __call__(self, data):
        self.cases += 1
        if self.cases == 200:  # everything is imported by now
            self._memory = self._peak()
        signal.alarm(SECONDS)
        try:
            self.target.run(data)
            signal.alarm(0)
            if self.cases > 200 and self._peak() > self._memory + MEGABYTES:
                self._memory = self._peak()
                raise MemoryError(f'more than {MEGABYTES} MB')
        except Exception as error:
            signal.alarm(0)
            self._keep(data, error)
        if self.cases % 5000 == 0:
            self.report(sys.stderr)

    def _keep(self, data, error):
        where = traceback.extract_tb(error.__traceback__)[-1]
        key = f'{type(error).__name__} in {os.path.basename(where.filename)}'
        key += f':{where.lineno}'
        self.found.setdefault(key, 0)
        self.found[key] += 1
        if self.found[key] == 1:
            path = os.path.join(self._findings, f'{self.name}-'
                                f'{len(self.found)}')
            with open(path, 'wb') as file:
                file.write(data)
            with open(path + '.txt', 'w') as file:
                traceback.print_exception(type(error), error,
                                          error.__traceback__, file=file)

    def report(self, stream):
        seconds = time.monotonic() - self.began
        print(f'{self.name}: {self.cases} cases, {len(self.found)} findings, '
              f'{self.cases / seconds:.0f} cases/s, {seconds / 60:.1f} min',
              file=stream, flush=True)

    def result(self):
        return {'target': self.name, 'cases': self.cases,
                'findings': self.found,
                'seconds': time.monotonic() - self.began}


def own_engine(watch, minutes, seed):
    """Cases drawn at random."""
    chance = random.Random(f'{seed} {watch.name}')
    for data in watch.target.seeds:
        watch(data)
    while time.monotonic() - watch.began < 60 * minutes:
        watch(altered(watch.target, chance))


def guided_engine(watch, minutes, seed, done):
    """Cases that atheris makes, after what they reach; does not return.

    Args:
        done (callable): Called before the process ends.

    """
    import atheris
    for function in gc.get_objects():
        if isinstance(function, types.FunctionType) and (
                function.__module__ or '').startswith(GUIDES):
            atheris.instrument_func(function)
    watch.began = time.monotonic()
    corpus = tempfile.mkdtemp(dir='.')
    for i, data in enumerate(watch.target.seeds):
        with open(os.path.join(corpus, str(i)), 'wb') as file:
            file.write(data)
    with open('words', 'w') as file:
        for word in watch.target.words:
            file.write('"' + ''.join(f'\\x{b:02x}' for b in word) + '"\n')
    chance = random.Random(f'{seed} {watch.name}')

    def case(data):
        watch(data)
        if time.monotonic() - watch.began > 60 * minutes:
            done()
            os._exit(0)

    def mutate(data, size, number):
        # Half the cases are of our own making, which knows the formats.
        if chance.random() < 0.5:
            return altered(watch.target, chance)[:size]
        return atheris.Mutate(data, size)

    atheris.Setup([sys.argv[0], corpus, '-dict=words', f'-seed={seed + 1}',
                   '-max_len=30000', '-verbosity=0', '-timeout=0'], case,
                  custom_mutator=mutate)
    atheris.Fuzz()


def work(name, minutes, seed, findings, engine):
    """Fuzzes one target in this process; prints its result as JSON."""
    watch = Watch(name, findings)

    def done():
        print(json.dumps(watch.result()), flush=True)

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with open('steals.py', 'w') as file:
            file.write(MODULE)
        sys.path.insert(0, folder)
        if engine == 'atheris':
            guided_engine(watch, minutes, seed, done)
        own_engine(watch, minutes, seed)
        done()
        os.chdir('/')


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--minutes', type=float, default=1, metavar='M',
                        help='for each target (default: 1)')
    parser.add_argument('--target', nargs='+', choices=list(TARGETS),
                        default=list(TARGETS))
    parser.add_argument('--seed', type=int, default=0, metavar='N')
    parser.add_argument('--engine', choices=('atheris', 'own'), default=(
        'atheris' if importlib.util.find_spec('atheris') else 'own'),
        help='default: atheris if it is installed')
    parser.add_argument('--findings', metavar='DIR', help=(
        'findings go there (default: a new temporary folder)'))
    parser.add_argument('--json', metavar='FILE', help='results go there')
    parser.add_argument('--inside', help=argparse.SUPPRESS)
    args = parser.parse_args()
    findings = os.path.abspath(args.findings or tempfile.mkdtemp(
        prefix='findings-'))
    os.makedirs(findings, exist_ok=True)
    if args.inside:
        return work(args.inside, args.minutes, args.seed, findings,
                    args.engine)
    results = []
    for name in args.target:
        done = subprocess.run(
            [sys.executable, os.path.abspath(__file__), '--inside', name,
             '--minutes', str(args.minutes), '--seed', str(args.seed),
             '--findings', findings, '--engine', args.engine],
            stdout=subprocess.PIPE, text=True)
        last = done.stdout.strip().split('\n')[-1]
        if done.returncode or not last.startswith('{'):
            results.append({'target': name, 'cases': 0, 'seconds': 0,
                            'findings': {f'ended the process with status '
                                         f'{done.returncode}': 1}})
        else:
            results.append(json.loads(last))
    print(f'engine: {args.engine}')
    for result in results:
        rate = result['cases'] / max(result['seconds'], 1e-9)
        print(f'{result["target"]:12} {result["cases"]:9} cases '
              f'{rate:8.0f}/s  {len(result["findings"])} findings')
        for key, count in result['findings'].items():
            print(f'  {count} times {key}')
    if args.json:
        with replacing(args.json, 'w') as file:
            json.dump(results, file, indent=2)
    found = any(result['findings'] for result in results)
    print(f'findings: {findings}' if found else 'no findings')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
