"""CUDA kernels: the operations of :mod:`ram.fast.elementwise` on a GPU.

One launch each, where CuPy's own operations would take several. Arrays are
C-contiguous, except that rows of (B, width) arrays may be parts of wider rows
and that the gates of an LSTM may be gate-major or row by row. Their dtype is
that of the first argument, float32 or float64.
"""

from ram.functions.cuda import launch

GATE_MAJOR = False  # row by row: one product serves all gates

SOURCE = r'''
#define INDEX (blockIdx.x * blockDim.x + threadIdx.x)

__device__ REAL sigmoid(REAL x)
{
    return (REAL)0.5 * tanh((REAL)0.5 * x) + (REAL)0.5;
}

extern "C" {

// A thread for each unit of each image.
__global__ void encode_location(int count, int units, const REAL* sampled,
                                const REAL* w, const REAL* b, REAL* clipped,
                                REAL* locations, REAL* out, int out_row)
{
    int i = INDEX;
    if (i >= count) return;
    int row = i / units, unit = i % units;
    REAL y = b[unit];
    for (int axis = 0; axis < 2; ++axis) {
        REAL l = sampled[2 * row + axis];
        l = l < (REAL)-1 ? (REAL)-1 : l > (REAL)1 ? (REAL)1 : l;  // NaN stays
        y += l * w[2 * unit + axis];
        if (unit == 0) {
            clipped[2 * row + axis] = l;
            locations[2 * row + axis] = l;
        }
    }
    out[row * out_row + unit] = y < (REAL)0 ? (REAL)0 : y;
}

__global__ void rectify(int count, int width, const REAL* z, const REAL* b,
                        REAL* out, int out_row, REAL* copy, int copy_row)
{
    int i = INDEX;
    if (i >= count) return;
    int row = i / width, column = i % width;
    REAL y = z[i] + b[column];
    y = y < (REAL)0 ? (REAL)0 : y;  // NaN stays
    out[row * out_row + column] = y;
    copy[row * copy_row + column] = y;
}

__global__ void rectify_backward(int count, int width, const REAL* d,
                                 int d_row, const REAL* y, int y_row,
                                 REAL* out)
{
    int i = INDEX;
    if (i >= count) return;
    int row = i / width, column = i % width;
    out[i] = d[row * d_row + column]
             * (y[row * y_row + column] > (REAL)0 ? (REAL)1 : (REAL)0);
}

// The first step has three gates: there is nothing to forget.
__global__ void lstm(int count, int units, REAL* z, int gates, int z_gate,
                     int z_row, const REAL* bias, const REAL* c, REAL* next_c,
                     REAL* tanh_c, REAL* out, int out_row, REAL* copy,
                     int copy_row)
{
    int index = INDEX;
    if (index >= count) return;
    int row = index / units, u = index % units;
    REAL* sums = z + (long long)row * z_row + u;
    REAL kept = 0;
    if (gates == 4) {
        REAL f = sigmoid(sums[0] + bias[u]);
        sums[0] = f;
        kept = f * c[index];
        sums += z_gate;
        bias += units;
    }
    REAL i = sigmoid(sums[0] + bias[u]);
    REAL o = sigmoid(sums[z_gate] + bias[units + u]);
    REAL a = tanh(sums[2 * z_gate] + bias[2 * units + u]);
    sums[0] = i;
    sums[z_gate] = o;
    sums[2 * z_gate] = a;
    REAL now = kept + i * a;
    REAL t = tanh(now);
    next_c[index] = now;
    tanh_c[index] = t;
    out[row * out_row + u] = o * t;
    copy[row * copy_row + u] = o * t;
}

__global__ void lstm_backward(int count, int units, const REAL* z, int gates,
                              int z_gate, int z_row, const REAL* c,
                              const REAL* tanh_c, const REAL* dh, int dh_row,
                              REAL* dc, REAL* dz, int dz_row)
{
    int index = INDEX;
    if (index >= count) return;
    int row = index / units, u = index % units;
    const REAL* let = z + (long long)row * z_row + u;
    REAL* d_sums = dz + (long long)row * dz_row + u;
    REAL f = 0;
    if (gates == 4) {
        f = let[0];
        let += z_gate;
        d_sums += units;
    }
    REAL i = let[0], o = let[z_gate], a = let[2 * z_gate];
    REAL t = tanh_c[index], h = dh[row * dh_row + u];
    REAL d = dc[index] + (1 - t * t) * o * h;
    d_sums[0] = d * a * ((1 - i) * i);
    d_sums[units] = h * t * ((1 - o) * o);
    d_sums[2 * units] = (1 - a * a) * i * d;
    if (gates == 4) {
        d_sums[-units] = d * c[index] * ((1 - f) * f);
        dc[index] = d * f;
    }
}

__global__ void sample_location(int count, const REAL* z, const REAL* b,
                       const REAL* noise, REAL std, int squash,
                       REAL* mean, REAL* sampled)
{
    int i = INDEX;
    if (i >= count) return;
    REAL m = z[i] + b[i % 2];
    if (squash) m = tanh(m);
    mean[i] = m;
    sampled[i] = noise[i] * std + m;
}

}
'''


def _launch(name, count, array, *arguments):
    launch(SOURCE, name, count, array.dtype, *arguments)


def _row(array):
    """Number of elements from one row to the next."""
    return array.strides[0] // array.itemsize


def _gates(z):
    """Number of gates; elements between gates, and between rows."""
    return (len(z), *(step // z.itemsize for step in z.strides[:2]))


def encode_location(sampled, W, b, clipped, locations, buffer, out):
    """See :func:`ram.fast.elementwise.encode_location`."""
    _launch('encode_location', out.size, sampled, out.shape[1], sampled, W, b,
            clipped, locations, out, _row(out))


def rectify(z, b, *outs):
    """See :func:`ram.fast.elementwise.rectify`; one or two outs."""
    out, copy = outs[0], outs[-1]
    _launch('rectify', z.size, z, z.shape[1], z, b, out, _row(out), copy,
            _row(copy))


def rectify_backward(d, y, out):
    """See :func:`ram.fast.elementwise.rectify_backward`."""
    _launch('rectify_backward', out.size, d, out.shape[1], d, _row(d), y,
            _row(y), out)


def lstm(z, b, c, next_c, tanh_c, buffer, *outs):
    """See :func:`ram.fast.elementwise.lstm`; one or two outs."""
    out, copy = outs[0], outs[-1]
    _launch('lstm', c.size, z, c.shape[1], z, *_gates(z), b, c, next_c,
            tanh_c, out, _row(out), copy, _row(copy))


def lstm_backward(z, c, tanh_c, dh, dc, dz, buffer, slopes):
    """See :func:`ram.fast.elementwise.lstm_backward`."""
    _launch('lstm_backward', c.size, z, c.shape[1], z, *_gates(z), c, tanh_c,
            dh, _row(dh), dc, dz, _row(dz))


def sample_location(z, b, noise, std, squash, mean, sampled):
    """See :func:`ram.fast.elementwise.sample_location`."""
    _launch('sample_location', z.size, z, z, b, noise, z.dtype.type(std),
            int(squash), mean, sampled)
