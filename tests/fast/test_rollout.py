"""The fused rollout against the Links, step by step."""

import chainer
import chainer.functions as F
import numpy
import pytest

from ram import links
from ram.config import config_from_dict
from ram.models.build import build_ram
from ram.random_streams import make_streams


def make_model(rng, dtype='float64', **overrides):
    """A small network of a random shape."""
    model = {
        'glimpses': int(rng.integers(1, 6)),
        'glimpse_size': int(rng.integers(1, 9)),
        'scales': int(rng.integers(1, 4)),
        'scale_factor': int(rng.integers(2, 4)),
        'what_units': int(rng.integers(1, 12)),
        'where_units': int(rng.integers(1, 12)),
        'glimpse_units': int(rng.integers(1, 12)),
        'core_units': int(rng.integers(1, 12)),
        'location_units': int(rng.integers(0, 2) * rng.integers(1, 9)),
        'core': str(rng.choice(['lstm', 'rnn'])),
        'policy': str(rng.choice(['learned', 'learned', 'random', 'frozen'])),
        'std': float(rng.uniform(0.05, 1)),
        'first_location': str(rng.choice(['random', 'center']))}
    model.update(overrides)
    data = {'name': 'npz', 'file': 'x.npz', 'image_size': [100, 90],
            'channels': int(rng.integers(1, 4))}
    training = {'reinforce_reaches_core': bool(rng.integers(2))}
    model = build_ram(config_from_dict(
        {'model': model, 'data': data, 'training': training}, 'test'),
        make_streams(int(rng.integers(1000)))['weights'])
    for param in model.params():
        # Not only the zeros that biases start from.
        param.array = rng.standard_normal(param.shape).astype(dtype) * 0.5
    return model, data['channels']


def inputs(model, channels, rng, dtype='float64', batch=None):
    batch = batch or int(rng.integers(1, 8))
    images = rng.random((batch, channels, 17, 23)).astype(dtype)
    first, noise = model.draw(make_streams(int(rng.integers(1000))), batch)
    return images, first.astype(dtype), noise.astype(dtype)


def outputs_and_gradients(model, forward, arrays, seed):
    """A rollout and the gradients of a random sum of all it returns."""
    rng = numpy.random.default_rng(seed)
    rollout = forward(*arrays)
    dtype = rollout.states.dtype
    model.cleargrads()
    total = sum(
        F.sum(v * rng.standard_normal(v.shape).astype(dtype))
        for v in (rollout.means, rollout.states) if v.size)
    total.backward()
    gradients = {
        name: numpy.zeros_like(p.array) if p.grad is None else p.grad
        for name, p in model.namedparams()}
    return [chainer.as_array(a) for a in rollout], gradients


@pytest.mark.parametrize('seed', range(60))
def test_equals_links_in_float64(seed):
    rng = numpy.random.default_rng(seed)
    model, channels = make_model(rng)
    for _ in range(2):  # the second time in a used workspace
        arrays = inputs(model, channels, rng, batch=5)
        fused, fused_gradients = outputs_and_gradients(
            model, model, arrays, seed)
        links_, links_gradients = outputs_and_gradients(
            model, model.forward_by_steps, arrays, seed)
        for a, b in zip(fused, links_):
            assert a.shape == b.shape and a.dtype == b.dtype
            numpy.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
        for name, gradient in links_gradients.items():
            assert fused_gradients[name].flags.c_contiguous
            numpy.testing.assert_allclose(
                fused_gradients[name], gradient, rtol=1e-10, atol=1e-10,
                err_msg=name)


@pytest.mark.parametrize('seed', range(20))
def test_equals_links_in_float32(seed):
    rng = numpy.random.default_rng(1000 + seed)
    model, channels = make_model(rng, 'float32')
    arrays = inputs(model, channels, rng, 'float32')
    fused, fused_gradients = outputs_and_gradients(model, model, arrays, seed)
    links_, links_gradients = outputs_and_gradients(
        model, model.forward_by_steps, arrays, seed)
    for a, b in zip(fused, links_):
        assert a.dtype == numpy.float32
        numpy.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    for name, gradient in links_gradients.items():
        scale = abs(gradient).max() + 1e-6
        assert abs(fused_gradients[name] - gradient).max() / scale < 1e-4, name


@pytest.mark.parametrize('glimpses', [1, 4])
@pytest.mark.parametrize('core', ['lstm', 'rnn'])
def test_what_memory_held_before_does_not_matter(monkeypatch, core, glimpses):
    rng = numpy.random.default_rng(0)
    model, channels = make_model(rng, core=core, policy='learned',
                                 glimpses=glimpses, scales=2)
    arrays = inputs(model, channels, rng, batch=4)
    links_, links_gradients = outputs_and_gradients(
        model, model.forward_by_steps, arrays, 0)
    empty = numpy.empty

    def full(*args, **kwargs):
        array = empty(*args, **kwargs)
        if array.dtype.kind == 'f':
            array.fill(numpy.nan)
        return array

    monkeypatch.setattr(numpy, 'empty', full)
    fused, fused_gradients = outputs_and_gradients(model, model, arrays, 0)
    for a, b in zip(fused, links_):
        numpy.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
    for name, gradient in links_gradients.items():
        numpy.testing.assert_allclose(fused_gradients[name], gradient,
                                      rtol=1e-10, atol=1e-10, err_msg=name)


def test_two_rollouts_at_once_do_not_share_arrays():
    rng = numpy.random.default_rng(0)
    model, channels = make_model(rng, policy='learned', glimpses=3)
    one, two = (inputs(model, channels, rng, batch=4) for _ in range(2))

    def gradients(rollouts):
        model.cleargrads()
        sum(F.sum(r.states ** 2) for r in rollouts).backward()
        return {n: p.grad for n, p in model.namedparams()
                if p.grad is not None}

    together = gradients([model(*one), model(*two)])
    apart = [gradients([model(*a)]) for a in (one, two)]
    assert together
    for name, gradient in together.items():
        numpy.testing.assert_allclose(
            gradient, apart[0][name] + apart[1][name], atol=1e-10)


def test_second_backward_is_refused():
    rng = numpy.random.default_rng(0)
    model, channels = make_model(rng)
    model.cleargrads()
    total = F.sum(model(*inputs(model, channels, rng)).states)
    total.backward(retain_grad=True)
    with pytest.raises(RuntimeError, match='once'):
        total.backward()


def test_workspaces_are_used_again():
    rng = numpy.random.default_rng(0)
    model, channels = make_model(rng)
    arrays = inputs(model, channels, rng, batch=6)
    seen = set()
    for _ in range(3):
        model.cleargrads()
        F.sum(model(*arrays).states).backward()
        seen.add(tuple(id(w) for w in model.pool._free))
    with chainer.no_backprop_mode():
        model(*arrays)
    seen.add(tuple(id(w) for w in model.pool._free))
    assert len(model.pool._free) == 1 and len(seen) == 1


def test_a_changed_link_is_run_step_by_step():
    class Loud(links.RNNCore):
        def forward(self, state, g):
            h, = super().forward(state, g)
            return 2 * h,

    rng = numpy.random.default_rng(0)
    model, channels = make_model(rng, core='rnn', glimpses=2)
    arrays = inputs(model, channels, rng)
    plain = model(*arrays).states.array
    model.core.__class__ = Loud
    doubled = model(*arrays).states.array
    numpy.testing.assert_allclose(doubled[0], 2 * plain[0])
