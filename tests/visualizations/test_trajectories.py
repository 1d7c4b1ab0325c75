import sys
import types

import matplotlib
import numpy
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from ram import RamError
from ram.functions.glimpse import glimpse
from ram.visualizations import (
    Trajectory,
    draw_probabilities,
    draw_retina,
    draw_scene,
    draw_trajectory,
    patch_boxes,
    save_trajectories,
    verdict,
)
from ram.visualizations import trajectories as module

ZOOM = 12  # pixels of a drawing to a pixel of the image


def make(glimpses=3, image_size=(20, 33), channels=1, size=5, scales=1,
         classes=10, label=1, guess=None, locations=None, seed=0):
    """A trajectory whose retina is what the sensor really reads."""
    rng = numpy.random.default_rng(seed)
    image = rng.random((channels,) + image_size, 'float32')
    if locations is None:
        locations = rng.uniform(-1, 1, (glimpses, 2))
    locations = numpy.asarray(locations, 'float32')
    retina = numpy.stack([glimpse(image[None], location[None], size, scales)[0]
                          for location in locations])
    # The longer it looks, the surer it is; 90 % in the end.
    sure = numpy.linspace(0.6, 0.9, len(locations))[:, None]
    sure[-1] = 0.9
    probabilities = numpy.repeat((1 - sure) / (classes - 1), classes, axis=1)
    probabilities[:, label if guess is None else guess] = sure[:, 0]
    probabilities = probabilities.astype('float32')
    trajectory = Trajectory(image, retina, locations, probabilities, label)
    return trajectory, [size * 2 ** j for j in range(scales)]


def rasterise(figure):
    figure.canvas.draw()
    return numpy.array(figure.canvas.buffer_rgba())[:, :, :3].astype(int)


def scene(trajectory, patch_sizes, margin):
    """Axes that fill a figure, ZOOM pixels to a pixel of the image."""
    height, width = (side + 2 * margin for side in trajectory.image.shape[1:])
    figure = Figure(figsize=(width * ZOOM / 72, height * ZOOM / 72), dpi=72)
    FigureCanvasAgg(figure)
    return draw_scene(trajectory, patch_sizes, margin=margin,
                      ax=figure.add_axes([0, 0, 1, 1]))


def coloured(raster, colour):
    """Bounding box of a colour: first and last row, first and last column."""
    colour = numpy.array([round(255 * c) for c in to_rgb(colour)])
    found = (abs(raster - colour) <= 3).all(axis=2)
    rows, columns = found.any(axis=1).nonzero()[0], found.any(axis=0).nonzero()
    return found, rows[0], rows[-1], columns[0][0], columns[0][-1]


