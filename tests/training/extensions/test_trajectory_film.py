import os
import signal
import time

import numpy
import pytest
from PIL import Image
from training_runs import arrays_of, make_config, train

from ram import checkpoint
from ram.config import config_from_dict
from ram.data.splits import fixed_canvases, load_splits
from ram.evaluation.evaluate import Trajectory
from ram.training.extensions.trajectory_film import (
    Examples,
    Trajectories,
    thin,
)
from ram.training.signals import StopTrigger


def frames_of(path):
    frames, durations = [], []
    with Image.open(path) as image:
        for i in range(image.n_frames):
            image.seek(i)
            frames.append(numpy.array(image.convert('RGB')).astype(int))
            durations.append(image.info['duration'])
    return frames, durations


def picture_of(name, config):
    """The frame that a checkpoint alone gives."""
    kept = checkpoint.load_checkpoint(str(name))
    splits = load_splits(config.data)
    images, labels = fixed_canvases(config.data, splits, 'validation')[:2]
    examples = Examples(kept.model, images, labels, config)
    return examples.draw(examples.predict(), kept.metrics['epoch'],
                         kept.metrics['validation_error']).astype(int)


def test_film_has_a_frame_for_each_measured_epoch(tmp_path):
    config = config_from_dict(
        {**make_config({'epochs': 5, 'average': 0.5,
                        'learning_rate': 0.03}).as_dict(),
         'evaluation': {'every': 2}}, 'test')
    outcome = train(config, tmp_path / 'run')
    path = tmp_path / 'run' / 'trajectories.gif'
    assert str(path) in outcome.files
    frames, durations = frames_of(path)
    assert durations == [400, 400, 2000]  # epochs 2, 4 and 5
    assert path.stat().st_size < 3e6
    rendered = picture_of(tmp_path / 'run' / 'last.npz', config)
    difference = [abs(frame - rendered).mean() for frame in frames]
    assert difference[2] < 0.2  # but for the choice of colours
    assert min(difference[:2]) > 2 * difference[2]
    assert arrays_of(tmp_path / 'run' / 'snapshot.npz', 'snapshot')[
        'extensions/Trajectories/epoch'].tolist() == [2, 4, 5]


def test_film_of_a_resumed_run_is_the_same(tmp_path, monkeypatch):
    config = make_config(variant='translated', canvas=32)
    train(config, tmp_path / 'whole')
    call = StopTrigger.__call__

    def interrupted(self, trainer):
        if trainer.updater.iteration == 9:  # of 7 in an epoch
            self.signal = signal.SIGINT
        return call(self, trainer)

    monkeypatch.setattr(StopTrigger, '__call__', interrupted)
    train(config, tmp_path / 'parts')
    assert len(frames_of(tmp_path / 'parts' / 'trajectories.gif')[0]) == 1
    monkeypatch.undo()
    train(config, tmp_path / 'parts', resume=True)
    one, two = ((tmp_path / name / 'trajectories.gif').read_bytes()
                for name in ('whole', 'parts'))
    assert one == two
    assert len(frames_of(tmp_path / 'whole' / 'trajectories.gif')[0]) == 3


def test_film_resumes_from_a_snapshot_without_records(
        tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Trajectories, 'serialize', lambda *args: None)
        patch.setattr(StopTrigger, '__call__',
                      lambda self, trainer: trainer.updater.epoch >= 2)
        train(make_config(), tmp_path / 'run')
    train(make_config(), tmp_path / 'run', resume=True)
    assert len(frames_of(tmp_path / 'run' / 'trajectories.gif')[0]) == 1


def test_film_is_left_out_for_a_baseline(tmp_path):
    config = make_config({'epochs': 1}, {'network': 'fc', 'units': 8})
    outcome = train(config, tmp_path / 'run')
    assert 'trajectories.gif' not in os.listdir(tmp_path / 'run')
    assert not any('trajectories' in path for path in outcome.files)


def test_frames_of_one_image_have_one_size(tmp_path):
    out = str(tmp_path / 'run')
    train(make_config({'epochs': 1}, validation=1), out)
    kept = checkpoint.load_checkpoint(os.path.join(out, 'best.npz'))
    images, labels = fixed_canvases(kept.config.data, load_splits(
        kept.config.data), 'validation')[:2]
    examples = Examples(kept.model, images, labels, kept.config)
    seen = examples.predict()
    assert len({examples.draw(seen, epoch, error).shape for epoch, error in (
        (9, 8.11), (12, 100.), (99999, 100.), (1, None))}) == 1


@pytest.mark.parametrize('limit', [2, 5, 32])
def test_thin_spreads_few_records_over_the_run(limit):
    class Record:
        def __init__(self, number):
            self.number = number

    kept = []
    for count in range(1, 200):
        kept = thin(kept + [Record(count - 1)], limit)
        numbers = [record.number for record in kept]
        assert len(numbers) <= limit
        assert numbers[0] == 0 or limit == 2
        assert numbers[-1] == count - 1
        gaps = numpy.diff(numbers)
        assert len(set(gaps[:-1])) <= 1 and (len(gaps) < 2
                                             or gaps[-1] <= gaps[0])
        # Not fewer than necessary.
        assert len(numbers) == count or len(numbers) >= limit / 2


class Stub:
    """Examples at random locations, and a clock: drawing takes a second."""

    def __init__(self, monkeypatch, scales=1):
        self.now, self.writes, self.epoch = 1000.0, [], 0
        self._rng = numpy.random.default_rng(0)
        images = self._rng.random((4, 1, 60, 60), 'float32')
        images[:, :, 30:] = images[:, :, :, 30:] = 0  # a quarter of noise
        self._images = images
        self._examples = Examples(None, images, None, make_config(
            None, {'glimpse_size': 12, 'scales': scales}))
        monkeypatch.setattr(time, 'monotonic', lambda: self.now)

    def predict(self):
        return [Trajectory(image, None,
                           self._rng.uniform(-1, 1, (6, 2)).astype('float32'),
                           self._rng.random((1, 10), 'float32'), 3)
                for image in self._images]

    def draw(self, seen, epoch, error=None):
        self.now += 1
        if not self.writes or self.writes[-1] != self.epoch:
            self.writes.append(self.epoch)
        return self._examples.draw(seen, epoch, error)

    def train(self, film, epochs, seconds):
        """Goes through epochs of so many seconds."""
        class Trainer:
            class updater:
                pass
            observation = {'validation/main/error': 10.0}

        for self.epoch in range(1, epochs + 1):
            self.now += seconds
            Trainer.updater.epoch = self.epoch
            film(Trainer)
        self.epoch = 'end'
        film.finalize()


def test_film_takes_a_fiftieth_of_the_time(tmp_path, monkeypatch):
    stub = Stub(monkeypatch)
    stub.train(Trajectories(stub, str(tmp_path)), 20, 10)
    # A frame: a second, so 50 of rest; then six frames and 300; the others.
    assert stub.writes == [1, 6, 'end']
    assert len(frames_of(tmp_path / 'trajectories.gif')[0]) == 11


def test_film_of_a_long_run_is_small(tmp_path, monkeypatch):
    stub = Stub(monkeypatch, scales=3)
    stub.train(Trajectories(stub, str(tmp_path)), 36, 30)
    path = tmp_path / 'trajectories.gif'
    assert path.stat().st_size < 3e6
    assert 6 <= len(frames_of(path)[0]) <= 12
