"""Boxes, arrows and images for figures of the network."""

from typing import Any, Optional, Tuple

import numpy
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Rectangle

from ram.visualizations import sheet
from ram.visualizations.sheet import FAINT, INK

WIDTH = 900
SIZE, SMALL = 13, 11  # of text
# Light, so that black text is legible. The names also distinguish the parts.
FILLS = {'glimpse': '#FCE8BF', 'core': '#CFE6F6', 'location': '#F3DCE8',
         'action': '#CBEBDF', 'baseline': '#E4E4E4', 'data': 'white'}
DASHED = (0, (4, 3))

Point = Tuple[float, float]


def new_diagram(height: float) -> Axes:
    """Axes that cover a new white figure, in points, y downwards."""
    ax = sheet.add_axes(sheet.new_figure(WIDTH, height, pixels=2), 0, 0,
                        WIDTH, height)
    sheet.clear_axes(ax, WIDTH, height)
    return ax


def text(ax: Axes, x: float, y: float, words: str, size: float = SIZE,
         color: str = INK, **kwargs: Any) -> None:
    """Text whose middle is at y; ``$...$`` is a formula."""
    text = sheet.text(ax, x, y, words, size, color, va='center', **kwargs)
    if words.startswith('$'):
        text.set_text(words)


def note(ax: Axes, x: float, y: float, words: str, **kwargs: Any) -> None:
    """Small grey text."""
    text(ax, x, y, words, SMALL, FAINT, **kwargs)


def line(ax: Axes, x: Any, y: Any, color: str = INK, linewidth: float = 1.3,
         **kwargs: Any) -> None:
    ax.add_line(Line2D(x, y, color=color, linewidth=linewidth, **kwargs))


def box(ax: Axes, x: float, y: float, width: float, height: float, part: str,
        name: str, sizes: Optional[str] = None) -> None:
    """A part of the network; y is the middle of the box."""
    _rounded(ax, x, y, width, height, FILLS[part], INK, 1.2, 2)
    text(ax, x + width / 2, y - (9 if sizes else 0), name,
         SIZE if width > 120 or len(name) < 13 else 12, ha='center', zorder=3)
    if sizes:
        note(ax, x + width / 2, y + 11, sizes, ha='center', zorder=3)


def term(ax: Axes, x: float, y: float, name: str, formula: str, color: str
         ) -> None:
    """A term of the loss; y is the middle of its box."""
    _rounded(ax, x, y, 178, 64, 'white', color, 2.5, 1)
    text(ax, x + 89, y - 11, name, ha='center', weight='bold', color=color)
    text(ax, x + 89, y + 12, formula, ha='center')


def _rounded(ax, x, y, width, height, fill, edge, linewidth, zorder):
    ax.add_patch(FancyBboxPatch(
        (x, y - height / 2), width, height,
        boxstyle='round,pad=0,rounding_size=8', facecolor=fill,
        edgecolor=edge, linewidth=linewidth, zorder=zorder))


def arrow(ax: Axes, start: Point, end: Point, color: str = INK,
          width: float = 1.3, dashed: bool = False) -> None:
    ax.annotate('', end, start, annotation_clip=False, zorder=4, arrowprops={
        'arrowstyle': '-|>,head_length=0.5,head_width=0.22',
        'color': color, 'linewidth': width, 'shrinkA': 0, 'shrinkB': 0,
        'linestyle': DASHED if dashed else 'solid'})


def bend(ax: Axes, start: Point, end: Point, out: Optional[float] = None
         ) -> None:
    """An arrow round corners: dashed to the right, or out and back."""
    middle = (start[0] + end[0]) / 2 if out is None else start[0] + out
    line(ax, [start[0], middle, middle], [start[1], start[1], end[1]],
         zorder=1, linestyle='solid' if out else DASHED)
    arrow(ax, (middle, end[1]), end)


def barrier(ax: Axes, middle: Any, along: Any, color: str = INK) -> None:
    """Two strokes across the direction in which no gradient passes."""
    along = numpy.asarray(along, float)
    across = numpy.array([-along[1], along[0]])
    for side in (-3, 3):
        ends = numpy.array([middle + side * along + s * 7 * across
                            for s in (-1, 1)])
        line(ax, *ends.T, color, 2.2, zorder=5)


def frame(ax: Axes, x: float, y: float, width: float, height: float,
          color: str, linewidth: float, **kwargs: Any) -> None:
    """A rectangle with sharp corners."""
    ax.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=color,
                           linewidth=1.3 * linewidth, joinstyle='miter',
                           **kwargs))


def pixels(ax: Axes, image: numpy.ndarray, x: float, y: float, zoom: float,
           color: str = 'black', linewidth: float = 0.8) -> None:
    """A framed (C, h, w) image, each pixel a square of ``zoom`` points."""
    height, width = (side * zoom for side in image.shape[1:])
    ax.imshow(sheet.picture(image), origin='upper', aspect='equal',
              extent=(x, x + width, y + height, y), interpolation='nearest')
    frame(ax, x, y, width, height, color, linewidth)
