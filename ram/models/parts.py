"""The classes of the network's parts: built in, or the user's own by name.

A configuration may name a class, ``module.Class``, for a part of the network.
The name is looked up among the modules that are already imported, and nowhere
else, so that a checkpoint of unknown origin cannot run code by what it names.
Only :func:`import_module` imports: the modules that the user names with
``--import``, and those of a configuration that the user trains.
"""

import difflib
import importlib
import inspect
import os
import sys
from typing import Any

import chainer

from ram import links
from ram.config import PARTS
from ram.errors import RamError

CORES = {'lstm': links.LSTMCore, 'rnn': links.RNNCore}


def make_part(key: str, name: str, *arguments: Any) -> chainer.Link:
    """Makes a part of the network.

    Args:
        key: One of ``PARTS``.
        name: As configured: one of ``PARTS[key]``, or ``module.Class``.
        *arguments: For the constructor.

    Raises:
        RamError: Where the module is not imported, or the class is no such
            part.

    """
    if name in PARTS[key]:
        return _built_in(name)(*arguments)
    cls = _find(key, name)
    try:
        return cls(*arguments)
    except Exception as error:  # the user's code may raise anything
        raise RamError(f'model.{key}: {name}: its constructor fails: '
                       f'{describe(error)}') from error


def _built_in(name):
    return CORES.get(name) or getattr(links, name.rpartition('.')[2])


def _find(key, name):
    where = f'model.{key}: {name}'
    module, _, word = name.rpartition('.')
    if sys.modules.get(module) is None:
        raise RamError(
            f'{where}: {module} is not imported, and a file alone imports '
            f'nothing; if you trust it, add --import {module} (in Python: '
            'import it before ram.load)')
    # Not getattr, which lets a module run code.
    names = vars(sys.modules[module])
    if word not in names:
        near = difflib.get_close_matches(word, names, n=1)
        file = getattr(sys.modules[module], '__file__', None) or module
        raise RamError(
            f'{where}: {file} has no class {word}'
            + (f'; did you mean {near[0]}?' if near else
               '; correct the name, or write the class'))
    cls = names[word]
    if not (isinstance(cls, type) and issubclass(cls, chainer.Link)):
        raise RamError(f'{where}: not a chainer.Link; derive the class from '
                       'chainer.Chain, or from the Link it replaces')
    if cls.__module__.split('.')[0] in ('ram', 'chainer'):
        raise RamError(f'{where}: not a class for this part; use '
                       f'{" or ".join(PARTS[key])}, or write a class in a '
                       'module of your own')
    expected = inspect.signature(_built_in(PARTS[key][0])).parameters
    try:
        inspect.signature(cls).bind(*expected)
    except (TypeError, ValueError) as error:
        raise RamError(f'{where}: its constructor must take '
                       f'({", ".join(expected)}): {error}') from error
    return cls


def import_module(name: str, where: str) -> None:
    """Imports, and so runs, a module of the user's own.

    Args:
        name: The module; the current folder is searched last.
        where: What asks for it, for the error.

    Raises:
        RamError: Where there is none, or it fails.

    """
    folder = os.getcwd()
    if folder not in sys.path:
        # Last: what lies there must not stand in for an installed package.
        sys.path.append(folder)
    importlib.invalidate_caches()  # the file may be new
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:
        missing = getattr(error, 'name', None)
        if (isinstance(error, ModuleNotFoundError) and missing
                and f'{name}.'.startswith(f'{missing}.')):
            raise RamError(f'{where}: no module {missing} in {folder} or '
                           'among the installed ones; go to the folder that '
                           f'holds {missing}.py') from error
        raise RamError(f'{where}: importing {name} fails: '
                       f'{describe(error)}') from error


def describe(error: BaseException) -> str:
    """One line on an exception of the user's code."""
    words = ' '.join(str(error).split())
    return f'{type(error).__name__}: {words:.200}; --debug shows where'
