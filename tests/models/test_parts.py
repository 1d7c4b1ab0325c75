"""Links of one's own by the configuration: found, checked, never by stealth."""

import os
import subprocess
import sys

import chainer
import numpy
import pytest

import ram
from ram import checkpoint
from ram.commands.main import main
from ram.config import PARTS, config_from_dict
from ram.links import GlimpseNetwork, GlimpseSensor
from ram.models.build import build_network
from ram.models.parts import make_part
from ram.random_streams import make_streams

MODULE = '''
import os
open('imported', 'a').close()

import chainer
import chainer.functions as F
import chainer.links as L
from chainer.initializers import LeCunNormal
from ram.links import *


class Twice(GlimpseNetwork):
    """The built-in one, twice as bright."""
    def forward(self, images, locations, table=None):
        return 2 * super().forward(images, locations, table)


class GRU(chainer.Chain):
    def __init__(self, in_units, units, rng):
        super().__init__()
        self.units = units
        with self.init_scope():
            self.gates = L.StatelessGRU(in_units, units, LeCunNormal(rng=rng),
                                        LeCunNormal(rng=rng))

    def initial_state(self, batch):
        return chainer.Variable(self.xp.zeros((batch, self.units), 'f')),

    def forward(self, state, g):
        return self.gates(state[0], g),


class Raises(GlimpseNetwork):
    def __init__(self, *args):
        raise ZeroDivisionError('of\\nno use')


class Narrow(GlimpseNetwork):
    def forward(self, *args):
        return super().forward(*args)[:, 1:]


class Blind(chainer.Chain):
    def __init__(self, sensor, channels, what, where, out, rng):
        super().__init__()


class Short(GlimpseNetwork):
    def __init__(self, sensor, channels):
        super().__init__(sensor, channels)


class Lazy(GlimpseNetwork):
    def __init__(self, *args):
        super().__init__(*args)
        with self.init_scope():
            self.more = L.Linear(None, 3)


class Unseeded(GlimpseNetwork):
    def __init__(self, *args):
        super().__init__(*args)
        with self.init_scope():
            self.more = L.Linear(3, 3)


class Normal(GlimpseNetwork):
    def __init__(self, *args):
        super().__init__(*args)
        with self.init_scope():
            self.normal = L.BatchNormalization(256)


class Action(ActionNetwork):
    def forward(self, h):
        return super().forward(h)[..., 1:]


class Baseline(BaselineNetwork):
    def forward(self, h):
        return super().forward(h)[..., None]


class Location(LocationNetwork):
    pass


def not_a_class():
    pass


class NotALink:
    pass
'''
CONFIG = '''
data: {name: synthetic, train_images: 300, validation: 100, test_images: 60}
model: {glimpses: 3, core: rnn, core_units: 16, what_units: 16, scales: 2}
training: {epochs: 1, batch_size: 32}
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, which holds a module of one's own, not imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', list(sys.path))
    (tmp_path / 'own_links.py').write_text(MODULE)
    (tmp_path / 'own_broken.py').write_text('import nothing_like_it')
    (tmp_path / 'own_ended.py').write_text('import sys; sys.exit(1)')
    (tmp_path / 'c.yaml').write_text(CONFIG)
    yield tmp_path
    for name in ('own_links', 'own_broken', 'own_ended'):
        sys.modules.pop(name, None)


def forget():
    """As a new process would be: nothing of one's own is imported."""
    sys.modules.pop('own_links')
    os.unlink('imported')


def train(**parts):
    return main(['train', 'c.yaml', '--out', 'run', '--set']
                + [f'model.{key}={name}' for key, name in parts.items()]
                + ['training.seed=1'])


def complaint(capsys):
    line, = capsys.readouterr().err.strip().split('\n')
    assert line.startswith('ram: ')
    return line


def test_every_name_of_the_configuration_is_a_link():
    rng = numpy.random.default_rng(0)
    sensor = GlimpseSensor(4)
    sizes = {'glimpse_network': (sensor, 1, 3, 3, 3), 'core': (3, 3),
             'location_network': (3, 3), 'action_network': (3, 3),
             'baseline_network': (3,)}
    assert sizes.keys() == PARTS.keys()
    for key, names in PARTS.items():
        for name in names:
            part = make_part(key, name, *sizes[key], rng)
            assert type(part).__module__.startswith('ram.links')


def test_train_load_evaluate_render(folder, capsys):
    assert train(glimpse_network='own_links.Twice',
                 location_network='own_links.Location') == 0
    assert capsys.readouterr().out.strip().endswith(
        'next: ram evaluate run/best.npz --import own_links')
    loaded = ram.load('run/best.npz')
    assert type(loaded.network.glimpse).__name__ == 'Twice'
    assert loaded.config.model.own_parts == {
        'glimpse_network': 'own_links.Twice',
        'location_network': 'own_links.Location'}
    images = numpy.random.default_rng(0).random((2, 1, 28, 28), 'float32')
    own, plain = loaded.network, build_network(
        config_from_dict({'model': dict(
            loaded.config.model.model_dump(), **{
                key: PARTS[key][0] for key in loaded.config.model.own_parts})},
            ''), make_streams(1)['weights'])
    plain.copyparams(own)
    noise = own.sample_noise(make_streams(0), 2)
    # Step by step, and not by the fused function of the built-in ones.
    assert (own(images, *noise).states.array
            != plain(images, *noise).states.array).any()
    for command in ('evaluate run/best.npz', 'verify run',
                    'render run/best.npz --out x.png --examples 1'):
        forget()
        assert main(command.split() + ['--import', 'own_links']) == 0


@pytest.mark.parametrize('command', [
    'evaluate run/best.npz', 'render run/best.npz', 'verify run'])
def test_a_checkpoint_imports_nothing(folder, capsys, command):
    assert train(glimpse_network='own_links.Twice') == 0
    forget()
    assert main(command.split()) == 2
    line = complaint(capsys)
    assert 'run/best.npz: model.glimpse_network: own_links.Twice: ' in line
    assert '--import own_links' in line
    assert not os.path.exists('imported') and 'own_links' not in sys.modules
    with pytest.raises(ram.RamError, match='import it before ram.load'):
        ram.load('run/best.npz')
    assert not os.path.exists('imported')


def test_nor_does_any_reading_of_a_configuration(folder):
    assert main(['data', 'preview', 'c.yaml', '--set',
                 'model.core=own_links.GRU']) == 0
    assert not os.path.exists('imported')


@pytest.mark.parametrize('name', [
    'os.system', 'subprocess.Popen', 'chainer.links.Linear',
    'chainer.links.CaffeFunction', 'ram.links.ActionNetwork',
    'ram.models.comparison.FullyConnected', 'ram.RamError', 'builtins.exec'])
@pytest.mark.parametrize('key', PARTS)
def test_what_is_imported_anyway_is_no_part(tmp_path, key, name):
    if name in PARTS[key]:
        return
    config = config_from_dict({}, '')
    network = build_network(config, make_streams(0)['weights'])
    path = str(tmp_path / 'x.npz')
    evil = config_from_dict({'model': {key: name}}, '')
    checkpoint.save_checkpoint(path, network, evil, {})
    with pytest.raises(ram.RamError) as caught:
        checkpoint.load_checkpoint(path)
    assert f'{path}: model.{key}: {name}: ' in str(caught.value)


def test_a_core_of_ones_own(folder):
    assert train(core='own_links.GRU') == 0
    core = ram.load('run/best.npz').network.core
    assert type(core).__name__ == 'GRU' and core.units == 16


WRONG = {
    'own_nothing.X': 'model.glimpse_network: own_nothing.X: no module '
                     'own_nothing in ',
    'own_links.Twise': 'own_links.py has no class Twise; did you mean Twice?',
    'own_links.not_a_class': 'not a chainer.Link',
    'own_links.NotALink': 'not a chainer.Link',
    'own_links.Short': 'its constructor must take (sensor, channels, '
                       'what_units, where_units, out_units, rng)',
    'own_links.Raises': 'its constructor fails: ZeroDivisionError: of no use',
    'own_links.Narrow': 'fails on two blank images: InvalidType',
    'own_links.Blind': "has no attribute 'sensor'",
    'own_links.Lazy': '/glimpse/more/W has no shape yet',
    'own_links.Unseeded': '/glimpse/more/W is sampled anew each time; give its '
                       'Link initialW=LeCunNormal(rng=rng)',
    'own_links.Normal': '/glimpse/normal keeps values beside its weights '
                        '(N, avg_mean, avg_var)',
    'own_links.os': 'not a chainer.Link',
    'own_links.ActionNetwork': 'not a class for this part; use '
                               'ram.links.GlimpseNetwork',
    'own_broken.X': 'importing own_broken fails: ModuleNotFoundError: No '
                    "module named 'nothing_like_it'",
    'own_ended.X': 'importing own_ended fails: SystemExit'}


@pytest.mark.parametrize('name', WRONG)
def test_wrong_classes_are_one_line(folder, capsys, name):
    assert train(glimpse_network=name) == 2
    assert WRONG[name] in complaint(capsys)
    assert not os.path.exists('run')


@pytest.mark.parametrize('key, name, words', [
    ('action_network', 'own_links.Action', 'the logits of 3 glimpses of two '
     'images are float32 of shape (3, 2, 9), and must be float32 of shape '
     '(3, 2, 10)'),
    ('baseline_network', 'own_links.Baseline', 'the expected rewards of 3')])
def test_wrong_shapes_are_reported(folder, capsys, key, name, words):
    assert train(**{key: name}) == 2
    assert f'model.{key}: {name}: {words}' in complaint(capsys)


def test_debug_shows_where_in_the_module(folder):
    done = subprocess.run(
        [sys.executable, '-m', 'ram', 'train', 'c.yaml', '--debug', '--set',
         'model.glimpse_network=own_links.Raises'],
        capture_output=True, text=True, env=dict(
            os.environ, PYTHONPATH=os.path.dirname(os.path.dirname(
                ram.__file__))))
    assert 'own_links.py", line ' in done.stderr


def test_weights_that_are_not_built_in_are_not_counted():
    counted = [config_from_dict({'model': model}, '').parameters for model in (
        {}, {'glimpse_network': 'a.B'}, {'core': 'a.B'})]
    network = build_network(config_from_dict({}, ''),
                            make_streams(0)['weights'])
    parts = [sum(param.size for param in part.params())
             for part in (network.glimpse, network.core)]
    assert [counted[0] - counted[1], counted[0] - counted[2]] == parts


def test_an_imported_module_need_not_be_named(folder, monkeypatch):
    class Own(GlimpseNetwork):
        pass

    Own.__module__ = 'own_links'
    own = type(sys)('own_links')
    own.Own = Own
    monkeypatch.setitem(sys.modules, 'own_links', own)
    config = config_from_dict({'model': {'glimpse_network': 'own_links.Own'}},
                              '')
    network = build_network(config, make_streams(0)['weights'])
    checkpoint.save_checkpoint('x.npz', network, config, {})
    assert type(ram.load('x.npz').network.glimpse) is Own
    assert chainer.config.train
