"""Small networks of random shapes, and their losses compared."""

import chainer
import numpy
from training_runs import make_config

from ram.models.build import build_network
from ram.random_streams import make_streams


def make_model(rng, dtype='float64', **overrides):
    """A small network of a random shape, and its number of channels."""
    model = {
        'glimpses': int(rng.integers(1, 6)),
        'glimpse_size': int(rng.integers(1, 9)),
        'scales': int(rng.integers(1, 4)),
        'scale_factor': int(rng.integers(2, 4)),
        'what_units': int(rng.integers(1, 12)),
        'where_units': int(rng.integers(1, 12)),
        'glimpse_units': int(rng.integers(1, 12)),
        'core_units': int(rng.integers(1, 12)),
        'location_units': int(rng.integers(0, 2) * rng.integers(1, 9)),
        'core': str(rng.choice(['lstm', 'rnn'])),
        'policy': str(rng.choice(['learned', 'learned', 'random', 'center',
                                  'frozen'])),
        'location_squash': str(rng.choice(['tanh', 'none'])),
        'std': float(rng.uniform(0.05, 1)),
        'first_location': str(rng.choice(['random', 'center']))}
    model.update(overrides)
    channels = int(rng.integers(1, 4))
    config = make_config(
        {'reinforce_reaches_core': bool(rng.integers(2))}, model, name='npz',
        file='x.npz', image_size=[100, 90], channels=channels,
        train_images=None)
    model = build_network(config, make_streams(int(rng.integers(1000)))['weights'])
    for param in model.params():
        # Not only the zeros of initial biases.
        param.array = rng.standard_normal(param.shape).astype(dtype) * 0.5
    return model, channels


def make_player(side=3, policy='center', dtype='float64', **model):
    """A small player of a square screen."""
    config = make_config(
        {}, {'glimpses': side - 1, 'glimpse_size': 2, 'scales': 2,
             'coarse': 'sum', 'what_units': 5, 'where_units': 4,
             'glimpse_units': 6, 'core_units': 5, 'location_units': 0,
             'policy': policy, **model},
        name='catch', image_size=[side, side], classes=3)
    player = build_network(config, make_streams(7)['weights'])
    rng = numpy.random.default_rng(0)
    for param in player.params():
        param.array = rng.standard_normal(param.shape).astype(dtype)
    return player


def inputs(model, channels, rng, dtype='float64', batch=None):
    """Images, labels, first locations and noise."""
    batch = batch or int(rng.integers(1, 8))
    images = rng.random((batch, channels, 17, 23)).astype(dtype)
    labels = rng.integers(10, size=batch).astype('int32')
    first, noise = model.sample_noise(make_streams(int(rng.integers(1000))),
                                      batch)
    return images, labels, first.astype(dtype), noise.astype(dtype)


def loss_and_gradients(loss, model, arrays, objective):
    """All that a loss gives: arrays, and gradients by name."""
    model.cleargrads()
    result = loss(model, *arrays, objective)
    result.loss.total.backward()
    gradients = {
        name: numpy.zeros_like(p.array) if p.grad is None else p.grad
        for name, p in model.namedparams()}
    return [chainer.as_array(term) for term in result.loss] + [
        result.logits, result.sampled], gradients


def assert_same_loss(fused, wanted, rtol, atol):
    for a, b in zip(fused[0], wanted[0]):
        assert a.shape == b.shape and a.dtype == b.dtype
        numpy.testing.assert_allclose(a, b, rtol=rtol, atol=atol)
    assert fused[1].keys() == wanted[1].keys()
    for name, gradient in wanted[1].items():
        scale = abs(gradient).max() + 1e-6
        assert fused[1][name].flags.c_contiguous, name
        assert fused[1][name].dtype == gradient.dtype, name
        assert abs(fused[1][name] - gradient).max() <= rtol * scale, name
