"""Statistics of a policy equal loops over images."""

import json
import math

import chainer
import numpy
import pytest
from training_runs import make_config

from ram.data.splits import fixed_canvases, load_splits
from ram.evaluation import inspect, statistics
from ram.evaluation.evaluate import evaluate, evaluation_streams, predict
from ram.models.build import build_network
from ram.random_streams import make_streams

TRANSLATED = {'variant': 'translated', 'canvas': [44, 61]}


def make_case(variant=TRANSLATED, **model):
    config = make_config(
        None, {'core': 'rnn', 'scales': 2, **model},
        **{'train_images': 40, 'validation': 10, 'test_images': 29,
           **variant})
    network = build_network(config, make_streams(1)['weights'])
    network.action.logits.W.array *= 10
    canvases = fixed_canvases(config.data, load_splits(config.data), 'test')
    return network, canvases, config.data


def run(case, **options):
    network, canvases, data = case
    return inspect.inspect(
        network, canvases, data, lambda: evaluation_streams(data, 'test'),
        **dict({'grid': 2, 'images': 5, 'batch_size': 7}, **options))


@pytest.fixture(scope='module')
def case():
    return make_case()


@pytest.fixture(scope='module')
def result(case):
    return run(case)


@pytest.mark.parametrize('corner, size', [
    ((0, 0), (61, 44)), ((-14, -14), (56, 56)), ((0, 0), (9, 20))])
def test_heat_map_equals_a_loop(corner, size):
    rng = numpy.random.default_rng(0)
    points = rng.uniform(-30, 70, (3, 400, 2))
    points[0, :200] = rng.integers(-30, 70, (200, 2))  # on borders of cells
    points[1, :4] = [corner, numpy.add(corner, size),
                     (corner[0], corner[1] + size[1]),
                     (corner[0] + size[0], corner[1])]
    labels = rng.integers(4, size=400)
    got = statistics.heat_map(points, labels, 4, corner, size)
    assert (got.left, got.top) == corner
    assert got.cell == math.ceil(max(size) / 30)
    rows, columns = (math.ceil(side / got.cell) for side in size[::-1])
    want = numpy.zeros((3, 4, rows, columns), int)
    for t in range(3):
        for (x, y), k in zip(points[t], labels):
            x, y = x - corner[0], y - corner[1]
            if 0 <= x <= size[0] and 0 <= y <= size[1]:
                row = min(math.floor(y / got.cell), rows - 1)
                column = min(math.floor(x / got.cell), columns - 1)
                want[t, k, row, column] += 1
    assert want.sum() > 20
    numpy.testing.assert_array_equal(got.counts, want)


def test_mean_paths_equal_numpy():
    rng = numpy.random.default_rng(0)
    points = rng.normal(size=(3, 50, 2))
    labels = rng.integers(3, size=50)
    labels[labels == 1] = 2
    paths = statistics.mean_paths(points, labels, 3)
    for k, chosen in ((0, labels == 0), (2, labels == 2),
                      (3, labels >= 0)):
        for t in range(3):
            numpy.testing.assert_allclose(
                paths.means[k, t], points[t, chosen].mean(axis=0))
            numpy.testing.assert_allclose(
                paths.covariances[k, t],
                numpy.cov(points[t, chosen].T, bias=True))
    assert numpy.isnan(paths.means[1]).all()  # no image of that class


def test_saccades_and_deviations_equal_a_loop():
    rng = numpy.random.default_rng(0)
    points, paths = rng.normal(size=(4, 9, 2)), rng.normal(size=(9, 4, 2))
    lengths = statistics.saccade_lengths(points)
    got = statistics.deviations(points, paths)
    for n in range(9):
        for t in range(3):
            assert lengths[t, n] == pytest.approx(
                math.dist(points[t, n], points[t + 1, n]))
        assert got[n] == pytest.approx(math.sqrt(sum(
            math.dist(points[t, n], paths[n, t]) ** 2
            for t in (1, 2, 3)) / 3))
    counts, edges = statistics.saccade_histogram(lengths)
    assert edges[0] == 0 and edges[-1] == max(lengths.max(), 1)
    for t in range(3):
        for i in range(40):
            last = i == 39
            assert counts[t, i] == sum(
                edges[i] <= length < edges[i + 1]
                or last and length == edges[-1] for length in lengths[t])


def test_inspect_measures_as_evaluate_does(case, result):
    network, canvases, data = case
    want = evaluate(network, canvases.images, canvases.labels,
                    evaluation_streams(data, 'test'), batch_size=7)
    got = result.evaluation
    for name in ('error', 'interval', 'n', 'error_by_glimpse', 'loss'):
        assert getattr(got, name) == getattr(want, name)
    numpy.testing.assert_array_equal(got.confusion, want.confusion)
    assert result.loss.mean() == pytest.approx(want.loss)


