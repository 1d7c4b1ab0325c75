"""Finds, downloads and verifies MNIST, and sets in the same four files."""

import hashlib
import http.client
import io
import os
import sys
import urllib.request
from typing import List, NamedTuple, Optional, Tuple

from ram.data.idx import parse_idx, read_content
from ram.devices import Array
from ram.errors import RamError
from ram.files import make_folder, replacing


class Source(NamedTuple):
    """One of the four files.

    Attributes:
        name (str): File name, without ``.gz``.
        ndim (int): Dimensions of its array.
        sha256 (str): Of MNIST's content, decompressed.

    """

    name: str
    ndim: int
    sha256: str


FILES = (
    Source('train-images-idx3-ubyte', 3, 'ba891046e6505d7aadcbbe25680a0738'
                                         'ad16aec93bde7f9b65e87a2fc25776db'),
    Source('train-labels-idx1-ubyte', 1, '65a50cbbf4e906d70832878ad85ccda5'
                                         '333a97f0f4c3dd2ef09a8a9eef7101c5'),
    Source('t10k-images-idx3-ubyte', 3, '0fa7898d509279e482958e8ce81c8e77'
                                        'db3f2f8254e26661ceb7762c4d494ce7'),
    Source('t10k-labels-idx1-ubyte', 1, 'ff7bcfd416de33731a308c3f266cc351'
                                        '222c34898ecbeaf847f06e48f7ec33f2'))

MIRRORS = ('https://ossci-datasets.s3.amazonaws.com/mnist/',
           'https://storage.googleapis.com/cvdf-datasets/mnist/')

LIMIT = 2 ** 30  # bytes in a file of a set, decompressed
MNIST_LIMIT = 64 * 2 ** 20
TIMEOUT = 20  # seconds without a byte


def data_root(root: Optional[str] = None) -> str:
    """The folder that holds the sets.

    Args:
        root: Wins over all else.

    Returns:
        ``root``, else ``RAM_DATA_ROOT``, else what :func:`remember` wrote,
        else ``ram-chainer`` in the user's cache.

    """
    cache = os.environ.get('XDG_CACHE_HOME') or os.path.join('~', '.cache')
    # No shell has seen what stands in a file.
    return os.path.expanduser(root or os.environ.get('RAM_DATA_ROOT')
                              or _remembered()
                              or os.path.join(cache, 'ram-chainer'))


def remember(root: str) -> str:
    """Makes a folder the data root of all later commands of the user.

    Returns:
        The file that says so.

    Raises:
        RamError: If it cannot be written.

    """
    path = _settings()
    make_folder(os.path.dirname(path))
    with replacing(path, 'w') as file:
        file.write(os.path.abspath(os.path.expanduser(root)) + '\n')
    return path


def _settings():
    folder = os.environ.get('XDG_CONFIG_HOME') or os.path.join('~', '.config')
    return os.path.join(os.path.expanduser(folder), 'ram-chainer',
                        'data-root')


def _remembered():
    try:
        with open(_settings(), encoding='utf-8') as file:
            return file.read().strip()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RamError(f'{_settings()}: cannot be read ({error}); remove it, '
                       'or name --data-root') from error


def load(name: str = 'mnist', root: Optional[str] = None
         ) -> List[Tuple[Array, Array]]:
    """Reads a set, downloading MNIST where it is missing.

    Args:
        name: ``mnist``, or any folder below the data root with the
            same four files.
        root: Data root, see :func:`data_root`.

    Returns:
        For training and for test: images (N, H, W) uint8 and labels (N,)
        uint8, as stored.

    Raises:
        RamError: Where a file is missing and cannot be had, is damaged or
            altered, or where the files do not agree.

    """
    paths = fetch(name, root)
    arrays = []
    for source, path in zip(FILES, paths):
        content = read_content(path, LIMIT)
        if name == 'mnist':
            _verify(content, source, path)
        arrays.append(parse_idx(content, source.ndim, path))
    for images, labels, path in ((arrays[0], arrays[1], paths[1]),
                                 (arrays[2], arrays[3], paths[3])):
        if len(images) != len(labels):
            raise RamError(f'{path}: has {len(labels)} labels for '
                           f'{len(images)} images; fetch the set anew')
    if arrays[0].shape[1:] != arrays[2].shape[1:]:
        raise RamError(
            f'{paths[2]}: has images of {arrays[2].shape[1:]}, but those to '
            f'train on are {arrays[0].shape[1:]}; fetch the set anew')
    return [(arrays[0], arrays[1]), (arrays[2], arrays[3])]


