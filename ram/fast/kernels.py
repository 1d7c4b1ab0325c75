"""CUDA kernels: the operations of :mod:`ram.fast.elementwise` on a GPU.

One launch each, where CuPy's own operations would take several. Arrays are
C-contiguous, except that rows of (B, width) arrays may be parts of wider rows.
Their dtype is that of the weights, float32 or float64.

The gates of an LSTM stay in Chainer's interleaved order (cell input, input,
forget and output gate of each unit), so that weights and gradients need no
copies: the sums of the gates are (B, 4 units), in the first step too.
"""

import chainer

from ram.functions import glimpse_kernels
from ram.functions.cuda import launch

GATE_MAJOR = False
MEAN_PARTS = 8  # threads that share the sums of an image's mean

SOURCE = glimpse_kernels.DEVICE + r'''
__device__ REAL sigmoid(REAL x)
{
    return (REAL)0.5 * tanh((REAL)0.5 * x) + (REAL)0.5;
}

__device__ REAL rectified(REAL x)
{
    return x < (REAL)0 ? (REAL)0 : x;  // NaN stays
}

extern "C" {

// The weights of the glimpse vector side by side, and the sum of the biases.
__global__ void join(int count, int what, int width, const REAL* what_w,
                     const REAL* where_w, const REAL* what_b,
                     const REAL* where_b, REAL* w, REAL* b)
{
    int i = INDEX;
    if (i >= count) return;
    int row = i / width, column = i % width;
    w[i] = column < what ? what_w[row * what + column]
                         : where_w[row * (width - what) + column - what];
    if (column == 0) b[row] = what_b[row] + where_b[row];
}

// The first `codes` threads encode the location, one for each unit of each
// image; the others read the retina. Each computes the location that it
// needs: from the sums of the policy, or (without parts) as it was sampled.
__global__ void look(int count, int codes, int units, int values, int parts,
                     const REAL* sums, const REAL* mean_b, const REAL* noise,
                     REAL std, int squash, REAL* mean, REAL* sampled,
                     const REAL* w, const REAL* b, REAL* clipped,
                     REAL* locations, REAL* out, int out_row,
                     const REAL* images, const double* table,
                     int channels, int height, int width, int size,
                     int factor, REAL* retina)
{
    int i = INDEX;
    if (i >= count) return;
    int row = i < codes ? i / units : (i - codes) / values;
    bool writes = i < codes && i % units == 0;
    REAL at[2];
    for (int axis = 0; axis < 2; ++axis) {
        int k = 2 * row + axis;
        REAL l;
        if (parts) {
            REAL sum = 0;
            for (int part = 0; part < parts; ++part)
                sum += sums[2 * (row * parts + part) + axis];
            REAL m = sum + mean_b[axis];
            if (squash) m = tanh(m);
            l = noise[k] * std + m;
            if (writes) {
                mean[k] = m;
                sampled[k] = l;
            }
        } else {
            l = sampled[k];
        }
        l = l < (REAL)-1 ? (REAL)-1 : l > (REAL)1 ? (REAL)1 : l;  // NaN stays
        at[axis] = l;
        if (writes) {
            clipped[k] = l;
            locations[k] = l;
        }
    }
    if (i < codes) {
        int unit = i % units;
        REAL y = b[unit] + at[0] * w[2 * unit];
        out[row * out_row + unit] = rectified(y + at[1] * w[2 * unit + 1]);
    } else {
        i -= codes;
        retina[i] = read_patch(images, table, row, i % values, at[0], at[1],
                               channels, height, width, size, factor);
    }
}

__global__ void rectify(int count, int width, const REAL* z, const REAL* b,
                        REAL* out, int out_row, REAL* copy, int copy_row)
{
    int i = INDEX;
    if (i >= count) return;
    int row = i / width, column = i % width;
    REAL y = rectified(z[i] + b[column]);
    out[row * out_row + column] = y;
    copy[row * copy_row + column] = y;
}

// d is the sum of `terms` gradients, one or two.
__global__ void rectify_backward(int count, int width, const REAL* y,
                                 int y_row, REAL* out, int out_row, int terms,
                                 const REAL* d, int d_row, const REAL* d2,
                                 int d2_row)
{
    int i = INDEX;
    if (i >= count) return;
    int row = i / width, column = i % width;
    REAL sum = d[row * d_row + column];
    if (terms == 2) sum += d2[row * d2_row + column];
    out[row * out_row + column] = sum
        * (y[row * y_row + column] > (REAL)0 ? (REAL)1 : (REAL)0);
}

// A thread for each unit, whose four gates are neighbours: a, i, f, o. In the
// first step there is nothing to forget.
__global__ void lstm(int count, int units, int is_first, REAL* z,
                     const REAL* bias, const REAL* c, REAL* next_c,
                     REAL* tanh_c, REAL* out, int out_row, REAL* copy,
                     int copy_row)
{
    int index = INDEX;
    if (index >= count) return;
    int row = index / units, u = index % units;
    REAL* sums = z + 4 * (long long)index;
    bias += 4 * u;
    REAL a = tanh(sums[0] + bias[0]);
    REAL i = sigmoid(sums[1] + bias[1]);
    REAL f = sigmoid(sums[2] + bias[2]);
    REAL o = sigmoid(sums[3] + bias[3]);
    sums[0] = a;
    sums[1] = i;
    sums[2] = f;
    sums[3] = o;
    REAL now = i * a;
    if (!is_first) now += f * c[index];
    REAL t = tanh(now);
    next_c[index] = now;
    tanh_c[index] = t;
    out[row * out_row + u] = o * t;
    copy[row * copy_row + u] = o * t;
}

// The gradient of h is the sum of `terms` gradients; after the last step
// there is none of c.
__global__ void lstm_backward(int count, int units, int is_first,
                              int is_last, const REAL* z, const REAL* c,
                              const REAL* tanh_c, REAL* dc, REAL* dz,
                              int terms, const REAL* dh, int dh_row,
                              const REAL* dh2, int dh2_row)
{
    int index = INDEX;
    if (index >= count) return;
    int row = index / units, u = index % units;
    const REAL* gates = z + 4 * (long long)index;
    REAL* d_sums = dz + 4 * (long long)index;
    REAL a = gates[0], i = gates[1], f = gates[2], o = gates[3];
    REAL t = tanh_c[index], h = dh[row * dh_row + u];
    if (terms == 2) h += dh2[row * dh2_row + u];
    REAL d = (1 - t * t) * o * h;
    if (!is_last) d += dc[index];
    d_sums[0] = (1 - a * a) * i * d;
    d_sums[1] = d * a * ((1 - i) * i);
    d_sums[2] = is_first ? (REAL)0 : d * c[index] * ((1 - f) * f);
    d_sums[3] = h * t * ((1 - o) * o);
    dc[index] = d * f;
}

// A thread for every `parts`-th unit of an image: their share of the sums of
// the policy's mean. A hidden layer is rectified first.
__global__ void mean_sums(int count, int parts, int width, const REAL* inputs,
                          int is_hidden, const REAL* b, REAL* hidden,
                          const REAL* w, REAL* sums)
{
    int i = INDEX;
    if (i >= count) return;
    long long row = (long long)(i / parts) * width;
    REAL x = 0, y = 0;
    for (int u = i % parts; u < width; u += parts) {
        REAL h = inputs[row + u];
        if (is_hidden) {
            h = rectified(h + b[u]);
            hidden[row + u] = h;
        }
        x += h * w[u];
        y += h * w[width + u];
    }
    sums[2 * i] = x;
    sums[2 * i + 1] = y;
}

}
'''


