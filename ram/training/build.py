"""Composes a training: model, optimizer, iterator, updater, extensions."""

from functools import partial
from typing import Any, NamedTuple

import chainer
import numpy
from chainer import training
from chainer.training import extensions

from ram.checkpoint import load_weights
from ram.config import Config
from ram.data.batches import BatchIterator
from ram.data.splits import Splits, fixed_canvases
from ram.evaluation.evaluate import evaluation_streams
from ram.fast.device import DeviceUpdater
from ram.fast.device_evaluation import DevicePrediction
from ram.fast.device_iteration import DeviceIteration
from ram.fast.engine import Engine, select_engine
from ram.fast.flat import Adam, FlatChain
from ram.fast.fused import fused_loss
from ram.losses import balanced_weights, loss_by_links
from ram.models.build import build_network
from ram.models.comparison import Baseline
from ram.models.player import Player
from ram.random_streams import make_streams
from ram.training.distributed import SINGLE_PROCESS, SingleProcess
from ram.training.extensions.average_weights import AverageWeights
from ram.training.extensions.check_finite import CheckFinite
from ram.training.extensions.learning_rate import LearningRate
from ram.training.extensions.save_best import SaveBest
from ram.training.extensions.snapshot import Snapshot
from ram.training.extensions.tensorboard import TensorBoard
from ram.training.extensions.validation import Validation
from ram.training.extensions.value_schedule import ValueSchedule
from ram.training.extensions.watch_policy import WatchPolicy
from ram.training.signals import StopTrigger
from ram.training.train_chain import (
    ComparisonTrainChain,
    GameTrainChain,
    TrainChain,
)

OPTIMIZERS = {
    'adam': lambda t: Adam(t.learning_rate),
    'momentum_sgd': lambda t: chainer.optimizers.MomentumSGD(
        t.learning_rate, t.momentum),
    'nesterov': lambda t: chainer.optimizers.NesterovAG(
        t.learning_rate, t.momentum)}

COLUMNS = ['epoch', 'main/loss', 'main/error', 'validation/main/error',
           'main/location/spread', 'main/location/outside', 'learning_rate',
           'elapsed_time']


class Composed(NamedTuple):
    """A training that is ready to run."""

    trainer: training.Trainer
    best: SaveBest
    snapshot: Snapshot
    engine: Engine


def build_trainer(config: Config, splits: Splits, out: str,
                  device: chainer.backend.Device, stream: Any,
                  ranks: SingleProcess = SINGLE_PROCESS,
                  tensorboard: bool = False) -> Composed:
    """Composes model, optimizer, iterator, updater and extensions.

    Args:
        config: The configuration.
        splits: The images.
        out: Run folder.
        device: Where to train.
        stream: Progress is written there.
        ranks: The processes that train together.
        tensorboard: Write for TensorBoard too.

    Raises:
        RamError: Where the engine that is asked for does not apply.

    """
    streams = make_streams(config.training.seed, ranks.rank)
    snapshot = Snapshot(out, config, streams, ranks)
    model = build_network(config, streams['weights'])
    # A snapshot has its own weights: the file may be gone.
    if config.training.start_from is not None and not snapshot.exists():
        load_weights(config.training.start_from, model)
    engine = select_engine(config, model, device)
    chain = _train_chain(model, config, streams, engine, device,
                         splits.train.labels)
    chain.to_device(device)
    optimizer = OPTIMIZERS[config.training.optimizer](config.training)
    iterator = BatchIterator(config.data, splits.train,
                             config.training.batch_size, streams,
                             ranks.rank, ranks.size)
    optimizer.setup(FlatChain(chain))
    rate, std, entropy, average = _schedules(optimizer, chain, config, engine)
    if engine.name == 'device':
        updater = _device_updater(iterator, optimizer, splits, config, ranks,
                                  average, rate, std, engine.tf32)
    else:
        updater = _updater(iterator, optimizer, device, config.training.clip,
                           ranks, engine.tf32)

    measured = model if average is None else average.model
    best = SaveBest(measured, config, writes=ranks.rank == 0)
    trainer = training.Trainer(updater, StopTrigger(
        config.training.epochs, config.training.early_stopping,
        config.evaluation.every, best, ranks), out)
    # The chain reports, not the one parameter that the optimizer sees.
    trainer.reporter.add_observer('main', chain)
    images, labels, _ = fixed_canvases(config.data, splits, 'validation')
    for extension in (
            CheckFinite(snapshot.path, ranks), average,
            _validation(measured, images, labels, config, ranks, engine),
            best, rate, std, entropy, snapshot):
        if extension is not None:
            trainer.extend(extension)
    if ranks.rank == 0:
        _extend_with_reports(trainer, stream, measured, images, labels,
                             config, tensorboard)
    return Composed(trainer, best, snapshot, engine)


