import os

import chainer
import numpy
import pytest

from ram import checkpoint
from ram.commands.main import main
from ram.config import build_config, config_from_dict
from ram.errors import RamError
from ram.evaluation.evaluate import evaluate
from ram.models.build import build_network
from ram.models.comparison import Convolutional, FullyConnected
from ram.models.ram import RAM
from ram.random_streams import make_streams


def arrays_of(network):
    """Random weights and biases of a network, by name, in float64."""
    rng = numpy.random.default_rng(3)
    for param in network.params():
        param.array[...] = rng.normal(0, 0.2, param.shape)
    return {name: param.array.astype('float64')
            for name, param in network.namedparams()}


def rect(z):
    return numpy.maximum(z, 0)


def test_fully_connected_is_two_rectified_layers():
    network = FullyConnected(2 * 5 * 4, 7, 3)
    w = arrays_of(network)
    images = numpy.random.default_rng(0).random((6, 2, 5, 4), 'float32')
    h = rect(images.reshape(6, -1) @ w['/first/W'].T + w['/first/b'])
    h = rect(h @ w['/second/W'].T + w['/second/b'])
    numpy.testing.assert_allclose(
        network(images).array, h @ w['/logits/W'].T + w['/logits/b'],
        rtol=1e-4, atol=1e-5)


def test_convolutional_is_ten_pixels_at_stride_five():
    network = Convolutional(2, (21, 15), 7, 3)
    w = arrays_of(network)
    images = numpy.random.default_rng(0).random((3, 2, 21, 15), 'float32')
    seen = numpy.zeros((3, 8, 3, 2))
    for b in range(3):
        for f in range(8):
            for i in range(3):
                for j in range(2):
                    window = images[b, :, 5 * i:5 * i + 10,
                                    5 * j:5 * j + 10]
                    seen[b, f, i, j] = (w['/convolution/b'][f] + (
                        window * w['/convolution/W'][f]).sum())
    h = rect(rect(seen).reshape(3, -1) @ w['/hidden/W'].T + w['/hidden/b'])
    numpy.testing.assert_allclose(
        network(images).array, h @ w['/logits/W'].T + w['/logits/b'],
        rtol=1e-4, atol=1e-5)


def config_of(network, **model):
    return config_from_dict({
        'data': {'name': 'synthetic', 'train_images': 1500,
                 'validation': 500, 'test_images': 60},
        'model': dict(network=network, **model),
        'training': {'epochs': 5, 'batch_size': 20, 'learning_rate': 0.01}},
        'test')


@pytest.mark.parametrize('network, shapes', [
    ('ram', RAM), ('fc', FullyConnected), ('conv', Convolutional)])
def test_the_configuration_names_the_network(network, shapes):
    built = build_network(config_of(network), make_streams(1)['weights'])
    assert type(built) is shapes
    again = build_network(config_of(network), make_streams(1)['weights'])
    for one, two in zip(built.params(), again.params()):
        assert one.array.dtype == 'float32'
        assert one.array.tobytes() == two.array.tobytes()


@pytest.mark.parametrize('network', ['fc', 'conv'])
def test_from_training_to_evaluation(network, tmp_path, capsys):
    (tmp_path / 'c.yaml').write_text(config_of(network, units=32).to_yaml())
    out = tmp_path / 'run'
    assert main(['train', str(tmp_path / 'c.yaml'), '--out', str(out)]) == 0
    best = str(out / 'best.npz')
    loaded = checkpoint.load_checkpoint(best)
    assert loaded.metrics['validation_error'] < 45
    assert main(['evaluate', best]) == 0
    text = capsys.readouterr().out
    assert 'on 60 test images' in text
    assert text.count('after each glimpse: ') == 1
    for command in ('render', 'inspect'):
        assert main([command, best, '--out', str(tmp_path / 'x.png')]) == 2
        complaint = capsys.readouterr().err
        assert 'takes no glimpses' in complaint and complaint.count('\n') == 1
        assert not (tmp_path / 'x.png').exists()


def test_evaluation_counts_a_baselines_errors():
    network = FullyConnected(9, 4, 5)
    arrays_of(network)
    rng = numpy.random.default_rng(0)
    images = rng.random((40, 1, 3, 3), 'float32')
    labels = rng.integers(5, size=40).astype('int32')
    wrong = (network(images).array.argmax(axis=1) != labels).sum()
    result = evaluate(network, images, labels, make_streams(0), batch_size=7)
    assert result.error == 100 * wrong / 40
    assert result.error_by_glimpse == [result.error]
    loss = chainer.functions.softmax_cross_entropy(network(images), labels)
    assert result.loss == pytest.approx(float(loss.array), rel=1e-5)


def test_a_baseline_heeds_no_glimpse():
    values = {'model.network': 'fc', 'data.image_size': [6, 6]}
    build_config(values, dict.fromkeys(values, 'here'))
    values['model.network'] = 'conv'
    with pytest.raises(RamError, match='takes 10x10 pixels of a 6x6 image'):
        build_config(values, dict.fromkeys(values, 'here'))


@pytest.mark.parametrize('bits', [10, 14, 23])
def test_rounded_weights_are_stored_smaller(tmp_path, bits):
    config = config_of('fc', units=8)
    network = build_network(config, make_streams(1)['weights'])
    path = str(tmp_path / 'net.npz')
    checkpoint.save_checkpoint(path, network, config, {}, bits)
    loaded = checkpoint.load_checkpoint(path).model
    size = os.path.getsize(path) / sum(p.size for p in network.params())
    assert size < {10: 2.6, 14: 3.4, 23: 6}[bits]
    for one, two in zip(network.params(), loaded.params()):
        assert two.dtype == 'float32'
        error = abs(two.array - one.array)
        assert (error <= 2.0 ** -(bits + 1) * abs(one.array)).all()
        if bits == 23:
            assert not error.any()


def test_half_precision_of_older_versions_is_read(tmp_path):
    config = config_of('fc', units=8)
    network = build_network(config, make_streams(1)['weights'])
    serializer = chainer.serializers.DictionarySerializer()
    serializer.save(network)
    path = str(tmp_path / 'half.npz')
    checkpoint.write_arrays(
        path, 'checkpoint', {name: array.astype('float16') for name, array
                             in serializer.target.items()},
        {'config': config.as_dict(), 'metrics': {}})
    loaded = checkpoint.load_checkpoint(path).model
    for one, two in zip(network.params(), loaded.params()):
        assert two.dtype == 'float32'
        assert (two.array == one.array.astype('float16')).all()
