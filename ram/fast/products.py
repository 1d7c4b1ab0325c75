"""Products of matrices and sums over rows: by NumPy, or by cuBLAS on a GPU.

CuPy refuses its own products on a stream that is being captured ("calling
cuBLAS API during stream capture is currently unsupported"). cuBLAS itself can
be captured if its handle has a workspace of its own, so it is called here
directly.

Products of float32 use TF32 (10 bits of mantissa, faster) inside
``chainer.using_config('tf32', True)``, on GPUs that have it.
"""

import ctypes
import functools
from typing import Any, Callable, Dict, Tuple

import chainer
import numpy

from ram.devices import Array
from ram.errors import RamError

WORKSPACE_BYTES = 32 << 20  # NVIDIA's advice for Hopper
_TF32 = 3  # CUBLAS_TF32_TENSOR_OP_MATH
_STATUS = {
    1: 'NOT_INITIALIZED', 3: 'ALLOC_FAILED', 7: 'INVALID_VALUE',
    8: 'ARCH_MISMATCH', 11: 'MAPPING_ERROR', 13: 'EXECUTION_FAILED',
    14: 'INTERNAL_ERROR', 15: 'NOT_SUPPORTED', 16: 'LICENSE_ERROR'}


class CublasError(RuntimeError):
    """A function of cuBLAS failed."""


def dot(a: Array, b: Array, out: Array, beta: float = 0) -> Array:
    """``out = a b + beta out``.

    Args:
        a: (m, k) float32 or float64; contiguous, part of the rows of a wider
            array, or the transpose of one of these.
        b: (k, n), likewise, of the same dtype.
        out: (m, n); its rows may be parts of wider rows.
        beta: 0, or 1 to add to what is there.

    Returns:
        ``out``.

    """
    return products_of(a).dot(a, b, out, beta)


def sum_rows(a: Array, out: Array) -> Array:
    """``out = a.sum(axis=0)``.

    Args:
        a: (m, n), as for :func:`dot`.
        out: (n,) contiguous.

    Returns:
        ``out``.

    """
    return products_of(a).sum_rows(a, out)


class NumpyProducts:
    """Products of NumPy's arrays."""

    @staticmethod
    def dot(a: Array, b: Array, out: Array, beta: float = 0) -> Array:
        """See :func:`dot`."""
        if beta:
            out *= beta
            out += numpy.dot(a, b)
            return out
        # dot takes less time to start, but writes no parts of rows.
        product = numpy.dot if out.flags.c_contiguous else numpy.matmul
        return product(a, b, out=out)

    @staticmethod
    def sum_rows(a: Array, out: Array) -> Array:
        """See :func:`sum_rows`."""
        return a.sum(axis=0, out=out)


