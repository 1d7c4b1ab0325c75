"""Processes that compute parts of a batch beside this one, on the CPU.

Threads would wait for one another at Python's interpreter, of which a process
has one. What is large stands in memory that all of them map: the weights, and
for each helper its images, its gradient and what it found. A byte through a
pipe tells a helper to begin, and one comes back when it is done.

Run as a program, this module is a helper; it ends with the process that
started it.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy

from ram.config import config_from_dict
from ram.errors import RamError
from ram.losses import HybridLoss
from ram.networks import build_network
from ram.training.flat import FlatChain
from ram.training.flat import flatten
from ram.training.train_chain import Learnt
from ram.training.train_chain import TrainChain

_GO, _DONE = b'g', b'd'
_ALIGNED = 64  # bytes: a line of the cache


class Helpers:
    """Computes the gradient of a batch in several processes at once.

    Each takes an equal part of it, this one the first. The sum of their
    gradients is that of the batch, up to rounding. The helpers are started
    with the first batch. The network is to have weights and gradients in the
    arrays that are here (:class:`ram.training.flat.FlatChain`).

    Args:
        chain (ram.training.train_chain.TrainChain): The network with its
            loss, on the CPU, that says of itself ``gradients_in_one``.
        config (ram.config.Config): What it was built from;
            ``training.threads`` parts.
        batch (int): B.

    Attributes:
        weights (array): (number of weights,) float32: the memory that all
            share, with the network's in it.
        gradient (array): (number of weights,) float32, of this process.

    Raises:
        RamError: Where the system has no room for what they share, or cannot
            hand it on.

    """

    def __init__(self, chain, config, batch):
        parts = min(config.training.threads, batch)
        ends = [batch * part // parts for part in range(parts + 1)]
        self._shards = [slice(*pair) for pair in zip(ends, ends[1:])]
        self._batch = batch
        self._chain = chain
        weights = flatten(chain)
        self._layout = {'config': config.as_dict(), 'batch': batch,
                        'weights': len(weights),
                        'sizes': [shard.stop - shard.start
                                  for shard in self._shards[1:]]}
        self._file = _shared_file(_bytes(config, self._layout))
        self.weights, self._memories = _map(self._file, config, self._layout)
        self.weights[...] = weights
        self.gradient = numpy.empty_like(weights)
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
            self._tell(process)
        own = self._shards[0]
        learnt = [chain.write_gradient(
            images[own], labels[own], first[own], noise[:, own],
            own.stop / self._batch)]
        for process, memory in zip(self._processes, self._memories):
            self._await(process)
            self.gradient += memory['gradient']
            learnt.append(Learnt(HybridLoss(*memory['loss']),
                                 memory['logits'], memory['drawn']))
        losses, logits, drawn = zip(*learnt)
        chain.tell(labels, Learnt(
            HybridLoss(*(sum(terms) for terms in zip(*losses))),
            numpy.concatenate(logits), numpy.concatenate(drawn, axis=1)))

    def _tell(self, process):
        try:
            process.stdin.write(_GO)
        except BrokenPipeError:
            self._fail(process)

    def _await(self, process):
        if process.stdout.read(1) != _DONE:
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
    return [[('images', (size, data.channels) + tuple(data.canvas_size), 'f4'),
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
    return _room(layout['weights'], 'f4') + sum(
        _room(shape, dtype) for fields in _fields(config, layout)
        for _, shape, dtype in fields)


def _map(file, config, layout):
    """The weights, and the arrays of each helper by name, in shared memory."""
    memory = numpy.memmap(file, 'u1', 'r+')
    end = 0

    def array(shape, dtype):
        nonlocal end
        begin, end = end, end + _room(shape, dtype)
        count = numpy.prod(shape, dtype=int)
        return numpy.frombuffer(memory, dtype, count, begin).reshape(shape)

    return array(layout['weights'], 'f4'), [
        {name: array(shape, dtype) for name, shape, dtype in fields}
        for fields in _fields(config, layout)]


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
            [sys.executable, '-m', 'ram.training.helpers'], bufsize=0,
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
    """A helper: computes its part of each batch until its pipe is closed."""
    layout = json.loads(sys.stdin.buffer.readline())
    config = config_from_dict(layout['config'], 'helper')
    with open(layout['file'], 'r+b') as file:
        weights, memories = _map(file, config, layout)
    memory = memories[layout['number']]
    chain = TrainChain(build_network(config, numpy.random.default_rng()),
                       config.training, {})
    FlatChain(chain, weights, memory['gradient']).join_gradients()
    share = len(memory['labels']) / layout['batch']
    # What is no longer finite is told by the process that learns.
    with numpy.errstate(all='ignore'):
        while sys.stdin.buffer.read(1):
            chain.model.std = float(memory['std'])
            learnt = chain.write_gradient(
                *(memory[name] for name in (
                    'images', 'labels', 'first', 'noise')), share)
            memory['loss'][...] = learnt.loss
            memory['logits'][...] = learnt.logits
            memory['drawn'][...] = learnt.drawn
            try:
                os.write(sys.stdout.fileno(), _DONE)
            except BrokenPipeError:  # nobody is there any more
                return


if __name__ == '__main__':
    main()
