"""White sheets to draw on, laid out in points from the upper left corner.

There are 72 points to the inch. An animation has one pixel to a point, a
picture that may be printed has two. The reader's own matplotlib settings
change nothing here, and pyplot is not used.
"""

import math
import warnings
from typing import Any, List, Optional, Sequence

import numpy
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.text import Text
from PIL import Image

from ram.files import replacing

# A class may have a name that no font here can draw: it becomes boxes.
warnings.filterwarnings('ignore', 'Glyph .* missing from', UserWarning)

FONT = 11
GAP = 12
INK, FAINT = '#222222', '#666666'
FAMILY = 'DejaVu Sans'  # comes with matplotlib


def new_figure(width: float, height: float, pixels: int = 1) -> Figure:
    """An empty figure, its size in points, with ``pixels`` to a point.

    Its sides are even numbers of pixels, which video encoders require.
    """
    width, height = (2 * math.ceil(side / 2) for side in (width, height))
    figure = Figure(figsize=(width / 72, height / 72), dpi=72 * pixels,
                    facecolor='white')
    FigureCanvasAgg(figure)
    return figure


def add_axes(figure: Figure, x: float, y: float, width: float,
             height: float) -> Axes:
    """Axes that cover a rectangle of a figure, in points."""
    whole = figure.get_size_inches() * 72
    return figure.add_axes([
        x / whole[0], 1 - (y + height) / whole[1],
        width / whole[0], height / whole[1]])


def raster(figure: Figure) -> numpy.ndarray:
    """The pixels of a figure's canvas, (h, w, 3) uint8."""
    return numpy.array(figure.canvas.buffer_rgba())[:, :, :3]


def save_png(figure: Figure, path: str, colours: int = 0) -> None:
    """Draws a figure and writes it as a PNG.

    Args:
        figure: The figure.
        path: The file.
        colours: The most that it has, for a small file; all if 0.

    Raises:
        RamError: If it cannot be written; see :func:`ram.files.replacing`.

    """
    figure.canvas.draw()
    image = Image.fromarray(raster(figure))
    with replacing(path) as file:
        (image.quantize(colours) if colours else image).save(
            file, 'PNG', optimize=bool(colours))


def clear_axes(ax: Axes, width: float, height: float, margin: float = 0
               ) -> None:
    """Sets limits, y downwards, and removes ticks, frame and grid."""
    ax.set_facecolor('none')
    ax.set_autoscale_on(False)
    ax.set_xlim(-margin, width + margin)
    ax.set_ylim(height + margin, -margin)
    ax.grid(False)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


def size_of(ax: Axes) -> numpy.ndarray:
    """Width and height of axes in points."""
    return numpy.array([ax.bbox.width, ax.bbox.height]) * 72 / ax.figure.dpi


def picture(image: numpy.ndarray) -> numpy.ndarray:
    """A (C, H, W) image in [0, 1] as colours, (H, W, 3) uint8.

    Three channels are colours; any other number is averaged to grey.
    """
    image = numpy.asarray(image, 'float32')
    if len(image) != 3:
        image = numpy.repeat(image.mean(axis=0, keepdims=True), 3, axis=0)
    image = numpy.clip(image, 0, 1).transpose(1, 2, 0)
    return (255 * image).round().astype('uint8')


def show_image(ax: Axes, image: numpy.ndarray, x: float = 0, y: float = 0
               ) -> AxesImage:
    """Draws a (C, H, W) image sharply: pixel i covers [i, i + 1)."""
    height, width = image.shape[1:]
    left, right = ax.get_xlim()
    shrunk = ax.bbox.width < abs(right - left)
    return ax.imshow(
        picture(image), origin='upper', aspect='equal',
        extent=(x, x + width, y + height, y),
        interpolation='antialiased' if shrunk else 'nearest')


def plain(words: str) -> str:
    """Escapes dollar signs, which would begin a formula."""
    return words.replace('$', r'\$')


def short_names(count: int, class_names: Optional[Sequence[str]] = None
                ) -> List[str]:
    """Names of ``count`` classes, numbers if left out, in 12 letters."""
    names = [str(name) for name in class_names or range(count)]
    return [name if len(name) <= 12 else name[:11] + '\u2026'
            for name in names]


def text(parent: Any, x: float, y: float, words: str, size: float = FONT,
         color: str = INK, **kwargs: Any) -> Text:
    """Text on axes or on a figure."""
    return parent.text(x, y, plain(words), fontsize=size, color=color,
                       family=FAMILY, usetex=False, **kwargs)


def title(figure: Figure, words: str, down: float = 1.5 * GAP) -> None:
    """A bold line in the upper left corner, its middle ``down`` points."""
    width, height = figure.get_size_inches() * 72
    text(figure, GAP / width, 1 - down / height, words, weight='bold',
         va='center')


def note(ax: Axes, words: str, above: float, at: Sequence[float] = (0, 1),
         right: float = 0, size: float = FONT - 1, color: str = FAINT,
         **kwargs: Any) -> Text:
    """Text beside axes.

    Args:
        above, right: Points from the place ``at``, which is in fractions of
            the axes: the upper left corner if left out.

    """
    return ax.annotate(
        plain(words), at, (right, above), xycoords='axes fraction',
        textcoords='offset points', family=FAMILY, fontsize=size,
        color=color, usetex=False, annotation_clip=False, **kwargs)


def halo(linewidth: float, color: str, **kwargs: Any
         ) -> List[patheffects.AbstractPathEffect]:
    """Path effects that draw a wider line below a line or a text."""
    return [patheffects.Stroke(linewidth=linewidth, foreground=color,
                               **kwargs), patheffects.Normal()]


def text_width(words: str, weight: str = 'normal', pixels: int = 1) -> float:
    """Width of words in points; coarse pixels make it a little wider."""
    figure = new_figure(2, 2, pixels)
    return text(figure, 0, 0, words, weight=weight).get_window_extent(
        figure.canvas.get_renderer()).width / pixels
