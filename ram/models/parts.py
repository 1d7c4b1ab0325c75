"""The classes of the network's parts: built in, or somebody's own by name.

A configuration may name a class, ``module.Class``, for a part of the network.
The name is looked up among the modules that are imported already, and nowhere
else, so that a file which somebody else has made cannot run code by what it
names. Only :func:`import_module` imports: for the modules that the user asks
for by ``--import``, and for those of a configuration that the user trains.
"""

import difflib
import importlib
import inspect
import os
import sys

import chainer

from ram.errors import RamError
from ram.links.action_network import ActionNetwork
from ram.links.baseline_network import BaselineNetwork
from ram.links.core import CORES
from ram.links.glimpse_network import GlimpseNetwork
from ram.links.location_network import LocationNetwork

# By key of the configuration's model and by name.
BUILT_IN = {
    'glimpse_network': {'ram.links.GlimpseNetwork': GlimpseNetwork},
    'core': CORES,
    'location_network': {'ram.links.LocationNetwork': LocationNetwork},
    'action_network': {'ram.links.ActionNetwork': ActionNetwork},
    'baseline_network': {'ram.links.BaselineNetwork': BaselineNetwork}}


def make_part(key, name, *arguments):
    """Makes a part of the network.

    Args:
        key (str): One of ``BUILT_IN``.
        name (str): As configured: one of ``BUILT_IN[key]``, or
            ``module.Class``.
        *arguments: For the constructor.

    Returns:
        chainer.Link

    Raises:
        RamError: Where the module is not imported, or the class is no such
            part.

    """
    if name in BUILT_IN[key]:
        return BUILT_IN[key][name](*arguments)
    cls = _find(key, name)
    try:
        return cls(*arguments)
    except Exception as error:  # of somebody's own code, of any kind
        raise RamError(f'model.{key}: {name}: its constructor fails: '
                       f'{_told(error)}') from error


def _find(key, name):
    where = f'model.{key}: {name}'
    module, _, word = name.rpartition('.')
    if sys.modules.get(module) is None:
        raise RamError(
            f'{where}: {module} is not imported, and a file alone imports '
            f'nothing; if you trust it, add --import {module} (in Python: '
            'import it before ram.load)')
    # Not getattr, by which a module may run code.
    names = vars(sys.modules[module])
    if word not in names:
        near = difflib.get_close_matches(word, names, n=1)
        raise RamError(
            f'{where}: {_file(module)} has no class {word}'
            + (f'; did you mean {near[0]}?' if near else
               '; correct the name, or write the class'))
    cls = names[word]
    if not (isinstance(cls, type) and issubclass(cls, chainer.Link)):
        raise RamError(f'{where}: not a chainer.Link; let the class derive '
                       'from chainer.Chain, or from the Link it replaces')
    built_in = BUILT_IN[key]
    if cls.__module__.split('.')[0] in ('ram', 'chainer'):
        raise RamError(f'{where}: cannot stand here; take '
                       f'{" or ".join(built_in)}, or write a class in a '
                       'module of your own')
    wanted = inspect.signature(next(iter(built_in.values()))).parameters
    try:
        inspect.signature(cls).bind(*wanted)
    except (TypeError, ValueError) as error:
        raise RamError(f'{where}: its constructor must take '
                       f'({", ".join(wanted)}): {error}')
    return cls


def import_module(name, where):
    """Imports, and so runs, a module of the user's own.

    Args:
        name (str): The module; looked for in the current folder first.
        where (str): What asks for it, for the error.

    Raises:
        RamError: Where there is none, or it fails.

    """
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    importlib.invalidate_caches()  # it may have been written just now
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:
        missing = getattr(error, 'name', None)
        if (isinstance(error, ModuleNotFoundError) and missing
                and f'{name}.'.startswith(f'{missing}.')):
            raise RamError(f'{where}: no module {missing} in {folder} or '
                           'among the installed ones; go to the folder that '
                           f'holds {missing}.py')
        raise RamError(f'{where}: importing {name} fails: '
                       f'{_told(error)}') from error


def _told(error):
    words = ' '.join(str(error).split())
    return f'{type(error).__name__}: {words:.200}; --debug shows where'


def _file(module):
    return getattr(sys.modules[module], '__file__', None) or module
