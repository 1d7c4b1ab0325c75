"""Predictions for images that stay on the GPU."""

import chainer
import numpy

from ram.devices import Array
from ram.fast import recurrence
from ram.fast.products import dot
from ram.fast.workspace import (
    RolloutConfig,
    Weights,
    Workspace,
    pack_weights,
)
from ram.functions.cuda import launch
from ram.models.ram import RAM

SOURCE = r'''
extern "C" {

// A thread for each row of logits: out = softmax(logits + b). The rows are
// those of `batch` images after each glimpse, of n images in all.
__global__ void softmax(int count, int classes, int batch, int n,
                        const REAL* logits, const REAL* b, REAL* out)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    logits += (long long)i * classes;
    out += ((long long)(i / batch) * n + i % batch) * classes;
    REAL top = logits[0] + b[0], sum = 0;
    for (int k = 1; k < classes; ++k) {
        REAL score = logits[k] + b[k];
        if (score > top) top = score;
    }
    for (int k = 0; k < classes; ++k) {
        out[k] = exp(logits[k] + b[k] - top);
        sum += out[k];
    }
    for (int k = 0; k < classes; ++k) out[k] /= sum;
}

}
'''


def _classify(states, weights, logits, out):
    """Probabilities (T, B, K), which may be a part of (T, N, K), of states."""
    dot(states.reshape(len(logits), -1), weights.action_W.T, out=logits)
    launch(SOURCE, 'softmax', len(logits), logits.dtype, logits.shape[1],
           out.shape[1], out.strides[0] // out.strides[1], logits,
           weights.action_b, out)


def class_probabilities(model: RAM, states: Array) -> Array:
    """The probabilities of the classes, in kernels of this program's own.

    Args:
        model: The network, whose Links are all built in.
        states: (T, B, units), on the GPU.

    Returns:
        (T, B, K) array there.

    """
    weights = Weights.of(model).arrays()
    xp = chainer.backend.get_array_module(states)
    shape = states.shape[:2] + (len(weights.action_b),)
    out = xp.empty(shape, states.dtype)
    logits = xp.empty((shape[0] * shape[1], shape[2]), states.dtype)
    _classify(states, weights, logits, out)
    return out


class DevicePrediction:
    """Predicts the classes of the same images again and again.

    Everything is allocated once, so that the launches can be recorded as a
    CUDA graph; the result is fetched once. The weights may change between two
    predictions.

    Args:
        model: The network, whose Links are all built in.
        images: (N, C, H, W) float32, on the CPU.
        first: (N, 2) first locations, on the model's device.
        noise: (T - 1, N, 2), likewise: the locations themselves where the
            policy is not learned; otherwise it takes its mean.
        batch_size: Images at a time.

    Attributes:
        run: Launches the kernels: :meth:`launch`, or a
            :class:`ram.fast.cuda_graph.CudaGraphRunner` of it.

    """

    def __init__(self, model: RAM, images: numpy.ndarray, first: Array,
                 noise: Array, batch_size: int):
        xp = model.xp
        weights = self._weights = Weights.of(model).arrays()
        config = self._config = RolloutConfig.of(model)._replace(std=0.0)
        dtype, (classes, units) = weights.core_W.dtype, weights.action_W.shape
        T, n, channels = config.glimpses, len(images), images.shape[1]
        self._images = model.device.send(images.astype(dtype, copy=False))
        self._noise = noise.astype(dtype, copy=False)
        self._sampled = xp.zeros((T, n, 2), dtype)
        self._sampled[0] = first
        self._locations = xp.zeros_like(self._sampled)
        self._means = xp.zeros((T - 1, n, 2), dtype)
        self._probabilities = xp.zeros((T, n, classes), dtype)
        self._parts = [slice(i, min(i + batch_size, n))
                       for i in range(0, n, batch_size)]
        # The last part may be smaller.
        self._scratch = {
            size: (Workspace(xp, dtype, size, channels, config, weights),
                   xp.zeros((T, size, units), dtype),
                   xp.zeros((T * size, classes), dtype))
            for size in {part.stop - part.start for part in self._parts}}
        self.run = self.launch

    def launch(self) -> None:
        """Launches the kernels of a prediction of all images."""
        weights, config = self._weights, self._config
        for part in self._parts:
            size = part.stop - part.start
            ws, states, logits = self._scratch[size]
            recurrence.forward(
                chainer.backend.get_array_module(states), ws,
                self._images[part], self._noise[:, part],
                self._sampled[:, part], self._locations[:, part],
                self._means[:, part], states, weights,
                pack_weights(ws, weights, config), config)
            _classify(states, weights, logits, self._probabilities[:, part])

    def __call__(self) -> numpy.ndarray:
        """The probabilities, (T, N, K) on the CPU, after each glimpse."""
        self.run()
        return chainer.get_device('@numpy').send(self._probabilities)
