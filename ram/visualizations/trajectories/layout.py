"""Sizes of panels, and the legend, in points from the upper left corner."""

import math
from typing import Sequence, Tuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import Affine2D

from ram.evaluation.evaluate import Trajectory
from ram.visualizations import sheet
from ram.visualizations.colours import scale_style
from ram.visualizations.sheet import FAINT, GAP
from ram.visualizations.trajectories.boxes import scene_size
from ram.visualizations.trajectories.panels import Names, Retina, names_of

HEADER = 28  # the line above a scene
_BARS = 90  # a probability of 1; 78 at least, to hold its number


class CardLayout:
    """Sizes of the panels of a card, the same for all cards of a figure.

    Attributes:
        width, height: Of a card, in points.
        margin: Around each image, in its pixels.

    """

    def __init__(self, trajectories: Sequence[Trajectory],
                 patch_sizes: Sequence[int], class_names: Names):
        self._scene, self.margin = scene_size(trajectories, patch_sizes, 216)
        longest = max(self._scene[1], 150)
        self._retina = retina_size(trajectories[0], 72, longest)[::-1]
        self._body = math.ceil(max(longest, self._retina[1]))
        # Whole points, so that all panels are sharp.
        self._left = math.ceil(self._scene[0]) + GAP
        self._right = (self._left + math.ceil(self._retina[0]) + GAP
                       + labels_width(trajectories[0], class_names))
        self.width = self._right + _BARS
        self.height = HEADER + self._body

    def axes(self, figure: Figure, x: float, y: float
             ) -> Tuple[Axes, Axes, Axes]:
        """Makes axes for scene, retina and probabilities, with captions."""
        y += HEADER
        axes = (sheet.add_axes(figure, x, y, *self._scene),
                sheet.add_axes(figure, x + self._left, y, *self._retina),
                sheet.add_axes(figure, x + self._right, y, _BARS, self._body))
        for ax, words in zip(axes[1:], ('retina', 'probability')):
            sheet.note(ax, words, 6)
        return axes


class Legend:
    """The meaning of boxes and marks, in as many lines as it needs.

    Args:
        longest: A line at most, in points.

    Attributes:
        width, height: In points.

    """

    def __init__(self, trajectory: Trajectory, patch_sizes: Sequence[int],
                 longest: float, pixels: int = 1):
        size = trajectory.retina.shape[-1]
        words = 'pixels: all that the network sees at a glimpse'
        items = [(j, f'{side} \u00d7 {side}')
                 for j, side in enumerate(patch_sizes)]
        if len(patch_sizes) == 1:
            items.append((None, words))
        else:
            items += [(None, words + ','),
                      (None, f'each box as {size} \u00d7 {size}')]
        if trajectory.label is not None:
            items.append((None, '\u25b8 true class'))
        self._items = []  # x, y, scale, words
        x = y = self.width = 0
        for j, words in items:
            width = sheet.text_width(words, pixels=pixels) + (
                0 if j is None else 18)
            if x + width > longest and x:
                x, y = 0, y + 16
            self._items.append((x, y, j, words))
            self.width = max(self.width, x + width)
            x += width + 10
        self.height = y + 16

    def draw(self, figure: Figure, x: float, y: float) -> None:
        """Draws it with its upper left corner at a point of a figure."""
        width, height = figure.get_size_inches() * 72
        points = (Affine2D().translate(x, y).scale(1 / width, -1 / height)
                  .translate(0, 1) + figure.transFigure)
        for x, y, j, words in self._items:
            if j is not None:
                colour, linewidth = scale_style(j)
                figure.add_artist(Rectangle(
                    (x + 1, y + 1), 11, 11, fill=False, edgecolor=colour,
                    linewidth=linewidth, joinstyle='miter',
                    transform=points))
                x += 18
            sheet.text(figure, x, y + 6.5, words, color=FAINT, va='center',
                       transform=points)


def retina_size(trajectory: Trajectory, patch: float, longest: float,
                pixels: int = 1) -> Tuple[float, float]:
    """Length and width of a retina, in points.

    Args:
        patch: Side of a patch at most, in points.
        longest: Length at most, in points.
        pixels: Pixels of the picture to a point.

    """
    length, width = Retina.extent(trajectory)
    zoom = min(patch / width, longest / length) * pixels
    zoom = int(zoom) if zoom >= 1 else zoom
    return length * zoom / pixels, width * zoom / pixels


def labels_width(trajectory: Trajectory, class_names: Names) -> int:
    """Width of the longest name beside the bars, in points."""
    names = sorted(names_of(trajectory, class_names), key=len)[-20:]
    return math.ceil(max(sheet.text_width('\u25b8 ' + name, 'bold')
                         for name in names)) + 6
