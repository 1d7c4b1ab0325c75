import glob
import os

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from training_runs import TOP

from ram.config import (
    SECTIONS,
    Config,
    build_config,
    config_from_dict,
    differences,
    files,
    load_config,
    reference,
)
from ram.errors import RamError
from ram.models.build import build_network
from ram.random_streams import make_streams

SHIPPED = sorted(glob.glob(os.path.join(TOP, 'configs', '**', '*.yaml'),
                           recursive=True))


def write(folder, text, name='c.yaml'):
    path = folder / name
    path.write_text(text, encoding='utf-8')
    return str(path)


def problems_of(call, *args):
    with pytest.raises(RamError) as caught:
        call(*args)
    assert all(line.isprintable() for line in caught.value.problems)
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


def test_extends_finds_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    write(tmp_path, 'model: {glimpses: 3}', 'base.yaml')
    path = write(tmp_path, 'extends: ~/base.yaml', 'own.yaml')
    assert load_config(path).model.glimpses == 3


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
    assert problem.startswith(str(tmp_path / 'b.yaml') + ': extends: ')
    assert 'extends itself' in problem
    own = write(tmp_path, 'extends: own.yaml', 'own.yaml')
    assert 'extends itself' in problems_of(load_config, own)[0]


@pytest.mark.parametrize('base', ['nothing.yaml', '.', '""', '"a\\0b"', 'bin'])
def test_what_cannot_be_extended_is_named_with_who_extends_it(tmp_path, base):
    (tmp_path / 'bin').write_bytes(b'\xff\xfe')
    middle = write(tmp_path, f'extends: {base}', 'middle.yaml')
    path = write(tmp_path, f'extends: {middle}')
    problem, = problems_of(load_config, path)
    assert problem.startswith(f'{middle}: extends: ')


def test_every_origin_of_a_chain_is_the_file_that_says_it(tmp_path):
    a = write(tmp_path, 'model: {std: 0, scales: 3, core: gru}', 'a.yaml')
    b = write(tmp_path, 'extends: a.yaml\nmodel: {scale_factor: 1}\n'
              'training: {epochs: x}', 'b.yaml')
    c = write(tmp_path, 'extends: b.yaml\nmodel: {core: rnn}\n'
              'training: {epochs: 1.5}', 'c.yaml')
    starts = [f'{a}: model.std: must be above 0',
              f'{b}: model.scale_factor: 3 scales with factor 1',
              f'{c}: training.epochs: must be a whole number, not 1.5']
    lines = problems_of(load_config, c)
    assert len(lines) == 3
    assert all(any(line.startswith(s) for line in lines) for s in starts)


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
    'data: {variant: translated, canvas: 60, shift: 2}': 'data.shift',
    'data: {shift: 28}': 'data.shift',
    'data: {variant: translated, canvas: [60, 27]}': 'data.canvas',
    'data: {variant: cluttered, canvas: 60, clutter_size: 29}':
        'data.clutter_size',
    'data: {file: x.npz}': 'data.file',
    'data: {name: npz}': 'data.file',
    'data: {name: folder}': 'data.folder',
    'data: {folder: x}': 'data.folder',
    'data: {name: npz, file: x, resize: true}': 'data.resize',
    'data: {name: folder, folder: x, channels: 4}': 'data.channels',
    'data: {classes: 3, class_names: [a, b]}': 'data.classes',
    'data: {classes: 3, class_names: [a, b, a]}': 'data.class_names',
    'data: {name: synthetic, channels: 3}': 'data.name',
    'data: {channels: 3}': 'data.channels',
    'data: {name: catch, image_size: 24, classes: 3}': 'model.glimpses',
    'data: {name: catch, image_size: 7}\nmodel: {glimpse_size: 4}':
        'data.classes',
    'data: {name: catch, image_size: 7, classes: 3, ball_speed: 7}\n'
    'model: {glimpse_size: 4}':
        'data.ball_speed',
    'data: {name: catch, image_size: 7, classes: 3, warp: 0.1}\n'
    'model: {glimpse_size: 4}': 'data.warp',
    'data: {name: catch, image_size: 7, classes: 3}\n'
    'model: {glimpse_size: 4}\ntraining: {reward: probability}':
        'training.reward',
    'data: {name: catch, image_size: 28, classes: 3}\n'
    'model: {network: fc, glimpses: 27}': 'model.network',
    'data: {train_images: 5000}': 'data.validation',
    'model: {location_network: a.B, location_squash: none}':
        'model.location_squash',
    'training: {schedule: step}': 'training.step_epochs',
    'training: {schedule: step, step_epochs: [5, 3]}': 'training.step_epochs',
    'training: {schedule: step, step_epochs: [90]}': 'training.step_epochs'}


