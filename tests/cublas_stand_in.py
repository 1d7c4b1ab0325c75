"""A C library with the functions of cuBLAS that are used, on host memory.

Matrices are column-major, arguments are checked, and SetStream resets the
workspace, as NVIDIA documents them. A product without a workspace of the size
that ram.fast.products asks for fails: cuBLAS would allocate one then, which a
capture forbids.
"""

import ctypes
import shutil
import subprocess

import numpy

from ram.fast.products import CublasProducts

SOURCE = r'''
#include <stdlib.h>
struct Handle { void* stream; void* workspace; size_t bytes; int mode; };
int products, fault;  // the next product returns this status

int cublasCreate_v2(struct Handle** handle)
{
    *handle = calloc(1, sizeof(struct Handle));
    return 0;
}

int cublasSetStream_v2(struct Handle* handle, void* stream)
{
    handle->stream = stream;
    handle->workspace = NULL;
    handle->bytes = 0;
    return 0;
}

int cublasSetWorkspace_v2(struct Handle* handle, void* workspace, size_t bytes)
{
    handle->workspace = workspace;
    handle->bytes = bytes;
    return 0;
}

int cublasSetMathMode(struct Handle* handle, int mode)
{
    handle->mode = mode;
    return 0;
}

int math_mode(struct Handle* handle) { return handle->mode; }
void* stream(struct Handle* handle) { return handle->stream; }
void* workspace(struct Handle* handle) { return handle->workspace; }

#define GEMM(NAME, REAL) \
int NAME(struct Handle* handle, int trans_a, int trans_b, int m, int n, \
         int k, const REAL* alpha, const REAL* a, int lda, const REAL* b, \
         int ldb, const REAL* beta, REAL* c, int ldc) \
{ \
    int a_rows = trans_a ? k : m, b_rows = trans_b ? n : k; \
    if (fault) { int status = fault; fault = 0; return status; } \
    if (!handle->workspace || handle->bytes < 32 << 20) return 1; \
    if (m < 0 || n < 0 || k < 0 || lda < (a_rows > 1 ? a_rows : 1) \
        || ldb < (b_rows > 1 ? b_rows : 1) || ldc < (m > 1 ? m : 1)) \
        return 7; \
    ++products; \
    for (int j = 0; j < n; ++j) \
        for (int i = 0; i < m; ++i) { \
            double sum = 0; \
            for (int l = 0; l < k; ++l) \
                sum += (double)(trans_a ? a[l + (size_t)i * lda] \
                                        : a[i + (size_t)l * lda]) \
                       * (trans_b ? b[j + (size_t)l * ldb] \
                                  : b[l + (size_t)j * ldb]); \
            REAL* out = c + i + (size_t)j * ldc; \
            *out = *alpha * sum + (*beta == 0 ? 0 : *beta * *out); \
        } \
    return 0; \
}
GEMM(cublasSgemm_v2, float)
GEMM(cublasDgemm_v2, double)
'''

COMPILER = shutil.which('cc') or shutil.which('gcc')


def build(folder):
    """The library, compiled into a folder."""
    path = folder / 'blas.so'
    subprocess.run(
        [COMPILER, '-x', 'c', '-O2', '-shared', '-fPIC', '-o', str(path),
         '-'], input=SOURCE, text=True, check=True)
    return ctypes.CDLL(str(path))


def count(library):
    """Number of products so far."""
    return ctypes.c_int.in_dll(library, 'products').value


def products(library, current_stream=lambda: 1, tf32=False):
    """Products of NumPy's arrays by the library."""
    def allocate(size):
        memory = numpy.empty(size, 'uint8')
        return memory, memory.ctypes.data

    return CublasProducts(library, allocate, current_stream, tf32)
