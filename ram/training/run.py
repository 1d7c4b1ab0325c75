"""One training run, from configuration to run folder."""

import contextlib
import functools
import json
import os
import platform
import signal
import sys
import time
from typing import NamedTuple

import chainer
from chainer import training
from chainer.training import extensions
import filelock
import numpy

from ram.checkpoint import load_weights
from ram.data.batches import BatchIterator
from ram.data.splits import fixed_canvases
from ram.data.splits import load_splits
from ram.data.splits import name_classes
from ram.errors import RamError
from ram.files import replacing
from ram.files import sweep
from ram.networks import build_network
from ram.networks import import_parts
from ram.streams import make_streams
from ram.training.device import DeviceUpdater
from ram.training.device import Iteration
from ram.training.device import stays_on
from ram.training.extensions import AverageWeights
from ram.training.extensions import Finite
from ram.training.extensions import KeepBest
from ram.training.extensions import LearningRate
from ram.training.extensions import Narrowing
from ram.training.extensions import Snapshot
from ram.training.extensions import Validation
from ram.training.flat import Adam
from ram.training.flat import FlatChain
from ram.training.helpers import Helpers
from ram.training.ranks import Alone
from ram.training.tensorboard import FOLDER
from ram.training.tensorboard import require_tensorboard
from ram.training.tensorboard import TensorBoard
from ram.training.train_chain import build_train_chain

OPTIMIZERS = {
    'adam': lambda t: Adam(t.learning_rate),
    'momentum_sgd': lambda t: chainer.optimizers.MomentumSGD(
        t.learning_rate, t.momentum),
    'nesterov': lambda t: chainer.optimizers.NesterovAG(
        t.learning_rate, t.momentum)}

LOCK = '.lock'  # in a run folder

COLUMNS = ['epoch', 'main/loss', 'main/error', 'validation/main/error',
           'main/location/spread', 'main/location/outside', 'learning_rate',
           'elapsed_time']


class Outcome(NamedTuple):
    """How a run ended.

    Attributes:
        best (str): The best checkpoint, or None if no epoch was finished.
        error (float): Its validation error in %.
        epoch (int): Its epoch.
        files (list of str): All files made.
        interrupted (int): The signal that ended the run early, or 0.

    """

    best: str
    error: float
    epoch: int
    files: list
    interrupted: int


class _Stop:
    """Ends a run: at its last epoch, by lost patience, or by a signal.

    A signal is heeded between two iterations, when everything that a
    snapshot holds is whole. A second one ends the program at once.
    """

    def __init__(self, epochs, patience, best, ranks):
        self._epochs = epochs
        self._patience = patience
        self._best = best
        self._ranks = ranks
        self.signal = 0

    def __call__(self, trainer):
        epoch = trainer.updater.epoch
        weary = (self._patience is not None
                 and epoch - self._best.epoch >= self._patience)
        self.signal = max(self._ranks.all_of(self.signal))
        return epoch >= self._epochs or weary or bool(self.signal)

    def get_training_length(self):
        return self._epochs, 'epoch'

    @contextlib.contextmanager
    def listening(self):
        """While it lasts, signals are noted instead of obeyed."""
        before = {}

        def heed(number, frame):
            self.signal = number
            signal.signal(number, before[number])

        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                before[number] = signal.signal(number, heed)
        except ValueError:  # not the main thread, which alone gets signals
            pass
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def get_device(name):
    """The device of a name.

    Args:
        name (str): ``@numpy``, ``@cupy:N``, or N for the GPU of that number.

    Returns:
        chainer.backend.Device

    Raises:
        RamError: Where there is no such device.

    """
    try:
        if name.isdecimal():
            name = f'@cupy:{name}'
        if not name.startswith(('@numpy', '@cupy')):
            raise ValueError('unknown name')
        device = chainer.get_device(name)
        device.use()
        return device
    except Exception as error:  # CuPy fails in ways of its own
        reason = str(error).strip().split('\n')[0]
        raise RamError(f'--device {name}: not to be had ({reason}); use '
                       '@numpy, or @cupy:0 or 0 with CuPy and a GPU')


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


