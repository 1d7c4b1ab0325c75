"""Helper processes against one process that does it all."""

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
from ram.fast.workers import Helpers
from ram.models.build import build_ram, import_parts
from ram.random_streams import make_streams
from ram.training.signals import StopTrigger
from ram.training.train_chain import TrainChain

pytestmark = pytest.mark.skipif(os.name != 'posix', reason='needs POSIX')


def observe(chain, learner, images, labels):
    observed, reporter = {}, chainer.Reporter()
    reporter.add_observer('main', chain)
    with reporter.scope(observed):
        learner.learn(images, labels)
    return {name: float(value) for name, value in observed.items()}


@pytest.mark.parametrize('case', [
    dict(threads=2, core='lstm', batch=9),
    dict(threads=3, core='rnn', batch=8, reward='probability',
         reinforce_reaches_core=True, first='random'),
    dict(threads=5, core='lstm', batch=2, policy='random'),
    dict(threads=2, core='rnn', batch=6, policy='frozen', glimpses=1)])
def test_the_parts_add_up_to_the_iteration(case):
    config = make_config(
        {'threads': case['threads'], 'reinforce_weight': 0.7,
         'reward': case.get('reward', 'correct'),
         'reinforce_reaches_core': case.get('reinforce_reaches_core', False)},
        {'core': case['core'], 'policy': case.get('policy', 'learned'),
         'first_location': case.get('first', 'near_center'),
         'glimpses': case.get('glimpses', 4)})
    rng = numpy.random.default_rng(0)
    batch = case['batch']
    chains = []
    for _ in range(2):
        model = build_ram(config, make_streams(3)['weights'])
        chains.append(TrainChain(model, config.training, make_streams(3)))
    together = Helpers(chains[0], config, batch)
    flats = [FlatChain(chains[0], together.weights, together.gradient),
             FlatChain(chains[1])]
    optimizers = [Adam(0.01), Adam(0.01)]
    optimizers[0].helpers = together
    for flat, optimizer in zip(flats, optimizers):
        optimizer.setup(flat)
        flat.join_gradients()
    try:
        for step in range(3):
            images = rng.random((batch, 1, 28, 28), 'float32')
            labels = rng.integers(10, size=batch).astype('int32')
            for chain in chains:  # what may change between two batches
                chain.model.std = 0.3 - 0.1 * step
            told, alone = (observe(chain, learner, images, labels)
                           for chain, learner in zip(
                               chains, (together, chains[1])))
            assert told == pytest.approx(alone, rel=1e-4, abs=1e-5)
            one, two = (flat.vector.grad for flat in flats)
            numpy.testing.assert_allclose(one, two, rtol=0,
                                          atol=2e-5 * abs(two).max())
            one[...] = two
            for optimizer in optimizers:
                optimizer.update()
            numpy.testing.assert_array_equal(*(
                flat.vector.array for flat in flats))
            for name in 'mv':
                numpy.testing.assert_array_equal(*(
                    flat.vector.update_rule.state[name] for flat in flats))
    finally:
        together.close()


@pytest.mark.usefixtures('undrawn')
def test_an_interrupted_run_ends_as_one_that_was_not(tmp_path, monkeypatch):
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


def started(trainer):
    """The helpers of a trainer that has seen a batch."""
    trainer.updater.update()
    return trainer.updater._helpers._processes


def test_they_end_with_the_training(tmp_path, monkeypatch):
    seen = []
    close = Helpers.close

    def noting(self):
        seen.extend(self._processes)
        close(self)

    monkeypatch.setattr(Helpers, 'close', noting)
    train(make_config({'threads': 2, 'epochs': 1}), tmp_path / 'run')
    assert [process.poll() for process in seen] == [0]


def test_one_that_dies_is_told(tmp_path):
    trainer = begin(make_config({'threads': 2}), tmp_path / 'run')[0]
    process, = started(trainer)
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(RamError, match=r'training\.threads: a helper process '
                       'ended with status -9; go on with --resume'):
        for _ in range(2):
            trainer.updater.update()
    trainer.updater.finalize()


def test_they_do_not_outlive_the_one_who_started_them(tmp_path):
    trainer = begin(make_config({'threads': 2}), tmp_path / 'run')[0]
    process, = started(trainer)
    process.stdin.close()  # as the system does for a process that is killed
    assert process.wait(20) == 0
    trainer.updater._helpers.close()


def test_they_leave_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(workers.tempfile, 'tempdir', str(tmp_path))
    before = set(os.listdir('/dev/shm')) if os.path.isdir('/dev/shm') else None
    trainer = begin(make_config({'threads': 2}), tmp_path / 'run')[0]
    started(trainer)
    assert os.listdir(tmp_path) == ['run']
    if before is not None:
        assert set(os.listdir('/dev/shm')) <= before
    trainer.updater.finalize()


def test_one_that_cannot_be_started_is_told(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(11, 'Resource temporarily unavailable')

    trainer = begin(make_config({'threads': 2}), tmp_path / 'run')[0]
    monkeypatch.setattr(workers.subprocess, 'Popen', refuse)
    with pytest.raises(RamError, match=r'training\.threads: a helper process '
                       'cannot be started: Resource temporarily unavailable; '
                       'set it to 1'):
        trainer.updater.update()
    trainer.updater.finalize()


def test_no_room_is_told():
    class Full:
        def __init__(self, dir):
            pass

        def write(self, data):
            raise OSError(28, 'No space left on device')

        def close(self):
            pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers.tempfile, 'TemporaryFile', Full)
        with pytest.raises(RamError, match=r'training\.threads: no room for '
                           '3 MB, in /dev/shm nor .* set it to 1'):
            workers._shared_file(3 * 10 ** 6)


def test_links_of_ones_own_and_baselines_have_none(tmp_path):
    for name, model in (('fc', {'network': 'fc'}),
                        ('own', {'core': 'test_workers.OwnCore'})):
        config = make_config({'threads': 2}, model)
        import_parts(config)
        trainer = begin(config, tmp_path / name)[0]
        trainer.updater.update()
        assert getattr(trainer.updater, '_helpers', None) is None, name


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
