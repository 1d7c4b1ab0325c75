"""The network in figures, with the sizes of a given one.

Each function draws one figure, 900 points wide, and returns its axes, in
points, y downwards. All sizes are read off the Links. These arguments are the
same everywhere:

- ``model``: the network.
- ``image``: (C, H, W) float32 in [0, 1].
- ``location``: (2,) float32, (x, y) in [-1, 1].
"""

from typing import Dict, Set

import numpy
from matplotlib.axes import Axes

from ram.evaluation.evaluate import Trajectory
from ram.links.core import LSTMCore
from ram.models.ram import RAM
from ram.visualizations import diagram, sheet
from ram.visualizations.colours import scale_style
from ram.visualizations.diagram import SMALL, arrow, bend, box, note, text
from ram.visualizations.trajectories.boxes import overhang, patch_boxes
from ram.visualizations.trajectories.panels import Scene

_COLOURS = {'action': '#009E73', 'reinforce': '#D55E00', 'baseline': '#0072B2'}


class Sizes:
    """The sizes of a network, read off its Links."""

    def __init__(self, model: RAM):
        glimpse, sensor = model.glimpse, model.glimpse.sensor
        hidden = model.location.hidden
        self.patch = sensor.size  # side g of a patch in the retina
        self.scales = sensor.scales
        self.patches = tuple(sensor.size * sensor.factor ** j
                             for j in range(sensor.scales))  # in the image
        self.what, self.retina = glimpse.what.W.shape  # h_g, numbers
        self.channels = self.retina // (self.scales * self.patch ** 2)
        self.where = glimpse.where.W.shape[0]  # h_l
        self.glimpse = glimpse.what_out.W.shape[0]  # g
        self.core = 'LSTM' if isinstance(model.core, LSTMCore) else 'RNN'
        self.state = model.core.units  # h
        self.hidden = 0 if hidden is None else hidden.W.shape[0]
        self.classes = model.action.logits.W.shape[0]


def draw_sensor(model: RAM, image: numpy.ndarray, location: numpy.ndarray
                ) -> Axes:
    """Draws how the glimpse sensor reads an image (Figure 1A)."""
    sizes = Sizes(model)
    height, width = image.shape[1:]
    largest = sizes.patches[-1]
    zoom = min(300 / height, 280 / width, 410 / (width + largest),
               190 / largest, 300 / sum(sizes.patches))
    cell = 84  # of the retina
    rows = [max(side * zoom, cell) + 40 for side in sizes.patches]
    bottom = max(sum(rows), height * zoom + 70) + 64
    ax = diagram.new_diagram(bottom)
    boxes = patch_boxes(location, (height, width), sizes.patches)
    _draw_boxes(ax, image, location, boxes, zoom,
                64 + (bottom - 64 - height * zoom) / 2 - 20)

    left = 24 + width * zoom + 70
    right = left + max(largest * zoom, 130) + 150
    _heading(ax, left, 'patches', 'as they are; zero outside the image')
    _heading(ax, right, 'retina', f'each {sizes.patch} × {sizes.patch}')
    retina = model.glimpse.sensor(image[None], location[None])[0]
    top = 64
    for j, ((row, column, side), down) in enumerate(zip(boxes, rows)):
        middle = top + 20 + (down - 40) / 2
        end = left + side * zoom
        note(ax, left, top + 8, f'{side} × {side} pixels')
        diagram.pixels(ax, _crop(image, row, column, side), left,
                       middle - side * zoom / 2, zoom, *scale_style(j))
        arrow(ax, (end + 8, middle), (right - 10, middle))
        step = side // sizes.patch
        note(ax, (max(end, left + 110) + right) / 2, middle - 10,
             'as it is' if step == 1 else f'mean of each {step} × {step}',
             ha='center')
        diagram.pixels(ax, retina[j], right, middle - cell / 2,
                       cell / sizes.patch, *scale_style(j))
        top += down
    _draw_retina_size(ax, sizes, right + cell, top)
    return ax