def train(config, out, device, root=None, resume=False, stream=None,
          ranks=Alone(), tensorboard=False):
    """Trains a network.

    The run folder then holds ``config.yaml`` (resolved), ``versions.json``,
    ``log`` (JSON, one entry an epoch), ``loss.png``, ``error.png``,
    ``trajectories.gif`` (how the policy changed; not of a baseline),
    ``best.npz``, ``last.npz``, ``snapshot.npz`` and the snapshot before it.

    Args:
        config (ram.config.Config): What and how.
        out (str): Run folder.
        device (chainer.backend.Device): Where.
        root (str): Data root, if not the configuration's.
        resume (bool): Go on with the run in the folder.
        stream (file object): Progress goes there; to standard output if left
            out.
        ranks (ram.training.ranks.Alone): The processes that train together.
        tensorboard (bool): Write for TensorBoard too, into ``tensorboard``.

    Returns:
        Outcome

    Raises:
        RamError: For a folder in use, bad data, a full disk, a loss that is
            no longer finite, where tensorboardX is missing, or a class named
            by the configuration that is not what it should be.

    """
    stream = stream or sys.stdout
    if tensorboard:
        require_tensorboard()
    import_parts(config)
    config = name_classes(config)
    splits = load_splits(config.data, root)
    if config.training.batch_size > len(splits.train.labels):
        raise RamError(
            f'training.batch_size: {config.training.batch_size} is more than '
            f'the {len(splits.train.labels)} training images; set it lower')
    if config.training.batch_size % ranks.size:
        raise RamError(
            f'training.batch_size: {config.training.batch_size} cannot be '
            f'shared by {ranks.size} processes; set it to a multiple')
    if ranks.rank:
        ranks.from_first(None)  # waits for the folder
        return _train(config, splits, out, device, stream, ranks, False)
    with prepare_folder(out, config, resume):
        _write_versions(out, device, ranks)
        ranks.from_first(None)
        return _train(config, splits, out, device, stream, ranks,
                      tensorboard)


def _train(config, splits, out, device, stream, ranks, tensorboard):
    trainer, best, snapshot = build_trainer(config, splits, out, device,
                                            stream, ranks, tensorboard)
    if snapshot.exists():
        warning = snapshot.load(trainer)
        if ranks.rank == 0:
            if warning:
                print(f'ram: {warning}', file=sys.stderr)
            print(f'resumed after epoch {trainer.updater.epoch}, iteration '
                  f'{trainer.updater.iteration}', file=stream)
    stop = trainer.stop_trigger
    if not stop(trainer):
        try:
            # What overflows is told by Finite, in one line.
            with stop.listening(), numpy.errstate(all='ignore'):
                trainer.run(show_loop_exception_msg=False)
        except BrokenPipeError:  # of the stream, not of the folder
            raise
        except OSError as error:
            raise RamError(
                f'{out}: cannot be written: {error.strerror or error}; make '
                f'room and go on with --resume')
        if trainer.updater.epoch_detail != trainer.updater.epoch:
            snapshot.save(trainer)
    names = ['config.yaml', 'versions.json', 'log', 'loss.png', 'error.png',
             'trajectories.gif', FOLDER, 'best.npz', 'last.npz',
             'snapshot.npz', 'snapshot-before.npz']
    files = [path for path in (os.path.join(out, name) for name in names)
             if os.path.exists(path)]
    return Outcome(os.path.join(out, 'best.npz') if best.epoch else None,
                   best.error, best.epoch, files, stop.signal)


def _write_versions(out, device, ranks):
    with replacing(os.path.join(out, 'versions.json'), 'w') as f:
        json.dump(dict(versions(device), processes=ranks.size,
                       command=' '.join(sys.argv),
                       started=time.strftime('%Y-%m-%d %H:%M:%S %z')),
                  f, indent=2)


def build_trainer(config, splits, out, device, stream, ranks=Alone(),
                  tensorboard=False):
    """Composes model, optimizer, iterator, updater and extensions.

    Args:
        config (ram.config.Config): What and how.
        splits (ram.data.splits.Splits): The images.
        out (str): Run folder.
        device (chainer.backend.Device): Where.
        stream (file object): Progress goes there.
        ranks (ram.training.ranks.Alone): The processes that train together.
        tensorboard (bool): Write for TensorBoard too.

    Returns:
        tuple: The trainer, its KeepBest and its Snapshot.

    """
    streams = make_streams(config.training.seed, ranks.rank)
    model = build_network(config, streams['weights'])
    if config.training.start_from is not None:
        load_weights(config.training.start_from, model)
    chain = build_train_chain(model, config.training, streams)
    chain.to_device(device)
    optimizer, helpers = _optimizer(chain, config, device, ranks)
    iterator = BatchIterator(config.data, splits.train,
                             config.training.batch_size, streams,
                             ranks.rank, ranks.size)
    average = None
    if config.training.average:
        average = AverageWeights(model, config.training.average)
        model = average.model
    rate = LearningRate(optimizer, config.training)
    narrowing = None
    if config.training.first_std and config.model.network == 'ram':
        narrowing = Narrowing(chain.model, config.training)
    stays = stays_on(device, chain, config)
    if stays:
        updater = DeviceUpdater(
            iterator, optimizer, *_iteration(
                chain, optimizer, splits.train, config, iterator.longest,
                ranks, average), rate.at,
            narrowing.at if narrowing else lambda epoch: chain.model.std)
    else:
        updater = _updater(iterator, optimizer, device, config.training.clip,
                           ranks, helpers)

    best = KeepBest(model, config, writes=ranks.rank == 0)
    snapshot = Snapshot(out, config, streams, ranks)
    stop = _Stop(config.training.epochs, config.training.early_stopping, best,
                 ranks)
    trainer = training.Trainer(updater, stop, out)
    # It reports, not the one parameter that the optimizer sees.
    trainer.reporter.add_observer('main', chain)
    trainer.extend(Finite(snapshot.path, ranks))
    if average is not None:
        trainer.extend(average, trigger=_never if stays else None)
    images, labels, _ = fixed_canvases(config.data, splits, 'validation')
    trainer.extend(Validation(model, images, labels, config, ranks))
    trainer.extend(best)
    trainer.extend(rate)
    if narrowing is not None:
        trainer.extend(narrowing)
    trainer.extend(snapshot)
    if ranks.rank == 0:
        _extend_with_reports(trainer, stream)
        examples = _extend_with_film(trainer, model, images, labels, config)
        if tensorboard:
            trainer.extend(TensorBoard(chain.model, examples, out))
    return trainer, best, snapshot


