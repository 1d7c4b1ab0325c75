import numpy

from ram.data.synthetic import make_digits


def test_form():
    images, labels = make_digits(1500, 3, 'train')
    assert images.shape == (1500, 28, 28) and images.dtype == numpy.uint8
    assert labels.shape == (1500,) and labels.dtype == numpy.int32
    assert numpy.bincount(labels, minlength=10).min() > 100
    # Bright strokes on black, with room around them.
    assert images.max(axis=(1, 2)).min() > 120
    assert images[:, [0, -1]].mean() < 12 and images[:, 8:20, 8:20].mean() > 60


def test_the_seed_decides_and_nothing_else():
    numpy.random.seed(0)
    images, labels = make_digits(300, 3, 'train')
    numpy.random.seed(1)
    again, labels_again = make_digits(1200, 3, 'train')
    numpy.testing.assert_array_equal(images, again[:300])
    numpy.testing.assert_array_equal(labels, labels_again[:300])
    other, _ = make_digits(300, 4, 'train')
    assert (images != other).any(axis=(1, 2)).all()


def test_train_and_test_share_no_image():
    train = {image.tobytes() for image in make_digits(3000, 3, 'train')[0]}
    test = {image.tobytes() for image in make_digits(1000, 3, 'test')[0]}
    assert len(train) == 3000 and len(test) == 1000
    assert not train & test


def test_memory_alone_does_not_solve_it_but_it_is_not_noise():
    images, labels = make_digits(2000, 3, 'train')
    seen, asked = (a.reshape(-1, 784).astype('float32')
                   for a in (images, make_digits(500, 3, 'test')[0]))
    truth = make_digits(500, 3, 'test')[1]
    distance = (seen ** 2).sum(axis=1) - 2 * asked @ seen.T
    error = (labels[distance.argmin(axis=1)] != truth).mean()
    assert 0.08 < error < 0.4
