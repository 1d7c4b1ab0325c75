"""RAM and its training loss against a naive rollout, sample by sample."""

import math

import chainer
import numpy
import pytest

from ram import losses
from ram.config import TrainingConfig, config_from_dict
from ram.fast.fused import fused_loss, fused_rollout
from ram.functions.glimpse import glimpse
from ram.losses import loss_by_links
from ram.models.build import build_network
from ram.models.ram import RAM
from ram.random_streams import make_streams
from ram.training.train_chain import TrainChain


def make(rng, **model):
    data = {'name': 'npz', 'file': 'x', 'image_size': [30, 20],
            'channels': int(rng.choice([1, 3])), 'classes': 4}
    config = config_from_dict({'data': data, 'model': {
        'glimpses': 3, 'glimpse_size': 4, 'what_units': 6, 'where_units': 5,
        'glimpse_units': 7, 'core_units': 8, 'location_units': 5,
        'std': 0.6, **model}}, 'test')
    network = build_network(config, make_streams(1)['weights'])
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
    sampled, clipped, means, states = [first.astype('float64')], [], [], []
    for t in range(model.glimpses):
        l_t = numpy.array([min(max(v, -1), 1) for v in sampled[t]])
        clipped.append(l_t)
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
            sampled.append(noise[t].astype('float64'))
            continue
        x = h
        if model.location_units:
            x = rect(linear(net.location.hidden, x))
        means.append(numpy.tanh(linear(net.location.mean, x)))
        sampled.append(means[t] + model.std * noise[t])
    return sampled, clipped, means, states


@pytest.mark.parametrize('rollout', [RAM.__call__, fused_rollout])
@pytest.mark.parametrize('seed', range(12))
def test_rollout_equals_a_naive_one(seed, rollout):
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
    first, noise = net.sample_noise(make_streams(seed), batch)
    got = rollout(net, images, first, noise)
    assert got.sampled.shape == (config.model.glimpses, batch, 2)
    assert got.means.shape == (config.model.glimpses - 1, batch, 2)
    for b in range(batch):
        want = naive_rollout(config, net, images[b], first[b], noise[:, b])
        for have, values in zip(got, want):
            if len(values):
                numpy.testing.assert_allclose(
                    chainer.as_array(have)[:, b], values, atol=2e-5)


