import chainer
import numpy
import pytest

from ram.config import config_from_dict
from ram.data.batches import BatchIterator
from ram.data.splits import Split
from ram.random_streams import make_streams


def make(count=10, batch=4, seed=0, **data):
    data = config_from_dict({'data': data}, 'test').data
    images = numpy.zeros((count, 1, 28, 28), 'uint8')
    images[:, 0, 0, 0] = numpy.arange(count)
    return BatchIterator(
        data, Split(images, numpy.arange(count, dtype='int32') % 10), batch,
        make_streams(seed))


def numbers(batch):
    return numpy.round(batch[0][:, 0, 0, 0] * 255).astype(int).tolist()


def test_every_image_once_an_epoch():
    iterator = make()
    seen = []
    for _ in range(15):
        images, labels = next(iterator)
        assert images.shape == (4, 1, 28, 28)
        assert images.dtype == numpy.float32 and labels.dtype == numpy.int32
        seen += numbers((images, labels))
        assert labels.tolist() == [n % 10 for n in seen[-4:]]
    epochs = [seen[i:i + 10] for i in range(0, 60, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 6


@pytest.mark.parametrize('count, batch', [(10, 4), (10, 5), (10, 10), (9, 2)])
def test_counts_epochs_as_chainer_does(count, batch):
    own = make(count, batch)
    theirs = chainer.iterators.SerialIterator(list(range(count)), batch)
    assert own.previous_epoch_detail is None
    for _ in range(20):
        next(own), next(theirs)
        assert (own.epoch, own.is_new_epoch) == (
            theirs.epoch, theirs.is_new_epoch)
        assert own.epoch_detail == pytest.approx(theirs.epoch_detail)
        assert own.previous_epoch_detail == pytest.approx(
            theirs.previous_epoch_detail)


@pytest.mark.parametrize('done', [0, 1, 3, 7])
def test_goes_on_where_it_was_saved(done):
    options = {'variant': 'translated', 'canvas': 40}
    one = make(seed=1, **options)
    for _ in range(done):
        next(one)
    serializer = chainer.serializers.DictionarySerializer()
    one.serialize(serializer)
    assert all(value.dtype != object for value in serializer.target.values())
    two = make(seed=2, **options)
    next(two)
    two.serialize(chainer.serializers.NpzDeserializer(serializer.target))
    for _ in range(8):
        for a, b in zip(next(one), next(two)):
            numpy.testing.assert_array_equal(a, b)
        assert one.epoch_detail == two.epoch_detail
        assert one.is_new_epoch == two.is_new_epoch


def test_the_canvas_stream_leaves_the_order_alone():
    plain, moved = make(), make(variant='translated', canvas=40)
    for _ in range(5):
        assert next(plain)[1].tolist() == next(moved)[1].tolist()


def test_a_shift_moves_training_images():
    iterator = make(shift=2)
    corners = [next(iterator)[0][:, 0] for _ in range(10)]
    # The one bright pixel is in the corner, or moved down and right of it, or
    # out of the image.
    corners = numpy.concatenate(corners)
    assert not corners[:, 3:].any() and not corners[:, :, 3:].any()
    assert corners[:, 2].any() and corners[:, :, 2].any()
    assert (corners.reshape(40, -1) > 0).sum(axis=1).min() == 0


@pytest.mark.parametrize('options', [
    {}, {'variant': 'translated', 'canvas': 40}])
def test_a_warp_changes_training_images(options):
    plain, warped = make(**options), make(warp=0.2, **options)
    for _ in range(3):
        (one, labels), (other, same) = next(plain), next(warped)
        assert other.dtype == numpy.float32 and one.shape == other.shape
        assert labels.tolist() == same.tolist()
        # A corner is what a map moves first.
        assert one.max() > 0 and not numpy.array_equal(one, other)


@pytest.mark.parametrize('count, batch', [(10, 4), (10, 5), (10, 10)])
def test_what_is_ahead_is_what_comes(count, batch):
    iterator, other = make(count, batch), make(count, batch)
    for epoch in range(3):
        batches, details = iterator.remaining_batches()
        assert len(batches) <= iterator.max_batches
        for chosen, detail in zip(batches.tolist(), details.tolist()):
            assert iterator.epoch == epoch
            assert detail == iterator.epoch_detail
            assert chosen == iterator.next_indices().tolist()
            # Asking has changed nothing.
            assert chosen == numbers(next(other))
        assert iterator.is_new_epoch
    if batch < count:  # and from the middle of an epoch
        iterator.next_indices()
        assert iterator.remaining_batches()[0][0].tolist() == iterator.next_indices().tolist()


def test_each_rank_has_its_part_of_what_is_ahead():
    data = config_from_dict({}, 'test').data
    split = Split(numpy.zeros((10, 1, 28, 28), 'uint8'),
                  numpy.zeros(10, 'int32'))
    whole, one, two = (
        BatchIterator(data, split, 4, make_streams(0), rank, size).remaining_batches()[0]
        for rank, size in ((0, 1), (0, 2), (1, 2)))
    assert numpy.concatenate([one, two], axis=1).tolist() == whole.tolist()
