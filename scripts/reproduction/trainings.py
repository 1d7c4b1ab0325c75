"""Trainings side by side, in a process each, until all are complete."""

import abc
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import List, Optional

from ram.errors import RamError
from ram.files import read_log
from reproduction import rows


class Training(abc.ABC):
    """A training, and what is measured after it.

    Args:
        title: What it is called.
        folder: Its run folder.
        epochs: That it takes.
        options: Of `ram train`, from the project's folder; the run folder is
            added to them.
        data_root: Folder that holds mnist/; None is the default one.

    """

    def __init__(self, title: str, folder: str, epochs: int,
                 options: List[str], data_root: Optional[str]):
        self.title, self.folder, self.epochs = title, folder, epochs
        self._options, self._data_root = options, data_root
        self.process: Optional[subprocess.Popen] = None
        self.measured: Optional[Future] = None

    @abc.abstractmethod
    def measure(self) -> str:
        """Measures what is trained; returns what came of it.

        Raises:
            RamError: Where it was trained with another configuration.

        """

    def start(self) -> None:
        """Starts or resumes it."""
        os.makedirs(os.path.dirname(self.folder), exist_ok=True)
        # More threads would disturb the trainings beside it.
        environment = dict(os.environ, OMP_NUM_THREADS='1')
        if self._data_root:
            environment['RAM_DATA_ROOT'] = os.path.abspath(self._data_root)
        with open(self.folder + '.log', 'ab') as log:
            self.process = subprocess.Popen(
                [sys.executable, '-m', 'ram', 'train', *self._options, '--out',
                 self.folder, '--resume'],
                cwd=rows.TOP, env=environment, stdout=log, stderr=log)

    def is_trained(self) -> bool:
        """Whether it is complete."""
        entries = read_log(self.folder)
        return bool(entries) and entries[-1]['epoch'] >= self.epochs

    def progress(self) -> str:
        """How far it is, in one line."""
        entries = read_log(self.folder)
        if not entries:
            return f'{self.title:22} starts'
        errors = [entry['validation/main/error'] for entry in entries
                  if 'validation/main/error' in entry]
        measured = (f'validation error {errors[-1]:.2f} %, least '
                    f'{min(errors):.2f} %, ' if errors else '')
        left = entries[-1]['elapsed_time'] / len(entries) * (
            self.epochs - len(entries))
        time = (f'{left / 60:.0f} min left' if left >= 120
                else f'{left:.0f} s left')
        return (f'{self.title:22} epoch {len(entries):4} of {self.epochs}, '
                f'{measured}{time if left else "evaluates"}')


def train_all(waiting: List[Training], jobs: int, every: float) -> int:
    """Trains all, and measures each.

    SIGINT or SIGTERM stops all trainings, which save their state.

    Args:
        waiting: Trainings.
        jobs: How many go side by side.
        every: Seconds between two looks at them.

    Returns:
        Exit status: 1 if one failed.

    """
    waiting, active, failed, stopped = list(waiting), [], [], []
    handlers = {
        number: signal.signal(number, lambda n, frame: stopped.append(n))
        for number in (signal.SIGINT, signal.SIGTERM)}
    shown = told = 0
    # The next training starts while the one before is measured.
    with ThreadPoolExecutor(max_workers=1) as executor:
        try:
            while waiting or active:
                if len(stopped) > told:  # a training obeys the second signal
                    told, waiting = len(stopped), []
                    terminate(active)
                start(waiting, active, jobs)
                for training in list(active):
                    message = finish(training, executor, failed, stopped)
                    if message is not None:
                        active.remove(training)
                        shown = show([], shown)
                        print(message, end='', flush=True)
                shown = show(active, shown, len(waiting))
                if active:
                    time.sleep(0.2 if stopped else every)
        finally:
            terminate(active)
            for number, handler in handlers.items():
                signal.signal(number, handler)
    if stopped:
        print('stopped; the same command continues')
        return 128 + stopped[0]
    return 1 if failed else 0


def start(waiting: List[Training], active: List[Training], jobs: int) -> None:
    """Starts waiting trainings, up to so many side by side."""
    while waiting and sum(t.measured is None for t in active) < jobs:
        active.append(waiting.pop(0))
        if not active[-1].is_trained():
            active[-1].start()


def finish(training: Training, executor: Executor, failed: List[str],
           stopped: List[int]) -> Optional[str]:
    """Has a complete training measured; says what came of it at its end."""
    if training.measured is not None:
        if not training.measured.done():
            return None
        try:
            return f'{training.title}: {training.measured.result()}\n'
        except RamError as error:
            failed.append(training.title)
            return f'{training.title}: {error}\n'
    status = training.process.poll() if training.process else 0
    if status is None:
        return None
    if status or not training.is_trained():
        if stopped:
            return ''
        failed.append(training.title)
        return (f'{training.title}: ended with status {status}; see '
                f'{training.folder}.log\n')
    training.measured = executor.submit(training.measure)
    return None


def terminate(trainings: List[Training]) -> None:
    """Stops trainings; they can be resumed."""
    for training in trainings:
        if training.process and training.process.poll() is None:
            training.process.send_signal(signal.SIGTERM)


def show(active: List[Training], shown: int, waiting: int = 0) -> int:
    """One progress line each; on a terminal it replaces the last ones."""
    lines = [training.progress() for training in active]
    if active and waiting:
        lines.append(f'{waiting} more to train')
    if sys.stdout.isatty():
        if shown:
            print(f'\033[{shown}A\033[J', end='')
        # A line that the terminal breaks would count as two.
        width = shutil.get_terminal_size().columns
        lines = [line[:width] for line in lines]
    if lines:
        print('\n'.join(lines), flush=True)
    return len(lines)