def found_box(raster, colour, margin):
    """Row, column, height and width of a drawn box, in image pixels."""
    found, top, bottom, left, right = coloured(raster, colour)
    # Along a line at a quarter of the height, away from the middle.
    line = found[top + (bottom - top) // 4, left:right + 1]
    stroke = line.argmin()
    assert 1 <= stroke <= 4
    edges = (numpy.array([top + stroke / 2, left + stroke / 2,
                          bottom + 1 - stroke / 2, right + 1 - stroke / 2])
             / ZOOM - margin)
    assert_allclose(edges, edges.round(), atol=1.1 / ZOOM)
    row, column, last_row, last_column = edges.round().astype(int)
    return row, column, last_row - row, last_column - column


def false_boxes(location, size, image_size):
    """Reads boxes off a picture, and the pixels in them.

    Returns the scales whose box holds other pixels than the sensor read.
    """
    trajectory, patch_sizes = make(scales=3, locations=[location], size=size,
                                   image_size=image_size)
    margin = patch_sizes[-1] // 2 + 3
    ax = scene(trajectory, patch_sizes, margin)
    for artist in list(ax.lines) + list(ax.texts):
        artist.set_visible(False)
    with_boxes = rasterise(ax.figure)
    for patch in ax.patches:
        patch.set_visible(False)
    without = rasterise(ax.figure)[:, :, 0] / 255

    false = set()
    for scale, side in enumerate(patch_sizes):
        row, column, height, width = found_box(
            with_boxes, module.SCALE_COLOURS[scale], margin)
        assert height == width == side
        # The middles of the drawn pixels within the box, averaged as the
        # sensor averages.
        rows, columns = (
            ((start + margin + numpy.arange(side) + 0.5) * ZOOM).astype(int)
            for start in (row, column))
        step = 2 ** scale
        seen = without[rows][:, columns].reshape(
            size, step, size, step).mean(axis=(1, 3))
        if abs(seen - trajectory.retina[0, scale, 0]).max() > 1 / 255:
            false.add(scale)
    return false


@pytest.mark.parametrize('size, image_size', [(5, (20, 33)), (8, (25, 14))])
@pytest.mark.parametrize('location', [
    (0, 0), (0.3, -0.55), (-0.62, 0.4), (1, 1), (-1, 0.9), (0.97, -1)])
def test_box_is_what_the_sensor_read(location, size, image_size):
    assert not false_boxes(location, size, image_size)


def shifted(rows, columns):
    def change(monkeypatch):
        start = module.patch_start
        monkeypatch.setattr(module, 'patch_start', lambda *args: tuple(
            a + b for a, b in zip(start(*args), (rows, columns))))
    return change


def swapped_in_the_crop(monkeypatch):
    start = module.patch_start
    monkeypatch.setattr(module, 'patch_start', lambda locations, *args: start(
        locations[:, ::-1], *args))


def swapped_in_the_drawing(monkeypatch):
    class Swapped(module.Rectangle):
        def set_xy(self, xy):
            super().set_xy(xy[::-1])
    monkeypatch.setattr(module, 'Rectangle', Swapped)


@pytest.mark.parametrize('size, location', [(5, (0.3, -0.55)),
                                            (8, (-1, 0.9))])
@pytest.mark.parametrize('mutation', [
    shifted(1, 0), shifted(-1, 0), shifted(0, 1), shifted(0, -1),
    swapped_in_the_crop, swapped_in_the_drawing])
def test_no_other_box_passes_for_it(mutation, size, location, monkeypatch):
    mutation(monkeypatch)
    assert false_boxes(location, size, (20, 33)) == {0, 1, 2}


@pytest.mark.parametrize('location', [(0.3, -0.55), (-0.8, 0.9), (1, -1)])
def test_mark_is_where_the_network_looked(location):
    trajectory, patch_sizes = make(locations=[location])
    ax = scene(trajectory, patch_sizes, 3)
    for patch in ax.patches:
        patch.set_visible(False)

    _, top, bottom, left, right = coloured(rasterise(ax.figure),
                                           module.SCALE_COLOURS[0])

    middle = numpy.array([left + right + 1, top + bottom + 1]) / 2
    height, width = trajectory.image.shape[1:]
    expected = ((numpy.array(location) + 1) / 2 * (width, height) + 3) * ZOOM
    assert_allclose(middle, expected, atol=1.5)


def test_path_has_numbered_steps():
    trajectory, patch_sizes = make(glimpses=4)
    ax = draw_scene(trajectory, patch_sizes, step=2)
    assert [text.get_text() for text in ax.texts if text.get_visible()] == [
        '1', '2', '3']
    path = ax.lines[0].get_xydata()
    expected = (trajectory.locations[:3] + 1) / 2 * (33, 20)
    assert_allclose(path, expected, rtol=1e-5)


def test_patch_boxes():
    # (1, -1) is the upper right corner: u = (33, 0).
    location = numpy.array([1, -1], 'float32')
    assert patch_boxes(location, (20, 33), [4, 8]) == [(-2, 31, 4),
                                                       (-4, 29, 8)]


@pytest.mark.parametrize('horizontal', [False, True])
def test_retina_is_what_the_network_received(horizontal):
    trajectory, _ = make(scales=2, channels=3)
    ax = draw_retina(trajectory, step=1, horizontal=horizontal)
    # Patch j starts at 5 j and a gap of a pixel.
    for j in range(2):
        image = ax.images[j]
        x, y = (6 * j, 0) if horizontal else (0, 6 * j)
        assert_allclose(image.get_extent(), [x, x + 5, y + 5, y])
        assert_allclose(image.get_array() / 255,
                        trajectory.retina[1, j].transpose(1, 2, 0),
                        atol=0.51 / 255)
        assert image.get_interpolation() == 'nearest'


@pytest.mark.parametrize('channels', [1, 2, 3])
def test_image_is_drawn_pixel_by_pixel(channels):
    trajectory, patch_sizes = make(channels=channels, image_size=(7, 4))
    ax = scene(trajectory, patch_sizes, 2)
    for artist in list(ax.lines) + list(ax.texts) + list(ax.patches):
        artist.set_visible(False)

    raster = rasterise(ax.figure)

    image = trajectory.image
    if channels != 3:
        image = numpy.repeat(image.mean(axis=0, keepdims=True), 3, axis=0)
    padded = numpy.pad(image, [(0, 0), (2, 2), (2, 2)])
    expected = padded.repeat(ZOOM, axis=1).repeat(ZOOM, axis=2)
    assert_allclose(raster, 255 * expected.transpose(1, 2, 0), atol=1)


def test_probabilities():
    trajectory, _ = make(label=3, guess=7)
    ax = draw_probabilities(trajectory)
    words = [text.get_text() for text in ax.texts]
    assert '\u25b8 3' in words
    assert '90 %' in words
    widths = [patch.get_width() for patch in ax.patches]
    assert_allclose(widths, trajectory.probabilities[-1], rtol=1e-6)


def test_probabilities_of_many_classes_include_the_true_one():
    trajectory, _ = make(classes=50, label=49, guess=20)
    words = [text.get_text() for text in draw_probabilities(
        trajectory, limit=4).texts]
    assert '\u25b8 49' in words
    assert '20' in words
    assert len(words) == 8


def test_verdict():
    assert verdict(make(label=7)[0]) == (True, '\u2713 right: 7')
    assert verdict(make(label=1, guess=7)[0]) == (
        False, '\u2717 wrong: 7, is 1')
    names = ['shirt', 'shoe', 'bag']
    assert verdict(make(label=1, guess=2, classes=3)[0], names) == (
        False, '\u2717 wrong: bag, is shoe')


@pytest.mark.parametrize('guess, colour', [
    (1, module.RIGHT), (7, module.WRONG)])
def test_verdict_is_drawn_in_the_end(guess, colour):
    trajectory, patch_sizes = make(label=1, guess=guess)
    title = draw_trajectory(trajectory, patch_sizes)[0].texts[-1]
    assert title.get_text() == verdict(trajectory)[1]
    assert title.get_bbox_patch().get_edgecolor()[:3] == to_rgb(colour)
    title = draw_trajectory(trajectory, patch_sizes, step=1)[0].texts[-1]
    assert title.get_text() == 'glimpse 2 of 3'
    assert title.get_bbox_patch() is None


@pytest.mark.parametrize('step', [0, 1, 2])
def test_all_panels_show_the_same_glimpse(step):
    trajectory, patch_sizes = make(scales=2)
    scene, retina, bars = draw_trajectory(trajectory, patch_sizes, step)
    assert_allclose(scene.lines[0].get_xydata()[-1],
                    (trajectory.locations[step] + 1) / 2 * (33, 20),
                    rtol=1e-5)
    for image, patch in zip(retina.images, trajectory.retina[step]):
        assert_allclose(image.get_array() / 255,
                        numpy.repeat(patch, 3, 0).transpose(1, 2, 0),
                        atol=0.51 / 255)
    assert_allclose([bar.get_width() for bar in bars.patches],
                    trajectory.probabilities[step], rtol=1e-6)


def test_given_axes_are_drawn_on_and_returned():
    figure = Figure()
    axes = tuple(figure.subplots(1, 3))
    trajectory, patch_sizes = make()
    assert draw_trajectory(trajectory, patch_sizes, axes=axes) == axes
    assert axes[0].images and axes[1].images and axes[2].patches


def test_settings_of_the_reader_change_nothing():
    trajectory, patch_sizes = make(scales=2)
    expected = rasterise(draw_trajectory(trajectory, patch_sizes)[0].figure)
    with matplotlib.rc_context({
            'axes.facecolor': 'black', 'axes.grid': True, 'font.size': 20,
            'text.color': 'white', 'image.origin': 'lower',
            'image.interpolation': 'bilinear', 'image.cmap': 'jet',
            'figure.facecolor': 'red', 'font.family': 'serif'}):
        raster = rasterise(draw_trajectory(trajectory, patch_sizes)[0].figure)
    assert_array_equal(raster, expected)


def test_dollars_in_names_are_no_formula():
    trajectory, patch_sizes = make(classes=2)
    axes = draw_trajectory(trajectory, patch_sizes,
                           class_names=['$x', 'a$ $\\frac'])
    shown = rasterise(axes[0].figure)  # a formula would not parse
    plain = rasterise(draw_trajectory(
        trajectory, patch_sizes, class_names=['x', 'a frac'])[0].figure)
    assert shown.shape != plain.shape or (shown != plain).any()


def frames_of(path):
    image = Image.open(path)
    frames, durations = [], []
    for i in range(image.n_frames):
        image.seek(i)
        frames.append(numpy.array(image.convert('RGB')).astype(int))
        durations.append(image.info['duration'])
    return frames, durations, image.info.get('loop')


def test_gif_shows_each_glimpse_and_then_the_verdict(tmp_path):
    trajectory, patch_sizes = make(scales=2, label=1, guess=7)
    path = str(tmp_path / 'a.gif')

    assert save_trajectories(path, [trajectory], patch_sizes,
                             seconds_per_glimpse=0.4) == path

    frames, durations, loop = frames_of(path)
    assert durations == [400] + 2 * (5 * [40] + [400]) + [1200]
    assert loop == 0
    # Glimpse for glimpse the same as drawn from scratch.
    for frame, step in ((0, 0), (6, 1), (12, 2), (13, None)):
        drawn = rasterise(draw_trajectory(trajectory, patch_sizes,
                                          step)[0].figure)[12:-12, :-24]
        shown = frames[frame][:drawn.shape[0], :drawn.shape[1]]
        difference = abs(shown - drawn)
        assert difference.max() < 100
        assert difference.mean() < 1


def test_gif_keeps_white_and_the_colours_of_scales(tmp_path):
    trajectory, patch_sizes = make(scales=3)
    path = str(tmp_path / 'a.gif')
    save_trajectories(path, [trajectory], patch_sizes)
    frame = frames_of(path)[0][-1]
    assert (frame[0, 0] == 255).all()
    for colour in module.SCALE_COLOURS[:3]:
        exact = [round(255 * c) for c in to_rgb(colour)]
        assert (frame == exact).all(axis=2).sum() > 100


def test_gif_of_eight_examples_is_small(tmp_path):
    # A quarter of noise: more than a digit's strokes.
    trajectories = []
    for seed in range(8):
        trajectory, patch_sizes = make(6, (60, 60), size=12, scales=3,
                                       seed=seed)
        trajectory.image[:, 30:] = trajectory.image[:, :, 30:] = 0
        trajectories.append(trajectory)
    path = tmp_path / 'a.gif'
    save_trajectories(str(path), trajectories, patch_sizes)
    assert path.stat().st_size < 3e6
    with Image.open(path) as image:
        assert 800 <= image.width <= 920
        assert image.n_frames == 6 + 5 * 5 + 1


def test_single_frames(tmp_path):
    trajectory, patch_sizes = make(scales=2, label=1, guess=7)
    path = str(tmp_path / '50%' / 'a%03d.png')
    assert save_trajectories(path, [trajectory], patch_sizes) == path
    assert sorted(p.name for p in (tmp_path / '50%').iterdir()) == [
        'a001.png', 'a002.png', 'a003.png', 'a004.png']
    drawn = [rasterise(draw_trajectory(trajectory, patch_sizes,
                                       step)[0].figure)[12:-12, :-24]
             for step in (0, 1, 2, None)]
    for number in range(4):
        with Image.open(path.replace('%03d', f'00{number + 1}')) as image:
            shown = numpy.array(image.convert('RGB')).astype(int)
        # Twice as fine, from the upper left corner.
        height, width = drawn[0].shape[:2]
        coarse = shown[:2 * height, :2 * width].reshape(
            height, 2, width, 2, 3).mean(axis=(1, 3))
        assert numpy.argmin([abs(coarse - other).mean()
                             for other in drawn]) == number
        wrong = [round(255 * c) for c in to_rgb(module.WRONG)]
        assert (shown == wrong).all(axis=2).any() == (number == 3)


def test_examples_of_different_length(tmp_path):
    path = str(tmp_path / 'a.gif')
    trajectories = [make(1)[0], make(2)[0], make(2)[0]]
    save_trajectories(path, trajectories, [5])
    assert len(frames_of(path)[0]) == 2 + 5 + 1


@pytest.mark.parametrize('glimpses, examples', [(1, 1), (4, 3)])
def test_strip_has_a_row_for_each_image(tmp_path, glimpses, examples):
    path = tmp_path / 'a.PNG'
    trajectories = [make(glimpses, (28, 28), size=8, seed=i)[0]
                    for i in range(examples)]
    save_trajectories(str(path), trajectories, [8])
    with Image.open(path) as image:
        # Two pixels to a point; a cell is 144 points wide at most.
        assert image.width >= 2 * 120 * glimpses
        if glimpses > 1:
            assert image.width <= 2 * (156 * glimpses + 24)
        assert 2 * 200 * examples < image.height < 2 * (260 * examples + 90)
        assert image.getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize('suffix', ['.gif', '.png'])
@pytest.mark.parametrize('kwargs', [
    {'channels': 3, 'image_size': (40, 20)},
    {'channels': 2, 'scales': 4},
    {'image_size': (300, 250), 'size': 20},
    {'image_size': (3, 3), 'size': 1},
    {'classes': 2}, {'classes': 30}])
def test_any_image(tmp_path, suffix, kwargs):
    path = tmp_path / ('a' + suffix)
    trajectory, patch_sizes = make(1, guess=0, **kwargs)
    save_trajectories(str(path), [trajectory], patch_sizes,
                      class_names=[f'class {i} of a long name'
                                   for i in range(kwargs.get('classes', 10))])
    with Image.open(path) as image:
        raster = numpy.array(image.convert('RGB')).astype(int)
    coloured(raster, module.SCALE_COLOURS[0])
    # Nothing is cut off: a white border all around.
    for edge in (raster[:2], raster[-2:], raster[:, :2], raster[:, -2:]):
        assert (edge == 255).all()


@pytest.mark.parametrize('name', ['a', 'a.jpg', 'a.gif.txt'])
def test_unknown_suffix(tmp_path, name):
    trajectory, patch_sizes = make()
    with pytest.raises(RamError, match=r'\.gif, \.png or \.mp4') as error:
        save_trajectories(str(tmp_path / name), [trajectory], patch_sizes)
    assert name in str(error.value)
    assert not list(tmp_path.iterdir())


def test_nothing_to_draw(tmp_path):
    with pytest.raises(RamError, match='no image'):
        save_trajectories(str(tmp_path / 'a.gif'), [], [8])


@pytest.mark.parametrize('name', ['missing/a.gif', 'file/a.png',
                                  'file/%d.png'])
def test_folder_that_cannot_be_written(tmp_path, name):
    (tmp_path / 'file').write_text('')
    trajectory, patch_sizes = make()
    with pytest.raises(RamError, match=name):
        save_trajectories(str(tmp_path / name), [trajectory], patch_sizes)
    assert [p.name for p in tmp_path.iterdir()] == ['file']


def test_failure_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / 'a.png'
    path.write_text('old')
    trajectory, patch_sizes = make()

    def save(image, file, *args, **kwargs):
        file.write(b'half')
        raise OSError('disk full')

    monkeypatch.setattr(Image.Image, 'save', save)
    with pytest.raises(RamError, match='disk full'):
        save_trajectories(str(path), [trajectory], patch_sizes)
    assert path.read_text() == 'old'
    assert [p.name for p in tmp_path.iterdir()] == ['a.png']


def test_film_without_encoder(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'imageio_ffmpeg', None)
    trajectory, patch_sizes = make()
    with pytest.raises(RamError, match='a.mp4.* pip install imageio-ffmpeg'):
        save_trajectories(str(tmp_path / 'a.mp4'), [trajectory], patch_sizes)
    assert not list(tmp_path.iterdir())


class Writer:
    """Stands for the encoder, which need not be installed."""

    def __init__(self, name, **options):
        self.name, self.options, self.frames = name, options, []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with open(self.name, 'wb') as file:
            file.write(b'%d frames' % len(self.frames))

    def append_data(self, frame):
        assert frame.dtype == 'uint8' and frame.shape[2] == 3
        assert frame.shape[0] % 2 == frame.shape[1] % 2 == 0
        self.frames.append(frame)


def test_film_keeps_time(tmp_path, monkeypatch):
    encoder = types.ModuleType('imageio_ffmpeg')
    encoder.get_ffmpeg_exe = lambda: 'ffmpeg'
    monkeypatch.setitem(sys.modules, 'imageio_ffmpeg', encoder)
    monkeypatch.setattr(module.imageio, 'get_writer', Writer)
    path = tmp_path / 'a.mp4'
    trajectory, patch_sizes = make(2)
    save_trajectories(str(path), [trajectory], patch_sizes,
                      seconds_per_glimpse=0.2)
    # 5 frames a glimpse, 5 of the way, 15 of the verdict.
    assert path.read_bytes() == b'30 frames'


def test_film(tmp_path):
    pytest.importorskip('imageio_ffmpeg')
    import imageio.v2
    path = str(tmp_path / 'a.mp4')
    trajectory, patch_sizes = make(2)
    save_trajectories(path, [trajectory], patch_sizes,
                      seconds_per_glimpse=0.2)
    with imageio.v2.get_reader(path, format='FFMPEG') as reader:
        assert reader.get_meta_data()['fps'] == 25
        assert reader.count_frames() == 30
