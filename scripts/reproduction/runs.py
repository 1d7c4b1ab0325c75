"""One row with one seed: its training, and the record of it."""

import argparse
import json
import os
import subprocess
import sys
from typing import Optional

from ram.checkpoint import Checkpoint, load_checkpoint
from ram.config import load_config
from ram.errors import RamError
from ram.files import read_log, write_json
from reproduction import rows
from reproduction.records import commit, describe, read_records
from reproduction.trainings import Training

PATHS = 10  # sampled, whose class probabilities are averaged
DRAWS = 10  # of the test canvases


class Run(Training):
    """One row with one seed.

    Args:
        name: Of the row.
        seed: Of the training.
        args: ``runs``, ``device`` and ``data_root``.

    """

    def __init__(self, name: str, seed: int, args: argparse.Namespace):
        self.name, self.seed, self._args = name, seed, args
        self.config_file = os.path.join(rows.CONFIGS, f'{name}.yaml')
        self.train = [os.path.relpath(self.config_file, rows.TOP), '--seed',
                      str(seed)]
        super().__init__(
            f'{name}-{seed}', os.path.join(args.runs, f'{name}-{seed}'),
            load_config(self.config_file).training.epochs,
            [*self.train, '--device', args.device], args.data_root)
        self.best = os.path.join(self.folder, 'best.npz')
        self.record = os.path.join(rows.RESULTS, f'{self.title}.json')

    def done(self) -> bool:
        """Whether it has a record."""
        return os.path.exists(self.record)

    def measure(self) -> str:
        """Writes its record; see :meth:`write_record`."""
        self.write_record()
        return describe(read_records([self.name])[-1])

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
            'command': ' '.join(['ram train', *self.train]),
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
