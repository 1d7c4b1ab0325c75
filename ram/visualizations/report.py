"""One page that shows a policy as a whole, and lets its paths be played.

The page is a single file that loads nothing: pictures are inlined, styles and
script are in ``report.html`` beside this module.
"""

import base64
import html
import io
import json
import os

import numpy
from PIL import Image

from ram.evaluation.inspect import numbers
from ram.files import replacing
from ram.visualizations import sheet
from ram.visualizations import trajectories as drawing
from ram.visualizations.policy import save_pictures

_TEMPLATE = os.path.join(os.path.dirname(__file__), 'report.html')
_CLASSES = 10  # bars of an example, and one more if none is the true class
_STRIP = 6  # examples in a picture


def save_inspection(folder, inspection, examples, patch_sizes, origin,
                    class_names=None, progress=None):
    """Writes a page, its pictures and its numbers.

    Args:
        folder (str): Where to; it is there.
        inspection (ram.evaluation.inspect.Inspection): What to show.
        examples (list of tuple): What to play: kind (str, see
            :func:`ram.evaluation.inspect.notable`), index of the image (int) and its
            ram.evaluation.evaluate.Trajectory.
        patch_sizes (sequence of int): Side of each scale in pixels, the
            finest first.
        origin (dict): Plain JSON types to keep with the numbers;
            ``checkpoint`` and ``split`` are shown.
        class_names (sequence of str): Names of the classes, numbers if left
            out.
        progress (callable): See
            :func:`ram.visualizations.policy.save_pictures`.

    Returns:
        list of str: The files: ``index.html``, ``inspect.json``, pictures.

    Raises:
        RamError: Where one cannot be written.

    """
    pictures = save_pictures(
        folder, inspection,
        *([trajectory for kind, _, trajectory in examples if kind == wanted]
          [:_STRIP] for wanted in ('hardest', 'oddest')),
        patch_sizes, class_names, progress)
    told = {**origin, **numbers(inspection)}
    names = ['index.html', 'inspect.json'] + [p.name for p in pictures]
    paths = [os.path.join(folder, name) for name in names]
    with replacing(paths[1], 'w') as file:
        file.write('{\n' + ',\n'.join(
            f'{json.dumps(key)}: {json.dumps(value)}'
            for key, value in told.items()) + '\n}\n')
    page = _page(
        f'{origin["checkpoint"]} on {told["n"]} {origin["split"]} images',
        _facts(told, patch_sizes), _table(_by_glimpse(told)),
        '\n'.join(_figure(folder, picture) for picture in pictures),
        {'names': sheet.short_names(len(told['confusion']), class_names),
         'examples': [_example(*example, patch_sizes)
                      for example in examples]})
    with replacing(paths[0]) as file:
        file.write(page.encode())
    return paths


def _page(title, facts, table, pictures, data):
    with open(_TEMPLATE, encoding='utf-8') as file:
        page = file.read()
    parts = {
        'title': html.escape(title), 'colours': _colours(), 'facts': facts,
        'table': table, 'pictures': pictures,
        # No text within may end the script.
        'data': json.dumps(data, separators=(',', ':')).replace(
            '<', '\\u003c')}
    for name, body in parts.items():
        page = page.replace(f'<!-- {name} -->', body)
    return page


def _facts(told, patch_sizes):
    low, high = told['interval']
    height, width = told['image_size']
    sides = ', '.join(f'{side}\u00d7{side}' for side in patch_sizes)
    facts = {
        'Error': f'{told["error"]:.2f} % [{low:.2f}, {high:.2f}] '
                 '(95 % Wilson interval)',
        'Cross-entropy': f'{told["loss"]:.4f} nats',
        'Glimpses': f'{len(told["error_by_glimpse"])}, of {sides} pixels in '
                    f'images of {height}\u00d7{width}; the policy takes its '
                    'mean'}
    return '\n'.join(f'<dt>{name}</dt><dd>{html.escape(value)}</dd>'
                     for name, value in facts.items())


def _by_glimpse(told):
    """Rows of words, a column each glimpse; the first row is its head."""
    rows = [
        ['glimpse'] + [str(t + 1)
                       for t in range(len(told['error_by_glimpse']))],
        ['right, %'] + [f'{100 - error:.2f}'
                        for error in told['error_by_glimpse']],
        ['median way to it, pixels', '\u2013'] + [
            f'{length:.1f}' for length in told['saccades']['median']]]
    if told['inside_digit'] is not None:
        rows.append(['in the digit\u2019s square, %'] + [
            f'{100 * share:.1f}' for share in told['inside_digit']])
    return rows


def _example(kind, index, trajectory, patch_sizes):
    """What the page's script plays, in plain JSON types."""
    height, width = trajectory.image.shape[1:]
    likeliest = numpy.argsort(-trajectory.probabilities.max(axis=0),
                              kind='stable')[:_CLASSES]
    classes = sorted({trajectory.label, *likeliest.tolist()})
    return {
        'kind': kind, 'index': index, 'label': trajectory.label,
        'width': width, 'height': height,
        'image': _data_uri(sheet.picture(trajectory.image)),
        'size': trajectory.retina.shape[-1],
        'sides': [int(side) for side in patch_sizes],
        'retina': _data_uri(_sprite(trajectory.retina)),
        'points': ((trajectory.locations.astype('float64') + 1) / 2
                   * (width, height)).round(3).tolist(),
        'boxes': [drawing.patch_boxes(location, (height, width), patch_sizes)
                  for location in trajectory.locations],
        'classes': classes,
        'guesses': trajectory.probabilities.argmax(axis=1).tolist(),
        'shares': trajectory.probabilities[:, classes].astype(
            'float64').round(4).tolist()}


def _sprite(retina):
    """All patches as one image: a column each glimpse, a row each scale."""
    return numpy.concatenate([
        numpy.concatenate([sheet.picture(patch) for patch in scales])
        for scales in retina], axis=1)


def _data_uri(pixels):
    file = io.BytesIO()
    if (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    Image.fromarray(pixels).save(file, 'PNG', optimize=True)
    return _inline(file.getvalue())


def _inline(png):
    return 'data:image/png;base64,' + base64.b64encode(png).decode()


def _colours():
    """The colours of all drawings, as variables of the style sheet."""
    named = {'right': drawing.RIGHT, 'wrong': drawing.WRONG,
             'guess': drawing.GUESS, 'other': drawing.OTHER,
             **{f'scale-{j}': colour
                for j, colour in enumerate(drawing.SCALE_COLOURS)}}
    return ' '.join(f'--{name}: {colour};' for name, colour in named.items())


def _table(rows):
    lines = []
    for i, row in enumerate(rows):
        cell = 'td' if i else 'th'
        lines.append('<tr>' + ''.join(
            f'<{cell}>{html.escape(words)}</{cell}>' for words in row)
            + '</tr>')
    return '\n'.join(lines)


def _figure(folder, picture):
    path = os.path.join(folder, picture.name)
    with open(path, 'rb') as file:
        png = file.read()
    with Image.open(path) as image:
        width, height = image.size
    return (f'<section><h2>{html.escape(picture.title)}</h2>\n'
            f'<figure><img src="{_inline(png)}" width="{width // 2}" '
            f'height="{height // 2}" alt="{html.escape(picture.title)}">'
            f'<figcaption>{html.escape(picture.caption)} '
            f'<code>{html.escape(picture.name)}</code></figcaption>'
            '</figure></section>')
