"""The READMEs: their examples run as they stand there, their links lead on.

What is done with a block is said in a comment before it:

- ``runs``: it is run; what a console block prints is compared;
- ``runs: NAME``: it is written to that file, for those after it;
- ``runs on MNIST``: it is run where MNIST is, which ``DIR`` then is;
- ``begins on MNIST``: the same, for a long training: it is stopped by SIGTERM;
- ``installs``: it is run where RAM_TEST_INSTALLS is set: it takes a package
  index, and minutes.

Blocks are run in the order of ``PAGES`` and in one folder. ``text`` and
``bibtex`` blocks are not run.
"""

import glob
import os
import re
import signal
import subprocess
import sys
import venv

import pytest
from PIL import Image

from ram.data.mnist import data_root

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGES = ('README.md', 'configs/README.md', 'ram/README.md',
         'configs/paper/README.md', 'scripts/README.md', 'tests/README.md')
BLOCK = re.compile(r'(?:<!-- ([^\n]+) -->\n)?^```(\w+)\n(.*?)^```$', re.S | re.M)
NUMBER = re.compile(r'\d+\.\d+')


def blocks():
    """(what is done with it, its language, its text) of each block."""
    text = ''.join(map(read, PAGES))
    found = BLOCK.findall(text)
    assert 2 * len(found) == len(re.findall('^```', text, re.M))
    return [block for block in found if block[1] not in ('text', 'bibtex')]


def read(page):
    with open(os.path.join(TOP, page), encoding='utf-8') as file:
        return file.read()


def select(kind):
    return [(language, text) for how, language, text in blocks()
            if how == kind]


def environment(folder):
    """Variables with which commands find this Python and program."""
    for name in ('configs', 'scripts'):
        (folder / name).symlink_to(os.path.join(TOP, name))
    # `ram` as pip installs it: the current folder is not on its path.
    (folder / 'bin').mkdir()
    for name, text in (
            ('python', f'#!/bin/sh\nexec {sys.executable} "$@"\n'),
            ('ram', f'#!{sys.executable}\nimport sys\n'
                    'from ram.commands.main import main\nsys.exit(main())\n')):
        (folder / 'bin' / name).write_text(text)
        (folder / 'bin' / name).chmod(0o755)
    return dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=TOP,
                PATH=f'{folder / "bin"}{os.pathsep}{os.environ["PATH"]}')


def commands(text):
    """(command, lines that it prints) of a console block."""
    for part in re.split(r'^\$ ', text, flags=re.M)[1:]:
        command, _, printed = part.rstrip('\n').partition('\n')
        yield command, printed


def agrees(printed, shown):
    """Whether it printed what is shown, ... being anything.

    Errors may differ by a few images: another BLAS rounds otherwise.
    """
    pattern = re.escape(NUMBER.sub('#', shown)).replace(r'\.\.\.', '.*')
    near = all(abs(float(a) - float(b)) < 0.06 for a, b in zip(
        NUMBER.findall(printed), NUMBER.findall(shown)))
    return near and re.fullmatch(
        pattern, NUMBER.sub('#', printed.rstrip('\n')), re.S) is not None