def _launch(name, count, array, *arguments):
    launch(SOURCE, name, count, array.dtype, *arguments)


def _row(array):
    """Number of elements from one row to the next."""
    return array.strides[0] // array.itemsize


def _two(arrays):
    """Number, first and last of one or two arrays, with their rows."""
    first, last = arrays[0], arrays[-1]
    return len(arrays), first, _row(first), last, _row(last)


def sum_up(images, table):
    """See :func:`ram.functions.glimpse.summed_area_table`; C-contiguous."""
    if table is None:
        batch, channels, height, width = images.shape
        xp = chainer.backend.get_array_module(images)
        table = xp.empty((batch, channels, height + 1, width + 1), 'float64')
    glimpse_kernels.sum_up(images, table)
    return table


def join(what_W, where_W, what_b, where_b, W, b):
    """See :func:`ram.fast.elementwise.join`."""
    _launch('join', W.size, W, what_W.shape[1], W.shape[1], what_W, where_W,
            what_b, where_b, W, b)


def look(images, table, factor, policy, sampled, W, b, clipped, locations,
         buffer, code, retina):
    """See :func:`ram.fast.elementwise.look`."""
    _, channels, height, width = images.shape
    # Without a policy its arrays are not read.
    policy_arguments = (
        [0] + 3 * [sampled] + [sampled.dtype.type(0), 0, sampled]
        if policy is None else
        [policy.sums.shape[1], policy.sums, policy.b, policy.noise,
         sampled.dtype.type(policy.std), int(policy.squash),
         policy.mean])
    _launch('look', code.size + retina.size, code, code.size, code.shape[1],
            retina[0].size, *policy_arguments, sampled, W, b, clipped,
            locations, code, _row(code), images,
            retina if table is None else table, channels, height, width,
            retina.shape[-1], factor, retina)


def rectify(z, b, *outs):
    """See :func:`ram.fast.elementwise.rectify`; one or two outs."""
    _launch('rectify', z.size, z, z.shape[1], z, b, *_two(outs)[1:])


def rectify_backward(y, out, *terms):
    """See :func:`ram.fast.elementwise.rectify_backward`."""
    _launch('rectify_backward', out.size, out, out.shape[1], y, _row(y), out,
            _row(out), *_two(terms))


def lstm(z, b, c, next_c, tanh_c, buffer, *outs):
    """See :func:`ram.fast.elementwise.lstm`; one or two outs."""
    _launch('lstm', next_c.size, z, next_c.shape[1], int(c is None), z, b,
            next_c if c is None else c, next_c, tanh_c, *_two(outs)[1:])


def lstm_backward(z, c, tanh_c, terms, is_last, dc, dz, buffers):
    """See :func:`ram.fast.elementwise.lstm_backward`."""
    _launch('lstm_backward', dc.size, z, dc.shape[1], int(c is None),
            int(is_last), z, dc if c is None else c, tanh_c, dc, dz,
            *_two(terms))


def mean_sums(inputs, b, hidden, W, sums):
    """See :func:`ram.fast.elementwise.mean_sums`."""
    parts = sums.shape[1]
    _launch('mean_sums', len(sums) * parts, sums, parts, inputs.shape[1],
            inputs, int(b is not None), W if b is None else b,
            W if b is None else hidden, W, sums)
