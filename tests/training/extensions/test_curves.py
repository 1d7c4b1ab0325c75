import json
import time

import numpy
from PIL import Image
from training_runs import make_config, train

from ram.config import config_from_dict
from ram.training.extensions import curves
from ram.training.extensions.curves import Curves, draw_curve


class Report:
    def __init__(self, log=()):
        self.log = list(log)


def entry(epoch):
    return {'epoch': epoch, 'main/loss': 1 / epoch, 'main/error': 50 / epoch,
            'validation/main/loss': 2., 'validation/main/error': 20.}


def picture(path):
    with Image.open(path) as image:
        return numpy.array(image)


def test_curves_are_those_of_the_log(tmp_path):
    config = config_from_dict(
        {**make_config({'epochs': 5}).as_dict(), 'evaluation': {'every': 2}},
        'test')
    train(config, tmp_path / 'run')
    log = json.loads((tmp_path / 'run' / 'log').read_text())
    for name in ('loss', 'error'):
        ax = draw_curve(log, name, 'unit')
        trained, measured = (line.get_xydata() for line in ax.lines)
        assert trained.tolist() == [
            [e, log[e - 1][f'main/{name}']] for e in range(1, 6)]
        assert measured.tolist() == [
            [e, log[e - 1][f'validation/main/{name}']] for e in (2, 4, 5)]
        # What lies in the folder shows all epochs, the last one included.
        Curves(Report(log), str(tmp_path)).finalize()
        numpy.testing.assert_array_equal(
            picture(tmp_path / 'run' / f'{name}.png'),
            picture(tmp_path / f'{name}.png'))


def test_draw_curve_shows_negative_values():
    log = [{'epoch': 1, 'main/loss': 1.}, {'epoch': 2, 'main/loss': -2.}]
    low, high = draw_curve(log, 'loss', 'nats').get_ylim()
    assert low < -2 and high > 1
    log[1]['main/loss'] = 0.01
    assert draw_curve(log, 'loss', 'nats').get_ylim()[0] == 0


def test_draw_curve_without_validation_has_one_line():
    ax = draw_curve([{'epoch': 1, 'main/error': 9.}], 'error', '%')
    assert [line.get_xydata().tolist() for line in ax.lines] == [[[1, 9]]]
    assert ax.lines[0].get_marker() == '.'  # a line of one point is not seen


def test_curves_take_a_fiftieth_of_the_time(tmp_path, monkeypatch):
    now, calls = [1000.0], []
    draw = curves.draw_curve

    def slow(log, name, unit):
        now[0] += 1
        calls.append((name, log[-1]['epoch']))
        return draw(log, name, unit)

    monkeypatch.setattr(time, 'monotonic', lambda: now[0])
    monkeypatch.setattr(curves, 'draw_curve', slow)
    report = Report()
    extension = Curves(report, str(tmp_path))
    for epoch in range(1, 15):
        now[0] += 10
        report.log.append(entry(epoch))
        extension(None)
    # Two seconds, so a hundred of rest.
    assert [epoch for name, epoch in calls if name == 'loss'] == [1, 11]
    extension.finalize()
    extension.finalize()
    assert calls[-2:] == [('loss', 14), ('error', 14)] and len(calls) == 6
