from types import SimpleNamespace

import chainer
import numpy
import pytest
from training_runs import make_config

from ram import links, losses
from ram.errors import RamError
from ram.fast.engine import select_engine
from ram.models.build import build_network
from ram.random_streams import make_streams

CPU = chainer.get_device('@numpy')


class Gpu:
    """All that is asked of a device."""

    xp = None
    device = SimpleNamespace(id=0)


@pytest.fixture(autouse=True)
def has_tf32(monkeypatch):
    """Whether the GPU has TF32: no, unless a test sets it."""
    def set_to(has):
        monkeypatch.setattr('ram.fast.engine.has_tf32', lambda device: has)

    set_to(False)
    return set_to


class OwnAction(links.ActionNetwork):
    pass


def select(engine='auto', device=CPU, own=None, model=None, **training):
    config = make_config({'engine': engine, **training}, model)
    network = build_network(config, make_streams(1)['weights'])
    if own is not None:
        network.action = own
    return select_engine(config, network, device)


@pytest.mark.parametrize('kwargs,wanted', [
    (dict(device=Gpu), 'device'),
    (dict(), 'fused (device: no GPU)'),
    (dict(device=Gpu, optimizer='nesterov'),
     'fused (device: training.optimizer is nesterov)'),
    (dict(device=Gpu, class_weights='balanced'),
     'fused (device: training.class_weights is set)'),
    (dict(own=OwnAction(16, 10), device=Gpu),
     'links (device: OwnAction is not built in; '
     'fused: OwnAction is not built in)'),
    (dict(model={'network': 'fc', 'units': 5}),
     'links (device: no GPU; fused: FullyConnected takes no glimpses)'),
    (dict(engine='links'), 'links (device: no GPU)'),
    (dict(engine='fused', device=Gpu), 'fused'),
    (dict(engine='links', device=Gpu), 'links')])
def test_select_engine_takes_the_fastest_and_says_why_not_faster(kwargs,
                                                                 wanted):
    assert str(select(**kwargs)) == wanted


@pytest.mark.parametrize('kwargs,wanted', [
    (dict(device=Gpu), 'device, TF32'),
    (dict(device=Gpu, engine='fused'), 'fused, TF32'),
    (dict(device=Gpu, tf32=False), 'device'),
    (dict(device=Gpu, engine='links'), 'links'),
    (dict(), 'fused (device: no GPU)')])
def test_training_uses_tf32_where_a_gpu_has_it(has_tf32, kwargs, wanted):
    has_tf32(True)
    engine = select(**kwargs)
    assert str(engine) == wanted
    assert engine.tf32 == ('TF32' in wanted)


@pytest.mark.parametrize('kwargs,wanted', [
    (dict(engine='device'), 'device does not apply: no GPU; use auto'),
    (dict(engine='fused', model={'network': 'conv', 'units': 5}),
     'fused does not apply: Convolutional takes no glimpses; use auto')])
def test_select_engine_refuses_what_does_not_apply(kwargs, wanted):
    with pytest.raises(RamError) as caught:
        select(**kwargs)
    assert str(caught.value) == f'training.engine: {wanted}'


def test_select_engine_knows_the_variants_of_the_kernels(monkeypatch):
    monkeypatch.setattr('ram.fast.batch_kernels.VARIANTS', ('original',))
    model = {'glimpse_size': 4}
    config = make_config(model=model, variant='translated', canvas=40)
    network = build_network(config, make_streams(1)['weights'])
    assert str(select_engine(config, network, Gpu)) == (
        'fused (device: data.variant is translated)')


def test_select_engine_compares_the_objective_of_the_run(monkeypatch):
    hybrid_loss = losses.hybrid_loss

    def with_another_term(logits, *args):
        found = hybrid_loss(logits, *args)
        return found._replace(total=found.total + args[-1].entropy_weight
                              * chainer.functions.sum(logits ** 2))

    monkeypatch.setattr(losses, 'hybrid_loss', with_another_term)
    config = make_config()
    network = build_network(config, make_streams(1)['weights'])
    assert select_engine(config, network, CPU).name == 'fused'
    config = config.model_copy(update={'training': config.training.model_copy(
        update={'entropy_weight': 0.5})})
    assert 'compute something else' in str(select_engine(config, network, CPU))


def test_device_knows_the_rewards_of_its_kernels(monkeypatch):
    monkeypatch.setattr('ram.fast.update_kernels.REWARDS', ('correct',))
    assert str(select(device=Gpu)) == 'device'
    assert str(select(device=Gpu, reward='probability')) == (
        'fused (device: training.reward is probability)')


def test_select_engine_changes_nothing():
    config = make_config()
    network = build_network(config, make_streams(1)['weights'])
    params = list(network.params())
    before = [(p.array.copy(), p.grad) for p in params]
    select_engine(config, network, CPU)
    for p, (array, grad) in zip(params, before):
        numpy.testing.assert_array_equal(p.array, array)
        assert p.grad is grad
