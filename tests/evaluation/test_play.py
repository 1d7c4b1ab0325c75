"""Games of a player, measured."""

import numpy
import pytest
from random_models import make_player

from ram.evaluation.evaluate import wilson_interval
from ram.evaluation.gaze import gaze_distances, gaze_numbers, measure_gaze
from ram.evaluation.play import evaluate_games, play
from ram.random_streams import make_streams


@pytest.fixture(scope='module')
def player():
    return make_player(side=6, policy='learned', dtype='float32')


@pytest.fixture(scope='module')
def starts(player):
    return player.game.sample_starts(37, numpy.random.default_rng(0))


@pytest.mark.parametrize('policy', ['mean', 'sample'])
def test_the_batch_size_changes_nothing(player, starts, policy):
    done = []
    one, two = (play(player, starts, make_streams(1), policy, size,
                     lambda *at: done.append(at)) for size in (5, 100))
    for a, b in zip(one, two):
        numpy.testing.assert_allclose(a, b, atol=1e-5)
    assert one.locations.shape == (5, 37, 2)
    assert one.balls.shape == (6, 37) and one.rewards.shape == (37,)
    assert done[7] == done[8] == (37, 37)


def test_evaluation_counts_the_balls_that_are_missed(player, starts):
    result = evaluate_games(player, starts, make_streams(1))
    rewards = play(player, starts, make_streams(1)).rewards
    missed = int((rewards == 0).sum())
    assert result.n == 37 and result.error == pytest.approx(100 * missed / 37)
    assert result.interval == pytest.approx(
        tuple(100 * bound for bound in wilson_interval(missed, 37)))


def test_the_greedy_player_takes_the_likeliest_action(player, starts):
    games = play(player, starts, make_streams(1))
    numpy.testing.assert_array_equal(
        games.actions, games.probabilities.argmax(axis=2))
    sampled = play(player, starts, make_streams(1), 'sample')
    assert (sampled.actions != sampled.probabilities.argmax(axis=2)).any()


def test_gaze_distances_are_those_of_the_pixels(player, starts):
    games = play(player, starts, make_streams(1))
    distances = gaze_distances(games, player.game)
    for t in range(5):
        for i in range(37):
            x, y = (games.locations[t, i] + 1) / 2 * 6
            assert distances[t, i] == pytest.approx(numpy.hypot(
                x - games.balls[t, i] - 0.5, y - t - 0.5))
    gaze = measure_gaze(games, player.game)
    caught = games.rewards > 0
    assert caught.any() and not caught.all()
    numpy.testing.assert_allclose(
        gaze.caught, numpy.median(distances[:, caught], axis=1))
    numpy.testing.assert_allclose(
        gaze.missed, numpy.median(distances[:, ~caught], axis=1))
    none = measure_gaze(games._replace(rewards=numpy.ones(37)), player.game)
    assert gaze_numbers(none)['missed'] == [None] * 5
