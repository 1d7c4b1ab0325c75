"""The network in figures, with the sizes of the one that is given.

Every number is read off the Links. Each function draws one figure, on white,
900 points wide, and returns its axes.
"""

from typing import NamedTuple

import numpy
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Rectangle
from PIL import Image

from ram.files import replacing
from ram.links.core import LSTMCore
from ram.visualizations import sheet
from ram.visualizations.sheet import FAINT, INK
from ram.visualizations.trajectories import (
    draw_scene,
    patch_boxes,
    scale_style,
)

_WIDTH = 900
_SIZE, _SMALL = 13, 11  # of text
# Light, so that black text stands on them. Names tell the parts apart, too.
_FILLS = {'glimpse': '#FCE8BF', 'core': '#CFE6F6', 'location': '#F3DCE8',
          'action': '#CBEBDF', 'baseline': '#E4E4E4', 'data': 'white'}
_TERMS = {'action': '#009E73', 'reinforce': '#D55E00', 'baseline': '#0072B2'}


class Sizes(NamedTuple):
    """The sizes of a network, read off its Links.

    Attributes:
        glimpses (int): T.
        patch (int): Side g of a patch, as the network gets it.
        scales (int): k.
        patches (tuple of int): Side of each scale in pixels of the image.
        channels (int): C.
        retina (int): Numbers in a glimpse, k * C * g * g.
        what, where, glimpse (int): Widths of h_g, h_l and g.
        core (str): LSTM or RNN.
        state (int): Width of h.
        hidden (int): Width of the location network's hidden layer, or 0.
        classes (int): K.
        std (float): Of the policy.

    """

    glimpses: int
    patch: int
    scales: int
    patches: tuple
    channels: int
    retina: int
    what: int
    where: int
    glimpse: int
    core: str
    state: int
    hidden: int
    classes: int
    std: float


def sizes_of(model):
    """Reads a network's sizes off its Links.

    Args:
        model (ram.models.ram.RAM): The network.

    Returns:
        Sizes

    """
    glimpse, hidden = model.glimpse, model.location.hidden
    sensor = glimpse.sensor
    what, retina = glimpse.what.W.shape
    return Sizes(
        model.glimpses, sensor.size, sensor.scales,
        tuple(sensor.size * sensor.factor ** j for j in range(sensor.scales)),
        retina // (sensor.scales * sensor.size ** 2), retina, what,
        glimpse.where.W.shape[0], glimpse.what_out.W.shape[0],
        'LSTM' if isinstance(model.core, LSTMCore) else 'RNN',
        model.core.units, 0 if hidden is None else hidden.W.shape[0],
        model.action.logits.W.shape[0], float(model.std))


def draw_sensor(model, image, location):
    """Draws what the glimpse sensor makes of an image (Figure 1A).

    Args:
        model (ram.models.ram.RAM): Its sensor is drawn.
        image (array): (C, H, W) float32 in [0, 1].
        location (array): (2,) float32, (x, y) in [-1, 1].

    Returns:
        matplotlib.axes.Axes: In points, y downwards.

    """
    sizes = sizes_of(model)
    height, width = image.shape[1:]
    boxes = patch_boxes(location, (height, width), sizes.patches)
    retina = model.glimpse.sensor(image[None], location[None])[0]
    largest = sizes.patches[-1]
    zoom = min(300 / height, 280 / width, 410 / (width + largest),
               190 / largest, 300 / sum(sizes.patches))
    cell = 84  # of the retina
    rows = [max(side * zoom, cell) + 40 for side in sizes.patches]
    ax = _canvas(max(sum(rows), height * zoom + 70) + 64)
    down = ax.get_ylim()[0]

    top = 64 + (down - 64 - height * zoom) / 2 - 20
    _heading(ax, 24, 'image and location', f'{height} × {width} pixels, '
             f'l = ({location[0]:.2f}, {location[1]:.2f})')
    _pixels(ax, image, 24, top, zoom)
    for j, (row, column, side) in enumerate(boxes):
        colour, linewidth = scale_style(j)
        ax.add_patch(Rectangle(
            (24 + column * zoom, top + row * zoom), side * zoom, side * zoom,
            fill=False, edgecolor=colour, linewidth=1.3 * linewidth,
            joinstyle='miter', zorder=5 - 0.1 * j))
    x, y = (numpy.asarray(location) + 1) / 2 * (width, height) * zoom
    ax.add_line(Line2D([24 + x], [top + y], marker='o', markersize=6,
                       color='white', markeredgecolor='black', zorder=6))

    left = 24 + width * zoom + 70
    _heading(ax, left, 'patches', 'as they are; zero outside the image')
    widest = max(largest * zoom, 130)
    right = left + widest + 150
    _heading(ax, right, 'retina', f'each {sizes.patch} × {sizes.patch}')
    top = 64
    for j, ((row, column, side), room) in enumerate(zip(boxes, rows)):
        colour, linewidth = scale_style(j)
        middle = top + 20 + (room - 40) / 2
        _text(ax, left, top + 8, f'{side} × {side} pixels', _SMALL, FAINT)
        drawn = side * zoom
        _pixels(ax, _crop(image, row, column, side), left,
                middle - drawn / 2, zoom, colour, linewidth)
        _arrow(ax, (left + drawn + 8, middle), (right - 10, middle))
        step = side // sizes.patch
        words = ('as it is' if step == 1 else
                 f'mean of each {step} × {step}')
        _text(ax, (left + max(drawn, 110) + right) / 2, middle - 10, words,
              _SMALL, FAINT, ha='center')
        _pixels(ax, retina[j], right, middle - cell / 2, cell / sizes.patch,
                colour, linewidth)
        top += room
    _rho(ax, sizes, right + cell, top)
    return ax


