"""One vector of parameters against Chainer's own, one by one."""

import chainer
import chainer.functions as F
import chainer.links as L
import numpy
import pytest

from ram.config import TrainingConfig
from ram.fast import flat
from ram.training.build import OPTIMIZERS


class Net(chainer.Chain):

    def __init__(self, seed):
        super().__init__()
        rng = numpy.random.default_rng(seed)
        with self.init_scope():
            self.first = L.Linear(200, 150)  # more than a block of weights
            self.second = L.Linear(150, 3)
            self.idle = L.Linear(4, 5)  # no gradient reaches it
        for param in self.params():
            param.array[...] = rng.standard_normal(param.shape) * 0.1

    def forward(self, x):
        return F.sum(F.tanh(self.second(F.relu(self.first(x)))))


def arrays(link):
    return {name: param.array for name, param in link.namedparams()}


def test_parameters_become_views_and_keep_their_values():
    net, same = Net(0), arrays(Net(0))
    vector = flat.flatten(net)
    assert (vector != 0).sum() == sum(a.size for a in same.values())
    for name, array in arrays(net).items():
        numpy.testing.assert_array_equal(array, same[name])
        assert numpy.shares_memory(array, vector), name
        start = array.ctypes.data - vector.ctypes.data
        assert start % (flat.ALIGNED * array.itemsize) == 0
    vector[...] = 7
    assert all((a == 7).all() for a in arrays(net).values())


@pytest.mark.parametrize('name', list(OPTIMIZERS))
@pytest.mark.parametrize('clip', [None, 0.01])
def test_updates_are_chainers_own(name, clip):
    training = TrainingConfig(learning_rate=0.02)
    plain = {'adam': chainer.optimizers.Adam,
             'momentum_sgd': chainer.optimizers.MomentumSGD,
             'nesterov': chainer.optimizers.NesterovAG}[name](0.02)
    net, other = Net(1), Net(1)
    chain = flat.FlatChain(net)
    optimizer = OPTIMIZERS[name](training).setup(chain)
    optimizer.add_hook(chain.gather, 'gather', 'pre')
    plain.setup(other)
    for each in (optimizer, plain):
        if clip is not None:
            each.add_hook(chainer.optimizer_hooks.GradientClipping(clip))
    rng = numpy.random.default_rng(2)
    for _ in range(5):
        x = rng.standard_normal((6, 200)).astype('float32')
        optimizer.update(chain, x)
        plain.update(other, x)
    before = arrays(Net(1))
    for key, array in arrays(net).items():
        numpy.testing.assert_allclose(array, arrays(other)[key], rtol=1e-5,
                                      atol=1e-6, err_msg=key)
        assert (array != before[key]).any() == ('idle' not in key), key


def test_a_gradient_that_overflows_shows_in_the_weights():
    chain = flat.FlatChain(Net(0))
    optimizer = flat.Adam().setup(chain)
    with numpy.errstate(all='ignore'):
        for _ in range(2):
            chain.vector.grad = numpy.full_like(chain.vector.array, 1e30)
            optimizer.update()
    assert numpy.isnan(chain.chain.first.W.array).all()


def test_what_is_saved_is_the_chain():
    net = Net(0)
    saved = chainer.serializers.DictionarySerializer()
    saved.save(flat.FlatChain(net))
    assert set(saved.target) == {n.lstrip('/') for n in arrays(net)}
    other = Net(3)
    chain = flat.FlatChain(other)
    chainer.serializers.NpzDeserializer(saved.target).load(chain)
    numpy.testing.assert_array_equal(
        chain.vector.array, flat.flatten(Net(0)))
    assert numpy.shares_memory(other.first.W.array, chain.vector.array)


def test_joined_gradients_are_views_of_one():
    net = Net(0)
    chain = flat.FlatChain(net)
    for param in net.params():
        param.grad = numpy.ones_like(param.array)
    chain.join_gradients()
    gradient = chain.vector.grad
    assert gradient.shape == chain.vector.shape and not gradient.any()
    for i, param in enumerate(net.params(), 1):
        param.grad[...] = i
    # Each at the place of its weights.
    for i, param in enumerate(net.params(), 1):
        param.array[...] = i
    numpy.testing.assert_array_equal(gradient, chain.vector.array)
