"""Chainer imports and works; names of today are kept; only age is silenced."""

import importlib
import importlib.util
import os
import subprocess
import sys
import types
import warnings

import numpy
import pytest

from ram import compat

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# NumPy 2 on Python 3.12 with the newest setuptools, whatever is here.
OF_TODAY = '''
import sys
import numpy
for name in 'sctypes', 'float':
    vars(numpy).pop(name, None)
known = numpy.__getattr__
def __getattr__(name):
    if name in ('sctypes', 'float'):
        raise AttributeError(name)
    return known(name)
numpy.__getattr__ = __getattr__
sys.modules['numpy.distutils'] = None
sys.modules['pkg_resources'] = None
'''


def run(*arguments, startup='', cwd=ROOT):
    """Runs Python afresh, ``startup`` before all else in it."""
    path = os.pathsep.join([ROOT, os.environ.get('PYTHONPATH', '')])
    if startup:
        (cwd / 'sitecustomize.py').write_text(startup)
        path = os.pathsep.join([str(cwd), path])
    return subprocess.run(
        [sys.executable, *arguments], cwd=str(cwd), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, 'PYTHONPATH': path, 'OMP_NUM_THREADS': '1'})


def check(result):
    assert (result.returncode, result.stderr) == (0, '')
    return result.stdout


def test_a_name_that_is_there_is_kept():
    module = types.ModuleType('module')
    module.name = 'kept'
    compat._put_name(module, 'name', 'new')
    assert module.name == 'kept'


def test_a_missing_name_is_put():
    module = types.ModuleType('module')
    compat._put_name(module, 'name', 'new')
    assert module.name == 'new'


def test_a_name_that_warns_is_kept_without_its_warning():
    module = types.ModuleType('module')

    def deprecated(name):
        warnings.warn(f'{name} is deprecated', DeprecationWarning)
        return 'kept'

    module.__getattr__ = deprecated
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        compat._put_name(module, 'name', 'new')
    assert 'name' not in vars(module)


def test_a_module_that_is_imported_is_kept():
    kept = dict(vars(importlib.import_module('colorsys')))
    compat._put_modules(compat._module('colorsys', new='new'))
    assert vars(sys.modules['colorsys']) == kept


@pytest.mark.parametrize('text', [None, 'answer = "real"'])
def test_a_module_is_put_and_stays_where_there_is_none(
        text, tmp_path, monkeypatch):
    package = tmp_path / 'ram_test_package'
    package.mkdir()
    (package / '__init__.py').write_text('')
    if text:
        (package / 'child').mkdir()
        (package / 'child' / '__init__.py').write_text(text)
        (package / 'child' / 'grandchild.py').write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    name = 'ram_test_package.child'
    below = compat._module(name + '.grandchild', answer=42)
    try:
        compat._put_modules(
            compat._module(name, answer=42, grandchild=below), below)
        parent = importlib.import_module('ram_test_package')
        assert importlib.import_module(name) is parent.child
        assert parent.child.answer == 42
        assert parent.child.grandchild is importlib.import_module(
            below.__name__)
        # Others may ask whether it is there.
        assert importlib.util.find_spec(name).name == name
        compat._let_pass()
        assert importlib.import_module(below.__name__).answer == (
            'real' if text else 42)
        assert parent.child.answer == ('real' if text else 42)
    finally:
        for each in below.__name__, name, 'ram_test_package':
            sys.modules.pop(each, None)


def test_what_is_installed_is_there_once_chainer_is_imported():
    check(run('-W', 'ignore', '-c', '''
import importlib.util
import sys
import ram.compat
there = [name for name in ('numpy.distutils', 'pkg_resources')
         if importlib.util.find_spec(name) is not None]
assert not set(there) & set(sys.modules)
for name in there:
    assert importlib.import_module(name).__file__
'''))


def test_what_is_installed_may_be_broken(tmp_path):
    # As an old pkg_resources is on Python 3.12.
    for name in 'pkg_resources', 'broken':
        (tmp_path / f'{name}.py').write_text('import sys; sys.missing')
    assert run('-c', 'import broken', cwd=tmp_path).returncode
    assert check(run('-c', '''
import ram.compat
import chainer
print(chainer.__version__)
''', cwd=tmp_path)).strip()


