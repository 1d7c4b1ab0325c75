"""Pictures of a policy as a whole.

The ``draw_*`` functions take what :mod:`ram.evaluation.inspect` computes, make a
figure of their own and return its axes. :func:`save_pictures` writes them all.
"""

import os
from typing import NamedTuple

import numpy
from matplotlib import patheffects
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, Rectangle
from matplotlib.ticker import MaxNLocator

from ram.evaluation.evaluate import wilson_interval
from ram.evaluation.inspect import saccade_histogram
from ram.files import replacing
from ram.visualizations import sheet
from ram.visualizations.sheet import FAINT, FONT, GAP, INK
from ram.visualizations.trajectories import (
    GUESS,
    SCALE_COLOURS,
    save_trajectories,
)

CLASSES = 20  # drawn at most

_PIXELS = 2  # to a point
_TOP = 34  # the title and what is left below it
_HALO = [patheffects.Stroke(linewidth=3.4, foreground='white'),
         patheffects.Normal()]
_MARK, _LIGHT = SCALE_COLOURS[:2]
_OFTEN = LinearSegmentedColormap.from_list(
    'often', ['white', _LIGHT, GUESS, '#00263c'])
_BAD = LinearSegmentedColormap.from_list('bad', ['white', _MARK, '#7a2f00'])


class Picture(NamedTuple):
    """A file, and what to say of it.

    Attributes:
        name (str): Of the file, in its folder.
        title (str): What it shows.
        caption (str): How to read it.

    """

    name: str
    title: str
    caption: str


def save_pictures(folder, inspection, hardest, oddest, patch_sizes,
                  class_names=None, progress=None):
    """Writes a PNG of everything in an inspection.

    Args:
        folder (str): Where to; it is there.
        inspection (ram.evaluation.inspect.Inspection): What to draw.
        hardest (list of ram.evaluation.evaluate.Trajectory): Those of highest loss.
        oddest (list of ram.evaluation.evaluate.Trajectory): Those whose path is the
            furthest from their class's; none where no path is chosen.
        patch_sizes (sequence of int): Side of each scale in pixels, the
            finest first.
        class_names (sequence of str): Names of the classes, numbers if left
            out.
        progress (callable): Called with the pictures written, and those to
            write in all, after each.

    Returns:
        list of Picture: In the order in which to look at them.

    Raises:
        RamError: Where one cannot be written.

    """
    drawn = _drawn(inspection, class_names)
    filmed = [(picture, trajectories) for picture, trajectories in (
        (HARDEST, hardest), (ODDEST, oddest)) if trajectories]
    pictures = []

    def done(picture):
        pictures.append(picture)
        if progress:
            progress(len(pictures), len(drawn) + len(filmed))

    for picture, draw in drawn:
        with replacing(os.path.join(folder, picture.name)) as file:
            sheet.save_png(draw()[0].figure, file)
        done(picture)
    for picture, trajectories in filmed:
        save_trajectories(os.path.join(folder, picture.name), trajectories,
                          patch_sizes, class_names)
        done(picture)
    return pictures


HARDEST = Picture(
    'hardest.png', 'The hardest images',
    'Those with the highest cross-entropy after the last glimpse.')
ODDEST = Picture(
    'oddest.png', 'The oddest paths',
    'Those that are the furthest from the mean path of their class, the '
    'first place aside.')


