"""Classes of image files, without labels."""

import csv
import json
import os
import shutil

import numpy
import pytest
from PIL import Image
from training_runs import make_config, train

import ram
from ram import visualizations
from ram.commands.main import main
from ram.data.synthetic import make_digits

pytestmark = pytest.mark.usefixtures('no_figures')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A trained network, and digits as files."""
    path = tmp_path_factory.mktemp('predict')
    train(make_config({'epochs': 2}), path / 'run')
    digits, _ = make_digits(4, 0, 'test')
    (path / 'images' / 'deep').mkdir(parents=True)
    for i, digit in enumerate(digits):
        where = path / 'images' / ('deep' if i == 3 else '.')
        Image.fromarray(digit).save(where / f'{i}.png')
    (path / 'images' / 'notes.txt').write_text('x')
    return path


def test_an_image_is_not_overwritten(folder, tmp_path, capsys):
    image = tmp_path / '0.png'
    shutil.copy(folder / 'images' / '0.png', image)
    before = image.read_bytes()
    assert main(['predict', str(folder / 'run' / 'best.npz'), str(image),
                 '--render', str(image)]) == 2
    assert f'{image}: is read' in capsys.readouterr().err
    assert image.read_bytes() == before


def test_predict_says_what_python_says(folder, tmp_path, capsys):
    best = str(folder / 'run' / 'best.npz')
    names = [str(folder / 'images' / '0.png'), str(folder / 'images')]
    out = {kind: str(tmp_path / f'x.{kind}') for kind in ('csv', 'json', 'png')}
    assert main(['predict', best, *names, '--csv', out['csv'], '--json',
                 out['json'], '--render', out['png']]) == 0
    *lines, last = capsys.readouterr().out.strip().split('\n')
    assert last == 'written: ' + ' '.join(out.values())
    digits, _ = make_digits(4, 0, 'test')
    want = ram.load(best).predict(digits[[0, 0, 1, 2, 3]])
    with open(out['json']) as file:
        rows = json.load(file)
    with open(out['csv'], newline='') as file:
        table = list(csv.DictReader(file))
    assert len(lines) == len(rows) == len(table) == 5
    assert rows[4]['image'] == str(folder / 'images' / 'deep' / '3.png')
    for i, (line, row, cells) in enumerate(zip(lines, rows, table)):
        name = want.names[i]
        share = want.probabilities[i, -1].max()
        assert row['prediction'] == cells['prediction'] == name
        assert row['probability'] == pytest.approx(share, abs=1e-6)
        assert row['locations'] == pytest.approx(want.locations[i])
        assert f'  {name}  {100 * share:.1f} %  (' in line
    with Image.open(out['png']) as picture:
        assert picture.width > 300


def test_a_name_that_is_no_text_is_shown(folder, tmp_path, capsys):
    name = os.fsdecode(os.path.join(os.fsencode(tmp_path), b'\xe9.png'))
    shutil.copy(folder / 'images' / '0.png', name)
    csv_file = str(tmp_path / 'x.csv')
    assert main(['predict', str(folder / 'run' / 'best.npz'), name, '--csv',
                 csv_file]) == 0
    shown = str(tmp_path / '\ufffd.png')
    assert shown in capsys.readouterr().out
    with open(csv_file, encoding='utf-8') as file:
        assert shown in file.read()


def test_predict_draws_the_names_of_the_files(folder, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(visualizations, 'save_trajectories',
                        lambda path, trajectories, *rest: drawn.extend(
                            t.name for t in trajectories))
    assert main(['predict', str(folder / 'run' / 'best.npz'),
                 str(folder / 'images'), '--render', 'x.png']) == 0
    assert drawn == ['0.png', '1.png', '2.png', '3.png']


def test_predict_scales_and_converts(folder, tmp_path, capsys):
    digit = Image.open(folder / 'images' / '1.png')
    large = digit.resize((112, 112), Image.Resampling.NEAREST).convert('RGB')
    large.save(tmp_path / 'large.png')
    best = str(folder / 'run' / 'best.npz')
    classes = []
    for path in (folder / 'images' / '1.png', tmp_path / 'large.png'):
        assert main(['predict', best, str(path), '--json',
                     str(tmp_path / 'x.json')]) == 0
        with open(tmp_path / 'x.json') as file:
            classes.append(json.load(file)[0])
    assert classes[0]['prediction'] == classes[1]['prediction']
    assert classes[0]['probability'] == pytest.approx(
        classes[1]['probability'], abs=0.1)


def test_predict_takes_images_as_large_as_a_canvas(tmp_path, capsys):
    config = make_config({'epochs': 1}, variant='translated', canvas=[40, 50])
    train(config, tmp_path / 'run')
    canvas = numpy.zeros((40, 50), 'uint8')
    canvas[10:30, 20:40] = 255
    Image.fromarray(canvas).save(tmp_path / 'c.png')
    best = str(tmp_path / 'run' / 'best.npz')
    assert main(['predict', best, str(tmp_path / 'c.png'), '--json',
                 str(tmp_path / 'x.json')]) == 0
    with open(tmp_path / 'x.json') as file:
        row, = json.load(file)
    want = ram.load(best).predict(canvas)
    assert row['locations'] == pytest.approx(want.locations[0])
    assert row['probability'] == pytest.approx(
        want.probabilities[0, -1].max(), abs=1e-6)


def test_what_cannot_be_predicted_is_refused(folder, tmp_path, capsys):
    best = str(folder / 'run' / 'best.npz')
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'bad.png').write_text('x')
    for path, problem in (('none.png', 'none.png'),
                          ('empty', 'empty: holds no image'),
                          ('bad.png', 'bad.png')):
        assert main(['predict', best, str(tmp_path / path)]) == 2
        captured = capsys.readouterr()
        assert problem in captured.err and captured.err.count('\n') == 1
        assert not captured.out