def run_console(text, folder, env):
    for command, shown in commands(text):
        done = subprocess.run(command, shell=True, cwd=folder, env=env,
                              stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT)
        assert done.returncode == (2 if shown.startswith('ram: ') else 0)
        assert agrees(done.stdout, shown), done.stdout


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder like that of the repository, after all blocks have run."""
    path = tmp_path_factory.mktemp('readme')
    env = environment(path)
    printed = ''
    for how, language, text in blocks():
        if how.startswith('runs: '):
            (path / how[6:]).write_text(text)
        elif how == 'runs' and language == 'console':
            run_console(text, path, env)
        elif how == 'runs':
            command = {'python': [sys.executable, '-c'],
                       'bash': ['bash', '-euo', 'pipefail', '-c']}[language]
            done = subprocess.run(command + [text], cwd=path, env=env,
                                  capture_output=True, text=True)
            assert done.returncode == 0, text + done.stdout + done.stderr
            assert not done.stderr
            printed += done.stdout
    return path, printed


def errors(printed):
    return [float(error) for error in re.findall(
        r'^error (\S+) % \[.* images, policy', printed, re.M)]


def test_something_is_done_with_every_block():
    for how, language, text in blocks():
        assert re.fullmatch('runs|runs: [a-z.]+|(runs|begins) on MNIST|'
                            'installs', how), text
    assert [language for language, _ in select('runs')].count('python') == 2
    assert len(select('runs on MNIST')) == 1


def test_your_own_images(folder):
    path, printed = folder
    shapes, _ = errors(printed)
    assert shapes < 10  # of four classes; seeds 1 to 3: 2.8 to 5.4 on validation
    with Image.open(path / 'seen.png') as picture:
        assert picture.width > 300


def test_images_to_a_picture(folder):
    path, printed = folder
    assert "'] should be [" in printed
    for name in ('look.png', 'conv.png'):
        with Image.open(path / name) as picture:
            assert picture.width > 300


def test_a_link_of_ones_own_learns(folder):
    path, printed = folder
    _, own = errors(printed)
    assert own < 70  # of ten classes; guessing gives 90
    with open(path / 'runs' / 'convolutional' / 'config.yaml') as file:
        assert 'convolutional.ConvGlimpseNetwork' in file.read()


def test_mine_is_what_npz_takes(folder):
    from ram.config import config_from_dict
    from ram.data.splits import load_splits
    splits = load_splits(config_from_dict({'data': {
        'name': 'npz', 'file': str(folder[0] / 'mine.npz'), 'classes': 5,
        'image_size': [48, 64], 'channels': 3, 'validation': 5}}, '').data)
    assert splits.train.images.shape[1:] == (3, 48, 64)


@pytest.mark.parametrize('page', PAGES)
def test_links_lead_to_files_and_headings(page):
    text = read(page)
    links = re.findall(r'\]\(([^)\s]+)\)', text)
    assert links or page == 'tests/README.md'
    for link in links:
        if link.startswith('https://'):
            continue
        path, _, heading = link.partition('#')
        target = os.path.normpath(os.path.join(os.path.dirname(page), path)
                                  if path else page)
        assert os.path.exists(os.path.join(TOP, target)), link
        if heading:
            headings = re.findall(r'^#+ (.*)$', read(target), re.M)
            assert heading in [re.sub('[^a-z0-9 -]', '', h.lower()).replace(
                ' ', '-') for h in headings], link


def test_the_main_page_is_short():
    assert read('README.md').count('\n') <= 220
    # All pages, without generated tables.
    lines = re.sub(r'<!-- (table|results|configuration|ablation [a-z0-9-]+) -->.*?'
                   r'<!-- /\1 -->', '', ''.join(map(read, PAGES)),
                   flags=re.S).count('\n')
    assert lines <= 900


def test_what_agrees():
    assert agrees('error 1.07 % [0.89, 1.29]\nb\n', 'error 1.08 % [0.90, ...')
    assert not agrees('error 1.19 % [0.89, 1.29]', 'error 1.08 % [0.90, 1.30]')
    assert not agrees('written: look.png', 'written: look.gif')
    assert not agrees('a\nb', 'a')


@pytest.fixture
def mnist(tmp_path):
    """A folder with DIR in it, which holds MNIST."""
    root = os.path.abspath(data_root())
    if not glob.glob(os.path.join(root, 'mnist', 't10k-labels*')):
        pytest.skip('no MNIST at RAM_DATA_ROOT')
    (tmp_path / 'DIR').symlink_to(root)
    return tmp_path


def test_on_mnist(mnist):
    env = environment(mnist)
    for _, text in select('runs on MNIST'):
        run_console(text, mnist, env)


def test_a_long_training_begins(mnist):
    (_, text), = select('begins on MNIST')
    (command, shown), = commands(text)
    process = subprocess.Popen(
        'exec ' + command, shell=True, cwd=mnist, env=environment(mnist),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in shown.split('\n')[:2]:  # the engine, then the columns
        assert process.stdout.readline().split() == line.split()
    assert process.stdout.readline().split()[0] == '1'
    process.send_signal(signal.SIGTERM)
    assert 'stopped by a signal' in process.stdout.read()
    assert process.wait() == 128 + signal.SIGTERM


@pytest.mark.skipif('RAM_TEST_INSTALLS' not in os.environ,
                    reason='RAM_TEST_INSTALLS is not set')
def test_installs(tmp_path):
    subprocess.run(['git', 'clone', '-q', TOP, tmp_path / 'clone'], check=True)
    venv.create(tmp_path / 'venv', with_pip=True)
    env = dict(os.environ, PYTHON=sys.executable, PATH=(
        f'{tmp_path / "venv" / "bin"}{os.pathsep}{os.environ["PATH"]}'))
    del env['RAM_TEST_INSTALLS']
    env.pop('PYTHONPATH', None)
    for _, text in select('installs'):
        subprocess.run(['bash', '-euo', 'pipefail', '-c', text], check=True,
                       cwd=tmp_path / 'clone', env=env)
    done = subprocess.run(['ram', '--version'], env=env, check=True,
                          cwd=tmp_path, capture_output=True, text=True)
    assert 'ram' in done.stdout.lower()
