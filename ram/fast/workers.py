"""Processes that compute parts of an iteration beside this one, on the CPU.

Threads would wait for one another at Python's interpreter, of which a process
has one. What is large stands in memory that all of them map: the weights with
their gradient and moments, and for each helper its images, its gradient and
what it found. A byte through a pipe tells a helper what to begin, and one
comes back when it is done.

Run as a program, this module is a helper; it ends with the process that
started it.
"""

import json
import os
import select
import subprocess
import sys
import tempfile
import time

import numpy

from ram.config import config_from_dict
from ram.errors import RamError
from ram.fast.flat import FlatChain, adam_pass, flatten
from ram.losses import HybridLoss
from ram.models.build import build_network
from ram.training.train_chain import StepResult, TrainChain

_LEARN, _ADAM, _DONE = b'l', b'a', b'd'
_AWAKE = 0.005  # seconds
_COMMON = 4  # arrays as long as the weights
_ALIGNED = 64  # bytes: a line of the cache


class Helpers:
    """Computes the gradient of a batch in several processes at once.

    Each takes an equal part of it, this one the first. The sum of their
    gradients is that of the batch, up to rounding. Adam's pass over the
    weights is shared out likewise. The helpers are started with the first
    batch. The network is to have weights and gradients in the
    arrays that are here (:class:`ram.fast.flat.FlatChain`).

    Args:
        chain (ram.training.train_chain.TrainChain): The network with its
            loss, on the CPU, that says of itself ``gradients_in_one``.
        config (ram.config.Config): What it was built from;
            ``training.threads`` parts.
        batch (int): B.

    Attributes:
        weights (array): (number of weights,) float32: the memory that all
            share, with the network's in it.
        gradient (array): Likewise, of the batch after :meth:`learn`.
        moments (dict of str to array): Likewise, Adam's ``m`` and ``v``.

    Raises:
        RamError: Where the system has no room for what they share, or cannot
            hand it on.

    """

    def __init__(self, chain, config, batch):
        self._shards = _parts(batch, min(config.training.threads, batch))
        self._batch = batch
        self._chain = chain
        weights = flatten(chain)
        self._layout = {'config': config.as_dict(), 'batch': batch,
                        'weights': len(weights),
                        'sizes': [shard.stop - shard.start
                                  for shard in self._shards[1:]]}
        self._file = _shared_file(_bytes(config, self._layout))
        common, self._memories = _map(self._file, config, self._layout)
        self.weights, self.gradient, *moments = common
        self.weights[...] = weights
        self.moments = dict(zip(('m', 'v'), moments))
        self._own = _parts(len(weights), len(self._shards))[0]
        self._processes = []

    def learn(self, images, labels):
        """Writes the gradient, as :meth:`TrainChain.learn` alone would.

        Args:
            images (array): (B, C, H, W) float32 in [0, 1].
            labels (array): (B,) int32.

        Raises:
            RamError: Where a helper has died.

        """
        if not self._processes:
            self._processes = [_start(self._file, dict(
                self._layout, file=self._file.fileno(), number=number))
                for number in range(len(self._memories))]
        chain = self._chain
        first, noise = chain.draw(len(images))
        for process, memory, shard in zip(self._processes, self._memories,
                                          self._shards[1:]):
            memory['images'][...] = images[shard]
            memory['labels'][...] = labels[shard]
            memory['first'][...] = first[shard]
            memory['noise'][...] = noise[:, shard]
            memory['std'][...] = chain.model.std
            self._tell(process, _LEARN)
        own = self._shards[0]
        learnt = [chain.write_gradient(
            images[own], labels[own], first[own], noise[:, own],
            own.stop / self._batch)]
        for process, memory in zip(self._processes, self._memories):
            self._await(process)
            self.gradient += memory['gradient']
            learnt.append(StepResult(HybridLoss(*memory['loss']),
                                 memory['logits'], memory['drawn']))
        losses, logits, drawn = zip(*learnt)
        chain.tell(labels, StepResult(
            HybridLoss(*(sum(terms) for terms in zip(*losses))),
            numpy.concatenate(logits), numpy.concatenate(drawn, axis=1)))

    def adam(self, *numbers):
        """Updates the weights by :func:`ram.fast.flat.adam_pass`.

        Args:
            *numbers (float): Those that it takes.

        Raises:
            RamError: Where a helper has died.

        """
        for process, memory in zip(self._processes, self._memories):
            memory['adam'][...] = numbers
            self._tell(process, _ADAM)
        adam_pass(*(array[self._own] for array in (
            self.weights, self.gradient, *self.moments.values())), *numbers)
        for process in self._processes:
            self._await(process)

    def _tell(self, process, what):
        try:
            process.stdin.write(what)
        except BrokenPipeError:
            self._fail(process)

    def _await(self, process):
        if _read(process.stdout) != _DONE:
            self._fail(process)

    def _fail(self, process):
        raise RamError(
            f'training.threads: a helper process ended with status '
            f'{process.wait()}; go on with --resume, or set it to 1, which '
            'needs none')

    def close(self):
        """Ends the helpers."""
        self._file.close()
        for process in self._processes:
            process.stdin.close()
        for process in self._processes:
            process.wait()
            process.stdout.close()


