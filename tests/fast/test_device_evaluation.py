"""Validation of the engine ``device``, its kernels run as C++."""

import json

import chainer
import numpy
import pytest
from random_models import make_model
from training_runs import make_config, train

from ram.checkpoint import load_checkpoint
from ram.data.splits import fixed_canvases, load_splits
from ram.evaluation.evaluate import evaluate, evaluation_streams, predict
from ram.fast import kernels, workspace
from ram.fast.device_evaluation import DevicePrediction, class_probabilities
from ram.fast.engine import Engine
from ram.random_streams import make_streams
from ram.training import build


@pytest.mark.parametrize('policy', ['learned', 'random'])
@pytest.mark.parametrize('core, scales', [('lstm', 1), ('rnn', 2)])
@pytest.mark.parametrize('batch_size', [3, 7, 50])
def test_device_prediction_equals_predict(kernels_as_cpp, monkeypatch, policy,
                                          core, scales, batch_size):
    rng = numpy.random.default_rng(0)
    model, channels = make_model(rng, 'float32', core=core, scales=scales,
                                 policy=policy, glimpses=4)
    images = rng.random((7, channels, 17, 23)).astype('float32')
    with monkeypatch.context() as patch:
        patch.setattr(workspace, 'operations', lambda xp: kernels)
        prediction = DevicePrediction(
            model, images, *model.sample_noise(make_streams(5), 7, mean=True),
            batch_size)
    for _ in range(2):
        want = predict(model, images, make_streams(5)).probabilities
        got = prediction()
        numpy.testing.assert_allclose(got, want, rtol=0, atol=2e-6)
        for param in model.params():  # weights that change in place
            param.array *= 0.9


def test_class_probabilities_equal_chainers(kernels_as_cpp):
    rng = numpy.random.default_rng(0)
    model, _ = make_model(rng)
    units = model.action.logits.W.shape[1]
    states = 9 * rng.standard_normal((3, 5, units))
    want = chainer.functions.softmax(model.action(states), axis=2).array
    numpy.testing.assert_allclose(class_probabilities(model, states), want,
                                  rtol=0, atol=1e-12)


@pytest.mark.usefixtures('kernels_as_cpp', 'no_figures')
@pytest.mark.parametrize('average', [0.0, 0.9])
def test_validation_on_the_device_measures_what_evaluate_does(
        tmp_path, monkeypatch, average):
    monkeypatch.setattr(build, 'select_engine',
                        lambda *args: Engine('device', ''))
    config = make_config({'average': average, 'epochs': 2})
    train(config, tmp_path / 'run')
    with open(tmp_path / 'run' / 'log') as file:
        entry = json.load(file)[-1]
    model = load_checkpoint(str(tmp_path / 'run' / 'last.npz')).model
    images, labels, _ = fixed_canvases(
        config.data, load_splits(config.data), 'validation')
    want = evaluate(model, images, labels,
                    evaluation_streams(config.data, 'validation'))
    assert entry['validation/main/error'] == want.error
    assert entry['validation/main/loss'] == pytest.approx(want.loss, rel=1e-5)
