"""RAM and its training loss against a naive rollout, sample by sample."""

import math

import chainer
import numpy
import pytest

from ram import losses
from ram.config import config_from_dict
from ram.functions.glimpse import glimpse
from ram.ram import build_ram
from ram.streams import make_streams
from ram.training import train_chain


def make(rng, **model):
    data = {'name': 'npz', 'file': 'x', 'image_size': [30, 20],
            'channels': int(rng.choice([1, 3])), 'classes': 4}
    config = config_from_dict({'data': data, 'model': {
        'glimpses': 3, 'glimpse_size': 4, 'what_units': 6, 'where_units': 5,
        'glimpse_units': 7, 'core_units': 8, 'location_units': 5,
        'std': 0.6, **model}}, 'test')
    network = build_ram(config, make_streams(1)['weights'])
    for param in network.params():
        param.array = (0.5 * rng.standard_normal(param.shape)).astype(
            'float32')
    return config, network


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def naive_rollout(config, net, image, first, noise):
    """One image, in float64, by the equations of the paper."""
    def linear(link, x):
        return link.W.array.astype('float64') @ x + link.b.array

    def rect(x):
        return numpy.maximum(x, 0)

    model, net_g = config.model, net.glimpse
    units = model.core_units
    h, c = numpy.zeros(units), numpy.zeros(units)
    drawn, looked, means, states = [first.astype('float64')], [], [], []
    for t in range(model.glimpses):
        l_t = numpy.array([min(max(v, -1), 1) for v in drawn[t]])
        looked.append(l_t)
        rho = glimpse(image[None], l_t[None].astype('float32'),
                      model.glimpse_size, model.scales,
                      model.scale_factor).reshape(-1)
        g = rect(linear(net_g.what_out, rect(linear(net_g.what, rho)))
                 + linear(net_g.where_out, rect(linear(net_g.where, l_t))))
        z = linear(net.core.linear, numpy.concatenate([g, h]))
        if model.core == 'rnn':
            h = rect(z)
        else:
            for u in range(units):
                a, i, f, o = z[4 * u:4 * u + 4]
                c[u] = sigmoid(f) * c[u] + sigmoid(i) * math.tanh(a)
                h[u] = sigmoid(o) * math.tanh(c[u])
        states.append(h.copy())
        if t + 1 == model.glimpses:
            break
        if model.policy == 'random':
            means.append(numpy.zeros(2))
            drawn.append(noise[t].astype('float64'))
            continue
        x = h
        if model.location_units:
            x = rect(linear(net.location.hidden, x))
        means.append(numpy.tanh(linear(net.location.mean, x)))
        drawn.append(means[t] + model.std * noise[t])
    return drawn, looked, means, states


@pytest.mark.parametrize('by_steps', [False, True])
@pytest.mark.parametrize('seed', range(12))
def test_rollout_equals_a_naive_one(seed, by_steps):
    rng = numpy.random.default_rng(seed)
    config, net = make(
        rng, core=str(rng.choice(['lstm', 'rnn'])),
        glimpses=int(rng.integers(1, 5)), scales=int(rng.integers(1, 4)),
        location_units=int(rng.choice([0, 5])),
        policy=str(rng.choice(['learned', 'random', 'frozen'])),
        first_location=str(rng.choice(['random', 'center'])))
    batch = int(rng.integers(1, 4))
    images = rng.random((batch, config.data.channels, 30, 20), 'float32')
    first, noise = net.draw(make_streams(seed), batch)
    forward = net.forward_by_steps if by_steps else net
    got = forward(images, first, noise)
    assert got.drawn.shape == (config.model.glimpses, batch, 2)
    assert got.means.shape == (config.model.glimpses - 1, batch, 2)
    for b in range(batch):
        want = naive_rollout(config, net, images[b], first[b], noise[:, b])
        for have, values in zip(got, want):
            if len(values):
                numpy.testing.assert_allclose(
                    chainer.as_array(have)[:, b], values, atol=2e-5)


@pytest.mark.parametrize('seed', range(6))
def test_training_loss_equals_a_naive_one(seed):
    rng = numpy.random.default_rng(seed)
    config, net = make(rng, core=['lstm', 'rnn'][seed % 2], std=0.9)
    streams, replay = make_streams(seed), make_streams(seed)
    chain = train_chain.TrainChain(net, config.training, streams)
    batch = 5
    images = rng.random((batch, config.data.channels, 30, 20), 'float32')
    labels = rng.integers(4, size=batch).astype('int32')
    observed = {}
    reporter = chainer.Reporter()
    reporter.add_observer('main', chain)
    with reporter.scope(observed):
        chain(images, labels)
    first, noise = net.draw(replay, batch)
    action = reinforce = baseline = right = 0
    outside = []
    for b in range(batch):
        drawn, _, means, states = naive_rollout(
            config, net, images[b], first[b], noise[:, b])
        logits = (net.action.logits.W.array @ states[-1]
                  + net.action.logits.b.array)
        action -= (logits[labels[b]]
                   - math.log(sum(math.exp(v) for v in logits))) / batch
        R = float(logits.argmax() == labels[b])
        right += R / batch
        for t, mean in enumerate(means):
            # The decision taken in states[t]: its mean, its baseline, and
            # the location drawn from it, as drawn.
            value = float(net.baseline.value.W.array[0] @ states[t]
                          + net.baseline.value.b.array[0])
            z = (drawn[t + 1] - mean) / 0.9
            log_pi = -(z @ z) / 2 - math.log(2 * math.pi * 0.9 ** 2)
            reinforce -= log_pi * (R - value) / batch
            baseline += (value - R) ** 2 / batch / len(means)
            outside.append(float((abs(drawn[t + 1]) > 1).any()))
    want = {'loss/action': action, 'loss/reinforce': reinforce,
            'loss/baseline': baseline, 'accuracy': right,
            'loss': action + 0.01 * reinforce + baseline,
            'location/outside': numpy.mean(outside)}
    assert 0 < numpy.mean(outside)  # or clipping would not show
    for key, value in want.items():
        got = float(chainer.as_array(observed[f'main/{key}']))
        assert got == pytest.approx(value, abs=2e-4), key