def _train_chain(model, config, streams, engine, device, labels):
    """The network with the loss that it is trained by."""
    weights = None
    if config.training.class_weights == 'balanced':
        weights = balanced_weights(labels, config.data.classes)
    if isinstance(model, Baseline):
        return ComparisonTrainChain(model, weights)
    if isinstance(model, Player):
        return GameTrainChain(model, config.training, streams)
    loss = loss_by_links
    if engine.name != 'links':
        loss = partial(fused_loss, threads=(
            config.training.threads if device.xp is numpy else 1))
    return TrainChain(model, config.training, streams, loss, weights)


def _schedules(optimizer, chain, config, engine):
    """What changes over the epochs: rate; std, entropy, average, or None."""
    settings, std, entropy, average = config.training, None, None, None
    if settings.first_std and config.model.network == 'ram':
        std = ValueSchedule(partial(setattr, chain.model, 'std'),
                            settings.first_std, chain.model.std,
                            settings.epochs)
    if settings.first_entropy_weight is not None and config.data.is_game:
        entropy = ValueSchedule(chain.set_entropy_weight,
                                settings.first_entropy_weight,
                                settings.entropy_weight, settings.epochs)
    if settings.average:
        average = AverageWeights(chain.model, settings.average,
                                 updated_by_engine=engine.name == 'device')
    return LearningRate(optimizer, settings), std, entropy, average


class _Updater(training.updaters.StandardUpdater):
    """Chainer's updater, whose products may use TF32."""

    def __init__(self, *args, tf32, **options):
        super().__init__(*args, **options)
        self._tf32 = tf32

    def update_core(self):
        with chainer.using_config('tf32', self._tf32):
            super().update_core()


def _updater(iterator, optimizer, device, clip, ranks, tf32):
    """Chainer's updater, with the hooks that work on the gradients."""
    optimizer.add_hook(optimizer.target.gather, 'gather', 'pre')
    if ranks.size > 1:
        optimizer.add_hook(ranks.mean_gradients, 'mean over ranks', 'pre')
    if clip is not None:
        optimizer.add_hook(chainer.optimizer_hooks.GradientClipping(clip))
    return _Updater(iterator, optimizer, device=device, converter=_send,
                    tf32=tf32)


def _device_updater(iterator, optimizer, splits, config, ranks, average, rate,
                    std, tf32):
    """The updater of the engine ``device``."""
    chain = optimizer.target.chain
    iteration = DeviceIteration(
        chain, optimizer, splits.train, config,
        config.training.batch_size // ranks.size, iterator.max_batches, ranks,
        average)
    # A graph holds the work of one GPU, not the mean over ranks.
    run = _runner(iteration, chain.xp, config, ranks.size == 1)
    return DeviceUpdater(iterator, optimizer, iteration, run, rate.at,
                         std.at if std else lambda epoch: chain.model.std,
                         tf32)


def _runner(work, xp, config, records=True):
    """Runs work on the GPU, as a CUDA graph if it may be recorded."""
    if xp is numpy:  # in tests
        return work
    from ram.fast.cuda_graph import CudaGraphRunner

    return CudaGraphRunner(
        work, records and config.training.cuda_graph == 'auto')


def _validation(model, images, labels, config, ranks, engine):
    """Measures the error; with the engine ``device``, on the GPU."""
    predict = None
    if engine.name == 'device' and ranks.rank == 0:
        first, noise = model.sample_noise(
            evaluation_streams(config.data, 'validation'), len(images),
            mean=True)
        predict = DevicePrediction(model, images, first, noise,
                                   config.evaluation.batch_size)
        predict.run = _runner(predict.launch, model.xp, config)
    return Validation(model, images, labels, config, ranks, predict)


def _extend_with_reports(trainer, stream, model, images, labels, config,
                         tensorboard):
    """Adds what a user sees: log, curves, film of a few images."""
    # Matplotlib is slow to import, and not needed by all commands.
    from ram.training.extensions.curves import Curves
    from ram.training.extensions.trajectory_film import Examples, Trajectories
    report = extensions.LogReport()
    trainer.extend(report)
    trainer.extend(extensions.PrintReport(COLUMNS, out=_Plain(stream)))
    trainer.extend(Curves(report, trainer.out))
    if stream.isatty():
        trainer.extend(extensions.ProgressBar(update_interval=10, out=stream))
    examples = None
    if config.model.network == 'ram' and not config.data.is_game:
        examples = Examples(model, images, labels, config)
        trainer.extend(Trajectories(examples, trainer.out))
        if config.model.policy == 'learned' and config.model.glimpses > 1:
            trainer.extend(WatchPolicy(model, images, config))
    if tensorboard:
        learning = trainer.updater.get_optimizer('main').target.chain.model
        trainer.extend(TensorBoard(learning, examples, trainer.out))


@chainer.dataset.converter()
def _send(batch, device):
    return tuple(device.send(array) for array in batch)


class _Plain:
    """A stream without the escape codes that PrintReport writes."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, text):
        if not self._stream.isatty():
            text = text.replace('\033[J', '')
        self._stream.write(text)

    def flush(self):
        self._stream.flush()