def test_inspect_points_and_maps_equal_a_loop(case, result):
    network, canvases, data = case
    seen = predict(network, canvases.images, evaluation_streams(data, 'test'),
                   batch_size=7)
    height, width = 44, 61
    inside = numpy.zeros(3)
    digits = numpy.zeros((11, 28, 28))
    for n, (image, label, (row, column)) in enumerate(zip(*canvases)):
        there = image[0, row:row + 28, column:column + 28]
        assert there.sum() == pytest.approx(image.sum(), rel=1e-5)
        digits[label] += there / (canvases.labels == label).sum()
        digits[10] += there / 29
        for t in range(3):
            x = (float(seen.locations[t, n, 0]) + 1) / 2 * width
            y = (float(seen.locations[t, n, 1]) + 1) / 2 * height
            assert result.points[t, n] == pytest.approx((x, y))
            inside[t] += (column <= x <= column + 28
                          and row <= y <= row + 28) / 29
    numpy.testing.assert_allclose(result.inside, inside)
    numpy.testing.assert_allclose(result.digits, digits, atol=1e-6)
    from_digit = result.points - canvases.places[:, ::-1]
    numpy.testing.assert_array_equal(
        result.on_digit.counts, statistics.heat_map(
            from_digit, canvases.labels, 10, (-14, -14), (56, 56)).counts)
    assert result.on_image.counts.sum() == 3 * 29
    numpy.testing.assert_allclose(result.paths.means[10],
                                  from_digit.mean(axis=1))
    numpy.testing.assert_allclose(
        result.deviation, statistics.deviations(
            from_digit, result.paths.means[canvases.labels]))


def test_first_locations_equal_a_loop(case):
    network, canvases, data = case
    got = run(case, grid=3, images=11).first
    assert got.n == 11
    numpy.testing.assert_allclose(got.coordinates, [-2 / 3, 0, 2 / 3])
    for i, y in enumerate((-2 / 3, 0, 2 / 3)):
        for j, x in enumerate((-2 / 3, 0, 2 / 3)):
            wrong, loss = 0, 0
            for n in range(11):
                with chainer.no_backprop_mode():
                    states = network(
                        canvases.images[n:n + 1],
                        numpy.array([[x, y]], 'float32'),
                        numpy.zeros((2, 1, 2), 'float32')).states
                    logits = network.action(states).array[-1, 0].astype(
                        'float64')
                wrong += logits.argmax() != canvases.labels[n]
                loss -= (logits[canvases.labels[n]]
                         - numpy.log(numpy.exp(logits).sum())) / 11
            assert got.error[i, j] == pytest.approx(100 * wrong / 11)
            assert got.loss[i, j] == pytest.approx(loss, rel=1e-4)
    assert len(numpy.unique(got.loss)) == 9


def test_first_locations_are_repeatable_for_a_random_policy():
    first = run(make_case(policy='random', glimpses=2)).first
    again = run(make_case(policy='random', glimpses=2)).first
    numpy.testing.assert_array_equal(first.loss, again.loss)


def test_inspect_progress_ends_with_all_images(case):
    calls = []
    run(case, progress=lambda *done: calls.append(done))
    assert {total for _, total in calls} == {29 + 4 * 5}
    done = [done for done, _ in calls]
    assert done == sorted(done) and done[-1] == 29 + 4 * 5
    assert len(done) == 5 + 4


def test_notable_orders_by_loss_and_deviation(result):
    chosen = inspect.notable(result, 4)
    assert chosen['first'] == [0, 1, 2, 3]
    for kind, of in (('hardest', result.loss), ('oddest', result.deviation)):
        assert len(chosen[kind]) == 4
        values = [of[n] for n in chosen[kind]]
        assert values == sorted(of)[:-5:-1]
    assert len(inspect.notable(result, 99)['first']) == 29


def test_numbers_are_json(result):
    values = json.loads(json.dumps(inspect.numbers(result),
                                 allow_nan=False))
    assert values['error'] == result.evaluation.error
    assert numpy.sum(values['heat_image']['counts']) == 3 * 29
    absent = set(range(10)).difference(result.labels.tolist())
    for k in range(10):
        assert (values['paths']['means'][k][0][0] is None) == (k in absent)
    assert values['saccades']['median'] == pytest.approx(
        [sorted(row)[14] for row in result.saccades])
    assert len(values['first_location']['error']) == 2


def test_inspect_accepts_one_glimpse_without_a_canvas():
    result = run(make_case({}, glimpses=1))
    assert result.on_digit is None and result.inside is None
    assert result.saccades.shape == (0, 29) and not result.deviation.any()
    assert inspect.notable(result, 3)['oddest'] == []
    values = json.loads(json.dumps(inspect.numbers(result),
                                 allow_nan=False))
    assert values['heat_digit'] is None and values['saccades']['median'] == []