@pytest.mark.parametrize('text', IMPOSSIBLE)
def test_impossible_combinations(tmp_path, text):
    path = write(tmp_path, text)
    problem, = problems_of(load_config, path)
    assert problem.startswith(f'{path}: {IMPOSSIBLE[text]}: ')


def test_an_impossible_combination_by_override_is_told_as_such(tmp_path):
    path = write(tmp_path, 'model: {scale_factor: 1}')
    problem, = problems_of(load_config, path, ['model.scales=2'])
    assert problem.startswith(f'{path}: model.scale_factor: ')
    problem, = problems_of(load_config, write(tmp_path, ''),
                           ['model.glimpse_size=29'])
    assert problem.startswith('--set: model.glimpse_size: ')


RANGES = {
    'data.channels': ([1], [0, 65, True]), 'data.classes': ([2], [1, 0]),
    'data.image_size': (
        [28, [30, 40]], [0, [28], [28, 28, 1], '28', [28, .5]]),
    'data.resize': ([False], [0, 'yes', None, [28, 28]]),
    'data.class_names': (
        [None, list('abcdefghij')], [[], 'ab', [1, 2], [''], ['x' * 101],
                                     ['a\nb'], ['\x1b[2J'], {'a': 1}]),
    'data.clutter': ([1, 1000], [0, 1001]), 'data.validation': ([1], [0, -5]),
    'data.seed': ([0, 2 ** 63 - 1], [-1, 2 ** 63]),
    'data.train_images': ([None, 5001], [0, True, 1e4]),
    'data.name': (
        ['mnist', 'K-MNIST_2.0'], ['', '../x', 'a/b', '.x', 'é', 3]),
    'model.glimpses': ([1, 100], [0, 101, 2.0, '2', None, True]),
    'model.scales': ([1, 3], [0, 11]), 'model.scale_factor': ([2, 8], [0, 9]),
    'model.core_units': ([1, 5000], [0, 10 ** 6 + 1]),
    'model.location_units': ([0], [-1]),
    'model.std': ([1e-9, 10, 1], [0, -1, 10.1, float('nan'), '1e-3']),
    'model.core': (['rnn', 'my.GRU'], ['RNN', 'gru', 1, None, 'a.b c']),
    'model.glimpse_network': (
        ['ram.links.GlimpseNetwork', 'a.b_2.C', '_a.B'],
        ['a', '.a', 'a.', 'a..b', 'a.2', 'a.b\n', 'a.b:c', '../a.b', '']),
    'model.location_network': (['a.B'], ['lstm', 1]),
    'model.action_network': (['a.B'], [None]),
    'model.baseline_network': (['a.B'], [['a.B']]),
    'training.learning_rate': ([1e-6, 100], [0, 101, 10 ** 400]),
    'training.momentum': ([0, 0.99], [1, -0.1]),
    'training.average': ([0, 0.999], [1, -0.1]),
    'training.clip': ([None, 0.1], [0, -1, float('inf')]),
    'training.step_epochs': ([[], [3]], [3, [0], ['a'], [1.5], None]),
    'training.reinforce_reaches_core': ([True], [1, 'yes', None]),
    'training.first_entropy_weight': ([None, 0, 0.02], [-1, 'x']),
    'training.first_std': ([None, 0.3], [0, -1, 11, '0.1']),
    'training.start_from': ([None, 'pretrained:mnist-6'], [3, ['a']]),
    'training.threads': ([1, 256], [0, 257]),
    'training.snapshot_minutes': ([None, 0.5, 10], [0, -1, 'x']),
    'evaluation.every': ([1, 7], [0, None, 1.5]),
    'evaluation.samples': ([1, 1000], [0, 1001]),
    'evaluation.policy': (['sample'], ['max'])}


