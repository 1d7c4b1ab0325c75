import glob
import os

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import pytest
import yaml

from ram.config import build_config
from ram.config import Config
from ram.config import config_from_dict
from ram.config import load_config
from ram.config import reference
from ram.config import SECTIONS
from ram.errors import RamError
from ram.ram import build_ram
from ram.streams import make_streams

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHIPPED = sorted(glob.glob(os.path.join(TOP, 'configs', '**', '*.yaml'),
                           recursive=True))


def write(folder, text, name='c.yaml'):
    path = folder / name
    path.write_text(text, encoding='utf-8')
    return str(path)


def problems_of(call, *args):
    with pytest.raises(RamError) as caught:
        call(*args)
    assert all('\n' not in line for line in caught.value.problems)
    return caught.value.problems


@pytest.mark.parametrize('path', SHIPPED, ids=os.path.basename)
def test_shipped_configurations_load(path):
    config = load_config(path)
    assert config_from_dict(config.as_dict(), path) == config


def test_an_empty_file_is_all_defaults(tmp_path):
    assert load_config(write(tmp_path, '')) == Config()


def test_round_trip_by_yaml(tmp_path):
    config = load_config(write(tmp_path, '''
data: {variant: cluttered, canvas: [60, 80], clutter: 9}
model: {scales: 3, std: 1e-2, policy: frozen}
training: {schedule: step, step_epochs: [3, 5], clip: null}
'''))
    assert config.model.std == 0.01 and config.data.canvas == (60, 80)
    again = load_config(write(tmp_path, config.to_yaml(), 'again.yaml'))
    assert again == config


def test_extends_and_overrides(tmp_path):
    (tmp_path / 'deep').mkdir()
    write(tmp_path, 'model: {glimpses: 2, scales: 2}\ntraining: {epochs: 7}')
    write(tmp_path / 'deep', 'extends: ../c.yaml\nmodel: {glimpses: 3}',
          'b.yaml')
    path = write(tmp_path / 'deep', 'extends: b.yaml\ndata: {canvas: 40, '
                 'variant: translated}', 'a.yaml')
    config = load_config(path, ['training.epochs=9', 'data.canvas=[50, 40]'])
    assert (config.model.glimpses, config.model.scales) == (3, 2)
    assert config.training.epochs == 9
    assert config.data.canvas_size == (50, 40)
    assert config.model.patch_sizes == (8, 16)


def test_extending_in_a_circle_is_told(tmp_path):
    write(tmp_path, 'extends: b.yaml', 'a.yaml')
    write(tmp_path, 'extends: a.yaml', 'b.yaml')
    problem, = problems_of(load_config, str(tmp_path / 'a.yaml'))
    assert 'comes back to itself' in problem


def test_all_problems_at_once_each_with_its_origin(tmp_path):
    write(tmp_path, 'model: {glimpes: 4, glimpse_size: 90}', 'base.yaml')
    path = write(tmp_path, '''
extends: base.yaml
modle: {scales: 2}
data: {variant: cluterd, classes: "10"}
training: {epochs: 0, learning_rate: .inf, clip: yes}
''')
    lines = problems_of(load_config, path, ['model.scales=0', 'model.std'])
    expected = [
        (path, 'modle: no such section; did you mean model?'),
        ('base.yaml', 'model.glimpes: no such key; did you mean glimpses?'),
        (path, 'data.variant: must be one of original, translated, cluttered '
               '(did you mean cluttered?)'),
        (path, "data.classes: must be a whole number, not '10'"),
        (path, 'training.epochs: must be at least 1, not 0'),
        (path, 'training.learning_rate: must be a finite number'),
        (path, 'training.clip: must be a number, not True'),
        ('--set', 'model.scales: must be at least 1, not 0'),
        ('--set model.std', 'must be section.key=value')]
    for origin, words in expected:
        assert any(origin in line and words in line for line in lines), words
    assert len(lines) == len(expected)


