"""The hybrid loss: a loop, the exact policy gradient, detached values."""

import math

import chainer
import chainer.functions as F
import numpy
import pytest

from ram import losses
from ram.losses import Objective


def make(seed=0, steps=3, batch=4, classes=5):
    rng = numpy.random.default_rng(seed)
    means = rng.uniform(-1, 1, (steps, batch, 2))
    return {
        'logits': chainer.Variable(rng.standard_normal((batch, classes))),
        'labels': rng.integers(classes, size=batch).astype('int32'),
        'sampled': means + 0.3 * rng.standard_normal(means.shape),
        'means': chainer.Variable(means),
        'std': 0.3,
        'baselines': chainer.Variable(rng.random((steps, batch)))}


KINDS = ['correct', 'probability']


def naive(logits, labels, sampled, means, std, baselines, kind):
    """Sample by sample and step by step."""
    steps, batch = baselines.shape
    action = reinforce = baseline = 0
    for b in range(batch):
        exps = [math.exp(v) for v in logits[b]]
        probability = exps[labels[b]] / sum(exps)
        action -= math.log(probability) / batch
        R = {'correct': 1.0 if max(exps) == exps[labels[b]] else 0.0,
             'probability': probability}[kind]
        for t in range(steps):
            log_pi = 0
            for k in range(2):
                z = (sampled[t, b, k] - means[t, b, k]) / std
                log_pi += -z * z / 2 - math.log(std * math.sqrt(2 * math.pi))
            reinforce -= log_pi * (R - baselines[t, b]) / batch
            baseline += (baselines[t, b] - R) ** 2 / (batch * steps)
    return action, reinforce, baseline


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('steps, batch', [(1, 1), (3, 4), (0, 3)])
def test_hybrid_loss_equals_a_loop(seed, steps, batch, kind):
    case = make(seed, steps, batch)
    loss = losses.hybrid_loss(**case, objective=Objective(
        0.3, 0.7, kind, border_weight=0.9))
    arrays = {k: v.array if isinstance(v, chainer.Variable) else v
              for k, v in case.items()}
    action, reinforce, baseline = naive(**arrays, kind=kind)
    numpy.testing.assert_allclose(
        [float(v.array) for v in loss],
        [action + 0.3 * reinforce + 0.7 * baseline
         + 0.9 * naive_border(arrays['means'], 0.3), action, reinforce,
         baseline], atol=1e-12)


@pytest.mark.parametrize('seed', range(3))
def test_class_weights_weigh_the_cross_entropy_alone(seed):
    case = make(seed, 3, 4)
    weights = numpy.random.default_rng(seed).random(case['logits'].shape[1])
    plain = losses.hybrid_loss(**case, objective=Objective(0.3, 0.7))
    loss = losses.hybrid_loss(**case, objective=Objective(
        0.3, 0.7, class_weights=tuple(weights)))
    action = 0
    for logits, label in zip(case['logits'].array, case['labels']):
        exps = [math.exp(v) for v in logits]
        action -= weights[label] * math.log(exps[label] / sum(exps)) / 4
    numpy.testing.assert_allclose(
        [float(v.array) for v in loss],
        [float(plain.total.array) - float(plain.action.array) + action,
         action, float(plain.reinforce.array), float(plain.baseline.array)],
        atol=1e-12)


def test_balanced_weights_let_all_classes_count_the_same():
    labels = numpy.repeat([0, 1, 3], [10, 40, 50])
    weights = losses.balanced_weights(labels, 4)
    numpy.testing.assert_allclose(
        [10 * weights[0], 40 * weights[1], 50 * weights[3]], 100 / 3)
    assert numpy.mean([weights[label] for label in labels]) == pytest.approx(1)


def naive_border(means, std):
    return sum(max(abs(mean) + std - 1, 0) ** 2
               for mean in means.ravel().tolist()) / means.shape[1]


def test_each_term_reaches_only_its_own_input():
    for term, reached in (('action', {'logits'}), ('reinforce', {'means'}),
                          ('baseline', {'baselines'})):
        case = make()
        getattr(losses.hybrid_loss(**case), term).backward()
        got = {name for name, v in case.items()
               if isinstance(v, chainer.Variable) and v.grad is not None}
        assert got == reached, term


def test_gradients_in_closed_form():
    case = make()
    losses.hybrid_loss(**case, objective=Objective(0.3, 0.7)).total.backward()
    rewards = losses.reward(case['logits'], case['labels'])
    baselines, means = case['baselines'].array, case['means'].array
    score = (case['sampled'] - means) / case['std'] ** 2
    numpy.testing.assert_allclose(
        case['means'].grad,
        -0.3 * score * (rewards - baselines)[..., None] / 4, atol=1e-12)
    numpy.testing.assert_allclose(
        case['baselines'].grad, 0.7 * 2 * (baselines - rewards) / 12,
        atol=1e-12)