@pytest.mark.parametrize('key', RANGES)
def test_ranges_and_types(key):
    good, bad = RANGES[key]
    for value in good:
        build_config({key: value}, {key: 'here'})
    for value in bad:
        problem, = problems_of(build_config, {key: value}, {key: 'here'})
        assert problem.startswith(f'here: {key}: must be ')
        assert 'not ' in problem


def test_no_key_takes_keys():
    for section in SECTIONS:
        for key in Config.model_fields[section].annotation.model_fields:
            dotted = f'{section}.{key}'
            problem, = problems_of(build_config, {dotted: {'a': 1}},
                                   {dotted: 'here'})
            assert problem.startswith(f'here: {dotted}: must be ')


@pytest.mark.parametrize('text, value', [
    ('1e-3', 1e-3), ('1E-3', 1e-3), ('1.e-3', 1e-3), ('.5', .5), ('+.5', .5),
    ('5e-1', .5), ('1', 1), ('+1', 1), ('0.10', .1)])
def test_numbers_are_read_as_they_are_meant(tmp_path, text, value):
    config = load_config(write(tmp_path, f'model: {{std: {text}}}'))
    assert config.model.std == value
    assert load_config(write(tmp_path, ''),
                       [f'model.std={text}']).model.std == value


@pytest.mark.parametrize('text', ['010', '1:30', '0x1f', '0b11', '1_0', '1O'])
def test_numbers_in_disguise_are_refused(tmp_path, text):
    problem, = problems_of(load_config, write(
        tmp_path, f'model: {{glimpses: {text}}}'))
    assert problem.endswith(f'must be a whole number, not {text!r}')


@pytest.mark.parametrize('name', [
    '1e3', '010', '.5', '1_0', '0x1f', '1:30', 'yes', '~', 'null', '-', '1.',
    '.inf', 'a: b', '# c', 'ünï', 'a\nb', '2024-01-01', '"', "'"])
def test_text_is_written_as_text(tmp_path, name):
    config = build_config({'data.name': 'npz', 'data.file': name}, {})
    path = tmp_path / 'c.yaml'
    path.write_text(config.to_yaml(), encoding='ascii')
    assert load_config(str(path)) == config


@pytest.mark.parametrize('override', [
    'model.std', '=3', 'model=3', 'a.b.c=3', 'extends=x.yaml', ''])
def test_overrides_that_are_none(tmp_path, override):
    problem, = problems_of(load_config, write(tmp_path, ''), [override])
    assert problem.startswith(f'--set {override}: must be section.key=value')


@pytest.mark.parametrize('override, words', [
    ('model.=3', 'model.: no such key'), ('.x=3', 'no such section'),
    ('model.std=', 'must be a number, not None'), ('model.std=[', '--set model'
     '.std, line 1: not valid YAML'), ('model.std=*x', 'alias'),
    ('model.std=!!float 1', 'tag'), ('mo\ndel.x=3', 'did you mean model?'),
    ('model.\udcff=3', 'no such key'), ('modle.std=1', 'did you mean model?'),
    ('model.st=1', 'did you mean std?')])
def test_bad_overrides(tmp_path, override, words):
    problem, = problems_of(load_config, write(tmp_path, ''), [override])
    assert problem.startswith('--set') and words in problem


