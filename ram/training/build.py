"""Composes a training: model, optimizer, iterator, updater, extensions."""

import functools

import chainer
import numpy
from chainer import training
from chainer.training import extensions

from ram.checkpoint import load_weights
from ram.data.batches import BatchIterator
from ram.data.splits import fixed_canvases
from ram.fast.device import DeviceUpdater, Iteration, stays_on
from ram.fast.flat import Adam, FlatChain
from ram.fast.workers import Helpers
from ram.models.build import build_network
from ram.random_streams import make_streams
from ram.training.distributed import SingleProcess
from ram.training.extensions.average_weights import AverageWeights
from ram.training.extensions.check_finite import CheckFinite
from ram.training.extensions.learning_rate import LearningRate
from ram.training.extensions.save_best import SaveBest
from ram.training.extensions.snapshot import Snapshot
from ram.training.extensions.std_schedule import StdSchedule
from ram.training.extensions.tensorboard import TensorBoard
from ram.training.extensions.validation import Validation
from ram.training.signals import StopTrigger
from ram.training.train_chain import build_train_chain

OPTIMIZERS = {
    'adam': lambda t: Adam(t.learning_rate),
    'momentum_sgd': lambda t: chainer.optimizers.MomentumSGD(
        t.learning_rate, t.momentum),
    'nesterov': lambda t: chainer.optimizers.NesterovAG(
        t.learning_rate, t.momentum)}


COLUMNS = ['epoch', 'main/loss', 'main/error', 'validation/main/error',
           'main/location/spread', 'main/location/outside', 'learning_rate',
           'elapsed_time']


def build_trainer(config, splits, out, device, stream, ranks=SingleProcess(),
                  tensorboard=False):
    """Composes model, optimizer, iterator, updater and extensions.

    Args:
        config (ram.config.Config): What and how.
        splits (ram.data.splits.Splits): The images.
        out (str): Run folder.
        device (chainer.backend.Device): Where.
        stream (file object): Progress goes there.
        ranks (ram.training.distributed.SingleProcess): The processes that train together.
        tensorboard (bool): Write for TensorBoard too.

    Returns:
        tuple: The trainer, its SaveBest and its Snapshot.

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
        narrowing = StdSchedule(chain.model, config.training)
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

    best = SaveBest(model, config, writes=ranks.rank == 0)
    snapshot = Snapshot(out, config, streams, ranks)
    stop = StopTrigger(config.training.epochs, config.training.early_stopping, best,
                 ranks)
    trainer = training.Trainer(updater, stop, out)
    # It reports, not the one parameter that the optimizer sees.
    trainer.reporter.add_observer('main', chain)
    trainer.extend(CheckFinite(snapshot.path, ranks))
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
        helpers (ram.fast.workers.Helpers): They help it; or None.
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
    from ram.fast.cuda_graph import CudaGraphRunner
    # The mean over ranks is no work of one GPU.
    return iteration, CudaGraphRunner(iteration, config.training.cuda_graph == 'auto'
                             and ranks.size == 1)


def _never(trainer):
    """A trigger for what an iteration on the device does by itself."""
    return False


def _extend_with_reports(trainer, stream):
    # Drawing is slow to import, and not needed by all commands.
    from ram.training.extensions.curves import Curves
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
    from ram.training.extensions.trajectory_film import Examples, Trajectories
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