IMPOSSIBLE = {
    'model: {scales: 3, scale_factor: 1}': 'model.scale_factor',
    'model: {glimpse_size: 29}': 'model.glimpse_size',
    'model: {scales: 4}': 'model.scales',
    'data: {canvas: 60}': 'data.canvas',
    'data: {variant: translated}': 'data.canvas',
    'data: {variant: translated, canvas: [60, 27]}': 'data.canvas',
    'data: {variant: cluttered, canvas: 60, clutter_size: 29}':
        'data.clutter_size',
    'data: {file: x.npz}': 'data.file',
    'data: {name: npz}': 'data.file',
    'data: {name: synthetic, channels: 3}': 'data.name',
    'data: {channels: 3}': 'data.channels',
    'data: {train_images: 5000}': 'data.validation',
    'training: {schedule: step}': 'training.step_epochs',
    'training: {schedule: step, step_epochs: [5, 3]}': 'training.step_epochs',
    'training: {schedule: step, step_epochs: [90]}': 'training.step_epochs'}


@pytest.mark.parametrize('text', IMPOSSIBLE)
def test_impossible_combinations(tmp_path, text):
    path = write(tmp_path, text)
    problem, = problems_of(load_config, path)
    assert problem.startswith(f'{path}: {IMPOSSIBLE[text]}: ')


def test_a_combination_is_not_judged_by_a_bad_value(tmp_path):
    problem, = problems_of(
        load_config, write(tmp_path, 'model: {scales: 3, scale_factor: 0}'))
    assert 'at least 1' in problem


BAD_FILES = {
    'a list': '- 1\n- 2', 'a word': 'model', 'a section of a word':
    'model: 3', 'no yaml': 'model: [1', 'a key twice':
    'model: {scales: 1, scales: 2}', 'an alias': 'a: &x [1]\nmodel: *x',
    'code': 'model: !!python/object/apply:os.getcwd []',
    'a number as key': '3: 4', 'deep': '[' * 100000,
    'a date that is none': 'model: {std: 2020-13-45}',
    'a control character': 'model: \x07', 'extends a list': 'extends: [a]',
    'extends nothing': 'extends: nothing.yaml'}


@pytest.mark.parametrize('case', BAD_FILES)
def test_bad_files_are_named(tmp_path, case):
    path = write(tmp_path, BAD_FILES[case])
    assert all(str(tmp_path) in line for line in problems_of(
        load_config, path))


def test_files_that_cannot_be_read(tmp_path):
    binary = tmp_path / 'b'
    binary.write_bytes(b'\xff\xfe\x00model')
    huge = tmp_path / 'h'
    huge.write_text('# ' + 'x' * (10 ** 6 + 9))
    for path in (tmp_path, tmp_path / 'nothing', binary, huge, 'a\0b'):
        problem, = problems_of(load_config, str(path))
        assert str(path) in problem


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(
        max_size=8), lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=4), inner, max_size=2), max_leaves=5)
_KEYS = st.sampled_from(
    [f'{s}.{k}' for s in SECTIONS
     for k in Config.model_fields[s].annotation.model_fields]
    + ['model.x', 'x.y', 'extends'])


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_KEYS, _VALUES, max_size=6))
def test_any_values_give_a_configuration_or_problems(values):
    try:
        config = build_config(values, dict.fromkeys(values, 'here'))
    except RamError as error:
        assert error.problems and all('here' in p for p in error.problems)
    else:
        assert config_from_dict(config.as_dict(), 'again') == config


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(SECTIONS + ('extends', 'odd')),
                       _VALUES, max_size=4))
def test_any_yaml_gives_a_configuration_or_problems(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp('yaml') / 'c.yaml'
    path.write_text(yaml.safe_dump(tree, allow_unicode=True),
                    encoding='utf-8')
    try:
        load_config(str(path))
    except RamError as error:
        assert error.problems


def test_the_same_yaml_is_the_same_network(tmp_path):
    path = write(tmp_path, 'model: {scales: 2, core: rnn}\n'
                           'data: {channels: 3, name: npz, file: x}')
    one, two = (build_ram(load_config(path), make_streams(4)['weights'])
                for _ in range(2))
    params = dict(two.namedparams())
    for name, param in one.namedparams():
        assert param.array.tobytes() == params[name].array.tobytes()
    assert one.glimpse.what.W.shape == (128, 2 * 3 * 64)


def test_the_reference_has_every_key():
    text = reference()
    for section in SECTIONS:
        for key in Config.model_fields[section].annotation.model_fields:
            assert f'| `{key}` |' in text


def test_the_readme_shows_the_reference():
    with open(os.path.join(TOP, 'README.md'), encoding='utf-8') as file:
        assert reference().strip() in file.read()