def _optimizer(chain, config, device, ranks):
    """The optimizer of a chain, and the chain's helpers or None."""
    optimizer = OPTIMIZERS[config.training.optimizer](config.training)
    if (config.training.threads == 1 or device.xp is not numpy
            or not chain.gradients_in_one()):
        return optimizer.setup(FlatChain(chain)), None
    helpers = Helpers(chain, config,
                      config.training.batch_size // ranks.size)
    if isinstance(optimizer, Adam):
        optimizer.helpers = helpers
    flat = FlatChain(chain, helpers.weights, helpers.gradient)
    return optimizer.setup(flat), helpers


def _updater(iterator, optimizer, device, clip, ranks, helpers):
    """An updater with what is done to the gradients before it uses them."""
    if optimizer.target.chain.gradients_in_one():
        optimizer.target.join_gradients()
        kind = functools.partial(_GraphlessUpdater, helpers)
    else:
        optimizer.add_hook(optimizer.target.gather, 'gather', 'pre')
        kind = training.updaters.StandardUpdater
    if ranks.size > 1:
        optimizer.add_hook(ranks.mean_gradients, 'mean over ranks', 'pre')
    if clip is not None:
        optimizer.add_hook(chainer.optimizer_hooks.GradientClipping(clip))
    return kind(iterator, optimizer, device=device, converter=_send)


class _GraphlessUpdater(training.updaters.StandardUpdater):
    """Chainer's updater, for a chain that writes its gradients itself.

    Args:
        helpers (ram.training.helpers.Helpers): They help it; or None.
        *args: Chainer's.

    """

    def __init__(self, helpers, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._helpers = helpers

    def update_core(self):
        iterator, optimizer = self.get_iterator('main'), self.get_optimizer(
            'main')
        batch = self.converter(iterator.next(), self.input_device)
        (self._helpers or optimizer.target.chain).learn(*batch)
        optimizer.update()
        if iterator.is_new_epoch:
            optimizer.new_epoch(auto=True)

    def finalize(self):
        super().finalize()
        if self._helpers is not None:
            self._helpers.close()


def _iteration(chain, optimizer, split, config, longest, ranks, average):
    """An iteration that stays on the device, and what runs it."""
    iteration = Iteration(
        chain, optimizer, split, config,
        config.training.batch_size // ranks.size, longest, ranks, average)
    if chain.xp is numpy:  # in tests
        return iteration, iteration
    from ram.training.graph import Replay
    # The mean over ranks is no work of one GPU.
    return iteration, Replay(iteration, config.training.cuda_graph == 'auto'
                             and ranks.size == 1)


def _never(trainer):
    """A trigger for what an iteration on the device does by itself."""
    return False


def _extend_with_reports(trainer, stream):
    # Drawing is slow to import, and not needed by all commands.
    from ram.training.curves import Curves
    report = extensions.LogReport()
    trainer.extend(report)
    trainer.extend(extensions.PrintReport(COLUMNS, out=_Plain(stream)))
    trainer.extend(Curves(report, trainer.out))
    if stream.isatty():
        trainer.extend(extensions.ProgressBar(update_interval=10, out=stream))


def _extend_with_film(trainer, model, images, labels, config):
    """Adds the film of a few images; hands these back, or None."""
    if config.model.network != 'ram':
        return None
    from ram.training.pictures import Examples, Trajectories
    examples = Examples(model, images, labels, config)
    trainer.extend(Trajectories(examples, trainer.out))
    return examples


@chainer.dataset.converter()
def _send(batch, device):
    return tuple(device.send(array) for array in batch)


class _Plain:
    """A stream without the escapes that PrintReport means for terminals."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, text):
        if not self._stream.isatty():
            text = text.replace('\033[J', '')
        self._stream.write(text)

    def flush(self):
        self._stream.flush()
