"""CUDA kernels that make a batch: randomness, windows of images, canvases.

Nothing here waits for the host: what changes from one iteration to the next is
read from the GPU's memory, so the launches of an iteration can be recorded
once and replayed. ``counter``, (2,) int64, holds the iterations since the
schedule was written and those of the whole run. The last kernel of an
iteration advances it; what that kernel reads itself is ``now``, its copy.

Random numbers are Philox 4x32-10 (Salmon et al., "Parallel random numbers: as
easy as 1, 2, 3", 2011), a function of a counter (block, iteration, stream,
rank) and a key (the seed). There is no state to save, and no two samples of a
run share a counter.
"""

from typing import List, NamedTuple

import numpy

from ram.config import DataConfig
from ram.data.splits import Split
from ram.devices import Array
from ram.functions.cuda import launch

# Of the canvases that these kernels compose.
VARIANTS = ('original', 'translated', 'cluttered')
# A window of an image: index of the image, its first row and column there,
# and its first row and column on the canvas.
WINDOW = 5

SOURCE = r'''
#define INDEX (blockIdx.x * blockDim.x + threadIdx.x)

__device__ void philox(unsigned* c, unsigned key0, unsigned key1)
{
    for (int round = 0; round < 10; ++round) {
        unsigned long long a = 0xD2511F53ull * c[0];
        unsigned long long b = 0xCD9E8D57ull * c[2];
        unsigned c0 = (unsigned)(b >> 32) ^ c[1] ^ key0;
        unsigned c2 = (unsigned)(a >> 32) ^ c[3] ^ key1;
        c[0] = c0;
        c[1] = (unsigned)b;
        c[2] = c2;
        c[3] = (unsigned)a;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
}

// Four random words of this iteration; key is the two halves of the seed and
// the rank.
__device__ void random_block(unsigned block, const long long* counter,
                           const unsigned* key, unsigned stream, unsigned* c)
{
    c[0] = block;
    c[1] = (unsigned)counter[1];
    c[2] = stream;
    c[3] = key[2];
    philox(c, key[0], key[1]);
}

// Four numbers: standard normal times the iteration's scale, or uniform in
// [-1, 1).
__device__ void sample_block(int i, const long long* counter,
                             const unsigned* key, const REAL* scales,
                             int size, unsigned stream, int first_block,
                             int normal, REAL* out)
{
    unsigned words[4];
    random_block(first_block + i, counter, key, stream, words);
    REAL values[4], scale = scales[counter[0]];
    for (int j = 0; j < 4; j += 2) {
        // 24 bits, which a float holds: in [0, 1).
        REAL u = (REAL)(words[j] >> 8) / (REAL)16777216;
        REAL v = (REAL)(words[j + 1] >> 8) / (REAL)16777216;
        if (normal) {  // Box and Muller
            REAL radius = scale * sqrt((REAL)-2 * log((REAL)1 - u));
            REAL angle = (REAL)6.283185307179586 * v;
            values[j] = radius * cos(angle);
            values[j + 1] = radius * sin(angle);
        } else {
            values[j] = (REAL)2 * u - (REAL)1;
            values[j + 1] = (REAL)2 * v - (REAL)1;
        }
    }
    for (int j = 0; j < 4 && 4 * i + j < size; ++j)
        out[4 * i + j] = values[j];
}

// A number below n, uniform up to n / 2^32.
__device__ int pick(unsigned word, int n)
{
    return (int)(((unsigned long long)word * n) >> 32);
}

// Bilinear interpolation between the pixels of a plane; outside is zero.
__device__ REAL interpolate(const unsigned char* plane, int height, int width,
                        REAL y, REAL x)
{
    int top = (int)floor(y), left = (int)floor(x);
    REAL sum = 0;
    for (int i = top; i <= top + 1; ++i)
        for (int j = left; j <= left + 1; ++j)
            if (i >= 0 && i < height && j >= 0 && j < width)
                sum += ((REAL)1 - fabs(y - (REAL)i))
                       * ((REAL)1 - fabs(x - (REAL)j))
                       * (REAL)plane[i * width + j];
    return sum;
}

extern "C" {

// A thread for four numbers of one of three draws, see Draw.
__global__ void sample(int count, const long long* counter,
                       const unsigned* key, const REAL* scales,
                       int size0, unsigned stream0, int first0, int normal0,
                       REAL* out0, int size1, unsigned stream1, int first1,
                       int normal1, REAL* out1, int size2, unsigned stream2,
                       int first2, int normal2, REAL* out2)
{
    int i = INDEX;
    if (i >= count) return;
    if (i < (size0 + 3) / 4) {
        sample_block(i, counter, key, scales, size0, stream0, first0, normal0,
                     out0);
        return;
    }
    i -= (size0 + 3) / 4;
    if (i < (size1 + 3) / 4)
        sample_block(i, counter, key, scales, size1, stream1, first1, normal1,
                     out1);
    else
        sample_block(i - (size1 + 3) / 4, counter, key, scales, size2,
                     stream2, first2, normal2, out2);
}

// A thread for each window of each image: the clutter, then the image.
__global__ void sample_windows(
    int count, const long long* counter, const unsigned* key, unsigned stream,
    const int* order, const int* labels, int images, int patches, int patch,
    int height, int width, int rows, int columns, int shift, int* windows,
    int* batch_labels, long long* now)
{
    int i = INDEX;
    if (i >= count) return;
    if (i == 0) {
        now[0] = counter[0];
        now[1] = counter[1];
    }
    int b = i / (patches + 1), j = i % (patches + 1);
    int batch = count / (patches + 1);
    int* window = windows + 5 * (long long)i;
    unsigned words[4];
    random_block(2 * i, counter, key, stream, words);
    if (j < patches) {
        window[0] = pick(words[2], images);
        window[3] = pick(words[0], rows - patch + 1);
        window[4] = pick(words[1], columns - patch + 1);
        random_block(2 * i + 1, counter, key, stream, words);
        window[1] = pick(words[0], height - patch + 1);
        window[2] = pick(words[1], width - patch + 1);
        return;
    }
    window[0] = order[counter[0] * batch + b];
    window[1] = window[2] = 0;
    window[3] = pick(words[0], rows - height + 2 * shift + 1) - shift;
    window[4] = pick(words[1], columns - width + 2 * shift + 1) - shift;
    batch_labels[b] = labels[window[0]];
}

// A thread for each pixel: the sum of all windows that cover it, at most 1.
// The image is warped by the identity and `warp` times its map.
__global__ void compose_canvases(int count, const unsigned char* source,
                      const int* windows, int patches, int patch,
                      int channels, int height, int width, int rows,
                      int columns, REAL warp, const REAL* maps,
                      REAL* canvases)
{
    int i = INDEX;
    if (i >= count) return;
    int x = i % columns, y = i / columns % rows;
    int c = i / columns / rows % channels, b = i / columns / rows / channels;
    REAL sum = 0;
    for (int j = 0; j <= patches; ++j) {
        const int* window = windows + 5 * ((long long)b * (patches + 1) + j);
        int down = y - window[3], right = x - window[4];
        if (down < 0 || down >= (j < patches ? patch : height) || right < 0
            || right >= (j < patches ? patch : width)) continue;
        const unsigned char* plane = source
            + ((long long)window[0] * channels + c) * height * width;
        if (j == patches && warp > (REAL)0) {
            const REAL* map = maps + 4 * (long long)b;
            REAL middle_y = (REAL)(height - 1) / (REAL)2;
            REAL middle_x = (REAL)(width - 1) / (REAL)2;
            REAL dy = (REAL)down - middle_y, dx = (REAL)right - middle_x;
            sum += interpolate(plane, height, width,
                           middle_y + dy + warp * (map[0] * dy + map[1] * dx),
                           middle_x + dx + warp * (map[2] * dy + map[3] * dx))
                   / (REAL)255;
        } else {
            sum += (REAL)plane[(window[1] + down) * width + window[2] + right]
                   / (REAL)255;
        }
    }
    canvases[i] = sum > (REAL)1 ? (REAL)1 : sum;
}

}
'''


