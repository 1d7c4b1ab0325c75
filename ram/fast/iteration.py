"""CUDA kernels: what a training iteration does besides the rollout.

Chance, images, loss and update, for arrays that stay on the GPU. Nothing here
waits for the host or asks it for a number: what changes from one iteration to
the next is read from the GPU's own memory, where :func:`tally` moves the clock
on. So the launches of an iteration may be recorded once and replayed.

The clock, (2,) int64, is the number of iterations since the plan was made and
the number of all that came before. Chance is Philox 4x32-10 (Salmon et al.,
"Parallel random numbers: as easy as 1, 2, 3", 2011): a function of a counter
and a key. Its counter is block, iteration, stream and rank, and its key the
seed, so no state need be kept, and no two draws of a run have the same.
"""

import numpy

from ram.functions.cuda import launch

# Columns of the loss's rows, one for each image: sums over its decisions.
COLUMNS = ('action', 'reinforce', 'baseline', 'right', 'x', 'y', 'xx', 'yy',
           'outside')
# What is summed over iterations; the last is their number.
TERMS = ('loss', 'loss/action', 'loss/reinforce', 'loss/baseline', 'accuracy',
         'location/x', 'location/y', 'location/spread', 'location/outside',
         'iterations')
# A window of an image: index of the image, its first row and column there,
# and its first row and column on the canvas.
WINDOW = 5
LANES = 2 ** 14  # partial sums of the gradient's square

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

// Four words of this iteration; key is the seed's two halves and the rank.
__device__ void draw_block(unsigned block, const long long* clock,
                           const unsigned* key, unsigned stream, unsigned* c)
{
    c[0] = block;
    c[1] = (unsigned)clock[1];
    c[2] = stream;
    c[3] = key[2];
    philox(c, key[0], key[1]);
}

// One of n numbers from 0 on, as likely as the others but for n / 2^32.
__device__ int pick(unsigned word, int n)
{
    return (int)(((unsigned long long)word * n) >> 32);
}

