"""Figures of a policy as a whole.

Each ``draw_*`` function draws what :mod:`ram.evaluation.inspect` computes, on
a new figure, and returns its axes. These arguments are the same everywhere:

- ``digits``: (K + 1, h, w) float, mean digits of the K classes and of all.
- ``classes``: the classes to draw, after all images; all K if left out.
- ``class_names``: names of the K classes; numbers if left out.
"""

from typing import List, Optional, Sequence

import numpy
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, Rectangle
from matplotlib.ticker import MaxNLocator

from ram.evaluation import statistics
from ram.evaluation.evaluate import Evaluation, wilson_interval
from ram.visualizations import charts, sheet
from ram.visualizations.colours import GUESS, SCALE_COLOURS
from ram.visualizations.sheet import FAINT, FONT, GAP, INK

CLASSES = 20  # shown at most

_TOP = 34  # the title and the space below it
_HALO = sheet.halo(3.4, 'white')
_MARK, _LIGHT = SCALE_COLOURS[:2]
_OFTEN = LinearSegmentedColormap.from_list(
    'often', ['white', _LIGHT, GUESS, '#00263c'])

Names = Optional[Sequence[str]]
Classes = Optional[List[int]]


def draw_accuracy(evaluation: Evaluation) -> List[Axes]:
    """Draws the accuracy in % after each glimpse, from 1."""
    glimpses = len(evaluation.error_by_glimpse)
    width = max(320, 56 * glimpses)
    figure = charts.new_sheet('Accuracy after each glimpse', width + 70, 262)
    ax = charts.add_chart(figure, 48, _TOP + GAP, width, 180)
    ax.set_xlim(0.5, glimpses + 0.5)
    ax.set_ylim(0, 112)
    x = numpy.arange(1, glimpses + 1)
    charts.set_ticks(ax, x, [0, 25, 50, 75, 100])
    ax.grid(True, axis='y', color='#e4e4e4', linewidth=0.8)
    accuracy = 100 - numpy.array(evaluation.error_by_glimpse)
    ax.add_line(Line2D(x, accuracy, color=GUESS, linewidth=1.8, marker='o',
                       markersize=5))
    for at, value in zip(x, accuracy):
        errors = round((100 - value) * evaluation.n / 100)
        interval = numpy.array(wilson_interval(errors, evaluation.n))
        ax.add_line(Line2D([at, at], 100 - 100 * interval[::-1], color=INK,
                           linewidth=1, zorder=1.5))
        sheet.text(ax, at, value + 5, f'{value:.2f}', size=FONT - 1,
                   ha='center', path_effects=_HALO, zorder=4)
    charts.name_axes(ax, 'glimpse', '% right')
    return [ax]


