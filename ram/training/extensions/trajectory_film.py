"""How the policy on a few validation images changes during the training."""

import os
from typing import Any, List, NamedTuple, Optional

import chainer
import numpy
from chainer.training import extension

from ram.config import Config
from ram.evaluation.evaluate import (
    Trajectory,
    evaluation_streams,
    trajectories,
)
from ram.files import replacing
from ram.models.ram import RAM
from ram.training.extensions.pace import Pace
from ram.visualizations import sheet
from ram.visualizations.colours import COLOURS
from ram.visualizations.gif import GifWriter
from ram.visualizations.paths import draw_whole_paths

_EXAMPLES = 4
_FRAMES = 12  # of the film, at most
_FRAME, _LAST = 400, 2000  # milliseconds
_SHARE = 1 / 50  # of the time of the training, for drawing the film


class Examples:
    """The first few validation images, and the glimpses of a network.

    Args:
        model: The network that is measured.
        images: (N, C, H, W) float32, all of them.
        labels: (N,) int32.
        config: The configuration.

    """

    def __init__(self, model: RAM, images: numpy.ndarray,
                 labels: numpy.ndarray, config: Config):
        self._model = model
        self._images = images
        self._labels = labels
        self._config = config

    def predict(self) -> List[Trajectory]:
        """Takes the glimpses of the network, as the evaluation does."""
        return trajectories(
            self._model, self._images, self._labels,
            list(range(min(_EXAMPLES, len(self._images)))),
            evaluation_streams(self._config.data, 'validation'))

    def draw(self, seen: List[Trajectory], epoch: int,
             error: Optional[float] = None) -> numpy.ndarray:
        """Draws glimpses.

        Args:
            seen: By :meth:`predict`.
            epoch: For the title.
            error: On all validation images, in %, for the title.

        Returns:
            (h, w, 3) uint8, of one size for the same images.

        """
        title = f'epoch {epoch}' + (
            '' if error is None else f', validation error {error:.2f} %')
        figure = draw_whole_paths(
            seen, self._config.model.patch_sizes, title,
            self._config.data.class_names)
        figure.canvas.draw()
        return sheet.raster(figure)


class _Record(NamedTuple):
    """The glimpses at one measurement of the error."""

    number: int  # of the measurement, from 0
    epoch: int
    error: float  # in %
    locations: numpy.ndarray  # (images, T, 2)
    probabilities: numpy.ndarray  # (images, K), after the last glimpse


class Trajectories(extension.Extension):
    """Draws ``trajectories.gif``: a frame for each measured epoch.

    Of a long run it shows every second, fourth, ... one and the newest, so
    that the film stays short. It draws as often as that takes at most a
    fiftieth of the time, and at the end. Snapshots contain what it shows.

    Args:
        examples: What is shown.
        out: Run folder.

    """

    trigger = 1, 'iteration'
    priority = extension.PRIORITY_READER

    def __init__(self, examples: Examples, out: str):
        self._examples = examples
        self._path = os.path.join(out, 'trajectories.gif')
        self._records = []
        self._gif = None
        self._frames = {}  # by epoch
        self._pace = Pace(_SHARE)

    def __call__(self, trainer: Any) -> None:
        error = trainer.observation.get('validation/main/error')
        if error is None:  # not measured in this iteration
            return
        seen = self._examples.predict()
        self._records = thin(self._records + [_Record(
            self._records[-1].number + 1 if self._records else 0,
            trainer.updater.epoch, float(error),
            numpy.stack([t.locations for t in seen]),
            numpy.stack([t.probabilities[-1] for t in seen]))], _FRAMES)
        if self._pace.due():
            self.write()

    def finalize(self) -> None:
        if self._records and self._records[-1].epoch not in self._frames:
            self.write()

    def write(self) -> None:
        """Draws the film."""
        with self._pace:
            self._frames = {record.epoch: self._frame(record)
                            for record in self._records}
            with replacing(self._path) as file:
                self._gif.write(file, self._frames.values(),
                                [_FRAME] * (len(self._records) - 1) + [_LAST])

    def _frame(self, record):
        if record.epoch in self._frames:
            return self._frames[record.epoch]
        seen = [trajectory._replace(locations=locations,
                                    probabilities=probabilities[None])
                for trajectory, locations, probabilities in zip(
                    self._examples.predict(), record.locations,
                    record.probabilities)]
        picture = self._examples.draw(seen, record.epoch, record.error)
        if self._gif is None:
            self._gif = GifWriter([picture], COLOURS)
        return self._gif.index(picture)

    def serialize(self, serializer: Any) -> None:
        """Saves or restores the records."""
        if isinstance(serializer, chainer.serializer.Deserializer):
            columns = [serializer(name, None) for name in _Record._fields]
            if columns[0] is not None:
                self._records = [
                    _Record(int(number), int(epoch), float(error), *arrays)
                    for number, epoch, error, *arrays in zip(*columns)]
        elif self._records:
            for name, column in zip(_Record._fields, zip(*self._records)):
                serializer(name, numpy.stack(column))


def thin(records: List[Any], limit: int) -> List[Any]:
    """Keeps the first and last record, and evenly spaced ones between.

    Args:
        records: With a ``number``, from 0; those that an earlier call
            returned, and newer ones.
        limit: Of the records returned, at least 2.

    Returns:
        Those whose number a power of two divides, and the last.

    """
    last, step = records[-1], 1
    while last.number // step + 2 > limit:
        step *= 2
    return [record for record in records[:-1]
            if record.number % step == 0] + [last]
