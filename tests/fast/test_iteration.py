"""The kernels around the rollout, run as C++ (see conftest.py)."""

from types import SimpleNamespace

import chainer
import numpy
import pytest

from ram.config import config_from_dict
from ram.data.canvas import warp
from ram.data.splits import Split
from ram.fast import iteration
from ram.losses import hybrid_loss

pytestmark = pytest.mark.usefixtures('threads_in_turn')


def philox(counter, key):
    """Philox 4x32-10 of Python's integers."""
    c, k = [int(w) for w in counter], [int(w) for w in key]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b % 2 ** 32,
             (a >> 32) ^ c[3] ^ k[1], a % 2 ** 32]
        k = [(k[0] + 0x9E3779B9) % 2 ** 32, (k[1] + 0xBB67AE85) % 2 ** 32]
    return c


def test_philox_gives_the_published_answers():
    # kat_vectors of Random123, by the inventors.
    counters = numpy.array([
        [0, 0, 0, 0], [0xffffffff] * 4,
        [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344]], 'uint32')
    keys = numpy.array([[0, 0], [0xffffffff] * 2,
                        [0xa4093822, 0x299f31d0]], 'uint32')
    want = [[0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
            [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
            [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]]
    assert [philox(*pair) for pair in zip(counters, keys)] == want
    iteration.philox(counters, keys)
    assert counters.tolist() == want


CLOCK = numpy.array([2, 1000], 'int64')
KEY = numpy.array([5, 6, 1], 'uint32')
SCALES = numpy.array([9, 9, 0.5])


def drawn(size, normal, dtype='float32', stream=7, first_block=3, clock=CLOCK,
          key=KEY):
    out = numpy.full(size, numpy.nan, dtype)
    iteration.draw(clock, key, stream, first_block, normal,
                   SCALES.astype(dtype), out)
    return out


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('size', [1, 4, 6, 11])
def test_draws_are_those_of_philox(dtype, size):
    words = numpy.array([philox([3 + i, 1000, 7, 1], KEY[:2])
                         for i in range(3)]).ravel()
    u = (words >> 8) / 2 ** 24
    uniform = 2 * u - 1
    radius = 0.5 * numpy.sqrt(-2 * numpy.log(1 - u[::2]))
    normal = numpy.stack([radius * numpy.cos(2 * numpy.pi * u[1::2]),
                          radius * numpy.sin(2 * numpy.pi * u[1::2])],
                         axis=1).ravel()
    close = dict(rtol=0, atol=1e-6 if dtype == 'float32' else 1e-12)
    numpy.testing.assert_allclose(drawn(size, False, dtype), uniform[:size],
                                  **close)
    numpy.testing.assert_allclose(drawn(size, True, dtype), normal[:size],
                                  **close)


def test_draws_are_uniform_and_normal():
    n = 10 ** 6
    for values, variance, fourth in ((drawn(n, False), 1 / 3, 1 / 5),
                                     (drawn(n, True) / 0.5, 1, 3)):
        assert numpy.isfinite(values).all()
        assert abs(values.mean(dtype='float64')) < 5 * (variance / n) ** 0.5
        squares = values.astype('float64') ** 2
        for power, moment in ((squares, variance), (squares ** 2, fourth)):
            assert abs(power.mean() - moment) < 5 * power.std() / n ** 0.5
        # Neighbours have nothing to do with each other.
        for lag in (1, 2, 4):
            assert abs(numpy.mean(values[lag:] * values[:-lag])) < (
                5 * variance / n ** 0.5)


def test_all_that_should_differ_does():
    base = drawn(8, False)
    assert not numpy.array_equal(base[4:], base[:4])
    assert (drawn(4, False, first_block=4) == base[4:]).all()
    others = [drawn(8, False, stream=8),
              drawn(8, False, clock=numpy.array([2, 1001], 'int64')),
              drawn(8, False, key=numpy.array([5, 6, 0], 'uint32')),
              drawn(8, False, key=numpy.array([5, 7, 1], 'uint32')),
              drawn(8, False, key=numpy.array([4, 6, 1], 'uint32'))]
    for other in others:
        assert (other != base).all()


def make_data(variant, channels=2, **more):
    data = {'name': 'npz', 'file': 'x', 'image_size': [5, 4], 'classes': 3,
            'channels': channels, **more}
    if variant != 'original':
        data.update(variant=variant, canvas=[11, 9])
    if variant == 'cluttered':
        data.update(clutter=4, clutter_size=3)
    return config_from_dict({'data': data, 'model': {'glimpse_size': 2}},
                            'test').data


def make_batch(data, batch, dtype='float32', clock=CLOCK):
    rng = numpy.random.default_rng(0)
    split = Split(
        rng.integers(1, 255, (6, data.channels) + data.image_size, 'uint8'),
        rng.integers(3, size=6).astype('int32'))
    order = rng.integers(6, size=(3, batch)).astype('int32')
    patches = data.clutter if data.variant == 'cluttered' else 0
    windows = numpy.full((batch, patches + 1, iteration.WINDOW), -99, 'int32')
    labels = numpy.full(batch, -99, 'int32')
    maps = rng.uniform(-1, 1, (batch, 4)).astype(dtype)
    canvases = numpy.full((batch, data.channels) + data.canvas_size,
                          numpy.nan, dtype)
    iteration.place(clock, KEY, 7, order, split, data, windows, labels)
    iteration.paint(split, data, windows, maps, canvases)
    return split, order, windows, labels, maps, canvases


VARIANTS = [('original', {}), ('original', {'shift': 2}), ('translated', {}),
            ('cluttered', {}), ('original', {'shift': 1, 'warp': 0.3}),
            ('cluttered', {'warp': 0.4})]


@pytest.mark.parametrize('variant,more', VARIANTS)
def test_canvases_equal_a_loop(variant, more):
    data = make_data(variant, **more)
    split, order, windows, labels, maps, canvases = make_batch(data, 40)
    images = split.images.astype('float32') / 255
    # warp itself is held against a loop in test_canvas.py.
    warped = warp(split.images[windows[:, -1, 0]], data.warp, SimpleNamespace(
        uniform=lambda low, high, shape: high * maps.reshape(shape))) / 255
    rows, columns = data.canvas_size
    for b in range(40):
        want = numpy.zeros((data.channels, rows + 20, columns + 20),
                           'float32')
        for j, (index, top, left, row, column) in enumerate(windows[b]):
            height, width = data.image_size
            if j + 1 < len(windows[b]):
                height = width = data.clutter_size
            else:
                assert index == order[2, b] and top == left == 0
                assert labels[b] == split.labels[index]
            patch = images[index, :, top:top + height, left:left + width]
            assert patch.shape[1:] == (height, width)
            if j + 1 == len(windows[b]):
                patch = warped[b]
            want[:, 10 + row:10 + row + height,
                 10 + column:10 + column + width] += patch
        want = numpy.clip(want[:, 10:10 + rows, 10:10 + columns], 0, 1)
        numpy.testing.assert_allclose(
            canvases[b], want, rtol=0, atol=1e-5 if data.warp else 0)
    assert (canvases == 1).any() == (variant == 'cluttered')


@pytest.mark.parametrize('variant,more', VARIANTS)
def test_all_windows_are_as_likely(variant, more):
    data = make_data(variant, **more)
    batch = 30000
    windows = make_batch(data, batch)[2]
    rows, columns = data.canvas_size
    height, width = data.image_size
    shift, side = data.shift, data.clutter_size

    def even(values, low, high):
        counts = numpy.bincount(values - low, minlength=high - low)
        assert len(counts) == high - low  # the last included, none beyond
        expected = len(values) / len(counts)
        chi2 = ((counts - expected) ** 2 / expected).sum()
        free = len(counts) - 1
        assert chi2 < free + 5 * (2 * max(free, 1)) ** 0.5

    image = windows[:, -1]
    even(image[:, 3], -shift, rows - height + shift + 1)
    even(image[:, 4], -shift, columns - width + shift + 1)
    if variant == 'original' and not shift:
        return
    ordered = numpy.corrcoef(image[:, 3], image[:, 4])
    assert abs(ordered[0, 1]) < 5 / batch ** 0.5
    for patch in windows[:, :-1].swapaxes(0, 1):
        for values, end in zip(patch.T, (
                6, height - side + 1, width - side + 1, rows - side + 1,
                columns - side + 1)):
            even(values, 0, end)
        assert abs(numpy.corrcoef(patch.T) - numpy.eye(5)).max() < (
            5 / batch ** 0.5)


@pytest.mark.parametrize('reward', ['correct', 'probability'])
@pytest.mark.parametrize('seed', range(8))
def test_the_loss_and_its_gradients(seed, reward):
    rng = numpy.random.default_rng(seed)
    batch, classes, decisions = (int(n) for n in rng.integers(1, 7, size=3))
    decisions -= 1
    std, weights = float(rng.uniform(0.1, 2)), rng.random(2)
    logits = rng.standard_normal((batch, classes))
    logits_b = rng.standard_normal(classes)
    values = rng.standard_normal((decisions, batch))
    value_b = rng.standard_normal(1)
    means = rng.uniform(-1, 1, (decisions, batch, 2))
    chosen = means + std * rng.standard_normal(means.shape)
    labels = rng.integers(classes, size=batch).astype('int32')

    variables = [chainer.Variable(a) for a in (
        logits + logits_b, means, values + value_b)]
    want = hybrid_loss(variables[0], labels, chosen, variables[1], std,
                       variables[2], *weights, reward)
    want.total.backward()

    clock = numpy.array([1, 41], 'int64')
    d_means = numpy.full_like(means, 9)
    rows = numpy.full((batch, len(iteration.COLUMNS)), 9.0)
    iteration.loss(clock, numpy.array([9, std]), labels, logits, logits_b,
                   chosen, means, values, value_b, *weights, reward, d_means,
                   rows)
    for got, variable in zip((logits, d_means, values), variables):
        numpy.testing.assert_allclose(got, variable.grad, atol=1e-13)

    sums = numpy.arange(10.)
    lost = numpy.zeros(2)
    for _ in range(2):
        iteration.tally(batch, decisions, *weights, rows.sum(axis=0), sums,
                        lost, clock)
    got = dict(zip(iteration.TERMS, (sums - numpy.arange(10)) / 2))
    for name, term in zip(('loss', 'loss/action', 'loss/reinforce',
                           'loss/baseline'), want):
        assert got[name] == pytest.approx(float(term.array), abs=1e-12)
    right = (variables[0].array.argmax(axis=1) == labels).mean()
    assert got['accuracy'] == pytest.approx(right)
    if decisions:
        flat = chosen.reshape(-1, 2)
        assert got['location/x'] == pytest.approx(flat[:, 0].mean())
        assert got['location/y'] == pytest.approx(flat[:, 1].mean())
        assert got['location/spread'] == pytest.approx(
            flat.std(axis=0).mean())
        assert got['location/outside'] == pytest.approx(
            (abs(flat) > 1).any(axis=1).mean())
    assert got['iterations'] == 1 and not lost.any()
    assert clock.tolist() == [3, 43]


def test_the_first_loss_that_is_no_number_is_noted():
    clock, lost = numpy.array([0, 9], 'int64'), numpy.zeros(2)
    for action in (1, numpy.inf, 2, numpy.nan):
        totals = numpy.array([action, 0, 0, 0, 0, 0, 0, 0, 0.])
        iteration.tally(1, 1, 1.0, 1.0, totals, numpy.zeros(10), lost, clock)
    assert lost.tolist() == [11, numpy.inf]


@pytest.mark.parametrize('clip', [0, 0.1, 100])
@pytest.mark.parametrize('decay', [0, 0.5])
def test_the_update_equals_chainers(clip, decay):
    rng = numpy.random.default_rng(0)
    n = 3 * iteration.LANES // 2  # some lanes have one, some two
    target = chainer.Chain()
    with target.init_scope():
        target.w = chainer.Parameter(rng.standard_normal(n))
    optimizer = chainer.optimizers.Adam(0.01).setup(target)
    if clip:
        optimizer.add_hook(chainer.optimizer_hooks.GradientClipping(clip))
    w, average = target.w.array.copy(), target.w.array.copy()
    m, v = numpy.zeros(n), numpy.zeros(n)
    want = average.copy()
    for t in range(4):
        gradient = rng.standard_normal(n) / 50
        target.w.grad = gradient.copy()
        optimizer.update()
        share = 1 - min(decay, (t + 1) / (t + 11))
        want += share * (target.w.array - want)
        lanes = numpy.zeros(iteration.LANES)
        iteration.squares(gradient, lanes)
        assert lanes.sum() == pytest.approx((gradient ** 2).sum(), rel=1e-13)
        iteration.adam(
            numpy.array([1, t], 'int64'), numpy.array([9, optimizer.alpha_t]),
            numpy.array(lanes.sum()), clip, optimizer.hyperparam, gradient, m,
            v, w, decay, average)
        numpy.testing.assert_allclose(w, target.w.array, atol=1e-14)
        if decay:
            numpy.testing.assert_allclose(average, want, atol=1e-14)