def _rho(ax, sizes, end, down):
    """What the patches of the retina, which end there, are together."""
    middle = 64 + (down - 64) / 2
    if sizes.scales > 1:
        ax.add_line(Line2D([end + 12, end + 18, end + 18, end + 12],
                           [84, 84, down - 20, down - 20], color=FAINT,
                           linewidth=1.2))
    _arrow(ax, (end + 20, middle), (end + 50, middle))
    factors = [str(n) for n in (sizes.scales, sizes.channels) if n > 1] + [
        str(sizes.patch)] * 2
    _text(ax, end + 58, middle - 18, 'ρ(x, l)', _SIZE, weight='bold')
    _text(ax, end + 58, middle, ' × '.join(factors), _SIZE)
    _text(ax, end + 58, middle + 18, f'= {sizes.retina} numbers', _SIZE)


def draw_glimpse_network(model, image, location):
    """Draws the glimpse network (Figure 1B).

    Args:
        model (ram.models.ram.RAM): Its glimpse network is drawn.
        image (array): (C, H, W) float32 in [0, 1], for the retina.
        location (array): (2,) float32, (x, y) in [-1, 1].

    Returns:
        matplotlib.axes.Axes: In points, y downwards.

    """
    sizes = sizes_of(model)
    retina = model.glimpse.sensor(image[None], location[None])[0]
    ax = _canvas(290)
    up, low, middle = 104, 216, 160
    cell = min(84, 150 / sizes.scales)
    for j, patch in enumerate(retina):
        colour, linewidth = scale_style(j)
        _pixels(ax, patch, 24 + j * (cell + 6), up - cell / 2,
                cell / sizes.patch, colour, linewidth)
    end = 24 + sizes.scales * (cell + 6) - 6
    _text(ax, 24, 44, f'ρ(x, l): {sizes.retina} numbers', _SIZE)
    _box(ax, 24, low, 84, 44, 'data', 'l = (x, y)', '2 numbers')
    for y, start, name, width in ((up, end, 'h_g', sizes.what),
                                  (low, 108, 'h_l', sizes.where)):
        _box(ax, 240, y, 120, 54, 'glimpse', 'Linear, Rect', None)
        _arrow(ax, (start + 6, y), (238, y))
        _box(ax, 440, y, 110, 54, 'glimpse', 'Linear', None)
        _arrow(ax, (362, y), (438, y))
        _text(ax, 400, y - 14, _math(name), _SIZE, ha='center')
        _text(ax, 400, y + 14, str(width), _SMALL, FAINT, ha='center')
        _arrow(ax, (552, y), (623, middle + (-14 if y < middle else 14)))
        _text(ax, 602, y + (-4 if y < middle else 6), str(sizes.glimpse),
              _SMALL, FAINT, ha='center')
    ax.add_line(Line2D([640], [middle], marker='o', markersize=34,
                       markerfacecolor=_FILLS['glimpse'],
                       markeredgecolor=INK))
    _text(ax, 640, middle, '+', 18, ha='center')
    _arrow(ax, (659, middle), (688, middle))
    _box(ax, 690, middle, 70, 54, 'glimpse', 'Rect', None)
    _arrow(ax, (762, middle), (792, middle))
    _text(ax, 800, middle - 9, _math('g_t'), _SIZE + 2)
    _text(ax, 800, middle + 11, f'{sizes.glimpse} numbers', _SMALL, FAINT)
    _text(ax, 24, 20, 'what is seen', _SIZE, weight='bold')
    _text(ax, 24, low + 40, 'where it is', _SIZE, weight='bold')
    return ax


