"""ram predict"""

import argparse
import os
from typing import Any, List

import numpy

from ram import api
from ram.commands import arguments
from ram.data.folder import FORMATS, read_image
from ram.errors import RamError
from ram.evaluation.tables import prediction_rows, write_csv
from ram.files import write_json

EXAMPLES = """\
examples:
  ram predict runs/shapes/best.npz photo.png
  ram predict runs/shapes/best.npz photos --csv classes.csv
  ram predict pretrained:mnist-6 digit.png --render look.png

An image is scaled to the size that the network was trained on, and converted
to grey or colour. No labels and no data set are needed. A digit must be
bright on a dark ground, as those of MNIST are.
"""


def add_parser(commands: Any) -> None:
    """Adds the arguments of `ram predict`."""
    parser = arguments.command(commands, 'predict', run,
                               'classify image files', EXAMPLES)
    arguments.add_checkpoint(parser)
    parser.add_argument('images', metavar='IMAGE', nargs='+',
                        help='image files, or folders of them')
    parser.add_argument('--csv', metavar='FILE', help=(
        'write class, probabilities and locations there'))
    parser.add_argument('--json', metavar='FILE', help='the same as JSON')
    parser.add_argument('--render', metavar='FILE', help=(
        'show where it looks: .gif, .mp4, or .png'))
    arguments.add_device(parser)


def run(args: argparse.Namespace) -> None:
    """Prints class, probability and path of each image."""
    arguments.import_modules(args)
    model = api.Model(args.checkpoint, args.device)
    paths = [path for name in args.images for path in _files(name)]
    arguments.check_outputs([args.csv, args.json, args.render],
                            [args.checkpoint, *paths])
    result = model.predict(_read(paths, model.config.data))
    # A name may hold bytes that are no text.
    names = [os.fsencode(path).decode('utf-8', 'replace') for path in paths]
    rows = list(prediction_rows(
        names, result.probabilities[:, -1], result.locations,
        model.class_names))
    width = max(map(len, names))
    for row in rows:
        way = ' '.join(f'({x:.0f},{y:.0f})' for x, y in row['locations'])
        print(f'{row["image"]:{width}}  {row["prediction"]}  '
              f'{100 * row["probability"]:.1f} %  {way}'.rstrip())
    written = []
    if args.csv:
        write_csv(args.csv, rows)
        written.append(args.csv)
    if args.json:
        write_json(args.json, rows)
        written.append(args.json)
    if args.render:
        # Matplotlib is slow to import, and not needed by all commands.
        from ram.visualizations import save_trajectories
        save_trajectories(
            args.render,
            [result.trajectory(i)._replace(name=os.path.basename(name))
             for i, name in enumerate(names)],
            model.patch_sizes, model.config.data.class_names)
        written.append(args.render)
    if written:
        print('written: ' + ' '.join(written))


def _files(name: str) -> List[str]:
    """A file, or the images of a folder and below it."""
    if not os.path.isdir(name):
        return [name]
    found = sorted(
        os.path.join(folder, file) for folder, _, files in os.walk(name)
        for file in files if not file.startswith('.')
        and os.path.splitext(file)[1].lower() in FORMATS)
    if not found:
        raise RamError(f'{name}: holds no image; name a folder with files '
                       f'that end in {", ".join(FORMATS)}')
    return found


def _read(paths, data):
    """(N, C, H, W) uint8, of the size that the network sees."""
    if data.channels not in (1, 3):
        raise RamError(f'the network takes {data.channels} channels, and image '
                       'files hold 1 or 3; use ram.load in Python')
    data = data.model_copy(update={'image_size': data.canvas_size,
                                   'resize': True})
    images, problems = [], []
    for path in paths:
        try:
            images.append(read_image(path, data))
        except RamError as error:
            problems += error.problems
    if problems:
        raise RamError(*problems[:10])
    return numpy.stack(images)
