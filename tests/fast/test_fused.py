"""The fused functions against the Links, step by step."""

import os
import signal
import threading
import time
from functools import partial

import chainer
import numpy
import pytest
from chainer.utils import type_check
from random_models import (
    assert_same_loss,
    inputs,
    loss_and_gradients,
    make_model,
)
from training_runs import make_config

from ram import links, losses
from ram.fast import recurrence
from ram.fast.fused import fused_loss, fused_problem, fused_rollout
from ram.losses import Objective, loss_by_links
from ram.models.build import build_network


def random_objective(rng):
    return Objective(float(rng.random()), float(rng.random()),
                     str(rng.choice(['correct', 'probability'])),
                     border_weight=float(rng.integers(2) * rng.random()),
                     class_weights=tuple(rng.random(10).tolist())
                     if rng.integers(2) else None)


@pytest.mark.parametrize('seed', range(60))
def test_fused_loss_equals_links_in_float64(seed):
    rng = numpy.random.default_rng(seed)
    model, channels = make_model(rng)
    for _ in range(2):  # the second time in a used workspace
        arrays = inputs(model, channels, rng, batch=5)
        objective = random_objective(rng)
        assert_same_loss(*(loss_and_gradients(loss, model, arrays, objective)
                      for loss in (fused_loss, loss_by_links)), 1e-10, 1e-11)


@pytest.mark.parametrize('threads, batch', [(2, 5), (3, 8), (5, 2)])
@pytest.mark.parametrize('policy, glimpses', [
    ('learned', 4), ('random', 3), ('frozen', 1)])
def test_threads_give_the_loss_of_the_batch(threads, batch, policy, glimpses):
    rng = numpy.random.default_rng(threads)
    model, channels = make_model(rng, policy=policy, glimpses=glimpses)
    for _ in range(2):  # the second time in used workspaces
        arrays = inputs(model, channels, rng, batch=batch)
        objective = random_objective(rng)
        assert_same_loss(*(loss_and_gradients(loss, model, arrays, objective)
                           for loss in (partial(fused_loss, threads=threads),
                                        loss_by_links)), 1e-10, 1e-11)


def test_each_thread_computes_a_part_and_warns_as_its_caller(monkeypatch):
    rng = numpy.random.default_rng(0)
    model, channels = make_model(rng, glimpses=2)
    seen, forward = [], recurrence.forward

    def spy(xp, workspace, images, *args):
        seen.append((threading.get_ident(), len(images),
                     numpy.geterr()['under']))
        both.wait()  # both threads are here at once
        forward(xp, workspace, images, *args)

    both = threading.Barrier(2, timeout=60)
    monkeypatch.setattr(recurrence, 'forward', spy)
    with numpy.errstate(under='raise'):
        fused_loss(model, *inputs(model, channels, rng, batch=5), Objective(),
                   threads=2)
    idents, sizes, states = zip(*seen)
    assert len(set(idents)) == 2
    assert sorted(sizes) == [2, 3] and states == ('raise', 'raise')


@pytest.mark.parametrize('wrong', [0, -1])  # in the caller's part, or not
def test_an_error_in_a_part_reaches_the_caller(wrong):
    rng = numpy.random.default_rng(0)
    model, channels = make_model(rng, policy='learned', glimpses=2)
    images, labels, first, noise = inputs(model, channels, rng, batch=4)
    labels[wrong] = 10
    with pytest.raises(IndexError):
        fused_loss(model, images, labels, first, noise, Objective(),
                   threads=2)