def draw_unrolled(model, trajectory):
    """Draws the network over time, as it looked at an image (Figure 1C).

    Args:
        model (ram.models.ram.RAM): The network.
        trajectory (ram.evaluation.evaluate.Trajectory): By this network.

    Returns:
        matplotlib.axes.Axes: In points, y downwards; those of the images
        are others of its figure.

    """
    sizes = sizes_of(model)
    last = sizes.glimpses - 1
    steps = list(range(last + 1)) if last < 4 else [0, 1, 2, None, last]
    ax = _canvas(572)
    column = (_WIDTH - 40) / len(steps)
    for i, t in enumerate(steps):
        middle = 40 + (i + 0.42) * column
        following = middle + column
        if t is None:
            for y in (_CORE, _LOCATION, _GLIMPSE, _IMAGE):
                _text(ax, middle, y, '· · ·', 18, ha='center')
            _arrow(ax, (middle + 24, _CORE), (following - 62, _CORE))
            _bend(ax, (middle + 24, _LOCATION), (following - 62, _GLIMPSE))
            continue
        _draw_look(ax, sizes, trajectory, t, middle)
        if t < last:
            _draw_choice(ax, sizes, t, middle, following,
                         steps[i + 1] is None)
        else:
            _draw_answer(ax, sizes, trajectory, t, middle)
    _text(ax, 24, 22, 'dashed: the next location, drawn from a Gaussian '
          f'(σ = {sizes.std:g}) around the location network’s output',
          _SIZE)
    _text(ax, 24, 44, f'the same weights at all {sizes.glimpses} glimpses; '
          'the class is read after the last one, the first location is given',
          _SIZE, FAINT)
    return ax


# Middles of the rows of the unrolled network.
_BASELINE, _LOCATION, _CORE, _GLIMPSE, _IMAGE = 84, 158, 262, 356, 484


def _draw_look(ax, sizes, trajectory, t, middle):
    """A column from the image up to the core."""
    side = 124
    place = sheet.add_axes(ax.figure, middle - side / 2, _IMAGE - side / 2,
                           side, side)
    draw_scene(trajectory, sizes.patches, t, ax=place)
    _text(ax, middle, _IMAGE + side / 2 + 12, f'glimpse {t + 1}', _SMALL,
          FAINT, ha='center')
    _box(ax, middle - 60, _GLIMPSE, 120, 52, 'glimpse', 'glimpse network',
         f'{sizes.retina} + 2 → {sizes.glimpse}')
    _arrow(ax, (middle, _IMAGE - side / 2 - 3), (middle, _GLIMPSE + 28))
    _text(ax, middle + 8, (_IMAGE - side / 2 + _GLIMPSE + 26) / 2,
          _math('\\rho_{%d}' % (t + 1)), _SMALL)
    _box(ax, middle - 60, _CORE, 120, 52, 'core', f'{sizes.core} core',
         f'state {sizes.state}')
    _arrow(ax, (middle, _GLIMPSE - 28), (middle, _CORE + 28))
    _text(ax, middle + 8, (_GLIMPSE + _CORE) / 2, _math('g_{%d}' % (t + 1)),
          _SMALL)


def _draw_choice(ax, sizes, t, middle, following, dots):
    """Where the core leads, but for the last: to the next column, or dots."""
    _arrow(ax, (middle + 62, _CORE), (following - (24 if dots else 62), _CORE))
    _text(ax, middle + 66, _CORE - 11, _math('h_{%d}' % (t + 1)), _SMALL)
    _box(ax, middle - 60, _LOCATION, 120, 52, 'location', 'location network',
         (f'{sizes.hidden} hidden, ' if sizes.hidden else '') + '2 out')
    _arrow(ax, (middle, _CORE - 28), (middle, _LOCATION + 28))
    _box(ax, middle - 60, _BASELINE, 120, 36, 'baseline', 'baseline', None)
    _bend(ax, (middle - 60, _CORE - 14), (middle - 60, _BASELINE), out=-14)
    if dots:
        _arrow(ax, (middle + 62, _LOCATION), (following - 24, _LOCATION),
               dashed=True)
    else:
        _bend(ax, (middle + 62, _LOCATION), (following - 62, _GLIMPSE))