def test_the_last_of_equal_overrides_counts(tmp_path):
    config = load_config(write(tmp_path, 'model: {std: oops}'),
                         ['model.std=0.2', 'model.std=0.3'])
    assert config.model.std == 0.3


def test_a_combination_is_not_judged_by_a_bad_value(tmp_path):
    problem, = problems_of(
        load_config, write(tmp_path, 'model: {scales: 3, scale_factor: 0}'))
    assert 'at least 1' in problem


BAD_FILES = {
    'a list': '- 1\n- 2', 'a word': 'model', 'a section of a word':
    'model: 3', 'no yaml': 'model: [1', 'a key twice':
    'model: {scales: 1, scales: 2}', 'an alias': 'a: &x [1]\nmodel: *x',
    'code': 'model: !!python/object/apply:os.getcwd []',
    'an empty number': 'model: {std: !!int ""}',
    'no boolean': 'model: {std: !!bool "x"}',
    'no date': 'model: {std: !!timestamp "x"}',
    'no mapping': 'model: !!map [a]', 'a set': 'model: !!set {a, b}',
    'two documents': 'model: {}\n---\nmodel: {}',
    'a merge key': 'model: {<<: {scales: 2}}',
    'a line break in a key': '"mo\\ndel": {}',
    'a line break in a key below': 'model: {"sca\\nles": 2}',
    'half a letter as key': 'model: {"\\ud800": 2, scales: 2}',
    'a huge number': 'model: {scales: ' + '9' * 5000 + '}',
    'a huge hexadecimal': 'model: {scales: 0x' + 'f' * 5000 + '}',
    'a huge section': 'model: 0x' + 'f' * 5000,
    'a tab': 'model:\n\tscales: 2', 'a key of keys': '? {a: 1}\n: 2',
    'extends itself': 'extends: c.yaml', 'an empty extends': 'extends:',
    'a number as key': '3: 4', 'deep': '[' * 100000,
    'deep below': 'model: ' + '{a: ' * 5000,
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
        assert str(path).replace('\0', '\\x00') in problem


def test_keys_without_a_configuration_in_a_checkpoint():
    lines = problems_of(config_from_dict, {
        'model': {'\ud800': 1, 'a\nb': 1, 'scales': 0}, 'x\ty': {}}, 'f.npz')
    assert len(lines) == 4
    assert all(line.startswith('f.npz: ') for line in lines)
    assert any('model.scales: must be at least 1' in line for line in lines)


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


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries({
    'network': st.sampled_from(['ram', 'ram', 'fc', 'conv']),
    'core': st.sampled_from(['lstm', 'rnn']),
    # The widest patch is 20 pixels, twice the smallest image.
    'scales': st.integers(1, 3), 'glimpse_size': st.integers(1, 5),
    'location_units': st.integers(0, 5), **{
        f'{name}units': st.integers(1, 9) for name in (
            '', 'what_', 'where_', 'glimpse_', 'core_')}}),
    st.tuples(st.integers(10, 40), st.integers(10, 40)),
    st.integers(1, 4), st.integers(2, 12))
def test_the_weights_are_as_many_as_was_said(model, size, channels, classes):
    config = config_from_dict({'model': model, 'data': {
        'name': 'npz', 'file': 'x', 'image_size': list(size),
        'channels': channels, 'classes': classes}}, 'test')
    network = build_network(config, make_streams(0)['weights'])
    assert config.parameters == sum(
        param.size for param in network.params())


def test_networks_beyond_memory_are_refused(tmp_path):
    path = write(tmp_path, 'model: {core_units: 1000000}')
    problem, = problems_of(load_config, path)
    assert 'c.yaml: model: 4001' in problem and 'narrower' in problem


