"""Files that are whole or not there."""

import contextlib
import glob
import os
import tempfile
import tokenize
import zipfile
import zlib

from ram.errors import RamError

# A damaged .npz shows in as many ways as it has parts.
DAMAGED = (ValueError, KeyError, TypeError, AttributeError, EOFError,
           MemoryError, NotImplementedError, RuntimeError, SyntaxError,
           tokenize.TokenError, zipfile.BadZipFile, zlib.error)


_PART = '.part'


def sweep(folder):
    """Removes what :func:`replacing` left when its process was killed.

    Args:
        folder (str): No other process may be writing in it.

    """
    for path in glob.glob(os.path.join(glob.escape(folder), '.*' + _PART)):
        with contextlib.suppress(OSError):
            os.unlink(path)


@contextlib.contextmanager
def replacing(path, mode='wb'):
    """Opens a file that takes the place of another only once it is whole.

    Args:
        path (str): The file to make. Until the block has ended without an
            error, whatever stood there stays.
        mode (str): ``wb`` or ``w``.

    Yields:
        file object

    Raises:
        RamError: Where the folder or the disk does not let it be written.

    """
    folder = os.path.dirname(os.path.abspath(path))
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(
            dir=folder, prefix='.' + os.path.basename(path) + '.',
            suffix=_PART)
        with os.fdopen(handle, mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp lets only the owner in
        os.replace(temporary, path)
        temporary = None
        _sync_folder(folder)
    except OSError as error:
        raise RamError(f'{path}: cannot be written: '
                       f'{error.strerror or error}; free or name another '
                       'place; what stood there before is untouched')
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _sync_folder(folder):
    """Makes a rename outlast a power cut, where the system can."""
    if hasattr(os, 'O_DIRECTORY'):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
