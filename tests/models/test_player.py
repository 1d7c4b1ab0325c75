"""The player: its policy gradient is the exact one, its games are games."""

import itertools

import chainer
import numpy
import pytest
from random_models import make_player

from ram.games.catch import Catch
from ram.losses import Objective, game_loss
from ram.random_streams import make_streams


def forced(player, first, actions):
    """Noise with which given actions are taken, (T, B, 5)."""
    noise = numpy.zeros((player.glimpses, len(first), 5))
    for t, action in enumerate(actions):
        noise[t, :, 2 + action] = 1e6
    return noise


def all_games(player, starts, first):
    """Every sequence of actions, its games and their probability (B,)."""
    for actions in itertools.product(range(3), repeat=player.glimpses):
        games = player(starts, first, forced(player, first, actions))
        logits = games.logits.array
        p = numpy.exp(logits) / numpy.exp(logits).sum(axis=2, keepdims=True)
        yield games, numpy.prod([p[t, :, a] for t, a in enumerate(actions)],
                                axis=0)


def test_the_gradient_of_the_actions_is_exact_on_a_tiny_game():
    player = make_player()
    starts = player.game.sample_starts(6, numpy.random.default_rng(1))
    first = numpy.zeros((6, 2))

    def expected_reward():
        return sum((games.rewards * p).sum() for games, p in all_games(
            player, starts, first)) / len(starts)

    estimate = {name: 0 for name, _ in player.namedparams()}
    for i in range(len(starts)):
        one, at = starts[i:i + 1], first[i:i + 1]
        for games, p in all_games(player, one, at):
            player.cleargrads()
            game_loss(games.logits, games.actions, games.rewards,
                      games.sampled[1:], games.means, player.std,
                      player.baseline(games.states)).action.backward()
            for name, param in player.namedparams():
                if param.grad is not None:
                    estimate[name] = (estimate[name]
                                      + p[0] * param.grad / len(starts))
    checked = 0
    for name, param in player.namedparams():
        for index in list(numpy.ndindex(param.shape))[::7]:
            was, step = param.array[index], 1e-5
            param.array[index] = was + step
            above = expected_reward()
            param.array[index] = was - step
            below = expected_reward()
            param.array[index] = was
            slope = (above - below) / (2 * step)
            got = -numpy.broadcast_to(estimate[name], param.shape)[index]
            assert got == pytest.approx(slope, abs=1e-8), (name, index)
            checked += abs(slope) > 1e-4
    assert checked > 10


@pytest.mark.parametrize('border_weight', [0.0, 0.8])
def test_game_loss_equals_a_loop(border_weight):
    rng = numpy.random.default_rng(0)
    steps, batch, std = 4, 3, 0.2
    logits = rng.standard_normal((steps, batch, 3))
    actions = rng.integers(3, size=(steps, batch))
    rewards = numpy.array([1.0, 0.0, 1.0])
    means = rng.uniform(-1, 1, (steps - 1, batch, 2))
    sampled = means + std * rng.standard_normal(means.shape)
    baselines = rng.random((steps, batch))
    action = reinforce = baseline = entropy = border = 0
    for b in range(batch):
        for t in range(steps):
            p = numpy.exp(logits[t, b]) / numpy.exp(logits[t, b]).sum()
            advantage = rewards[b] - baselines[t, b]
            action -= numpy.log(p[actions[t, b]]) * advantage / batch
            entropy -= (p * numpy.log(p)).sum() / batch
            baseline += advantage ** 2 / (batch * steps)
            if t < steps - 1:
                z = (sampled[t, b] - means[t, b]) / std
                log_pi = (-0.5 * z * z - numpy.log(
                    std * numpy.sqrt(2 * numpy.pi))).sum()
                reinforce -= log_pi * advantage / batch
                border += sum(max(abs(m) + std - 1, 0) ** 2
                              for m in means[t, b]) / batch
    loss = game_loss(
        chainer.Variable(logits), actions, rewards, sampled,
        chainer.Variable(means), std, chainer.Variable(baselines),
        Objective(0.3, 0.7, entropy_weight=0.2, border_weight=border_weight))
    numpy.testing.assert_allclose(
        [float(term.array) for term in loss],
        [action + 0.3 * reinforce + 0.7 * baseline - 0.2 * entropy
         + border_weight * border, action, reinforce, baseline, entropy])


def test_screens_and_actions_belong_together():
    player = make_player(side=6, policy='learned', dtype='float32')
    streams = make_streams(3)
    starts = player.game.sample_starts(20, streams['canvas'])
    games = player(starts, *player.sample_noise(streams, 20))
    game, state = Catch(6, 6), Catch(6, 6).start(starts)
    for t in range(5):
        numpy.testing.assert_array_equal(games.balls[t], state.ball)
        numpy.testing.assert_array_equal(games.paddles[t], state.paddle)
        retina = player.glimpse.sensor(game.draw(state), games.locations[t])
        assert retina.max() <= 4 and (retina == retina.round()).all()
        state = game.step(state, games.actions[t])
    numpy.testing.assert_array_equal(games.rewards, game.rewards(state))
    assert abs(games.locations).max() <= 1
    assert games.sampled.shape == (5, 20, 2)


def test_noise_samples_the_softmax():
    player = make_player(side=4, policy='random', dtype='float32')
    first, noise = player.sample_noise(make_streams(0), 20000)
    assert noise.shape == (3, 20000, 5) and noise.dtype == 'float32'
    logits = numpy.array([1.0, 0.0, -1.0])
    shares = numpy.bincount((logits + noise[0, :, 2:]).argmax(axis=1)) / 20000
    numpy.testing.assert_allclose(
        shares, numpy.exp(logits) / numpy.exp(logits).sum(), atol=0.015)
    _, greedy = player.sample_noise(make_streams(0), 5, mean=True)
    assert not greedy[..., 2:].any() and greedy[:-1, :, :2].any()


def test_center_looks_at_the_centre():
    player = make_player(side=5, policy='center', dtype='float32')
    starts = player.game.sample_starts(4, numpy.random.default_rng(0))
    games = player(starts, *player.sample_noise(make_streams(0), 4))
    assert not games.locations.any()
