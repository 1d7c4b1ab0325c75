"""A labelled grid of images: the input of the network."""

import os
from typing import Any, List, Optional, Sequence

import numpy
from matplotlib.axes import Axes

from ram.errors import RamError
from ram.visualizations import sheet
from ram.visualizations.sheet import FONT, GAP

_WIDTH = 840  # of the grid, in points
_CELL = 96  # the longer side of an image, at most
_LABEL = 18
_PIXELS = 2  # to a point


def draw_preview(images: numpy.ndarray, labels: Sequence[Any],
                 title: Optional[str] = None) -> List[Axes]:
    """Draws images in a grid, each below its label.

    Args:
        images: (B, C, H, W) float in [0, 1]; three channels are colours.
        labels: B numbers or names.
        title: A line above the grid.

    Returns:
        Axes of each image.

    """
    height, width = images.shape[2:]
    zoom = _CELL * _PIXELS / max(height, width)
    zoom = (int(zoom) if zoom >= 1 else zoom) / _PIXELS
    height, width = height * zoom, width * zoom
    names = [str(label) for label in labels]
    cell = max(width, *(sheet.text_width(name, pixels=_PIXELS)
                        for name in set(names)))
    columns = max(1, min(len(images), int((_WIDTH - GAP) / (cell + GAP))))
    rows = -(-len(images) // columns)
    top = 2 * GAP + FONT if title else 0
    needed = 2 * GAP + sheet.text_width(title or '', 'bold', _PIXELS)
    figure = sheet.new_figure(
        max(GAP + columns * (cell + GAP), needed),
        top + rows * (_LABEL + height + GAP) + GAP, _PIXELS)
    sheet.title(figure, title or '')
    axes = []
    for i, (image, name) in enumerate(zip(images, names)):
        row, column = divmod(i, columns)
        ax = sheet.add_axes(
            figure, GAP + column * (cell + GAP),
            top + row * (_LABEL + height + GAP) + _LABEL, width, height)
        sheet.clear_axes(ax, image.shape[2], image.shape[1])
        sheet.show_image(ax, image)
        sheet.note(ax, name, 3, size=FONT, color=sheet.INK)
        axes.append(ax)
    return axes


def save_preview(path: str, images: numpy.ndarray, labels: Sequence[Any],
                 title: Optional[str] = None) -> None:
    """Writes :func:`draw_preview` as a PNG.

    Raises:
        RamError: If the path is no ``.png`` or cannot be written; no file is
            left behind.

    """
    if os.path.splitext(path)[1].lower() != '.png':
        raise RamError(f'{path}: a preview is a PNG; let its name end in '
                       '.png')
    if not len(images):
        raise RamError(f'{path}: no image to draw; choose at least one')
    sheet.save_png(draw_preview(images, labels, title)[0].figure, path)