class CublasProducts:
    """Products by cuBLAS, with a handle of its own.

    Args:
        library: Has the functions of cuBLAS.
        allocate: Gives (object that owns it, address) of so many bytes.
        current_stream: Gives the address of the current stream.
        tf32: Whether products of float32 use TF32.

    """

    def __init__(self, library: Any, allocate: Callable[[int], Any],
                 current_stream: Callable[[], int], tf32: bool = False):
        self._library = _declare(library)
        self._allocate = allocate
        self._current_stream = current_stream
        self._stream = None
        self._workspaces: Dict[int, Tuple[Any, int]] = {}  # by stream
        self._ones: Dict[Tuple[int, str], Array] = {}
        self._handle = ctypes.c_void_p()
        self._call('cublasCreate_v2', ctypes.byref(self._handle))
        if tf32:
            self._call('cublasSetMathMode', self._handle, _TF32)

    def _call(self, name, *arguments):
        status = getattr(self._library, name)(*arguments)
        if status:
            raise CublasError(f'{name}: CUBLAS_STATUS_'
                              f'{_STATUS.get(status, status)}')

    def _follow_stream(self):
        """Sets stream and workspace; SetStream resets the workspace."""
        stream = self._current_stream()
        if stream == self._stream:
            return
        if stream not in self._workspaces:
            self._workspaces[stream] = self._allocate(WORKSPACE_BYTES)
        self._stream = None  # until both calls succeed
        self._call('cublasSetStream_v2', self._handle, stream)
        self._call('cublasSetWorkspace_v2', self._handle,
                   self._workspaces[stream][1], WORKSPACE_BYTES)
        self._stream = stream

    def dot(self, a: Array, b: Array, out: Array, beta: float = 0) -> Array:
        """See :func:`dot`."""
        (m, k), n = a.shape, b.shape[1]
        if b.shape[0] != k or out.shape != (m, n):
            raise ValueError(f'{a.shape} times {b.shape} into {out.shape}')
        if not a.dtype == b.dtype == out.dtype:
            raise ValueError(f'{a.dtype} times {b.dtype} into {out.dtype}')
        if not k or not out.size:  # cuBLAS would see null pointers
            if not beta:
                out[...] = 0
            return out
        (a_rows, lda), (b_rows, ldb), (out_rows, ldc) = map(
            _layout, (a, b, out))
        if not out_rows:
            raise ValueError('the rows of a product must be contiguous')
        name, real = {'f': ('cublasSgemm_v2', ctypes.c_float),
                      'd': ('cublasDgemm_v2', ctypes.c_double)}[a.dtype.char]
        self._follow_stream()
        # cuBLAS is column-major: it computes out^T = b^T a^T.
        self._call(name, self._handle, int(not b_rows), int(not a_rows),
                   n, m, k, ctypes.byref(real(1)), _address(b), ldb,
                   _address(a), lda, ctypes.byref(real(beta)), _address(out),
                   ldc)
        return out

    def sum_rows(self, a: Array, out: Array) -> Array:
        """See :func:`sum_rows`: a product with ones."""
        key = len(a), a.dtype.char
        if key not in self._ones:
            xp = chainer.backend.get_array_module(a)
            # From the host: CuPy would compile a kernel that fills.
            self._ones[key] = xp.asarray(numpy.ones((1, len(a)), a.dtype))
            if xp is not numpy:  # other streams will read them
                xp.cuda.get_current_stream().synchronize()
        self.dot(self._ones[key], a, out.reshape(1, -1))
        return out


def products_of(array: Array) -> Any:
    """The products of an array's module, device and ``chainer.config``."""
    if isinstance(array, numpy.ndarray):
        return NumpyProducts
    return _cublas(array.device.id, getattr(chainer.config, 'tf32', False))


@functools.lru_cache(maxsize=None)
def _cublas(device, tf32):
    import cupy

    # The soname of the library that CuPy has loaded.
    name = f'libcublas.so.{cupy.cuda.runtime.runtimeGetVersion() // 1000}'
    try:
        library = ctypes.CDLL(name)
    except OSError as error:
        raise RamError(f'{name}: not found ({error}); install CUDA '
                       'libraries that fit CuPy') from error

    def allocate(size):
        memory = cupy.cuda.alloc(size)
        return memory, memory.ptr

    with cupy.cuda.Device(device):
        return CublasProducts(
            library, allocate, lambda: cupy.cuda.get_current_stream().ptr,
            tf32 and has_tf32(device))


def has_tf32(device: int) -> bool:
    """Whether a GPU has TF32: compute capability 8.0 and above."""
    import cupy

    return int(cupy.cuda.Device(device).compute_capability) >= 80


def _declare(library):
    """Sets the argument types of the functions that are used."""
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    gemm = ([pointer] + 5 * [integer] + [pointer]
            + 2 * [pointer, integer] + 2 * [pointer] + [integer])
    for name, types in (
            ('cublasCreate_v2', [pointer]),
            ('cublasSetMathMode', [pointer, integer]),
            ('cublasSetStream_v2', [pointer, pointer]),
            ('cublasSetWorkspace_v2', [pointer, pointer, ctypes.c_size_t]),
            ('cublasSgemm_v2', gemm), ('cublasDgemm_v2', gemm)):
        function = getattr(library, name)
        function.argtypes, function.restype = types, integer
    return library


def _address(array):
    return (array.ctypes.data if isinstance(array, numpy.ndarray)
            else array.data.ptr)


def _layout(array):
    """Whether rows (else columns) are contiguous; elements between them."""
    row, column = (step // array.itemsize for step in array.strides)
    m, n = array.shape
    if (column == 1 or n <= 1) and (row >= n or m <= 1):
        return True, max(row if m > 1 else n, 1)
    if (row == 1 or m <= 1) and (column >= m or n <= 1):
        return False, max(column if n > 1 else m, 1)
    raise ValueError(f'a product of strides {array.strides}, shape '
                     f'{array.shape}')
