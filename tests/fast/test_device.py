"""Training that stays on a GPU, its kernels run as C++ (see conftest.py)."""

import copy
import json
from functools import partial

import chainer
import numpy
import pytest
from chainer.training.updaters import StandardUpdater
from training_runs import (
    assert_same_run,
    begin,
    make_config,
    train,
)

from ram.checkpoint import load_checkpoint
from ram.config import config_from_dict
from ram.data.batches import BatchIterator
from ram.data.splits import Split
from ram.errors import RamError
from ram.fast import kernels, products, workspace
from ram.fast.device import DeviceUpdater
from ram.fast.device_iteration import DeviceIteration
from ram.fast.engine import Engine
from ram.fast.flat import Adam, FlatChain, flatten
from ram.models.build import build_network
from ram.random_streams import make_streams
from ram.training import build
from ram.training.distributed import SingleProcess
from ram.training.extensions.average_weights import AverageWeights
from ram.training.extensions.learning_rate import LearningRate
from ram.training.extensions.value_schedule import ValueSchedule
from ram.training.signals import StopTrigger
from ram.training.train_chain import TrainChain

CASES = [
    dict(core='lstm', reaches=True, variant='cluttered', kernels=True,
         reward='probability'),
    dict(core='rnn', reaches=True, shift=2, warp=0.2, kernels=True,
         location_units=0),
    dict(core='lstm', reaches=False, variant='translated', scales=2,
         first_location='near_center', clip=None, channels=2),
    dict(core='rnn', reaches=False, first_location='center',
         location_units=0, average=0.0),
    dict(core='rnn', reaches=True, variant='cluttered', policy='random'),
    dict(core='lstm', reaches=True, policy='frozen', scales=2),
    dict(core='lstm', reaches=False, variant='translated', glimpses=1)]


def config_of(case):
    data = {'name': 'npz', 'file': 'x', 'image_size': [9, 8], 'classes': 4,
            'channels': case.get('channels', 1),
            'shift': case.get('shift', 0), 'warp': case.get('warp', 0.0)}
    if 'variant' in case:
        data.update(variant=case['variant'], canvas=[13, 15],
                    clutter_size=4)
    model = {'glimpses': 3, 'glimpse_size': 4, 'what_units': 7,
             'where_units': 5, 'glimpse_units': 8, 'core_units': 6,
             'location_units': 5, 'std': 0.3}
    model.update({key: case[key] for key in (
        'core', 'scales', 'policy', 'first_location', 'glimpses',
        'location_units') if key in case})
    training = {'batch_size': 4, 'epochs': 3, 'first_std': 0.7,
                'reinforce_weight': 0.5, 'baseline_weight': 0.7,
                'reinforce_reaches_core': case['reaches'],
                'reward': case.get('reward', 'correct'),
                'clip': case.get('clip', 0.2), 'learning_rate': 0.01,
                'average': case.get('average', 0.4), 'seed': 2 ** 40 + 3}
    return config_from_dict(
        {'data': data, 'model': model, 'training': training}, 'test')


def compose(config, model):
    """Model with loss, optimizer and average, for either way."""
    chain = TrainChain(model, config.training, make_streams(0))
    optimizer = Adam(config.training.learning_rate)
    optimizer.setup(FlatChain(chain))
    average = None
    if config.training.average:
        average = AverageWeights(model, config.training.average)
    return chain, optimizer, average


