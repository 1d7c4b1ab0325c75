"""Files that are complete or absent."""

import contextlib
import glob
import json
import os
import sys
import tempfile
import tokenize
import zipfile
import zlib
from typing import Any, Dict, List

import numpy

from ram.errors import RamError

# A damaged .npz raises any of these.
DAMAGED = (ValueError, KeyError, TypeError, AttributeError, EOFError,
           MemoryError, NotImplementedError, OverflowError, RuntimeError,
           SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error)


# Weights and images do not compress to a hundredth; a zip bomb does.
_SHRINKS, _HARMLESS = 100, 2 ** 26

_PART = '.part'
_STREAMS = {'/dev/stdout': 1, '/dev/stderr': 2}  # descriptors


def read_npz(path: str, remedy: str) -> Dict:
    """The arrays of an ``.npz`` file of unknown origin.

    Nothing is unpickled, and the size in memory is limited.

    Args:
        path: The file.
        remedy: What to do about a file that cannot be used, for the errors.

    Raises:
        RamError: Where it is missing, cannot be read or is damaged, or its
            arrays would fill 64 MiB and a hundred times the file.

    """
    try:
        with open(path, 'rb') as file:
            if zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as archive:
                    total = sum(entry.file_size
                                for entry in archive.infolist())
                size = os.fstat(file.fileno()).st_size
                if total > max(_HARMLESS, _SHRINKS * size):
                    raise RamError(
                        f'{path}: would inflate from {size} to {total} bytes, '
                        f'which no weights or images do; {remedy}')
            file.seek(0)
            npz = numpy.load(file, allow_pickle=False)
            if not hasattr(npz, 'files'):
                raise ValueError('an .npy file, not an .npz')
            with npz:
                arrays = {name: npz[name] for name in npz.files}
        for name, array in arrays.items():
            if not isinstance(array, numpy.ndarray):  # bytes, without a header
                raise ValueError(f'{name} is not an array')
        return arrays
    except FileNotFoundError as error:
        raise RamError(f'{path}: no such file; {remedy}') from error
    except OSError as error:
        raise RamError(f'{path}: cannot be read: {error.strerror or error}; '
                       + remedy) from error
    except DAMAGED as error:
        raise RamError(f'{path}: damaged, or not a valid .npz file '
                       f'({error!s:.80}); {remedy}') from error


def sweep(folder: str):
    """Removes what :func:`replacing` left when its process was killed.

    No other process may be writing in the folder.
    """
    for path in glob.glob(os.path.join(glob.escape(folder), '.*' + _PART)):
        with contextlib.suppress(OSError):
            os.unlink(path)


def make_folder(path: str):
    """Makes a folder where there is none, for files of a command.

    Raises:
        RamError: Where it, or a file in it, cannot be made.

    """
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise RamError(f'{path}: cannot be written: '
                       f'{error.strerror or error}; name another '
                       'folder') from error


def is_device(path: str) -> bool:
    """Whether it is a device, a pipe or an output of this process."""
    return path in _STREAMS or os.path.exists(path) and not (
        os.path.isfile(path) or os.path.isdir(path))


@contextlib.contextmanager
def replacing(path: str, mode: str = 'wb'):
    """Opens a file that takes the place of another only once it is whole.

    Args:
        path: The file to make. Until the block has ended without an
            error, whatever stood there stays. A link is followed; a device
            is written to.
        mode: ``wb`` or ``w``.

    Yields:
        file object

    Raises:
        RamError: Where the folder or the disk does not let it be written.

    """
    encoding = None if 'b' in mode else 'utf-8'
    temporary, target = None, os.path.realpath(path)
    folder = os.path.dirname(target)
    try:
        if is_device(path):
            sys.stdout.flush()
            # Opened by its name, a file that stdout leads to would be cut.
            with open(os.dup(_STREAMS[path]) if path in _STREAMS else path,
                      mode, encoding=encoding) as file:
                yield file
            return
        handle, temporary = tempfile.mkstemp(
            dir=folder, prefix='.' + os.path.basename(target) + '.',
            suffix=_PART)
        with os.fdopen(handle, mode, encoding=encoding) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp lets only the owner in
        os.replace(temporary, target)
        temporary = None
        _sync_folder(folder)
    except OSError as error:
        raise RamError(f'{path}: cannot be written: '
                       f'{error.strerror or error}; free or name another '
                       'place; a file that was there is unchanged') from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def write_json(path: str, values: Any) -> None:
    """Writes values as JSON.

    Raises:
        RamError: See :func:`replacing`.

    """
    with replacing(path, 'w') as file:
        json.dump(values, file, indent=1)
        file.write('\n')


def read_log(folder: str) -> List[Dict[str, Any]]:
    """The log of a run folder, an entry an epoch; empty before the first.

    Raises:
        RamError: Where it is damaged.

    """
    path = os.path.join(folder, 'log')
    try:
        with open(path) as file:
            log = json.load(file)
        for entry in log:
            sum([entry['epoch'], entry['elapsed_time'],
                 entry.get('validation/main/error', 0)])  # all are numbers
    except FileNotFoundError:
        return []
    except (OSError, *DAMAGED) as error:
        raise RamError(f'{path}: cannot be read ({error}); resume the run by '
                       'ram train --resume, which writes it') from error
    return log


def _sync_folder(folder):
    """Makes a rename outlast a power cut, where the system can."""
    if hasattr(os, 'O_DIRECTORY'):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
