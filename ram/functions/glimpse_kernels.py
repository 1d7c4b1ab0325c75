"""CUDA kernels of the crop: summed-area table and patches.

Arrays are C-contiguous; their dtype is that of the images, float32 or float64.
"""

from typing import Any

from ram.functions.cuda import launch

# For kernels that read patches.
DEVICE = r'''
#define INDEX (blockIdx.x * blockDim.x + threadIdx.x)

// First row or column of a patch, as patch_start in glimpse.py has it, in the
// same order of the same roundings (the module is compiled without
// contraction). fmin and fmax turn NaN into a number.
__device__ long long patch_start(REAL l, int length, int side)
{
    REAL start = floor((l + (REAL)1) / (REAL)2 * (REAL)length
                       - (REAL)side / (REAL)2 + (REAL)0.5);
    return (long long)fmin(fmax(start, (REAL)-side), (REAL)length);
}

__device__ long long clamp(long long i, long long end)
{
    return i < 0 ? 0 : i > end ? end : i;
}

// One of the k x C x g x g values of the retina of image b, read around (x, y).
__device__ REAL read_patch(const REAL* images, const double* table, int b,
                           int value, REAL x, REAL y, int channels,
                           int height, int width, int size, int factor)
{
    int column = value % size, row = value / size % size;
    int c = value / (size * size) % channels;
    int scale = value / (size * size) / channels, step = 1;
    for (int j = 0; j < scale; ++j) step *= factor;
    long long top = patch_start(y, height, size * step);
    long long left = patch_start(x, width, size * step);
    long long plane = (long long)b * channels + c;
    if (scale == 0) {
        long long i = top + row, j = left + column;
        bool inside = i >= 0 && i < height && j >= 0 && j < width;
        return inside ? images[(plane * height + i) * width + j] : (REAL)0;
    }
    // Cells beyond the border shrink to nothing, which is zero padding.
    long long y0 = clamp(top + row * step, height);
    long long y1 = clamp(top + (row + 1) * step, height);
    long long x0 = clamp(left + column * step, width);
    long long x1 = clamp(left + (column + 1) * step, width);
    const double* sums = table + plane * (height + 1) * (width + 1);
    width += 1;
    return (REAL)(((sums[y1 * width + x1] - sums[y0 * width + x1])
                   - (sums[y1 * width + x0] - sums[y0 * width + x0]))
                  / (double)(step * step));
}
'''

SOURCE = DEVICE + r'''
extern "C" {

// The summed-area table: first the sums along each row, a thread for each row.
__global__ void sum_rows(int count, const REAL* images, int height, int width,
                         double* table)
{
    int index = INDEX;
    if (index >= count) return;
    int plane = index / (height + 1), row = index % (height + 1);
    double* sums = table + (long long)index * (width + 1);
    const REAL* pixels = images
        + ((long long)plane * height + row - 1) * width;
    sums[0] = 0;
    for (int x = 0; x < width; ++x)
        sums[x + 1] = row == 0 ? 0 : sums[x] + (double)pixels[x];
}

// Then the sums over rows, a thread for each column.
__global__ void sum_columns(int count, int height, int width, double* table)
{
    int index = INDEX;
    if (index >= count) return;
    int plane = index / (width + 1), column = index % (width + 1);
    double* sums = table + (long long)plane * (height + 1) * (width + 1)
        + column;
    for (int y = 0; y < height; ++y)
        sums[(long long)(y + 1) * (width + 1)]
            += sums[(long long)y * (width + 1)];
}

// A thread for each of the B x k x C x g x g values of the retina.
__global__ void glimpse(int count, const REAL* images, const double* table,
                        const REAL* locations, int channels, int height,
                        int width, int values, int size, int factor,
                        REAL* retina)
{
    int i = INDEX;
    if (i >= count) return;
    int b = i / values;
    retina[i] = read_patch(images, table, b, i % values, locations[2 * b],
                           locations[2 * b + 1], channels, height, width,
                           size, factor);
}

}
'''


def sum_up(images: Any, table: Any) -> None:
    """See :func:`ram.functions.glimpse.summed_area_table`; fills ``table``."""
    batch, channels, height, width = images.shape
    launch(SOURCE, 'sum_rows', batch * channels * (height + 1), images.dtype,
           images, height, width, table)
    launch(SOURCE, 'sum_columns', batch * channels * (width + 1),
           images.dtype, height, width, table)


def glimpse(images: Any, locations: Any, factor: int, table: Any,
            retina: Any) -> None:
    """See :func:`ram.functions.glimpse.glimpse`; fills ``retina``."""
    _, channels, height, width = images.shape
    launch(SOURCE, 'glimpse', retina.size, images.dtype, images,
           retina if table is None else table, locations, channels, height,
           width, retina[0].size, retina.shape[-1], factor, retina)
