"""The gradient that is written without a graph."""

import chainer
import numpy
import pytest

from ram.config import config_from_dict
from ram.fast.flat import FlatChain
from ram.models.build import build_ram
from ram.random_streams import make_streams
from ram.training.train_chain import TrainChain


def make_chain(seed, dtype):
    """A chain of a random kind, with what was drawn for it."""
    rng = numpy.random.default_rng(seed)
    config = config_from_dict({
        'data': {'name': 'npz', 'file': 'x', 'image_size': [9, 8],
                 'channels': int(rng.integers(1, 3)), 'classes': 4},
        'model': {'glimpses': int(rng.integers(1, 5)), 'glimpse_size': 4,
                  'scales': int(rng.integers(1, 3)), 'what_units': 7,
                  'where_units': 5, 'glimpse_units': 8, 'core_units': 6,
                  'location_units': int(rng.choice([0, 5])), 'std': 0.3,
                  'core': ('lstm', 'rnn')[seed % 2],
                  'first_location': str(rng.choice(
                      ['random', 'center', 'near_center'])),
                  'policy': str(rng.choice(
                      ['learned', 'learned', 'random', 'frozen']))},
        'training': {'reinforce_weight': float(rng.choice([0, 0.7])),
                     'baseline_weight': float(rng.uniform(0.1, 2)),
                     'reinforce_reaches_core': bool(rng.integers(2)),
                     'reward': str(rng.choice(['correct', 'probability']))}},
        'test')
    model = build_ram(config, make_streams(seed)['weights'])
    for param in model.params():
        param.array = rng.standard_normal(param.shape).astype(dtype) * 0.5
    draw = model.draw
    model.draw = lambda streams, batch: [
        array.astype(dtype) for array in draw(streams, batch)]
    return TrainChain(model, config.training, make_streams(seed)), config, rng


def observe(chain, work):
    """What is reported while some work is done."""
    observed, reporter = {}, chainer.Reporter()
    reporter.add_observer('main', chain)
    with reporter.scope(observed):
        work()
    return {name: float(chainer.as_array(value))
            for name, value in observed.items()}


@pytest.mark.parametrize('dtype, close', [('float64', 1e-10),
                                          ('float32', 2e-4)])
@pytest.mark.parametrize('seed', range(24))
def test_learning_equals_the_graph_of_the_links(seed, dtype, close):
    chain, config, rng = make_chain(seed, dtype)
    other = make_chain(seed, dtype)[0]
    other.model.forward = other.model.forward_by_steps
    assert chain.gradients_in_one()
    flat = FlatChain(chain)
    flat.join_gradients()
    for _ in range(2):  # the second time in used arrays
        images = rng.random((5, config.data.channels, 9, 8)).astype(dtype)
        labels = rng.integers(4, size=5).astype('int32')
        told = observe(chain, lambda: chain.learn(images, labels))

        def by_graph():
            loss = other(images, labels)
            other.cleargrads()
            loss.backward()

        assert told == pytest.approx(observe(other, by_graph), rel=close,
                                     abs=close)
        wanted = dict(other.namedparams())
        for name, param in chain.namedparams():
            want = wanted[name].grad
            if want is None:
                want = numpy.zeros_like(param.array)
            assert numpy.shares_memory(param.grad, flat.vector.grad)
            numpy.testing.assert_allclose(
                param.grad, want, rtol=0,
                atol=close * max(1, abs(want).max()), err_msg=name)


def test_a_part_of_ones_own_is_left_to_the_graph():
    class Own(chainer.Chain):
        pass

    for name in ('glimpse', 'core', 'location', 'action', 'baseline'):
        chain = make_chain(0, 'float32')[0]
        delattr(chain.model, name)
        with chain.model.init_scope():
            setattr(chain.model, name, Own())
        assert not chain.gradients_in_one(), name
