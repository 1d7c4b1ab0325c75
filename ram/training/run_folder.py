"""The run folder: who may write into it, and what stands in it from the start."""

import json
import os
import platform
import sys
import time

import chainer
import filelock
import numpy

from ram.errors import RamError
from ram.files import replacing, sweep

LOCK = '.lock'  # in a run folder


def versions(device):
    """What a run's numbers depend on, for its record.

    Args:
        device (chainer.backend.Device): Where it runs.

    Returns:
        dict of str to str

    """
    import ram
    found = {'ram': ram.__version__, 'python': platform.python_version(),
             'chainer': chainer.__version__, 'numpy': numpy.__version__,
             'platform': platform.platform(), 'device': str(device),
             'threads': os.environ.get('OMP_NUM_THREADS', 'default')}
    if chainer.backends.cuda.available:
        found['cupy'] = chainer.backends.cuda.cupy.__version__
    return found


def prepare_folder(out, config, resume):
    """Makes the run folder, or makes sure that it may be gone on with.

    It belongs to this process for as long as the lock is held that is handed
    back; the system lets go of it when the process ends, in whatever way.

    Args:
        out (str): The folder.
        config (ram.config.Config): Written into a new one.
        resume (bool): Whether it may hold a run.

    Returns:
        filelock.BaseFileLock: Held; a context manager that lets go of it.

    Raises:
        RamError: Where it is in use or cannot be written.

    """
    try:
        os.makedirs(out, exist_ok=True)
        held = [name for name in os.listdir(out) if name != LOCK]
    except OSError as error:
        raise RamError(f'{out}: cannot be the run folder: {error.strerror}; '
                       'name another with --out')
    if held and not resume:
        raise RamError(f'{out}: is not empty; add --resume to go on with the '
                       'run in it, or name another folder with --out')
    if held and 'config.yaml' not in held:
        raise RamError(f'{out}: holds no run; name the folder of one, or leave '
                       '--resume out and name another --out')
    lock = filelock.FileLock(os.path.join(out, LOCK))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise RamError(f'{out}: another process is training in it; wait for '
                       'it, or name another folder with --out')
    except OSError as error:
        raise RamError(f'{out}: cannot be written: {error.strerror}; name '
                       'another folder with --out')
    sweep(out)
    # Without a snapshot a run begins anew, whatever an earlier one wrote.
    if not {'snapshot.npz', 'snapshot-before.npz'}.intersection(held):
        with replacing(os.path.join(out, 'config.yaml'), 'w') as f:
            f.write(config.to_yaml())
    return lock


def write_versions(out, device, ranks):
    with replacing(os.path.join(out, 'versions.json'), 'w') as f:
        json.dump(dict(versions(device), processes=ranks.size,
                       command=' '.join(sys.argv),
                       started=time.strftime('%Y-%m-%d %H:%M:%S %z')),
                  f, indent=2)
