"""Philox 4x32-10: published answers, and what a kernel makes of their counters."""

import numpy

from ram.fast import batch_kernels

# kat_vectors of Random123, by the inventors: counter, key, words.
PUBLISHED = [
    ([0, 0, 0, 0], [0, 0],
     [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]),
    ([0xffffffff] * 4, [0xffffffff] * 2,
     [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]),
    ([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
     [0xa4093822, 0x299f31d0],
     [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1])]


def upper_bits(counter, key, device):
    """The upper 24 bits of the four words of a block, by the kernel."""
    block, iteration, stream, rank = counter
    out = device.xp.zeros(4, 'float32')
    batch_kernels.sample(
        device.send(numpy.array([0, iteration])),
        device.send(numpy.array([*key, rank], 'uint32')),
        device.xp.ones(1, 'float32'), [batch_kernels.Draw(
            stream, numpy.uint32(block).view('int32'), False, out)])
    return [int(number * 2 ** 23 + 2 ** 23) for number in out.tolist()]
