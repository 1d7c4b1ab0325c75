"""Catch against a game that is played pixel by pixel."""

import numpy
import pytest

from ram.games.catch import Catch

GAMES = [Catch(), Catch(5, 3), Catch(3, 4, max_speed=3),
         Catch(7, 2, paddle_start='center'), Catch(2, 9, max_speed=0)]


def naive(game, ball, speed, paddle, actions):
    """Screens of one game, and its reward."""
    screens = []
    for row in range(game.height):
        screen = [[0] * game.width for _ in range(game.height)]
        screen[row][ball] = 1
        screen[game.height - 1][paddle] = 1
        screen[game.height - 1][paddle + 1] = 1
        screens.append(screen)
        if row == game.height - 1:
            return screens, int(ball in (paddle, paddle + 1))
        if actions[row] == 0 and paddle > 0:
            paddle -= 1
        if actions[row] == 2 and paddle + 2 < game.width:
            paddle += 1
        for _ in range(abs(speed)):  # a column at a time
            if not 0 <= ball + (speed > 0) - (speed < 0) < game.width:
                speed = -speed
            ball += (speed > 0) - (speed < 0)


@pytest.mark.parametrize('game', GAMES)
def test_games_equal_a_naive_one(game):
    rng = numpy.random.default_rng(0)
    starts = game.sample_starts(200, rng)
    actions = rng.integers(3, size=(game.steps, 200))
    state, screens = game.start(starts), []
    for t in range(game.height):
        screens.append(game.draw(state))
        if t < game.steps:
            state = game.step(state, actions[t])
    rewards = game.rewards(state)
    for i, start in enumerate(starts.tolist()):
        want, reward = naive(game, *start, actions[:, i])
        numpy.testing.assert_array_equal(
            [screen[i, 0] for screen in screens], want)
        assert rewards[i] == reward


@pytest.mark.parametrize('game', GAMES)
def test_starts_cover_all_places(game):
    starts = game.sample_starts(5000, numpy.random.default_rng(1))
    assert starts.dtype == 'int32'
    ball, speed, paddle = starts.T
    assert set(ball.tolist()) == set(range(game.width))
    assert set(speed.tolist()) == set(
        range(-game.max_speed, game.max_speed + 1))
    places = range(game.width - 1)
    if game.paddle_start == 'center':
        places = [(game.width - 1) // 2]
    assert set(paddle.tolist()) == set(places)


def share_caught(game, act):
    starts = game.sample_starts(50000, numpy.random.default_rng(2))
    state = game.start(starts)
    for _ in range(game.steps):
        state = game.step(state, act(state))
    return game.rewards(state).mean()


def follow(column, paddle):
    return numpy.where(column < paddle, 0,
                       numpy.where(column > paddle + 1, 2, 1))


def test_scripted_players_catch_their_shares():
    game, rng = Catch(), numpy.random.default_rng(3)

    def lands(state):
        stay = numpy.ones(len(state.ball), int)
        while state.row < game.steps:
            state = game.step(state, stay)
        return state.ball

    assert share_caught(game, lambda s: follow(lands(s), s.paddle)) == 1
    assert share_caught(game, lambda s: follow(s.ball, s.paddle)) == (
        pytest.approx(0.36, abs=0.01))
    assert share_caught(game, lambda s: rng.integers(3, size=len(s.ball))
                        ) == pytest.approx(2 / 24, abs=0.005)
