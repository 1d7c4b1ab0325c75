"""Trajectories: where the network looked, what it saw, what it made of it.

The ``draw_*`` functions draw one panel each and return its axes; they take
``ax`` from the caller or make a figure of their own, and never touch pyplot.
:func:`save_trajectories` composes them into an animation or a strip.

Pixel i covers [i, i + 1) of an axis, so a patch that starts at ``(row,
column)`` is the rectangle from there to ``(row + side, column + side)``: what
is drawn is what :func:`ram.functions.glimpse` read.
"""

import math
import os
import re
import shutil
import tempfile

import imageio.v2 as imageio
import numpy
from matplotlib import patheffects
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.transforms import Affine2D
from PIL import Image

from ram.errors import RamError
from ram.evaluation.evaluate import Trajectory  # noqa: F401
from ram.files import replacing
from ram.functions.glimpse import patch_start
from ram.visualizations import sheet
from ram.visualizations.gif import GifWriter
from ram.visualizations.sheet import FAINT, FONT, GAP

# Okabe and Ito's colours, which colour-blind readers can tell apart. The
# scales also differ in line width, the verdicts in sign and words.
SCALE_COLOURS = ('#E69F00', '#56B4E9', '#CC79A7', '#F0E442', '#009E73')
SCALE_WIDTHS = (3, 2, 1)
RIGHT, WRONG = '#009E73', '#D55E00'
GUESS, OTHER = '#0072B2', '#B8C4CC'
COLOURS = (GUESS, OTHER, RIGHT, WRONG) + SCALE_COLOURS

# In points.
_HEADER = 28  # the line above a scene
_BARS = 90  # a probability of 1; with its number 78 at least
_ROW = 15  # a class in a strip

_FRAME = 40  # milliseconds; a film has 25 frames a second
_WAY = (0.1, 0.3, 0.5, 0.7, 0.9)  # from one glimpse to the next
_NUMBER = re.compile(r'%(0\d+)?d')  # its place in the names of frames
_HOLD = 3  # the verdict stays so many times as long as a glimpse


def patch_boxes(location, image_size, patch_sizes):
    """The pixels that the sensor reads at a location.

    Args:
        location (array): (2,) float, (x, y) in [-1, 1].
        image_size (tuple of int): (H, W).
        patch_sizes (sequence of int): Side of each scale in pixels, the
            finest first.

    Returns:
        list of tuple of int: (row, column, side) for each scale, possibly
        beyond the border of the image.

    """
    locations = numpy.asarray(location)[None]
    boxes = []
    for side in patch_sizes:
        rows, columns = patch_start(locations, image_size, side)
        boxes.append((int(rows[0]), int(columns[0]), int(side)))
    return boxes


def verdict(trajectory, class_names=None):
    """Whether the network was right in the end, in words.

    Args:
        trajectory (ram.evaluation.evaluate.Trajectory): One image's.
        class_names (sequence of str): Names of the classes, numbers if left
            out.

    Returns:
        tuple: right (bool, or None where the true class is not known) and
        the words (str), such as ``'✗ wrong: 7, is 1'``.

    """
    names = _names(trajectory, class_names)
    guess = int(numpy.argmax(trajectory.probabilities[-1]))
    if trajectory.label is None:
        return None, f'takes it for: {names[guess]}'
    if guess == trajectory.label:
        return True, f'\u2713 right: {names[guess]}'
    return False, (f'\u2717 wrong: {names[guess]}, '
                   f'is {names[trajectory.label]}')


