"""RAM and its training loss against a naive rollout, sample by sample."""

import math

import chainer
import numpy
import pytest

from ram import losses
from ram.config import config_from_dict
from ram.functions.glimpse import glimpse
from ram.models.build import build_ram
from ram.random_streams import make_streams
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
        scale_factor=int(rng.integers(2, 4)),
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
    weights = {'reinforce_weight': 0.3, 'baseline_weight': 0.7}
    config = config_from_dict({**config.as_dict(), 'training': weights}, '')
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
    chosen = []
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
            chosen.append(drawn[t + 1])
    outside = (numpy.abs(chosen) > 1).any(axis=1).mean()
    want = {'loss/action': action, 'loss/reinforce': reinforce,
            'loss/baseline': baseline, 'accuracy': right,
            'error': 100 - 100 * right,
            'loss': action + 0.3 * reinforce + 0.7 * baseline,
            'location/x': numpy.mean(chosen, axis=0)[0],
            'location/y': numpy.mean(chosen, axis=0)[1],
            'location/spread': numpy.std(chosen, axis=0).mean(),
            'location/outside': outside}
    assert 0 < outside  # or clipping would not show
    for key, value in want.items():
        got = float(chainer.as_array(observed[f'main/{key}']))
        assert got == pytest.approx(value, abs=2e-4), key


class TestExactPolicyGradient:
    """One decision of a small RAM, whose E[R] is integrated on a grid."""

    std = 0.5

    def make(self, core, baseline):
        """The training chain, an image and its label."""
        rng = numpy.random.default_rng(3)
        config, net = make(rng, core=core, glimpses=2, std=self.std,
                           first_location='center')
        config = config_from_dict({**config.as_dict(), 'training': {
            'reinforce_weight': 1.0, 'baseline_weight': 0.0}}, 'test')
        if baseline is not None:
            net.baseline.value.W.array[...] = 0
            net.baseline.value.b.array[...] = baseline
        image = rng.random((1, config.data.channels, 30, 20), 'float32')
        # No class is ahead by itself, so that where it looks decides.
        logits, _, density = self.integrate(net, image, 0.1)
        net.action.logits.b.array -= (density @ logits).astype('float32')
        logits, _, density = self.integrate(net, image, 0.1)
        shares = numpy.bincount(logits.argmax(axis=1), density, minlength=4)
        return (train_chain.TrainChain(net, config.training, make_streams(0)),
                image, abs(shares - 0.5).argmin())

    def integrate(self, net, image, step):
        """Logits, noise and weight at each point of a grid."""
        axis = numpy.arange(-4, 4, step) + step / 2
        noise = numpy.stack(numpy.meshgrid(axis, axis), -1).reshape(-1, 2)
        logits = []
        with chainer.no_backprop_mode():
            for part in numpy.array_split(noise.astype('float32'), 20):
                rollout = net(
                    numpy.repeat(image, len(part), axis=0),
                    numpy.zeros((len(part), 2), 'float32'), part[None])
                logits.append(net.action(rollout.states[-1]).array)
        density = numpy.exp(-(noise ** 2).sum(axis=1) / 2) / (2 * math.pi)
        self.mean = rollout.means.array[0, 0]
        return numpy.concatenate(logits), noise, density * step ** 2

    def exact(self, net, image, label):
        """E[R], and its gradient by the bias of the mean, below a tanh."""
        # A fine one: the crop moves from pixel to pixel, so R has steps.
        logits, noise, density = self.integrate(net, image, 0.02)
        right = density * (logits.argmax(axis=1) == label)
        # d E[R] / d mean = E[R noise] / std.
        return right.sum(), (right @ noise) / self.std * (1 - self.mean ** 2)

    def sampled(self, chain, image, label, batch):
        """Gradients of E[R], each the mean over a batch of samples."""
        estimates = []
        for _ in range(40):
            chain.cleargrads()
            chain(numpy.repeat(image, batch, axis=0),
                  numpy.full(batch, label, 'int32')).backward()
            estimates.append(-chain.model.location.mean.b.grad)
        return numpy.array(estimates)

    @pytest.mark.parametrize('core', ['lstm', 'rnn'])
    # None: what the baseline network says of the state decided in.
    @pytest.mark.parametrize('baseline', [0, 0.5, None])
    def test_mean_of_samples_is_the_exact_gradient(self, core, baseline):
        chain, image, label = self.make(core, baseline)
        reward, exact = self.exact(chain.model, image, label)
        assert 0.05 < reward < 0.95
        estimates = self.sampled(chain, image, label, 600)
        error = estimates.std(axis=0) / math.sqrt(len(estimates) - 1)
        # Precise enough to tell sign, scale and deviation.
        assert (abs(exact) > 8 * error).any()
        grid = 0.02 * abs(exact).max()  # what a finer one would change
        assert (abs(estimates.mean(axis=0) - exact) < 4 * error + grid).all()

    def test_the_baseline_lowers_the_variance(self):
        without, with_ = (
            self.sampled(*self.make('lstm', baseline), 50).var(axis=0).sum()
            for baseline in (0, 0.5))
        assert with_ < 0.8 * without


