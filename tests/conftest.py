import ctypes
import functools
import gc
import importlib.util
import os
import re
import shutil
import subprocess

import cublas_stand_in
import numpy
import pytest

import ram  # noqa: F401  (before any test imports Chainer)
from ram.functions import cuda
from ram.training.extensions.curves import Curves
from ram.training.extensions.trajectory_film import Trajectories

SCRIPTS = os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), 'scripts')


def pytest_collection_modifyitems(items):
    # The README's blocks take minutes: started first, they keep one process
    # busy while the others do the rest.
    items.sort(key=lambda item: item.path.name != 'test_readme.py')


def pytest_collection_finish():
    # Trainings collect garbage after drawing; to search all imported modules
    # would take a tenth of a second each time.
    gc.collect()
    gc.freeze()


@pytest.fixture
def load_script(monkeypatch):
    """Loads scripts/NAME.py as a new module, which a test may change."""
    monkeypatch.syspath_prepend(SCRIPTS)

    def load(name):
        spec = importlib.util.spec_from_file_location(
            name, os.path.join(SCRIPTS, name + '.py'))
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
        return script

    return load


@pytest.fixture
def no_figures(monkeypatch):
    """Trainings draw no figures, which take most of the time of a short one."""
    monkeypatch.setattr(Curves, 'write', lambda self: None)
    monkeypatch.setattr(Trajectories, 'write', lambda self: None)


# CUDA kernels as plain C++: a loop over the threads, none of which waits for
# another.
_SHIM = r'''
#include <cmath>
using std::floor; using std::fmin; using std::fmax; using std::tanh;
using std::exp; using std::log; using std::sqrt; using std::cos; using std::sin;
#define __global__
#define __device__ static
struct Dim { unsigned x; };
static Dim blockIdx, blockDim, threadIdx;
'''
_LOOP = r'''
extern "C" void all_{name}(unsigned grid_, unsigned block_, {parameters})
{{
    blockDim.x = block_;
    for (blockIdx.x = 0; blockIdx.x < grid_; ++blockIdx.x)
        for (threadIdx.x = 0; threadIdx.x < block_; ++threadIdx.x)
            {name}({names});
}}
'''


def _as_cpp(source):
    loops = []
    for name, parameters in re.findall(
            r'__global__ void (\w+)\(([^)]*)\)', source):
        names = ', '.join(re.findall(r'(\w+)(?=,|$)', parameters))
        loops.append(_LOOP.format(name=name, parameters=parameters,
                                  names=names))
    return _SHIM + source + ''.join(loops)


@pytest.fixture(scope='session')
def _compiled(tmp_path_factory):
    folder = tmp_path_factory.mktemp('kernels')

    @functools.lru_cache(maxsize=None)
    def compiled(source, real):
        path = folder / f'{len(os.listdir(folder))}.so'
        subprocess.run(
            ['g++', '-x', 'c++', '-O1', '-ffp-contract=off', '-shared',
             '-fPIC', f'-DREAL={real}', '-o', str(path), '-'],
            input=_as_cpp(source), text=True, check=True)
        return ctypes.CDLL(str(path))

    return compiled


@pytest.fixture
def kernels_as_cpp(_compiled, monkeypatch):
    """CUDA kernels are compiled as C++ and run on NumPy arrays."""
    if not shutil.which('g++'):
        pytest.skip('no C++ compiler')

    def convert(argument):
        if argument is None:
            return None
        if isinstance(argument, numpy.ndarray):
            return ctypes.c_void_p(argument.ctypes.data)
        return {'i': ctypes.c_int, 'I': ctypes.c_uint, 'f': ctypes.c_float,
                'd': ctypes.c_double}[argument.dtype.char](argument)

    def function(source, name, real):
        def launch(grid, block, arguments):
            getattr(_compiled(source, real), f'all_{name}')(
                grid[0], block[0], *[convert(a) for a in arguments])

        return launch

    monkeypatch.setattr(cuda, 'load_function', function)


@pytest.fixture(scope='session')
def blas(tmp_path_factory):
    """The C library of cublas_stand_in.py."""
    if not cublas_stand_in.COMPILER:
        pytest.skip('no C compiler')
    return cublas_stand_in.build(tmp_path_factory.mktemp('blas'))
