import chainer
import numpy
import pytest
from chainer import gradient_check

from ram import links
from ram.functions.glimpse import glimpse


def sigmoid(x):
    return 1 / (1 + numpy.exp(-x))


def in_float64(link, seed=0):
    rng = numpy.random.default_rng(seed)
    for param in link.params():
        param.array = rng.standard_normal(param.shape) * 0.4
        param.cleargrad()
    return link


@pytest.mark.parametrize('batch', [1, 5])
def test_glimpse_sensor(batch):
    rng = numpy.random.default_rng(1)
    images = rng.random((batch, 2, 20, 31), 'float32')
    locations = rng.uniform(-1, 1, (batch, 2)).astype('float32')
    sensor = links.GlimpseSensor(3, 3, 3)
    got = sensor(images, locations)
    assert got.shape == (batch, 3, 2, 3, 3) and got.dtype == numpy.float32
    numpy.testing.assert_array_equal(
        got, glimpse(images, locations, 3, 3, 3))
    assert not list(sensor.params())


def test_a_table_is_handed_on():
    rng = numpy.random.default_rng(1)
    sensor = links.GlimpseSensor(3, 2)
    net = links.GlimpseNetwork(sensor, 1, 5, 4, 6, rng)
    images, locations = rng.random((2, 1, 9, 8), 'float32'), numpy.zeros(
        (2, 2), 'float32')
    empty = numpy.zeros((2, 1, 10, 9))
    assert sensor(images, locations)[:, 1].any()
    assert not sensor(images, locations, empty)[:, 1].any()
    assert (net(images, locations).array
            != net(images, locations, empty).array).any()


@pytest.mark.parametrize('batch', [1, 5])
def test_glimpse_network(batch):
    rng = numpy.random.default_rng(1)
    sensor = links.GlimpseSensor(3, 2, 2)
    net = in_float64(links.GlimpseNetwork(sensor, 2, 5, 4, 6, rng))
    images, locations = rng.random((batch, 2, 9, 8)), rng.uniform(
        -1, 1, (batch, 2))
    got = net(images, locations)
    retina = sensor(images, locations).reshape(batch, -1)
    h_g = numpy.maximum(retina @ net.what.W.array.T + net.what.b.array, 0)
    h_l = numpy.maximum(
        locations @ net.where.W.array.T + net.where.b.array, 0)
    want = numpy.maximum(
        h_g @ net.what_out.W.array.T + net.what_out.b.array
        + h_l @ net.where_out.W.array.T + net.where_out.b.array, 0)
    assert got.shape == (batch, 6)
    numpy.testing.assert_allclose(got.array, want, atol=1e-12)


@pytest.mark.parametrize('batch', [1, 5])
def test_lstm(batch):
    rng = numpy.random.default_rng(1)
    core = in_float64(links.LSTMCore(4, 3, rng))
    c, h = rng.standard_normal((2, batch, 3))
    g = rng.standard_normal((batch, 4))
    z = numpy.hstack([g, h]) @ core.linear.W.array.T + core.linear.b.array
    a, i, f, o = (z[:, j::4] for j in range(4))
    want_c = sigmoid(f) * c + sigmoid(i) * numpy.tanh(a)
    want_h = sigmoid(o) * numpy.tanh(want_c)
    got_c, got_h = core((chainer.Variable(c), chainer.Variable(h)),
                        chainer.Variable(g))
    numpy.testing.assert_allclose(got_c.array, want_c, atol=1e-12)
    numpy.testing.assert_allclose(got_h.array, want_h, atol=1e-12)


def test_lstm_forgets_nothing_at_first():
    core = links.LSTMCore(4, 3, numpy.random.default_rng(0))
    numpy.testing.assert_array_equal(
        core.linear.b.array, [0, 0, 1, 0] * 3)


@pytest.mark.parametrize('batch', [1, 5])
def test_rnn(batch):
    rng = numpy.random.default_rng(1)
    core = links.RNNCore(4, 3, rng)
    numpy.testing.assert_array_equal(
        core.linear.W.array[:, 4:], 0.5 * numpy.eye(3))
    in_float64(core)
    h, g = rng.standard_normal((batch, 3)), rng.standard_normal((batch, 4))
    W, b = core.linear.W.array, core.linear.b.array
    got, = core((chainer.Variable(h),), chainer.Variable(g))
    numpy.testing.assert_allclose(
        got.array, numpy.maximum(g @ W[:, :4].T + h @ W[:, 4:].T + b, 0),
        atol=1e-12)


