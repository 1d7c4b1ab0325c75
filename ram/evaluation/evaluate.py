"""How often the network is right, and what it looked at."""

import math
import time
from typing import Any, NamedTuple, Optional

import chainer
import chainer.functions as F
import numpy

from ram.data.splits import Splits
from ram.fast.fused import fused_problem, fused_rollout
from ram.models.comparison import Baseline
from ram.random_streams import make_streams


class Evaluation(NamedTuple):
    """What was measured on n images.

    Attributes:
        error (float): After the last glimpse, in %.
        interval (tuple of float): Its 95 % Wilson interval, in %.
        n (int): Number of images.
        error_by_glimpse (list of float): After each glimpse, in %.
        confusion (array): (K, K) int64; entry (i, j) counts the images of
            class i that were taken for class j.
        loss (float): Mean cross-entropy after the last glimpse, in nats.
        images_per_second (float): Images over the wall time, whatever the
            number of paths for each.

    """

    error: float
    interval: tuple
    n: int
    error_by_glimpse: list
    confusion: Any
    loss: float
    images_per_second: float


class Paths(NamedTuple):
    """How the network looked at B images.

    Attributes:
        locations (array): (T, B, 2) float32, (x, y) in [-1, 1].
        probabilities (array): (T, B, K) float32, after each glimpse.

    """

    locations: Any
    probabilities: Any


class Trajectory(NamedTuple):
    """How the network looked at one image, as a picture shows it.

    Attributes:
        image (array): (C, H, W) float32 in [0, 1].
        retina (array): (T, k, C, g, g) float32, as the network received it.
        locations (array): (T, 2) float32, (x, y) in [-1, 1].
        probabilities (array): (T, K) float32, after each glimpse.
        label (int): The true class; None where nobody has said it.

    """

    image: Any
    retina: Any
    locations: Any
    probabilities: Any
    label: Optional[int] = None


def wilson_interval(errors, n):
    """95 % interval of a share, after Wilson (1927).

    Args:
        errors (int): Number of errors.
        n (int): Out of so many, at least 1.

    Returns:
        tuple of float: Lower and upper bound of the share.

    """
    z = 1.959963984540054
    share = errors / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(
        share * (1 - share) / n + z * z / (4 * n * n))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def evaluation_streams(data, name):
    """Generators for the chance in an evaluation, the same for every model.

    Args:
        data (ram.config.DataConfig): Its seed counts.
        name (str): ``validation`` or ``test``.

    Returns:
        dict of str to numpy.random.Generator

    """
    return make_streams(data.seed * len(Splits._fields)
                        + Splits._fields.index(name))


def predict(model, images, streams, policy='mean', batch_size=500,
         progress=None):
    """Lets the network look at images.

    Args:
        model (ram.models.ram.RAM or ram.models.comparison.Baseline): On any device. A
            baseline takes them in at once: T is 1, without a location.
        images (array): (N, C, H, W) float32 on the CPU.
        streams (dict of str to numpy.random.Generator): ``location`` and
            ``noise`` are drawn from, for all images at once, so that the
            batch size changes nothing.
        policy (str): ``mean`` or ``sample``.
        batch_size (int): Images at a time.
        progress (callable): Called with the number of images of each batch
            of a RAM that is done.

    Returns:
        Paths: On the CPU.

    """
    if isinstance(model, Baseline):
        parts = [_take_in(model, images[i:i + batch_size])
                 for i in range(0, len(images), batch_size)]
        return Paths(numpy.zeros((0, len(images), 2), 'float32'),
                    numpy.concatenate(parts)[None])
    first, noise = model.sample_noise(streams, len(images), mean=policy == 'mean')
    return predict_from(model, images, first, noise, batch_size, progress)


def predict_from(model, images, first, noise, batch_size=500, progress=None):
    """Lets a RAM look at images, all its chance given.

    Args:
        model (ram.models.ram.RAM): On any device.
        images (array): (N, C, H, W) float32 on the CPU.
        first (array): (N, 2) float32 first locations on the model's device.
        noise (array): (T - 1, N, 2), see :meth:`ram.models.ram.RAM.sample_noise`.
        batch_size (int): Images at a time.
        progress (callable): Called with the number of images of each batch
            done.

    Returns:
        Paths: On the CPU.

    """
    parts = []
    for i in range(0, len(images), batch_size):
        part = slice(i, i + batch_size)
        parts.append(_look(model, images[part], first[part], noise[:, part]))
        if progress:
            progress(len(images[part]))
    return Paths(*(numpy.concatenate(arrays, axis=1)
                  for arrays in zip(*parts)))