@pytest.mark.parametrize('case', CASES, ids=str)
def test_device_iteration_equals_links(kernels_as_cpp, monkeypatch, case):
    if case.get('kernels'):
        monkeypatch.setattr(workspace, 'operations', lambda xp: kernels)
    config = config_of(case)
    rng = numpy.random.default_rng(0)
    split = Split(
        rng.integers(256, size=(10, config.data.channels, 9, 8),
                     dtype='uint8'),
        rng.integers(4, size=10).astype('int32'))
    model = build_network(config, make_streams(1)['weights'])
    for param in model.params():
        param.array = rng.standard_normal(param.shape) * 0.5  # float64
    chain, optimizer, average = compose(config, model)
    want_chain, want_optimizer, want_average = compose(
        config, copy.deepcopy(model))
    want_optimizer.add_hook(want_optimizer.target.gather, 'gather', 'pre')
    if config.training.clip:
        want_optimizer.add_hook(
            chainer.optimizer_hooks.GradientClipping(config.training.clip))

    rate = LearningRate(optimizer, config.training)
    schedule = ValueSchedule(partial(setattr, model, 'std'),
                             config.training.first_std, model.std,
                             config.training.epochs)
    iterator, order = (BatchIterator(config.data, split, 4, make_streams(5))
                       for _ in range(2))
    iteration = DeviceIteration(chain, optimizer, split, config, 4,
                          iterator.max_batches, SingleProcess(), average)
    updater = DeviceUpdater(iterator, optimizer, iteration, iteration,
                            rate.at, schedule.at)
    reporter, wanted = chainer.Reporter(), chainer.Reporter()
    reporter.add_observer('main', chain)
    wanted.add_observer('main', want_chain)
    terms, seen = [], set()
    for t in range(1, 6):  # two epochs of 10 images, 4 at a time
        detail = order.epoch_detail
        with reporter.scope({}):
            updater.update()
            observation = reporter.observation
        std = schedule.at(detail)
        images, labels = iteration.canvases, iteration.labels
        chosen = order.next_indices()
        assert iteration.windows[:, -1, 0].tolist() == chosen.tolist()
        assert labels.tolist() == split.labels[chosen].tolist()
        first, noise = iteration.sampled[0].copy(), iteration.noise.copy()
        seen.update(a.tobytes() for a in (images, first, noise))
        if config.model.policy != 'random':
            noise /= std

        want_model = want_chain.model
        want_model.std = std
        want_model.sample_noise = lambda streams, batch: (first, noise)
        want_optimizer.alpha = rate.at(detail)
        with wanted.scope({}):
            want_optimizer.update(want_chain, images, labels)
            terms.append({key: float(chainer.as_array(value))
                          for key, value in wanted.observation.items()})
        if want_average is not None:
            vector = want_optimizer.target.vector.array
            want_average.vector += (1 - min(0.4, t / (t + 10))) * (
                vector - want_average.vector)
            numpy.testing.assert_allclose(average.vector,
                                          want_average.vector, atol=1e-12)
        params = dict(want_chain.namedparams())
        for name, param in chain.namedparams():
            gradient = params[name].grad
            if gradient is None:
                gradient = numpy.zeros(param.shape)
            numpy.testing.assert_allclose(param.grad, gradient, rtol=1e-9,
                                          atol=1e-12, err_msg=name)
            numpy.testing.assert_allclose(param.array, params[name].array,
                                          rtol=0, atol=1e-11, err_msg=name)
        # What is reported is the mean over an epoch.
        assert bool(observation) == (t in (3, 5)) == iterator.is_new_epoch
        if observation:
            assert observation.keys() == terms[0].keys()
            for key, value in observation.items():
                assert value == pytest.approx(
                    numpy.mean([term[key] for term in terms]), abs=1e-10)
            terms = []
    # Each iteration had random numbers of its own.
    fixed = (5 if config.model.first_location != 'center' else 1) + (
        5 if config.model.glimpses > 1 else 1)
    assert len(seen) == 5 + fixed
    assert optimizer.t == want_optimizer.t == 5
    assert optimizer.epoch == 2


def test_ranks_sample_alone_and_learn_together(kernels_as_cpp):
    class Two(SingleProcess):
        size = 2

        def __init__(self, rank):
            self.rank = rank
            self.gradients = []

        def mean_gradients(self, optimizer):
            gradient = optimizer.target.vector.grad
            self.gradients.append(gradient.copy())
            gradient[...] = 0  # as if the other rank's were the opposite

    config = config_of(dict(core='rnn', reaches=True, variant='cluttered'))
    rng = numpy.random.default_rng(0)
    split = Split(rng.integers(256, size=(10, 1, 9, 8), dtype='uint8'),
                  rng.integers(4, size=10).astype('int32'))
    order = BatchIterator(config.data, split, 4,
                          make_streams(5)).next_indices()
    canvases = []
    for rank in (0, 1):
        ranks = Two(rank)
        model = build_network(config, make_streams(1)['weights'])
        chain, optimizer, average = compose(config, model)
        iterator = BatchIterator(config.data, split, 4, make_streams(5), rank,
                                 2)
        iteration = DeviceIteration(chain, optimizer, split, config, 2,
                              iterator.max_batches, ranks, average)
        before = optimizer.target.vector.array.copy()
        DeviceUpdater(iterator, optimizer, iteration, iteration,
                      lambda epoch: 0.1, lambda epoch: 0.2).update()
        assert iteration.windows[:, -1, 0].tolist() == order[
            2 * rank:2 * rank + 2].tolist()
        assert len(ranks.gradients) == 1 and ranks.gradients[0].any()
        # The update used the mean over ranks.
        assert (optimizer.target.vector.array == before).all()
        canvases.append(iteration.windows[:, :, 1:].tolist())
    assert canvases[0] != canvases[1]


def use_device(monkeypatch):
    monkeypatch.setattr(build, 'select_engine',
                        lambda *args: Engine('device', ''))


@pytest.fixture
def device_engine(kernels_as_cpp, monkeypatch):
    """Trainings use the engine ``device``, on the CPU."""
    use_device(monkeypatch)


def small(training=None, **data):
    return make_config({'average': 0.9, 'first_std': 0.3, 'epochs': 2,
                        **(training or {})},
                       train_images=160, validation=40, **data)