@pytest.mark.parametrize('loss', [loss_by_links, fused_loss])
@pytest.mark.parametrize('seed', range(6))
def test_training_loss_equals_a_naive_one(seed, loss):
    rng = numpy.random.default_rng(seed)
    config, net = make(rng, core=['lstm', 'rnn'][seed % 2], std=0.9)
    training = TrainingConfig(reinforce_weight=0.3, baseline_weight=0.7)
    streams, replay = make_streams(seed), make_streams(seed)
    chain = TrainChain(net, training, streams, loss)
    batch = 5
    images = rng.random((batch, config.data.channels, 30, 20), 'float32')
    labels = rng.integers(4, size=batch).astype('int32')
    observed = {}
    reporter = chainer.Reporter()
    reporter.add_observer('main', chain)
    with reporter.scope(observed):
        chain(images, labels)
    first, noise = net.sample_noise(replay, batch)
    action = reinforce = baseline = accuracy = 0
    choices = []
    for b in range(batch):
        sampled, _, means, states = naive_rollout(
            config, net, images[b], first[b], noise[:, b])
        logits = (net.action.logits.W.array @ states[-1]
                  + net.action.logits.b.array)
        action -= (logits[labels[b]]
                   - math.log(sum(math.exp(v) for v in logits))) / batch
        R = float(logits.argmax() == labels[b])
        accuracy += R / batch
        for t, mean in enumerate(means):
            # The decision made in states[t]: its mean, its baseline, and the
            # location sampled from it, not clipped.
            value = float(net.baseline.value.W.array[0] @ states[t]
                          + net.baseline.value.b.array[0])
            z = (sampled[t + 1] - mean) / 0.9
            log_pi = -(z @ z) / 2 - math.log(2 * math.pi * 0.9 ** 2)
            reinforce -= log_pi * (R - value) / batch
            baseline += (value - R) ** 2 / batch / len(means)
            choices.append(sampled[t + 1])
    outside = (numpy.abs(choices) > 1).any(axis=1).mean()
    want = {'loss/action': action, 'loss/reinforce': reinforce,
            'loss/baseline': baseline, 'accuracy': accuracy,
            'error': 100 - 100 * accuracy,
            'loss': action + 0.3 * reinforce + 0.7 * baseline,
            'location/x': numpy.mean(choices, axis=0)[0],
            'location/y': numpy.mean(choices, axis=0)[1],
            'location/spread': numpy.std(choices, axis=0).mean(),
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
        training = TrainingConfig(reinforce_weight=1.0, baseline_weight=0.0)
        if baseline is not None:
            net.baseline.value.W.array[...] = 0
            net.baseline.value.b.array[...] = baseline
        image = rng.random((1, config.data.channels, 30, 20), 'float32')
        # No class leads by itself, so the second glimpse decides.
        logits, _, density = self.integrate(net, image, 0.1)
        net.action.logits.b.array -= (density @ logits).astype('float32')
        logits, _, density = self.integrate(net, image, 0.1)
        shares = numpy.bincount(logits.argmax(axis=1), density, minlength=4)
        return (TrainChain(net, training, make_streams(0), fused_loss),
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
        # A fine grid: the crop moves from pixel to pixel, so R has steps.
        logits, noise, density = self.integrate(net, image, 0.02)
        correct = density * (logits.argmax(axis=1) == label)
        # d E[R] / d mean = E[R noise] / std.
        return correct.sum(), (correct @ noise) / self.std * (1 - self.mean ** 2)

    def gradients(self, chain, image, label, batch):
        """Gradients of E[R], each the mean over a batch of samples."""
        estimates = []
        for _ in range(40):
            chain.cleargrads()
            chain(numpy.repeat(image, batch, axis=0),
                  numpy.full(batch, label, 'int32')).backward()
            estimates.append(-chain.model.location.mean.b.grad)
        return numpy.array(estimates)

    # None: the baseline network's own value of the state.
    @pytest.mark.parametrize('core, baseline', [
        ('lstm', 0), ('rnn', 0.5), ('lstm', None), ('rnn', None)])
    def test_mean_of_samples_is_the_exact_gradient(self, core, baseline):
        chain, image, label = self.make(core, baseline)
        reward, exact = self.exact(chain.model, image, label)
        assert 0.05 < reward < 0.95
        estimates = self.gradients(chain, image, label, 600)
        error = estimates.std(axis=0) / math.sqrt(len(estimates) - 1)
        # Precise enough to show a wrong sign, scale or deviation.
        assert (abs(exact) > 8 * error).any()
        grid = 0.02 * abs(exact).max()  # the error of the grid
        assert (abs(estimates.mean(axis=0) - exact) < 4 * error + grid).all()

    def test_the_baseline_lowers_the_variance(self):
        without, with_ = (
            self.gradients(*self.make('lstm', baseline), 50).var(axis=0).sum()
            for baseline in (0, 0.5))
        assert with_ < 0.8 * without


@pytest.mark.parametrize('loss', [loss_by_links, fused_loss])
@pytest.mark.parametrize('policy', ['learned', 'random'])
def test_one_glimpse_trains(policy, loss):
    rng = numpy.random.default_rng(0)
    config, net = make(rng, glimpses=1, policy=policy)
    chain = TrainChain(net, config.training, make_streams(0), loss)
    chain.cleargrads()
    observed = {}
    reporter = chainer.Reporter()
    reporter.add_observer('main', chain)
    with reporter.scope(observed):
        total = chain(
            rng.random((1, config.data.channels, 30, 20), 'float32'),
            numpy.zeros(1, 'int32'))
    total.backward()
    # There is no decision: nothing to score, nothing to expect.
    for term in ('reinforce', 'baseline'):
        assert float(chainer.as_array(observed[f'main/loss/{term}'])) == 0
    assert not any('location' in key for key in observed)
    assert net.core.linear.W.grad.any()
    for param in list(net.location.params()) + list(net.baseline.params()):
        assert param.grad is None or not param.grad.any()


@pytest.mark.parametrize('rollout', [RAM.__call__, fused_rollout])
def test_locations_are_clipped_for_the_crop_not_for_the_score(rollout):
    """The mean is at the border, and the policy is wide."""
    rng = numpy.random.default_rng(0)
    config, net = make(rng, std=2.0)
    net.location.mean.W.array[...] = 0
    net.location.mean.b.array[...] = [5, -5]
    images = rng.random((50, config.data.channels, 30, 20), 'float32')
    first, noise = net.sample_noise(make_streams(0), 50)
    got = rollout(net, images, first, noise)
    means = chainer.as_array(got.means)
    numpy.testing.assert_allclose(
        means, numpy.broadcast_to(numpy.tanh([5, -5]), means.shape),
        atol=1e-6)
    numpy.testing.assert_allclose(
        got.sampled[1:], means + 2 * noise, atol=1e-5)
    assert (abs(got.sampled[1:]) > 1).any(axis=2).mean() > 0.5
    numpy.testing.assert_array_equal(
        got.locations, numpy.clip(got.sampled, -1, 1))
    # The score of a sample is its noise over the standard deviation.
    numpy.testing.assert_allclose(
        losses.log_pi(got.sampled[1:], means, 2.0).array,
        -(noise ** 2).sum(axis=2) / 2 - math.log(2 * math.pi * 4), atol=1e-4)


def test_sample_noise_uses_its_streams():
    _, net = make(numpy.random.default_rng(0))
    first, noise = net.sample_noise(make_streams(5), 7)
    assert first.dtype == noise.dtype == numpy.float32
    assert first.shape == (7, 2) and noise.shape == (2, 7, 2)
    same_first, zero = net.sample_noise(make_streams(5), 7, mean=True)
    numpy.testing.assert_array_equal(first, same_first)
    assert not zero.any()
    # Each uses its own stream alone; following the mean uses none.
    streams, fresh = make_streams(5), make_streams(5)
    net.sample_noise(streams, 7)
    for name, generator in fresh.items():
        if name == 'location':
            generator.random((7, 2), 'float32')
        elif name == 'noise':
            numpy.testing.assert_array_equal(
                generator.standard_normal((2, 7, 2), 'float32'), noise)
        assert (generator.bit_generator.state
                == streams[name].bit_generator.state), name
    net.first_location = 'center'
    assert not net.sample_noise(make_streams(5), 7)[0].any()
    net.first_location = 'near_center'
    near, noise = net.sample_noise(make_streams(5), 5000)
    assert near.std() == pytest.approx(net.std, rel=0.03)
    assert abs(near.mean()) < 3 * net.std / 100
    assert abs((near * noise[0]).mean()) < 3 * net.std / 100
    assert not net.sample_noise(make_streams(5), 7, mean=True)[0].any()
    net.policy = 'random'
    _, places = net.sample_noise(make_streams(5), 5000, mean=True)
    assert abs(places).max() <= 1 and abs(places.mean()) < 0.02
    assert abs(places.std() - 1 / math.sqrt(3)) < 0.01


@pytest.mark.parametrize('policy', ['learned', 'frozen', 'random'])
def test_only_the_learned_policy_learns(policy):
    rng = numpy.random.default_rng(0)
    config, net = make(rng, policy=policy)
    chain = TrainChain(net, config.training, make_streams(0), fused_loss)
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
        build_network(config, make_streams(seed)['weights']) for seed in (1, 1, 2))
    for a, b, c in zip(one.params(), two.params(), other.params()):
        numpy.testing.assert_array_equal(a.array, b.array)
        assert a.ndim == 1 or (a.array != c.array).any()


def test_a_used_network_can_be_copied():
    net = build_network(config_from_dict({}, 'test'), make_streams(1)['weights'])
    arrays = [numpy.zeros((4, 1, 28, 28), 'float32'),
              *net.sample_noise(make_streams(0), 4)]
    want = fused_rollout(net, *arrays).states
    other = net.copy('copy')
    for param in net.params():
        param.array[...] = 0
    numpy.testing.assert_array_equal(
        fused_rollout(other, *arrays).states, want)


def test_build_ram_follows_the_configuration():
    config = config_from_dict(
        {'data': {'name': 'npz', 'file': 'x', 'image_size': [70, 90],
                  'channels': 3, 'classes': 4},
         'model': {'glimpses': 2, 'glimpse_size': 5, 'scales': 2,
                   'scale_factor': 3, 'what_units': 6, 'where_units': 7,
                   'glimpse_units': 8, 'core': 'rnn', 'core_units': 9,
                   'location_units': 10, 'std': 0.3, 'policy': 'frozen',
                   'first_location': 'center'},
         'training': {'reinforce_reaches_core': True}}, 'test')
    net = build_network(config, make_streams(1)['weights'])
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


def test_reward_is_whether_the_class_is_correct():
    logits = chainer.Variable(numpy.array([[0, 1, 2], [3, 1, 2.]]))
    rewards = losses.reward(logits, numpy.array([2, 1]))
    assert rewards.tolist() == [1, 0] and isinstance(rewards, numpy.ndarray)
