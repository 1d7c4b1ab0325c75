"""Extensions of Chainer's Trainer that this program adds."""

import json
import math
import os
import time

import chainer
from chainer.training import extension

from ram import checkpoint
from ram.config import config_from_dict
from ram.errors import RamError
from ram.evaluation import evaluate
from ram.evaluation import evaluation_streams
from ram.training.flat import flatten


class LearningRate(extension.Extension):
    """Sets the learning rate before every update.

    It is computed from the epochs passed, so that a resumed run goes on at
    the very rate. Only ``plateau`` has a state, which is saved.

    Args:
        optimizer (chainer.Optimizer): Its rate is set.
        training (ram.config.TrainingConfig): The schedule.

    """

    trigger = 1, 'iteration'
    priority = extension.PRIORITY_EDITOR

    def __init__(self, optimizer, training):
        self._optimizer = optimizer
        # Adam's lr is a derived value; its alpha is the rate.
        self._name = 'alpha' if hasattr(optimizer, 'alpha') else 'lr'
        self._training = training
        self._share = 1.0
        self._best = math.inf
        self._waited = 0

    def initialize(self, trainer):
        self._set(trainer)

    def __call__(self, trainer):
        error = trainer.observation.get('validation/main/error')
        if self._training.schedule == 'plateau' and error is not None:
            self._watch(error)
        rate = self._set(trainer)
        chainer.report({'learning_rate': rate})

    def _watch(self, error):
        training = self._training
        if error < self._best:
            self._best, self._waited = error, 0
            return
        self._waited += 1
        if self._waited >= training.plateau_patience:
            self._share = max(self._share * training.step_factor,
                              training.final_rate)
            self._waited = 0

    def _set(self, trainer):
        rate = self.at(trainer.updater.epoch_detail)
        setattr(self._optimizer, self._name, rate)
        return rate

    def at(self, epoch):
        """The rate after so many epochs (float), fractions counted."""
        training = self._training
        if training.schedule == 'cosine':
            share = training.final_rate + (1 - training.final_rate) * (
                _half_cosine(epoch, training.epochs))
        elif training.schedule == 'step':
            share = training.step_factor ** sum(
                epoch >= step for step in training.step_epochs)
        else:
            share = self._share
        return training.learning_rate * share

    def serialize(self, serializer):
        self._share = float(serializer('share', self._share))
        self._best = float(serializer('best', self._best))
        self._waited = int(serializer('waited', self._waited))


class Narrowing(extension.Extension):
    """Lets the policy's standard deviation fall while it is trained.

    A wide policy explores; the classifier that is left at the end should see
    what it will see when the policy's mean is followed. Like the learning
    rate it is computed from the epochs passed.

    Args:
        model (ram.ram.RAM): Its ``std`` is set before every update.
        training (ram.config.TrainingConfig): With a ``first_std``.

    """

    trigger = 1, 'iteration'
    priority = extension.PRIORITY_EDITOR

    def __init__(self, model, training):
        self._model = model
        self._training = training
        self._last = model.std

    def initialize(self, trainer):
        self(trainer)

    def __call__(self, trainer):
        self._model.std = self.at(trainer.updater.epoch_detail)

    def at(self, epoch):
        """The deviation after so many epochs (float), fractions counted."""
        share = _half_cosine(epoch, self._training.epochs)
        return self._last + share * (self._training.first_std - self._last)


def _half_cosine(epoch, epochs):
    """From 1 at the start to 0 after so many epochs."""
    passed = min(epoch / epochs, 1)
    return (1 + math.cos(math.pi * passed)) / 2


class AverageWeights(extension.Extension):
    """Keeps a running average of the weights, which is what is measured.

    Averaged over some epochs, weights jump less from one epoch to the next
    than the rate makes them, and the epoch that validation prefers is less a
    matter of luck.

    Args:
        model (ram.ram.RAM): The network that learns.
        decay (float): Weight of the average so far, below 1. It starts lower,
            so that the first weights are soon forgotten.

    Attributes:
        model (ram.ram.RAM): The network with the averaged weights.
        vector (array): All of these, (number of weights,).
        decay (float): As given.

    """

    trigger = 1, 'iteration'
    priority = extension.PRIORITY_WRITER + 50  # before it is measured

    def __init__(self, model, decay):
        self.decay = decay
        self.model = model.copy('copy')
        self.vector = flatten(self.model)

    def __call__(self, trainer):
        t = trainer.updater.iteration
        step = 1 - min(self.decay, t / (t + 10))
        weights = trainer.updater.get_optimizer('main').target.vector.array
        self.vector += step * (weights - self.vector)

    def serialize(self, serializer):
        self.model.serialize(serializer['model'])