@pytest.mark.usefixtures('no_figures')
@pytest.mark.parametrize('schedule', ['cosine', 'plateau'])
def test_interrupted_run_on_device_ends_as_one_that_was_not(
        device_engine, tmp_path, monkeypatch, schedule):
    data = {'variant': 'cluttered', 'canvas': 32} if (
        schedule == 'cosine') else {'shift': 2}
    config = small({'schedule': schedule, 'plateau_patience': 1}, **data)
    train(config, tmp_path / 'whole')
    call = StopTrigger.__call__
    for stop in (2, 6):  # of 4 in an epoch
        def interrupted(self, trainer, stop=stop):
            if trainer.updater.iteration == stop:
                self.signal = 2
            return call(self, trainer)

        monkeypatch.setattr(StopTrigger, '__call__', interrupted)
        outcome = train(config, tmp_path / 'parts', resume=stop > 2)
        assert outcome.interrupted
    monkeypatch.setattr(StopTrigger, '__call__', call)
    train(config, tmp_path / 'parts', resume=True)
    assert_same_run(tmp_path / 'whole', tmp_path / 'parts')


@pytest.mark.usefixtures('no_figures')
def test_device_resumes_a_run_of_the_cpu(kernels_as_cpp, tmp_path,
                                                monkeypatch):
    config = small()
    call = StopTrigger.__call__

    def interrupted(self, trainer):
        if trainer.updater.iteration == 3:
            self.signal = 2
        return call(self, trainer)

    monkeypatch.setattr(StopTrigger, '__call__', interrupted)
    train(config, tmp_path / 'run')
    monkeypatch.setattr(StopTrigger, '__call__', call)
    use_device(monkeypatch)
    assert train(config, tmp_path / 'run', resume=True).epoch


@pytest.mark.usefixtures('no_figures')
def test_training_on_device_learns(device_engine, tmp_path):
    config = make_config({'epochs': 12, 'learning_rate': 0.003},
                         {'core': 'rnn', 'core_units': 64,
                          'glimpse_units': 64, 'glimpse_size': 12},
                         train_images=1100)
    assert train(config, tmp_path / 'run').error < 60  # 90 by guessing


@pytest.mark.usefixtures('no_figures')
@pytest.mark.parametrize('engine', ['device', 'fused'])
@pytest.mark.parametrize('tf32', [True, False])
def test_only_training_uses_tf32(kernels_as_cpp, tmp_path, monkeypatch,
                                 engine, tf32):
    monkeypatch.setattr(build, 'select_engine',
                        lambda *args: Engine(engine, '', tf32))
    seen, updating = {True: set(), False: set()}, []
    products_of, update = products.products_of, StandardUpdater.update

    def record(array):
        seen[bool(updating)].add(getattr(chainer.config, 'tf32', False))
        return products_of(array)

    def record_update(self):
        updating.append(True)
        update(self)
        updating.clear()

    monkeypatch.setattr(StandardUpdater, 'update', record_update)
    monkeypatch.setattr(products, 'products_of', record)
    train(small(), tmp_path / 'run')
    assert seen == {True: {tf32}, False: {False}}
    with open(tmp_path / 'run' / 'versions.json') as file:
        assert json.load(file)['tf32'] is tf32


def test_the_iteration_of_a_loss_not_finite_is_reported(device_engine,
                                                        tmp_path):
    config = small()
    trainer = begin(config, tmp_path / 'run').trainer
    model = trainer.updater.get_optimizer('main').target.chain.model

    def spoil(trainer):
        if trainer.updater.iteration == 1:
            model.action.logits.b.array[...] = numpy.nan

    trainer.extend(spoil, trigger=(1, 'iteration'), priority=1000)
    with pytest.raises(RamError, match='loss became nan at iteration 2;'):
        trainer.run(show_loop_exception_msg=False)
    assert trainer.updater.iteration == 4  # where the epoch is over


@pytest.mark.usefixtures('device_engine', 'no_figures')
def test_average_is_updated_once_an_iteration(tmp_path):
    config = small({'average': 0.6, 'schedule': 'constant'})
    composed = begin(config, tmp_path / 'run')
    trainer = composed.trainer
    vector = trainer.updater.get_optimizer('main').target.vector
    wanted = vector.array.copy()

    def follow(trainer):
        t = trainer.updater.iteration
        wanted[...] += (1 - min(0.6, t / (t + 10))) * (vector.array - wanted)

    trainer.extend(follow, trigger=(1, 'iteration'), priority=1000)
    trainer.run(show_loop_exception_msg=False)
    got = flatten(load_checkpoint(str(tmp_path / 'run' / 'last.npz')).model)
    numpy.testing.assert_allclose(got, wanted, rtol=0, atol=1e-6)
    assert abs(got - vector.array).max() > 1e-4
