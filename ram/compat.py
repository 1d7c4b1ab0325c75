"""Lets Chainer 7.8.1, of 2022, run on the Python, NumPy and CuPy of today.

It comes before all else in this package and before Chainer, which it imports.
Only what is missing is put in place; what is there stays as it is:

=====================  =============  ===========================
Chainer reads          gone since     put in its place
=====================  =============  ===========================
``numpy.sctypes``      NumPy 2.0      the table as it was
``numpy.float``        NumPy 1.24     :class:`float`
``numpy.distutils``    Python 3.12    finds no BLAS (macOS asks)
``pkg_resources``      setuptools 82  finds no package
=====================  =============  ===========================

The two modules take a third of a second to import, for a check that reports
nothing here. Where they are installed and nobody has imported them yet, the
ones put in their place serve while Chainer is imported, and go.

CuPy 13 and 14 have every name that Chainer reads except those of cuDNN, which
CuPy 14 dropped and Chainer does without. Two corners stay broken, as nothing
here needs them: Categorical.log_prob with NumPy 2, the reader of Caffe models
with protobuf 4.

Warnings that come of Chainer's age are silenced: deprecations that its import
or its modules run into, the wish for a CuPy of 2020, the advice on cuDNN and
NCCL. All others are shown, those about deprecated uses of Chainer too.

"""

import importlib
import importlib.util
import os
import sys
import types
import warnings
from importlib.machinery import ModuleSpec

import numpy

CHAINER_MISSING = '''\
Chainer 7.8.1 is not installed. These two commands install it:
  python -m pip install "setuptools<81" wheel
  python -m pip install --no-build-isolation chainer==7.8.1'''


def _require_chainer():
    if importlib.util.find_spec('chainer') is not None:
        return
    # As a command (`ram`, or `python -m ram`, during whose import argv[0] is
    # '-m') the message is plain lines, without the traceback of an import.
    name = os.path.splitext(os.path.basename(sys.argv[0]))[0]
    if name == 'ram' or (
            name == '-m' and 'ram' in getattr(sys, 'orig_argv', ['ram'])):
        print(f'ram: {CHAINER_MISSING}', file=sys.stderr)
        sys.exit(2)
    raise ImportError(CHAINER_MISSING, name='chainer')


def _put_name(module, name, value):
    with warnings.catch_warnings():
        # NumPy 1.23 has numpy.float, and warns when asked for it.
        warnings.simplefilter('ignore')
        missing = not hasattr(module, name)
    if missing:
        setattr(module, name, value)


_passing = []  # stand-ins that are removed once Chainer is imported


def _module(name, **names):
    # The spec keeps importlib.util.find_spec(name) working for others.
    module = importlib.util.module_from_spec(ModuleSpec(name, None))
    vars(module).update(names)
    return module


def _put_modules(first, *children):
    """A module, with its children, unless it is imported already."""
    name = first.__name__
    if sys.modules.get(name) is not None:
        return
    if importlib.util.find_spec(name) is not None:
        _passing.extend([first, *children])
    for module in first, *children:
        sys.modules[module.__name__] = module
    parent, _, child = name.rpartition('.')
    if parent:
        setattr(sys.modules[parent], child, first)


def _let_pass():
    """Takes away modules that are installed."""
    for module in _passing:
        del sys.modules[module.__name__]
        parent, _, child = module.__name__.rpartition('.')
        if parent in sys.modules:
            delattr(sys.modules[parent], child)
    _passing.clear()


def _complete_numpy():
    _put_name(numpy, 'sctypes', {
        'int': [numpy.int8, numpy.int16, numpy.int32, numpy.int64],
        'uint': [numpy.uint8, numpy.uint16, numpy.uint32, numpy.uint64],
        'float': [numpy.float16, numpy.float32, numpy.float64,
                  numpy.longdouble],
        'complex': [numpy.complex64, numpy.complex128, numpy.clongdouble],
        'others': [bool, object, bytes, str, numpy.void],
    })
    _put_name(numpy, 'float', float)
    system_info = _module('numpy.distutils.system_info',
                          get_info=lambda *args, **kwargs: {})
    _put_modules(_module('numpy.distutils', system_info=system_info),
                 system_info)


def _complete_pkg_resources():
    base = type('ResolutionError', (Exception,), {})
    not_found = type('DistributionNotFound', (base,), {})

    def require(*requirements):
        raise not_found(*requirements)

    _put_modules(_module(
        'pkg_resources',
        ResolutionError=base,
        DistributionNotFound=not_found,
        VersionConflict=type('VersionConflict', (base,), {}),
        WorkingSet=lambda: types.SimpleNamespace(require=require),
        require=require,
        get_distribution=require,
        # Not for Chainer: pytest and namespace packages call these wherever
        # they see a pkg_resources.
        fixup_namespace_packages=lambda *args, **kwargs: None,
        declare_namespace=lambda *args, **kwargs: None))


def _silence_chainer():
    """Ignores, from now on, what Chainer's age makes its modules warn of."""
    # Deprecations from below name where they come from. Chainer's own do not
    # (but for '@numpy' and '@cupy:0'), and concern whoever calls it.
    below = r'(?s).*(?<!@)\b(np|numpy|cupy|python)\b'
    for category in (DeprecationWarning, PendingDeprecationWarning,
                     FutureWarning):
        warnings.filterwarnings('ignore', below, category,
                                r'chainer(mn|x)?(\.|$)')
    warnings.filterwarnings('ignore', r'cuDNN is not enabled', UserWarning,
                            r'chainer\.backends\.cuda$')


def _import_chainer():
    with warnings.catch_warnings():
        # Whatever it imports, like protobuf, may be deprecated or deprecate.
        for category in (DeprecationWarning, PendingDeprecationWarning,
                         FutureWarning, ImportWarning):
            warnings.simplefilter('ignore', category)
        for message in (r'may not be compatible with this version of Chainer',
                        r'(cudnn|nccl) library could not be loaded'):
            warnings.filterwarnings('ignore', r'(?s).*' + message,
                                    UserWarning)
        importlib.import_module('chainer')


_require_chainer()
_complete_numpy()
_complete_pkg_resources()
_silence_chainer()
_import_chainer()
_let_pass()
