"""What finished and running trainings left in their folders."""

import os
import sys
from typing import Any, Dict, List, NamedTuple, Optional

import filelock

from ram.config import RUN_OPTIONS, Config, differences, load_config
from ram.errors import RamError
from ram.files import read_log
from ram.training.run_folder import LOCK


class Run(NamedTuple):
    """A run folder.

    Attributes:
        folder: Its path.
        config: Of the run.
        log: Entries, one an epoch.
        state: ``training``, ``finished`` (early, too) or ``stopped``.

    """

    folder: str
    config: Config
    log: List[Dict[str, Any]]
    state: str

    @property
    def name(self) -> str:
        """Of the folder."""
        return os.path.basename(os.path.normpath(self.folder))

    @property
    def errors(self) -> Dict[int, float]:
        """Validation errors in %, by epoch."""
        return {entry['epoch']: entry['validation/main/error']
                for entry in self.log if 'validation/main/error' in entry}

    @property
    def best_epoch(self) -> Optional[int]:
        """The first epoch with the least validation error."""
        errors = self.errors
        return min(errors, key=errors.get) if errors else None

    @property
    def minutes(self) -> float:
        """Of training so far."""
        return self.log[-1]['elapsed_time'] / 60 if self.log else 0.0


def read_run(folder: str) -> Run:
    """Reads a run folder.

    Raises:
        RamError: Where it is none, or a file of it is damaged.

    """
    if not os.path.exists(os.path.join(folder, 'config.yaml')):
        raise RamError(f'{folder}: holds no run; name a folder that ram train '
                       'has written')
    config = load_config(os.path.join(folder, 'config.yaml'))
    log = read_log(folder)
    run = Run(folder, config, log, 'stopped')
    if _is_locked(folder):
        return run._replace(state='training')
    last = log[-1]['epoch'] if log else 0
    patience = config.training.early_stopping
    if last >= config.training.epochs or (
            run.best_epoch and patience
            and last - run.best_epoch >= patience):
        return run._replace(state='finished')
    return run


def find_runs(folder: str) -> List[Run]:
    """All runs in a folder and below it, sorted by path.

    What cannot be read is named on standard error.

    Raises:
        RamError: Where there is none that can be read.

    """
    found = sorted(path for path, _, names in os.walk(folder)
                   if 'config.yaml' in names)
    if not found:
        raise RamError(f'{folder}: holds no run; name a folder with run '
                       'folders of ram train in it')
    runs, problems = [], []
    for path in found:
        try:
            runs.append(read_run(path))
        except RamError as error:
            problems += error.problems
    if not runs:
        raise RamError(*problems)
    for problem in problems:
        print(f'ram: left out: {problem}', file=sys.stderr)
    return runs


def differing_keys(runs: List[Run]) -> List[str]:
    """Dotted keys in which the configurations of runs differ."""
    keys = []
    for run in runs[1:]:
        keys += [key for key, _, _ in differences(
            runs[0].config, run.config, RUN_OPTIONS) if key not in keys]
    return keys


def _is_locked(folder):
    if not os.path.exists(os.path.join(folder, LOCK)):
        return False
    lock = filelock.FileLock(os.path.join(folder, LOCK))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return True
    except OSError:  # of another user
        return False
    lock.release()
    return False
