"""Digits that the program draws itself: data without a download.

Every image is a digit in one of the fonts that come with matplotlib, turned,
sheared, stretched, shifted, bent, written with a pen of another width, blurred
and sprinkled with noise: never twice the same.
"""

import functools
import os
from typing import Tuple

import numpy
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from ram.devices import Array

FONTS = ('DejaVuSans', 'DejaVuSans-Bold', 'DejaVuSans-Oblique',
         'DejaVuSansMono', 'DejaVuSansMono-Bold', 'DejaVuSansMono-Oblique',
         'DejaVuSerif', 'DejaVuSerif-Bold', 'DejaVuSerif-Italic',
         'STIXGeneral', 'STIXGeneralBol', 'STIXGeneralItalic',
         'STIXGeneralBolIta', 'cmr10', 'cmb10', 'cmss10', 'cmtt10')
SIDE = 28  # of an image, in pixels
_GLYPH = 96  # side of a glyph as it is kept
_HEIGHT = 60  # of a digit within it
_PARTS = ('train', 'test')


def make_digits(count: int, seed: int, part: str) -> Tuple[Array, ...]:
    """Draws digits.

    Args:
        count: N.
        seed: The same seed draws the same digits, and more of them
            begin with fewer.
        part: ``train`` or ``test``, which share no image.

    Returns:
        Images (N, 28, 28) uint8, bright on black, and
        labels (N,) int32.

    """
    rng = numpy.random.Generator(numpy.random.PCG64(
        [seed, _PARTS.index(part)]))
    glyphs = _glyphs()
    images, labels = [], []
    for start in range(0, count, 1000):
        # Always a thousand at a time, so that the count changes no image.
        part_images, part_labels = _draw(glyphs, 1000, rng)
        images.append(part_images[:count - start])
        labels.append(part_labels[:count - start])
    return numpy.concatenate(images), numpy.concatenate(labels)


@functools.lru_cache(maxsize=None)
def _glyphs():
    """(fonts, 10, side, side) float32: how deep in the stroke a place is."""
    import matplotlib  # slow to import, and not needed by most commands

    folder = os.path.join(matplotlib.get_data_path(), 'fonts', 'ttf')
    glyphs = numpy.zeros((len(FONTS), 10, _GLYPH, _GLYPH), 'float32')
    for i, name in enumerate(FONTS):
        path = os.path.join(folder, name + '.ttf')
        for digit in range(10):
            glyphs[i, digit] = _glyph(path, str(digit))
    return glyphs


def _glyph(path, digit):
    font = ImageFont.truetype(path, _HEIGHT)
    left, top, right, bottom = font.getbbox(digit)
    # To one height in every font, by the font's own size: sharper than
    # scaling the picture.
    font = ImageFont.truetype(path, round(_HEIGHT ** 2 / (bottom - top)))
    left, top, right, bottom = font.getbbox(digit)
    picture = Image.new('L', (_GLYPH, _GLYPH))
    ImageDraw.Draw(picture).text(
        ((_GLYPH - right - left) / 2, (_GLYPH - bottom - top) / 2), digit,
        fill=255, font=font)
    # Blurred, its levels are strokes of all widths.
    return numpy.asarray(picture.filter(ImageFilter.GaussianBlur(3)),
                         'float32') / 255


def _draw(glyphs, count, rng):
    def between(low, high):
        return rng.uniform(low, high, (count, 1, 1)).astype('float32')

    labels = rng.integers(10, size=count).astype('int32')
    fonts = rng.integers(len(glyphs), size=count)
    # Pixel centres, from the middle of the image, to glyph coordinates.
    axis = numpy.arange(SIDE, dtype='float32') - (SIDE - 1) / 2
    y, x = numpy.meshgrid(axis, axis, indexing='ij')
    x, y = x - between(-2, 2), y - between(-2, 2)
    angle = between(-0.3, 0.3)
    x, y = (x * numpy.cos(angle) + y * numpy.sin(angle),
            y * numpy.cos(angle) - x * numpy.sin(angle))
    x = (x + between(-0.3, 0.3) * y) * between(2.6, 3.8)
    y = y * between(2.6, 3.5)
    x, y = x + _waves(count, rng, 4.5), y + _waves(count, rng, 4.5)
    depth = _sample(glyphs[fonts, labels], y, x)
    # The level is the pen's width, the steepness its softness.
    image = 1 / (1 + numpy.exp(
        (between(0.15, 0.42) - depth) * between(8, 25)))
    image -= image[:, :1, :1]  # what the slope leaves far from any stroke
    image *= between(0.75, 1.1)
    image += rng.normal(0, 1, image.shape).astype('float32') * between(0, 0.08)
    return (numpy.clip(image, 0, 1) * 255 + 0.5).astype('uint8'), labels


def _waves(count, rng, height):
    """Smooth random fields (count, 28, 28): the elastic distortion."""
    knots = rng.normal(0, height, (count, 5, 5)).astype('float32')
    # Each pixel's weights of the five knots: Gaussian bumps that sum to 1.
    place = numpy.linspace(0, 4, SIDE, dtype='float32')
    bumps = numpy.exp(-((place[:, None] - numpy.arange(5)) / 0.8) ** 2)
    bumps = (bumps / bumps.sum(axis=1, keepdims=True)).astype('float32')
    return bumps @ knots @ bumps.T


def _sample(glyphs, y, x):
    """Bilinear samples of (N, side, side) glyphs around their middles."""
    y = numpy.clip(y + (_GLYPH - 1) / 2, 0, _GLYPH - 1.001)
    x = numpy.clip(x + (_GLYPH - 1) / 2, 0, _GLYPH - 1.001)
    row, column = y.astype('int32'), x.astype('int32')
    down, right = y - row, x - column
    index = (numpy.arange(len(glyphs))[:, None, None] * _GLYPH
             + row) * _GLYPH + column
    flat = glyphs.reshape(-1)
    top = flat.take(index) * (1 - right) + flat.take(index + 1) * right
    below = index + _GLYPH
    bottom = flat.take(below) * (1 - right) + flat.take(below + 1) * right
    return top * (1 - down) + bottom * down
