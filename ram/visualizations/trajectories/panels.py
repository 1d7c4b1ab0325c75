"""The panels of a trajectory: scene, retina and probabilities.

A panel is made once and then shows one glimpse after another. ``moving``
lists the artists that differ from glimpse to glimpse, in drawing order.
"""

from typing import List, Optional, Sequence, Tuple

import numpy
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from ram.evaluation.evaluate import Trajectory
from ram.visualizations import colours, sheet
from ram.visualizations.sheet import FAINT, FONT
from ram.visualizations.trajectories.boxes import patch_boxes

Names = Optional[Sequence[str]]


def verdict(trajectory: Trajectory, class_names: Names = None
            ) -> Tuple[Optional[bool], str]:
    """Whether the last prediction is right, and the words for it.

    Returns:
        Right or wrong, None without a label; and words such as
        ``'✗ wrong: 7, is 1'`` or ``'photo.png: 7'``.

    """
    names = names_of(trajectory, class_names)
    guess = int(numpy.argmax(trajectory.probabilities[-1]))
    if trajectory.label is None:
        return None, f'{trajectory.name or "predicted"}: {names[guess]}'
    if guess == trajectory.label:
        return True, f'\u2713 right: {names[guess]}'
    return False, f'\u2717 wrong: {names[guess]}, is {names[trajectory.label]}'


class Scene:
    """The image with the boxes of a glimpse and the path up to it.

    Args:
        ax: Set to pixels of the image, y downwards.
        margin: Pixels shown around the image, black as the network receives
            them.

    """

    def __init__(self, ax: Axes, trajectory: Trajectory,
                 patch_sizes: Sequence[int], margin: int):
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
        self._points = ((numpy.asarray(trajectory.locations, 'float64') + 1)
                        / 2 * (width, height))
        self._boxes = [patch_boxes(location, (height, width), patch_sizes)
                       for location in trajectory.locations]
        self._path = ax.add_line(Line2D(
            [], [], color='white', linewidth=1.6 * share, zorder=3,
            solid_capstyle='round',
            path_effects=sheet.halo(3.4 * share, 'black')))
        self._patches = [_box(ax, j, side, share)
                         for j, side in enumerate(patch_sizes)]
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

    def show(self, step: int, progress: float = 1) -> None:
        """Shows glimpse ``step``, or a part of the way to it."""
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
            reached = t < step or t == step and progress == 1
            mark.set_visible(reached)
            number.set_visible(reached)
            mark.set_markerfacecolor(
                colours.SCALE_COLOURS[0] if t == step else 'white')


class Headline:
    """The line above a scene: the number of the glimpse, or the verdict."""

    def __init__(self, ax: Axes, trajectory: Trajectory,
                 class_names: Names = None):
        self._glimpses = trajectory.glimpses
        self._verdict = verdict(trajectory, class_names)
        self._text = sheet.note(ax, '', 9, size=FONT + 1, va='baseline')
        self.moving = [self._text]

    def show(self, step: int) -> None:
        self._text.set_text(f'glimpse {step + 1} of {self._glimpses}')
        self._text.set_position((0, 9))
        self._text.set(color=FAINT, weight='normal', bbox=None)

    def show_verdict(self) -> None:
        right, words = self._verdict
        self._text.set_text(sheet.plain(words))
        self._text.set_position((6, 9))
        edge = {True: colours.RIGHT, False: colours.WRONG,
                None: colours.GUESS}[right]
        self._text.set(color='black', weight='bold', bbox={
            'boxstyle': 'round,pad=0.3', 'linewidth': 1.8,
            'facecolor': 'white', 'edgecolor': edge})


class Retina:
    """The patches as the network receives them."""

    def __init__(self, ax: Axes, trajectory: Trajectory, horizontal: bool):
        self._retina = trajectory.retina
        scales, size = self._retina.shape[1], self._retina.shape[-1]
        long, short = self.extent(trajectory)
        sheet.clear_axes(ax, *((long, short) if horizontal else (short, long)))
        self._images, borders = [], []
        for j in range(scales):
            start = j * (size + _gap(size))
            x, y = (start, 0) if horizontal else (0, start)
            self._images.append(
                sheet.show_image(ax, self._retina[0, j], x, y))
            colour, linewidth = colours.scale_style(j)
            borders.append(ax.add_patch(Rectangle(
                (x, y), size, size, fill=False, edgecolor=colour,
                linewidth=linewidth, joinstyle='miter', clip_on=False)))
        self.moving = self._images + borders

    @staticmethod
    def extent(trajectory: Trajectory) -> Tuple[int, int]:
        """Its longer and its shorter side, in pixels of the retina."""
        scales, size = trajectory.retina.shape[1], trajectory.retina.shape[-1]
        return scales * size + (scales - 1) * _gap(size), size

    def show(self, step: int) -> None:
        for image, patch in zip(self._images, self._retina[step]):
            image.set_data(sheet.picture(patch))


class Bars:
    """The probabilities of some classes: the prediction dark, truth marked."""

    def __init__(self, ax: Axes, trajectory: Trajectory, class_names: Names,
                 classes: Sequence[int], rows: int = 8,
                 every_number: bool = False):
        self._probabilities = trajectory.probabilities[:, classes]
        self._guesses = trajectory.probabilities.argmax(axis=1)
        self._classes = classes
        self._every_number = every_number
        self._length = sheet.size_of(ax)[0]
        names = names_of(trajectory, class_names)
        sheet.clear_axes(ax, 1, max(rows, len(classes)))
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

    def show(self, step: int) -> None:
        """Shows the probabilities after a glimpse, counted from 0."""
        for j, bar, number, share in zip(
                self._classes, self._bars, self._numbers,
                self._probabilities[step].tolist()):
            guess = j == self._guesses[step]
            bar.set_width(share)
            bar.set_facecolor(colours.GUESS if guess else colours.OTHER)
            number.set_text(f'{100 * share:.0f} %'
                            if guess or self._every_number else '')
            inside = share * self._length > 40
            number.set_x(share + (-4 if inside else 4) / self._length)
            number.set_ha('right' if inside else 'left')
            number.set_color('white' if inside and guess else sheet.INK)


def names_of(trajectory: Trajectory, class_names: Names) -> List[str]:
    """Short names of all classes."""
    return sheet.short_names(trajectory.probabilities.shape[1], class_names)


def likeliest(shares: numpy.ndarray, label: Optional[int],
              limit: int) -> List[int]:
    """Up to ``limit`` classes, most likely first, a true one included."""
    classes = numpy.argsort(-shares, kind='stable')[:limit].tolist()
    if label is not None and label not in classes:
        classes[-1] = label
    return classes


def _gap(size):
    """Pixels between the patches of a retina."""
    return max(1, round(size / 6))


def _box(ax, j, side, share):
    """The box of scale ``j``, in a line of whole pixels, which is sharp."""
    colour, linewidth = colours.scale_style(j)
    pixels = ax.figure.dpi / 72
    linewidth = max(1, round(linewidth * share * pixels)) / pixels
    return ax.add_patch(Rectangle(
        (0, 0), side, side, fill=False, edgecolor=colour, linewidth=linewidth,
        joinstyle='miter', zorder=5 - 0.1 * j,
        path_effects=sheet.halo(linewidth + 1.6, 'black', alpha=0.7)))