def _fields(config, layout):
    """Name, shape and dtype of what a helper shares, one list for each."""
    data, steps = config.data, config.model.glimpses
    return [[('adam', (4,), 'f8'),
             ('images', (size, data.channels) + tuple(data.canvas_size), 'f4'),
             ('labels', (size,), 'i4'),
             ('first', (size, 2), 'f4'),
             ('noise', (steps - 1, size, 2), 'f4'),
             ('std', (), 'f8'),
             ('gradient', (layout['weights'],), 'f4'),
             ('loss', (len(HybridLoss._fields),), 'f4'),
             ('logits', (size, data.classes), 'f4'),
             ('drawn', (steps, size, 2), 'f4')] for size in layout['sizes']]


def _room(shape, dtype):
    """Bytes of an array, and of what is left free behind it."""
    size = numpy.prod(shape, dtype=int) * numpy.dtype(dtype).itemsize
    return int(-(-size // _ALIGNED) * _ALIGNED)


def _bytes(config, layout):
    return _COMMON * _room(layout['weights'], 'f4') + sum(
        _room(shape, dtype) for fields in _fields(config, layout)
        for _, shape, dtype in fields)


def _map(file, config, layout):
    """Arrays in shared memory: common ones, and by name each helper's.

    The common ones are the weights, their gradient, m and v.
    """
    memory = numpy.memmap(file, 'u1', 'r+')
    end = 0

    def array(shape, dtype):
        nonlocal end
        begin, end = end, end + _room(shape, dtype)
        count = numpy.prod(shape, dtype=int)
        return numpy.frombuffer(memory, dtype, count, begin).reshape(shape)

    return [array(layout['weights'], 'f4') for _ in range(_COMMON)], [
        {name: array(shape, dtype) for name, shape, dtype in fields}
        for fields in _fields(config, layout)]


def _parts(count, parts):
    """A part of so many for each process, as slices: this one's is first."""
    ends = [count * part // parts for part in range(parts + 1)]
    return [slice(*pair) for pair in zip(ends, ends[1:])]


def _shared_file(size):
    """A file without a name, in memory where the system has such a place."""
    for folder in ('/dev/shm', None):
        try:
            file = tempfile.TemporaryFile(dir=folder)
        except OSError:
            continue
        try:
            # Room that is missing is told now, and not by a signal later.
            for _ in range(0, size, 2 ** 20):
                file.write(bytes(2 ** 20))
            file.flush()
            return file
        except OSError:
            file.close()
    raise RamError(
        f'training.threads: no room for {size / 1e6:.0f} MB, in /dev/shm nor '
        'in the folder for temporary files (TMPDIR); make room, or set it to '
        '1, which needs none')


def _start(file, layout):
    if os.name != 'posix':
        raise RamError('training.threads: more than 1 needs a POSIX system; '
                       'set it to 1')
    try:
        process = subprocess.Popen(
            [sys.executable, '-m', 'ram.fast.workers'], bufsize=0,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            pass_fds=[file.fileno()],
            # Ctrl-C is for this process, which then ends its helpers.
            start_new_session=True,
            env={'OMP_NUM_THREADS': '1', **os.environ,
                 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))})
    except OSError as error:
        raise RamError(f'training.threads: a helper process cannot be '
                       f'started: {error.strerror}; set it to 1, which needs '
                       'none')
    process.stdin.write(json.dumps(layout).encode() + b'\n')
    return process


def main():
    """A helper: does its part of each iteration until its pipe is closed."""
    pipe = sys.stdin.buffer.raw
    layout = json.loads(pipe.readline())
    config = config_from_dict(layout['config'], 'helper')
    with open(layout['file'], 'r+b') as file:
        common, memories = _map(file, config, layout)
    memory = memories[layout['number']]
    chain = TrainChain(build_network(config, numpy.random.default_rng()),
                       config.training, {})
    FlatChain(chain, common[0], memory['gradient']).join_gradients()
    own = _parts(len(common[0]), 1 + len(memories))[1 + layout['number']]
    share = len(memory['labels']) / layout['batch']
    # What is no longer finite is told by the process that learns.
    with numpy.errstate(all='ignore'):
        while what := _read(pipe):
            if what == _LEARN:
                _learn(chain, memory, share)
            else:
                adam_pass(*(array[own] for array in common),
                          *map(float, memory['adam']))
            try:
                os.write(sys.stdout.fileno(), _DONE)
            except BrokenPipeError:  # nobody is there any more
                return


def _read(pipe):
    """The next byte, or b'' where the pipe is closed.

    A process that fell asleep wakes late, which for parts as short as these
    is long; so it looks out for the byte for a while.
    """
    end = time.monotonic() + _AWAKE
    while not select.select([pipe], [], [], 0)[0] and time.monotonic() < end:
        os.sched_yield()
    return pipe.read(1)


def _learn(chain, memory, share):
    """What is asked of a helper for a batch."""
    chain.model.std = float(memory['std'])
    learnt = chain.write_gradient(
        *(memory[name] for name in ('images', 'labels', 'first', 'noise')),
        share)
    memory['loss'][...] = learnt.loss
    memory['logits'][...] = learnt.logits
    memory['drawn'][...] = learnt.drawn


if __name__ == '__main__':
    main()
