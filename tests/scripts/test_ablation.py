"""The ablation, on trainings of a second."""

import json
import os
import signal
import sys
import threading
import time

import pytest


@pytest.fixture
def ablation(tmp_path, monkeypatch, load_script):
    """The script with a recipe and a README of its own."""
    script = load_script('ablation')
    for folder in ('configs/paper', 'media/results'):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / 'configs' / 'paper' / 'toy.yaml').write_text(
        'data: {name: synthetic, train_images: 300, validation: 100, '
        'test_images: 60}\n'
        'model: {glimpses: 2, core: rnn, core_units: 8}\n'
        'training: {batch_size: 32}\n')
    monkeypatch.setattr(script, 'PAGE', 'README.md')
    (tmp_path / 'README.md').write_text(
        'before\n<!-- ablation toy -->\nold\n<!-- /ablation toy -->\nafter\n')
    monkeypatch.setattr(script, 'TOP', str(tmp_path))
    monkeypatch.setattr(script, 'EPOCHS', 2)
    monkeypatch.setattr(script, 'STUDIES', {'toy': {
        'as it is': [], 'a rate of 0.1': ['training.learning_rate=0.1']}})

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', [
            'ablation.py', 'toy', '--seeds', '2', '--runs',
            str(tmp_path / 'runs'), '--every', '0.1', *arguments])
        return script.main()

    return call


def test_every_change_is_trained_once_and_tabled(ablation, tmp_path, capsys):
    assert ablation('--jobs', '2') == 0
    with open(tmp_path / 'media/results/ablation-toy.json') as file:
        record = json.load(file)
    for row, name in zip(record['rows'], ('', 'learning_rate=0.1-')):
        curves = []
        for seed in (1, 2):
            with open(tmp_path / 'runs/toy' / f'{name}seed={seed}' / 'log') as file:
                curves.append([e['validation/main/error']
                               for e in json.load(file)])
        assert [len(curve) for curve in curves] == [2, 2]
        first, second = row['errors']
        assert [first, second] == [min(curve) for curve in curves]
        assert row['mean'] == pytest.approx((first + second) / 2)
        assert row['standard_error'] == pytest.approx(
            abs(first - second) / 2)
    with open(tmp_path / 'runs/toy' / 'learning_rate=0.1-seed=2' / 'config.yaml') as file:
        assert 'learning_rate: 0.1' in file.read()
    readme = (tmp_path / 'README.md').read_text()
    assert readme.startswith('before') and readme.endswith('after\n')
    assert 'old' not in readme and '| a rate of 0.1 | ' in readme
    stamp = os.stat(tmp_path / 'runs/toy' / 'seed=1' / 'last.npz').st_mtime_ns
    assert ablation() == 0  # nothing is left to train
    assert os.stat(tmp_path / 'runs/toy' / 'seed=1' /
                   'last.npz').st_mtime_ns == stamp
    config = tmp_path / 'configs' / 'paper' / 'toy.yaml'
    config.write_text(config.read_text().replace('core_units: 8',
                                                 'core_units: 9'))
    assert ablation() == 1
    assert ('trained with model.core_units 8, not 9; move the folder away'
            in capsys.readouterr().out)


def test_a_training_that_fails_is_named(ablation, tmp_path, capsys):
    assert ablation('--set', 'training.batch_size=9999') == 1
    printed = capsys.readouterr().out
    for name in ('as it is', 'a rate of 0.1'):
        assert f'{name}, seed 1: ended with status 2; see ' in printed
    assert not os.listdir(tmp_path / 'media/results')


def test_a_stopped_ablation_stops_its_trainings(ablation, tmp_path, capsys):
    folder = tmp_path / 'runs/toy/epochs=5000-seed=1'

    def stop():
        while not (folder / 'log').exists():
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop, daemon=True).start()
    assert ablation('--set', 'training.epochs=5000') == 128 + signal.SIGTERM
    assert 'the same command continues' in capsys.readouterr().out
    assert (folder / 'snapshot.npz').exists()