def draw_scene(trajectory, patch_sizes, step=None, margin=None, ax=None):
    """Draws the image, the boxes of a glimpse, and the path so far.

    Args:
        trajectory (ram.evaluation.evaluate.Trajectory): One image's.
        patch_sizes (sequence of int): Side of each scale in pixels, the
            finest first.
        step (int): The glimpse, from 0; the last one if left out.
        margin (int): Pixels shown around the image, black as the network
            receives them; as many as the boxes need if left out.
        ax (matplotlib.axes.Axes): Where to; a figure of its own if left out.

    Returns:
        matplotlib.axes.Axes: In pixels of the image, y downwards.

    """
    if margin is None:
        margin = _overhang([trajectory], patch_sizes)
    ax = _own_axes() if ax is None else ax
    _Scene(ax, trajectory, patch_sizes, margin).show(
        _last(trajectory) if step is None else step)
    return ax


def draw_verdict(ax, trajectory, class_names=None):
    """Writes above a scene whether the network was right in the end.

    Args:
        ax (matplotlib.axes.Axes): Of :func:`draw_scene`.
        trajectory (ram.evaluation.evaluate.Trajectory): The same.
        class_names (sequence of str): Names of the classes, numbers if left
            out.

    Returns:
        matplotlib.axes.Axes: The same.

    """
    _set_verdict(_headline(ax), *verdict(trajectory, class_names))
    return ax


def draw_retina(trajectory, step=None, horizontal=False, ax=None):
    """Draws what the network received of a glimpse, scale by scale.

    Args:
        trajectory (ram.evaluation.evaluate.Trajectory): One image's.
        step (int): The glimpse, from 0; the last one if left out.
        horizontal (bool): Scales side by side, else one below the other.
        ax (matplotlib.axes.Axes): Where to; a figure of its own if left out.

    Returns:
        matplotlib.axes.Axes: In pixels of the retina, y downwards.

    """
    ax = _own_axes() if ax is None else ax
    _Retina(ax, trajectory, horizontal).show(
        _last(trajectory) if step is None else step)
    return ax


def draw_probabilities(trajectory, step=None, class_names=None, limit=10,
                       ax=None):
    """Draws how likely the network takes each class after a glimpse.

    Args:
        trajectory (ram.evaluation.evaluate.Trajectory): One image's.
        step (int): The glimpse, from 0; the last one if left out.
        class_names (sequence of str): Names of the classes, numbers if left
            out.
        limit (int): Of more classes than that, the true one and those that
            ever were the likeliest are drawn.
        ax (matplotlib.axes.Axes): Where to; a figure of its own if left out.

    Returns:
        matplotlib.axes.Axes: Probabilities along x, one class a row.

    """
    ax = _own_axes() if ax is None else ax
    classes = sorted(_likeliest(trajectory.probabilities.max(axis=0),
                                trajectory.label, limit))
    _Bars(ax, trajectory, class_names, classes).show(
        _last(trajectory) if step is None else step)
    return ax


def draw_trajectory(trajectory, patch_sizes, step=None, class_names=None,
                    axes=None):
    """Draws scene, retina and probabilities of a glimpse, and the verdict.

    Args:
        trajectory (ram.evaluation.evaluate.Trajectory): One image's.
        patch_sizes (sequence of int): Side of each scale in pixels, the
            finest first.
        step (int): The glimpse, from 0; if left out the last one, with the
            verdict.
        class_names (sequence of str): Names of the classes, numbers if left
            out.
        axes (sequence of matplotlib.axes.Axes): Three to draw on; a figure
            of its own if left out.

    Returns:
        tuple of matplotlib.axes.Axes: Scene, retina, probabilities.

    """
    margin = _overhang([trajectory], patch_sizes)
    if axes is None:
        layout = _CardLayout([trajectory], patch_sizes, class_names)
        figure = sheet.new_figure(layout.width + 2 * GAP,
                                  layout.height + 2 * GAP)
        axes = layout.axes(figure, GAP, GAP)
        _captions(axes)
        margin = layout.margin
    card = _Card(axes, trajectory, patch_sizes, class_names, margin)
    if step is None:
        card.show(_last(trajectory), final=True)
    else:
        card.show(step)
    return tuple(axes)


