"""Worker processes, each for a part of every batch, on the CPU.

Weights, gradients and images lie in memory that all processes share; all else
goes through pipes.
"""

import contextlib
import multiprocessing
import os
import signal
from typing import Any

import chainer
import numpy
from chainer.training import extension

from ram.config import Config
from ram.errors import RamError
from ram.fast.flat import FlatChain, flatten
from ram.fast.fused import fused_loss
from ram.losses import HybridLoss, Objective, StepResult
from ram.models.build import build_network

# A fresh interpreter: a forked one would inherit threads and locks.
CONTEXT = multiprocessing.get_context('spawn')


class WorkerPool(extension.Extension):
    """Computes the gradient of a batch in several processes.

    Each takes an equal part of the batch; this process takes the first. The
    sum of their gradients is that of the batch, up to rounding. The workers
    start with the first batch; as an extension it ends them with the run.

    Args:
        chain (ram.training.train_chain.TrainChain): The network with its
            loss, on the CPU.
        config: ``training.threads`` processes in all.
        batch: B.

    Attributes:
        flat: The chain, with its weights in shared memory.

    Raises:
        RamError: Where there is no memory to share.

    """

    def __init__(self, chain: chainer.Chain, config: Config, batch: int):
        count = min(config.training.threads, batch)
        ends = [batch * i // count for i in range(count + 1)]
        self._shards = [slice(*pair) for pair in zip(ends, ends[1:])]
        self._config = config
        self._chain = chain
        weights = flatten(chain)
        shape = (batch, config.data.channels) + config.data.canvas_size
        sizes = [numpy.prod(shape, dtype=int)] + [len(weights)] * (1 + count)
        try:
            self._memory = [CONTEXT.RawArray('f', int(size))
                            for size in sizes]
        except OSError as error:
            raise RamError(
                f'training.threads: {count} processes share '
                f'{4 * sum(sizes) / 1e6:.0f} MB, but there is no room '
                f'({error.strerror}); free some of /dev/shm, or set it to '
                '1') from error
        images, shared, own, *self._gradients = map(_array, self._memory)
        self._images = images.reshape(shape)
        shared[...] = weights
        self.flat = FlatChain(chain, shared, own)
        self._workers = []

    def _start(self):
        images, weights, _, *gradients = self._memory
        for shard, gradient in zip(self._shards[1:], gradients):
            here, there = CONTEXT.Pipe()
            process = CONTEXT.Process(target=_work, daemon=True, args=(
                there, self._config, self._chain.objective, images,
                self._images.shape, shard, weights, gradient))
            with _safe_path():
                process.start()
            there.close()
            self._workers.append((process, here))

    def loss(self, images: numpy.ndarray,
             labels: numpy.ndarray) -> chainer.Variable:
        """This process's part of the loss, (); the workers begin with theirs.

        Args:
            images: (B, C, H, W) float32 in [0, 1].
            labels: (B,) int32.

        Raises:
            RamError: Where a worker has died.

        """
        if not self._workers:
            self._start()
        first, noise = self._chain.sample_noise(len(images))
        self._images[...] = images
        (own, share), *others = [
            ((labels[s], first[s], noise[:, s]), len(labels[s]) / len(labels))
            for s in self._shards]
        for (_, pipe), (batch, part) in zip(self._workers, others):
            self._ask(pipe.send, (self._chain.model.std, batch, part))
        result = self._chain.step(images[self._shards[0]], *own)
        self._pending = labels, _describe(result, share)
        return share * result.loss.total

    def add_gradients(self, optimizer: Any) -> None:
        """An optimizer hook: adds the workers' gradients to this process's.

        The loss of the whole batch is reported.

        Raises:
            RamError: Where a worker has died.

        """
        labels, own = self._pending
        results = [own] + [self._ask(pipe.recv) for _, pipe in self._workers]
        for gradient in self._gradients:
            optimizer.target.vector.grad += gradient
        losses, logits, sampled = zip(*results)
        self._chain.report(labels, StepResult(
            HybridLoss(*(sum(terms) for terms in zip(*losses))),
            numpy.concatenate(logits), numpy.concatenate(sampled, axis=1)))

    def _ask(self, call, *args):
        try:
            return call(*args)
        except (EOFError, OSError) as error:
            for process, _ in self._workers:
                process.join(1)
            status = [p.exitcode for p, _ in self._workers if p.exitcode]
            raise RamError(
                'training.threads: a worker process ended with status '
                f'{(status or ["unknown"])[0]}; continue with --resume, or '
                'set it to 1 (a script of your own must start the training '
                "under if __name__ == '__main__')") from error

    def __call__(self, trainer: Any) -> None:
        """Does nothing: the updater calls :meth:`loss`."""

    def finalize(self) -> None:
        """Ends the workers."""
        for process, pipe in self._workers:
            pipe.close()
            process.join()
        self._workers = []


@contextlib.contextmanager
def _safe_path():
    """Processes do not search the current folder first (Python 3.11)."""
    before = os.environ.get('PYTHONSAFEPATH')
    os.environ['PYTHONSAFEPATH'] = '1'
    try:
        yield
    finally:
        del os.environ['PYTHONSAFEPATH']
        if before is not None:
            os.environ['PYTHONSAFEPATH'] = before


def _array(memory):
    return numpy.frombuffer(memory, 'float32')


def _describe(result, share):
    """A part's share of the loss and what it was computed from, as arrays."""
    terms = [share * chainer.as_array(term) for term in result.loss]
    return terms, result.logits, result.sampled


def _work(pipe, config: Config, objective: Objective, images, shape, shard,
          weights, gradient):
    """A worker: computes its part of each batch until its pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    images = _array(images).reshape(shape)[shard]
    model = build_network(config, numpy.random.default_rng())
    flat = FlatChain(model, _array(weights), _array(gradient))
    with numpy.errstate(all='ignore'):  # CheckFinite reports what overflows
        while True:
            try:
                model.std, batch, share = pipe.recv()
            except EOFError:
                return
            flat.cleargrads()
            result = fused_loss(model, images, *batch, objective)
            (share * result.loss.total).backward()
            flat.gather()
            pipe.send(_describe(result, share))
