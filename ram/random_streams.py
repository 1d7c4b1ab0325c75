"""Named random generators, all made from one seed."""

import json
import zlib
from typing import Any, Dict

import chainer
import numpy

# order: of the training images; canvas: places and clutter; location: first
# and random locations; noise: of the policy; weights: initial parameters.
NAMES = ('order', 'canvas', 'location', 'noise', 'weights')
# Processes that train one network sample these differently.
OWN = ('canvas', 'location', 'noise')


def make_streams(seed: int,
                 rank: int = 0) -> Dict[str, numpy.random.Generator]:
    """Makes an independent generator for each use of randomness.

    Sampling more from one stream leaves the others as they were: another
    canvas, for instance, does not change the initial weights.

    Args:
        seed: Non-negative.
        rank: Of the process; those that train one network share all streams
            but those in ``OWN``.

    Returns:
        One for each of ``NAMES``.

    """
    return {name: numpy.random.Generator(numpy.random.PCG64(
        [seed, stream_number(name), rank if name in OWN else 0]))
        for name in NAMES}


def stream_number(name: str) -> int:
    """A number below 2^32 that identifies a stream."""
    return zlib.crc32(name.encode())


def serialize_generator(serializer: Any, key: str,
                        generator: numpy.random.Generator) -> None:
    """Saves or restores a generator's full state through a serializer.

    Args:
        serializer (chainer.AbstractSerializer): Of a snapshot.
        key: Name of the entry.
        generator: Restored in place.

    """
    state = serializer(key, json.dumps(generator.bit_generator.state))
    if isinstance(serializer, chainer.serializer.Deserializer):
        generator.bit_generator.state = json.loads(str(state))