def _drawn(inspection, names):
    """The other pictures, each with what draws it."""
    on_canvas = inspection.on_digit is not None
    first, some = inspection.first, _some(inspection)
    height, width = inspection.image_size
    pictures = [(Picture(
        'accuracy.png', 'Accuracy after each glimpse',
        'Share of the images whose class would be right if the network had '
        'to answer after so many glimpses. Whiskers, where they are longer '
        'than the dots: 95 % Wilson interval.'),
        lambda: draw_accuracy(inspection.evaluation))]
    if on_canvas:
        pictures.append((Picture(
            'heat_digit.png', 'Where glimpses land, seen from the digit',
            'The square is the digit\u2019s, wherever it lies on its canvas, '
            'and the line the outline of the mean digit. Each map counts the '
            'middles of the glimpses and is darkest in its own fullest cell. '
            'Glimpses further away are not shown.'),
            lambda: draw_heat_maps(inspection.on_digit, inspection.digits,
                                   some, names)))
    pictures += [
        (Picture(
            'heat_image.png', 'Where glimpses land on the image',
            'Each map counts the middles of the glimpses and is darkest in '
            'its own fullest cell. ' + (
                'Digits lie anywhere on the canvas, and so do the glimpses '
                'that follow them.' if on_canvas else
                'The line is the outline of the mean digit. The digits are '
                'on no canvas: the image is their own frame, so this is also '
                'the map that is seen from the digit.')),
            lambda: draw_heat_maps(
                inspection.on_image,
                None if on_canvas else inspection.digits, some, names)),
        (Picture(
            'paths.png', 'The mean path' + (
                ', seen from the digit' if on_canvas else ''),
            'Numbers are the mean places of the glimpses on the mean digit; '
            'an ellipse spans a standard deviation around each.'),
            lambda: draw_paths(inspection.paths, inspection.digits, some,
                               on_canvas, names))]
    if len(inspection.saccades):
        pictures.append((Picture(
            'saccades.png', 'How far it moves its eye',
            'Lengths of the way from each glimpse to the next, in pixels.'),
            lambda: draw_saccades(inspection.saccades)))
    return pictures + [
        (Picture(
            'first_location.png', 'What the first place does',
            f'The same {first.n} images, first looked at in the middle of '
            'each cell. Left: error after the last glimpse; one image is '
            f'{100 / first.n:.2g} %. Right: mean cross-entropy, which tells '
            'apart what few errors cannot. White is the least, dark the '
            'most.'),
            lambda: draw_first_locations(first, width / height)),
        (Picture(
            'confusion.png', 'What it takes for what',
            'Rows: the class; columns: what it was taken for. The darker, '
            'the more frequent a mistake.'),
            lambda: draw_confusion(inspection.evaluation.confusion, names))]


def draw_accuracy(evaluation):
    """Draws the accuracy after each glimpse.

    Args:
        evaluation (ram.evaluation.evaluate.Evaluation): Of a RAM.

    Returns:
        list of matplotlib.axes.Axes: One; glimpses from 1 along x, % along y.

    """
    glimpses = len(evaluation.error_by_glimpse)
    width = max(320, 56 * glimpses)
    figure = _figure('Accuracy after each glimpse', width + 70, 262)
    ax = _chart(figure, 48, _TOP + GAP, width, 180)
    x = numpy.arange(1, glimpses + 1)
    accuracy = 100 - numpy.array(evaluation.error_by_glimpse)
    bounds = [100 - 100 * numpy.array(wilson_interval(
        round(error * evaluation.n / 100), evaluation.n))
        for error in evaluation.error_by_glimpse]
    ax.set_xlim(0.5, glimpses + 0.5)
    ax.set_ylim(0, 112)
    _ticks(ax, x, [0, 25, 50, 75, 100])
    ax.grid(True, axis='y', color='#e4e4e4', linewidth=0.8)
    ax.add_line(Line2D(x, accuracy, color=GUESS, linewidth=1.8, marker='o',
                       markersize=5))
    for at, value, (high, low) in zip(x, accuracy, bounds):
        ax.add_line(Line2D([at, at], [low, high], color=INK, linewidth=1,
                           zorder=1.5))
        sheet.text(ax, at, value + 5, f'{value:.2f}', size=FONT - 1,
                   ha='center', path_effects=_HALO, zorder=4)
    _name_axes(ax, 'glimpse', '% right')
    return [ax]


