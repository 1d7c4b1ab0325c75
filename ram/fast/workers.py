"""Processes that each compute the gradient of a part of every batch, on the CPU.

Weights and gradients lie in memory that all processes share; images and
results go through pipes.
"""

from __future__ import annotations

import multiprocessing
import signal
from typing import Any, List

import chainer
import numpy
from chainer.training.updaters import StandardUpdater

from ram.config import Config
from ram.errors import RamError
from ram.fast.flat import FlatChain, flatten
from ram.fast.fused import fused_loss
from ram.losses import HybridLoss, Objective, StepResult
from ram.models.build import build_network

# A fresh interpreter: a forked one would inherit threads and locks.
CONTEXT = multiprocessing.get_context('spawn')


class WorkerPool:
    """Computes the gradient of a batch in several processes.

    Each takes an equal part of the batch; this process takes the first. The
    sum of their gradients is that of the batch, up to rounding. The workers
    start with the first batch.

    Args:
        chain (ram.training.train_chain.TrainChain): The network with its
            loss, on the CPU, for the engine ``fused``.
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
        try:
            memory = [CONTEXT.RawArray('f', len(weights))
                      for _ in range(1 + count)]
        except OSError as error:
            raise RamError(
                f'training.threads: {count} processes share '
                f'{4 * len(weights) * (1 + count) / 1e6:.0f} MB, but there is '
                f'no room ({error.strerror}); free some of /dev/shm, or set '
                'it to 1') from error
        self._memory = memory
        shared = numpy.frombuffer(memory[0], 'float32')
        shared[...] = weights
        self._gradients = [numpy.frombuffer(m, 'float32') for m in memory[2:]]
        self.flat = FlatChain(chain, shared,
                              numpy.frombuffer(memory[1], 'float32'))
        self._workers: List[Any] = []

    def _start(self):
        for memory in self._memory[2:]:
            here, there = CONTEXT.Pipe()
            process = CONTEXT.Process(
                target=_work, daemon=True,
                args=(there, self._config, self._chain.objective,
                      self._memory[0], memory))
            process.start()
            there.close()
            self._workers.append((process, here))

    def backward(self, images: numpy.ndarray, labels: numpy.ndarray) -> None:
        """Computes all gradients of a batch; its loss is reported.

        Args:
            images: (B, C, H, W) float32 in [0, 1].
            labels: (B,) int32.

        Raises:
            RamError: Where a worker has died.

        """
        if not self._workers:
            self._start()
        first, noise = self._chain.sample_noise(len(images))
        jobs = [(images[s], labels[s], first[s], noise[:, s],
                 len(labels[s]) / len(labels)) for s in self._shards]
        try:
            for (_, pipe), job in zip(self._workers, jobs[1:]):
                pipe.send((self._chain.model.std, *job))
            *own, share = jobs[0]
            results = [_backward(self._chain.step(*own), share)]
            results += [pipe.recv() for _, pipe in self._workers]
        except (EOFError, OSError) as error:
            status = [p.exitcode for p, _ in self._workers if p.exitcode]
            raise RamError(
                f'training.threads: a worker process ended with status '
                f'{(status or ["unknown"])[0]}; continue with --resume, or '
                'set it to 1') from error
        losses, logits, sampled = zip(*results)
        self._chain.report(labels, StepResult(
            HybridLoss(*(sum(terms) for terms in zip(*losses))),
            numpy.concatenate(logits), numpy.concatenate(sampled, axis=1)))

    def add_gradients(self, optimizer: Any) -> None:
        """An optimizer hook: adds the workers' gradients to this process's."""
        for gradient in self._gradients:
            optimizer.target.vector.grad += gradient

    def close(self) -> None:
        """Ends the workers."""
        for process, pipe in self._workers:
            pipe.close()
            process.join()
        self._workers = []


def _backward(result, share):
    """Backpropagates a shard's part of the loss; returns plain arrays."""
    loss = result.loss
    (share * loss.total).backward()
    terms = (loss.total.array, *loss[1:])
    return [share * term for term in terms], result.logits, result.sampled


def _work(pipe, config: Config, objective: Objective, weights, gradient):
    """A worker: computes its part of each batch until its pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    model = build_network(config, numpy.random.default_rng())
    flat = FlatChain(model, numpy.frombuffer(weights, 'float32'),
                     numpy.frombuffer(gradient, 'float32'))
    with numpy.errstate(all='ignore'):  # CheckFinite reports what overflows
        while True:
            try:
                model.std, *batch, share = pipe.recv()
            except EOFError:
                return
            flat.cleargrads()
            answer = _backward(fused_loss(model, *batch, objective), share)
            flat.gather()
            pipe.send(answer)


class ParallelUpdater(StandardUpdater):
    """Chainer's updater, with the gradient computed by a pool.

    Args:
        iterator: Of whole batches.
        optimizer: Of ``pool.flat``.
        pool: Computes the gradient.
        **kwargs: Of the StandardUpdater.

    """

    def __init__(self, iterator: Any, optimizer: Any, pool: WorkerPool,
                 **kwargs):
        super().__init__(iterator, optimizer, **kwargs)
        self._pool = pool

    def update_core(self):
        iterator = self.get_iterator('main')
        optimizer = self.get_optimizer('main')
        optimizer.target.cleargrads()
        self._pool.backward(*self.converter(iterator.next(),
                                            self.input_device))
        optimizer.update()
        if iterator.is_new_epoch:
            optimizer.new_epoch(auto=True)

    def finalize(self):
        super().finalize()
        self._pool.close()
