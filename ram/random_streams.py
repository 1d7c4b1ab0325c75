"""Named random generators, all made from one seed."""

import json
import zlib

import chainer
import numpy

# order: of the training images; canvas: places and clutter; location: first
# and random locations; noise: of the policy; weights: initial parameters.
NAMES = ('order', 'canvas', 'location', 'noise', 'weights')
# What processes that train one network must draw differently.
OWN = ('canvas', 'location', 'noise')


def make_streams(seed, rank=0):
    """Makes one independent generator for each use of chance.

    Streams do not disturb each other: drawing more from one leaves all
    others as they were, so that, say, another canvas does not change the
    initial weights.

    Args:
        seed (int): Non-negative.
        rank (int): Of the process among those that train one network; they
            share all streams but those in ``OWN``.

    Returns:
        dict of str to numpy.random.Generator: One for each of ``NAMES``.

    """
    return {name: numpy.random.Generator(numpy.random.PCG64(
        [seed, stream_number(name), rank if name in OWN else 0]))
        for name in NAMES}


def stream_number(name):
    """The number below 2^32 by which generators tell a stream from others."""
    return zlib.crc32(name.encode())


def serialize_generator(serializer, key, generator):
    """Saves or restores a generator's full state, Chainer's way.

    Args:
        serializer (chainer.AbstractSerializer): Of a snapshot.
        key (str): Name of the entry.
        generator (numpy.random.Generator): Restored in place.

    """
    state = serializer(key, json.dumps(generator.bit_generator.state))
    if isinstance(serializer, chainer.serializer.Deserializer):
        generator.bit_generator.state = json.loads(str(state))
