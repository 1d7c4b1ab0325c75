"""Several processes against one; run where mpi4py and an MPI are."""

import importlib.util
import os
import shutil
import subprocess
import sys
import textwrap

import pytest

from ram.commands.main import main
from ram.random_streams import OWN, make_streams

needs_mpi = pytest.mark.skipif(
    importlib.util.find_spec('mpi4py') is None or not shutil.which('mpiexec'),
    reason='no mpi4py or no MPI')
CONFIG = '''
data: {name: synthetic, train_images: 300, validation: 100, test_images: 60}
model: {glimpses: 3, core: rnn, core_units: 16, glimpse_units: 16,
        what_units: 16, where_units: 8, location_units: 8}
training: {epochs: 2, batch_size: 32}
'''


def mpiexec(folder, ranks, *command):
    environment = dict(os.environ, OMP_NUM_THREADS='1',
                       OMPI_ALLOW_RUN_AS_ROOT='1',
                       OMPI_ALLOW_RUN_AS_ROOT_CONFIRM='1',
                       OMPI_MCA_rmaps_base_oversubscribe='1')
    return subprocess.run(
        ['mpiexec', '-n', str(ranks), sys.executable, *command], cwd=folder,
        env=environment, capture_output=True, text=True, timeout=120)


@needs_mpi
def test_the_gradient_of_two_halves_is_that_of_the_whole(tmp_path):
    (tmp_path / 'check.py').write_text(textwrap.dedent('''
        import numpy, ram, chainer
        from ram.config import config_from_dict
        from ram.models.build import build_network
        from ram.random_streams import make_streams
        from ram.training.distributed import Ranks
        from ram.training.train_chain import TrainChain

        ranks = Ranks('naive')
        config = config_from_dict({'training': {'reinforce_weight': 1.0}}, '')
        rng = numpy.random.default_rng(0)
        images = rng.random((8, 1, 28, 28), 'float32')
        labels = rng.integers(10, size=8).astype('int32')

        def gradients(part):
            model = build_network(config, make_streams(1)['weights'])
            model.draw = lambda streams, batch, draw=model.draw: [
                a[..., part, :] for a in draw(make_streams(2), 8)]
            chain = TrainChain(model, config.training, None)
            optimizer = chainer.optimizers.SGD().setup(chain)
            chain.cleargrads()
            chain(images[part], labels[part]).backward()
            return optimizer, chain

        whole = gradients(slice(None))[1]
        optimizer, half = gradients(slice(4 * ranks.rank, 4 * ranks.rank + 4))
        before = half.model.core.linear.W.grad.copy()
        ranks.mean_gradients(optimizer)
        assert ranks.size == 2
        assert abs(before - half.model.core.linear.W.grad).max() > 1e-4
        for (name, a), (_, b) in zip(whole.namedparams(), half.namedparams()):
            numpy.testing.assert_allclose(a.grad, b.grad, rtol=1e-3,
                                          atol=1e-5, err_msg=name)
        print('equal', flush=True)
    '''))
    done = mpiexec(tmp_path, 2, 'check.py')
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('equal') == 2


@needs_mpi
def test_two_ranks_train_and_resume(tmp_path):
    (tmp_path / 'c.yaml').write_text(CONFIG)
    command = ['-m', 'ram', 'train', 'c.yaml', '--communicator', 'naive',
               '--out', 'run']
    done = mpiexec(tmp_path, 2, *command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('best validation error') == 1
    assert {'best.npz', 'log', 'snapshot.npz'} <= set(
        os.listdir(tmp_path / 'run'))
    assert mpiexec(tmp_path, 2, *command, '--resume').returncode == 0
    alone = subprocess.run(
        [sys.executable, '-m', 'ram', 'train', 'c.yaml', '--out', 'run',
         '--resume'], cwd=tmp_path, capture_output=True, text=True)
    assert alone.returncode == 2 and '2 processes, not 1' in alone.stderr
    # What only rank 0 finds out ends the others too.
    again = mpiexec(tmp_path, 2, *command)
    assert again.returncode == 2 and 'is not empty' in again.stderr


@needs_mpi
def test_a_batch_that_cannot_be_shared_is_refused(tmp_path):
    (tmp_path / 'c.yaml').write_text(CONFIG)
    done = mpiexec(tmp_path, 2, '-m', 'ram', 'train', 'c.yaml',
                   '--communicator', 'naive', '--set',
                   'training.batch_size=31')
    assert done.returncode == 2 and 'training.batch_size' in done.stderr


def test_without_mpi4py_it_is_told(tmp_path, monkeypatch, capsys):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec',
        lambda name, *a: None if name == 'mpi4py' else find_spec(name, *a))
    (tmp_path / 'c.yaml').write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    assert main(['train', 'c.yaml', '--communicator', 'naive']) == 2
    assert 'pip install mpi4py' in capsys.readouterr().err


def test_ranks_share_order_and_weights_alone():
    one, two = make_streams(3, 0), make_streams(3, 1)
    for name in one:
        same = one[name].random() == two[name].random()
        assert same == (name not in OWN), name
