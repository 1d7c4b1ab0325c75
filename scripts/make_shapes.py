"""Draws a folder of images to try the program on: coloured shapes.

    python scripts/make_shapes.py --out shapes
    ram train configs/shapes.yaml --out runs/shapes

Each image has one shape, a circle, cross, square or triangle, of some colour
and size, tilted, anywhere on a patchy background. The classes are the
sub-folders: shapes/circle/0000.png, ...
"""
import argparse
import math
import os
import sys

import numpy
from PIL import Image, ImageDraw

from ram.commands.arguments import natural, positive, reports_errors
from ram.files import make_folder

SIDE, FINE = 48, 4  # pixels of an image, and of each while it is rendered


def regular(corners, radius=1):
    """Corners of a regular polygon, or of a star for two alternating radii."""
    radii = numpy.resize(radius, corners)
    angles = numpy.arange(corners) * 2 * math.pi / corners
    return numpy.stack([radii * numpy.cos(angles), radii * numpy.sin(angles)],
                       axis=1)


CROSS = numpy.array([
    (-1, -3), (1, -3), (1, -1), (3, -1), (3, 1), (1, 1), (1, 3), (-1, 3),
    (-1, 1), (-3, 1), (-3, -1), (-1, -1)]) / math.sqrt(10)
SHAPES = {'circle': regular(60, 0.85), 'cross': CROSS, 'square': regular(4),
          'triangle': regular(3)}


def draw(shape, rng):
    """One image, (48, 48, 3) uint8, of a shape's corners (n, 2)."""
    patches = rng.integers(0, 70, (4, 4, 3), dtype='uint8')
    image = Image.fromarray(patches).resize(
        (SIDE * FINE, SIDE * FINE), Image.Resampling.BICUBIC)
    radius = rng.uniform(9, 15) * FINE
    middle = rng.uniform(radius, SIDE * FINE - radius, 2)
    angle = rng.uniform(-0.3, 0.3)
    turn = numpy.array([[math.cos(angle), -math.sin(angle)],
                        [math.sin(angle), math.cos(angle)]])
    corners = middle + radius * shape @ turn
    colour = rng.integers(110, 256, 3)
    ImageDraw.Draw(image).polygon([tuple(corner) for corner in corners],
                                  fill=tuple(int(c) for c in colour))
    image = numpy.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX),
                          'float64')
    return numpy.clip(image + rng.normal(0, 6, image.shape), 0,
                      255).astype('uint8')


@reports_errors
def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--out', metavar='DIR', default='shapes',
                        help='default: %(default)s')
    parser.add_argument('--images', type=positive, metavar='N', default=2000,
                        help='of each shape (default: %(default)s)')
    parser.add_argument('--seed', type=natural, metavar='N', default=0)
    args = parser.parse_args()
    rng = numpy.random.default_rng(args.seed)
    for name, shape in SHAPES.items():
        folder = os.path.join(args.out, name)
        make_folder(folder)
        for i in range(args.images):
            Image.fromarray(draw(shape, rng)).save(
                os.path.join(folder, f'{i:04d}.png'))
    print(f'{args.images} images each in {args.out}: {", ".join(SHAPES)}')


if __name__ == '__main__':
    sys.exit(main())
