"""Snapshots: all that a resumed run needs."""

import json
import math
import os
import time

import chainer
from chainer.training import extension

from ram import checkpoint
from ram.config import config_from_dict
from ram.errors import RamError
from ram.training.extensions.check_finite import check_weights


class Snapshot(extension.Extension):
    """Saves all that a resumed run needs, by epoch and by time.

    The one before is kept beside it, should the newest be damaged.

    Args:
        out (str): Run folder.
        config (ram.config.Config): Kept with it, for a resumed run must have
            the same.
        streams (dict of str to numpy.random.Generator): Of this process;
            iterator and chain save those of rank 0, this those of the others.
        ranks (ram.training.distributed.SingleProcess): Rank 0 writes for all.

    Attributes:
        path (str): The newest snapshot.

    """

    trigger = 1, 'iteration'
    priority = -100  # when all others have done their work

    def __init__(self, out, config, streams, ranks):
        self.path = os.path.join(out, 'snapshot.npz')
        self._before = os.path.join(out, 'snapshot-before.npz')
        self._fresh = os.path.join(out, 'snapshot-fresh.npz')
        self._config = config
        self._streams = streams
        self._ranks = ranks
        minutes = config.training.snapshot_minutes
        self._seconds = math.inf if minutes is None else 60 * minutes
        self._saved = time.monotonic()

    def __call__(self, trainer):
        # Rank 0's clock is everyone's.
        late = time.monotonic() - self._saved >= self._seconds
        if trainer.updater.is_new_epoch or self._ranks.from_first(late):
            self.save(trainer)

    def save(self, trainer):
        """Writes the snapshot.

        Args:
            trainer (chainer.training.Trainer): Between two iterations.

        Raises:
            RamError: Where it cannot be written, or a weight is no longer
                finite; what was saved stays.

        """
        streams = self._ranks.all_of({
            name: stream.bit_generator.state
            for name, stream in self._streams.items()})[1:]
        if self._ranks.rank:
            return
        check_weights(trainer, self.path)
        serializer = chainer.serializers.DictionarySerializer()
        serializer.save(trainer)
        # Chainer saves what is not there as None, which only pickle holds.
        arrays = {name: value for name, value in serializer.target.items()
                  if value.dtype != object}
        checkpoint.write_arrays(
            self._fresh, 'snapshot', arrays,
            {'config': self._config.as_dict(), 'streams': streams,
             'iteration': trainer.updater.iteration,
             'epoch': trainer.updater.epoch})
        # At any moment one of the two names stands for a whole snapshot.
        if os.path.exists(self.path):
            os.replace(self.path, self._before)
        os.replace(self._fresh, self.path)
        self._saved = time.monotonic()

    def exists(self):
        """Whether there is a run to go on with."""
        return os.path.exists(self.path) or os.path.exists(self._before)

    def load(self, trainer):
        """Takes up a run where the newest whole snapshot left it.

        Args:
            trainer (chainer.training.Trainer): Made from the same
                configuration, not yet run.

        Returns:
            str: What was wrong with the newest one, if anything was.

        Raises:
            RamError: Where there is no whole one, or it is of another
                configuration.

        """
        warning = None
        try:
            arrays, meta = checkpoint.read_arrays(self.path, 'snapshot')
        except RamError as error:
            if not os.path.exists(self._before):
                raise
            warning = f'{error}; going on from the one before'
            arrays, meta = checkpoint.read_arrays(self._before, 'snapshot')
        self._ranks.all_of(None)  # all have read
        if warning and self._ranks.rank == 0:
            # The next one must not push the whole one out.
            os.replace(self._before, self.path)
        self._check(meta)
        try:
            _Restorer(arrays).load(trainer)
            if self._ranks.rank:
                own = meta['streams'][self._ranks.rank - 1]
                for name, state in own.items():
                    self._streams[name].bit_generator.state = state
        except (KeyError, ValueError, TypeError, json.JSONDecodeError) as e:
            raise RamError(f'{self.path}: does not fit this program ({e}); '
                           'start the run anew in another --out')
        return warning

    def _check(self, meta):
        # An older program did not know all of today's keys.
        there = config_from_dict(meta.get('config'), self.path).as_dict()
        if there != self._config.as_dict():
            raise RamError(
                f'{self.path}: of another configuration: '
                + ', '.join(_differences(there, self._config.as_dict()))
                + '; resume with the one it was started with, or name '
                'another --out')
        processes = 1 + len(meta.get('streams', []))
        if processes != self._ranks.size:
            raise RamError(f'{self.path}: of a run of {processes} processes, '
                           f'not {self._ranks.size}; resume with as many')


class _Restorer(chainer.serializers.NpzDeserializer):
    """Gives None back for what was saved as None, that is, left out."""

    def __getitem__(self, key):
        return _Restorer(self.npz, f'{self.path}{key.strip("/")}/')

    def __call__(self, key, value):
        if value is None and self.path + key not in self.npz:
            return None
        return super().__call__(key, value)


def _differences(old, new):
    for section in new:
        for key, value in new[section].items():
            if old[section][key] != value:
                yield (f'{section}.{key} {old[section][key]} there, '
                       f'{value} here')
