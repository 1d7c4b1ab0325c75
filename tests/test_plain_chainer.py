"""scripts/plain_chainer.py against the engines, and from its command line."""

import os
import re
import subprocess
import sys

import chainer
import numpy
import pytest
from training_runs import TOP

from ram.config import TrainingConfig
from ram.fast.flat import Adam, FlatChain
from ram.fast.fused import fused_loss
from ram.losses import loss_by_links
from ram.random_streams import make_streams
from ram.training.train_chain import TrainChain

UPDATES = 5


def compose(script, core, compute_loss):
    """A chain with its optimizer: the script's, or that of an engine."""
    streams = make_streams(3)
    model = script.build_model(core, streams['weights'])
    for param in model.params():
        param.array = param.array.astype('float64')
    sample = model.sample_noise
    model.sample_noise = lambda *args, **kwargs: tuple(
        array.astype('float64') for array in sample(*args, **kwargs))
    if compute_loss is None:
        chain = script.TrainChain(model, streams)
        optimizer = chainer.optimizers.Adam(1e-3).setup(chain)
    else:
        chain = TrainChain(model, TrainingConfig(reinforce_weight=0.01),
                           streams, compute_loss)
        flat = FlatChain(chain)
        optimizer = Adam(1e-3).setup(flat)
        optimizer.add_hook(flat.gather, 'gather', 'pre')
    optimizer.add_hook(chainer.optimizer_hooks.GradientClipping(5))
    return chain, optimizer


@pytest.mark.parametrize('core', ['rnn', 'lstm'])
def test_plain_chainer_and_the_engines_learn_the_same(load_script, core):
    script = load_script('plain_chainer')
    weights = []
    for compute_loss in (None, loss_by_links, fused_loss):
        chain, optimizer = compose(script, core, compute_loss)
        rng = numpy.random.default_rng(0)
        for _ in range(UPDATES):
            images = rng.random((8, 1, 28, 28))
            labels = rng.integers(10, size=8).astype('int32')
            optimizer.update(optimizer.target, images, labels)
        weights.append({name: param.array
                        for name, param in chain.namedparams()})
    for other in weights[1:]:
        assert other.keys() == weights[0].keys()
        for name, array in other.items():
            numpy.testing.assert_allclose(array, weights[0][name], rtol=0,
                                          atol=1e-10, err_msg=name)
    start = compose(script, core, None)[0]
    assert any((param.array != weights[0][name]).any()
               for name, param in start.namedparams())


def test_plain_chainer_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, os.path.join(TOP, 'scripts', 'plain_chainer.py'),
         '--epochs', '1', '--out', 'out'], cwd=tmp_path, capture_output=True,
        text=True, env=dict(os.environ, OMP_NUM_THREADS='1'))
    assert done.returncode == 0, done.stderr
    error = re.search(r'error ([0-9.]+) % on 2000 other images; files in out$',
                      done.stdout.strip())
    assert float(error[1]) < 80  # 90 by guessing
    assert {'log', 'snapshot_iter_94'} <= set(os.listdir(tmp_path / 'out'))
