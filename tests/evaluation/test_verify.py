import json

import numpy
import pytest

from ram import checkpoint
from ram.commands.main import main

TEXT = """
data: {name: synthetic, train_images: 300, validation: 100, test_images: 50}
model: {glimpses: 2, core: rnn, core_units: 16, glimpse_units: 16}
training: {epochs: 2, batch_size: 50}
"""


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp('verify')
    (folder / 'c.yaml').write_text(TEXT)
    assert main(['train', str(folder / 'c.yaml'), '--out',
                 str(folder / 'run')]) == 0
    return folder / 'run'


@pytest.fixture
def kept(trained):
    """The run folder, whose files are put back afterwards."""
    names = ('best.npz', 'config.yaml', 'log')
    before = {name: (trained / name).read_bytes() for name in names}
    yield trained
    for name, content in before.items():
        (trained / name).write_bytes(content)


def verdict(folder, capsys):
    status = main(['verify', str(folder)])
    captured = capsys.readouterr()
    return status, captured.out + captured.err


def test_a_run_as_it_was_left(kept, capsys):
    status, text = verdict(kept, capsys)
    assert status == 0 and text.count('agrees') == 3
    assert text.endswith(': verified\n')


def test_other_weights(kept, capsys):
    loaded = checkpoint.load_checkpoint(str(kept / 'best.npz'))
    for param in loaded.model.action.params():
        param.array[...] = numpy.random.default_rng(0).random(param.shape)
    checkpoint.save_checkpoint(str(kept / 'best.npz'), loaded.model,
                               loaded.config, loaded.metrics)
    status, text = verdict(kept, capsys)
    assert status == 1 and text.count('DIFFERS') == 1
    assert 'validation error on 100 images' in text


def test_another_log(kept, capsys):
    entries = json.loads((kept / 'log').read_text())
    for entry in entries:
        entry['validation/main/error'] += 1
    (kept / 'log').write_text(json.dumps(entries))
    status, text = verdict(kept, capsys)
    assert status == 1 and text.count('DIFFERS') == 1 and 'log ' in text


def test_another_configuration(kept, capsys):
    path = kept / 'config.yaml'
    path.write_text(path.read_text().replace('std: 0.1', 'std: 0.2'))
    status, text = verdict(kept, capsys)
    assert status == 1 and 'configuration of best.npz' in text


@pytest.mark.parametrize('name, content, told', [
    ('log', b'[{', 'no log that can be read'),
    ('log', b'[3]', 'no log that can be read'),
    ('best.npz', b'PK', 'damaged'), ('config.yaml', b'{', 'not valid YAML')])
def test_damaged_files_are_named(kept, capsys, name, content, told):
    (kept / name).write_bytes(content)
    status, text = verdict(kept, capsys)
    assert status == 2 and text.count('\n') == 1
    assert str(kept / name) in text and told in text


def test_no_run(tmp_path, capsys):
    status, text = verdict(tmp_path / 'none', capsys)
    assert status == 2 and 'no such folder' in text
    status, text = verdict(tmp_path, capsys)
    assert status == 2 and 'best.npz: no such file' in text
