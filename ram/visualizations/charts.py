"""Charts with titles, ticks and frames, on sheets of two pixels a point."""

from typing import Optional, Sequence, Tuple

import numpy
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from ram.visualizations import sheet
from ram.visualizations.colours import SCALE_COLOURS
from ram.visualizations.sheet import FAINT, FONT, GAP, INK

PIXELS = 2  # to a point
_BAD = LinearSegmentedColormap.from_list(
    'bad', ['white', SCALE_COLOURS[0], '#7a2f00'])


def new_sheet(title: str, width: float, height: float) -> Figure:
    """A sheet with a title, wide enough for it."""
    width = max(width, sheet.text_width(title, 'bold', PIXELS) + 2 * GAP)
    figure = sheet.new_figure(width, height, PIXELS)
    sheet.title(figure, title, 1.4 * GAP)
    return figure


def add_chart(figure: Figure, x: float, y: float, width: float,
              height: float) -> Axes:
    """Axes with numbers, and a thin line at the left and below."""
    ax = sheet.add_axes(figure, x, y, width, height)
    ax.set_facecolor('none')
    ax.set_autoscale_on(False)
    ax.set_axisbelow(True)
    ax.tick_params(color='#bbbbbb', length=3, width=0.8)
    add_frame(ax)
    ax.spines[['top', 'right']].set_visible(False)
    return ax


def add_frame(ax: Axes) -> None:
    """A thin line around axes."""
    ax.spines[:].set(visible=True, color='#bbbbbb', linewidth=0.8)


def set_ticks(ax: Axes, x: Sequence[float], y: Sequence[float],
              names: Optional[Sequence[str]] = None) -> None:
    """Numbers or names along the axes, whatever the reader's settings."""
    for places, set_places, set_labels in (
            (x, ax.set_xticks, ax.set_xticklabels),
            (y, ax.set_yticks, ax.set_yticklabels)):
        set_places(places)
        set_labels([sheet.plain(name) for name in names or [
            f'{place:g}'.replace('-', '\u2212') for place in places]],
            family=sheet.FAMILY, fontsize=FONT - 2, color=FAINT)


def name_axes(ax: Axes, x: str, y: str = '') -> None:
    style = {'fontsize': FONT - 1, 'color': FAINT, 'family': sheet.FAMILY}
    ax.set_xlabel(x, labelpad=3, **style)
    ax.set_ylabel(y, labelpad=4, **style)


def name_row(ax: Axes, words: str) -> None:
    """Words to the left of axes."""
    sheet.note(ax, words, 0, (0, 0.5), -8, FONT, INK, ha='right', va='center')


def show_matrix(ax: Axes, values: numpy.ndarray, low: float, high: float,
                limits: Tuple[float, float],
                numbers: Optional[Sequence[Sequence[str]]], size: float
                ) -> None:
    """Cells from white to dark, with numbers, white where it is dark."""
    start, end = limits
    ax.set_xlim(start, end)
    ax.set_ylim(end, start)
    ax.imshow(values, cmap=_BAD, vmin=low, vmax=high, aspect='auto',
              interpolation='nearest', extent=(start, end, end, start))
    ax.spines[:].set_visible(True)
    middles = start + (end - start) * (numpy.arange(len(values)) + 0.5) / len(
        values)
    for y, row, words in zip(middles, values, numbers or []):
        for x, value, word in zip(middles, row, words):
            dark = value - low > 0.65 * (high - low) > 0
            sheet.text(ax, x, y, word, size=size, ha='center', va='center',
                       color='white' if dark else INK)