@pytest.mark.parametrize('by_steps', [False, True])
@pytest.mark.parametrize('policy', ['learned', 'random'])
def test_one_glimpse_trains(policy, by_steps):
    rng = numpy.random.default_rng(0)
    config, net = make(rng, glimpses=1, policy=policy)
    if by_steps:
        net.forward = net.forward_by_steps
    chain = train_chain.TrainChain(net, config.training, make_streams(0))
    chain.cleargrads()
    observed = {}
    reporter = chainer.Reporter()
    reporter.add_observer('main', chain)
    with reporter.scope(observed):
        loss = chain(rng.random((1, config.data.channels, 30, 20), 'float32'),
                     numpy.zeros(1, 'int32'))
    loss.backward()
    # There is no decision: nothing to score, nothing to expect.
    assert float(observed['main/loss/reinforce'].array) == 0
    assert float(observed['main/loss/baseline'].array) == 0
    assert not any('location' in key for key in observed)
    assert net.core.linear.W.grad.any()
    for param in list(net.location.params()) + list(net.baseline.params()):
        assert param.grad is None or not param.grad.any()


@pytest.mark.parametrize('by_steps', [False, True])
def test_clipped_where_it_looks_not_where_it_is_scored(by_steps):
    """The mean stands at the border, and the policy is a wide one."""
    rng = numpy.random.default_rng(0)
    config, net = make(rng, std=2.0)
    net.location.mean.W.array[...] = 0
    net.location.mean.b.array[...] = [5, -5]
    if by_steps:
        net.forward = net.forward_by_steps
    images = rng.random((50, config.data.channels, 30, 20), 'float32')
    first, noise = net.draw(make_streams(0), 50)
    got = net(images, first, noise)
    numpy.testing.assert_allclose(
        got.means.array, numpy.broadcast_to(
            numpy.tanh([5, -5]), got.means.shape), atol=1e-6)
    numpy.testing.assert_allclose(
        got.drawn[1:], got.means.array + 2 * noise, atol=1e-5)
    assert (abs(got.drawn[1:]) > 1).any(axis=2).mean() > 0.5
    numpy.testing.assert_array_equal(
        got.locations, numpy.clip(got.drawn, -1, 1))
    # The score of a choice as drawn is its noise over the deviation.
    numpy.testing.assert_allclose(
        losses.log_pi(got.drawn[1:], got.means.array, 2.0),
        -(noise ** 2).sum(axis=2) / 2 - math.log(2 * math.pi * 4), atol=1e-4)


