"""Reads the IDX format, in which MNIST and its kin are kept."""

import gzip
import zlib
from typing import IO, Optional

import numpy

from ram.devices import Array
from ram.errors import RamError

_REMEDY = 'remove the file and fetch it anew, or name another --data-root'


def read_content(path: str, limit: int, file: Optional[IO] = None):
    """Reads a file whole, decompressed if it is gzipped.

    Its content, not its name, shows whether it is gzipped.

    Args:
        path: The file.
        limit: Most bytes that its content may have.
        file: Binary, at its beginning: read in the place of ``path``.

    Returns:
        bytes

    Raises:
        RamError: Where it cannot be read, is damaged, or holds more.

    """
    try:
        with file or open(path, 'rb') as file:
            gzipped = file.read(2) == b'\x1f\x8b'
            file.seek(0)
            source = gzip.GzipFile(fileobj=file) if gzipped else file
            content = source.read(limit + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RamError(f'{path}: truncated or damaged ({error}); '
                       f'{_REMEDY}') from error
    except OSError as error:
        raise RamError(f'{path}: cannot be read: {error.strerror or error}; '
                       f'{_REMEDY}') from error
    if len(content) > limit:
        raise RamError(f'{path}: larger than the {limit} bytes that a file '
                       f'of its kind may have; {_REMEDY}')
    return content


def parse_idx(content, ndim: int, path: str) -> Array:
    """The array in the content of an IDX file of unsigned bytes.

    Args:
        content (bytes): Decompressed.
        ndim: Number of dimensions that it must have.
        path: Named in errors.

    Returns:
        Uint8, read-only.

    Raises:
        RamError: Where the content is not of that form, or not as long as
            its header says.

    """
    header = 4 + 4 * ndim
    if len(content) < header or content[:4] != bytes([0, 0, 8, ndim]):
        raise RamError(
            f'{path}: not an IDX file of bytes in {ndim} dimensions (it '
            f'begins with {content[:4].hex() or "nothing"}); {_REMEDY}')
    shape = [int(n) for n in numpy.frombuffer(content, '>u4', ndim, 4)]
    size = 1
    for n in shape:  # Python's integers do not overflow
        size *= n
    if not size:
        raise RamError(f'{path}: holds nothing; {_REMEDY}')
    if len(content) - header != size:
        raise RamError(
            f'{path}: holds {len(content) - header} bytes where its header '
            f'says {"x".join(map(str, shape))}; {_REMEDY}')
    return numpy.frombuffer(content, 'uint8', offset=header).reshape(shape)
