"""CUDA source, compiled once and launched on CuPy arrays."""

import functools
from typing import Any

import numpy

BLOCK = 128  # threads


@functools.lru_cache(maxsize=None)
def load_module(source: str, real: str) -> Any:
    """CUDA source, compiled with ``REAL`` as ``float`` or ``double``."""
    import cupy

    # Without contraction a location falls into the same pixel as on the CPU.
    return cupy.RawModule(code=source,
                          options=(f'-DREAL={real}', '--fmad=false'))


@functools.lru_cache(maxsize=None)
def load_function(source: str, name: str, real: str) -> Any:
    """A kernel of :func:`load_module`."""
    return load_module(source, real).get_function(name)


def launch(source: str, name: str, count: int, dtype: numpy.dtype,
           *arguments: Any) -> None:
    """Launches a kernel on the current stream.

    Args:
        source: CUDA, with ``REAL`` for the type of its floats.
        name: The kernel. Its first argument is the number of threads that
            have work.
        count: That number.
        dtype: float32 or float64, for ``REAL``.
        *arguments: The other arguments: CuPy arrays, passed as pointers to
            their first element; ints, passed as 32 bits; NumPy scalars.

    """
    real = {'f': 'float', 'd': 'double'}[dtype.char]
    if count:
        load_function(source, name, real)(
            ((count + BLOCK - 1) // BLOCK,), (BLOCK,),
            (numpy.int32(count),) + tuple(
                numpy.int32(a) if isinstance(a, int) else a
                for a in arguments))