def blocks(size: int) -> int:
    """Number of blocks of four words for so many numbers."""
    return (size + 3) // 4


class Draw(NamedTuple):
    """Random numbers of one kind.

    Attributes:
        stream: Number of the stream, below 2^32.
        first_block: Number of the first block that is used.
        normal: Standard normal times a factor, or else uniform in [-1, 1).
        out: Contiguous, of any shape.

    """

    stream: int
    first_block: int
    normal: bool
    out: Array


def sample(counter: Array, key: Array, scales: Array, draws: List[Draw]
           ) -> None:
    """Fills one to three arrays with random numbers of this iteration.

    Args:
        counter: (2,) int64, see above.
        key: (3,) uint32: lower and upper half of the seed, rank.
        scales: (iterations of the schedule,) factors of the normal ones.
        draws: What to fill.

    """
    arguments = []
    for draw in draws:
        arguments += [draw.out.size, numpy.uint32(draw.stream),
                      draw.first_block, int(draw.normal), draw.out]
    for _ in range(len(draws), 3):
        arguments += [0, *arguments[1:5]]
    launch(SOURCE, 'sample', sum(blocks(draw.out.size) for draw in draws),
           scales.dtype, counter, key, scales, *arguments)


def sample_windows(counter: Array, key: Array, stream: int, order: Array,
                   split: Split, data: DataConfig, windows: Array,
                   labels: Array, now: Array) -> None:
    """Samples where the images of a batch and their clutter lie.

    The distribution is that of :func:`ram.data.splits.make_canvases` and
    :func:`ram.data.canvas.shift`.

    Args:
        counter: (2,) int64, see above.
        key: As for :func:`sample`.
        stream: Likewise.
        order: (iterations, B) int32 indices of the images.
        split: Training images, on the GPU.
        data: Which canvases.
        windows: (B, patches + 1, WINDOW) int32, written: clutter, then image.
        labels: (B,) int32, written.
        now: (2,) int64, written: a copy of the counter.

    """
    height, width = data.image_size
    launch(SOURCE, 'sample_windows', windows.size // WINDOW,
           numpy.dtype('f'), counter, key, numpy.uint32(stream), order,
           split.labels, len(split.labels), windows.shape[1] - 1,
           data.clutter_size, height, width, *data.canvas_size, data.shift,
           windows, labels, now)


def compose_canvases(split: Split, data: DataConfig, windows: Array,
                     maps: Array, canvases: Array) -> None:
    """Composes canvases from windows of images, warped if configured.

    Args:
        split: Training images, on the GPU.
        data: Which canvases.
        windows: (B, patches + 1, WINDOW) int32, by :func:`sample_windows`.
        maps: (B, 4) uniform in [-1, 1): linear maps of the warp, see
            :func:`ram.data.canvas.warp`, divided by ``data.warp``.
        canvases: (B, C, H, W) float in [0, 1], written.

    """
    height, width = data.image_size
    launch(SOURCE, 'compose_canvases', canvases.size, canvases.dtype,
           split.images, windows, windows.shape[1] - 1, data.clutter_size,
           data.channels, height, width, *data.canvas_size,
           canvases.dtype.type(data.warp), maps, canvases)
