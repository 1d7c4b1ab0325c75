"""Snapshots: all that a resumed run needs."""

import json
import math
import os
import time
from typing import Any, Dict, List, Optional, Tuple

import chainer
import numpy
from chainer.training import extension

from ram import checkpoint
from ram.config import (
    RESUMABLE,
    RUN_OPTIONS,
    Config,
    config_from_dict,
    differences,
)
from ram.errors import RamError
from ram.training.distributed import SingleProcess
from ram.training.extensions.check_finite import check_weights

_SHARE = 1 / 20  # of the time of the training, for snapshots of epochs


class Snapshot(extension.Extension):
    """Saves all that a resumed run needs, by epoch and by time.

    It saves after each epoch, but for at most a twentieth of the time: epochs
    of less than a second would otherwise wait for the disk.

    The one before is kept as well, in case the newest is damaged. Chainer's
    ``snapshot`` saves no generators and picks the newest file by its time.

    Args:
        out: Run folder.
        config: Saved with it: a resumed run must have the same.
        streams: Generators of this process. Iterator and chain save those of
            rank 0, this those of the other ranks.
        ranks: Rank 0 writes for all.

    Attributes:
        path: The newest snapshot.
        iteration: That it was saved after.

    """

    trigger = 1, 'iteration'
    priority = -100  # after all other extensions

    def __init__(self, out: str, config: Config,
                 streams: Dict[str, numpy.random.Generator],
                 ranks: SingleProcess):
        self.path = os.path.join(out, 'snapshot.npz')
        self._before = os.path.join(out, 'snapshot-before.npz')
        self._fresh = os.path.join(out, 'snapshot-fresh.npz')
        self._config = config
        self._streams = streams
        self._ranks = ranks
        minutes = config.training.snapshot_minutes
        self._seconds = math.inf if minutes is None else 60 * minutes
        self._saved, self._next = time.monotonic(), -math.inf
        self.iteration = None

    def __call__(self, trainer: Any) -> None:
        now = time.monotonic()
        due = now - self._saved >= self._seconds or (
            trainer.updater.is_new_epoch and now >= self._next)
        # Rank 0's clock decides for all.
        if self._ranks.from_first(due):
            self.save(trainer)

    def save(self, trainer: Any) -> None:
        """Writes the snapshot, between two iterations.

        Raises:
            RamError: Where it cannot be written, or a weight is not finite;
                the files that are there stay.

        """
        start = time.monotonic()
        self.iteration = trainer.updater.iteration
        streams = self._ranks.all_of({
            name: stream.bit_generator.state
            for name, stream in self._streams.items()})[1:]
        if self._ranks.rank:
            return
        check_weights(trainer, self.path)
        serializer = chainer.serializers.DictionarySerializer()
        serializer.save(trainer)
        # Chainer saves absent values as None, which takes pickle to store.
        arrays = {name: value for name, value in serializer.target.items()
                  if value.dtype != object}
        checkpoint.write_arrays(
            self._fresh, 'snapshot', arrays,
            {'config': self._config.as_dict(), 'streams': streams,
             'iteration': trainer.updater.iteration,
             'epoch': trainer.updater.epoch})
        # At any moment one of the two names is a whole snapshot.
        if os.path.exists(self.path):
            os.replace(self.path, self._before)
        os.replace(self._fresh, self.path)
        self._saved = time.monotonic()
        self._next = self._saved + (self._saved - start) / _SHARE

    def exists(self) -> bool:
        """Whether there is a run to resume."""
        return os.path.exists(self.path) or os.path.exists(self._before)

    def load(self, trainer: Any) -> Tuple[Optional[str], List[str]]:
        """Restores the newest whole snapshot.

        Args:
            trainer: Made from the same configuration, not yet run.

        Returns:
            What was wrong with the newest snapshot, or None; and the keys
            that have changed since it was written, a line each.

        Raises:
            RamError: Where there is no whole snapshot, or it is of another
                configuration.

        """
        warning = None
        try:
            arrays, meta = checkpoint.read_arrays(self.path, 'snapshot')
        except RamError as error:
            if not os.path.exists(self._before):
                raise
            warning = f'{error}; the one before it is used'
            arrays, meta = checkpoint.read_arrays(self._before, 'snapshot')
        self._ranks.all_of(None)  # all have read
        if warning and self._ranks.rank == 0:
            # The next one must not push the whole one out.
            os.replace(self._before, self.path)
        changed = self._changes(meta)
        try:
            _Restorer(arrays).load(trainer)
            if self._ranks.rank:
                own = meta['streams'][self._ranks.rank - 1]
                for name, state in own.items():
                    self._streams[name].bit_generator.state = state
        except (KeyError, ValueError, TypeError,
                json.JSONDecodeError) as error:
            raise RamError(
                f'{self.path}: does not fit this version of the program '
                f'({error}); finish the run with the version that began it, '
                'or start anew in another --out') from error
        return warning, changed

    def _changes(self, meta):
        # An older version did not know all of today's keys.
        saved = config_from_dict(meta.get('config'), self.path)
        changed = list(differences(saved, self._config, RUN_OPTIONS))
        refused = [f'{key} {old} there, {new} here'
                   for key, old, new in changed if key not in RESUMABLE]
        if refused:
            raise RamError(
                f'{self.path}: of another configuration: '
                + ', '.join(refused) + '; resume with the one it was started '
                f'with (only {", ".join(RESUMABLE)} and run options may '
                'differ), or name another --out')
        processes = 1 + len(meta.get('streams', []))
        if processes != self._ranks.size:
            raise RamError(f'{self.path}: of a run of {processes} processes, '
                           f'not {self._ranks.size}; resume with as many')
        return [f'{key} {old} -> {new}' for key, old, new in changed]


class _Restorer(chainer.serializers.NpzDeserializer):
    """Restores None for values that were None and therefore not saved."""

    def __getitem__(self, key):
        return _Restorer(self.npz, f'{self.path}{key.strip("/")}/')

    def __call__(self, key, value):
        if value is None and self.path + key not in self.npz:
            return None
        return super().__call__(key, value)