def _draw_boxes(ax, image, location, boxes, zoom, top):
    """The image with the boxes of a glimpse."""
    height, width = image.shape[1:]
    _heading(ax, 24, 'image and location', f'{height} × {width} pixels, '
             f'l = ({location[0]:.2f}, {location[1]:.2f})')
    diagram.pixels(ax, image, 24, top, zoom)
    for j, (row, column, side) in enumerate(boxes):
        diagram.frame(ax, 24 + column * zoom, top + row * zoom, side * zoom,
                      side * zoom, *scale_style(j), zorder=5 - 0.1 * j)
    x, y = (numpy.asarray(location) + 1) / 2 * (width, height) * zoom
    diagram.line(ax, [24 + x], [top + y], 'white', marker='o', markersize=6,
                 markeredgecolor='black', zorder=6)


def _draw_retina_size(ax, sizes, end, bottom):
    """The numbers in the retina, whose patches end at ``end``."""
    middle = 64 + (bottom - 64) / 2
    if sizes.scales > 1:
        diagram.line(ax, [end + 12, end + 18, end + 18, end + 12],
                     [84, 84, bottom - 20, bottom - 20], sheet.FAINT, 1.2)
    arrow(ax, (end + 20, middle), (end + 50, middle))
    factors = [str(n) for n in (sizes.scales, sizes.channels) if n > 1] + [
        str(sizes.patch)] * 2
    text(ax, end + 58, middle - 18, 'ρ(x, l)', weight='bold')
    text(ax, end + 58, middle, ' × '.join(factors))
    text(ax, end + 58, middle + 18, f'= {sizes.retina} numbers')


def draw_glimpse_network(model: RAM, image: numpy.ndarray,
                         location: numpy.ndarray) -> Axes:
    """Draws the glimpse network (Figure 1B) with the retina of an image."""
    sizes = Sizes(model)
    ax = diagram.new_diagram(290)
    up, low, middle = 104, 216, 160
    cell = min(84, 150 / sizes.scales)
    retina = model.glimpse.sensor(image[None], location[None])[0]
    for j, patch in enumerate(retina):
        diagram.pixels(ax, patch, 24 + j * (cell + 6), up - cell / 2,
                       cell / sizes.patch, *scale_style(j))
    end = 24 + sizes.scales * (cell + 6) - 6
    text(ax, 24, 20, 'what is seen', weight='bold')
    text(ax, 24, 44, f'ρ(x, l): {sizes.retina} numbers')
    text(ax, 24, low + 40, 'where it is', weight='bold')
    box(ax, 24, low, 84, 44, 'data', 'l = (x, y)', '2 numbers')
    for y, start, name, width, side in (
            (up, end, '$h_g$', sizes.what, -1),
            (low, 108, '$h_l$', sizes.where, 1)):
        box(ax, 240, y, 120, 54, 'glimpse', 'Linear, Rect')
        arrow(ax, (start + 6, y), (238, y))
        box(ax, 440, y, 110, 54, 'glimpse', 'Linear')
        arrow(ax, (362, y), (438, y))
        text(ax, 400, y - 14, name, ha='center')
        note(ax, 400, y + 14, str(width), ha='center')
        arrow(ax, (552, y), (623, middle + 14 * side))
        note(ax, 602, y + 1 + 5 * side, str(sizes.glimpse), ha='center')
    diagram.line(ax, [640], [middle], marker='o', markersize=34,
                 markerfacecolor=diagram.FILLS['glimpse'],
                 markeredgecolor=sheet.INK)
    text(ax, 640, middle, '+', 18, ha='center')
    arrow(ax, (659, middle), (688, middle))
    box(ax, 690, middle, 70, 54, 'glimpse', 'Rect')
    arrow(ax, (762, middle), (792, middle))
    text(ax, 800, middle - 9, '$g_t$', 15)
    note(ax, 800, middle + 11, f'{sizes.glimpse} numbers')
    return ax


# Middles of the rows of the unrolled network.
_BASELINE, _LOCATION, _CORE, _GLIMPSE, _IMAGE = 84, 158, 262, 356, 484


