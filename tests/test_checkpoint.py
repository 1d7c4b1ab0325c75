import glob
import hashlib
import json
import os
import struct
import zipfile

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ram
from ram import checkpoint
from ram.config import config_from_dict, load_config
from ram.data.mnist import data_root
from ram.data.splits import fixed_canvases, load_splits
from ram.errors import RamError
from ram.evaluation.evaluate import evaluate, evaluation_streams
from ram.files import replacing
from ram.models.build import build_network
from ram.random_streams import make_streams

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

CONFIG = config_from_dict({'model': {
    'what_units': 4, 'where_units': 3, 'glimpse_units': 5, 'core_units': 6,
    'location_units': 2}}, 'test')
METRICS = {'epoch': 3, 'iteration': 20, 'validation_error': 1.5}


@pytest.fixture
def saved(tmp_path):
    model = build_network(CONFIG, make_streams(5)['weights'])
    path = str(tmp_path / 'best.npz')
    checkpoint.save_checkpoint(path, model, CONFIG, METRICS)
    return path, model


def problem_of(call, *args):
    with pytest.raises(RamError) as caught:
        call(*args)
    return str(caught.value)


def test_round_trip(saved):
    path, model = saved
    loaded = checkpoint.load_checkpoint(path)
    assert loaded.config == CONFIG and loaded.metrics == METRICS
    params = dict(loaded.model.namedparams())
    for name, param in model.namedparams():
        assert param.array.tobytes() == params[name].array.tobytes()
    with numpy.load(path, allow_pickle=False) as npz:
        assert all(npz[name].dtype != object for name in npz.files)


