"""Predictions of a network, their error, and the glimpses they rest on."""

import math
import time
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

import chainer
import chainer.functions as F
import numpy

from ram.config import DataConfig
from ram.data.splits import Splits
from ram.devices import Array
from ram.fast.device_evaluation import class_probabilities
from ram.fast.fused import fused_problem, fused_rollout
from ram.models.comparison import Baseline
from ram.models.ram import RAM
from ram.random_streams import make_streams

Streams = Dict[str, numpy.random.Generator]


class Evaluation(NamedTuple):
    """Measurements on n images of K classes.

    Attributes:
        error: After the last glimpse, in %.
        interval: Its 95 % Wilson interval, in %.
        n: Number of images.
        error_by_glimpse: After each glimpse, in %.
        confusion: (K, K) int64; entry (i, j) counts the images of class i
            that are predicted as class j.
        loss: Mean cross-entropy after the last glimpse, in nats.
        images_per_second: Images over the wall time, with all their paths.

    """

    error: float
    interval: Tuple[float, float]
    n: int
    error_by_glimpse: List[float]
    confusion: numpy.ndarray
    loss: float
    images_per_second: float

    @property
    def error_by_class(self) -> numpy.ndarray:
        """(K,) float64, in %; NaN for a class without images."""
        counts = self.confusion.sum(axis=1)
        with numpy.errstate(invalid='ignore'):
            return 100 * (counts - self.confusion.diagonal()) / counts

    @property
    def mean_class_error(self) -> float:
        """Mean of the classes with images, in %: each counts the same."""
        return float(numpy.nanmean(self.error_by_class))


class Paths(NamedTuple):
    """T glimpses of each of B images, and the predictions after each.

    Attributes:
        locations: (T, B, 2) float32, clipped, (x, y) in [-1, 1].
        probabilities: (T, B, K) float32, after each glimpse.

    """

    locations: numpy.ndarray
    probabilities: numpy.ndarray


class Trajectory(NamedTuple):
    """The glimpses of one image, as figures show them.

    Attributes:
        image: (C, H, W) float32 in [0, 1].
        retina: (T, k, C, g, g) float32, as the network receives it.
        locations: (T, 2) float32, clipped, (x, y) in [-1, 1].
        probabilities: (T, K) float32, after each glimpse.
        label: The true class, if it is known.
        name: Of the image, such as its file.

    """

    image: numpy.ndarray
    retina: numpy.ndarray
    locations: numpy.ndarray
    probabilities: numpy.ndarray
    label: Optional[int] = None
    name: Optional[str] = None

    @property
    def glimpses(self) -> int:
        """T."""
        return len(self.locations)


def wilson_interval(errors: int, n: int) -> Tuple[float, float]:
    """95 % interval of the share of errors in n > 0, after Wilson (1927)."""
    z = 1.959963984540054
    share = errors / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(
        share * (1 - share) / n + z * z / (4 * n * n))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def evaluation_streams(data: DataConfig, name: str) -> Streams:
    """Generators for an evaluation, the same for every model.

    They depend on the seed of the data and on the name of the split.
    """
    return make_streams(data.seed * len(Splits._fields)
                        + Splits._fields.index(name))


def predict(model: chainer.Chain, images: numpy.ndarray, streams: Streams,
            policy: str = 'mean', batch_size: int = 500,
            progress: Optional[Callable[[int], None]] = None) -> Paths:
    """Predicts the classes of images.

    Args:
        model: RAM or baseline on any device. For a baseline T is 1, and there
            is no location.
        images: (N, C, H, W) float32.
        streams: ``location`` and ``noise`` are sampled for all images at
            once, so that the batch size changes nothing.
        policy: ``mean`` or ``sample``.
        batch_size: Images at a time.
        progress: Called with the number of images of each batch of a RAM.

    """
    if isinstance(model, Baseline):
        parts = [_predict_whole(model, images[i:i + batch_size])
                 for i in range(0, len(images), batch_size)]
        return Paths(numpy.zeros((0, len(images), 2), 'float32'),
                     numpy.concatenate(parts)[None])
    first, noise = model.sample_noise(streams, len(images),
                                      mean=policy == 'mean')
    return predict_from(model, images, first, noise, batch_size, progress)


