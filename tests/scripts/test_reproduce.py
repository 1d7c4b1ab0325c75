"""Reproducing the table, on rows of a minute less."""

import json
import math
import os
import signal
import sys
import threading
import time
import types

import pytest
from training_runs import make_config

from ram.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ram.commands.main import main as ram
from ram.data.splits import fixed_canvases, load_splits
from ram.evaluation.evaluate import predict, wilson_interval
from ram.models.build import build_network
from ram.random_streams import make_streams

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
    (tmp_path / 'broken.yaml').write_text(
        'extends: toy.yaml\ntraining: {batch_size: 250}')
    rows = script.rows
    monkeypatch.setattr(rows, 'ROWS', [
        rows.Row('toy', rows.MNIST, 'RAM, 2 glimpses', 50.0, 60.0),
        rows.Row('after', rows.MNIST, 'RAM, 3 glimpses', 100.0),
        rows.Row('broken', rows.WIDE, 'RAM')])
    monkeypatch.setattr(rows, 'CONFIGS', str(tmp_path))
    monkeypatch.setattr(rows, 'RESULTS', str(tmp_path / 'results'))

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', [
            'reproduce.py', *arguments, '--runs', str(tmp_path / 'runs'),
            '--every', '0.1'])
        return script.main()

    call.script, call.folder = script, tmp_path
    return call


def record(reproduce, name):
    with open(reproduce.folder / 'results' / f'{name}.json') as file:
        return json.load(file)


def test_a_row_is_trained_once(reproduce, capsys):
    assert reproduce('toy', 'toy') == 0
    assert capsys.readouterr().out.count('toy-1: test error') == 1
    found = record(reproduce, 'toy-1')
    assert len(found['curve']) == found['epochs'] == 2
    assert found['validation_error'] == min(found['curve'])
    # A record says what ram evaluate says of the checkpoint.
    best = str(reproduce.folder / 'runs' / 'toy-1' / 'best.npz')
    out = str(reproduce.folder / 'e.json')
    assert ram(['evaluate', best, '--json', out]) == 0
    with open(out) as file:
        result = json.load(file)
    assert result['error'] == found['error'] and found['n'] == 60
    stamp = os.stat(best).st_mtime_ns
    capsys.readouterr()
    assert reproduce('toy') == 0
    assert os.stat(best).st_mtime_ns == stamp
    assert capsys.readouterr().out == (
        f'toy-1: has a record, {os.path.relpath(reproduce.folder)}'
        '/results/toy-1.json; move it away to train the row again\n')
    # Nor is a run of another configuration recorded.
    os.unlink(reproduce.folder / 'results' / 'toy-1.json')
    (reproduce.folder / 'toy.yaml').write_text(TOY + 'evaluation: {every: 2}')
    assert reproduce('toy') == 1
    assert 'was trained with another configuration' in (
        capsys.readouterr().out)


def test_runs_side_by_side_have_a_thread_each(reproduce, capsys, monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '2')
    assert reproduce('broken', 'toy', '--seeds', '2', '--jobs', '2') == 1
    printed = capsys.readouterr().out
    assert 'broken-1: ended with status 2; see ' in printed
    assert not os.path.exists(reproduce.folder / 'results' / 'broken-1.json')
    lines = printed.split('\n')
    for seed in (1, 2):
        found = record(reproduce, f'toy-{seed}')
        assert found['versions']['threads'] == '1'
        assert found['device'] == '@numpy' and found['tf32'] is False
        assert 'fused' in found['engine']
        assert sum(line.startswith(f'toy-{seed}: test error')
                   for line in lines) == 1
    # The progress of all is shown together.
    assert any([line[:5] for line in lines[i:i + 2]] == ['toy-1', 'toy-2']
               for i in range(len(lines)))


def test_a_stopped_training_saves_and_is_resumed(reproduce, capsys):
    (reproduce.folder / 'toy.yaml').write_text(
        TOY.replace('epochs: 2', 'epochs: 5000'))
    folder = reproduce.folder / 'runs' / 'toy-1'

    def stop():
        while not (folder / 'log').exists():
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop, daemon=True).start()
    assert reproduce('toy') == 128 + signal.SIGTERM
    assert 'the same command continues' in capsys.readouterr().out
    # It was told once: a second signal would have ended it at once.
    with open(reproduce.folder / 'runs' / 'toy-1.log') as file:
        assert 'stopped by a signal' in file.read()
    assert (folder / 'snapshot.npz').exists()


