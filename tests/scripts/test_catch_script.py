"""The table of Catch, from players of a minute less."""

import json

import pytest
from training_runs import make_config, train

from ram import checkpoint
from ram.commands.main import main as ram
from ram.data.splits import load_splits
from ram.games.catch import Catch

CATCH = dict(name='catch', image_size=[6, 6], classes=3, train_images=300,
             validation=60, test_images=200)


def player(policy='learned', **training):
    return make_config({'epochs': 1, **training}, {
        'glimpses': 5, 'glimpse_size': 2, 'policy': policy}, **CATCH)


@pytest.fixture
def catch(tmp_path, monkeypatch, load_script):
    """The script with a page and folders of its own; call it."""
    script = load_script('catch')
    (tmp_path / 'README.md').write_text('<!-- catch -->\n<!-- /catch -->\n')
    (tmp_path / 'catch.yaml').write_text(json.dumps(player().as_dict()))
    (tmp_path / 'results').mkdir()
    monkeypatch.setattr(script, 'PAGE', str(tmp_path / 'README.md'))
    monkeypatch.setattr(script, 'CONFIG', str(tmp_path / 'catch.yaml'))
    monkeypatch.setattr(script, 'PRETRAINED', str(tmp_path))
    monkeypatch.setattr(script.rows, 'RESULTS', str(tmp_path / 'results'))

    def call(*arguments):
        monkeypatch.setattr('sys.argv', ['catch.py', *map(str, arguments)])
        return script.main()

    call.script = script
    return call


def test_records_export_and_table(catch, tmp_path, monkeypatch, capsys):
    for policy in ('learned', 'random'):
        train(player(policy), tmp_path / policy)
    assert catch(tmp_path / 'learned', tmp_path / 'random', '--export',
                 '--table') == 0
    with open(tmp_path / 'results' / 'catch-1.json') as file:
        record = json.load(file)
    assert set(record['missed']) == {'learned', 'random', 'center'}
    assert ram(['evaluate', str(tmp_path / 'learned' / 'best.npz'), '--json',
                str(tmp_path / 'e.json')]) == 0
    with open(tmp_path / 'e.json') as file:
        caught = json.load(file)['mean']['caught']
    assert record['error'] == pytest.approx(100 - caught)
    assert record['games'] == 8 * 32  # batches of 32 from 240 games
    page = (tmp_path / 'README.md').read_text()
    assert f'| seed 1, trained with gaze learned | learned | {caught:.2f} [' \
        in page
    assert '| seed 1, trained with gaze random | at the centre | ' in page
    assert '| scripted: moves to where the ball lands | sees all | 100.0 ' \
        in page
    monkeypatch.setattr(checkpoint, 'PRETRAINED', str(tmp_path))
    assert ram(['verify', 'pretrained:catch']) == 0


def test_scripted_players_move_one_column_a_step(catch):
    config = player()
    game = Catch.of(config.data)
    start = game.start(load_splits(config.data).test.images)
    actions = catch.script.follow(game, start)
    for ball, paddle, action in zip(start.ball, start.paddle, actions):
        want = 0 if ball < paddle else 2 if ball > paddle + 1 else 1
        assert action == want


def test_other_folders_are_refused(catch, tmp_path, capsys):
    assert catch(tmp_path) == 2
    assert 'best.npz: no such file' in capsys.readouterr().err
    train(player(learning_rate=0.1), tmp_path / 'other')
    assert catch(tmp_path / 'other') == 2
    assert ('trained with training.learning_rate 0.1, and configs/catch.yaml '
            'has ' in capsys.readouterr().err)
    assert not list((tmp_path / 'results').iterdir())