def predict_from(model: RAM, images: numpy.ndarray, first: Array,
                 noise: Array, batch_size: int = 500,
                 progress: Optional[Callable[[int], None]] = None) -> Paths:
    """Does what :func:`predict` does, from given locations and noise.

    Args:
        first: (N, 2) float32 first locations on the model's device.
        noise: (T - 1, N, 2), see :meth:`ram.models.ram.RAM.sample_noise`.

    """
    parts = []
    for i in range(0, len(images), batch_size):
        part = slice(i, i + batch_size)
        parts.append(_predict_batch(model, images[part], first[part],
                                    noise[:, part]))
        if progress:
            progress(len(images[part]))
    return Paths(*(numpy.concatenate(arrays, axis=1)
                   for arrays in zip(*parts)))


def _predict_whole(model, images):
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        shares = F.softmax(model(model.device.send(images)))
    return chainer.get_device('@numpy').send(shares.array)


def _predict_batch(model, images, first, noise):
    to_cpu = chainer.get_device('@numpy').send
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        images = model.device.send(images)
        if fused_problem(model):
            rollout = model(images, first, noise)
        else:
            rollout = fused_rollout(model, images, first, noise)
            if model.xp is not numpy:
                return Paths(to_cpu(rollout.locations),
                             to_cpu(class_probabilities(model,
                                                        rollout.states)))
        shares = F.softmax(model.action(rollout.states), axis=2)
    return Paths(to_cpu(rollout.locations), to_cpu(shares.array))


def evaluate(model: chainer.Chain, images: numpy.ndarray,
             labels: numpy.ndarray, streams: Streams, policy: str = 'mean',
             samples: int = 1, batch_size: int = 500,
             progress: Optional[Callable[[int, int], None]] = None
             ) -> Evaluation:
    """Measures the error of :func:`predict`.

    Args:
        labels: (N,) int32.
        samples: Paths per image; their probabilities are averaged.
        progress: Called after each path with the number of those that are
            done, and of all.

    """
    start = time.perf_counter()
    total = 0
    for done in range(1, samples + 1):
        total = total + predict(model, images, streams, policy,
                                batch_size).probabilities.astype('float64')
        if progress:
            progress(done, samples)
    return measure(total / samples, labels, time.perf_counter() - start)


def measure(probabilities: numpy.ndarray, labels: numpy.ndarray,
            seconds: float) -> Evaluation:
    """Measures the error of probabilities.

    Args:
        probabilities: (T, N, K) float64, after each glimpse.
        labels: (N,) int32.
        seconds: Wall time of the prediction.

    """
    guesses = probabilities.argmax(axis=2)
    wrong = (guesses != labels).sum(axis=1)
    n, classes = len(labels), probabilities.shape[2]
    confusion = numpy.bincount(
        labels * classes + guesses[-1], minlength=classes ** 2)
    low, high = wilson_interval(int(wrong[-1]), n)
    return Evaluation(
        error=100 * wrong[-1] / n, interval=(100 * low, 100 * high), n=n,
        error_by_glimpse=[100 * w / n for w in wrong],
        confusion=confusion.reshape(classes, classes),
        loss=float(losses(probabilities[-1], labels).mean()),
        images_per_second=n / seconds)


def losses(probabilities: numpy.ndarray, labels: numpy.ndarray
           ) -> numpy.ndarray:
    """Cross-entropy of each image in nats: (N, K) and (N,) int32 to (N,)."""
    right = probabilities[numpy.arange(len(labels)), labels]
    return -numpy.log(numpy.maximum(right, 1e-30))


def trajectories(model: RAM, images: numpy.ndarray, labels: numpy.ndarray,
                 indices: List[int], streams: Streams) -> List[Trajectory]:
    """The glimpses that :func:`evaluate` takes of some images.

    Args:
        images, labels: All images, as the evaluation has them.
        indices: The images to show.

    """
    if not indices:
        return []
    first, noise = model.sample_noise(streams, len(images), mean=True)
    to_cpu, send = chainer.get_device('@numpy').send, model.device.send
    # Chosen on the CPU: CuPy would compile a kernel that does.
    seen = _predict_batch(model, images[indices], *(
        send(to_cpu(array).take(indices, axis=-2))
        for array in (first, noise)))
    return [
        trajectory(model, images[index], seen.locations[:, i],
                   seen.probabilities[:, i], int(labels[index]))
        for i, index in enumerate(indices)]


def trajectory(model: RAM, image: numpy.ndarray, locations: numpy.ndarray,
               probabilities: numpy.ndarray, label: Optional[int] = None
               ) -> Trajectory:
    """Adds the retina to the locations and probabilities of one image."""
    retina = model.glimpse.sensor(
        numpy.repeat(image[None], len(locations), axis=0), locations)
    return Trajectory(image, retina, locations, probabilities, label)