def test_the_table_of_types_is_the_one_of_numpy_1(monkeypatch):
    monkeypatch.delattr(numpy, 'sctypes')
    monkeypatch.setattr(numpy, '__getattr__', _no_attribute)
    compat._complete_numpy()
    assert numpy.sctypes['int'] == [
        numpy.int8, numpy.int16, numpy.int32, numpy.int64]
    assert {kind: {numpy.dtype(t).kind for t in numpy.sctypes[kind]}
            for kind in ('uint', 'float', 'complex')} == {
                'uint': {'u'}, 'float': {'f'}, 'complex': {'c'}}


def _no_attribute(name):
    raise AttributeError(name)


def test_chainer_works_where_everything_is_missing():
    out = check(run('-c', OF_TODAY + '''
import ram.compat
import numpy
import chainer.functions as F
import chainer.testing
import pkg_resources

assert numpy.float is float
assert chainer.testing.with_requires('numpy')(chainer.testing)
try:
    pkg_resources.require('numpy')
except pkg_resources.ResolutionError as error:
    print(type(error).__name__)
pkg_resources.fixup_namespace_packages('')
x = chainer.Variable(numpy.arange(16, dtype='f').reshape(4, 4))
y = F.as_strided(x, (3, 2), (1, 4)) ** 2
F.sum(y).backward()
print(int(x.grad.sum()))
print(F.resize_images(x[None, None], (2, 2)).array.ravel().tolist())
'''))
    assert out.split('\n')[:3] == [
        'DistributionNotFound', '36', '[0.0, 3.0, 12.0, 15.0]']


def test_nothing_that_is_there_is_overwritten():
    check(run('-c', '''
import sys
import types
import numpy

class Float(float):
    pass

class Types(dict):
    pass

numpy.sctypes = types_ = Types(int=[numpy.int32], float=[numpy.float32])
numpy.float = Float
pkg = sys.modules['pkg_resources'] = types.ModuleType('pkg_resources')
pkg.DistributionNotFound = pkg.VersionConflict = KeyError
pkg.require = {}.__getitem__  # nothing found
before = dict(vars(numpy))
import ram.compat
assert sys.modules['pkg_resources'] is pkg
assert numpy.sctypes is types_ and numpy.float is Float
assert [name for name in before
        if vars(numpy)[name] is not before[name]] == []
'''))


def test_chainer_is_silent_though_every_warning_is_an_error():
    check(run('-W', 'error', '-c', '''
import ram.compat
import numpy
import chainer.functions as F
import chainer.testing

x = chainer.Variable(numpy.zeros((2, 1, 4, 4), 'f'))
F.sum(F.resize_images(x, (2, 2))).backward()
optimizer = chainer.optimizers.Adam().setup(chainer.links.Linear(2))
optimizer.update(lambda: F.sum(optimizer.target(numpy.ones((3, 2), 'f'))))
# As a NumPy to come may have it.
import warnings
warnings.warn_explicit('Deprecated in NumPy 3.0', DeprecationWarning,
                       'linear.py', 58, 'chainer.links.connection.linear')
'''))


def test_the_warnings_of_the_program_are_shown():
    result = run('-W', 'always', '-c', '''
import warnings
import ram.compat
import numpy
import chainer
warnings.warn('numpy.mine will go', DeprecationWarning)
warnings.warn('cuDNN is not enabled', UserWarning)
chainer.Variable(numpy.zeros(1, 'f')).zerograd()
''')
    assert result.returncode == 0
    shown = [line for line in result.stderr.split('\n') if 'Warning:' in line]
    assert [line.split('Warning: ')[1][:24] for line in shown] == [
        'numpy.mine will go', 'cuDNN is not enabled',
        'Variable.zerograd is dep']


