"""One row with one seed: its training, and the record of it."""

import argparse
import json
import os
import subprocess
import sys
from typing import List, Optional

from ram.checkpoint import Checkpoint, load_checkpoint
from ram.config import load_config
from ram.errors import RamError
from ram.files import read_log, write_json
from reproduction import rows
from reproduction.records import commit

PATHS = 10  # sampled, whose class probabilities are averaged
DRAWS = 10  # of the test canvases


class Run:
    """One row with one seed.

    Args:
        name: Of the row.
        seed: Of the training.
        args: ``runs``, ``device`` and ``data_root``.

    Attributes:
        process (subprocess.Popen): Its training, once started.
        record_written (concurrent.futures.Future): Its evaluation, likewise.

    """

    def __init__(self, name: str, seed: int, args: argparse.Namespace):
        self.name, self.seed, self._args = name, seed, args
        self.title = f'{name}-{seed}'
        self.folder = os.path.join(args.runs, self.title)
        self.best = os.path.join(self.folder, 'best.npz')
        self.record = os.path.join(rows.RESULTS, f'{self.title}.json')
        self.config_file = os.path.join(rows.CONFIGS, f'{name}.yaml')
        self.epochs = load_config(self.config_file).training.epochs
        self.process = self.record_written = None

    def done(self) -> bool:
        """Whether it has a record."""
        return os.path.exists(self.record)

    def command(self) -> List[str]:
        """The command that trains it."""
        return ['ram', 'train', os.path.relpath(self.config_file, rows.TOP),
                '--seed', str(self.seed), '--out', self.folder,
                '--device', self._args.device, '--resume']

    def start(self) -> None:
        """Starts or resumes its training."""
        os.makedirs(self._args.runs, exist_ok=True)
        # More threads would disturb the trainings beside it.
        environment = dict(os.environ, OMP_NUM_THREADS='1')
        if self._args.data_root:
            environment['RAM_DATA_ROOT'] = os.path.abspath(
                self._args.data_root)
        with open(self.folder + '.log', 'ab') as log:
            self.process = subprocess.Popen(
                [sys.executable, '-m'] + self.command(), cwd=rows.TOP,
                env=environment, stdout=log, stderr=log)

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

    def trained(self) -> bool:
        """Whether its training is complete."""
        entries = read_log(self.folder)
        return bool(entries) and entries[-1]['epoch'] >= self.epochs

    def load_best(self) -> Checkpoint:
        """Its best checkpoint.

        Raises:
            RamError: Where the run is of another configuration than the
                row's.

        """
        loaded = load_checkpoint(self.best)
        if loaded.config != load_config(self.config_file, [
                f'training.seed={self.seed}']):
            raise RamError(
                f'{self.best}: was trained with another configuration than '
                f'{self.config_file}; move {self.folder} away to train it '
                'again')
        return loaded

    def write_record(self, network: Optional[str] = None,
                     trained_by: Optional[str] = None) -> None:
        """Evaluates the best checkpoint once, and writes the record.

        Args:
            network: The file that is measured in its place: the one that
                ships, whose weights are rounded.
            trained_by: Commit; the one that is checked out if left out.

        Raises:
            RamError: See :meth:`load_best`.

        """
        loaded = self.load_best()
        config = loaded.config
        network = network or self.best
        result = self._evaluate(network)
        more = {}
        if config.model.network == 'ram':
            sampled = self._evaluate(network, '--policy', 'sample',
                                     '--samples', str(PATHS))
            more['sampled'] = {'paths': PATHS, 'error': sampled['error'],
                               'interval': sampled['interval']}
        if config.data.variant != 'original':
            more['canvas_errors'] = self._evaluate(
                network, '--canvas-seeds', str(DRAWS))['canvas_errors']
        entries = read_log(self.folder)
        minutes = entries[-1]['elapsed_time'] / 60
        with open(os.path.join(self.folder, 'versions.json')) as file:
            found = json.load(file)
        images = entries[-1]['iteration'] * config.training.batch_size
        record = {
            'row': self.name, 'seed': self.seed, 'error': result['error'],
            'interval': result['interval'], 'n': result['n'],
            'error_by_glimpse': result['error_by_glimpse'], **more,
            'validation_error': loaded.metrics['validation_error'],
            'epoch': loaded.metrics['epoch'], 'epochs': len(entries),
            'minutes': round(minutes, 1),
            'images_per_second': round(images / (minutes * 60)),
            **{key: found.get(key) for key in ('device', 'engine', 'tf32')},
            'versions': {key: found[key] for key in (
                'ram', 'python', 'chainer', 'numpy', 'cupy', 'threads')
                if key in found},
            'commit': trained_by or commit(),
            'command': (f'ram train {os.path.relpath(self.config_file, rows.TOP)} '
                        f'--seed {self.seed}'),
            'curve': [entry.get('validation/main/error')
                      for entry in entries]}
        os.makedirs(rows.RESULTS, exist_ok=True)
        write_json(self.record, record)

    def _evaluate(self, network, *options):
        """The result of `ram evaluate` on the test images."""
        out = os.path.join(self.folder, 'evaluation.json')
        command = ['evaluate', network, '--json', out, '--device',
                   self._args.device, *options]
        if self._args.data_root:
            command += ['--data-root', self._args.data_root]
        done = subprocess.run(
            [sys.executable, '-m', 'ram'] + command, cwd=rows.TOP,
            capture_output=True, text=True)
        if done.returncode:
            raise RamError(*done.stderr.strip().split('\n'))
        with open(out) as file:
            return json.load(file)
