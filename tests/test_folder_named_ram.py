"""Commands run where a folder named ram lies: a clone, or anything else."""

import os
import subprocess
import sys

import pytest
from training_runs import TOP

CONFIG = '''
data: {name: synthetic, train_images: 300, validation: 100, test_images: 60}
model: {glimpses: 2, core: rnn, core_units: 8}
training: {epochs: 1, batch_size: 32, snapshot_minutes: null}
'''
SCRIPT = '''import sys
from ram.commands.main import main
if __name__ == '__main__':
    sys.exit(main())
'''
OWN = '''from ram.links import RNNCore


class Core(RNNCore):
    pass
'''


@pytest.fixture
def run(tmp_path):
    """Runs Python in a folder that holds a configuration."""
    (tmp_path / 'here').mkdir()
    (tmp_path / 'here' / 'c.yaml').write_text(CONFIG)
    (tmp_path / 'bin').mkdir()
    (tmp_path / 'bin' / 'ram').write_text(SCRIPT)

    def run(*arguments, **variables):
        done = subprocess.run(
            [sys.executable, *map(str, arguments)], cwd=tmp_path / 'here',
            env=dict({k: v for k, v in os.environ.items()
                      if k != 'PYTHONPATH'}, OMP_NUM_THREADS='1',
                     **variables), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def clone(tmp_path):
    """The repository as a folder named ram."""
    (tmp_path / 'here' / 'ram').mkdir()
    for name in ('ram', 'configs'):
        os.symlink(os.path.join(TOP, name), tmp_path / 'here' / 'ram' / name)


@pytest.mark.parametrize('content', ['clone', 'images'])
def test_the_command_trains_beside_a_folder_named_ram(run, tmp_path, request, content):
    if content == 'clone':
        request.getfixturevalue('clone')
    else:
        (tmp_path / 'here' / 'ram').mkdir()
    printed = run(tmp_path / 'bin' / 'ram', 'train', 'c.yaml', '--out', 'out',
                  PYTHONPATH=TOP)
    assert 'engine: fused' in printed and 'best validation error' in printed


def test_a_class_of_ones_own_shadows_no_package(run, tmp_path):
    here = tmp_path / 'here'
    (here / 'own.py').write_text(OWN)
    for name in ('matplotlib', 'colorsys', 'imageio'):
        (here / f'{name}.py').write_text('raise ValueError("the wrong one")')
    printed = run(tmp_path / 'bin' / 'ram', 'train', 'c.yaml', '--out', 'out',
                  '--set', 'model.core=own.Core', PYTHONPATH=TOP)
    assert 'engine: links' in printed and 'best validation error' in printed
    run(tmp_path / 'bin' / 'ram', 'evaluate', 'out/best.npz', '--import',
        'own', PYTHONPATH=TOP)
