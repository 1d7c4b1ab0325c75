import importlib.util
import os

import pytest

import ram  # noqa: F401  (before any test imports Chainer)

SCRIPTS = os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), 'scripts')


@pytest.fixture
def load_script(monkeypatch):
    """Loads scripts/NAME.py anew, as a module to be altered at will."""
    monkeypatch.syspath_prepend(SCRIPTS)

    def load(name):
        spec = importlib.util.spec_from_file_location(
            name, os.path.join(SCRIPTS, name + '.py'))
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
        return script

    return load
