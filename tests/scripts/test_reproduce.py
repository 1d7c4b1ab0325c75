"""Reproducing the table, on rows of a minute less."""

import json
import math
import os
import signal
import sys

import pytest

from ram.commands.main import main as ram
from ram.evaluation.evaluate import wilson_interval

TOY = '''
data: {name: synthetic, train_images: 300, validation: 100, test_images: 60}
model: {glimpses: 2, core: rnn, core_units: 8}
training: {epochs: 2, batch_size: 32}
'''


@pytest.fixture
def reproduce(tmp_path, monkeypatch, load_script):
    """The script with three rows of its own; call it with arguments."""
    script = load_script('reproduce')
    (tmp_path / 'toy.yaml').write_text(TOY)
    (tmp_path / 'after.yaml').write_text(
        'extends: toy.yaml\nmodel: {glimpses: 3}\n'
        'training: {start_from: pretrained:toy}')
    (tmp_path / 'broken.yaml').write_text(
        'extends: toy.yaml\ntraining: {batch_size: 250}')
    rows = [script.Row('toy', script._MNIST, 'RAM, 2 glimpses', 50.0, 60.0),
            script.Row('after', script._MNIST, 'RAM, 3 glimpses', 100.0),
            script.Row('broken', script._WIDE, 'RAM')]
    monkeypatch.setattr(script, 'ROWS', rows)
    monkeypatch.setattr(script, 'NAMES', [row.name for row in rows])
    monkeypatch.setattr(script, 'CONFIGS', str(tmp_path))
    monkeypatch.setattr(script, 'RESULTS', str(tmp_path / 'results'))
    before = {number: signal.getsignal(number)
              for number in (signal.SIGINT, signal.SIGTERM)}

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', [
            'reproduce.py', *arguments, '--runs', str(tmp_path / 'runs'),
            '--every', '0.1'])
        return script.main()

    call.script, call.folder = script, tmp_path
    yield call
    for number, handler in before.items():
        signal.signal(number, handler)


def record(reproduce, name):
    with open(reproduce.folder / 'results' / f'{name}.json') as file:
        return json.load(file)


def test_rows_are_trained_once_and_in_their_order(reproduce, capsys):
    assert reproduce('after') == 0
    first, second = record(reproduce, 'toy-1'), record(reproduce, 'after-1')
    assert 'test error' in capsys.readouterr().out
    assert len(first['curve']) == first['epochs'] == 2
    assert first['validation_error'] == min(first['curve'])
    # The second went on from the weights of the first.
    best = str(reproduce.folder / 'runs' / 'toy-1' / 'best.npz')
    with open(reproduce.folder / 'runs' / 'after-1' / 'config.yaml') as file:
        assert best in file.read()
    # A record says what ram evaluate says of the checkpoint.
    out = str(reproduce.folder / 'e.json')
    assert ram(['evaluate', str(reproduce.folder / 'runs' / 'after-1' /
                                'best.npz'), '--json', out]) == 0
    with open(out) as file:
        assert json.load(file)['error'] == second['error']
    stamp = os.stat(best).st_mtime_ns
    capsys.readouterr()
    assert reproduce('toy', 'after') == 0
    assert os.stat(best).st_mtime_ns == stamp
    assert 'epoch' not in capsys.readouterr().out


def test_a_row_that_fails_is_told_and_the_others_go_on(reproduce, capsys):
    assert reproduce('broken', 'toy', '--jobs', '1') == 1
    told = capsys.readouterr().out
    assert 'broken-1: ended with status 2; see ' in told
    assert record(reproduce, 'toy-1')['n'] == 60
    assert not os.path.exists(reproduce.folder / 'results' / 'broken-1.json')


def test_a_run_of_another_configuration_is_not_recorded(reproduce, capsys):
    assert reproduce('toy') == 0
    os.unlink(reproduce.folder / 'results' / 'toy-1.json')
    (reproduce.folder / 'toy.yaml').write_text(TOY + 'evaluation: {every: 2}')
    assert reproduce('toy') == 2
    assert 'was trained with another configuration' in (
        capsys.readouterr().err)


def test_unknown_rows_are_named(reproduce, capsys):
    assert reproduce('mnist-9') == 2
    assert 'mnist-9: no such row; known are toy, after' in (
        capsys.readouterr().err)


def put(reproduce, name, seed, error):
    os.makedirs(reproduce.folder / 'results', exist_ok=True)
    with open(reproduce.folder / 'results' / f'{name}-{seed}.json',
              'w') as file:
        json.dump({'row': name, 'seed': seed, 'error': error, 'n': 1000,
                   'epochs': 5, 'minutes': 3.0}, file)


def test_the_table_says_what_the_records_say(reproduce):
    put(reproduce, 'toy', 1, 40.0)
    for seed, error in ((2, 4.0), (1, 2.0), (3, 3.0)):
        put(reproduce, 'after', seed, error)
    lines = reproduce.script.table().split('\n')
    low, high = (100 * b for b in wilson_interval(400, 1000))
    assert (f'| 50.00 | 60.00 | **40.00** | [{low:.2f}, {high:.2f}] | 1 | 5 '
            '| 3 | `toy` |') in lines[2]
    # Standard deviation 1, of three.
    assert (f'| 100.00 |  | **3.00** | ± {1 / math.sqrt(3):.2f} | 3 |'
            in lines[3])
    assert 'not yet' in lines[4]
    picture = str(reproduce.folder / 'table.png')
    reproduce.script.draw(picture)
    assert os.path.getsize(picture) > 5000


def test_the_claims_are_drawn_from_few_records(
        reproduce, monkeypatch, load_script):
    script = load_script('reproduce')  # with the rows of the paper
    monkeypatch.setattr(script, 'RESULTS', str(reproduce.folder / 'results'))
    for name, error in (('cluttered-4', 40.0), ('cluttered-conv', 60.0),
                        ('wide-random', 70.0)):
        put(reproduce, name, 1, error)
    picture = str(reproduce.folder / 'claims.png')
    script.draw_claims(picture)
    assert os.path.getsize(picture) > 5000