def _take_in(model, images):
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        shares = F.softmax(model(model.device.send(images)))
    return chainer.get_device('@numpy').send(shares.array)


def _look(model, images, first, noise):
    to_cpu = chainer.get_device('@numpy').send
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        images = model.device.send(images)
        rollout = (model(images, first, noise) if fused_problem(model)
                   else fused_rollout(model, images, first, noise))
        shares = F.softmax(model.action(rollout.states), axis=2)
    return Paths(to_cpu(rollout.locations), to_cpu(shares.array))


def evaluate(model, images, labels, streams, policy='mean', samples=1,
             batch_size=500, progress=None):
    """Measures the error.

    Args:
        model (ram.models.ram.RAM or ram.models.comparison.Baseline): On any device.
        images (array): (N, C, H, W) float32 on the CPU.
        labels (array): (N,) int32.
        streams (dict of str to numpy.random.Generator): See :func:`predict`.
        policy (str): ``mean`` or ``sample``.
        samples (int): Paths per image; their probabilities are averaged.
        batch_size (int): Images at a time.
        progress (callable): Called with each path done, for a progress bar.

    Returns:
        Evaluation

    """
    start = time.perf_counter()
    total = 0
    for _ in range(samples):
        total = total + predict(model, images, streams, policy,
                             batch_size).probabilities.astype('float64')
        if progress:
            progress()
    seconds = time.perf_counter() - start
    return measure(total / samples, labels, seconds)


def measure(probabilities, labels, seconds):
    """The error of probabilities that are there.

    Args:
        probabilities (array): (T, N, K) float64, after each glimpse.
        labels (array): (N,) int32.
        seconds (float): That it took to look.

    Returns:
        Evaluation

    """
    guesses = probabilities.argmax(axis=2)
    wrong = (guesses != labels).sum(axis=1)
    n, classes = len(labels), probabilities.shape[2]
    confusion = numpy.bincount(
        labels * classes + guesses[-1], minlength=classes ** 2)
    return Evaluation(
        error=100 * wrong[-1] / n,
        interval=tuple(100 * b for b in wilson_interval(int(wrong[-1]), n)),
        n=n,
        error_by_glimpse=[100 * w / n for w in wrong],
        confusion=confusion.reshape(classes, classes),
        loss=float(losses(probabilities[-1], labels).mean()),
        images_per_second=n / seconds)


def losses(probabilities, labels):
    """The cross-entropy of each image, in nats.

    Args:
        probabilities (array): (N, K) float.
        labels (array): (N,) int32.

    Returns:
        array: (N,) of the probabilities' dtype.

    """
    right = probabilities[numpy.arange(len(labels)), labels]
    return -numpy.log(numpy.maximum(right, 1e-30))


def trajectories(model, images, labels, indices, streams):
    """All that there is to show of how the network looks at some images.

    They are looked at as :func:`evaluate` does with the mean policy, so that
    a picture shows what was measured.

    Args:
        model (ram.models.ram.RAM): On any device.
        images (array): (N, C, H, W) float32 on the CPU: all images.
        labels (array): (N,) int32.
        indices (list of int): The images to show.
        streams (dict of str to numpy.random.Generator): See :func:`predict`.

    Returns:
        list of Trajectory

    """
    first, noise = model.sample_noise(streams, len(images), mean=True)
    seen = _look(model, images[indices], first[indices], noise[:, indices])
    return [
        trajectory(model, images[index], seen.locations[:, i],
                   seen.probabilities[:, i], int(labels[index]))
        for i, index in enumerate(indices)]


def trajectory(model, image, locations, probabilities, label=None):
    """What there is to show of a look that was taken at one image.

    Args:
        model (ram.models.ram.RAM): Its sensor reads the image again.
        image (array): (C, H, W) float32.
        locations (array): (T, 2) float32, (x, y) in [-1, 1].
        probabilities (array): (T, K) float32.
        label (int): The true class, if it is known.

    Returns:
        Trajectory

    """
    retina = model.glimpse.sensor(
        numpy.repeat(image[None], len(locations), axis=0), locations)
    return Trajectory(image, retina, locations, probabilities, label)
