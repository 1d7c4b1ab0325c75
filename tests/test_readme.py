"""The README's examples, run as they stand there.

A block after ``<!-- runs -->`` is run, one after ``<!-- runs: NAME -->`` is
written to that file, all in their order and in one folder.
"""

import os
import re
import subprocess
import sys

from PIL import Image
import pytest

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BLOCK = re.compile(r'<!-- runs(?:: (\S+))? -->\n```(\w+)\n(.*?)```', re.S)


def blocks():
    with open(os.path.join(TOP, 'README.md'), encoding='utf-8') as file:
        text = file.read()
    found = BLOCK.findall(text)
    assert len(found) == text.count('<!-- runs')
    return found


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder like that of the repository, after all blocks have run."""
    path = tmp_path_factory.mktemp('readme')
    for name in ('configs', 'scripts'):
        os.symlink(os.path.join(TOP, name), path / name)
    # `ram` as pip installs it: the current folder is not on its path.
    (path / 'bin').mkdir()
    ram = path / 'bin' / 'ram'
    ram.write_text(f'#!{sys.executable}\nimport sys\nfrom ram.cli import main\n'
                   'sys.exit(main())\n')
    ram.chmod(0o755)
    env = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=TOP,
               PATH=f'{path / "bin"}{os.pathsep}{os.environ["PATH"]}')
    printed = ''
    for name, language, text in blocks():
        if name:
            (path / name).write_text(text)
            continue
        command = {'python': [sys.executable, '-c'],
                   'bash': ['bash', '-euo', 'pipefail', '-c']}[language]
        done = subprocess.run(command + [text], cwd=path, env=env,
                              capture_output=True, text=True)
        assert done.returncode == 0, text + done.stdout + done.stderr
        assert not done.stderr
        printed += done.stdout
    return path, printed


def test_the_blocks_that_run():
    assert [name for name, _, _ in blocks() if name] == [
        'convolutional.py', 'convolutional.yaml']
    assert [language for _, language, _ in blocks()].count('python') == 3


def test_images_to_a_picture(folder):
    path, printed = folder
    assert "'] should be [" in printed
    with Image.open(path / 'look.png') as picture:
        assert picture.width > 300
    with Image.open(path / 'conv.png') as picture:
        assert picture.width > 300


def test_a_link_of_ones_own_learns(folder):
    path, printed = folder
    error = float(re.search(r'error (\S+) % \[.* images, policy', printed)[1])
    assert error < 70  # of ten classes; of chance 90
    with open(path / 'runs' / 'convolutional' / 'config.yaml') as file:
        assert 'convolutional.ConvGlimpseNetwork' in file.read()


def test_mine_is_what_npz_takes(folder):
    from ram.config import config_from_dict
    from ram.data.splits import load_splits
    splits = load_splits(config_from_dict({'data': {
        'name': 'npz', 'file': str(folder[0] / 'mine.npz'), 'classes': 5,
        'image_size': [48, 64], 'channels': 3, 'validation': 5}}, '').data)
    assert splits.train.images.shape[1:] == (3, 48, 64)