def scene_size(trajectories, patch_sizes, room, pixels=1):
    """How large to draw a scene.

    Args:
        trajectories (sequence of ram.evaluation.evaluate.Trajectory): Whose boxes are
            to be seen, all images of one size.
        patch_sizes (sequence of int): Side of each scale in pixels.
        room (float): The longer side at most, in points.
        pixels (int): To a point.

    Returns:
        tuple: (width, height) in points, and the margin in pixels of the
        image, for :func:`draw_scene`.

    """
    image_size = trajectories[0].image.shape[1:]
    zoom, margin = _zoom(image_size, _overhang(trajectories, patch_sizes),
                         room * pixels)
    height, width = ((side + 2 * margin) * zoom / pixels
                     for side in image_size)
    return (width, height), margin


def save_trajectories(path, trajectories, patch_sizes, class_names=None,
                      seconds_per_glimpse=1.0):
    """Writes how the network looked at some images, as a picture or a film.

    Args:
        path (str): ``.gif`` or ``.mp4`` for an animation of a grid of the
            images, ``.png`` for a strip: a row for each image, a column for
            each glimpse. An ``.mp4`` needs imageio-ffmpeg. A ``.png`` with
            a place for a number, such as ``frames/%02d.png``, stands for
            single frames of the animation: one a glimpse, from 1, and one
            with the verdict; their folder is made where it is missing.
        trajectories (sequence of ram.evaluation.evaluate.Trajectory): One an image.
        patch_sizes (sequence of int): Side of each scale in pixels, the
            finest first.
        class_names (sequence of str): Names of the classes, numbers if left
            out.
        seconds_per_glimpse (float): How long an animation stays at each.

    Returns:
        str: The path.

    Raises:
        RamError: For any other suffix, where the path cannot be written, and
            where a film cannot be encoded; nothing is left behind.

    """
    path = os.fspath(path)
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in _WRITERS:
        raise RamError(f'{path}: cannot tell what to draw from its name; let '
                       'it end in .gif, .png or .mp4')
    if not trajectories:
        raise RamError(f'{path}: no image to draw; choose at least one')
    if suffix == '.mp4':
        _require_encoder(path)
    if suffix == '.png' and _NUMBER.search(path):
        _write_frames(path, trajectories, patch_sizes, class_names)
        return path
    with replacing(path) as file:
        _WRITERS[suffix](file, trajectories, patch_sizes, class_names,
                         seconds_per_glimpse)
    return path


# The panels. Each is drawn once, and then shows one glimpse after another;
# ``moving`` lists the artists that differ from glimpse to glimpse, in order.