@pytest.mark.parametrize('silent, message, category, module', [
    (True, '`np.float` is a deprecated alias', DeprecationWarning,
     'chainer.functions.array.resize_images'),
    (True, 'changing\nit (deprecated NumPy 1.25.)', DeprecationWarning,
     'chainermn.links'),
    (True, 'gone in Python 3.14', FutureWarning, 'chainer'),
    (True, 'cuDNN is not enabled.\nPlease', UserWarning,
     'chainer.backends.cuda'),
    (False, '`np.float` is a deprecated alias', DeprecationWarning, 'ram.models.ram'),
    (False, '`np.float` is a deprecated alias', DeprecationWarning,
     'chainerrl'),
    (False, "to_gpu is deprecated. Please use to_device('@cupy:N') instead.",
     DeprecationWarning, 'chainer.device_resident'),
    (False, 'NumPy met an overflow', RuntimeWarning, 'chainer.functions'),
    (False, 'Non finite number found', UserWarning, 'chainer.optimizer'),
])
def test_only_warnings_of_age_are_silent(silent, message, category, module):
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter('always')
        compat._silence_chainer()
        warnings.warn_explicit(message, category, 'file.py', 1, module)
    assert len(shown) == (0 if silent else 1)


def test_a_network_trains_and_its_run_resumes(tmp_path):
    program = '''
import sys
import ram.compat
import chainer
import chainer.links as L
import numpy
from chainer import training
from chainer.training import extensions

numpy.random.seed(1)
random = numpy.random.RandomState(0)
x = random.randn(200, 8).astype('f')
data = chainer.datasets.TupleDataset(x, (x[:, 0] > 0).astype('i'))
model = L.Classifier(chainer.Sequential(
    L.Linear(8, 16), chainer.functions.relu, L.Linear(16, 2)))
optimizer = chainer.optimizers.Adam(1e-2).setup(model)
optimizer.add_hook(chainer.optimizer_hooks.GradientClipping(5))
updater = training.StandardUpdater(
    chainer.iterators.SerialIterator(data, 20), optimizer)
trainer = training.Trainer(updater, (int(sys.argv[1]), 'epoch'), 'out')
trainer.extend(extensions.Evaluator(
    chainer.iterators.SerialIterator(data, 30, False, False), model))
trainer.extend(extensions.LogReport())
trainer.extend(extensions.PlotReport(['main/loss'], 'epoch',
                                     filename='loss.png'))
trainer.extend(extensions.snapshot(n_retains=1, autoload=True))
trainer.run()
for entry in trainer.get_extension('LogReport').log:
    print(entry['epoch'], entry['validation/main/accuracy'])
'''
    for epochs in (1, 4):
        result = run('-c', program, str(epochs), cwd=tmp_path)
        assert result.returncode == 0, result.stderr
    rows = [line.split() for line in result.stdout.split('\n') if line]
    # The second run went on where the first had stopped.
    assert [row[0] for row in rows] == ['1', '2', '3', '4']
    assert float(rows[-1][1]) > 0.9
    assert sorted(os.listdir(tmp_path / 'out')) == [
        'log', 'loss.png', 'snapshot_iter_40']


WITHOUT_CHAINER = "import sys; sys.modules['chainer'] = None"


def test_a_missing_chainer_is_an_import_error(monkeypatch):
    monkeypatch.setitem(sys.modules, 'chainer', None)
    with pytest.raises(ImportError) as caught:
        compat._require_chainer()
    assert caught.value.name == 'chainer'
    assert str(caught.value).split('\n')[1:] == [
        '  python -m pip install "setuptools<81" wheel',
        '  python -m pip install --no-build-isolation chainer==7.8.1']


def test_a_program_without_chainer_ends_with_the_commands(tmp_path):
    result = run('-c', 'import ram', startup=WITHOUT_CHAINER, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.endswith(
        f'ImportError: {compat.CHAINER_MISSING}\n')


@pytest.mark.parametrize('name', ['ram', 'ram.exe', '-m'])
def test_the_command_without_chainer_is_plain(name, tmp_path):
    if name == '-m':
        arguments = ['-m', 'ram', 'train']
    else:
        # What the installer writes.
        (tmp_path / name).write_text('import sys\nfrom ram.commands.main import main\n'
                                     'sys.exit(main())\n')
        arguments = [str(tmp_path / name), 'train']
    result = run(*arguments, startup=WITHOUT_CHAINER, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr == f'ram: {compat.CHAINER_MISSING}\n'
    assert result.stdout == ''