def draw_unrolled(model: RAM, trajectory: Trajectory) -> Axes:
    """Draws the network over time (Figure 1C) with its own trajectory.

    The images are on other axes of the figure.
    """
    sizes = Sizes(model)
    last = model.glimpses - 1
    steps = list(range(last + 1)) if last < 4 else [0, 1, 2, None, last]
    ax = diagram.new_diagram(572)
    column = (diagram.WIDTH - 40) / len(steps)
    for i, t in enumerate(steps):
        middle = 40 + (i + 0.42) * column
        following = middle + column
        if t is None:
            for y in (_CORE, _LOCATION, _GLIMPSE, _IMAGE):
                text(ax, middle, y, '· · ·', 18, ha='center')
            arrow(ax, (middle + 24, _CORE), (following - 62, _CORE))
            bend(ax, (middle + 24, _LOCATION), (following - 62, _GLIMPSE))
            continue
        _draw_glimpse(ax, sizes, trajectory, t, middle)
        if t < last:
            _draw_choice(ax, sizes, t, middle, following,
                         steps[i + 1] is None)
        else:
            _draw_prediction(ax, sizes, trajectory, t, middle)
    text(ax, 24, 22, 'dashed: the next location, sampled from a Gaussian '
         f'(σ = {model.std:g}) around the location network’s output')
    text(ax, 24, 44, f'the same weights at all {model.glimpses} glimpses; '
         'the class is read after the last one, the first location is given',
         color=sheet.FAINT)
    return ax


def _draw_glimpse(ax, sizes, trajectory, t, middle):
    """A column from the image up to the core."""
    side = 124
    bottom = _IMAGE - side / 2
    scene = sheet.add_axes(ax.figure, middle - side / 2, bottom, side, side)
    Scene(scene, trajectory, sizes.patches,
          overhang([trajectory], sizes.patches)).show(t)
    note(ax, middle, _IMAGE + side / 2 + 12, f'glimpse {t + 1}', ha='center')
    box(ax, middle - 60, _GLIMPSE, 120, 52, 'glimpse', 'glimpse network',
        f'{sizes.retina} + 2 → {sizes.glimpse}')
    box(ax, middle - 60, _CORE, 120, 52, 'core', f'{sizes.core} core',
        f'state {sizes.state}')
    arrow(ax, (middle, bottom - 3), (middle, _GLIMPSE + 28))
    arrow(ax, (middle, _GLIMPSE - 28), (middle, _CORE + 28))
    text(ax, middle + 8, (bottom + _GLIMPSE + 26) / 2, f'$\\rho_{{{t + 1}}}$',
         SMALL)
    text(ax, middle + 8, (_GLIMPSE + _CORE) / 2, f'$g_{{{t + 1}}}$', SMALL)


def _draw_choice(ax, sizes, t, middle, following, dots):
    """The outputs of a core before the last: to the next column, or dots."""
    end = following - (24 if dots else 62)
    arrow(ax, (middle + 62, _CORE), (end, _CORE))
    text(ax, middle + 66, _CORE - 11, f'$h_{{{t + 1}}}$', SMALL)
    box(ax, middle - 60, _LOCATION, 120, 52, 'location', 'location network',
        (f'{sizes.hidden} hidden, ' if sizes.hidden else '') + '2 out')
    arrow(ax, (middle, _CORE - 28), (middle, _LOCATION + 28))
    box(ax, middle - 60, _BASELINE, 120, 36, 'baseline', 'baseline')
    bend(ax, (middle - 60, _CORE - 14), (middle - 60, _BASELINE), out=-14)
    if dots:
        arrow(ax, (middle + 62, _LOCATION), (end, _LOCATION), dashed=True)
    else:
        bend(ax, (middle + 62, _LOCATION), (end, _GLIMPSE))


def _draw_prediction(ax, sizes, trajectory, t, middle):
    """The output of the last core."""
    box(ax, middle - 60, _LOCATION, 120, 52, 'action', 'action network',
        f'{sizes.classes} classes')
    arrow(ax, (middle, _CORE - 28), (middle, _LOCATION + 28))
    guess = int(trajectory.probabilities[t].argmax())
    arrow(ax, (middle, _LOCATION - 28), (middle, _BASELINE + 10))
    text(ax, middle, _BASELINE - 4, f'“{guess}”: '
         f'{100 * trajectory.probabilities[t, guess]:.0f} %', ha='center',
         weight='bold')