def _draw_answer(ax, sizes, trajectory, t, middle):
    """Where the last core leads."""
    _box(ax, middle - 60, _LOCATION, 120, 52, 'action', 'action network',
         f'{sizes.classes} classes')
    _arrow(ax, (middle, _CORE - 28), (middle, _LOCATION + 28))
    guess = int(trajectory.probabilities[t].argmax())
    _arrow(ax, (middle, _LOCATION - 28), (middle, _BASELINE + 10))
    _text(ax, middle, _BASELINE - 4, f'“{guess}”: '
          f'{100 * trajectory.probabilities[t, guess]:.0f} %', _SIZE,
          ha='center', weight='bold')


def draw_gradients(model, reached):
    """Draws what is sampled, and which gradient reaches which part.

    Args:
        model (ram.models.ram.RAM): The network.
        reached (dict of str to set of str): By
            :func:`ram.evaluation.gradient_map.gradient_map`.

    Returns:
        matplotlib.axes.Axes: In points, y downwards.

    """
    sizes = sizes_of(model)
    ax = _canvas(424)
    action, location, baseline = 72, 197, 322
    return_way, legend = location + 67, 400
    _box(ax, 20, location, 112, 64, 'glimpse', 'glimpse\nnetwork', None)
    _box(ax, 190, location, 104, 64, 'core', f'{sizes.core} core', None)
    rows = {
        'action': (action, 'action network', 'class probabilities',
                   'cross-entropy', '−log p(label)'),
        'location': (location, 'location network', f'mean μ; then draws\n'
                     f'l ~ N(μ, {sizes.std:g}²)', 'REINFORCE',
                     '−log π(l) (R − b)'),
        'baseline': (baseline, 'baseline network', 'b: the reward\nto expect',
                     'baseline error', '(b − R)²')}
    terms = {'action': 'action', 'location': 'reinforce',
             'baseline': 'baseline'}
    _flow(ax, (132, location), (190, location), 'glimpse', 'core', reached)
    for part, (y, name, output, term, formula) in rows.items():
        _box(ax, 376, y, 130, 64, part, name.replace(' ', '\n'), None)
        _flow(ax, (294, location + (y - location) * 0.16), (376, y), 'core',
              part, reached)
        _text(ax, 528, y - 42, output.split('\n')[0], _SMALL, FAINT)
        for i, line in enumerate(output.split('\n')[1:]):
            _text(ax, 528, y - 27 + 15 * i, line, _SMALL, FAINT)
        colour = _TERMS[terms[part]]
        ax.add_patch(FancyBboxPatch(
            (702, y - 32), 178, 64, boxstyle='round,pad=0,rounding_size=8',
            facecolor='white', edgecolor=colour, linewidth=2.5))
        _text(ax, 791, y - 11, term, _SIZE, ha='center', weight='bold',
              color=colour)
        _text(ax, 791, y + 12, formula, _SIZE, ha='center')
        _flow(ax, (506, y), (702, y), part, None,
              {terms[part]: reached[terms[part]]})
    _text(ax, 791, (action + location) / 2, 'R = 1 if the class is right,',
          _SMALL, ha='center', color=FAINT)
    _text(ax, 791, (action + location) / 2 + 15, 'else 0: data', _SMALL,
          ha='center', color=FAINT)
    _text(ax, 791, (location + baseline) / 2, '(R − b) is data here', _SMALL,
          ha='center', color=FAINT)
    # The way of the location that was drawn.
    ax.add_line(Line2D([604, 604, 76], [location, return_way, return_way],
                       color=INK, linewidth=1.3, linestyle=(0, (4, 3)),
                       zorder=1))
    _arrow(ax, (76, return_way), (76, location + 34), dashed=True)
    for below, words in ((14, 'the location drawn is data:'),
                         (29, 'no gradient goes back through it')):
        _text(ax, 84, return_way + below, words, _SMALL, FAINT)

    _arrow(ax, (20, legend), (54, legend))
    _text(ax, 62, legend, 'computed', _SMALL)
    for x, term, words in (
            (150, 'action', 'gradient of the cross-entropy'),
            (390, 'reinforce', 'of REINFORCE'),
            (540, 'baseline', 'of the baseline error')):
        _arrow(ax, (x + 34, legend), (x, legend), _TERMS[term], 3)
        _text(ax, x + 42, legend, words, _SMALL)
    _cut(ax, (730, legend), (1, 0))
    _text(ax, 744, legend, 'no gradient passes', _SMALL)
    return ax


def save_figure(path, ax):
    """Writes a figure as a PNG of few colours.

    Args:
        path (str): ``.png``.
        ax (matplotlib.axes.Axes): Of the figure.

    Raises:
        ram.errors.RamError: Where it cannot be written.

    """
    ax.figure.canvas.draw()
    with replacing(path) as file:
        Image.fromarray(sheet.raster(ax.figure)).quantize(255).save(
            file, 'PNG', optimize=True)


