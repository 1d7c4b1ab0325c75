"""The run folder: who may write into it, and what its records say."""

import json
import os
import platform
import sys
import time
from typing import Any, Dict, Optional

import chainer
import filelock
import numpy

from ram.config import RUN_OPTIONS, Config, differences, load_config
from ram.errors import RamError
from ram.files import replacing, sweep, write_json
from ram.training.distributed import SingleProcess

LOCK = '.lock'


def versions(device: chainer.backend.Device) -> Dict[str, str]:
    """What the numbers of a run on a device depend on, for its record."""
    import ram
    found = {'ram': ram.__version__, 'python': platform.python_version(),
             'chainer': chainer.__version__, 'numpy': numpy.__version__,
             'platform': platform.platform(), 'device': str(device),
             'threads': os.environ.get('OMP_NUM_THREADS', 'default')}
    if chainer.backends.cuda.available:
        found['cupy'] = chainer.backends.cuda.cupy.__version__
    return found


def write_versions(out: str, device: chainer.backend.Device,
                   ranks: SingleProcess, engine: Any,
                   resumed: Optional[Dict[str, Any]] = None) -> None:
    """Writes ``versions.json``: how a run was started, and each resume.

    Args:
        out: Run folder.
        device: Where it runs.
        ranks: The processes that train together.
        engine (ram.fast.engine.Engine): The engine that was selected.
        resumed: ``epoch``, ``iteration`` and ``changed`` keys of a resumed
            run: added to the list ``resumed`` of the record that is there.

    """
    path = os.path.join(out, 'versions.json')
    entry = dict(versions(device), engine=str(engine), tf32=engine.tf32,
                 processes=ranks.size,
                 command=' '.join(sys.argv),
                 started=time.strftime('%Y-%m-%d %H:%M:%S %z'))
    if resumed:
        try:
            with open(path, encoding='utf-8') as file:
                first = json.load(file)
            before = first.pop('resumed', [])
            entry = dict(first, resumed=before + [dict(resumed, **entry)])
        except (OSError, ValueError, AttributeError, TypeError):
            # The record of the start is lost; this one takes its place.
            entry = dict(entry, resumed=[resumed])
    write_json(path, entry)


def write_config(out: str, config: Config) -> None:
    """Writes ``config.yaml``."""
    with replacing(os.path.join(out, 'config.yaml'), 'w') as file:
        file.write(config.to_yaml())


def prepare_folder(out: str, config: Config,
                   resume: bool) -> filelock.BaseFileLock:
    """Makes the run folder, or checks that its run may be resumed.

    Args:
        out: The folder.
        config: Written into a new one.
        resume: Whether it may hold a run.

    Returns:
        A lock that is held, a context manager. The folder belongs to this
        process until it is released; the system releases it when the process
        ends, in whatever way.

    Raises:
        RamError: Where the folder is in use, cannot be written, or holds the
            network of another configuration and no snapshot.

    """
    try:
        os.makedirs(out, exist_ok=True)
        held = [name for name in os.listdir(out) if name != LOCK]
    except OSError as error:
        raise RamError(f'{out}: cannot be the run folder: {error.strerror}; '
                       'name another with --out') from error
    if held and not resume:
        raise RamError(f'{out}: is not empty; add --resume to resume the run '
                       'in it, or name another folder with --out')
    if held and 'config.yaml' not in held:
        raise RamError(f'{out}: holds no run; name the folder of one, or '
                       'leave --resume out and name another --out')
    # Without a snapshot a run starts anew.
    is_new = not {'snapshot.npz', 'snapshot-before.npz'}.intersection(held)
    if is_new and 'best.npz' in held:
        _check_same(out, config)
    lock = filelock.FileLock(os.path.join(out, LOCK))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise RamError(f'{out}: another process is training in it; wait for '
                       'it, or name another folder with --out') from None
    except OSError as error:
        raise RamError(f'{out}: cannot be written: {error.strerror}; name '
                       'another folder with --out') from error
    sweep(out)
    if is_new:
        write_config(out, config)
    return lock


def _check_same(out, config):
    """Refuses to overwrite the network of another configuration."""
    saved = load_config(os.path.join(out, 'config.yaml'))
    for key, old, new in differences(saved, config, RUN_OPTIONS):
        raise RamError(f'{out}: holds the network of a run with {key} {old}, '
                       f'not {new}, and no snapshot to resume it; name '
                       'another folder with --out')