def test_draws_come_from_their_streams():
    _, net = make(numpy.random.default_rng(0))
    first, noise = net.draw(make_streams(5), 7)
    assert first.dtype == noise.dtype == numpy.float32
    assert first.shape == (7, 2) and noise.shape == (2, 7, 2)
    same_first, zero = net.draw(make_streams(5), 7, mean=True)
    numpy.testing.assert_array_equal(first, same_first)
    assert not zero.any()
    # Each from its own stream alone, the means from none.
    streams, fresh = make_streams(5), make_streams(5)
    net.draw(streams, 7)
    for name, generator in fresh.items():
        if name == 'location':
            generator.random((7, 2), 'float32')
        elif name == 'noise':
            numpy.testing.assert_array_equal(
                generator.standard_normal((2, 7, 2), 'float32'), noise)
        assert (generator.bit_generator.state
                == streams[name].bit_generator.state), name
    net.first_location = 'center'
    assert not net.draw(make_streams(5), 7)[0].any()
    net.first_location = 'near_center'
    near, noise = net.draw(make_streams(5), 5000)
    assert near.std() == pytest.approx(net.std, rel=0.03)
    assert abs(near.mean()) < 3 * net.std / 100
    assert abs((near * noise[0]).mean()) < 3 * net.std / 100
    assert not net.draw(make_streams(5), 7, mean=True)[0].any()
    net.policy = 'random'
    _, places = net.draw(make_streams(5), 5000, mean=True)
    assert abs(places).max() <= 1 and abs(places.mean()) < 0.02
    assert abs(places.std() - 1 / math.sqrt(3)) < 0.01


@pytest.mark.parametrize('policy', ['learned', 'frozen', 'random'])
def test_only_the_learned_policy_learns(policy):
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
        assert changed == (policy == 'learned'
                           or not name.startswith('/location')), name


def test_same_seed_same_weights():
    config = config_from_dict({}, 'test')
    one, two, other = (
        build_ram(config, make_streams(seed)['weights']) for seed in (1, 1, 2))
    for a, b, c in zip(one.params(), two.params(), other.params()):
        numpy.testing.assert_array_equal(a.array, b.array)
        assert a.ndim == 1 or (a.array != c.array).any()


def test_a_used_network_can_be_copied():
    net = build_ram(config_from_dict({}, 'test'), make_streams(1)['weights'])
    arrays = [numpy.zeros((4, 1, 28, 28), 'float32'),
              *net.draw(make_streams(0), 4)]
    want = net(*arrays).states.array
    with chainer.no_backprop_mode():
        net(*arrays)  # which leaves a workspace in the pool
    other = net.copy('copy')
    for param in net.params():
        param.array[...] = 0
    numpy.testing.assert_array_equal(other(*arrays).states.array, want)


def test_the_configuration_is_what_is_built():
    config = config_from_dict(
        {'data': {'name': 'npz', 'file': 'x', 'image_size': [70, 90],
                  'channels': 3, 'classes': 4},
         'model': {'glimpses': 2, 'glimpse_size': 5, 'scales': 2,
                   'scale_factor': 3, 'what_units': 6, 'where_units': 7,
                   'glimpse_units': 8, 'core': 'rnn', 'core_units': 9,
                   'location_units': 10, 'std': 0.3, 'policy': 'frozen',
                   'first_location': 'center'},
         'training': {'reinforce_reaches_core': True}}, 'test')
    net = build_ram(config, make_streams(1)['weights'])
    shapes = {name: p.shape for name, p in net.namedparams() if p.ndim == 2}
    assert shapes == {
        '/glimpse/what/W': (6, 2 * 3 * 5 * 5), '/glimpse/where/W': (7, 2),
        '/glimpse/what_out/W': (8, 6), '/glimpse/where_out/W': (8, 7),
        '/core/linear/W': (9, 8 + 9), '/location/hidden/W': (10, 9),
        '/location/mean/W': (2, 10), '/action/logits/W': (4, 9),
        '/baseline/value/W': (1, 9)}
    assert all(p.dtype == numpy.float32 for p in net.params())
    sensor = net.glimpse.sensor
    assert (sensor.size, sensor.scales, sensor.factor) == (5, 2, 3)
    assert (net.glimpses, net.std, net.policy, net.first_location,
            net.reinforce_reaches_core) == (2, 0.3, 'frozen', 'center', True)


def test_reward_is_whether_the_class_is_right():
    logits = chainer.Variable(numpy.array([[0, 1, 2], [3, 1, 2.]]))
    rewards = losses.reward(logits, numpy.array([2, 1]))
    assert rewards.tolist() == [1, 0] and isinstance(rewards, numpy.ndarray)