class Finite(extension.Extension):
    """Stops a run whose loss or weights are no longer finite.

    The loss is looked at whenever it is reported, and the weights once an
    epoch, before they are measured.

    Args:
        snapshot (str): The file to name as the way back.
        ranks (ram.training.ranks.Alone): Those that train together: they
            stop together.

    """

    trigger = 1, 'iteration'
    priority = extension.PRIORITY_WRITER + 100

    def __init__(self, snapshot, ranks):
        self._snapshot = snapshot
        self._ranks = ranks

    def __call__(self, trainer):
        observation = trainer.observation
        if 'main/loss' not in observation:
            return
        loss = float(chainer.as_array(observation['main/loss']))
        # A loss that was reported late says since when it is no number.
        iteration = observation.get('main/lost', trainer.updater.iteration)
        for loss, iteration in self._ranks.all_of((loss, iteration)):
            if not math.isfinite(loss):
                _stop(iteration, self._snapshot, f'the loss became {loss}')
        if trainer.updater.is_new_epoch:
            refuse_infinite(trainer, self._snapshot)


def refuse_infinite(trainer, snapshot):
    """Stops a run with a weight that is no longer finite.

    Args:
        trainer (chainer.training.Trainer): Of the run.
        snapshot (str): The file to name as the way back.

    Raises:
        RamError: Names the weight and the iteration.

    """
    for name, param in trainer.updater.get_optimizer(
            'main').target.chain.namedparams():
        if not bool(param.xp.isfinite(param.array).all()):
            _stop(trainer.updater.iteration, snapshot,
                  f'the weight {name} became infinite')


def _stop(iteration, snapshot, what):
    way_back = (f'the last good snapshot is {snapshot}'
                if os.path.exists(snapshot) else 'there is no snapshot yet')
    raise RamError(
        f'{what} at iteration {iteration}; {way_back}; '
        'lower training.learning_rate or training.clip')


class Validation(extension.Extension):
    """Measures the error on the validation images.

    It does so after every ``evaluation.every`` epochs, and after the last.
    The images, first locations and (for the random policy) glimpses are the
    same each time and for every model.

    Args:
        model (ram.ram.RAM): The network.
        images (array): (N, C, H, W) float32 on the CPU.
        labels (array): (N,) int32.
        config (ram.config.Config): The configuration.
        ranks (ram.training.ranks.Alone): Rank 0 measures for all.

    Attributes:
        model (ram.ram.RAM): The network.

    """

    trigger = 1, 'epoch'
    priority = extension.PRIORITY_WRITER

    def __init__(self, model, images, labels, config, ranks):
        self.model = model
        self._images = images
        self._labels = labels
        self._config = config
        self._ranks = ranks

    def __call__(self, trainer):
        epoch = trainer.updater.epoch
        if (epoch % self._config.evaluation.every
                and epoch < self._config.training.epochs):
            return
        report = None
        if self._ranks.rank == 0:
            result = evaluate(
                self.model, self._images, self._labels,
                evaluation_streams(self._config.data, 'validation'),
                batch_size=self._config.evaluation.batch_size)
            report = {'validation/main/error': result.error,
                      'validation/main/loss': result.loss}
        chainer.report(self._ranks.from_first(report))


class KeepBest(extension.Extension):
    """Writes the model when it was measured, and the best one apart.

    Args:
        model (ram.ram.RAM): The network.
        config (ram.config.Config): Goes into the checkpoints.
        writes (bool): Whether this process writes them.

    Attributes:
        error (float): The least validation error so far, in %.
        epoch (int): The epoch that reached it.

    """

    trigger = 1, 'epoch'
    priority = extension.PRIORITY_EDITOR

    def __init__(self, model, config, writes):
        self._model = model
        self._config = config
        self._writes = writes
        self.error = math.inf
        self.epoch = 0

    def __call__(self, trainer):
        error = trainer.observation.get('validation/main/error')
        if error is None:  # not measured after this epoch
            return
        metrics = {'epoch': trainer.updater.epoch,
                   'iteration': trainer.updater.iteration,
                   'validation_error': error}
        # Of equals the later one, which had the lower learning rate.
        if error <= self.error:
            self.error, self.epoch = error, trainer.updater.epoch
            self._save(trainer, 'best.npz', metrics)
        self._save(trainer, 'last.npz', metrics)

    def _save(self, trainer, name, metrics):
        if self._writes:
            checkpoint.save_checkpoint(os.path.join(trainer.out, name),
                                       self._model, self._config, metrics)

    def serialize(self, serializer):
        self.error = float(serializer('error', self.error))
        self.epoch = int(serializer('epoch', self.epoch))


class Snapshot(extension.Extension):
    """Saves all that a resumed run needs, by epoch and by time.

    The one before is kept beside it, should the newest be damaged.

    Args:
        out (str): Run folder.
        config (ram.config.Config): Kept with it, for a resumed run must have
            the same.
        streams (dict of str to numpy.random.Generator): Of this process;
            iterator and chain save those of rank 0, this those of the others.
        ranks (ram.training.ranks.Alone): Rank 0 writes for all.

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
        refuse_infinite(trainer, self.path)
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
