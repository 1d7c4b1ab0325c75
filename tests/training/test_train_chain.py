"""The train chain under Chainer's updater, by either form of the loss."""

import chainer
import numpy
import pytest
from random_models import inputs, make_model

from ram.config import TrainingConfig
from ram.fast.flat import FlatChain
from ram.fast.fused import fused_loss
from ram.losses import loss_by_links
from ram.random_streams import make_streams
from ram.training.build import OPTIMIZERS
from ram.training.train_chain import TrainChain


def learn(seed, compute_loss, optimizer, updates=5, **model):
    """Weights and reports of a few updates in float64."""
    rng = numpy.random.default_rng(seed)
    model, channels = make_model(rng, **model)
    batches = [inputs(model, channels, rng, batch=4)
               for _ in range(updates)]
    training = TrainingConfig(
        reinforce_weight=float(rng.choice([0, 0.7])),
        baseline_weight=float(rng.uniform(0.1, 2)), learning_rate=0.01,
        reward=str(rng.choice(['correct', 'probability'])))
    chain = TrainChain(model, training, make_streams(seed), compute_loss)
    flat = FlatChain(chain)
    optimizer = OPTIMIZERS[optimizer](training).setup(flat)
    optimizer.add_hook(flat.gather, 'gather', 'pre')
    optimizer.add_hook(chainer.optimizer_hooks.GradientClipping(1))
    reporter, reports = chainer.Reporter(), []
    reporter.add_observer('main', chain)
    for images, labels, first, noise in batches:
        model.sample_noise = lambda *args, noise=(first, noise): noise
        with reporter.scope({}):
            optimizer.update(flat, images, labels)
            reports.append({name: float(chainer.as_array(value)) for
                            name, value in reporter.observation.items()})
    return flat.vector.array, reports


@pytest.mark.parametrize('optimizer', list(OPTIMIZERS))
@pytest.mark.parametrize('policy', ['learned', 'random', 'frozen'])
@pytest.mark.parametrize('glimpses', [1, 4])
@pytest.mark.parametrize('core', ['lstm', 'rnn'])
# With and without the gradient of the means into the core, and REINFORCE.
@pytest.mark.parametrize('seed', [1, 3, 7])
def test_both_losses_learn_the_same(seed, core, glimpses, policy, optimizer):
    kind = dict(core=core, glimpses=glimpses, policy=policy)
    links, links_reports = learn(seed, loss_by_links, optimizer, **kind)
    fused, fused_reports = learn(seed, fused_loss, optimizer, **kind)
    numpy.testing.assert_allclose(fused, links, rtol=0, atol=1e-10)
    for one, two in zip(fused_reports, links_reports):
        assert one == pytest.approx(two, rel=1e-10, abs=1e-10)


def test_updates_change_every_part():
    kind = dict(core='lstm', glimpses=4, policy='learned')
    before, _ = learn(2, fused_loss, 'adam', updates=0, **kind)
    after, _ = learn(2, fused_loss, 'adam', updates=3, **kind)
    assert (before != after).sum() > 0.5 * (before != 0).sum()



@pytest.mark.parametrize('weight', [0.0, 1.0])
def test_the_border_term_brings_the_policy_back_inside(weight):
    rng = numpy.random.default_rng(0)
    model, channels = make_model(rng, glimpses=3, policy='learned', std=0.2,
                                 location_units=0, location_squash='tanh')
    model.location.mean.W.array[:] = 0
    model.location.mean.b.array[:] = 2, -2  # means of 0.96 and -0.96
    training = TrainingConfig(border_weight=weight, reinforce_weight=0.0,
                              learning_rate=0.02)
    chain = TrainChain(model, training, make_streams(0), fused_loss)
    optimizer = OPTIMIZERS['adam'](training).setup(chain)
    images, labels, first, noise = inputs(model, channels, rng, batch=4)
    for _ in range(200):
        optimizer.update(chain, images, labels)
    means = abs(model(images, first, noise).means.array)
    if weight:
        assert means.max() < 0.82
    else:
        numpy.testing.assert_allclose(means, numpy.tanh(2))