def test_runs_train_on_the_device_that_is_named(reproduce, capsys):
    assert reproduce('toy', '--device', '@cupy:99') == 1
    with open(reproduce.folder / 'runs' / 'toy-1.log') as file:
        assert '--device @cupy:99: not available' in file.read()


def test_progress_fits_the_terminal(load_script, monkeypatch, capsys):
    load_script('reproduce')
    from reproduction.trainings import show
    run = types.SimpleNamespace(progress=lambda: 'x' * 200)
    monkeypatch.setenv('COLUMNS', '40')
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: True, raising=False)
    assert show([run, run], 0, 3) == 3
    assert show([], 3) == 0
    assert capsys.readouterr().out == (
        f'{"x" * 40}\n{"x" * 40}\n3 more to train\n\033[3A\033[J')


def test_unknown_rows_are_refused(reproduce, capsys):
    assert reproduce('mnist-9') == 2
    assert 'mnist-9: no such row; known are toy, after' in (
        capsys.readouterr().err)


def put(folder, name, seed, error):
    os.makedirs(folder / 'results', exist_ok=True)
    with open(folder / 'results' / f'{name}-{seed}.json',
              'w') as file:
        json.dump({'row': name, 'seed': seed, 'error': error, 'n': 1000,
                   'epochs': 5, 'minutes': 3.0}, file)


def test_table_shows_the_records(reproduce):
    put(reproduce.folder, 'toy', 1, 40.0)
    for seed, error in ((2, 4.0), (1, 2.0), (3, 3.0)):
        put(reproduce.folder, 'after', seed, error)
    lines = reproduce.script.table().split('\n')
    low, high = (100 * b for b in wilson_interval(400, 1000))
    # z: 0.40 and 0.50 of 1000 each, pooled 0.45.
    z = -0.1 / math.sqrt(0.45 * 0.55 * 2 / 1000)
    assert (f'| 50.00 | 60.00 | **40.00** | [{low:.2f}, {high:.2f}] | '
            f'{z:.2f} |  |  | 1 | 5 | 3 | `toy` |') in lines[2]
    # Standard deviation 1, of three.
    assert (f'| 100.00 |  | **3.00** | ± {1 / math.sqrt(3):.2f} |'
            in lines[3])
    assert 'not yet' in lines[4]
    picture = str(reproduce.folder / 'table.png')
    reproduce.script.draw_results(picture)
    assert os.path.getsize(picture) > 5000


def test_claims_are_drawn_from_few_records(tmp_path, monkeypatch,
                                           load_script):
    script = load_script('reproduce')  # with the rows of the paper
    monkeypatch.setattr(script.rows, 'RESULTS', str(tmp_path / 'results'))
    for name, error in (('cluttered-4', 40.0), ('cluttered-conv', 60.0),
                        ('wide-random', 70.0)):
        put(tmp_path, name, 1, error)
    picture = str(tmp_path / 'claims.png')
    script.draw_claims(picture)
    assert os.path.getsize(picture) > 5000


def test_store_keeps_every_predicted_class(tmp_path, load_script):
    load_script('reproduce')
    from reproduction import export
    config = make_config(model={'std': 0.3})
    model = build_network(config, make_streams(1)['weights'])
    loaded = Checkpoint(model, config, {'validation_error': 5.0}, 'x')
    path = str(tmp_path / 'net.npz')
    bits = export.store(loaded, path, None)
    again = load_checkpoint(path)
    assert 10 <= bits < 23 and again.metrics == loaded.metrics
    splits = load_splits(config.data)
    images, _, _ = fixed_canvases(config.data, splits, 'validation')
    before, after = (predict(m, images, make_streams(2)).probabilities[-1]
                     for m in (model, again.model))
    assert (before.argmax(axis=1) == after.argmax(axis=1)).all()
    assert 0 < abs(before - after).max() < 1e-2
    plain = str(tmp_path / 'plain.npz')
    save_checkpoint(plain, model, config, {})
    assert os.path.getsize(path) < 0.7 * os.path.getsize(plain)