def test_gradient_of_the_whole_is_the_policy_gradient():
    """One decision of a small RAM, whose E[R] is integrated on a grid."""
    rng = numpy.random.default_rng(3)
    config, net = make(rng, glimpses=2, std=0.5, first_location='center')
    config = config_from_dict(
        {**config.as_dict(), 'training': {'reinforce_weight': 1.0,
                                          'baseline_weight': 0.0}}, 'test')
    net.action.logits.W.array *= 8  # so that where it looks decides
    image = rng.random((1, config.data.channels, 30, 20), 'float32')

    def rewards(noise):
        count = len(noise)
        rollout = net(numpy.repeat(image, count, axis=0),
                      numpy.zeros((count, 2), 'float32'), noise[None])
        guesses = net.action(rollout.states[-1]).array.argmax(axis=1)
        return guesses, rollout.means.array[0, 0]

    step = 0.05
    axis = numpy.arange(-4, 4 + step / 2, step)
    grid = numpy.stack(numpy.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    guesses, mean = rewards(grid.astype('float32'))
    label = numpy.bincount(guesses, minlength=4).argsort()[-2:].min()
    right = guesses == label
    density = numpy.exp(-(grid ** 2).sum(axis=1) / 2) / (2 * math.pi)
    assert 0.05 < (density * right).sum() * step ** 2 < 0.95
    # d E[R] / d mean = E[R noise] / std; the bias sits below a tanh.
    exact = (density * right * grid.T).sum(axis=1) * step ** 2 / 0.5 * (
        1 - mean ** 2)

    chain = train_chain.TrainChain(net, config.training, make_streams(0))
    estimates = []
    for _ in range(40):
        chain.cleargrads()
        chain(numpy.repeat(image, 1000, axis=0),
              numpy.full(1000, label, 'int32')).backward()
        estimates.append(-net.location.mean.b.grad)
    estimates = numpy.array(estimates)
    error = estimates.std(axis=0) / math.sqrt(len(estimates) - 1)
    assert (abs(exact) > 8 * error).any()  # precise enough to tell a sign
    assert (abs(estimates.mean(axis=0) - exact) < 4 * error + 1e-3).all()


def test_one_glimpse_trains():
    rng = numpy.random.default_rng(0)
    config, net = make(rng, glimpses=1)
    chain = train_chain.TrainChain(net, config.training, make_streams(0))
    chain.cleargrads()
    chain(rng.random((3, config.data.channels, 30, 20), 'float32'),
          numpy.zeros(3, 'int32')).backward()
    assert net.core.linear.W.grad.any()


def test_draws_come_from_their_streams():
    _, net = make(numpy.random.default_rng(0))
    first, noise = net.draw(make_streams(5), 7)
    assert first.dtype == noise.dtype == numpy.float32
    assert first.shape == (7, 2) and noise.shape == (2, 7, 2)
    same_first, zero = net.draw(make_streams(5), 7, mean=True)
    numpy.testing.assert_array_equal(first, same_first)
    assert not zero.any()
    net.first_location = 'center'
    assert not net.draw(make_streams(5), 7)[0].any()
    net.policy = 'random'
    _, places = net.draw(make_streams(5), 5000, mean=True)
    assert abs(places).max() <= 1 and abs(places.mean()) < 0.02
    assert abs(places.std() - 1 / math.sqrt(3)) < 0.01


@pytest.mark.parametrize('policy', ['frozen', 'random'])
def test_controls_do_not_learn_where_to_look(policy):
    rng = numpy.random.default_rng(0)
    config, net = make(rng, policy=policy)
    chain = train_chain.TrainChain(net, config.training, make_streams(0))
    optimizer = chainer.optimizers.Adam().setup(chain)
    before = {name: p.array.copy() for name, p in net.namedparams()}
    for _ in range(3):
        optimizer.update(
            chain, rng.random((4, config.data.channels, 30, 20), 'float32'),
            rng.integers(4, size=4).astype('int32'))
    for name, param in net.namedparams():
        changed = (param.array != before[name]).any()
        assert changed == (not name.startswith('/location')), name


def test_same_seed_same_weights():
    config = config_from_dict({}, 'test')
    one, two, other = (
        build_ram(config, make_streams(seed)['weights']) for seed in (1, 1, 2))
    for a, b, c in zip(one.params(), two.params(), other.params()):
        numpy.testing.assert_array_equal(a.array, b.array)
        assert a.ndim == 1 or (a.array != c.array).any()


def test_reward_is_whether_the_class_is_right():
    logits = chainer.Variable(numpy.array([[0, 1, 2], [3, 1, 2.]]))
    rewards = losses.reward(logits, numpy.array([2, 1]))
    assert rewards.tolist() == [1, 0] and isinstance(rewards, numpy.ndarray)
