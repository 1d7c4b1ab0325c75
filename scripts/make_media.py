"""Makes the files in media/ and the generated parts of the READMEs again.

    python scripts/make_media.py --data-root DIR    # DIR holds mnist/

Measurements are made by other scripts: media/cost_*.png by
scripts/benchmark.py configs/mnist.yaml --growth --plots media, in a few minutes
on an idle machine; media/results/*.json, the records of the trainings, by
scripts/reproduce.py in hours, and from them, by scripts/reproduce.py --table,
media/results.png, media/claims.png and the table of configs/paper/README.md.
"""
import argparse
import os
import re
import sys
import tempfile

import numpy
from PIL import Image

from ram.checkpoint import load_checkpoint
from ram.commands.main import main
from ram.config import load_config, reference
from ram.data.splits import fixed_canvases, load_splits
from ram.errors import RamError
from ram.evaluation.evaluate import evaluation_streams, trajectories
from ram.evaluation.gradient_map import gradient_map, gradient_table
from ram.files import replacing
from ram.models.build import build_network
from ram.random_streams import make_streams
from ram.visualizations import architecture, sheet

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PICTURES = [
    ['render', 'pretrained:mnist-6', '--out', 'media/mnist.gif',
     '--indices', '0', '1', '8', '18'],
    ['render', 'pretrained:cluttered-6', '--out', 'media/cluttered_paths.gif',
     '--examples', '4'],
    ['render', 'pretrained:wide-6', '--out', 'media/wide_paths.png',
     '--examples', '2'],
    ['data', 'preview', 'configs/translated.yaml', '--out',
     'media/translated.png', '--examples', '24'],
    ['data', 'preview', 'configs/cluttered.yaml', '--out',
     'media/cluttered.png', '--examples', '24'],
]

SENSOR_AT = -0.4, -0.46  # of the first cluttered test image


def draw_architecture(folder, root=None):
    """Draws the figures of the network, from networks that are built.

    Args:
        folder (str): ``sensor.png``, ``glimpse_network.png``,
            ``network.png`` and ``gradients.png`` go there.
        root (str): Folder that holds ``mnist/``; where MNIST is not to be
            had, the images are of the synthetic digits.

    """
    trained = load_checkpoint('pretrained:mnist-6')
    model, config = trained.model, trained.config
    images, labels = _images(config.data, root)
    seen, = trajectories(model, images, labels, [0],
                         evaluation_streams(config.data, 'test'))
    # The sensor has nothing to learn, so its network need not be trained.
    wide = load_config('configs/cluttered.yaml')
    canvas = _images(wide.data, root)[0][0]
    figures = {
        'sensor': architecture.draw_sensor(
            build_network(wide, make_streams(0)['weights']), canvas,
            numpy.array(SENSOR_AT, 'float32')),
        'glimpse_network': architecture.draw_glimpse_network(
            model, seen.image, seen.locations[0]),
        'network': architecture.draw_unrolled(model, seen),
        'gradients': architecture.draw_gradients(model, gradient_map(
            model, images[:16], labels[:16], make_streams(0)))}
    for name, ax in figures.items():
        sheet.save_png(ax.figure, os.path.join(folder, name + '.png'),
                       colours=255)


def _images(data, root):
    """A few test images and their labels, of MNIST or synthetic digits."""
    few = data.model_copy(update={'train_images': 10, 'validation': 1,
                                  'test_images': 16})
    try:
        splits = load_splits(few, root)
    except RamError as error:
        print(f'{error}; synthetic digits instead', file=sys.stderr)
        few = few.model_copy(update={'name': 'synthetic'})
        splits = load_splits(few)
    return fixed_canvases(few, splits, 'test')[:2]


def draw_heat_maps(root):
    """One of the pictures of ram inspect, in few colours: it is shown small."""
    with tempfile.TemporaryDirectory() as folder:
        status = main(['inspect', 'pretrained:mnist-6', '--out', folder] + root)
        if not status:
            with Image.open(os.path.join(folder, 'heat_image.png')) as image:
                image.quantize(64).save('media/heat_image.png', optimize=True)
    return status


def fill(path, name, body):
    """Writes a generated text between its two markers in a page."""
    begin, end = f'<!-- {name} -->', f'<!-- /{name} -->'
    with open(path, encoding='utf-8') as file:
        text = file.read()
    if begin not in text or end not in text:
        sys.exit(f'{path}: the markers {begin} and {end} are missing')
    text = re.sub(f'{begin}.*?{end}',
                  lambda _: f'{begin}\n{body.strip()}\n{end}', text,
                  flags=re.DOTALL)
    with replacing(path) as file:
        file.write(text.encode())


if __name__ == '__main__':
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--data-root', metavar='DIR',
                        help='folder that holds mnist/')
    args = parser.parse_args()
    os.chdir(TOP)
    fill('configs/README.md', 'configuration', reference())
    fill('ram/README.md', 'gradient map', gradient_table())
    draw_architecture('media', args.data_root)
    root = ['--data-root', args.data_root] if args.data_root else []
    for command in PICTURES:
        status = main(command + root)
        if status:
            sys.exit(status)
    sys.exit(draw_heat_maps(root))