def draw_heat_maps(heat_map, digits=None, classes=None, class_names=None):
    """Draws where glimpses land: a column each glimpse, a row each class.

    Args:
        heat_map (ram.evaluation.inspect.HeatMap): What to draw.
        digits (array): (K + 1, h, w) float, mean digits whose outline to
            draw, with their square, at (0, 0).
        classes (list of int): The rows, below that of all classes; all of
            them if left out.
        class_names (sequence of str): Names of the classes, numbers if left
            out.

    Returns:
        list of matplotlib.axes.Axes: In pixels, y downwards; row by row.

    """
    glimpses, count, rows, columns = heat_map.counts.shape
    classes = list(range(count)) if classes is None else classes
    zoom = max(1, 144 // max(rows, columns)) / _PIXELS
    width, height = columns * zoom, rows * zoom
    names = sheet.short_names(count, class_names) + ['all']
    left = GAP + 8 + max(sheet.text_width(names[k], pixels=_PIXELS)
                         for k in [count] + classes)
    title = 'Where glimpses land (darkest: most)'
    if len(classes) < count:
        title += f'; {len(classes)} of {count} classes'
    figure = _figure(
        title, left + glimpses * (width + 8) + GAP,
        _TOP + 18 + (len(classes) + 1) * (height + 8) + GAP)
    axes = []
    for row, k in enumerate([count] + classes):
        y = _TOP + 18 + row * (height + 8)
        for t in range(glimpses):
            counts = (heat_map.counts[t].sum(axis=0) if k == count
                      else heat_map.counts[t, k])
            ax = sheet.add_axes(figure, left + t * (width + 8), y, width,
                                height)
            _show_cells(ax, counts, heat_map)
            if digits is not None:
                _outline(ax, digits[k])
            if t == 0:
                _beside(ax, names[k])
            if row == 0:
                sheet.note(ax, f'glimpse {t + 1}', 6)
            axes.append(ax)
    return axes


def draw_paths(paths, digits, classes=None, beyond=False, class_names=None):
    """Draws mean paths on mean digits, that of all classes first.

    Args:
        paths (ram.evaluation.inspect.Paths): In pixels of the digit.
        digits (array): (K + 1, h, w) float: mean digits.
        classes (list of int): Which; all of them if left out.
        beyond (bool): Show half a digit around it too.
        class_names (sequence of str): Names of the classes, numbers if left
            out.

    Returns:
        list of matplotlib.axes.Axes: In pixels of the digit, y downwards.

    """
    height, width = digits.shape[1:]
    count = len(digits) - 1
    names = sheet.short_names(count, class_names) + ['all']
    shown = [count] + (list(range(count)) if classes is None else classes)
    margin = max(height, width) // 2 if beyond else 0
    zoom = 156 / (max(height, width) + 2 * margin)
    across, down = ((side + 2 * margin) * zoom for side in (width, height))
    columns = min(4, len(shown))
    figure = _figure('Mean path and its spread, by class',
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
        _frame(ax)
        if beyond:
            _square(ax, width, height)
        if numpy.isfinite(paths.means[k]).all():
            _draw_path(ax, paths.means[k], paths.covariances[k])
        axes.append(ax)
    return axes


def draw_saccades(saccades):
    """Draws a histogram of how far each step goes.

    Args:
        saccades (array): (T - 1, N) float, pixels; T at least 2.

    Returns:
        list of matplotlib.axes.Axes: One a step; pixels along x, images
        along y.

    """
    histograms, edges = saccade_histogram(saccades)
    end = edges[-1]
    figure = _figure('Way from one glimpse to the next', 470,
                     _TOP + 62 * len(saccades) + 24)
    axes = []
    for t, (lengths, counts) in enumerate(zip(saccades, histograms)):
        ax = _chart(figure, 84, _TOP + 62 * t, 360, 50)
        ax.set_ylim(0, 1.15 * counts.max())
        _ticks(ax, MaxNLocator(6).tick_values(0, end), [])
        ax.set_xlim(0, end)
        ax.bar(edges[:-1], counts, edges[1] - edges[0], align='edge',
               color=_LIGHT, linewidth=0)
        median = numpy.median(lengths)
        ax.axvline(median, color=INK, linewidth=1.2)
        late = median > 0.7 * end
        sheet.text(ax, median + (-0.01 if late else 0.01) * end,
                   1.12 * counts.max(), f'median {median:.1f}',
                   size=FONT - 1, va='top', ha='right' if late else 'left')
        _beside(ax, f'{t + 1} \u2192 {t + 2}')
        if t + 1 < len(saccades):
            ax.set_xticklabels([])
        axes.append(ax)
    _name_axes(ax, 'pixels')
    return axes


def draw_first_locations(first, aspect=1.):
    """Draws error and loss by first location.

    Args:
        first (ram.evaluation.inspect.FirstLocations): What to draw.
        aspect (float): Width of the image by its height.

    Returns:
        list of matplotlib.axes.Axes: Error and loss; (x, y) in [-1, 1], y
        downwards.

    """
    longest = max(260, 30 * len(first.coordinates))
    width, height = longest * min(1, aspect), longest / max(1, aspect)
    figure = _figure('By first location: error in %, cross-entropy in nats',
                     2 * (width + 40) + GAP, _TOP + 18 + height + 40)
    axes = []
    for i, (values, name, digits) in enumerate((
            (first.error, f'error in %, {first.n} images', 1),
            (first.loss, 'cross-entropy in nats', 3))):
        ax = _chart(figure, 36 + i * (width + 40), _TOP + 18, width, height)
        low, high = float(values.min()), float(values.max())
        ax.set_xlim(-1, 1)
        ax.set_ylim(1, -1)
        ax.imshow(values, cmap=_BAD, vmin=low,
                  vmax=max(high, low + 1e-9), extent=(-1, 1, 1, -1),
                  interpolation='nearest', aspect='auto')
        for side in ax.spines.values():
            side.set_visible(True)
        _ticks(ax, [-1, 0, 1], [-1, 0, 1])
        sheet.note(ax, name, 6)
        if len(first.coordinates) <= 15:
            _number_cells(ax, first.coordinates, first.coordinates, values,
                          [[f'{v:.{digits}f}' for v in row]
                           for row in values], low, high, FONT - 3)
        axes.append(ax)
    return axes


def draw_confusion(confusion, class_names=None):
    """Draws which class is taken for which.

    Args:
        confusion (array): (K, K) int; entry (i, j) counts the images of
            class i that were taken for class j.
        class_names (sequence of str): Names of the classes, numbers if left
            out.

    Returns:
        list of matplotlib.axes.Axes: One; classes along both axes.

    """
    classes = len(confusion)
    names = sheet.short_names(classes, class_names)
    room = max(sheet.text_width(name, pixels=_PIXELS) for name in names)
    upright = room > 28  # names that do not fit side by side
    top = _TOP + (room if upright else 18)
    side = min(max(34 * classes, 200), 680)
    figure = _figure('Class (row) and what it was taken for (column)',
                     room + side + 40, top + side + GAP)
    ax = _chart(figure, GAP + 10 + room, top, side, side)
    mistakes = confusion * (1 - numpy.eye(classes, dtype=int))
    high = max(int(mistakes.max()), 1)
    ax.imshow(mistakes, cmap=_BAD, vmin=0, vmax=high, aspect='auto',
              interpolation='nearest',
              extent=(-0.5, classes - 0.5, classes - 0.5, -0.5))
    ax.set_xlim(-0.5, classes - 0.5)
    ax.set_ylim(classes - 0.5, -0.5)
    for k in range(classes):
        ax.add_patch(Rectangle((k - 0.5, k - 0.5), 1, 1, facecolor='#eeeeee'))
    ticks = numpy.arange(0, classes, -(-classes // 40))
    _ticks(ax, ticks, ticks, [names[k] for k in ticks])
    ax.xaxis.tick_top()
    if upright:
        ax.tick_params(axis='x', labelrotation=90)
    for spine in ax.spines.values():
        spine.set_visible(True)
    if classes <= CLASSES:
        _number_cells(ax, range(classes), range(classes), mistakes,
                      [[str(n) if n else '' for n in row]
                       for row in confusion], 0, high, FONT - 2)
    return [ax]


def _some(inspection):
    """The most frequent classes, as many as are drawn, in order."""
    counts = numpy.bincount(inspection.labels,
                            minlength=len(inspection.evaluation.confusion))
    return sorted(int(k) for k in
                  numpy.argsort(-counts, kind='stable')[:CLASSES])


def _figure(title, width, height):
    """A sheet with a title, wide enough for it."""
    width = max(width, sheet.text_width(title, 'bold', _PIXELS) + 2 * GAP)
    figure = sheet.new_figure(width, height, _PIXELS)
    across, down = figure.get_size_inches() * 72
    sheet.text(figure, GAP / across, 1 - 1.4 * GAP / down, title,
               weight='bold', va='center')
    return figure


def _chart(figure, x, y, width, height):
    """Axes with numbers, and a thin line at the left and below."""
    ax = sheet.add_axes(figure, x, y, width, height)
    ax.set_facecolor('none')
    ax.set_autoscale_on(False)
    ax.set_axisbelow(True)
    ax.tick_params(color='#bbbbbb', length=3, width=0.8)
    for name, spine in ax.spines.items():
        spine.set_visible(name in ('left', 'bottom'))
        spine.set(color='#bbbbbb', linewidth=0.8)
    return ax


def _ticks(ax, x, y, names=None):
    """Numbers or names along the axes, whatever the reader's settings."""
    for places, set_ticks, set_labels in (
            (x, ax.set_xticks, ax.set_xticklabels),
            (y, ax.set_yticks, ax.set_yticklabels)):
        set_ticks(places)
        set_labels([sheet.plain(name) for name in names or [
            f'{place:g}'.replace('-', '\u2212') for place in places]],
            family=sheet.FAMILY, fontsize=FONT - 2, color=FAINT)


def _name_axes(ax, x, y=None):
    words = {'fontsize': FONT - 1, 'color': FAINT, 'family': sheet.FAMILY}
    ax.set_xlabel(x, labelpad=3, **words)
    if y:
        ax.set_ylabel(y, labelpad=4, **words)


def _beside(ax, words):
    """Words to the left of axes."""
    ax.annotate(sheet.plain(words), (0, 0.5), (-8, 0),
                xycoords='axes fraction', textcoords='offset points',
                ha='right', va='center', family=sheet.FAMILY, fontsize=FONT,
                color=INK, usetex=False, annotation_clip=False)


def _frame(ax):
    """A thin line around axes."""
    for spine in ax.spines.values():
        spine.set_visible(True)
        spine.set(color='#bbbbbb', linewidth=0.8)


def _square(ax, width, height):
    """The digit's own square."""
    ax.add_patch(Rectangle((0, 0), width, height, fill=False,
                           edgecolor=FAINT, linewidth=0.8,
                           linestyle=(0, (3, 2))))


def _show_cells(ax, counts, heat_map):
    rows, columns = counts.shape
    left, top = heat_map.left, heat_map.top
    right, bottom = (left + columns * heat_map.cell,
                     top + rows * heat_map.cell)
    sheet.clear_axes(ax, right - left, bottom - top)
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)
    # The root lets the rarer cells be seen too.
    ax.imshow(counts, cmap=_OFTEN,
              norm=PowerNorm(0.5, 0, max(int(counts.max()), 1)),
              extent=(left, right, bottom, top), interpolation='nearest',
              aspect='auto')
    _frame(ax)


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
    for (x, y), covariance in zip(means, covariances):
        lengths, directions = numpy.linalg.eigh(covariance)
        widths = 2 * numpy.sqrt(numpy.maximum(lengths, 0))
        angle = numpy.degrees(numpy.arctan2(directions[1, 1],
                                            directions[0, 1]))
        ax.add_patch(Ellipse((x, y), widths[1], widths[0], angle=angle,
                             facecolor=_LIGHT, alpha=0.08, zorder=2))
        ax.add_patch(Ellipse((x, y), widths[1], widths[0], angle=angle,
                             fill=False, edgecolor=GUESS, linewidth=0.8,
                             alpha=0.7, zorder=2.5))
    ax.add_line(Line2D(*means.T, color=INK, linewidth=1.4, zorder=3,
                       path_effects=_HALO))
    for t, (x, y) in enumerate(means):
        ax.add_line(Line2D([x], [y], marker='o', markersize=10,
                           markerfacecolor='white', markeredgecolor='black',
                           markeredgewidth=0.8, zorder=4 + t))
        sheet.text(ax, x, y, str(t + 1), size=FONT - 4, weight='bold',
                   color='black', ha='center', va='center_baseline',
                   zorder=4.5 + t, clip_on=True)


def _number_cells(ax, xs, ys, values, words, low, high, size):
    """Writes a word in each cell, white where it is dark."""
    for y, row, line in zip(ys, values, words):
        for x, value, word in zip(xs, row, line):
            dark = value - low > 0.65 * (high - low) > 0
            sheet.text(ax, x, y, word, size=size, ha='center', va='center',
                       color='white' if dark else INK)
