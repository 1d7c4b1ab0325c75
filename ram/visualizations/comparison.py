"""The validation errors of several runs in one picture."""

from typing import Dict, List, Tuple

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from ram.visualizations import sheet
from ram.visualizations.sheet import FONT

_WIDTH, _HEIGHT = 640, 400


def draw_comparison(errors: Dict[str, Dict[int, float]]) -> Axes:
    """Draws validation errors over the epochs, on a new figure.

    Args:
        errors: In %, by epoch, by the name of the run.

    """
    figure = sheet.new_figure(_WIDTH, _HEIGHT, pixels=2)
    ax = sheet.add_axes(figure, 56, 16, _WIDTH - 76, _HEIGHT - 64)
    colours = colormaps['tab10' if len(errors) <= 10 else 'turbo']
    for i, (name, curve) in enumerate(errors.items()):
        colour = colours(i if len(errors) <= 10 else i / len(errors))
        points: List[Tuple[int, float]] = sorted(curve.items())
        best, least = min(points, key=lambda point: point[1])
        ax.plot(*zip(*points), color=colour, linewidth=1.4,
                marker='.' if len(points) == 1 else None,
                # Matplotlib hides what begins with an underscore.
                label=sheet.plain(f' {name}: {least:.2f} % at {best}'))
        ax.plot(best, least, 'o', color=colour, markersize=4)
    if all(error > 0 for curve in errors.values() for error in
           curve.values()):
        ax.set_yscale('log')
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(FormatStrFormatter('%g'))
        ax.yaxis.set_minor_formatter(NullFormatter())
    ax.grid(True, color='#e4e4e4', linewidth=0.8)
    ax.set_xlabel('epoch', family=sheet.FAMILY)
    ax.set_ylabel('validation error (%)', family=sheet.FAMILY)
    ax.legend(prop={'family': sheet.FAMILY, 'size': FONT - 1})
    return ax


def save_comparison(path: str, errors: Dict[str, Dict[int, float]]) -> None:
    """Writes :func:`draw_comparison` to a PNG file."""
    sheet.save_png(draw_comparison(errors).figure, path)