# Small things.

def _canvas(height):
    ax = sheet.add_axes(sheet.new_figure(_WIDTH, height, pixels=2), 0, 0,
                        _WIDTH, height)
    sheet.clear_axes(ax, _WIDTH, height)
    return ax


def _text(ax, x, y, words, size=_SIZE, color=INK, **kwargs):
    """Text whose middle is at a height; its formulas are matplotlib's."""
    plain = words.startswith('$')
    text = sheet.text(ax, x, y, '', size, color, va='center', **kwargs)
    text.set_text(words if plain else sheet.plain(words))
    return text


def _math(words):
    return f'${words}$'


def _heading(ax, x, words, more):
    _text(ax, x, 20, words, _SIZE, weight='bold')
    _text(ax, x, 40, more, _SMALL, FAINT)


def _box(ax, x, y, width, height, part, name, sizes):
    """A part of the network; y is that of its middle."""
    ax.add_patch(FancyBboxPatch(
        (x, y - height / 2), width, height,
        boxstyle='round,pad=0,rounding_size=8', facecolor=_FILLS[part],
        edgecolor=INK, linewidth=1.2, zorder=2))
    _text(ax, x + width / 2, y - (9 if sizes else 0), name,
          _SIZE if width > 120 or len(name) < 13 else 12, ha='center',
          zorder=3)
    if sizes:
        _text(ax, x + width / 2, y + 11, sizes, _SMALL, FAINT, ha='center',
              zorder=3)


def _arrow(ax, start, end, color=INK, width=1.3, dashed=False):
    ax.annotate('', end, start, annotation_clip=False, zorder=4, arrowprops={
        'arrowstyle': '-|>,head_length=0.5,head_width=0.22',
        'color': color, 'linewidth': width, 'shrinkA': 0, 'shrinkB': 0,
        'linestyle': (0, (4, 3)) if dashed else 'solid'})


def _bend(ax, start, end, out=None):
    """An arrow round corners: dashed to the right, or out and back."""
    middle = (start[0] + end[0]) / 2 if out is None else start[0] + out
    ax.add_line(Line2D([start[0], middle, middle], [start[1], start[1],
                                                    end[1]],
                       color=INK, linewidth=1.3, zorder=1,
                       linestyle='solid' if out else (0, (4, 3))))
    _arrow(ax, (middle, end[1]), end)


def _flow(ax, start, end, source, target, reached):
    """What one part hands to the next, and the gradients that come back.

    A gradient that reaches the target and not the source is cut between.
    """
    start, end = numpy.array(start, float), numpy.array(end, float)
    _arrow(ax, start, end)
    along = (end - start) / numpy.hypot(*(end - start))
    across = numpy.array([-along[1], along[0]])
    ends = (3 if along[1] == 0 else 16) * along  # not into the boxes
    offset = 0
    for term, parts in reached.items():
        if target is not None and target not in parts:
            continue
        offset += 9
        shift = across * offset
        if source in parts:
            _arrow(ax, end - ends + shift, start + ends + shift,
                   _TERMS[term], 3)
        else:
            _cut(ax, (start + end) / 2 + shift, along, _TERMS[term])


def _cut(ax, middle, along, color=INK):
    """Two strokes across a way that no gradient passes."""
    along = numpy.asarray(along, float)
    across = numpy.array([-along[1], along[0]])
    for side in (-3, 3):
        ends = numpy.array([middle + side * along + s * 7 * across
                            for s in (-1, 1)])
        ax.add_line(Line2D(*ends.T, color=color, linewidth=2.2, zorder=5))


def _pixels(ax, image, x, y, zoom, colour='black', linewidth=0.8):
    """A (C, h, w) image in points, each pixel a square of ``zoom``."""
    height, width = image.shape[1:]
    ax.imshow(sheet.picture(image), origin='upper', aspect='equal',
              extent=(x, x + width * zoom, y + height * zoom, y),
              interpolation='nearest')
    ax.add_patch(Rectangle((x, y), width * zoom, height * zoom, fill=False,
                           edgecolor=colour, linewidth=1.3 * linewidth,
                           joinstyle='miter'))


def _crop(image, row, column, side):
    """The pixels of a box, zero beyond the border of the image."""
    channels, height, width = image.shape
    patch = numpy.zeros((channels, side, side), image.dtype)
    rows = slice(max(row, 0), min(row + side, height))
    columns = slice(max(column, 0), min(column + side, width))
    patch[:, rows.start - row:rows.stop - row,
          columns.start - column:columns.stop - column] = image[
              :, rows, columns]
    return patch
