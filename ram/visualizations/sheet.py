"""White sheets to draw on, laid out in points from the upper left corner.

There are 72 points to the inch. An animation has one pixel to a point, a
picture that may be printed has two. Nothing here depends on the reader's own
matplotlib settings, and pyplot is not touched.
"""

import math

import numpy
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

FONT = 11
GAP = 12
INK, FAINT = '#222222', '#666666'
FAMILY = 'DejaVu Sans'  # comes with matplotlib


def new_figure(width, height, pixels=1):
    """An empty figure of so many points, and so many pixels to a point.

    Its sides are even numbers of pixels, as films want them.
    """
    width, height = (2 * math.ceil(side / 2) for side in (width, height))
    figure = Figure(figsize=(width / 72, height / 72), dpi=72 * pixels,
                    facecolor='white')
    FigureCanvasAgg(figure)
    return figure


def add_axes(figure, x, y, width, height):
    """Axes that cover a rectangle of points of a figure."""
    whole = figure.get_size_inches() * 72
    return figure.add_axes([
        x / whole[0], 1 - (y + height) / whole[1],
        width / whole[0], height / whole[1]])


def raster(figure):
    """What a figure's canvas holds, (h, w, 3) uint8."""
    return numpy.array(figure.canvas.buffer_rgba())[:, :, :3]


def save_png(figure, file):
    """Draws a figure and writes it to a file object."""
    figure.canvas.draw()
    Image.fromarray(raster(figure)).save(file, 'PNG')


def clear_axes(ax, width, height, margin=0):
    """Sets limits, y downwards, and takes ticks, frame and grid away."""
    ax.set_facecolor('none')
    ax.set_autoscale_on(False)
    ax.set_xlim(-margin, width + margin)
    ax.set_ylim(height + margin, -margin)
    ax.grid(False)
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)


def size_of(ax):
    """Width and height of axes in points."""
    return numpy.array([ax.bbox.width, ax.bbox.height]) * 72 / ax.figure.dpi


def picture(image):
    """A (C, H, W) image in [0, 1] as colours, (H, W, 3) uint8.

    Three channels are colours already; any other number is averaged to grey.
    """
    image = numpy.asarray(image, 'float32')
    if len(image) != 3:
        image = numpy.repeat(image.mean(axis=0, keepdims=True), 3, axis=0)
    image = numpy.clip(image, 0, 1).transpose(1, 2, 0)
    return (255 * image).round().astype('uint8')


def show_image(ax, image, x=0, y=0):
    """Draws a (C, H, W) image: pixel i covers [i, i + 1), nothing blurred."""
    height, width = image.shape[1:]
    left, right = ax.get_xlim()
    shrunk = ax.bbox.width < abs(right - left)
    return ax.imshow(
        picture(image), origin='upper', aspect='equal',
        extent=(x, x + width, y + height, y),
        interpolation='antialiased' if shrunk else 'nearest')


def plain(words):
    """Words in which a dollar sign does not begin a formula."""
    return words.replace('$', r'\$')


def short_names(count, class_names=None):
    """Names of all classes, cut to twelve letters.

    Args:
        count (int): K.
        class_names (sequence of str): The names, numbers if left out.

    Returns:
        list of str: K of them.

    """
    names = [str(name) for name in class_names or range(count)]
    return [name if len(name) <= 12 else name[:11] + '\u2026'
            for name in names]


def text(parent, x, y, words, size=FONT, color=INK, **kwargs):
    """Text on axes or on a figure."""
    return parent.text(x, y, plain(words), fontsize=size, color=color,
                       family=FAMILY, usetex=False, **kwargs)


def note(ax, words, above, size=FONT - 1, color=FAINT, **kwargs):
    """Text so many points above the upper left corner of axes."""
    return ax.annotate(
        plain(words), (0, 1), (0, above), xycoords='axes fraction',
        textcoords='offset points', family=FAMILY, fontsize=size,
        color=color, usetex=False, annotation_clip=False, **kwargs)


def text_width(words, weight='normal', pixels=1):
    """Width of words in points; coarse pixels make it a little wider."""
    figure = new_figure(2, 2, pixels)
    words = text(figure, 0, 0, words, weight=weight)
    return words.get_window_extent(
        figure.canvas.get_renderer()).width / pixels
