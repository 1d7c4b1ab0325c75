"""CUDA kernels that learn from a batch: loss, gradient norm, Adam, metrics.

See :mod:`ram.fast.batch_kernels` for ``counter`` and ``now``.
"""

from typing import Any, NamedTuple

import chainer
import numpy

from ram.devices import Array
from ram.functions.cuda import launch
from ram.losses import Objective

# What an iteration sums, a row of its table each: of each image, sums over
# its decisions.
ROWS = ('action', 'reinforce', 'baseline', 'correct', 'x', 'y', 'xx', 'yy',
        'outside', 'border')
# Sums over iterations; the last is their number.
TERMS = ('loss', 'loss/action', 'loss/reinforce', 'loss/baseline', 'accuracy',
         'location/x', 'location/y', 'location/spread', 'location/outside',
         'iterations')
REWARDS = ('correct', 'probability')
PARTIAL_SUMS = 2 ** 14  # of the gradient's squared norm: the last row

SOURCE = r'''
#define INDEX (blockIdx.x * blockDim.x + threadIdx.x)

// Adds the means of an iteration to the sums, records the first loss that is
// not finite, and advances the counter.
__device__ void accumulate_metrics(int batch, int decisions,
                      double reinforce_weight, double baseline_weight,
                      double border_weight, const double* totals, double* sums, double* not_finite,
                      long long* counter)
{
    double n = (double)batch, all = n * (decisions > 0 ? decisions : 1);
    double action = totals[0] / n, reinforce = totals[1] / n;
    double baseline = totals[2] / all;
    double loss = action + reinforce_weight * reinforce
                  + baseline_weight * baseline
                  + border_weight * totals[9] / n;
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
    if (loss - loss != 0 && not_finite[0] == 0) {
        not_finite[0] = (double)(counter[1] + 1);
        not_finite[1] = loss;
    }
    counter[0] += 1;
    counter[1] += 1;
}

extern "C" {

// A thread for each image: its terms of the loss, in a column of `table`,
// and their gradients. Logits and values come without bias, and leave as
// gradients.
__global__ void loss_and_gradients(int count, int classes, int decisions,
                     const long long* counter, const REAL* stds,
                     const int* labels, REAL* logits, const REAL* logits_b,
                     const REAL* sampled, const REAL* means, REAL* values,
                     const REAL* value_b, double reinforce_weight,
                     double baseline_weight, double border_weight,
                     int kind, int squash, REAL* d_sums,
                     double* table, int columns)
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
    REAL correct = best == label ? (REAL)1 : (REAL)0;
    // The kind is its place in REWARDS.
    REAL reward = kind == 1 ? (REAL)exp(-action) : correct;
    REAL std = stds[counter[0]];
    double constant = log(6.283185307179586 * (double)std * (double)std);
    double reinforce = 0, baseline = 0, outside = 0, border = 0;
    REAL pull = (REAL)(2 * border_weight) / (REAL)count;
    double x_sum = 0, y_sum = 0, xx_sum = 0, yy_sum = 0;
    for (int i = 0; i < decisions; ++i) {
        long long at = (long long)i * count + b;
        REAL x = sampled[2 * at], y = sampled[2 * at + 1];
        REAL mean_x = means[2 * at], mean_y = means[2 * at + 1];
        REAL z_x = (x - mean_x) / std, z_y = (y - mean_y) / std;
        REAL advantage = reward - (values[at] + value_b[0]);
        reinforce += ((double)(z_x * z_x + z_y * z_y) / 2 + constant)
                     * advantage;
        baseline += (double)(advantage * advantage);
        REAL share = (REAL)reinforce_weight * advantage
                     / ((REAL)count * std);
        // How far a mean is from a standard deviation inside the border.
        REAL over_x = fabs(mean_x) + std - 1, over_y = fabs(mean_y) + std - 1;
        if (over_x < 0) over_x = 0;
        if (over_y < 0) over_y = 0;
        border += (double)(over_x * over_x + over_y * over_y);
        REAL d_x = pull * over_x * ((mean_x > 0) - (mean_x < 0))
                   - share * z_x;
        REAL d_y = pull * over_y * ((mean_y > 0) - (mean_y < 0))
                   - share * z_y;
        d_sums[2 * at] = squash ? d_x * ((REAL)1 - mean_x * mean_x) : d_x;
        d_sums[2 * at + 1] = squash ? d_y * ((REAL)1 - mean_y * mean_y) : d_y;
        values[at] = (REAL)-2 * (REAL)baseline_weight * advantage
                     / ((REAL)decisions * (REAL)count);
        x_sum += x;
        y_sum += y;
        xx_sum += (double)x * x;
        yy_sum += (double)y * y;
        outside += x < (REAL)-1 || x > (REAL)1 || y < (REAL)-1 || y > (REAL)1;
    }
    double terms[] = {action, reinforce, baseline, correct, x_sum, y_sum,
                      xx_sum, yy_sum, outside, border};
    for (int i = 0; i < 10; ++i)
        table[(long long)i * columns + b] = terms[i];
}

// A thread for each partial sum.
__global__ void partial_squared_norms(int count, int size,
                                      const REAL* gradient, double* partial)
{
    int first = INDEX;
    if (first >= count) return;
    double sum = 0;
    for (int i = first; i < size; i += count)
        sum += (double)gradient[i] * gradient[i];
    partial[first] = sum;
}

// A thread for each weight; one more ends the iteration. A clip of 0 is none,
// and so is a decay of 0.
__global__ void adam(int count, const long long* now, const REAL* rates,
                     const double* totals, double clip, REAL new1, REAL new2,
                     REAL eps, const REAL* gradient, REAL* m, REAL* v,
                     REAL* weights, double decay, REAL* average, int batch,
                     int decisions, double reinforce_weight,
                     double baseline_weight, double border_weight,
                     double* sums, double* not_finite, long long* counter)
{
    int i = INDEX;
    if (i >= count) return;
    if (i == count - 1) {
        accumulate_metrics(batch, decisions, reinforce_weight,
                           baseline_weight, border_weight, totals, sums,
                           not_finite, counter);
        return;
    }
    double norm = sqrt(totals[10]);
    REAL g = gradient[i];
    if (clip > 0 && norm > clip) g *= (REAL)(clip / norm);
    REAL m_now = m[i] + new1 * (g - m[i]);
    REAL v_now = v[i] + new2 * (g * g - v[i]);
    m[i] = m_now;
    v[i] = v_now;
    REAL w = weights[i] - m_now / (sqrt(v_now) + eps) * rates[now[0]];
    weights[i] = w;
    if (decay > 0) {
        double t = (double)(now[1] + 1), share = t / (t + 10);
        if (share > decay) share = decay;
        average[i] += (REAL)(1 - share) * (w - average[i]);
    }
}

}
'''


