"""CUDA source, compiled once and launched on CuPy arrays."""

import functools

import numpy

BLOCK = 128  # threads


@functools.lru_cache(maxsize=None)
def load_module(source, real):
    """CUDA source, compiled for ``float`` or ``double``."""
    import cupy
    # Without contraction a location falls into the very pixel it falls into
    # on the CPU.
    return cupy.RawModule(code=source,
                          options=(f'-DREAL={real}', '--fmad=false'))


@functools.lru_cache(maxsize=None)
def load_function(source, name, real):
    return load_module(source, real).getload_function(name)


def launch(source, name, count, dtype, *arguments):
    """Runs a kernel on the current stream.

    Args:
        source (str): CUDA, with ``REAL`` for the type of its floats.
        name (str): The kernel. Its first argument is the number of threads
            that have something to do.
        count (int): That number.
        dtype (numpy.dtype): float32 or float64, for ``REAL``.
        *arguments: The other arguments: CuPy arrays, whose first element is
            pointed to, ints, handed over as 32 bits, and NumPy scalars.

    """
    real = {'f': 'float', 'd': 'double'}[dtype.char]
    if count:
        load_function(source, name, real)(
            ((count + BLOCK - 1) // BLOCK,), (BLOCK,),
            (numpy.int32(count),) + tuple(
                numpy.int32(a) if isinstance(a, int) else a
                for a in arguments))