def test_probability_is_the_mean_reward_of_sampled_classes():
    case = make(batch=3)
    logits, labels = case['logits'].array, case['labels']
    perturbed = logits + numpy.random.default_rng(0).gumbel(
        size=(100000,) + logits.shape)  # its argmax samples the softmax
    correct = (perturbed.argmax(axis=2) == labels).mean(axis=0)
    numpy.testing.assert_allclose(
        losses.reward(logits, labels, 'probability'), correct, atol=0.01)


def test_choices_given_as_a_variable_are_cut():
    case = make()
    case['sampled'] = chainer.Variable(case['sampled'])
    losses.hybrid_loss(**case).total.backward()
    assert case['sampled'].grad is None


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('steps, batch', [(1, 1), (3, 4)])
def test_reward_is_detached(steps, batch, kind):
    case, other = make(1, steps, batch), make(1, steps, batch)
    losses.hybrid_loss(
        **case, objective=Objective(0.3, 0.7, kind)).total.backward()
    logits, means, baselines = (other[k] for k in (
        'logits', 'means', 'baselines'))
    rewards = (logits.array.argmax(axis=1) == other['labels']) * 1.0
    if kind == 'probability':  # data: its gradient trains no class
        rewards = F.softmax(logits).array[
            numpy.arange(batch), other['labels']]
    z = (other['sampled'] - means) / 0.3
    log_pi = -0.5 * F.sum(z * z, axis=2)
    (F.softmax_cross_entropy(logits, other['labels'])
     - 0.3 * F.sum(log_pi * (rewards - baselines.array)) / batch
     + 0.7 * F.mean((baselines - rewards) ** 2)).backward()
    for name in ('logits', 'means', 'baselines'):
        numpy.testing.assert_allclose(case[name].grad, other[name].grad,
                                      atol=1e-12, err_msg=name)


@pytest.mark.parametrize('kind', KINDS)
def test_hybrid_loss_keeps_the_dtype(kind):
    case = make()
    for name in ('logits', 'sampled', 'means', 'baselines'):
        array = chainer.as_array(case[name]).astype('float32')
        case[name] = array if name == 'sampled' else chainer.Variable(array)
    loss = losses.hybrid_loss(**case, objective=Objective(0.3, 1, kind))
    loss.total.backward()
    assert {term.dtype for term in loss} == {numpy.dtype('float32')}
    for name in ('logits', 'means', 'baselines'):
        assert case[name].grad.dtype == numpy.float32


def test_log_pi_integrates_to_one():
    axis = numpy.arange(-4, 4, 0.02)
    x, y = numpy.meshgrid(axis, axis)
    points = numpy.stack([x, y], axis=-1).reshape(1, -1, 2)
    density = numpy.exp(
        losses.log_pi(points, numpy.array([0.3, -0.9]), 0.4).array)
    assert abs(density.sum() * 0.02 ** 2 - 1) < 1e-6


class TestExactPolicyGradient:
    """One decision, rewarded where x + y > 0.2: E[R] is an integral known.

    With l ~ N(m, s^2 I), x + y ~ N(m_x + m_y, 2 s^2), so that
    E[R] = Phi((m_x + m_y - 0.2) / (s sqrt 2)), whose derivative with respect
    to m_x (and m_y) is phi(...) / (s sqrt 2).
    """

    mean, std, count = numpy.array([0.25, -0.1]), 0.35, 200000
    # The reward is 1 / (1 + 1 / e) or the rest, not 1 or 0.
    spans = {'correct': 1, 'probability': 2 / (1 + math.exp(-1)) - 1}

    def exact(self):
        z = (self.mean.sum() - 0.2) / (self.std * math.sqrt(2))
        phi = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        return numpy.full(2, phi / (self.std * math.sqrt(2)))

    def gradients(self, baseline, kind='correct'):
        """Gradients of E[R], one for each of many samples."""
        rng = numpy.random.default_rng(0)
        means = chainer.Variable(
            numpy.broadcast_to(self.mean, (1, self.count, 2)).copy())
        sampled = means.array + self.std * rng.standard_normal(means.shape)
        # Class 1 is predicted, and correct where it is rewarded.
        logits = chainer.Variable(numpy.tile([0.0, 1.0], (self.count, 1)))
        labels = (sampled[0].sum(axis=1) > 0.2).astype('int32')
        baselines = chainer.Variable(
            numpy.full((1, self.count), float(baseline)))
        losses.hybrid_loss(logits, labels, sampled, means, self.std, baselines,
                           Objective(reward=kind)).reinforce.backward()
        # The loss is the mean of -R, so each sample has -1 / count of it.
        return -means.grad[0] * self.count

    @pytest.mark.parametrize('kind', KINDS)
    @pytest.mark.parametrize('baseline', [0, 0.4])
    def test_mean_of_samples_is_the_exact_gradient(self, baseline, kind):
        samples = self.gradients(baseline, kind)
        error = samples.std(axis=0) / math.sqrt(self.count)
        assert (error < 0.01).all()
        exact = self.exact() * self.spans[kind]
        assert (abs(samples.mean(axis=0) - exact) < 4 * error).all()

    def test_the_baseline_lowers_the_variance(self):
        without, with_ = (self.gradients(b).var(axis=0).sum() for b in (0, 0.4))
        assert with_ < 0.8 * without
