"""Loss and error over the epochs, as pictures."""

import os

from chainer.training import extension
from matplotlib.ticker import MaxNLocator

from ram.files import replacing
from ram.training.extensions.pace import Pace
from ram.visualizations import sheet
from ram.visualizations.trajectories import GUESS, SCALE_COLOURS

_SHARE = 1 / 50  # of the time of the training, for drawing both
_WIDTH, _HEIGHT = 520, 320
_LINES = (('main/', 'training, mean over the epoch', SCALE_COLOURS[0]),
          ('validation/main/', 'validation, at its end', GUESS))


class Curves(extension.Extension):
    """Draws ``loss.png`` and ``error.png`` from the log.

    They are drawn anew as often as that takes no more than a fiftieth of the
    time, and at the end.

    Args:
        report (chainer.training.extensions.LogReport): Its log, an entry an
            epoch. It is to be an extension before this one.
        out (str): Run folder.

    """

    trigger = 1, 'epoch'
    priority = extension.PRIORITY_READER

    def __init__(self, report, out):
        self._report = report
        self._out = out
        self._pace = Pace(_SHARE)
        self._drawn = None  # the newest epoch in the pictures

    def __call__(self, trainer):
        if self._pace.due():
            self._draw()

    def finalize(self):
        log = self._report.log
        if log and log[-1]['epoch'] != self._drawn:
            self._draw()

    def _draw(self):
        log = self._report.log
        with self._pace:
            for name, unit in (('loss', 'nats'), ('error', '%')):
                figure = draw_curve(log, name, unit).figure
                with replacing(os.path.join(self._out, f'{name}.png')) as file:
                    sheet.save_png(figure, file)
        self._drawn = log[-1]['epoch']


def draw_curve(log, name, unit):
    """Draws what a log tells of one figure, in training and in validation.

    Args:
        log (list of dict): Entries with ``epoch``, ``main/NAME`` and, where it
            was measured, ``validation/main/NAME``.
        name (str): What to draw.
        unit (str): Its unit.

    Returns:
        matplotlib.axes.Axes: Epochs along x, of a figure of their own.

    """
    figure = sheet.new_figure(_WIDTH, _HEIGHT, pixels=2)
    ax = sheet.add_axes(figure, 56, 16, _WIDTH - 76, _HEIGHT - 64)
    for prefix, label, colour in _LINES:
        points = [(entry['epoch'], entry[prefix + name]) for entry in log
                  if prefix + name in entry]
        if points:
            ax.plot(*zip(*points), label=label, color=colour, linewidth=1.6,
                    marker='.' if len(points) == 1 else None)
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.grid(True, color='#e4e4e4', linewidth=0.8)
    ax.set_xlabel('epoch', family=sheet.FAMILY)
    ax.set_ylabel(f'{name} ({unit})', family=sheet.FAMILY)
    ax.legend(prop={'family': sheet.FAMILY, 'size': sheet.FONT - 1})
    return ax