def test_the_same_yaml_is_the_same_network(tmp_path):
    path = write(tmp_path, 'model: {scales: 2, core: rnn}\n'
                           'data: {channels: 3, name: npz, file: x}')
    one, two = (build_network(load_config(path), make_streams(4)['weights'])
                for _ in range(2))
    params = dict(two.namedparams())
    for name, param in one.namedparams():
        assert param.array.tobytes() == params[name].array.tobytes()
    assert one.glimpse.what.W.shape == (128, 2 * 3 * 64)


@pytest.mark.parametrize('path', SHIPPED, ids=os.path.basename)
def test_a_shipped_configuration_is_one_network(tmp_path, path):
    config = load_config(path)
    again = load_config(write(tmp_path, config.to_yaml()))
    one, two = (dict(build_network(c, make_streams(7)['weights']).namedparams())
                for c in (config, again))
    assert one.keys() == two.keys()
    for name in one:
        assert one[name].shape == two[name].shape
        assert one[name].array.tobytes() == two[name].array.tobytes()


def test_the_reference_has_every_key():
    text = reference()
    for section in SECTIONS:
        for key in Config.model_fields[section].annotation.model_fields:
            assert f'| `{key}` |' in text


def test_the_readme_shows_the_reference():
    with open(os.path.join(TOP, 'configs', 'README.md'),
              encoding='utf-8') as file:
        assert reference().strip() in file.read()


@pytest.mark.parametrize('text', ['off', "'off'", 'auto'])
def test_off_is_a_word_in_the_configuration(tmp_path, text):
    (tmp_path / 'c.yaml').write_text(f'training: {{cuda_graph: {text}}}')
    config = load_config(str(tmp_path / 'c.yaml'))
    assert config.training.cuda_graph == text.strip("'")
    (tmp_path / 'again.yaml').write_text(config.to_yaml())
    assert load_config(str(tmp_path / 'again.yaml')) == config
    assert load_config(str(tmp_path / 'c.yaml'), [
        'training.cuda_graph=off']).training.cuda_graph == 'off'


def test_a_configuration_of_the_program_is_found(tmp_path, monkeypatch,
                                                 capsys):
    shipped = tmp_path / 'package'
    (shipped / 'paper').mkdir(parents=True)
    (shipped / 'base.yaml').write_text('training: {epochs: 7}')
    (shipped / 'paper' / 'row.yaml').write_text('extends: ../base.yaml')
    monkeypatch.setattr(files, 'SHIPPED', (str(tmp_path / 'no'),
                                           str(shipped)))
    monkeypatch.chdir(tmp_path)
    path = os.path.join('configs', 'paper', 'row.yaml')
    assert load_config(path).training.epochs == 7
    line = capsys.readouterr().err
    assert line.count('\n') == 1 and str(shipped) in line
    # A file of that path comes first.
    os.makedirs('configs/paper')
    with open(path, 'w') as file:
        file.write('training: {epochs: 9}')
    assert load_config(path).training.epochs == 9
    assert not capsys.readouterr().err
    # A file elsewhere may extend it, by the same name.
    os.rename(path, 'mine.yaml')
    (tmp_path / 'mine.yaml').write_text('extends: configs/base.yaml')
    assert load_config('mine.yaml').training.epochs == 7
    line = capsys.readouterr().err
    assert line.count('\n') == 1 and str(shipped) in line
    problem, = problems_of(load_config, 'configs/none.yaml')
    assert problem == ('configs/none.yaml: cannot be read: No such file or '
                       'directory; there are configs/{base}.yaml')


def test_differences_are_the_keys_that_differ():
    old = config_from_dict({'training': {'epochs': 3, 'threads': 2}}, 'old')
    new = config_from_dict({'model': {'std': 0.2}}, 'new')
    assert sorted(differences(old, new, ('training.threads',))) == [
        ('model.std', 0.1, 0.2), ('training.epochs', 3, 90)]
    assert not list(differences(new, new))


def test_the_old_word_for_the_reward_is_read():
    config = config_from_dict({'training': {'reward': 'right'}}, 'old')
    assert config.training.reward == 'correct'
    assert 'reward: correct' in config.to_yaml()