// A value between the pixels of a plane, of which all but the inside is zero.
__device__ REAL between(const unsigned char* plane, int height, int width,
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

__global__ void philox_blocks(int count, const unsigned* key, unsigned* c)
{
    int i = INDEX;
    if (i >= count) return;
    philox(c + 4 * (long long)i, key[2 * i], key[2 * i + 1]);
}

// A thread for four numbers: normal ones times the iteration's scale, or
// uniform ones in [-1, 1).
__global__ void draw(int count, int size, const long long* clock,
                     const unsigned* key, unsigned stream, int first_block,
                     int normal, const REAL* scales, REAL* out)
{
    int i = INDEX;
    if (i >= count) return;
    unsigned words[4];
    draw_block(first_block + i, clock, key, stream, words);
    REAL values[4], scale = scales[clock[0]];
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

// A thread for each window of each image: the clutter, then the image.
__global__ void place(int count, const long long* clock, const unsigned* key,
                      unsigned stream, const int* order, const int* labels,
                      int images, int patches, int patch, int height,
                      int width, int rows, int columns, int shift,
                      int* windows, int* batch_labels)
{
    int i = INDEX;
    if (i >= count) return;
    int b = i / (patches + 1), j = i % (patches + 1);
    int batch = count / (patches + 1);
    int* window = windows + 5 * (long long)i;
    unsigned words[4];
    draw_block(2 * i, clock, key, stream, words);
    if (j < patches) {
        window[0] = pick(words[2], images);
        window[3] = pick(words[0], rows - patch + 1);
        window[4] = pick(words[1], columns - patch + 1);
        draw_block(2 * i + 1, clock, key, stream, words);
        window[1] = pick(words[0], height - patch + 1);
        window[2] = pick(words[1], width - patch + 1);
        return;
    }
    window[0] = order[clock[0] * batch + b];
    window[1] = window[2] = 0;
    window[3] = pick(words[0], rows - height + 2 * shift + 1) - shift;
    window[4] = pick(words[1], columns - width + 2 * shift + 1) - shift;
    batch_labels[b] = labels[window[0]];
}

// A thread for each pixel: the sum of all windows that cover it, at most 1.
// The image is warped by the identity and `warp` times its map.
__global__ void paint(int count, const unsigned char* source,
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
            sum += between(plane, height, width,
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

// A thread for each image: its terms of the loss, in a row of `rows`, and
// their gradients. Logits and values come without bias, and leave as
// gradients.
__global__ void loss(int count, int classes, int decisions,
                     const long long* clock, const REAL* stds,
                     const int* labels, REAL* logits, const REAL* logits_b,
                     const REAL* drawn, const REAL* means, REAL* values,
                     const REAL* value_b, double reinforce_weight,
                     double baseline_weight, int probability, REAL* d_means,
                     double* rows)
{
    int b = INDEX;
    if (b >= count) return;
    int label = labels[b], best = 0;
    REAL* scores = logits + (long long)b * classes;
    for (int k = 0; k < classes; ++k) {
        scores[k] += logits_b[k];
        if (scores[k] > scores[best]) best = k;
    }
    REAL top = scores[best], sum = 0;
    for (int k = 0; k < classes; ++k) sum += exp(scores[k] - top);
    double action = log((double)sum) - (double)(scores[label] - top);
    for (int k = 0; k < classes; ++k)
        scores[k] = (exp(scores[k] - top) / sum
                     - (k == label ? (REAL)1 : (REAL)0)) / (REAL)count;
    REAL right = best == label ? (REAL)1 : (REAL)0;
    REAL reward = probability ? (REAL)exp(-action) : right;
    REAL std = stds[clock[0]];
    double constant = log(6.283185307179586 * (double)std * (double)std);
    double reinforce = 0, baseline = 0, outside = 0;
    double x_sum = 0, y_sum = 0, xx_sum = 0, yy_sum = 0;
    for (int i = 0; i < decisions; ++i) {
        long long at = (long long)i * count + b;
        REAL x = drawn[2 * at], y = drawn[2 * at + 1];
        REAL z_x = (x - means[2 * at]) / std;
        REAL z_y = (y - means[2 * at + 1]) / std;
        REAL advantage = reward - (values[at] + value_b[0]);
        reinforce += ((double)(z_x * z_x + z_y * z_y) / 2 + constant)
                     * advantage;
        baseline += (double)(advantage * advantage);
        REAL share = (REAL)reinforce_weight * advantage
                     / ((REAL)count * std);
        d_means[2 * at] = -share * z_x;
        d_means[2 * at + 1] = -share * z_y;
        values[at] = (REAL)-2 * (REAL)baseline_weight * advantage
                     / ((REAL)decisions * (REAL)count);
        x_sum += x;
        y_sum += y;
        xx_sum += (double)x * x;
        yy_sum += (double)y * y;
        outside += x < (REAL)-1 || x > (REAL)1 || y < (REAL)-1 || y > (REAL)1;
    }
    double* row = rows + 9 * (long long)b;
    row[0] = action;
    row[1] = reinforce;
    row[2] = baseline;
    row[3] = right;
    row[4] = x_sum;
    row[5] = y_sum;
    row[6] = xx_sum;
    row[7] = yy_sum;
    row[8] = outside;
}

// A thread for each lane.
__global__ void squares(int count, int size, const REAL* gradient,
                        double* lanes)
{
    int lane = INDEX;
    if (lane >= count) return;
    double sum = 0;
    for (int i = lane; i < size; i += count)
        sum += (double)gradient[i] * gradient[i];
    lanes[lane] = sum;
}

// A thread for each weight. A clip of 0 is none, and so is a decay of 0.
__global__ void adam(int count, const long long* clock, const REAL* rates,
                     const double* square, double clip, REAL new1, REAL new2,
                     REAL eps, const REAL* gradient, REAL* m, REAL* v,
                     REAL* weights, double decay, REAL* average)
{
    int i = INDEX;
    if (i >= count) return;
    double norm = sqrt(square[0]);
    REAL g = gradient[i];
    if (clip > 0 && norm > clip) g *= (REAL)(clip / norm);
    REAL m_now = m[i] + new1 * (g - m[i]);
    REAL v_now = v[i] + new2 * (g * g - v[i]);
    m[i] = m_now;
    v[i] = v_now;
    REAL w = weights[i] - m_now / (sqrt(v_now) + eps) * rates[clock[0]];
    weights[i] = w;
    if (decay > 0) {
        double t = (double)(clock[1] + 1), share = t / (t + 10);
        if (share > decay) share = decay;
        average[i] += (REAL)(1 - share) * (w - average[i]);
    }
}

// One thread, the last of an iteration: adds its means to the sums, notes
// the first loss that is no number, and moves the clock on.
__global__ void tally(int count, int batch, int decisions,
                      double reinforce_weight, double baseline_weight,
                      const double* totals, double* sums, double* lost,
                      long long* clock)
{
    if (INDEX >= count) return;
    double n = (double)batch, all = n * (decisions > 0 ? decisions : 1);
    double action = totals[0] / n, reinforce = totals[1] / n;
    double baseline = totals[2] / all;
    double loss = action + reinforce_weight * reinforce
                  + baseline_weight * baseline;
    double x = totals[4] / all, y = totals[5] / all;
    double xx = totals[6] / all - x * x, yy = totals[7] / all - y * y;
    sums[0] += loss;
    sums[1] += action;
    sums[2] += reinforce;
    sums[3] += baseline;
    sums[4] += totals[3] / n;
    sums[5] += x;
    sums[6] += y;
    sums[7] += (sqrt(xx > 0 ? xx : 0) + sqrt(yy > 0 ? yy : 0)) / 2;
    sums[8] += totals[8] / all;
    sums[9] += 1;
    if (loss - loss != 0 && lost[0] == 0) {
        lost[0] = (double)(clock[1] + 1);
        lost[1] = loss;
    }
    clock[0] += 1;
    clock[1] += 1;
}

}
'''


def philox(counters, keys):
    """Replaces counters by what Philox makes of them.

    Args:
        counters (array): (N, 4) uint32.
        keys (array): (N, 2) uint32.

    """
    launch(SOURCE, 'philox_blocks', len(counters), numpy.dtype('f'), keys,
           counters)


def blocks(size):
    """Blocks of four words that as many numbers take."""
    return (size + 3) // 4


def draw(clock, key, stream, first_block, normal, scales, out):
    """Fills an array with this iteration's chance.

    Args:
        clock (array): See above.
        key (array): (3,) uint32: the seed's lower and upper half, the rank.
        stream (int): Number of the stream, below 2^32.
        first_block (int): Number of the first block that is used.
        normal (bool): Standard normal, or else uniform in [-1, 1).
        scales (array): (iterations of the plan,): what normal ones are
            multiplied by.
        out (array): Of any shape, contiguous.

    """
    launch(SOURCE, 'draw', blocks(out.size), out.dtype, out.size, clock, key,
           numpy.uint32(stream), first_block, int(normal), scales, out)


def place(clock, key, stream, order, split, data, windows, labels):
    """Chooses the images of a batch, their clutter, and all their places.

    As :func:`ram.data.splits.make_canvases` and :func:`ram.data.canvas.shift`
    do it, with other chance.

    Args:
        clock (array): See above.
        key (array): As for :func:`draw`.
        stream (int): Likewise.
        order (array): (iterations, B) int32: which images, in this plan.
        split (ram.data.splits.Split): Training images, on the GPU.
        data (ram.config.DataConfig): Which canvases.
        windows (array): (B, patches + 1, WINDOW) int32: they go there.
        labels (array): (B,) int32: those of the images go there.

    """
    height, width = data.image_size
    launch(SOURCE, 'place', windows.size // WINDOW, numpy.dtype('f'), clock,
           key, numpy.uint32(stream), order, split.labels, len(split.labels),
           windows.shape[1] - 1, data.clutter_size, height, width,
           *data.canvas_size, data.shift, windows, labels)


def paint(split, data, windows, maps, canvases):
    """Puts windows of images together, warped where the data say so.

    As :func:`ram.data.canvas.warp` does it, with other chance.

    Args:
        split (ram.data.splits.Split): Training images, on the GPU.
        data (ram.config.DataConfig): Which canvases.
        windows (array): (B, patches + 1, WINDOW) int32, by :func:`place`.
        maps (array): (B, 4) uniform in [-1, 1), of the canvases' dtype: what
            the images are warped by, over ``data.warp``.
        canvases (array): (B, C, H, W) float in [0, 1]: they go there.

    """
    height, width = data.image_size
    launch(SOURCE, 'paint', canvases.size, canvases.dtype, split.images,
           windows, windows.shape[1] - 1, data.clutter_size, data.channels,
           height, width, *data.canvas_size, canvases.dtype.type(data.warp),
           maps, canvases)


def loss(clock, stds, labels, logits, logits_b, drawn, means, values, value_b,
         reinforce_weight, baseline_weight, reward, d_means, rows):
    """The terms of :func:`ram.losses.hybrid_loss`, and their gradients.

    Args:
        clock (array): See above.
        stds (array): (iterations of the plan,).
        labels (array): (B,) int32.
        logits (array): (B, K) without bias; replaced by their gradient.
        logits_b (array): (K,) the bias.
        drawn (array): (T - 1, B, 2) the policy's choices.
        means (array): (T - 1, B, 2).
        values (array): (T - 1, B) baselines without bias; replaced by their
            gradient.
        value_b (array): (1,) the bias.
        reinforce_weight (float): Weight of the term.
        baseline_weight (float): Likewise.
        reward (str): Kind of the reward, as for :func:`ram.losses.reward`.
        d_means (array): (T - 1, B, 2): the means' gradient goes there.
        rows (array): (B, columns) float64: for :func:`tally`.

    """
    batch, classes = logits.shape
    launch(SOURCE, 'loss', batch, logits.dtype, classes, len(means), clock,
           stds, labels, logits, logits_b, drawn, means, values, value_b,
           numpy.float64(reinforce_weight), numpy.float64(baseline_weight),
           int(reward == 'probability'), d_means, rows)


def squares(gradient, lanes):
    """Sums of a vector's squares, every LANES-th in one of ``lanes``."""
    launch(SOURCE, 'squares', len(lanes), gradient.dtype, gradient.size,
           gradient, lanes)


def adam(clock, rates, square, clip, hyperparam, gradient, m, v, weights,
         decay, average):
    """Clips the gradient, updates the weights, and follows their average.

    Args:
        clock (array): See above.
        rates (array): (iterations of the plan,): rates with Adam's
            correction.
        square (array): () float64, of the gradient's norm.
        clip (float): Largest norm; 0 for none.
        hyperparam (chainer.optimizer.Hyperparameter): beta1, beta2 and eps.
        gradient (array): (n,), left as it is, and so on:
        m (array): Mean of the gradients.
        v (array): Mean of their squares.
        weights (array): The weights.
        decay (float): Of the average; 0 for none.
        average (array): It.

    """
    real = weights.dtype.type
    launch(SOURCE, 'adam', weights.size, weights.dtype, clock, rates, square,
           numpy.float64(clip), real(1 - hyperparam.beta1),
           real(1 - hyperparam.beta2), real(hyperparam.eps), gradient, m, v,
           weights, numpy.float64(decay), average)


def tally(batch, decisions, reinforce_weight, baseline_weight, totals, sums,
          lost, clock):
    """Ends an iteration.

    Args:
        batch (int): B.
        decisions (int): T - 1.
        reinforce_weight (float): Weight of the term.
        baseline_weight (float): Likewise.
        totals (array): (columns,) float64: sum of the loss's rows.
        sums (array): (terms,) float64: sums over iterations, added to.
        lost (array): (2,) float64: iteration and value of the first loss that
            is no number; zeros so far.
        clock (array): See above; moved on.

    """
    launch(SOURCE, 'tally', 1, numpy.dtype('f'), batch, decisions,
           numpy.float64(reinforce_weight), numpy.float64(baseline_weight),
           totals, sums, lost, clock)
