"""ram.load and the predictions of its model."""

import os
import subprocess
import sys

import numpy
import pytest
from training_runs import make_config

import ram
from ram import checkpoint
from ram.config import config_from_dict
from ram.evaluation.evaluate import evaluate, evaluation_streams, trajectories
from ram.models.build import build_network
from ram.random_streams import make_streams
from ram.visualizations import draw_trajectory, save_trajectories

RNG = numpy.random.default_rng(0)


def saved(folder, size=(20, 30), channels=1, **model):
    config = make_config(
        None, {'core': 'rnn', 'glimpse_size': 2, 'scales': 2, **model},
        name='npz', file='x', image_size=list(size), channels=channels,
        classes=4)
    config = config_from_dict(
        {**config.as_dict(), 'evaluation': {'batch_size': 4}}, 'test')
    network = build_network(config, make_streams(1)['weights'])
    path = str(folder / 'x.npz')
    checkpoint.save_checkpoint(path, network, config, {'epoch': 7})
    return path


@pytest.fixture
def model(tmp_path):
    return ram.load(saved(tmp_path))


def test_load_gives_model_and_configuration(model, tmp_path):
    assert model.path == str(tmp_path / 'x.npz')
    assert model.metrics == {'epoch': 7}
    assert model.config.model.glimpses == 3
    assert model.patch_sizes == (2, 4)
    assert model.class_names == ['0', '1', '2', '3']


def test_predict_equals_evaluate(model):
    images = RNG.random((11, 1, 20, 30), 'float32')
    labels = RNG.integers(4, size=11).astype('int32')
    result = model.predict(images)
    data = model.config.data
    measured = evaluate(model.network, images, labels,
                        evaluation_streams(data, 'test'))
    assert 100 * (result.classes != labels).mean() == pytest.approx(
        measured.error)
    assert result.probabilities.shape == (11, 3, 4)
    numpy.testing.assert_allclose(result.probabilities.sum(axis=2), 1, 1e-5)
    assert result.names == [str(i) for i in result.classes]
    rendered = trajectories(model.network, images, labels, range(11),
                         evaluation_streams(data, 'test'))
    for i, expected in enumerate(rendered):
        # In pixels: (-1, -1) is (0, 0) and (1, 1) is (W, H) = (30, 20).
        x, y = (expected.locations.astype('float64').T + 1) * [[15], [10]]
        numpy.testing.assert_allclose(result.locations[i, :, 0], x, 0, 1e-4)
        numpy.testing.assert_allclose(result.locations[i, :, 1], y, 0, 1e-4)
        shown = result.trajectory(i, labels[i])
        assert shown.label == expected.label
        numpy.testing.assert_array_equal(shown.retina, expected.retina)
        numpy.testing.assert_allclose(shown.locations, expected.locations,
                                      atol=1e-6)


@pytest.mark.parametrize('channels', [1, 3])
def test_predict_reads_every_layout(tmp_path, channels):
    model = ram.load(saved(tmp_path, channels=channels))
    whole = RNG.integers(256, size=(5, channels, 20, 30)).astype('uint8')
    expected = model.predict(whole)
    assert expected.images.dtype == 'float32'
    numpy.testing.assert_allclose(expected.images, whole / 255, 1e-6)
    last = whole.transpose(0, 2, 3, 1)
    same = [last, whole / 255, (whole / 255).astype('float16').tolist(),
            last[0], last[0] / 255]
    if channels == 1:
        same += [whole[:, 0], whole[0, 0], whole[0, 0] / 255]
    for images in same:
        result = model.predict(images)
        count = len(result.classes)
        assert count in (1, 5)
        numpy.testing.assert_allclose(
            result.images, expected.images[:count], atol=1e-3)


