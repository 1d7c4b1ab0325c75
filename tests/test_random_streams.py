"""Named generators, all made from one seed."""

import chainer
import numpy
import pytest

from ram.random_streams import (
    NAMES,
    OWN,
    make_streams,
    serialize_generator,
    stream_number,
)


def sample(streams, name, count=4):
    return streams[name].integers(2 ** 62, size=count).tolist()


def test_one_seed_gives_the_same_streams_and_others_do_not():
    found = {(seed, name): tuple(sample(make_streams(seed), name))
             for seed in (0, 1, 2 ** 63 - 1) for name in NAMES}
    assert len(set(found.values())) == len(found)
    for (seed, name), values in found.items():
        assert tuple(sample(make_streams(seed), name)) == values


@pytest.mark.parametrize('used', NAMES)
def test_one_stream_does_not_disturb_another(used):
    streams, fresh = make_streams(3), make_streams(3)
    sample(streams, used, 100)
    for name in NAMES:
        same = sample(streams, name) == sample(fresh, name)
        assert same == (name != used)


def test_ranks_share_all_but_their_own_streams():
    one, two = make_streams(5, rank=0), make_streams(5, rank=1)
    for name in NAMES:
        assert (sample(one, name) == sample(two, name)) == (name not in OWN)


def test_stream_numbers_never_change():
    # Runs of earlier versions are resumed with them.
    assert [stream_number(name) for name in NAMES] == [
        4113142680, 2778688536, 1587448267, 4255749673, 449999704]


def test_a_generator_continues_where_it_was_saved():
    generator = make_streams(1)['noise']
    generator.standard_normal(7)
    saved = chainer.serializers.DictionarySerializer()
    serialize_generator(saved, 'state', generator)
    want = generator.standard_normal(5)
    other = numpy.random.default_rng(9)
    serialize_generator(chainer.serializers.NpzDeserializer(saved.target),
                        'state', make_streams(2)['noise'])
    restored = make_streams(2)['noise']
    serialize_generator(chainer.serializers.NpzDeserializer(saved.target),
                        'state', restored)
    numpy.testing.assert_array_equal(restored.standard_normal(5), want)
    assert (other.standard_normal(5) != want).any()