def loss_and_gradients(counter: Array, stds: Array, labels: Array,
                       logits: Array, logits_b: Array, sampled: Array,
                       means: Array, values: Array, value_b: Array,
                       objective: Objective, squash: bool, d_sums: Array,
                       table: Array) -> None:
    """The terms of :func:`ram.losses.hybrid_loss` and their gradients.

    Args:
        counter: (2,) int64.
        stds: (iterations of the schedule,).
        labels: (B,) int32.
        logits: (B, K) without bias; overwritten by their gradient.
        logits_b: (K,) bias.
        sampled: (T - 1, B, 2) locations that the policy sampled.
        means: (T - 1, B, 2).
        values: (T - 1, B) baselines without bias; overwritten by their
            gradient.
        value_b: (1,) bias.
        objective: Weights of the terms, kind of the reward.
        squash: Whether the means are tanh of their sums.
        d_sums: (T - 1, B, 2), written: gradient of these sums.
        table: (rows + 1, at least B) float64; the first B columns are
            written, but for the last row.

    """
    batch, classes = logits.shape
    launch(SOURCE, 'loss_and_gradients', batch, logits.dtype, classes,
           len(means), counter, stds, labels, logits, logits_b, sampled,
           means, values, value_b, numpy.float64(objective.reinforce_weight),
           numpy.float64(objective.baseline_weight),
           numpy.float64(objective.border_weight),
           REWARDS.index(objective.reward), int(squash), d_sums,
           table, table.shape[1])


def partial_squared_norms(gradient: Array, partial: Array) -> None:
    """Sums of every ``len(partial)``-th square of a vector, float64."""
    launch(SOURCE, 'partial_squared_norms', len(partial), gradient.dtype,
           gradient.size, gradient, partial)


def all_finite(vector: Array) -> bool:
    """Whether all numbers of a vector on the GPU are; waits for it.

    By a kernel that training has compiled: CuPy would compile two more.
    """
    xp = chainer.backend.get_array_module(vector)
    partial = xp.zeros(PARTIAL_SUMS, 'float64')
    partial_squared_norms(vector, partial)
    return bool(numpy.isfinite(
        chainer.get_device('@numpy').send(partial)).all())


class Metrics(NamedTuple):
    """What the last kernel of an iteration needs to end it.

    Attributes:
        batch: B.
        decisions: T - 1.
        objective: Weights of the terms.
        sums: (terms,) float64, added to.
        not_finite: (2,) float64: iteration and value of the first loss that
            is not finite; zeros so far.
        counter: (2,) int64, advanced.

    """

    batch: int
    decisions: int
    objective: Objective
    sums: Array
    not_finite: Array
    counter: Array


def adam(now: Array, rates: Array, totals: Array, clip: float,
         hyperparam: Any, gradient: Array, m: Array, v: Array,
         weights: Array, decay: float, average: Array,
         metrics: Metrics) -> None:
    """Clips the gradient, updates weights and average, ends the iteration.

    Args:
        now: (2,) int64, a copy of the counter.
        rates: (iterations of the schedule,) rates with Adam's correction.
        totals: (rows + 1,) float64, sums of the rows of the table: terms of
            the loss, and the square of the gradient's norm.
        clip: Largest norm; 0 for no limit.
        hyperparam (chainer.optimizer.Hyperparameter): beta1, beta2 and eps.
        gradient: (n,), left as it is.
        m: (n,) running mean of the gradient.
        v: (n,) running mean of its square.
        weights: (n,).
        decay: Of the average; 0 for none.
        average: (n,) running average of the weights.
        metrics: Those of the epoch.

    """
    real, objective = weights.dtype.type, metrics.objective
    launch(SOURCE, 'adam', weights.size + 1, weights.dtype, now, rates,
           totals, numpy.float64(clip), real(1 - hyperparam.beta1),
           real(1 - hyperparam.beta2), real(hyperparam.eps), gradient, m, v,
           weights, numpy.float64(decay), average, metrics.batch,
           metrics.decisions, numpy.float64(objective.reinforce_weight),
           numpy.float64(objective.baseline_weight),
           numpy.float64(objective.border_weight), metrics.sums,
           metrics.not_finite, metrics.counter)