class _Scene:
    """The image with boxes and path."""

    def __init__(self, ax, trajectory, patch_sizes, margin):
        height, width = trajectory.image.shape[1:]
        sheet.clear_axes(ax, width, height, margin)
        ax.set_facecolor('black')
        sheet.show_image(ax, trajectory.image)
        if margin:
            ax.add_patch(Rectangle((0, 0), width, height, fill=False,
                                   edgecolor='#909090', linewidth=0.8,
                                   linestyle=(0, (2, 2))))
        # Marks and lines get smaller with the panel, but stay legible.
        share = min(1, max(0.75, max(sheet.size_of(ax)) / 216))
        dots = ax.figure.dpi / 72
        self._points = ((numpy.asarray(trajectory.locations, 'float64') + 1)
                        / 2 * (width, height))
        self._boxes = [patch_boxes(location, (height, width), patch_sizes)
                       for location in trajectory.locations]
        halo = [patheffects.Stroke(linewidth=3.4 * share, foreground='black'),
                patheffects.Normal()]
        self._path = ax.add_line(Line2D(
            [], [], color='white', linewidth=1.6 * share, zorder=3,
            solid_capstyle='round', path_effects=halo))
        self._patches = []
        for j, side in enumerate(patch_sizes):
            colour, linewidth = scale_style(j)
            # Whole pixels, or the lines would be blurred.
            linewidth = max(1, round(linewidth * share * dots)) / dots
            halo = [patheffects.Stroke(linewidth=linewidth + 1.6,
                                       foreground='black', alpha=0.7),
                    patheffects.Normal()]
            self._patches.append(ax.add_patch(Rectangle(
                (0, 0), side, side, fill=False, edgecolor=colour,
                linewidth=linewidth, joinstyle='miter', path_effects=halo,
                zorder=5 - 0.1 * j)))
        self._marks = [
            (ax.add_line(Line2D([x], [y], marker='o', markersize=13 * share,
                                markeredgecolor='black', markeredgewidth=0.8,
                                zorder=6 + t)),
             sheet.text(ax, x, y, str(t + 1), size=8.5 * share,
                        weight='bold', color='black', ha='center',
                        va='center_baseline', zorder=6.5 + t))
            for t, (x, y) in enumerate(self._points)]
        self.moving = [self._path, *self._patches,
                       *(artist for pair in self._marks for artist in pair)]

    def show(self, step, progress=1):
        """Shows glimpse ``step``, or a part of the way there."""
        before = max(step - 1, 0)
        for patch, start, end in zip(self._patches, self._boxes[before],
                                     self._boxes[step]):
            row, column = (a + progress * (b - a)
                           for a, b in zip(start[:2], end[:2]))
            patch.set_xy((column, row))
        tip = (self._points[before]
               + progress * (self._points[step] - self._points[before]))
        self._path.set_data(*numpy.vstack([self._points[:step], tip]).T)
        for t, (mark, number) in enumerate(self._marks):
            there = t < step or t == step and progress == 1
            mark.set_visible(there)
            number.set_visible(there)
            mark.set_markerfacecolor(
                SCALE_COLOURS[0] if t == step else 'white')


class _Retina:
    """The patches as the network receives them."""

    def __init__(self, ax, trajectory, horizontal):
        self._retina = trajectory.retina
        scales, size = self._retina.shape[1], self._retina.shape[-1]
        long, short = self.extent(scales, size)
        sheet.clear_axes(ax, *((long, short) if horizontal else (short, long)))
        self._images, borders = [], []
        for j in range(scales):
            start = j * (size + self.gap(size))
            x, y = (start, 0) if horizontal else (0, start)
            self._images.append(
                sheet.show_image(ax, self._retina[0, j], x, y))
            colour, linewidth = scale_style(j)
            borders.append(ax.add_patch(Rectangle(
                (x, y), size, size, fill=False, edgecolor=colour,
                linewidth=linewidth, joinstyle='miter', clip_on=False)))
        self.moving = self._images + borders

    @staticmethod
    def gap(size):
        return max(1, round(size / 6))

    @classmethod
    def extent(cls, scales, size):
        """Its longer and its shorter side, in pixels of the retina."""
        return scales * size + (scales - 1) * cls.gap(size), size

    def show(self, step):
        for image, patch in zip(self._images, self._retina[step]):
            image.set_data(sheet.picture(patch))


