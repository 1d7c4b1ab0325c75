"""Worker processes against one process that computes everything."""

import multiprocessing
import os
import signal

import chainer
import numpy
import pytest
from chainer.initializers import LeCunNormal
from training_runs import assert_same_run, begin, make_config, train

from ram.errors import RamError
from ram.fast import workers
from ram.fast.flat import Adam, FlatChain
from ram.fast.fused import fused_loss
from ram.fast.workers import WorkerPool
from ram.models.build import build_ram, import_parts
from ram.random_streams import make_streams
from ram.training.signals import StopTrigger
from ram.training.train_chain import TrainChain


@pytest.mark.parametrize('case', [
    dict(threads=2, core='lstm', batch=9),
    dict(threads=3, core='rnn', batch=8, reward='probability',
         reinforce_reaches_core=True, first='random'),
    dict(threads=5, core='lstm', batch=2, policy='random'),
    dict(threads=2, core='rnn', batch=6, policy='frozen', glimpses=1)])
def test_pool_computes_the_gradient_of_the_batch(case):
    config = make_config(
        {'threads': case['threads'], 'reinforce_weight': 0.7,
         'reward': case.get('reward', 'correct'),
         'reinforce_reaches_core': case.get('reinforce_reaches_core', False)},
        {'core': case['core'], 'policy': case.get('policy', 'learned'),
         'first_location': case.get('first', 'near_center'),
         'glimpses': case.get('glimpses', 4)})
    rng = numpy.random.default_rng(0)
    batch = case['batch']
    chains = [TrainChain(build_ram(config, make_streams(3)['weights']),
                         config.training, make_streams(3), fused_loss)
              for _ in range(2)]
    pool = WorkerPool(chains[0], config, batch)
    flats = [pool.flat, FlatChain(chains[1])]
    optimizers = [Adam(0.01).setup(flat) for flat in flats]
    for optimizer, flat in zip(optimizers, flats):
        optimizer.add_hook(flat.gather, 'gather', 'pre')
    optimizers[0].add_hook(pool.add_gradients, 'add', 'pre')
    try:
        for step in range(3):
            images = rng.random((batch, 1, 28, 28), 'float32')
            labels = rng.integers(10, size=batch).astype('int32')
            observed = []
            for chain, flat, loss in zip(chains, flats, (
                    pool.loss, chains[1])):
                chain.model.std = 0.3 - 0.1 * step  # it may change
                flat.cleargrads()
                reporter = chainer.Reporter()
                reporter.add_observer('main', chain)
                with reporter.scope({}):
                    loss(images, labels).backward()
                    optimizers[len(observed)].update()
                    observed.append({
                        name: float(chainer.as_array(value)) for name, value
                        in reporter.observation.items()})
            assert observed[0] == pytest.approx(observed[1], rel=1e-4,
                                                abs=1e-5)
            one, two = (flat.vector.grad for flat in flats)
            numpy.testing.assert_allclose(one, two, rtol=0,
                                          atol=2e-5 * abs(two).max())
            # The workers read the weights that the optimizer wrote.
            pool.flat.vector.array[...] = flats[1].vector.array
    finally:
        pool.finalize()


@pytest.mark.usefixtures('no_figures')
def test_interrupted_run_with_workers_ends_as_one_that_was_not(tmp_path,
                                                               monkeypatch):
    config = make_config({'threads': 2, 'first_std': 0.3, 'epochs': 2})
    train(config, tmp_path / 'whole')
    call = StopTrigger.__call__

    def interrupted(self, trainer):
        if trainer.updater.iteration == 9:
            self.signal = signal.SIGINT
        return call(self, trainer)

    with monkeypatch.context() as patch:
        patch.setattr(StopTrigger, '__call__', interrupted)
        train(config, tmp_path / 'parts')
    train(config, tmp_path / 'parts', resume=True)
    assert_same_run(tmp_path / 'whole', tmp_path / 'parts')


def finalize(trainer):
    """What the end of a run does."""
    trainer.get_extension('WorkerPool').finalize()


@pytest.fixture
def started(tmp_path):
    """A trainer whose worker has seen a batch, and that worker's process."""
    before = multiprocessing.active_children()
    trainer = begin(make_config({'threads': 2}), tmp_path / 'run').trainer
    trainer.updater.update()
    process, = set(multiprocessing.active_children()).difference(before)
    yield trainer, process
    finalize(trainer)
    assert not process.is_alive()


def test_workers_end_with_the_training(started):
    trainer, process = started
    assert process.is_alive()
    finalize(trainer)
    assert process.exitcode == 0


def test_workers_ignore_ctrl_c(started):
    trainer, process = started
    os.kill(process.pid, signal.SIGINT)
    trainer.updater.update()
    assert process.is_alive()


def test_a_dead_worker_is_reported(started):
    trainer, process = started
    process.kill()
    with pytest.raises(RamError, match=r'training\.threads: a worker process '
                       'ended with status -9; continue with --resume'):
        for _ in range(2):
            trainer.updater.update()


def test_workers_leave_no_file(started):
    trainer, _ = started
    before = set(os.listdir('/dev/shm')) if os.path.isdir('/dev/shm') else ()
    finalize(trainer)
    if before != ():
        assert set(os.listdir('/dev/shm')) <= before
        assert not [name for name in before if name.startswith('psm_')]


def test_missing_room_is_reported(monkeypatch):
    def refuse(*args):
        raise OSError(28, 'No space left on device')

    config = make_config({'threads': 2})
    chain = TrainChain(build_ram(config, make_streams(3)['weights']),
                       config.training, make_streams(3), fused_loss)
    monkeypatch.setattr(workers.CONTEXT, 'RawArray', refuse, raising=False)
    with pytest.raises(RamError, match=r'training\.threads: 2 processes '
                       r'share .* MB, .*No space left on device.* set it to '
                       '1'):
        WorkerPool(chain, config, 8)


@pytest.mark.parametrize('model,engine', [
    ({'network': 'fc'}, 'auto'), ({'core': 'test_workers.OwnCore'}, 'auto'),
    ({}, 'links')])
def test_engine_links_has_no_workers(tmp_path, model, engine):
    config = make_config({'threads': 2, 'engine': engine}, model)
    import_parts(config)
    before = multiprocessing.active_children()
    trainer = begin(config, tmp_path / 'run').trainer
    trainer.updater.update()
    assert multiprocessing.active_children() == before


class OwnCore(chainer.Chain):

    def __init__(self, into, units, rng):
        super().__init__()
        self.units = units
        with self.init_scope():
            self.linear = chainer.links.Linear(
                into, units, initialW=LeCunNormal(rng=rng))

    def initial_state(self, batch):
        return ()

    def forward(self, state, g):
        return (chainer.functions.relu(self.linear(g)),)
