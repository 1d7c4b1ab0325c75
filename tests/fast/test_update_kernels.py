"""The kernels that learn from a batch, run as C++ (see conftest.py)."""

import chainer
import numpy
import pytest

from ram.fast import update_kernels
from ram.losses import Objective, hybrid_loss

pytestmark = pytest.mark.usefixtures('kernels_as_cpp')


@pytest.mark.parametrize('reward', ['correct', 'probability'])
@pytest.mark.parametrize('seed', range(8))
@pytest.mark.parametrize('squash', [True, False])
def test_loss_and_gradients_equal_the_graphs(seed, reward, squash):
    rng = numpy.random.default_rng(seed)
    batch, classes, decisions = (int(n) for n in rng.integers(1, 7, size=3))
    decisions -= 1
    std = float(rng.uniform(0.1, 2))
    objective = Objective(*rng.random(2).tolist(), reward,
                          border_weight=float(rng.random()))
    logits = rng.standard_normal((batch, classes))
    logits_b = rng.standard_normal(classes)
    values = rng.standard_normal((decisions, batch))
    value_b = rng.standard_normal(1)
    means = rng.uniform(-1, 1, (decisions, batch, 2))
    sampled = means + std * rng.standard_normal(means.shape)
    labels = rng.integers(classes, size=batch).astype('int32')

    variables = [chainer.Variable(a) for a in (
        logits + logits_b, means, values + value_b)]
    want = hybrid_loss(variables[0], labels, sampled, variables[1], std,
                       variables[2], objective)
    want.total.backward()

    counter = numpy.array([1, 41], 'int64')
    d_sums = numpy.full_like(means, 9)
    table = numpy.full((len(update_kernels.ROWS) + 1, batch + 2), 9.0)
    update_kernels.loss_and_gradients(
        counter, numpy.array([9, std]), labels, logits, logits_b, sampled,
        means, values, value_b, objective, squash, d_sums, table)
    for got, variable in zip((logits, d_sums, values), variables):
        gradient = variable.grad
        if got is d_sums and squash:
            gradient = gradient * (1 - means ** 2)
        numpy.testing.assert_allclose(got, gradient, atol=1e-13)
    assert (table[:, batch:] == 9).all() and (table[-1] == 9).all()

    sums = numpy.arange(10.)
    not_finite = numpy.zeros(2)
    for _ in range(2):
        accumulate(table[:, :batch].sum(axis=1), update_kernels.Metrics(
            batch, decisions, objective, sums, not_finite, counter))
    got = dict(zip(update_kernels.TERMS, (sums - numpy.arange(10)) / 2))
    for name, term in zip(('loss', 'loss/action', 'loss/reinforce',
                           'loss/baseline'), want):
        assert got[name] == pytest.approx(float(term.array), abs=1e-12)
    accuracy = (variables[0].array.argmax(axis=1) == labels).mean()
    assert got['accuracy'] == pytest.approx(accuracy)
    if decisions:
        flat = sampled.reshape(-1, 2)
        assert got['location/x'] == pytest.approx(flat[:, 0].mean())
        assert got['location/y'] == pytest.approx(flat[:, 1].mean())
        assert got['location/spread'] == pytest.approx(
            flat.std(axis=0).mean())
        assert got['location/outside'] == pytest.approx(
            (abs(flat) > 1).any(axis=1).mean())
    assert got['iterations'] == 1 and not not_finite.any()
    assert counter.tolist() == [3, 43]


def accumulate(totals, metrics):
    """Adam's last thread alone: there are no weights."""
    none = numpy.zeros(0)
    update_kernels.adam(
        metrics.counter.copy(), none, totals, 0,
        chainer.optimizers.Adam().hyperparam, none, none, none, none, 0, none,
        metrics)


def test_adam_records_the_first_loss_not_finite():
    counter, not_finite = numpy.array([0, 9], 'int64'), numpy.zeros(2)
    for action in (1, numpy.inf, 2, numpy.nan):
        accumulate(numpy.array([action] + 10 * [0.]), update_kernels.Metrics(
            1, 1, Objective(), numpy.zeros(10), not_finite, counter))
    assert not_finite.tolist() == [11, numpy.inf]
    assert counter.tolist() == [4, 13]


def test_all_finite_finds_one_that_is_not():
    for dtype, largest in (('float32', 3e38), ('float64', 1e150)):
        vector = numpy.full(3 * update_kernels.PARTIAL_SUMS // 2, largest,
                            dtype)
        assert update_kernels.all_finite(vector)
        for value in (numpy.inf, -numpy.inf, numpy.nan):
            vector[-1] = value
            assert not update_kernels.all_finite(vector)


@pytest.mark.parametrize('clip', [0, 0.1, 100])
@pytest.mark.parametrize('decay', [0, 0.5])
def test_adam_equals_chainers(clip, decay):
    rng = numpy.random.default_rng(0)
    # Some partial sums have one term, some two.
    n = 3 * update_kernels.PARTIAL_SUMS // 2
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
        partial = numpy.zeros(update_kernels.PARTIAL_SUMS)
        update_kernels.partial_squared_norms(gradient, partial)
        assert partial.sum() == pytest.approx((gradient ** 2).sum(), rel=1e-13)
        totals = numpy.append(numpy.full(10, numpy.nan), partial.sum())
        update_kernels.adam(
            numpy.array([1, t], 'int64'), numpy.array([9, optimizer.alpha_t]),
            totals, clip, optimizer.hyperparam, gradient, m, v, w, decay,
            average, update_kernels.Metrics(
                1, 1, Objective(), numpy.zeros(10), numpy.zeros(2),
                numpy.zeros(2, 'int64')))
        numpy.testing.assert_allclose(w, target.w.array, atol=1e-14)
        if decay:
            numpy.testing.assert_allclose(average, want, atol=1e-14)