@pytest.mark.parametrize('core, arrays', [
    (links.LSTMCore, 2), (links.RNNCore, 1)])
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_cores_start_from_zero(core, arrays, dtype):
    link = core(4, 3, numpy.random.default_rng(0))
    link.linear.W.array = link.linear.W.array.astype(dtype)
    state = link.initial_state(2)
    assert len(state) == arrays
    for part in state:
        assert part.shape == (2, 3) and part.dtype == dtype
        assert not part.array.any()


@pytest.mark.parametrize('batch', [1, 5])
@pytest.mark.parametrize('hidden', [0, 6])
def test_location_network(hidden, batch):
    rng = numpy.random.default_rng(1)
    net = in_float64(links.LocationNetwork(4, hidden, rng))
    h = rng.standard_normal((batch, 4)) * 30
    x = h
    if hidden:
        x = numpy.maximum(h @ net.hidden.W.array.T + net.hidden.b.array, 0)
    linear = x @ net.mean.W.array.T + net.mean.b.array
    want = numpy.tanh(linear)
    got = net(chainer.Variable(h)).array
    numpy.testing.assert_allclose(got, want, atol=1e-12)
    assert abs(got).max() <= 1 and got.shape == (batch, 2)
    net.squash = False
    numpy.testing.assert_allclose(net(chainer.Variable(h)).array, linear)


@pytest.mark.parametrize('shape', [(4,), (1,), (3, 4), (3, 1)])
def test_heads_take_any_leading_axes(shape):
    rng = numpy.random.default_rng(1)
    action = in_float64(links.ActionNetwork(5, 3, rng))
    baseline = in_float64(links.BaselineNetwork(5, rng))
    h = rng.standard_normal(shape + (5,))
    numpy.testing.assert_allclose(
        action(h).array, h @ action.logits.W.array.T + action.logits.b.array,
        atol=1e-12)
    numpy.testing.assert_allclose(
        baseline(h).array,
        h @ baseline.value.W.array[0] + baseline.value.b.array[0], atol=1e-12)


def test_baseline_cuts_its_input():
    net = links.BaselineNetwork(5, numpy.random.default_rng(0))
    h = chainer.Variable(numpy.ones((2, 5), 'float32'))
    chainer.functions.sum(net(h)).backward()
    assert h.grad is None and net.value.W.grad is not None


@pytest.mark.parametrize('make', [
    lambda rng: links.LocationNetwork(4, 3, rng),
    lambda rng: links.LocationNetwork(4, 0, rng),
    lambda rng: links.ActionNetwork(4, 3, rng)])
def test_gradients(make):
    rng = numpy.random.default_rng(2)
    link = in_float64(make(rng))
    h = rng.standard_normal((3, 4))
    y = link(h)
    gradient_check.check_backward(
        link, h, rng.standard_normal(y.shape), tuple(link.params()),
        atol=1e-5, rtol=1e-5, dtype='float64')


def test_gradients_of_the_glimpse_network():
    rng = numpy.random.default_rng(2)
    net = in_float64(links.GlimpseNetwork(
        links.GlimpseSensor(2, 2), 1, 5, 4, 6, rng))
    images, locations = rng.random((3, 1, 9, 8)), rng.uniform(-1, 1, (3, 2))
    gradient_check.check_backward(
        # The check wants an input that has a gradient.
        lambda x: net(images, locations) + x, numpy.zeros((3, 6)),
        rng.standard_normal((3, 6)), tuple(net.params()),
        atol=1e-5, rtol=1e-5, dtype='float64')


def test_gradients_of_the_baseline_network():
    rng = numpy.random.default_rng(2)
    net = in_float64(links.BaselineNetwork(4, rng))
    h = rng.standard_normal((2, 3, 4))
    gradient_check.check_backward(
        lambda x: net(h) + x, numpy.zeros((2, 3)),
        rng.standard_normal((2, 3)), tuple(net.params()),
        atol=1e-5, rtol=1e-5, dtype='float64')


@pytest.mark.parametrize('core, states', [
    (links.LSTMCore, 2), (links.RNNCore, 1)])
def test_gradients_of_cores(core, states):
    rng = numpy.random.default_rng(2)
    link = in_float64(core(4, 3, rng))
    state = tuple(rng.standard_normal((states, 2, 3)))
    g = rng.standard_normal((2, 4))
    gradient_check.check_backward(
        lambda *a: link(a[:-1], a[-1])[-1], state + (g,),
        rng.standard_normal((2, 3)), tuple(link.params()),
        atol=1e-5, rtol=1e-5, dtype='float64')