SHAPES = '(20, 30), (20, 30, 1), (N, 20, 30), (N, 20, 30, 1) or (N, 1, 20, 30)'
BAD = {
    'turned': (numpy.zeros((30, 20), 'uint8'), 'uint8 of shape (30, 20)'),
    'in colour': (numpy.zeros((20, 30, 3), 'uint8'), '(20, 30, 3)'),
    'channels first, in colour': (numpy.zeros((2, 3, 20, 30)), '(2, 3, 20'),
    'none': (numpy.zeros((0, 20, 30), 'uint8'), '(0, 20, 30)'),
    'a number': (3, '()'), 'five axes': (numpy.zeros((1, 1, 1, 20, 30)), ''),
    'int64': (numpy.zeros((20, 30), int), 'int64 of shape'),
    'uint16': (numpy.zeros((20, 30), 'uint16'), 'uint16 of shape'),
    'bool': (numpy.zeros((20, 30), bool), 'bool of shape'),
    'complex': (numpy.zeros((20, 30), complex), 'complex128 of shape'),
    'text': (numpy.full((20, 30), 'a'), '<U1 of shape'),
    'objects': (numpy.full((20, 30), None), 'object of shape'),
    'beyond 1': (numpy.full((20, 30), 255.), 'values from 255.0 to 255.0'),
    'below 0': (numpy.full((20, 30), -.1), 'values from -0.1'),
    'NaN': (numpy.full((20, 30), numpy.nan), 'values from nan'),
    'ragged': ([[1], [1, 2]], '')}  # an array of objects, or none


@pytest.mark.parametrize('case', BAD)
def test_predict_names_what_it_accepts(model, case):
    images, words = BAD[case]
    with pytest.raises(ram.RamError) as caught:
        model.predict(images)
    problem, = caught.value.problems
    assert words in problem and model.path in problem
    assert problem.endswith(SHAPES)


def test_predict_refuses_ambiguous_layouts(tmp_path):
    model = ram.load(saved(tmp_path, size=(3, 3), channels=3, scales=1))
    with pytest.raises(ram.RamError) as caught:
        model.predict(numpy.zeros((5, 3, 3, 3), 'uint8'))
    assert '(N, H, W, C) or (N, C, H, W)' in str(caught.value)
    assert len(model.predict(numpy.zeros((3, 3, 3), 'uint8')).classes) == 1


def test_prediction_of_a_baseline_has_no_trajectory(tmp_path):
    model = ram.load(saved(tmp_path, network='fc'))
    result = model.predict(numpy.zeros((2, 20, 30), 'uint8'))
    assert result.probabilities.shape == (2, 1, 4)
    assert result.locations.shape == (2, 0, 2)
    with pytest.raises(ram.RamError, match='takes no glimpses'):
        result.trajectory(0)


def test_prediction_trajectories_without_labels_are_drawn(model, tmp_path):
    result = model.predict(RNG.integers(256, size=(2, 20, 30)).astype('uint8'))
    shown = [result.trajectory(i) for i in range(2)]
    axes = draw_trajectory(shown[0], model.patch_sizes)
    title, = (text.get_text() for text in axes[0].texts
              if 'predicted' in text.get_text())
    assert title == f'predicted: {result.classes[0]}'
    assert not any('\u25b8' in text.get_text() for text in axes[2].texts)
    for name in ('x.png', 'x.gif'):
        save_trajectories(str(tmp_path / name), shown, model.patch_sizes)


def test_load_names_missing_checkpoints_and_devices(tmp_path):
    with pytest.raises(ram.RamError, match='no such file'):
        ram.load(str(tmp_path / 'nothing.npz'))
    with pytest.raises(ram.RamError, match='tpu'):
        ram.load(saved(tmp_path), device='tpu')


def test_import_ram_imports_little():
    done = subprocess.run(
        [sys.executable, '-c', 'import ram, sys; ram.load; print(*sys.modules)'],
        capture_output=True, text=True, check=True,
        env=dict(os.environ, PYTHONPATH=os.path.dirname(
            os.path.dirname(os.path.abspath(__file__)))))
    read = set(done.stdout.split())
    assert not read & {'matplotlib', 'pydantic', 'yaml', 'ram.checkpoint'}
    assert {name for name in read if name.startswith('ram')} == {
        'ram', 'ram.compat', 'ram.errors'}