class _Bars:
    """The probabilities of some classes, the guess dark, the truth marked."""

    def __init__(self, ax, trajectory, class_names, classes, rows=8,
                 every_number=False):
        self._probabilities = trajectory.probabilities[:, classes]
        self._guesses = trajectory.probabilities.argmax(axis=1)
        self._classes = classes
        self._every_number = every_number
        self._length = sheet.size_of(ax)[0]
        names = _names(trajectory, class_names)
        rows = max(rows, len(classes))
        sheet.clear_axes(ax, 1, rows)
        base = ax.add_line(Line2D([0, 0], [0.1, len(classes) - 0.1],
                                  color=FAINT, linewidth=1, zorder=4))
        self._bars, self._numbers = [], []
        for i, j in enumerate(classes):
            true = j == trajectory.label
            sheet.text(ax, -4 / self._length, i + 0.5,
                       ('\u25b8 ' if true else '') + names[j],
                       weight='bold' if true else 'normal',
                       ha='right', va='center')
            self._bars.append(ax.add_patch(Rectangle(
                (0, i + 0.14), 0, 0.72, linewidth=0, zorder=2)))
            self._numbers.append(sheet.text(
                ax, 0, i + 0.5, '', size=FONT - 1, va='center', zorder=3))
        self.moving = [*self._bars, *self._numbers, base]

    def show(self, step):
        """Shows the probabilities after glimpse ``step``."""
        for j, bar, number, share in zip(
                self._classes, self._bars, self._numbers,
                self._probabilities[step]):
            share = float(share)
            guess = j == self._guesses[step]
            bar.set_width(share)
            bar.set_facecolor(GUESS if guess else OTHER)
            number.set_text(f'{100 * share:.0f} %'
                            if guess or self._every_number else '')
            inside = share * self._length > 40
            number.set_x(share + (-4 if inside else 4) / self._length)
            number.set_ha('right' if inside else 'left')
            number.set_color('white' if inside and guess else sheet.INK)


class _Card:
    """All panels of one image."""

    def __init__(self, axes, trajectory, patch_sizes, class_names, margin):
        scene, retina, bars = axes
        self._scene = _Scene(scene, trajectory, patch_sizes, margin)
        self._retina = _Retina(retina, trajectory, horizontal=False)
        self._bars = _Bars(bars, trajectory, class_names, sorted(_likeliest(
            trajectory.probabilities.max(axis=0), trajectory.label, 10)))
        self._last = _last(trajectory)
        self._title = _headline(scene)
        self._verdict = verdict(trajectory, class_names)
        self.moving = [self._title] + [
            artist for panel in (self._scene, self._retina, self._bars)
            for artist in sorted(panel.moving, key=Artist.get_zorder)]

    def show(self, step, progress=1, final=False):
        """Shows a glimpse, a part of the way there, or the verdict."""
        if step > self._last:  # it has ended before the others
            step, progress = self._last, 1
        self._scene.show(step, progress)
        if progress == 1:
            self._retina.show(step)
            self._bars.show(step)
            if final:
                _set_verdict(self._title, *self._verdict)
            else:
                _set_plain(self._title,
                           f'glimpse {step + 1} of {self._last + 1}')


# Layout, in points from the upper left corner.

class _CardLayout:
    """Sizes of the panels of a card, the same for all cards of a figure."""

    def __init__(self, trajectories, patch_sizes, class_names):
        self.scene, self.margin = scene_size(trajectories, patch_sizes, 216)
        self.retina = _retina_size(trajectories[0], 72,
                                   max(self.scene[1], 150))[::-1]
        self.labels = _labels_width(trajectories[0], class_names)
        self.body = math.ceil(max(self.scene[1], self.retina[1], 150))
        # Whole points, so that no panel is blurred.
        self._left = math.ceil(self.scene[0]) + GAP
        self._right = (self._left + math.ceil(self.retina[0]) + GAP
                       + self.labels)
        self.width = self._right + _BARS
        self.height = _HEADER + self.body

    def axes(self, figure, x, y):
        y += _HEADER
        left, right = x + self._left, x + self._right
        return (sheet.add_axes(figure, x, y, *self.scene),
                sheet.add_axes(figure, left, y, *self.retina),
                sheet.add_axes(figure, right, y, _BARS, self.body))


