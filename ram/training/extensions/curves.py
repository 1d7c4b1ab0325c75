"""Loss and error over the epochs, as pictures."""

import os
from typing import Any, Dict, List

from chainer.training import extension
from chainer.training.extensions import LogReport
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ram.training.extensions.pace import Pace
from ram.visualizations import sheet
from ram.visualizations.colours import GUESS, SCALE_COLOURS

_SHARE = 1 / 50  # of the time of the training, for drawing both
_WIDTH, _HEIGHT = 520, 320
_LINES = (('main/', 'training, mean over the epoch', SCALE_COLOURS[0]),
          ('validation/main/', 'validation, at its end', GUESS))


class Curves(extension.Extension):
    """Draws ``loss.png`` and ``error.png`` from the log.

    It draws as often as that takes at most a fiftieth of the time, and at the
    end. It stands in for Chainer's ``PlotReport``, which keeps its own log.

    Args:
        report: The log, an entry an epoch; an extension before this one.
        out: Run folder.

    """

    trigger = 1, 'epoch'
    priority = extension.PRIORITY_READER

    def __init__(self, report: LogReport, out: str):
        self._report = report
        self._out = out
        self._pace = Pace(_SHARE)
        self._newest = None  # epoch in the pictures

    def __call__(self, trainer: Any) -> None:
        if self._pace.due():
            self.write()

    def finalize(self) -> None:
        log = self._report.log
        if log and log[-1]['epoch'] != self._newest:
            self.write()

    def write(self) -> None:
        """Draws both pictures."""
        log = self._report.log
        with self._pace:
            for name, unit in (('loss', 'nats'), ('error', '%')):
                sheet.save_png(draw_curve(log, name, unit).figure,
                               os.path.join(self._out, f'{name}.png'))
        self._newest = log[-1]['epoch']


def draw_curve(log: List[Dict[str, float]], name: str, unit: str) -> Axes:
    """Draws a value of a log in training and validation, on a new figure.

    Args:
        log: Entries with ``epoch``, ``main/NAME`` and, where it was measured,
            ``validation/main/NAME``.
        name: What to draw.
        unit: Its unit.

    """
    figure = sheet.new_figure(_WIDTH, _HEIGHT, pixels=2)
    ax = sheet.add_axes(figure, 56, 16, _WIDTH - 76, _HEIGHT - 64)
    for prefix, label, colour in _LINES:
        points = [(entry['epoch'], entry[prefix + name]) for entry in log
                  if prefix + name in entry]
        if points:
            ax.plot(*zip(*points), label=label, color=colour, linewidth=1.6,
                    marker='.' if len(points) == 1 else None)
    if ax.dataLim.y0 >= 0:  # the loss of a game may be negative
        ax.set_ylim(bottom=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.grid(True, color='#e4e4e4', linewidth=0.8)
    ax.set_xlabel('epoch', family=sheet.FAMILY)
    ax.set_ylabel(f'{name} ({unit})', family=sheet.FAMILY)
    ax.legend(prop={'family': sheet.FAMILY, 'size': sheet.FONT - 1})
    return ax