def draw_heat_maps(heat_map: statistics.HeatMap,
                   digits: Optional[numpy.ndarray] = None,
                   classes: Classes = None, class_names: Names = None
                   ) -> List[Axes]:
    """Draws where glimpses land: a column each glimpse, a row each class.

    The outlines of mean digits, with their square, are at (0, 0).

    Returns:
        Axes in pixels, y downwards, row by row.

    """
    glimpses, count, rows, columns = heat_map.counts.shape
    zoom = max(1, 144 // max(rows, columns)) / charts.PIXELS
    width, height = columns * zoom, rows * zoom
    pitch = 8 + max(width, sheet.text_width(f'glimpse {glimpses}',
                                            pixels=charts.PIXELS))
    names, shown = _rows(count, classes, class_names)
    left = GAP + 8 + max(sheet.text_width(names[k], pixels=charts.PIXELS)
                         for k in shown)
    title = 'Where glimpses land (darkest: most)'
    if len(shown) <= count:
        title += f'; {len(shown) - 1} of {count} classes'
    figure = charts.new_sheet(
        title, left + glimpses * pitch + GAP,
        _TOP + 18 + len(shown) * (height + 8) + GAP)
    axes = []
    for row, k in enumerate(shown):
        y = _TOP + 18 + row * (height + 8)
        for t, counts in enumerate(heat_map.counts):
            ax = sheet.add_axes(figure, left + t * pitch, y, width, height)
            _show_cells(ax, counts.sum(axis=0) if k == count else counts[k],
                        heat_map)
            if digits is not None:
                _outline(ax, digits[k])
            if t == 0:
                charts.name_row(ax, names[k])
            if row == 0:
                sheet.note(ax, f'glimpse {t + 1}', 6)
            axes.append(ax)
    return axes


def draw_paths(paths: statistics.MeanPaths, digits: numpy.ndarray,
               classes: Classes = None, beyond: bool = False,
               class_names: Names = None) -> List[Axes]:
    """Draws mean paths on mean digits, that of all images first.

    Args:
        paths: In pixels of the digit.
        beyond: Show half a digit around it too.

    Returns:
        Axes in pixels of the digit, y downwards.

    """
    height, width = digits.shape[1:]
    names, shown = _rows(len(digits) - 1, classes, class_names)
    margin = max(height, width) // 2 if beyond else 0
    zoom = 156 / (max(height, width) + 2 * margin)
    across, down = ((side + 2 * margin) * zoom for side in (width, height))
    columns = min(4, len(shown))
    figure = charts.new_sheet('Mean path and its spread, by class',
                             columns * (across + GAP) + GAP, _TOP
                             + -(-len(shown) // columns) * (down + 18 + GAP))
    axes = []
    for i, k in enumerate(shown):
        row, column = divmod(i, columns)
        ax = sheet.add_axes(figure, GAP + column * (across + GAP),
                            _TOP + row * (down + 18 + GAP) + 18, across, down)
        sheet.clear_axes(ax, width, height, margin)
        sheet.note(ax, names[k], 4, color=INK, weight='bold')
        ax.imshow(digits[k], cmap='Greys', vmin=0, vmax=1.6,
                  extent=(0, width, height, 0), interpolation='nearest')
        charts.add_frame(ax)
        if beyond:
            _square(ax, width, height)
        if numpy.isfinite(paths.means[k]).all():
            _draw_path(ax, paths.means[k], paths.covariances[k])
        axes.append(ax)
    return axes


def draw_saccades(saccades: numpy.ndarray) -> List[Axes]:
    """Draws a histogram of the lengths of each saccade.

    Args:
        saccades: (T - 1, N) float, pixels; T at least 2.

    Returns:
        Axes of each saccade, pixels along x and images along y.

    """
    histograms, edges = statistics.saccade_histogram(saccades)
    end = edges[-1]
    figure = charts.new_sheet('Way from one glimpse to the next', 470,
                             _TOP + 62 * len(saccades) + 24)
    axes = []
    for t, (lengths, counts) in enumerate(zip(saccades, histograms)):
        ax = charts.add_chart(figure, 84, _TOP + 62 * t, 360, 50)
        ax.set_ylim(0, 1.15 * counts.max())
        charts.set_ticks(ax, MaxNLocator(6).tick_values(0, end), [])
        ax.set_xlim(0, end)
        ax.bar(edges[:-1], counts, edges[1] - edges[0], align='edge',
               color=_LIGHT, linewidth=0)
        median = numpy.median(lengths)
        ax.axvline(median, color=INK, linewidth=1.2)
        late = median > 0.7 * end
        sheet.text(ax, median + (-0.01 if late else 0.01) * end,
                   1.12 * counts.max(), f'median {median:.1f}',
                   size=FONT - 1, va='top', ha='right' if late else 'left')
        charts.name_row(ax, f'{t + 1} \u2192 {t + 2}')
        if t + 1 < len(saccades):
            ax.set_xticklabels([])
        axes.append(ax)
    charts.name_axes(ax, 'pixels')
    return axes


def draw_first_locations(first: statistics.FirstLocations, aspect: float = 1.
                         ) -> List[Axes]:
    """Draws error and loss by first location.

    Args:
        first: What to draw.
        aspect: Width of the image by its height.

    Returns:
        Axes of error and loss; (x, y) in [-1, 1], y downwards.

    """
    longest = max(260, 30 * len(first.coordinates))
    width, height = longest * min(1, aspect), longest / max(1, aspect)
    figure = charts.new_sheet(
        'By first location: error in %, cross-entropy in nats',
        2 * (width + 40) + GAP, _TOP + 18 + height + 40)
    axes = []
    for i, (values, name, digits) in enumerate((
            (first.error, f'error in %, {first.n} images', 1),
            (first.loss, 'cross-entropy in nats', 3))):
        ax = charts.add_chart(figure, 36 + i * (width + 40), _TOP + 18, width,
                              height)
        low = float(values.min())
        high = max(float(values.max()), low + 1e-9)
        numbers = [[f'{v:.{digits}f}' for v in row] for row in values]
        charts.show_matrix(ax, values, low, high, (-1, 1),
                           numbers if len(values) <= 15 else None, FONT - 3)
        charts.set_ticks(ax, [-1, 0, 1], [-1, 0, 1])
        sheet.note(ax, name, 6)
        axes.append(ax)
    return axes


def draw_confusion(confusion: numpy.ndarray, class_names: Names = None
                   ) -> List[Axes]:
    """Draws which class is predicted as which.

    Args:
        confusion: (K, K) int; entry (i, j) counts the images of class i that
            are predicted as class j.

    """
    classes = len(confusion)
    names = sheet.short_names(classes, class_names)
    longest = max(sheet.text_width(name, pixels=charts.PIXELS)
                  for name in names)
    upright = longest > 28  # names that do not fit side by side
    top = _TOP + (longest if upright else 18)
    side = min(max(34 * classes, 200), 680)
    figure = charts.new_sheet('Class (row) and prediction (column)',
                             longest + side + 40, top + side + GAP)
    ax = charts.add_chart(figure, GAP + 10 + longest, top, side, side)
    mistakes = confusion * (1 - numpy.eye(classes, dtype=int))
    numbers = [[str(n) if n else '' for n in row] for row in confusion]
    charts.show_matrix(ax, mistakes, 0, max(int(mistakes.max()), 1),
                       (-0.5, classes - 0.5),
                       numbers if classes <= CLASSES else None, FONT - 2)
    for k in range(classes):
        ax.add_patch(Rectangle((k - 0.5, k - 0.5), 1, 1, facecolor='#eeeeee'))
    ticks = numpy.arange(0, classes, -(-classes // 40))
    charts.set_ticks(ax, ticks, ticks, [names[k] for k in ticks])
    ax.xaxis.tick_top()
    if upright:
        ax.tick_params(axis='x', labelrotation=90)
    return [ax]


def _rows(count, classes, class_names):
    """Names of the classes and of all; the rows to draw, ``count`` for all."""
    classes = list(range(count)) if classes is None else classes
    return (sheet.short_names(count, class_names) + ['all'],
            [count] + classes)


def _square(ax, width, height):
    """The digit's own square."""
    ax.add_patch(Rectangle((0, 0), width, height, fill=False,
                           edgecolor=FAINT, linewidth=0.8,
                           linestyle=(0, (3, 2))))


def _show_cells(ax, counts, heat_map):
    rows, columns = counts.shape
    left, top = heat_map.left, heat_map.top
    right, bottom = left + columns * heat_map.cell, top + rows * heat_map.cell
    sheet.clear_axes(ax, right - left, bottom - top)
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)
    # The root makes the rarer cells visible too.
    ax.imshow(counts, cmap=_OFTEN,
              norm=PowerNorm(0.5, 0, max(int(counts.max()), 1)),
              extent=(left, right, bottom, top), interpolation='nearest',
              aspect='auto')
    charts.add_frame(ax)


def _outline(ax, digit):
    height, width = digit.shape
    low, high = digit.min(), digit.max()
    if high > low:
        ax.contour(numpy.arange(width) + 0.5, numpy.arange(height) + 0.5,
                   digit, [(low + high) / 2], colors=[_MARK], linewidths=0.9)
    left, right = ax.get_xlim()
    if left < 0 or right > width:
        _square(ax, width, height)


def _draw_path(ax, means, covariances):
    for middle, covariance in zip(means, covariances):
        lengths, directions = numpy.linalg.eigh(covariance)
        height, width = 2 * numpy.sqrt(numpy.maximum(lengths, 0))
        angle = numpy.degrees(numpy.arctan2(*directions[::-1, 1]))
        for style in ({'facecolor': _LIGHT, 'alpha': 0.08, 'zorder': 2},
                      {'fill': False, 'edgecolor': GUESS, 'linewidth': 0.8,
                       'alpha': 0.7, 'zorder': 2.5}):
            ax.add_patch(Ellipse(middle, width, height, angle=angle, **style))
    ax.add_line(Line2D(*means.T, color=INK, linewidth=1.4, zorder=3,
                       path_effects=_HALO))
    for t, (x, y) in enumerate(means):
        ax.add_line(Line2D([x], [y], marker='o', markersize=10,
                           markerfacecolor='white', markeredgecolor='black',
                           markeredgewidth=0.8, zorder=4 + t))
        sheet.text(ax, x, y, str(t + 1), size=FONT - 4, weight='bold',
                   color='black', ha='center', va='center_baseline',
                   zorder=4.5 + t, clip_on=True)


