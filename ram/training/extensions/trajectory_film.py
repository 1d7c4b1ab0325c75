"""How the policy at a few validation images changes while it is trained."""

import os
from typing import Any, NamedTuple

import chainer
import numpy
from chainer.training import extension

from ram.evaluation.evaluate import evaluation_streams, trajectories
from ram.files import replacing
from ram.training.extensions.pace import Pace
from ram.visualizations import sheet
from ram.visualizations.gif import GifWriter
from ram.visualizations.paths import draw_whole_paths
from ram.visualizations.trajectories import COLOURS

_EXAMPLES = 4
_FRAMES = 12  # of the film, at most
_FRAME, _LAST = 400, 2000  # milliseconds
_SHARE = 1 / 50  # of the time of the training, for drawing the film


class Examples:
    """The first few validation images, and how a network looks at them.

    They are looked at as the evaluation does.

    Args:
        model (ram.models.ram.RAM): The network that is measured.
        images (array): (N, C, H, W) float32 on the CPU: all of them.
        labels (array): (N,) int32.
        config (ram.config.Config): The configuration.

    """

    def __init__(self, model, images, labels, config):
        self._model = model
        self._images = images
        self._labels = labels
        self._data = config.data
        self._patch_sizes = config.model.patch_sizes
        self._class_names = config.data.class_names

    def look(self):
        """Lets the network look now.

        Returns:
            list of ram.evaluation.evaluate.Trajectory

        """
        return trajectories(
            self._model, self._images, self._labels,
            list(range(min(_EXAMPLES, len(self._images)))),
            evaluation_streams(self._data, 'validation'))

    def draw(self, seen, epoch, error=None):
        """A picture of how it looked.

        Args:
            seen (list of ram.evaluation.evaluate.Trajectory): By :meth:`look`.
            epoch (int): For the title, like the next.
            error (float): On all validation images, in %, where it was
                measured.

        Returns:
            array: (h, w, 3) uint8, of one size for the same images.

        """
        title = f'epoch {epoch}' + (
            '' if error is None else f', validation error {error:.2f} %')
        figure = draw_whole_paths(
            seen, self._patch_sizes, title, self._class_names)[0].figure
        figure.canvas.draw()
        return sheet.raster(figure)


class _Record(NamedTuple):
    """How the network looked when its error was measured."""

    number: int  # of the measurement, from 0
    epoch: int
    error: float  # in %
    locations: Any  # (images, T, 2)
    probabilities: Any  # (images, K), after the last glimpse


class Trajectories(extension.Extension):
    """Draws ``trajectories.gif``: a frame for each measured epoch.

    Of a long run it shows every second, fourth, ... one and the newest, so
    that the film stays short. It is drawn anew as often as that takes no more
    than a fiftieth of the time, and at the end. What it shows is in the
    snapshot, and a resumed run goes on with it.

    Args:
        examples (Examples): What is looked at.
        out (str): Run folder.

    """

    trigger = 1, 'iteration'
    priority = extension.PRIORITY_READER

    def __init__(self, examples, out):
        self._examples = examples
        self._path = os.path.join(out, 'trajectories.gif')
        self._records = []
        self._gif = None
        self._frames = {}  # by epoch
        self._pace = Pace(_SHARE)

    def __call__(self, trainer):
        error = trainer.observation.get('validation/main/error')
        if error is None:  # not measured now
            return
        seen = self._examples.look()
        self._records = thin(self._records + [_Record(
            self._records[-1].number + 1 if self._records else 0,
            trainer.updater.epoch, float(error),
            numpy.stack([t.locations for t in seen]),
            numpy.stack([t.probabilities[-1] for t in seen]))], _FRAMES)
        if self._pace.due():
            self._write()

    def finalize(self):
        if self._records and self._records[-1].epoch not in self._frames:
            self._write()

    def _write(self):
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
                    self._examples.look(), record.locations,
                    record.probabilities)]
        picture = self._examples.draw(seen, record.epoch, record.error)
        if self._gif is None:
            self._gif = GifWriter([picture], COLOURS)
        return self._gif.index(picture)

    def serialize(self, serializer):
        """Saves or restores what the film shows."""
        if isinstance(serializer, chainer.serializer.Deserializer):
            columns = [serializer(name, None) for name in _Record._fields]
            if columns[0] is not None:
                self._records = [
                    _Record(int(number), int(epoch), float(error), *arrays)
                    for number, epoch, error, *arrays in zip(*columns)]
        elif self._records:
            for name, column in zip(_Record._fields, zip(*self._records)):
                serializer(name, numpy.stack(column))


def thin(records, limit):
    """At most so many of the records: the first, the last, and evenly between.

    Args:
        records (list): Each with a ``number``, counted from 0; those that an
            earlier call left, and newer ones.
        limit (int): At least 2.

    Returns:
        list: Those whose number a power of two divides, and the last.

    """
    last, step = records[-1], 1
    while last.number // step + 2 > limit:
        step *= 2
    return [record for record in records[:-1]
            if record.number % step == 0] + [last]