def draw_gradients(model: RAM, reached: Dict[str, Set[str]]) -> Axes:
    """Draws what is sampled, and which gradient reaches which part.

    Args:
        reached: By :func:`ram.evaluation.gradient_map.gradient_map`.

    """
    ax = diagram.new_diagram(424)
    middle = 197
    box(ax, 20, middle, 112, 64, 'glimpse', 'glimpse\nnetwork')
    box(ax, 190, middle, 104, 64, 'core', f'{Sizes(model).core} core')
    _flow(ax, (132, middle), (190, middle), 'glimpse', 'core', reached)
    for y, part, output, term, name, formula in (
            (72, 'action', ['class probabilities'], 'action', 'cross-entropy',
             '−log p(label)'),
            (middle, 'location', ['mean μ; then samples',
                                  f'l ~ N(μ, {model.std:g}²)'],
             'reinforce', 'REINFORCE', '−log π(l) (R − b)'),
            (322, 'baseline', ['b: the expected', 'reward'], 'baseline',
             'baseline error', '(b − R)²')):
        box(ax, 376, y, 130, 64, part, f'{part}\nnetwork')
        _flow(ax, (294, middle + (y - middle) * 0.16), (376, y), 'core', part,
              reached)
        for words, above in zip(output, (42, 27)):
            note(ax, 528, y - above, words)
        diagram.term(ax, 702, y, name, formula, _COLOURS[term])
        _flow(ax, (506, y), (702, y), part, None, {term: reached[term]})
    for y, words in ((134.5, 'R = 1 if the class is right,'),
                     (149.5, 'else 0: data'),
                     (259.5, '(R − b) is data here')):
        note(ax, 791, y, words, ha='center')
    back = middle + 67  # of the sampled location
    diagram.line(ax, [604, 604, 76], [middle, back, back], zorder=1,
                 linestyle=diagram.DASHED)
    arrow(ax, (76, back), (76, middle + 34), dashed=True)
    note(ax, 84, back + 14, 'the sampled location is data:')
    note(ax, 84, back + 29, 'no gradient goes back through it')
    _draw_legend(ax, 400)
    return ax


def _draw_legend(ax, y):
    arrow(ax, (20, y), (54, y))
    text(ax, 62, y, 'computed', SMALL)
    for x, term, words in (
            (150, 'action', 'gradient of the cross-entropy'),
            (390, 'reinforce', 'of REINFORCE'),
            (540, 'baseline', 'of the baseline error')):
        arrow(ax, (x + 34, y), (x, y), _COLOURS[term], 3)
        text(ax, x + 42, y, words, SMALL)
    diagram.barrier(ax, (730, y), (1, 0))
    text(ax, 744, y, 'no gradient passes', SMALL)


def _flow(ax, start, end, source, target, reached):
    """An output of one part to the next, and the gradients that come back.

    There is a barrier where a gradient reaches the target but not the source.
    """
    start, end = numpy.array(start, float), numpy.array(end, float)
    arrow(ax, start, end)
    along = (end - start) / numpy.hypot(*(end - start))
    across = numpy.array([-along[1], along[0]])
    ends = (3 if along[1] == 0 else 16) * along  # not into the boxes
    terms = [term for term, parts in reached.items()
             if target is None or target in parts]
    for i, term in enumerate(terms, 1):
        shift = 9 * i * across
        if source in reached[term]:
            arrow(ax, end - ends + shift, start + ends + shift,
                  _COLOURS[term], 3)
        else:
            diagram.barrier(ax, (start + end) / 2 + shift, along,
                            _COLOURS[term])


def _heading(ax, x, words, more):
    text(ax, x, 20, words, weight='bold')
    note(ax, x, 40, more)


def _crop(image, row, column, side):
    """The pixels of a box, zero beyond the border of the image."""
    padded = numpy.pad(image, [(0, 0), (side, side), (side, side)])
    return padded[:, row + side:row + 2 * side,
                  column + side:column + 2 * side]