def test_the_home_folder_is_found(saved, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    loaded = checkpoint.load_checkpoint('~/best.npz')
    assert loaded.path == saved[0] and loaded.metrics == METRICS


def test_permissions_are_those_of_any_file(saved):
    umask = os.umask(0o022)
    os.umask(umask)
    assert os.stat(saved[0]).st_mode & 0o777 == 0o666 & ~umask


def edit(path, change):
    """Writes the archive anew with its entries changed, checksum and all."""
    with numpy.load(path) as npz:
        entries = {name: npz[name] for name in npz.files}
    header = json.loads(str(entries.pop('ram.json')))
    change(entries, header)
    header.setdefault('checksum', checkpoint._checksum(entries))
    numpy.savez(path, **{'ram.json': numpy.array(json.dumps(header))},
                **entries)


def honest(change):
    def both(entries, header):
        change(entries, header)
        del header['checksum']
    return both


def nan(entries, header):
    entries['core/linear/W'][2, 2] = numpy.nan


EDITS = {
    'newer': (lambda e, h: h.update(format=99), 'newer version (format 99'),
    'snapshot': (lambda e, h: h.update(kind='ram snapshot'),
                 "a 'ram snapshot', not a checkpoint"),
    'weights altered': (lambda e, h: e['core/linear/b'].fill(7), 'checksum'),
    'NaN': (honest(nan), 'core/linear/W: holds NaN'),
    'shape': (honest(lambda e, h: e.update(
        {'core/linear/b': numpy.zeros(3, 'float32')})),
        'core/linear/b: has shape (3,), not (24,)'),
    'dtype': (honest(lambda e, h: e.update(
        {'core/linear/b': numpy.zeros(24)})), 'is float64, not float32'),
    'missing': (honest(lambda e, h: e.pop('core/linear/b')),
                'core/linear/b: is missing'),
    'extra': (honest(lambda e, h: e.update(other=numpy.zeros(2))),
              'other: has no place'),
    'other network': (lambda e, h: h['meta']['config']['model'].update(
        core='rnn'), 'core/linear/W: has shape'),
    'as many weights': (honest(lambda e, h: e.update(
        {'core/linear/W': e['core/linear/W'].T})), 'core/linear/W: has shape'),
    'unknown key': (lambda e, h: h['meta']['config']['model'].update(
        colour=1), 'model.colour: no such key'),
    'no configuration': (lambda e, h: h['meta'].pop('config'),
                         'no configuration'),
    'no header': (lambda e, h: h.clear(), 'not a checkpoint'),
    'billions of weights': (
        lambda e, h: h['meta']['config']['model'].update(core_units=10 ** 6),
        'weights are more than'),
    'millions of weights': (
        lambda e, h: h['meta']['config']['model'].update(core_units=5000),
        'but its configuration describes 10')}


@pytest.mark.parametrize('case', EDITS)
def test_what_does_not_fit_is_named(saved, case):
    change, words = EDITS[case]
    edit(saved[0], change)
    problem = problem_of(checkpoint.load_checkpoint, saved[0])
    assert words in problem
    assert all(line.startswith(saved[0]) for line in problem.split('\n'))


def member(content):
    """Puts what is no array in the place of one."""
    def change(path):
        with zipfile.ZipFile(path) as old:
            members = {name: old.read(name) for name in old.namelist()}
        with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as new:
            for name, held in members.items():
                new.writestr(
                    name, content if name == 'core/linear/W.npy' else held)
    return change


def header(shape, dtype='<f4'):
    text = repr({'descr': dtype, 'fortran_order': False, 'shape': shape})
    return b'\x93NUMPY\1\0' + struct.pack('<H', len(text)) + text.encode()


# What the fuzzer (scripts/checks/fuzz.py) found, and what it was not to find.
@pytest.mark.parametrize('content, words', [
    (b'no header', 'core/linear/W is not an array'),
    (header((2 ** 70,)), 'too large'), (header((2 ** 40,)), ''),
    (header((-1,)), ''), (header('(' * 9), ''),
    (header((4,), '<f4').replace(b"'<f4'", b'"(((("'), ''),
    (header((1, 0)) + b'\0' * 2 ** 27, 'would inflate from')])
def test_members_that_no_numpy_wrote(saved, content, words):
    member(content)(saved[0])
    problem = problem_of(checkpoint.load_checkpoint, saved[0])
    assert problem.startswith(saved[0]) and words in problem


@pytest.mark.parametrize('share', [0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_truncated(saved, share):
    with open(saved[0], 'rb') as file:
        content = file.read()
    with open(saved[0], 'wb') as file:
        file.write(content[:int(share * len(content))])
    assert saved[0] in problem_of(checkpoint.load_checkpoint, saved[0])


def test_flipped_bits(saved):
    path, model = saved
    with open(path, 'rb') as file:
        content = file.read()
    rng = numpy.random.default_rng(0)
    refused = 0
    for place in rng.integers(len(content), size=150):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        with open(path, 'wb') as file:
            file.write(damaged)
        try:
            loaded = checkpoint.load_checkpoint(path)
        except RamError as error:
            refused += 1
            assert path in str(error)
            continue
        # Harmless: a time stamp, say. The weights are the very ones.
        params = dict(loaded.model.namedparams())
        for name, param in model.namedparams():
            assert param.array.tobytes() == params[name].array.tobytes()
    assert refused > 100


@settings(max_examples=150, deadline=None)
@given(data=st.data(), cut=st.integers(0, 300), pasted=st.binary(max_size=60))
def test_any_splice_is_harmless_or_named(tmp_path_factory, data, cut, pasted):
    path = str(tmp_path_factory.mktemp('splice') / 'x.npz')
    model = build_network(CONFIG, make_streams(5)['weights'])
    checkpoint.save_checkpoint(path, model, CONFIG, METRICS)
    with open(path, 'rb') as file:
        content = file.read()
    place = data.draw(st.integers(0, len(content)))
    with open(path, 'wb') as file:
        file.write(content[:place] + pasted + content[place + cut:])
    try:
        loaded = checkpoint.load_checkpoint(path)
    except RamError as error:
        assert path in str(error)
    else:
        params = dict(loaded.model.namedparams())
        for name, param in model.namedparams():
            assert param.array.tobytes() == params[name].array.tobytes()


@pytest.mark.parametrize('make', [
    lambda path: open(path, 'w').write('text'),
    lambda path: open(path, 'w').close(),
    lambda path: numpy.savez(path, a=numpy.zeros(3)),
    lambda path: numpy.save(open(path, 'wb'), numpy.zeros(3)),
    lambda path: numpy.savez(path, **{'ram.json': numpy.array(
        [{}], dtype=object)}),
    lambda path: zipfile.ZipFile(path, 'w').close(),
    os.mkdir, lambda path: None])
def test_what_is_no_checkpoint_is_named(tmp_path, make):
    path = str(tmp_path / 'x.npz')
    make(path)
    problem = problem_of(checkpoint.load_checkpoint, path)
    assert problem.startswith(path) and ';' in problem


def test_a_failed_write_leaves_the_old_file(saved, tmp_path):
    with open(saved[0], 'rb') as file:
        before = file.read()
    with pytest.raises(ZeroDivisionError):
        with replacing(saved[0]) as file:
            file.write(b'half')
            1 / 0
    with open(saved[0], 'rb') as file:
        assert file.read() == before
    assert os.listdir(tmp_path) == ['best.npz']


def test_a_folder_that_cannot_be_written_is_named(saved):
    path = os.path.join(saved[0], 'x.npz')  # below a file
    problem = problem_of(checkpoint.save_checkpoint, path, saved[1], CONFIG,
                         METRICS)
    assert path in problem and 'cannot be written' in problem


def test_unknown_pretrained_network_lists_the_known():
    problem = problem_of(checkpoint.load_checkpoint, 'pretrained:nothing')
    assert 'pretrained:nothing' in problem and 'there are' in problem


@pytest.mark.parametrize('task', ['mnist', 'translated', 'cluttered', 'wide'])
def test_a_task_names_the_network_of_its_configuration(task):
    config = load_config(os.path.join(TOP, 'configs', f'{task}.yaml'))
    loaded = checkpoint.load_checkpoint(f'pretrained:{task}').config
    assert loaded.model == config.model and loaded.data == config.data


CARDS = sorted(glob.glob(os.path.join(checkpoint.PRETRAINED, '*.json')))


def test_every_pretrained_network_has_a_card():
    names = [path[:-len('.json')] for path in CARDS]
    assert names == sorted(path[:-len('.npz')] for path in glob.glob(
        os.path.join(checkpoint.PRETRAINED, '*.npz')))
    assert {'mnist-6', 'translated-6', 'cluttered-6', 'wide-6'} <= set(
        map(os.path.basename, names))


@pytest.mark.parametrize('path', CARDS, ids=os.path.basename)
def test_a_card_is_that_of_its_network_and_of_its_record(path):
    with open(path) as file:
        card = json.load(file)
    with open(path[:-len('json')] + 'npz', 'rb') as file:
        assert hashlib.sha256(file.read()).hexdigest() == card['sha256']
    loaded = checkpoint.load_checkpoint(f'pretrained:{card["row"]}')
    assert loaded.metrics['validation_error'] == card['validation_error'] < 50
    assert loaded.config.data.root is None
    assert loaded.config.training.seed == card['seed']
    with open(os.path.join(TOP, 'media', 'results',
                           f'{card["row"]}-{card["seed"]}.json')) as file:
        record = json.load(file)
    for key in ('error', 'interval', 'n', 'epoch', 'command', 'commit',
                'validation_error'):
        assert card[key] == record[key], key


@pytest.mark.skipif(
    not glob.glob(os.path.join(data_root(), 'mnist', 't10k-labels*')),
    reason='no MNIST at RAM_DATA_ROOT')
def test_the_pretrained_network_is_as_good_as_it_is_said_to_be():
    loaded = checkpoint.load_checkpoint('pretrained:mnist-6')
    data = loaded.config.data
    images, labels, _ = fixed_canvases(data, load_splits(data), 'test')
    result = evaluate(loaded.model, images, labels,
                      evaluation_streams(data, 'test'))
    assert result.n == 10000 and result.error <= 1.2


def test_a_checkpoint_of_version_0_1_0_is_read():
    model = ram.load(os.path.join(TOP, 'tests', 'checkpoints',
                                  'version-0.1.0.npz'))
    assert model.config.training.reward == 'correct'  # 'right' in the file
    assert model.config.training.threads == 2
    assert model.metrics['validation_error'] == 50.0
    images = numpy.arange(360).reshape(3, 12, 10) % 7 / 7
    result = model.predict(images.astype('float32'))
    # What version 0.1.0 gave.
    assert result.classes.tolist() == [1, 1, 1]
    numpy.testing.assert_allclose(result.probabilities[:, -1], [
        [0.10406, 0.68919, 0.10170, 0.10505],
        [0.10162, 0.69138, 0.13243, 0.07456],
        [0.07730, 0.78154, 0.04984, 0.09132]], atol=2e-5)
    numpy.testing.assert_allclose(result.locations, [
        [[6.709, 4.125], [0.401, 11.533], [0.069, 11.822]],
        [[9.278, 11.368], [2.21, 8.418], [0.152, 11.498]],
        [[2.772, 8.98], [0.02, 11.947], [0.023, 11.899]]], atol=2e-3)