def fetch(name: str = 'mnist', root: Optional[str] = None) -> List[str]:
    """Finds the files of a set, downloading MNIST's where they are missing.

    Args:
        name: As for :func:`load`.
        root: Data root, see :func:`data_root`.

    Returns:
        The four paths, in the order of ``FILES``.

    Raises:
        RamError: Where a file is missing and cannot be had.

    """
    folder = os.path.join(data_root(root), name)
    found = [_find(folder, source.name) for source in FILES]
    missing = [source for source, path in zip(FILES, found) if path is None]
    if missing and name != 'mnist':
        raise RamError(
            f'{folder}: lacks {", ".join(source.name for source in missing)} '
            '(or the same with .gz); put them there, name another folder '
            'with --data-root or RAM_DATA_ROOT, or set data.name to mnist, '
            'synthetic, folder, npz or catch')
    return [path or _download(folder, source)
            for source, path in zip(FILES, found)]


def _find(folder, name):
    dotted = name.replace('-idx', '.idx')
    for candidate in (name, name + '.gz', dotted, dotted + '.gz'):
        path = os.path.join(folder, candidate)
        if os.path.exists(path):
            return path
    return None


def _verify(content, source, path):
    if hashlib.sha256(content).hexdigest() != source.sha256:
        raise RamError(f"{path}: is not MNIST's {source.name} (its SHA-256 "
                       'differs); remove it and run ram data fetch')


def _download(folder, source):
    """Fetches one file of MNIST from the first mirror that has it whole."""
    path = os.path.join(folder, source.name + '.gz')
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise RamError(f'{folder}: cannot be written: {error.strerror}; name '
                       'another folder with --data-root') from error
    problems = []
    for mirror in MIRRORS:
        url = mirror + source.name + '.gz'
        try:
            body = _get(url)
            _verify(read_content(url, MNIST_LIMIT, io.BytesIO(body)), source,
                    url)
        except RamError as error:
            problems.append(f'sent something else: {error}')
            continue
        except (OSError, http.client.HTTPException) as error:
            code = getattr(error, 'code', '')
            reason = getattr(error, 'reason', None) or error
            problems.append(f'{url}: {code} {reason}'.replace('  ', ' '))
            continue
        with replacing(path) as file:
            file.write(body)
        return path
    raise RamError(
        f'{path}: missing, and no mirror sent it; put the four files of MNIST '
        f'into {folder}, or name the folder that holds mnist/ with '
        f'--data-root or RAM_DATA_ROOT ({"; ".join(problems)})')


def _get(url):
    """The body of an address, with a progress bar on a terminal."""
    print(f'downloading {url}', file=sys.stderr)
    bar = sys.stderr.isatty()
    body = bytearray()
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
        length = int(answer.headers.get('Content-Length') or 0)
        while block := answer.read(2 ** 16):
            body += block
            if len(body) > MNIST_LIMIT:
                raise OSError('sends more than a file of MNIST has')
            if bar and length:
                marks = '#' * (40 * len(body) // length)
                print(f'\r[{marks:40}] {len(body) / 2 ** 20:.1f} MB', end='',
                      file=sys.stderr)
    if bar:
        print(file=sys.stderr)
    if length and len(body) != length:
        raise OSError(f'ended after {len(body)} of {length} bytes')
    return body
