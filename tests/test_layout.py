"""The order of the layers, and the size of files and functions."""

import ast
import os
import re
import subprocess
import sys

import pytest
from training_runs import TOP

# From the top down. A file imports only what stands below it, or from its own
# layer. Layers in one tuple do not import each other.
LAYERS = [
    ('ram.__main__',), ('ram.commands',), ('ram.training',),
    ('ram.visualizations',), ('ram.api',), ('ram.evaluation',), ('ram.fast',),
    ('ram.checkpoint',), ('ram.data',), ('ram.models',), ('ram.links',),
    ('ram.losses',), ('ram.games',), ('ram.config',), ('ram.functions',), ('ram.devices',),
    ('ram.random_streams',), ('ram.files',), ('ram.errors',),
    ('ram.compat',), ('ram',)]
MAX_FILE, MAX_FUNCTION = 350, 60


def files(*folders):
    for folder in folders:
        for path, _, names in os.walk(os.path.join(TOP, folder)):
            for name in names:
                if name.endswith('.py'):
                    yield os.path.relpath(os.path.join(path, name), TOP)


def module_of(path):
    name = path[:-3].replace(os.sep, '.')
    return name[:-9] if name.endswith('.__init__') else name


def level(module):
    """Index of a module's layer."""
    return next(i for i, layer in enumerate(LAYERS) if any(
        module == name or module.startswith(name + '.') for name in layer))


def read(path):
    with open(os.path.join(TOP, path), encoding='utf-8') as file:
        return file.read()


def imports(path):
    """Modules of the package that a file imports, inside functions too."""
    modules = {module_of(p) for p in files('ram')}
    for node in ast.walk(ast.parse(read(path))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: a relative import'
            names = [f'{node.module}.{alias.name}' for alias in node.names]
            names = [n if n in modules else node.module for n in names]
        else:
            continue
        yield from (n for n in names if n == 'ram' or n.startswith('ram.'))


GRAPH = {module_of(path): set(imports(path)) for path in files('ram')}


@pytest.mark.parametrize('module', sorted(GRAPH))
def test_imports_go_down(module):
    # `import ram` takes the version or comes before Chainer; ram/__init__.py
    # itself imports its API when it is called.
    for imported in GRAPH[module].difference({'ram'}):
        if module != 'ram':
            assert level(imported) >= level(module), imported


def test_imports_have_no_circle():
    state = {}

    def visit(module, above):
        assert module not in above, ' -> '.join(above + [module])
        if state.get(module):
            return
        for imported in GRAPH.get(module, set()).difference({'ram'}):
            visit(imported, above + [module])
        state[module] = True

    for module in GRAPH:
        if module != 'ram':
            visit(module, [])


def test_a_layer_is_named_for_every_file():
    for module in GRAPH:
        assert level(module) < len(LAYERS)
        assert module == 'ram' or level(module) < level('ram'), module


@pytest.mark.parametrize('path', sorted(files('ram', 'scripts')))
def test_files_and_functions_are_short(path):
    text = read(path)
    assert text.count('\n') <= MAX_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno < MAX_FUNCTION, node.name


def test_plain_chainer_needs_no_engine():
    path = os.path.join('scripts', 'plain_chainer.py')
    assert read(path).count('\n') < 100
    for name in imports(path):
        assert not name.startswith(('ram.training', 'ram.fast')), name


def test_pyproject_names_every_package():
    text = read('pyproject.toml')
    listed = set(re.findall(r'^    "(ram[\w.]*)",$', text, re.MULTILINE))
    folders = {os.path.dirname(path).replace(os.sep, '.')
               for path in files('ram')}
    assert listed == folders | {'ram.pretrained', 'ram.configs',
                                'ram.configs.paper'}


def test_the_program_starts_without_drawing():
    done = subprocess.run(
        [sys.executable, '-c', 'import sys, ram.commands.main; '
         'print(*sys.modules)'], cwd=TOP, capture_output=True, text=True,
        check=True)
    assert 'ram.training.run' in done.stdout.split()
    assert not {'matplotlib', 'ram.visualizations'} & set(
        done.stdout.split())
