"""End to end through the command line, and all that a user can get wrong."""

import csv
import io
import json
import multiprocessing
import os
import resource
import subprocess
import sys

import numpy
import pytest
from PIL import Image
from training_runs import TOP

from ram.checkpoint import read_arrays
from ram.commands.main import main

CONFIG = '''
data: {name: synthetic, train_images: 300, validation: 100, test_images: 60}
model: {glimpses: 3, core: rnn, core_units: 16, glimpse_units: 16,
        what_units: 16, where_units: 8, location_units: 8}
training: {epochs: 2, batch_size: 32}
'''


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A folder with a configuration and its finished run."""
    folder = tmp_path_factory.mktemp('cli')
    (folder / 'c.yaml').write_text(CONFIG)
    assert main(['train', str(folder / 'c.yaml'), '--out',
                 str(folder / 'run')]) == 0
    return folder


@pytest.fixture
def at(trained, tmp_path, monkeypatch):
    """An empty working folder; @ in an argument stands for the trained one."""
    monkeypatch.chdir(tmp_path)
    return lambda args: [a.replace('@', str(trained)) if not a.startswith(
        '@numpy') and not a.startswith('@cupy') else a for a in args]


def test_quiet_prints_how_the_run_ended(at, capsys):
    assert main(at(['train', '@/c.yaml', '--out', 'q', '--quiet'])) == 0
    lines = capsys.readouterr().out.strip().split('\n')
    assert [line.split()[0] for line in lines] == ['best', 'files:', 'next:']
    files = [os.path.basename(path) for path in lines[1].split()[1:]]
    assert sorted(files) == [
        'best.npz', 'config.yaml', 'error.png', 'last.npz', 'log', 'loss.png',
        'snapshot-before.npz', 'snapshot.npz', 'trajectories.gif',
        'versions.json']


def test_any_stdout_will_do(at, monkeypatch):
    stdout = io.TextIOWrapper(io.BytesIO(), encoding='latin-1')
    monkeypatch.setattr(sys, 'stdout', stdout)
    assert main(at(['runs', '@'])) == 0
    assert main(at(['data', 'preview', '@/c.yaml', '--out',
                    '\u732b.png'])) == 0
    assert stdout.buffer.getvalue().endswith(b'written: \\u732b.png\n')
    monkeypatch.setattr(sys, 'stdout', None)  # closed: >&-
    assert main(at(['runs', '@'])) == 0


def test_a_terminal_shows_the_time_left(at, capsys, monkeypatch):
    def train(terminal):
        monkeypatch.setattr(sys.stdout, 'isatty', lambda: terminal)
        assert main(at(['train', '@/c.yaml', '--out', str(terminal), '--set',
                        'training.epochs=1', 'training.batch_size=10'])) == 0
        return 'Estimated time to finish: ' in capsys.readouterr().out

    assert train(terminal=True) and not train(terminal=False)


def test_evaluate_writes_every_image(at, capsys):
    assert main(at(['evaluate', '@/run/best.npz', '--csv', 'images.csv',
                    '--json', 'e.json'])) == 0
    assert 'written: images.csv' in capsys.readouterr().out
    with open('images.csv', newline='') as file:
        found = list(csv.DictReader(file))
    with open('e.json') as file:
        result = json.load(file)
    wrong = sum(row['label'] != row['prediction'] for row in found)
    assert len(found) == 60 and 100 * wrong / 60 == result['error']
    assert [row['image'] for row in found] == [str(i) for i in range(60)]
    for row in found:
        shares = {k: float(row[f'p({k})']) for k in map(str, range(10))}
        assert abs(sum(shares.values()) - 1) < 1e-4
        assert max(shares, key=shares.get) == row['prediction']
        assert float(row['probability']) == max(shares.values())
        assert all(0 <= float(row[f'{axis}{t}']) <= 28
                   for axis in 'xy' for t in (1, 2, 3))
    assert main(at(['evaluate', '@/run/best.npz', '--csv', 'x.csv',
                    '--samples', '2', '--policy', 'sample'])) == 2
    assert '--csv: writes one path' in capsys.readouterr().err


def test_train_evaluate_render(at, capsys):
    assert main(at(['train', '@/c.yaml', '--seed', '3', '--set',
                    'training.epochs=1', 'model.scales=2'])) == 0
    printed = capsys.readouterr().out
    assert 'best validation error' in printed
    assert os.path.join('runs', 'c-3', 'best.npz') in printed
    with open('runs/c-3/config.yaml') as file:
        text = file.read()
    assert 'seed: 3' in text and 'scales: 2' in text and 'epochs: 1' in text
    assert main(['evaluate', 'runs/c-3/best.npz', '--json', 'e.json',
                 '--policy', 'sample', '--samples', '2']) == 0
    printed = capsys.readouterr().out
    with open('e.json') as file:
        result = json.load(file)
    assert {'error', 'interval', 'n', 'error_by_glimpse', 'confusion',
            'policy', 'samples', 'checkpoint', 'config'} <= set(result)
    assert result['n'] == 60 and numpy.sum(result['confusion']) == 60
    assert (result['policy'], result['samples']) == ('sample', 2)
    wrong = 60 - numpy.trace(result['confusion'])
    assert result['error'] == pytest.approx(100 * wrong / 60)
    assert f'error {result["error"]:.2f} %' in printed
    assert printed.strip().endswith('written: e.json')
    for out, size in (('a.gif', None), ('b.png', None)):
        assert main(['render', 'runs/c-3/best.npz', '--out', out,
                     '--indices', '5', '7']) == 0
        assert capsys.readouterr().out == f'written: {out}\n'
        with Image.open(out) as picture:
            assert picture.width > 100
            assert (getattr(picture, 'n_frames', 1) > 3) == (out == 'a.gif')


def test_evaluation_is_repeatable_and_validation_is_what_was_logged(
        at, capsys):
    for name in ('1.json', '2.json'):
        assert main(at(['evaluate', '@/run/best.npz', '--split',
                        'validation', '--json', name])) == 0
    results = []
    for name in ('1.json', '2.json'):
        with open(name) as file:
            results.append(json.load(file))
    for key in ('error', 'confusion', 'error_by_glimpse', 'config'):
        assert results[0][key] == results[1][key]
    assert results[0]['error'] == results[0]['metrics']['validation_error']


def test_resume_by_command(at, capsys):
    args = at(['train', '@/c.yaml', '--out', 'run'])
    assert main(args) == 0
    assert main(args + ['--resume']) == 0
    assert 'resumed after epoch 2' in capsys.readouterr().out


def test_preview(at, capsys):
    for split in ('train', 'test'):
        assert main(at(['data', 'preview', '@/c.yaml', '--split', split,
                        '--out', f'{split}.png', '--examples', '6', '--set',
                        'data.variant=cluttered', 'data.canvas=[40, 50]'])
                    ) == 0
        with Image.open(f'{split}.png') as picture:
            assert picture.width > 200


def test_fetch_names_the_files(tmp_path, capsys):
    folder = tmp_path / 'mine'
    folder.mkdir()
    names = ['train-images-idx3-ubyte', 'train-labels-idx1-ubyte.gz',
             't10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte']
    for name in names:
        (folder / name).write_bytes(b'')
    assert main(['data', 'fetch', 'mine', '--data-root', str(tmp_path)]) == 0
    assert capsys.readouterr().out.split() == [
        str(folder / name) for name in names]


def test_inspect_of_one_glimpse(at, capsys):
    assert main(at(['train', '@/c.yaml', '--out', 'one', '--quiet', '--set',
                    'model.glimpses=1', 'training.epochs=1'])) == 0
    assert main(['inspect', 'one/best.npz', '--out', 'a', '--grid', '2',
                 '--images', '10']) == 0
    assert 'a/accuracy.png' in capsys.readouterr().out
    assert not os.path.exists('a/oddest.png')


def test_inspect(at, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
    assert main(at(['inspect', '@/run/best.npz', '--out', 'a/b', '--split',
                    'validation', '--grid', '2', '--images', '10',
                    '--examples', '3'])) == 0
    printed, bar = capsys.readouterr()
    gazes, last = printed.strip().split('\n')
    assert gazes.startswith('error by gaze: learned ')
    files = last.split()
    assert files[:3] == ['written:', os.path.join('a/b', 'index.html'),
                         os.path.join('a/b', 'inspect.json')]
    assert sorted(os.path.basename(f) for f in files[1:]) == sorted(
        os.listdir('a/b'))
    assert 'looking [####' in bar and 'drawing [####' in bar
    assert bar.endswith('\r\033[K')
    with open('a/b/inspect.json') as file:
        found = json.load(file)
    assert main(at(['evaluate', '@/run/best.npz', '--split', 'validation',
                    '--json', 'e.json'])) == 0
    with open('e.json') as file:
        measured = json.load(file)
    for key in ('error', 'interval', 'n', 'error_by_glimpse', 'confusion',
                'config', 'metrics', 'split'):
        assert found[key] == measured[key]
    assert found['first_location']['n'] == 10
    assert found['chosen']['first'] == [0, 1, 2]
    assert found['error_by_gaze']['learned'] == measured['error']
    assert set(found['error_by_gaze']) == {'learned', 'random', 'center'}
    assert found['heat_digit'] is None
    with open('a/b/index.html', encoding='utf-8') as file:
        page = file.read()
    assert all(f'<code>{name}</code>' in page for name in os.listdir('a/b')
               if name.endswith('.png'))


@pytest.mark.parametrize('command', [
    [], ['train'], ['evaluate'], ['render'], ['inspect'], ['data', 'fetch'],
    ['data', 'preview']])
def test_help_has_examples(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main(command + ['--help'])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert 'ram ' + ' '.join(command) in text.split('examples:' if command
                                                    else 'a first hour:')[1]


@pytest.mark.parametrize('script', ['train', 'evaluate', 'render'])
def test_front_doors(script, trained, tmp_path):
    arguments = {
        'train': [str(trained / 'c.yaml'), '--out', 'out', '--set',
                  'training.epochs=1'],
        'evaluate': [str(trained / 'run' / 'best.npz')],
        'render': [str(trained / 'run' / 'best.npz'), '--out', 'x.png']}
    done = subprocess.run(
        [sys.executable, os.path.join(TOP, 'scripts', f'{script}.py')]
        + arguments[script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr
    assert done.stdout


# Each: what is prepared, the command, and what the one line must name.
BAD = {
    'no configuration': ('', 'train nothing.yaml', 'nothing.yaml'),
    'a folder as configuration': ('', 'train @', 'cannot be read'),
    'broken YAML': ('c.yaml=model: [', 'train c.yaml', 'c.yaml, line'),
    'unknown key': ('c.yaml=model: {glimpse: 3}', 'train c.yaml',
                    'c.yaml: model.glimpse: no such key; did you mean'),
    'unknown section': ('c.yaml=optim: {lr: 3}', 'train c.yaml', 'optim'),
    'wrong type': ('c.yaml=model: {glimpses: six}', 'train c.yaml',
                   'model.glimpses'),
    'out of range': ('', 'train @/c.yaml --set model.std=-1', 'model.std'),
    'impossible glimpse': ('', 'train @/c.yaml --set model.glimpse_size=40',
                           'model.glimpse_size'),
    'extends nothing': ('c.yaml=extends: base.yaml', 'train c.yaml',
                        'base.yaml'),
    'bad override': ('', 'train @/c.yaml --set glimpses=4', '--set'),
    'bad override value': ('', 'train @/c.yaml --set model.std=[', '--set'),
    'used folder': ('', 'train @/c.yaml --out @/run', '--resume'),
    'a file as folder': ('', 'train @/c.yaml --out @/c.yaml', 'c.yaml'),
    'resume elsewhere': ('x/y=1', 'train @/c.yaml --out x --resume',
                         'holds no run'),
    'resume otherwise': ('', 'train @/c.yaml --out @/run --resume --seed 9',
                         'training.seed 1 there, 9 here'),
    'no GPU': ('', 'train @/c.yaml --device @cupy:99', '--device @cupy:99'),
    'no device': ('', 'evaluate @/run/best.npz --device tpu', '--device'),
    'too large a batch': ('', 'train @/c.yaml --set training.batch_size=900',
                          'training.batch_size'),
    'too much validation': (
        '', 'train @/c.yaml --set data.validation=300', 'data.validation'),
    'no data set': ('', 'train @/c.yaml --data-root . --set '
                    'data.name=kmnist', '--data-root'),
    'damaged data set': (
        'm/train-images-idx3-ubyte=x m/train-labels-idx1-ubyte=x '
        'm/t10k-images-idx3-ubyte=x m/t10k-labels-idx1-ubyte=x',
        'train @/c.yaml --data-root . --set data.name=m',
        'train-images-idx3-ubyte: not an IDX file'),
    'altered MNIST': (
        'mnist/train-images-idx3-ubyte=x mnist/train-labels-idx1-ubyte=x '
        'mnist/t10k-images-idx3-ubyte=x mnist/t10k-labels-idx1-ubyte=x',
        'train @/c.yaml --data-root . --set data.name=mnist',
        "is not MNIST's"),
    'no npz': ('', 'train @/c.yaml --set data.name=npz data.file=no.npz',
               'no.npz'),
    'text as npz': ('t.npz=text',
                    'train @/c.yaml --set data.name=npz data.file=t.npz',
                    't.npz'),
    'no checkpoint': ('', 'evaluate nothing.npz', 'nothing.npz'),
    'text as checkpoint': ('t.npz=text', 'evaluate t.npz', 't.npz'),
    'a folder as checkpoint': ('', 'render @/run', 'run'),
    'snapshot as checkpoint': ('', 'evaluate @/run/snapshot.npz',
                               'not a checkpoint'),
    'unknown pretrained': ('', 'render pretrained:nobody',
                           'pretrained:nobody'),
    'index beyond': ('', 'render @/run/best.npz --indices 60', '59'),
    'unknown picture': ('', 'render @/run/best.npz --out x.bmp', 'x.bmp'),
    'no folder for picture': ('', 'render @/run/best.npz --out no/x.png',
                              'no/x.png'),
    'a file as folder of pages': ('x=1', 'inspect @/run/best.npz --out x',
                                  'x: cannot be written'),
    'no place for pages': ('x=1', 'inspect @/run/best.npz --out x/y', 'x/y'),
    'no folder for JSON': ('', 'evaluate @/run/best.npz --json no/x.json',
                           'no/x.json'),
    'a checkpoint as output': (
        '', 'evaluate @/run/best.npz --json @/run/best.npz',
        'run/best.npz: is read'),
    'one file for two outputs': (
        '', 'evaluate @/run/best.npz --json x --csv ./x', './x: is read, or '),
    'no folder for preview': ('', 'data preview @/c.yaml --out no/x.png',
                              'no/x.png'),
    'unknown set': ('', 'data fetch nobody --data-root .', 'nobody')}


@pytest.mark.parametrize('case', BAD)
def test_bad_input_is_one_line(case, at, capsys):
    files, command, words = BAD[case]
    for entry in filter(None, files.split(' ') if files.count('=') > 1
                        else [files]):
        path, _, content = entry.partition('=')
        os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
        with open(path, 'w') as file:
            file.write(content)
    assert main(at(command.split())) == 2
    complaint = capsys.readouterr().err
    lines = complaint.strip().split('\n')
    assert len(lines) == 1 and lines[0].startswith('ram: ')
    assert words in lines[0] and 'Traceback' not in complaint


@pytest.mark.parametrize('command', [
    '', 'trian', 'train', 'train @/c.yaml --sede 3', 'train @/c.yaml --seed x',
    'train @/c.yaml --see 3', 'evaluate @/run/best.npz --samples 0',
    'evaluate @/run/best.npz --policy best', 'data', 'data fecth',
    'render @/run/best.npz --examples -1', 'render @/run/best.npz --indices',
    'render @/run/best.npz --examples 2 --indices 1',
    'inspect @/run/best.npz --grid 0'])
def test_bad_flags_end_with_2(command, at, capsys):
    with pytest.raises(SystemExit) as ended:
        main(at(command.split()))
    assert ended.value.code == 2
    assert 'usage: ram' in capsys.readouterr().err


def test_debug_shows_where(tmp_path):
    def run(*more):
        return subprocess.run(
            [sys.executable, '-m', 'ram', 'evaluate', 'nothing.npz', *more],
            cwd=tmp_path, capture_output=True, text=True)

    plain, debug = run(), run('--debug')
    assert plain.returncode == 2
    assert plain.stderr.count('\n') == 1 and not plain.stdout
    assert 'Traceback' in debug.stderr


def test_problems_are_told_all_at_once(at, tmp_path, capsys):
    (tmp_path / 'c.yaml').write_text(
        'model: {glimpses: 0, core: gru}\ndata: {canvas: 60}')
    assert main(['train', 'c.yaml']) == 2
    lines = capsys.readouterr().err.strip().split('\n')
    assert len(lines) == 3 and all('c.yaml: ' in line for line in lines)
    assert not (tmp_path / 'runs').exists()


@pytest.mark.parametrize('command, limit', [
    *((f'train @/c.yaml --out {size}', size)
      for size in (100, 1500, 4000, 9000, 14000, 20000)),
    ('render @/run/best.npz --out look.gif', 2000),
    ('render @/run/best.npz --out look.png', 2000),
    ('evaluate @/run/best.npz --json e.json', 100),
    ('data preview @/c.yaml --out seen.png', 2000)])
def test_a_full_disk_is_one_line(command, limit, at):
    """No file may grow beyond the limit: each kind meets it somewhere."""
    read, write = os.pipe()

    def run():
        sys.stdout, sys.stderr = open(os.devnull, 'w'), open(write, 'w')
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        sys.exit(main(at(command.split())))

    process = multiprocessing.get_context('fork').Process(target=run)
    process.start()
    os.close(write)
    with open(read) as printed:
        lines = printed.read().strip().split('\n')
    process.join()
    assert process.exitcode == 2 and len(lines) == 1, lines
    assert lines[0].startswith('ram: ') and 'cannot be written' in lines[0]
    for folder, _, names in os.walk('.'):
        for name in names:
            path = os.path.join(folder, name)
            # What is there is whole, and nothing half-written is.
            assert not name.endswith('.part')
            if name.endswith('.npz'):
                read_arrays(path, 'snapshot' if 'snapshot' in name
                            else 'checkpoint')
            elif name in ('log', 'versions.json'):
                with open(path) as file:
                    json.load(file)