class _Film:
    """A grid of cards that shows one glimpse after another."""

    def __init__(self, trajectories, patch_sizes, class_names, seconds=1.0,
                 pixels=1):
        columns = min(len(trajectories), 2)
        rows = -(-len(trajectories) // columns)
        layout = _CardLayout(trajectories, patch_sizes, class_names)
        across, down = layout.width + 2 * GAP, layout.height + GAP
        legend = _Legend(trajectories[0], patch_sizes,
                         columns * across - 2 * GAP)
        self._figure = sheet.new_figure(
            max(columns * across, legend.width + 2 * GAP),
            rows * down + legend.height + 2 * GAP, pixels)
        self._cards = []
        for i, trajectory in enumerate(trajectories):
            row, column = divmod(i, columns)
            axes = layout.axes(self._figure, GAP + column * across,
                               row * down)
            _captions(axes)
            self._cards.append(_Card(axes, trajectory, patch_sizes,
                                     class_names, layout.margin))
        legend.draw(self._figure, GAP, rows * down + GAP)
        self.script = _script(max(map(_last, trajectories)) + 1, seconds)
        # Only what moves is drawn anew for each frame.
        self._moving = [a for card in self._cards for a in card.moving]
        for artist in self._moving:
            artist.set_animated(True)
        self._figure.canvas.draw()
        self._still = self._figure.canvas.copy_from_bbox(self._figure.bbox)

    def frame(self, step, progress, final):
        """One frame, (h, w, 3) uint8."""
        self._figure.canvas.restore_region(self._still)
        for card in self._cards:
            card.show(step, progress, final)
        for artist in self._moving:
            artist.draw(self._figure.canvas.get_renderer())
        return sheet.raster(self._figure)


def _script(glimpses, seconds):
    """What each frame shows, and for how many milliseconds.

    Returns:
        list of tuple: The arguments of :meth:`_Film.frame` (step, share of
        the way there, whether with the verdict), and the duration.

    """
    hold = max(_FRAME, round(1000 * seconds / _FRAME) * _FRAME)
    script = [((0, 1, False), hold)]
    for step in range(1, glimpses):
        script += [((step, progress, False), _FRAME) for progress in _WAY]
        script.append(((step, 1, False), hold))
    return script + [((glimpses - 1, 1, True), _HOLD * hold)]


def _strip(trajectories, patch_sizes, class_names):
    """A figure with a row for each image, a column for each glimpse."""
    glimpses = max(map(_last, trajectories)) + 1
    scene, margin = scene_size(trajectories, patch_sizes, 144, pixels=2)
    labels = _labels_width(trajectories[0], class_names)
    cell = max(scene[0], 120, labels + 78)
    retina = _retina_size(trajectories[0], 3 * _ROW, cell, pixels=2)
    classes = min(3, trajectories[0].probabilities.shape[1])
    # Beside the retina, if they fit.
    beside = retina[0] + GAP + labels + 60 <= cell
    bars_left = labels + beside * (retina[0] + GAP)
    bars_top = scene[1] + 8 + (not beside) * (retina[1] + 6)
    down = _HEADER + max(bars_top + classes * _ROW,
                         scene[1] + 8 + retina[1]) + GAP
    bottom = 2 * GAP + len(trajectories) * down
    legend = _Legend(trajectories[0], patch_sizes,
                     glimpses * (cell + GAP) - GAP, pixels=2)
    words = [verdict(t, class_names)[1] for t in trajectories]
    figure = sheet.new_figure(
        GAP + max(glimpses * (cell + GAP), legend.width + GAP,
                  1.1 * sheet.text_width(max(words, key=len), 'bold')
                  + 2 * GAP),
        bottom + legend.height + GAP, pixels=2)
    for row, trajectory in enumerate(trajectories):
        top = 2 * GAP + row * down + _HEADER
        for step in range(_last(trajectory) + 1):
            left = GAP + step * (cell + GAP)
            ax = sheet.add_axes(figure, left, top, *scene)
            _Scene(ax, trajectory, patch_sizes, margin).show(step)
            if step == 0:
                draw_verdict(ax, trajectory, class_names)
            if row == 0:
                sheet.note(ax, f'glimpse {step + 1}', _HEADER)
            ax = sheet.add_axes(figure, left, top + scene[1] + 8, *retina)
            _Retina(ax, trajectory, horizontal=True).show(step)
            ax = sheet.add_axes(figure, left + bars_left, top + bars_top,
                                cell - bars_left, classes * _ROW)
            _Bars(ax, trajectory, class_names, _likeliest(
                trajectory.probabilities[step], trajectory.label, classes),
                rows=classes, every_number=True).show(step)
    legend.draw(figure, GAP, bottom)
    return figure


class _Legend:
    """What the boxes and marks mean, in as many lines as it takes."""

    def __init__(self, trajectory, patch_sizes, room, pixels=1):
        size = trajectory.retina.shape[-1]
        items = [(j, f'{side} \u00d7 {side}')
                 for j, side in enumerate(patch_sizes)]
        if len(patch_sizes) == 1:
            items.append((None, 'pixels: all that the network sees at a '
                                'glimpse'))
        else:
            items += [(None, 'pixels: all that the network sees at a '
                             'glimpse,'),
                      (None, f'each box as {size} \u00d7 {size}')]
        if trajectory.label is not None:
            items.append((None, '\u25b8 true class'))
        self._places = []  # x, y, scale, words
        x = y = self.width = 0
        for j, words in items:
            width = sheet.text_width(words, pixels=pixels) + (
                0 if j is None else 18)
            if x + width > room and x:
                x, y = 0, y + 16
            self._places.append((x, y, j, words))
            self.width = max(self.width, x + width)
            x += width + 10
        self.height = y + 16

    def draw(self, figure, x, y):
        """Draws it with its upper left corner at a point of a figure."""
        width, height = figure.get_size_inches() * 72
        points = (Affine2D().translate(x, y).scale(1 / width, -1 / height)
                  .translate(0, 1) + figure.transFigure)
        for x, y, j, words in self._places:
            if j is not None:
                colour, linewidth = scale_style(j)
                figure.add_artist(Rectangle(
                    (x + 1, y + 1), 11, 11, fill=False, edgecolor=colour,
                    linewidth=linewidth, joinstyle='miter',
                    transform=points))
                x += 18
            sheet.text(figure, x, y + 6.5, words, color=FAINT, va='center',
                       transform=points)


def _captions(axes):
    """Names of the panels, above them."""
    for ax, words in zip(axes[1:], ('retina', 'probability')):
        sheet.note(ax, words, 6)


def _headline(ax):
    """The line above a scene."""
    return sheet.note(ax, '', 9, size=FONT + 1, va='baseline')


# Files.

def _write_gif(file, trajectories, patch_sizes, class_names, seconds):
    film = _Film(trajectories, patch_sizes, class_names, seconds)
    shown, durations = zip(*film.script)
    gif = GifWriter([film.frame(*shown[i])
                     for i in (0, len(shown) // 2, -1)], COLOURS)
    gif.write(file, (gif.index(film.frame(*what)) for what in shown),
              durations)


def _write_png(file, trajectories, patch_sizes, class_names, seconds):
    sheet.save_png(_strip(trajectories, patch_sizes, class_names), file)


def _write_frames(path, trajectories, patch_sizes, class_names):
    film = _Film(trajectories, patch_sizes, class_names, pixels=2)
    folder = os.path.dirname(path)
    try:
        os.makedirs(folder or '.', exist_ok=True)
    except OSError as error:
        raise RamError(f'{path}: its folder cannot be made: {error.strerror}; '
                       'name another')
    stills = [shown for shown, _ in film.script if shown[1] == 1]
    for number, shown in enumerate(stills, 1):
        name = _NUMBER.sub(lambda place: place[0] % number, path)
        with replacing(name) as file:
            Image.fromarray(film.frame(*shown)).save(file, 'PNG',
                                                     optimize=True)


def _write_mp4(file, trajectories, patch_sizes, class_names, seconds):
    film = _Film(trajectories, patch_sizes, class_names, seconds)
    # The encoder wants a name to write to.
    with tempfile.TemporaryDirectory() as folder:
        name = os.path.join(folder, 'film.mp4')
        with imageio.get_writer(
                name, format='FFMPEG', fps=1000 // _FRAME, codec='libx264',
                quality=8, macro_block_size=2,
                ffmpeg_log_level='error') as writer:
            for shown, milliseconds in film.script:
                frame = film.frame(*shown)
                for _ in range(milliseconds // _FRAME):
                    writer.append_data(frame)
        with open(name, 'rb') as encoded:
            shutil.copyfileobj(encoded, file)


def _require_encoder(path):
    try:
        import imageio_ffmpeg
        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        raise RamError(f'{path}: needs a video encoder: pip install '
                       'imageio-ffmpeg, or let the name end in .gif')


_WRITERS = {'.gif': _write_gif, '.png': _write_png, '.mp4': _write_mp4}


# Small things.

def _last(trajectory):
    return len(trajectory.locations) - 1


def _names(trajectory, class_names):
    """Names of all classes, short enough."""
    return sheet.short_names(trajectory.probabilities.shape[1], class_names)


def _likeliest(shares, label, limit):
    """Up to ``limit`` classes, the likeliest first, a true one included."""
    classes = [int(j) for j in numpy.argsort(-shares, kind='stable')[:limit]]
    if label is not None and label not in classes:
        classes[-1] = label
    return classes


def _overhang(trajectories, patch_sizes):
    """How far the boxes reach beyond the images, in whole pixels."""
    reach = 0
    for trajectory in trajectories:
        height, width = trajectory.image.shape[1:]
        for location in trajectory.locations:
            for row, column, side in patch_boxes(location, (height, width),
                                                 patch_sizes):
                reach = max(reach, -row, -column, row + side - height,
                            column + side - width)
    return reach


def _zoom(image_size, margin, room):
    """Pixels to draw a pixel of the image with, and the margin drawn.

    A whole number where the image is small enough, so that all its pixels
    are drawn alike. A large box may be cut off by the panel: to show all of
    it the image would become too small.
    """
    longest = max(image_size)
    full = int(room // (longest + 2 * margin))
    for zoom in range(int(room // longest), 0, -1):
        spare = int((room / zoom - longest) / 2)
        if spare >= margin or (spare >= longest / 25 and zoom * 0.75 > full):
            return zoom, min(margin, spare)
    margin = min(margin, longest // 25)
    return room / (longest + 2 * margin), margin


def _retina_size(trajectory, patch, room, pixels=1):
    """Length and width of a retina whose patches are at most so large."""
    scales, size = trajectory.retina.shape[1], trajectory.retina.shape[-1]
    length, width = _Retina.extent(scales, size)
    zoom = min(patch / width, room / length) * pixels
    zoom = int(zoom) if zoom >= 1 else zoom
    return length * zoom / pixels, width * zoom / pixels


def scale_style(j):
    return (SCALE_COLOURS[j % len(SCALE_COLOURS)],
            SCALE_WIDTHS[min(j, len(SCALE_WIDTHS) - 1)])


def _own_axes():
    """Axes on a figure of their own, with room for names at the left."""
    return sheet.add_axes(sheet.new_figure(360, 240), 120, GAP, 216, 216)


def _labels_width(trajectory, class_names):
    """Room for the longest name beside the bars, in points."""
    names = sorted(_names(trajectory, class_names), key=len)[-20:]
    return math.ceil(max(sheet.text_width('\u25b8 ' + name, 'bold')
                         for name in names)) + 6


def _set_plain(text, words):
    text.set_text(words)
    text.set_position((0, 9))
    text.set(color=FAINT, weight='normal', bbox=None)


def _set_verdict(text, right, words):
    text.set_text(sheet.plain(words))
    text.set_position((6, 9))
    text.set(color='black', weight='bold', bbox={
        'boxstyle': 'round,pad=0.3', 'linewidth': 1.8,
        'facecolor': 'white', 'edgecolor': {
            True: RIGHT, False: WRONG, None: GUESS}[right]})
