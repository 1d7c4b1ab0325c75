import math

import chainer
import chainer.functions as F
import numpy
import pytest
from training_runs import make_config

from ram.evaluation.evaluate import (
    evaluate,
    evaluation_streams,
    predict,
    trajectories,
    wilson_interval,
)
from ram.models.build import build_network
from ram.random_streams import make_streams

CONFIG = make_config(model={'core': 'rnn', 'scales': 2})


@pytest.fixture
def case():
    rng = numpy.random.default_rng(0)
    model = build_network(CONFIG, make_streams(1)['weights'])
    model.action.logits.W.array *= 10
    return (model, rng.random((23, 1, 28, 28), 'float32'),
            rng.integers(10, size=23).astype('int32'))


def streams():
    return evaluation_streams(CONFIG.data, 'test')


@pytest.mark.parametrize('errors, n, low, high', [
    # Newcombe (1998), Table I, method 3.
    (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)])
def test_wilson_interval_equals_published_values(errors, n, low, high):
    got = wilson_interval(errors, n)
    assert got[0] == pytest.approx(low, abs=5e-5)
    assert got[1] == pytest.approx(high, abs=5e-5)


def test_evaluate_equals_a_loop_over_images(case):
    model, images, labels = case
    result = evaluate(model, images, labels, streams(), batch_size=7)
    first, noise = model.sample_noise(streams(), 23, mean=True)
    assert not noise.any()
    wrong, confusion, loss = numpy.zeros(3), numpy.zeros((10, 10), int), 0
    for n in range(23):
        with chainer.no_backprop_mode():
            states = model(
                images[n:n + 1], first[n:n + 1], noise[:, n:n + 1]).states
            logits = model.action(states).array[:, 0]
        wrong += logits.argmax(axis=1) != labels[n]
        confusion[labels[n], logits[-1].argmax()] += 1
        shares = numpy.exp(logits[-1] - logits[-1].max())
        loss -= math.log(shares[labels[n]] / shares.sum()) / 23
    by_class = [100 * (1 - row[k] / row.sum()) if row.any() else math.nan
                for k, row in enumerate(confusion)]
    assert result.error_by_class.tolist() == pytest.approx(
        by_class, nan_ok=True)
    known = [error for error in by_class if not math.isnan(error)]
    assert len(known) == 9  # no image of class 3
    assert result.mean_class_error == pytest.approx(sum(known) / 9)
    assert result.n == 23 and 0 < wrong[-1] < 23
    numpy.testing.assert_allclose(result.error_by_glimpse, wrong / 23 * 100)
    assert result.error == result.error_by_glimpse[-1]
    numpy.testing.assert_array_equal(result.confusion, confusion)
    assert result.loss == pytest.approx(loss, rel=1e-4)
    assert result.interval[0] < result.error < result.interval[1]
    assert result.images_per_second > 0


@pytest.mark.parametrize('policy', ['mean', 'sample'])
def test_predict_is_independent_of_the_batch_size(case, policy):
    one, two = (predict(case[0], case[1], streams(), policy, size)
                for size in (4, 50))
    for a, b in zip(one, two):
        assert a.shape[:2] == (3, 23)
        numpy.testing.assert_allclose(a, b, atol=1e-5)


def test_mean_policy_is_random_in_the_first_location_only(case):
    model, images, labels = case
    one, two = (evaluate(model, images, labels, streams()) for _ in range(2))
    assert one.loss == two.loss
    other = streams()
    other['noise'].random(100)
    assert evaluate(model, images, labels, other).loss == one.loss
    other = streams()
    other['noise'].random(100)
    assert (evaluate(model, images, labels, other, 'sample').loss
            != evaluate(model, images, labels, streams(), 'sample').loss)


def test_evaluate_averages_probabilities_of_several_paths(case):
    model, images, labels = case
    shared = streams()
    paths = [predict(model, images, shared, 'sample').probabilities
             for _ in range(3)]
    mean = numpy.mean(numpy.array(paths, 'float64'), axis=0)
    calls = []
    result = evaluate(model, images, labels, streams(), 'sample', samples=3,
                      progress=lambda *done: calls.append(done))
    assert calls == [(1, 3), (2, 3), (3, 3)]
    right = mean[-1, numpy.arange(23), labels]
    assert result.loss == pytest.approx(-numpy.log(right).mean(), rel=1e-6)
    assert result.error == pytest.approx(
        100 * (mean[-1].argmax(axis=1) != labels).mean())


def test_trajectories_are_those_of_the_evaluation(case):
    model, images, labels = case
    seen = predict(model, images, streams())
    shown = trajectories(model, images, labels, [4, 17], streams())
    for trajectory, n in zip(shown, [4, 17]):
        assert trajectory.label == labels[n]
        numpy.testing.assert_array_equal(trajectory.image, images[n])
        numpy.testing.assert_allclose(trajectory.locations,
                                      seen.locations[:, n], atol=1e-6)
        numpy.testing.assert_allclose(trajectory.probabilities,
                                      seen.probabilities[:, n], atol=1e-5)
        for t in range(3):
            numpy.testing.assert_array_equal(
                trajectory.retina[t], model.glimpse.sensor(
                    images[n:n + 1], trajectory.locations[t][None])[0])


def test_evaluate_builds_no_graph(case):
    model, images, labels = case
    before = F.sum(model.action.logits.W).array
    evaluate(model, images, labels, streams())
    assert model.action.logits.W.creator is None
    assert F.sum(model.action.logits.W).array == before
    assert chainer.config.train
