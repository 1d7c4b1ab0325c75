"""A player through the command line: trained, resumed, measured, shown."""

import json
import os

import numpy
import pytest
from PIL import Image

from ram.checkpoint import load_checkpoint
from ram.commands.main import main as ram
from ram.data.splits import fixed_canvases, load_splits
from ram.evaluation.evaluate import evaluation_streams
from ram.evaluation.play import play

CATCH = '''
data: {name: catch, image_size: [6, 6], classes: 3, train_images: 300,
       validation: 60, test_images: 40}
model: {glimpses: 5, glimpse_size: 2, scales: 2, coarse: sum, what_units: 8,
        where_units: 4, glimpse_units: 8, core_units: 8, location_units: 0}
training: {epochs: 3, batch_size: 40, entropy_weight: 0.01}
'''


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp('catch')
    (folder / 'catch.yaml').write_text(CATCH)
    assert ram(['train', str(folder / 'catch.yaml'), '--out',
                str(folder / 'run')]) == 0
    return folder


def log_of(folder):
    with open(folder / 'log') as file:
        return [{key: value for key, value in entry.items()
                 if key != 'elapsed_time'} for entry in json.load(file)]


def test_training_reports_and_saves_what_it_does_for_images(trained):
    files = set(os.listdir(trained / 'run'))
    assert {'config.yaml', 'versions.json', 'log', 'loss.png', 'error.png',
            'best.npz', 'last.npz', 'snapshot.npz'} <= files
    log = log_of(trained / 'run')
    assert [entry['epoch'] for entry in log] == [1, 2, 3]
    for entry in log:
        assert entry['main/error'] == pytest.approx(
            100 * (1 - entry['main/accuracy']))
        assert 0 < entry['main/entropy'] <= numpy.log(3) + 1e-6
        assert 0 <= entry['validation/main/error'] <= 100
    with open(trained / 'run' / 'versions.json') as file:
        assert json.load(file)['engine'].startswith('links')


@pytest.mark.parametrize('option, value', [
    ('--csv', 'games.csv'), ('--samples', '10'), ('--canvas-seeds', '2')])
def test_options_of_images_are_refused(trained, capsys, option, value):
    assert ram(['evaluate', str(trained / 'run' / 'best.npz'), option,
                value]) == 2
    assert capsys.readouterr().err.startswith(f'ram: {option}: is for')


def test_a_resumed_training_ends_as_one_without_a_stop(trained, tmp_path):
    config = str(trained / 'catch.yaml')
    assert ram(['train', config, '--out', str(tmp_path / 'again'), '--set',
                'training.schedule=constant']) == 0
    assert ram(['train', config, '--out', str(tmp_path / 'parts'), '--set',
                'training.schedule=constant', 'training.epochs=1']) == 0
    assert ram(['train', config, '--out', str(tmp_path / 'parts'),
                '--resume', '--set', 'training.schedule=constant']) == 0
    assert log_of(tmp_path / 'parts') == log_of(tmp_path / 'again')


def test_evaluate_gives_the_share_of_both_policies(trained, capsys):
    best, out = str(trained / 'run' / 'best.npz'), str(trained / 'e.json')
    assert ram(['evaluate', best, '--json', out]) == 0
    printed = capsys.readouterr().out
    with open(out) as file:
        result = json.load(file)
    for policy in ('mean', 'sample'):
        low, high = result[policy]['interval']
        assert low < result[policy]['caught'] < high
        assert (f'caught {result[policy]["caught"]:.2f} % [{low:.2f}, '
                f'{high:.2f}] (95 % Wilson interval) of 40 balls, policy '
                f'{policy}') in printed
    assert ram(['evaluate', best, '--split', 'validation', '--policy',
                'mean']) == 0
    printed = capsys.readouterr().out
    error = min(entry['validation/main/error']
                for entry in log_of(trained / 'run'))
    assert f'caught {100 - error:.2f} %' in printed
    assert 'policy sample' not in printed


def test_render_shows_every_step(trained, capsys):
    best, out = str(trained / 'run' / 'best.npz'), str(trained / 'look.gif')
    assert ram(['render', best, '--out', out, '--examples', '7']) == 0
    assert f'written: {out}' in capsys.readouterr().out
    film = Image.open(out)
    frames = []
    for i in range(film.n_frames):
        film.seek(i)
        frames.append(numpy.asarray(film.convert('RGB')))
    # Six games, then the seventh alone: five steps and the end of each.
    assert len(frames) == 12
    assert all((a != b).any() for a, b in zip(frames, frames[1:]))
    assert ram(['render', best, '--out', out, '--indices', '40']) == 2
    assert 'there are 40 test games; the last is 39' in capsys.readouterr().err
    for name in ('x.mp4', 'x%02d.png'):
        assert ram(['render', best, '--out', str(trained / name)]) == 2
        assert f'{name}: unknown format' in capsys.readouterr().err


def test_a_game_by_its_index_is_that_of_all(trained):
    loaded = load_checkpoint(str(trained / 'run' / 'best.npz'))
    model, data = loaded.model, loaded.config.data
    model.first_location = 'random'
    starts = fixed_canvases(data, load_splits(data), 'test').images
    whole, some = (play(model, starts, evaluation_streams(data, 'test'),
                        indices=indices) for indices in (None, [31, 3]))
    numpy.testing.assert_allclose(some.locations,
                                  whole.locations[:, [31, 3]], atol=1e-6)
    assert (some.balls == whole.balls[:, [31, 3]]).all()


def test_inspect_compares_gazes(trained, capsys):
    best, out = str(trained / 'run' / 'best.npz'), trained / 'inspected'
    assert ram(['inspect', best, '--out', str(out)]) == 0
    assert 'gaze random: caught ' in capsys.readouterr().out
    with open(out / 'inspect.json') as file:
        found = json.load(file)
    assert set(found['caught']) == {'learned', 'random', 'center'}
    for gaze in found['distance'].values():
        assert len(gaze['caught']) == len(gaze['missed']) == 5
        assert 0 < gaze['mean'] < 9
    assert Image.open(out / 'gaze.png').size[0] > 500


def test_verify_plays_the_validation_games_again(trained, capsys):
    assert ram(['verify', str(trained / 'run')]) == 0
    assert 'validation error on 60 images' in capsys.readouterr().out


def test_preview_draws_first_screens(trained, capsys):
    out = str(trained / 'seen.png')
    for split in ('train', 'test'):
        assert ram(['data', 'preview', str(trained / 'catch.yaml'), '--out',
                    out, '--examples', '9', '--split', split]) == 0
        assert f'written: {out}' in capsys.readouterr().out
        assert Image.open(out).size[0] > 100


def test_a_player_classifies_no_images(trained, tmp_path, capsys):
    Image.new('L', (6, 6)).save(tmp_path / 'x.png')
    assert ram(['predict', str(trained / 'run' / 'best.npz'),
                str(tmp_path / 'x.png')]) == 2
    assert 'plays a game and classifies no images' in capsys.readouterr().err
