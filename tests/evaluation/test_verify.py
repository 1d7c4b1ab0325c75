import json

import numpy
import pytest
import yaml
from training_runs import make_config, train

from ram import checkpoint
from ram.commands.main import main


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp('verify')
    train(make_config({'epochs': 2}, {'core': 'rnn'}), folder / 'run')
    return folder / 'run'


@pytest.fixture
def kept(trained):
    """The run folder, whose files are put back afterwards."""
    names = ('best.npz', 'config.yaml', 'log')
    before = {name: (trained / name).read_bytes() for name in names}
    yield trained
    for name, content in before.items():
        (trained / name).write_bytes(content)


def run_verify(folder, capsys):
    status = main(['verify', str(folder)])
    captured = capsys.readouterr()
    return status, captured.out + captured.err


def test_verify_agrees_with_an_unchanged_run(kept, capsys):
    status, text = run_verify(kept, capsys)
    assert status == 0 and text.count('agrees') == 3
    assert text.endswith(': verified\n')


def test_verify_detects_other_weights(kept, capsys):
    loaded = checkpoint.load_checkpoint(str(kept / 'best.npz'))
    for param in loaded.model.action.params():
        param.array[...] = numpy.random.default_rng(0).random(param.shape)
    checkpoint.save_checkpoint(str(kept / 'best.npz'), loaded.model,
                               loaded.config, loaded.metrics)
    status, text = run_verify(kept, capsys)
    assert status == 1 and text.count('DIFFERS') == 1
    assert 'validation error on 100 images' in text


def test_verify_detects_another_log(kept, capsys):
    entries = json.loads((kept / 'log').read_text())
    for entry in entries:
        entry['validation/main/error'] += 1
    (kept / 'log').write_text(json.dumps(entries))
    status, text = run_verify(kept, capsys)
    assert status == 1 and text.count('DIFFERS') == 1 and 'log ' in text


def test_verify_ignores_keys_that_resume_may_change(kept, capsys):
    path = kept / 'config.yaml'
    text = path.read_text()
    for old, new in (('epochs: 2', 'epochs: 9'),
                     ('snapshot_minutes: ', 'snapshot_minutes: 7 # '),
                     ('learning_rate: ', 'learning_rate: 0.5 # ')):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    status, text = run_verify(kept, capsys)
    assert status == 0 and 'config.yaml; the same: agrees' in text


def test_verify_detects_another_configuration(kept, capsys):
    path = kept / 'config.yaml'
    path.write_text(path.read_text().replace('std: 0.1', 'std: 0.2'))
    status, text = run_verify(kept, capsys)
    assert status == 1
    assert 'best.npz: config.yaml; another model.std: DIFFERS' in text


@pytest.mark.parametrize('name, content, words', [
    ('log', b'[{', 'log: cannot be read'),
    ('log', b'[3]', 'log: cannot be read'),
    ('best.npz', b'PK', 'damaged'), ('config.yaml', b'{', 'not valid YAML')])
def test_verify_names_damaged_files(kept, capsys, name, content, words):
    (kept / name).write_bytes(content)
    status, text = run_verify(kept, capsys)
    assert status == 2 and text.count('\n') == 1
    assert str(kept / name) in text and words in text


def test_verify_measures_the_images_of_the_network(kept, tmp_path, capsys):
    numpy.savez(tmp_path / 'colour.npz', labels=numpy.arange(300) % 10,
                images=numpy.zeros((300, 28, 28, 3), 'uint8'))
    config = make_config({'epochs': 2}, {'core': 'rnn'}).as_dict()
    config['data'].update(name='npz', file=str(tmp_path / 'colour.npz'),
                          channels=3, train_images=None)
    (kept / 'config.yaml').write_text(yaml.safe_dump(config))
    status, text = run_verify(kept, capsys)
    assert status == 1 and text.count('DIFFERS') == 1
    assert 'another data.name, ' in text


def test_verify_refuses_a_folder_without_a_run(tmp_path, capsys):
    status, text = run_verify(tmp_path / 'none', capsys)
    assert status == 2 and 'no such folder' in text
    status, text = run_verify(tmp_path, capsys)
    assert status == 2 and 'best.npz: no such file' in text


def test_verify_measures_a_pretrained_network_again(
        trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(checkpoint, 'PRETRAINED', str(tmp_path))
    best = checkpoint.load_checkpoint(str(trained / 'best.npz'))
    (tmp_path / 'mine.npz').write_bytes((trained / 'best.npz').read_bytes())
    assert main(['evaluate', 'pretrained:mine', '--json',
                 str(tmp_path / 'e.json')]) == 0
    test = json.loads((tmp_path / 'e.json').read_text())['error']
    for error, status in ((test, 0), (test + 1, 1)):
        (tmp_path / 'mine.json').write_text(json.dumps({
            'error': error,
            'validation_error': best.metrics['validation_error']}))
        capsys.readouterr()
        assert main(['verify', 'pretrained:mine']) == status
        text = capsys.readouterr().out
        assert text.count('agrees') == 2 - status
        assert 'validation error on 100 images' in text
        assert 'test error on 50 images' in text
    (tmp_path / 'mine.json').write_text('{')
    assert main(['verify', 'pretrained:mine']) == 2
    assert 'mine.json: cannot be read' in capsys.readouterr().err
