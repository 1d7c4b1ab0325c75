"""One page that shows a policy as a whole and plays its glimpses.

The page is a single file that loads nothing: pictures are inlined, styles and
script are in ``report.html`` beside this module.
"""

import base64
import html
import io
import json
import os
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy
from PIL import Image

from ram.evaluation.evaluate import Trajectory
from ram.evaluation.inspect import Inspection, numbers
from ram.files import replacing
from ram.visualizations import colours, sheet
from ram.visualizations.policy import save_pictures
from ram.visualizations.trajectories.boxes import patch_boxes

_TEMPLATE = os.path.join(os.path.dirname(__file__), 'report.html')
_CLASSES = 10  # bars of an example, and one more if none is the true class
_STRIP = 6  # examples in a picture


def save_inspection(folder: str, inspection: Inspection,
                    examples: Sequence[Tuple[str, int, Trajectory]],
                    patch_sizes: Sequence[int], origin: Dict[str, Any],
                    class_names: Optional[Sequence[str]] = None,
                    progress: Optional[Callable[[int, int], None]] = None
                    ) -> List[str]:
    """Writes a page, its pictures and its numbers.

    Args:
        folder: An existing folder.
        inspection: What to show.
        examples: What to play: kind (see
            :func:`ram.evaluation.inspect.notable`), index and glimpses of
            each image.
        patch_sizes: Side of each scale in pixels, finest first.
        origin: Plain JSON types to save with the numbers; ``checkpoint`` and
            ``split`` are shown.
        class_names: Names of the classes, numbers if left out.
        progress: See :func:`ram.visualizations.policy.save_pictures`.

    Returns:
        The files: ``index.html``, ``inspect.json``, pictures.

    Raises:
        RamError: If one cannot be written.

    """
    hardest, oddest = (
        [trajectory for kind, _, trajectory in examples if kind == wanted]
        [:_STRIP] for wanted in ('hardest', 'oddest'))
    pictures = save_pictures(folder, inspection, hardest, oddest, patch_sizes,
                             class_names, progress)
    values = {**origin, **numbers(inspection)}
    names = ['index.html', 'inspect.json'] + [p.name for p in pictures]
    paths = [os.path.join(folder, name) for name in names]
    with replacing(paths[1], 'w') as file:
        file.write('{\n' + ',\n'.join(
            f'{json.dumps(key)}: {json.dumps(value)}'
            for key, value in values.items()) + '\n}\n')
    data = {'names': sheet.short_names(len(values['confusion']), class_names),
            'examples': [_example(*example, patch_sizes)
                         for example in examples]}
    title = f'{origin["checkpoint"]} on {values["n"]} {origin["split"]} images'
    page = _fill({
        'title': html.escape(title), 'colours': _colours(),
        'facts': _facts(values, patch_sizes), 'table': _table(values),
        'pictures': '\n'.join(_figure(folder, picture)
                              for picture in pictures),
        # No text in it may end the script.
        'data': json.dumps(data, separators=(',', ':')).replace(
            '<', '\\u003c')})
    with replacing(paths[0]) as file:
        file.write(page.encode('utf-8', 'replace'))
    return paths


def _fill(parts):
    with open(_TEMPLATE, encoding='utf-8') as file:
        page = file.read()
    for name, body in parts.items():
        page = page.replace(f'<!-- {name} -->', body)
    return page


def _facts(values, patch_sizes):
    low, high = values['interval']
    height, width = values['image_size']
    sides = ', '.join(f'{side}\u00d7{side}' for side in patch_sizes)
    facts = {
        'Error': f'{values["error"]:.2f} % [{low:.2f}, {high:.2f}] '
                 '(95 % Wilson interval)',
        'Cross-entropy': f'{values["loss"]:.4f} nats',
        'Glimpses': f'{len(values["error_by_glimpse"])}, of {sides} pixels in '
                    f'images of {height}\u00d7{width}; mean policy'}
    if 'error_by_gaze' in values:
        facts['Error by gaze'] = ', '.join(
            f'{gaze} {error:.2f} %' for gaze, error in
            values['error_by_gaze'].items())
    return '\n'.join(f'<dt>{name}</dt><dd>{html.escape(value)}</dd>'
                     for name, value in facts.items())


def _table(values):
    """A column for each glimpse."""
    errors = values['error_by_glimpse']
    rows = [
        ['glimpse', *(str(t + 1) for t in range(len(errors)))],
        ['right, %', *(f'{100 - error:.2f}' for error in errors)],
        ['median distance to it, pixels', '\u2013', *(
            f'{length:.1f}' for length in values['saccades']['median'])]]
    if values['inside_digit'] is not None:
        rows.append(['in the digit\u2019s square, %', *(
            f'{100 * share:.1f}' for share in values['inside_digit'])])
    return '\n'.join(
        '<tr>' + ''.join(f'<{cell}>{words}</{cell}>' for words in row)
        + '</tr>' for cell, row in zip(['th', 'td', 'td', 'td'], rows))


def _example(kind, index, trajectory, patch_sizes):
    """The data that the page's script plays, in plain JSON types."""
    height, width = trajectory.image.shape[1:]
    likeliest = numpy.argsort(-trajectory.probabilities.max(axis=0),
                              kind='stable')[:_CLASSES]
    classes = sorted({trajectory.label, *likeliest.tolist()})
    # A column for each glimpse, a row for each scale.
    retina = numpy.concatenate([
        numpy.concatenate([sheet.picture(patch) for patch in scales])
        for scales in trajectory.retina], axis=1)
    return {
        'kind': kind, 'index': index, 'label': trajectory.label,
        'width': width, 'height': height,
        'image': _data_uri(sheet.picture(trajectory.image)),
        'size': trajectory.retina.shape[-1],
        'sides': [int(side) for side in patch_sizes],
        'retina': _data_uri(retina),
        'points': ((trajectory.locations.astype('float64') + 1) / 2
                   * (width, height)).round(3).tolist(),
        'boxes': [patch_boxes(location, (height, width), patch_sizes)
                  for location in trajectory.locations],
        'classes': classes,
        'guesses': trajectory.probabilities.argmax(axis=1).tolist(),
        'shares': trajectory.probabilities[:, classes].astype(
            'float64').round(4).tolist()}


def _data_uri(pixels):
    file = io.BytesIO()
    if (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    Image.fromarray(pixels).save(file, 'PNG', optimize=True)
    return _inline(file.getvalue())


def _inline(png):
    return 'data:image/png;base64,' + base64.b64encode(png).decode()


def _colours():
    """The colours of all pictures, as variables of the style sheet."""
    named = {'right': colours.RIGHT, 'wrong': colours.WRONG,
             'guess': colours.GUESS, 'other': colours.OTHER}
    for j, colour in enumerate(colours.SCALE_COLOURS):
        named[f'scale-{j}'] = colour
    return ' '.join(f'--{name}: {colour};' for name, colour in named.items())


def _figure(folder, picture):
    with open(os.path.join(folder, picture.name), 'rb') as file:
        png = file.read()
    width, height = Image.open(io.BytesIO(png)).size
    title = html.escape(picture.title)
    return (f'<section><h2>{title}</h2>\n'
            f'<figure><img src="{_inline(png)}" width="{width // 2}" '
            f'height="{height // 2}" alt="{title}">'
            f'<figcaption>{html.escape(picture.caption)} '
            f'<code>{html.escape(picture.name)}</code></figcaption>'
            '</figure></section>')