def test_no_thread_computes_after_an_error(monkeypatch):
    rng = numpy.random.default_rng(0)
    model, channels = make_model(rng, glimpses=2)
    ended, forward = threading.Event(), recurrence.forward

    def slow(xp, workspace, images, *args):
        if len(images) == 2:  # the caller's part
            raise ZeroDivisionError
        forward(xp, workspace, images, *args)
        time.sleep(0.1)
        ended.set()

    monkeypatch.setattr(recurrence, 'forward', slow)
    with pytest.raises(ZeroDivisionError):
        fused_loss(model, *inputs(model, channels, rng, batch=5), Objective(),
                   threads=2)
    assert ended.is_set()


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='there is no fork')
def test_threads_serve_a_forked_process():
    rng = numpy.random.default_rng(0)
    model, channels = make_model(rng, glimpses=2)
    arrays = inputs(model, channels, rng, batch=5)

    def total():
        return float(fused_loss(model, *arrays, Objective(),
                                threads=2).loss.total.array)

    wanted = total()  # the threads have started
    child = os.fork()
    if not child:
        signal.alarm(60)  # ends it if it waits for threads that it has not
        try:
            os._exit(0 if total() == wanted else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize('seed', range(20))
def test_fused_loss_equals_links_in_float32(seed):
    rng = numpy.random.default_rng(1000 + seed)
    model, channels = make_model(rng, 'float32')
    arrays = inputs(model, channels, rng, 'float32')
    objective = random_objective(rng)
    assert_same_loss(*(loss_and_gradients(loss, model, arrays, objective)
                  for loss in (fused_loss, loss_by_links)), 2e-4, 1e-4)


@pytest.mark.parametrize('seed', range(20))
def test_fused_rollout_equals_links(seed):
    rng = numpy.random.default_rng(seed)
    model, channels = make_model(rng)
    images, _, first, noise = inputs(model, channels, rng)
    for a, b in zip(fused_rollout(model, images, first, noise),
                    model(images, first, noise)):
        numpy.testing.assert_allclose(a, chainer.as_array(b), rtol=0,
                                      atol=1e-12)


def test_fused_loss_scales_its_gradient():
    rng = numpy.random.default_rng(0)
    model, channels = make_model(rng, policy='learned', glimpses=3)
    arrays = inputs(model, channels, rng)
    _, whole = loss_and_gradients(fused_loss, model, arrays, Objective())
    whole = {name: gradient.copy() for name, gradient in whole.items()}
    model.cleargrads()
    (0.25 * fused_loss(model, *arrays, Objective()).loss.total).backward()
    for name, param in model.namedparams():
        numpy.testing.assert_allclose(param.grad, whole[name] / 4, atol=1e-14)


@pytest.mark.parametrize('glimpses', [1, 4])
@pytest.mark.parametrize('core', ['lstm', 'rnn'])
def test_fused_loss_reads_nothing_uninitialized(monkeypatch, core, glimpses):
    rng = numpy.random.default_rng(0)
    model, channels = make_model(rng, core=core, policy='learned',
                                 glimpses=glimpses, scales=2)
    arrays = inputs(model, channels, rng, batch=4)
    wanted = loss_and_gradients(loss_by_links, model, arrays, Objective())
    empty = numpy.empty

    def full(*args, **kwargs):
        array = empty(*args, **kwargs)
        if array.dtype.kind == 'f':
            array.fill(numpy.nan)
        return array

    monkeypatch.setattr(numpy, 'empty', full)
    assert_same_loss(loss_and_gradients(fused_loss, model, arrays, Objective()),
                wanted, 1e-10, 1e-11)


def test_two_fused_losses_do_not_share_arrays():
    rng = numpy.random.default_rng(0)
    model, channels = make_model(rng, policy='learned', glimpses=3)
    batches = [inputs(model, channels, rng, batch=4) for _ in range(2)]

    def gradients(batches):
        model.cleargrads()
        sum(fused_loss(model, *arrays, Objective()).loss.total
            for arrays in batches).backward()
        return {n: p.grad for n, p in model.namedparams()}

    together = gradients(batches)
    single = [gradients([arrays]) for arrays in batches]
    for name, gradient in together.items():
        numpy.testing.assert_allclose(
            gradient, single[0][name] + single[1][name], atol=1e-10)


def test_fused_loss_refuses_a_second_backward():
    rng = numpy.random.default_rng(0)
    model, channels = make_model(rng)
    model.cleargrads()
    total = fused_loss(model, *inputs(model, channels, rng),
                       Objective()).loss.total
    total.backward(retain_grad=True)
    with pytest.raises(RuntimeError, match='once'):
        total.backward()


def test_fused_loss_checks_types():
    rng = numpy.random.default_rng(0)
    model, channels = make_model(rng, core='rnn')
    arrays = inputs(model, channels, rng)
    W = model.core.linear.W
    W.array = W.array[:, :-1]
    with pytest.raises(type_check.InvalidType):
        fused_loss(model, *arrays, Objective())


def test_fused_functions_reuse_their_arrays(monkeypatch):
    rng = numpy.random.default_rng(0)
    model, channels = make_model(rng, scales=2, glimpses=4)
    images, labels, first, noise = inputs(model, channels, rng, batch=6)

    def run():
        model.cleargrads()
        fused_loss(model, images, labels, first, noise,
                   Objective()).loss.total.backward()
        fused_rollout(model, images, first, noise)

    empty, largest = numpy.empty, []

    def counted(*args, **kwargs):
        array = empty(*args, **kwargs)
        largest.append(array.ndim)
        return array

    run()
    monkeypatch.setattr(numpy, 'empty', counted)
    run()
    # The retina, (T, B, k, C, g, g), is allocated with a workspace only.
    assert largest and max(largest) < 6


def test_fused_problem_finds_other_classes():
    class OwnCore(links.RNNCore):
        pass

    class OwnSensor(links.GlimpseSensor):
        pass

    rng = numpy.random.default_rng(0)
    assert fused_problem(make_model(rng)[0]) is None
    model, _ = make_model(rng, core='rnn')
    model.core.__class__ = OwnCore
    assert fused_problem(model) == 'OwnCore is not built in'
    model, _ = make_model(rng)
    model.glimpse.sensor.__class__ = OwnSensor
    assert fused_problem(model) == 'OwnSensor is not built in'
    network = build_network(make_config(model={'network': 'fc', 'units': 5}),
                            rng)
    assert fused_problem(network) == 'FullyConnected takes no glimpses'


def test_fused_problem_finds_a_new_core(monkeypatch):
    class GRUCore(chainer.Chain):
        def __init__(self):
            super().__init__()
            self.units = 256
            with self.init_scope():
                self.gates = chainer.links.StatelessGRU(256, 256)

        def initial_state(self, batch):
            return chainer.Variable(numpy.zeros((batch, 256), 'f')),

        def forward(self, state, g):
            return self.gates(state[0], g),

    monkeypatch.setattr(links, 'GRUCore', GRUCore, raising=False)
    model = build_network(make_config(), numpy.random.default_rng(0))
    del model.core
    with model.init_scope():
        model.core = GRUCore()
    assert 'cannot compute this' in fused_problem(model)


@pytest.mark.parametrize('edited', ['core', 'action', 'loss', 'reward',
                                    'class weights', 'detach', 'small term',
                                    'value', 'evaluation'])
def test_fused_problem_finds_edited_code(monkeypatch, edited):
    if edited == 'core':
        forward = links.RNNCore.forward
        monkeypatch.setattr(
            links.RNNCore, 'forward',
            lambda self, state, g: tuple(2 * s for s in forward(self, state,
                                                                g)))
    elif edited == 'action':
        forward = links.ActionNetwork.forward
        monkeypatch.setattr(links.ActionNetwork, 'forward',
                            lambda self, h: forward(self, h) * 1.1)
    elif edited == 'loss':
        monkeypatch.setattr('ram.losses.log_pi',
                            lambda sampled, means, std: chainer.functions.sum(
                                abs(sampled - means), axis=2))
    elif edited == 'reward':
        monkeypatch.setattr(
            'ram.losses.reward', lambda logits, labels, kind: 2.0 * (
                chainer.as_array(logits).argmax(axis=1) == labels) - 1)
    elif edited == 'class weights':
        monkeypatch.setattr(
            'ram.losses.cross_entropy', lambda logits, labels, weights:
            chainer.functions.softmax_cross_entropy(logits, labels))
    elif edited in ('small term', 'value'):
        hybrid_loss = losses.hybrid_loss

        def with_more(logits, *args):
            found = hybrid_loss(logits, *args)
            more = chainer.functions.softmax(logits) ** 2
            if edited == 'value':  # no gradient shows it
                more = more.array
            return found._replace(
                total=found.total + 1e-3 * chainer.functions.sum(more))

        monkeypatch.setattr(losses, 'hybrid_loss', with_more)
    elif edited == 'evaluation':  # what no gradient in training shows
        forward = links.LocationNetwork.forward
        monkeypatch.setattr(
            links.LocationNetwork, 'forward', lambda self, h: forward(
                self, h) + 0.3 * (not chainer.config.train))
    else:  # a gradient, not a value
        forward = links.BaselineNetwork.forward
        monkeypatch.setattr(
            links.BaselineNetwork, 'forward',
            lambda self, h: chainer.Variable(forward(self, h).array))
    rng = numpy.random.default_rng(0)
    model, _ = make_model(rng, core='rnn', policy='learned', glimpses=3)
    assert 'compute something else' in fused_problem(model)


def test_fused_problem_finds_what_only_this_objective_shows(monkeypatch):
    reward, hybrid_loss = losses.reward, losses.hybrid_loss

    def with_another(logits, labels, kind):
        return (numpy.ones(len(labels), 'f') if kind == 'one'
                else reward(logits, labels, kind))

    def with_entropy(logits, *args):
        found = hybrid_loss(logits, *args)
        p = chainer.functions.softmax(logits)
        return found._replace(total=found.total + args[-1].entropy_weight
                              * chainer.functions.sum(p * p))

    monkeypatch.setattr(losses, 'reward', with_another)
    monkeypatch.setattr(losses, 'hybrid_loss', with_entropy)
    model, _ = make_model(numpy.random.default_rng(0), core='rnn')
    assert fused_problem(model) is None
    assert 'one: no such reward' in fused_problem(
        model, losses.PLAIN._replace(reward='one'))
    assert 'compute something else' in fused_problem(
        model, losses.PLAIN._replace(entropy_weight=0.5))
