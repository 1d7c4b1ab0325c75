import os

import numpy
import pytest
from PIL import Image
from training_runs import TOP, make_config

from ram.errors import RamError
from ram.evaluation.evaluate import evaluation_streams, trajectories
from ram.evaluation.gradient_map import gradient_map
from ram.models.build import build_network
from ram.random_streams import make_streams
from ram.visualizations import sheet
from ram.visualizations.architecture import (
    Sizes,
    draw_glimpse_network,
    draw_gradients,
    draw_sensor,
    draw_unrolled,
)

RNG = numpy.random.default_rng(0)
IMAGES = RNG.random((16, 1, 40, 50), 'float32')
LABELS = RNG.integers(7, size=16).astype('int32')
AT = numpy.array([0.3, -0.4], 'float32')


def make(training=None, **model):
    config = make_config(
        training, {'core_units': 11, 'glimpse_units': 12, 'what_units': 13,
                   'where_units': 14, 'location_units': 15, 'glimpse_size': 6,
                   'scales': 2, **model},
        name='npz', file='x', channels=1, classes=7, image_size=[40, 50])
    return build_network(config, make_streams(0)['weights']), config


def draw(name, model, config):
    """One of the figures."""
    if name == 'sensor':
        return draw_sensor(model, IMAGES[0], AT)
    if name == 'glimpse':
        return draw_glimpse_network(model, IMAGES[0], AT)
    if name == 'network':
        return draw_unrolled(model, *trajectories(
            model, IMAGES, LABELS, [2],
            evaluation_streams(config.data, 'test')))
    return draw_gradients(model, gradient_map(
        model, IMAGES, LABELS, make_streams(0)))


def draw_all(model, config):
    return {name: draw(name, model, config)
            for name in ('sensor', 'glimpse', 'network', 'gradients')}


def words_of(ax):
    return [text.get_text() for text in ax.texts if text.get_text()]


@pytest.mark.parametrize('changed, name, before, after', [
    ({'what_units': 33}, 'glimpse', '13', '33'),
    ({'where_units': 34}, 'glimpse', '14', '34'),
    ({'glimpse_units': 35}, 'glimpse', '12 numbers', '35 numbers'),
    ({'glimpse_units': 35}, 'network', '72 + 2 → 12', '72 + 2 → 35'),
    ({'scales': 3}, 'glimpse', 'ρ(x, l): 72 numbers',
     'ρ(x, l): 108 numbers'),
    ({'scales': 3}, 'sensor', '2 × 6 × 6', '3 × 6 × 6'),
    ({'scale_factor': 3}, 'sensor', '12 × 12 pixels', '18 × 18 pixels'),
    ({'glimpse_size': 5}, 'sensor', '= 72 numbers', '= 50 numbers'),
    ({'core_units': 36}, 'network', 'state 11', 'state 36'),
    ({'core': 'rnn'}, 'network', 'LSTM core', 'RNN core'),
    ({'core': 'rnn'}, 'gradients', 'LSTM core', 'RNN core'),
    ({'location_units': 0}, 'network', '15 hidden, 2 out', '2 out'),
    ({'glimpses': 6}, 'network', 'glimpse 2', 'glimpse 6'),
    ({'std': 0.3}, 'gradients', 'l ~ N(μ, 0.1²)', 'l ~ N(μ, 0.3²)')])
def test_figures_show_the_sizes_of_the_network(changed, name, before, after):
    old, new = (words_of(draw(name, *make(**model)))
                for model in ({}, changed))
    assert before in old and after not in old
    assert after in new and (before not in new or changed == {'glimpses': 6})


def test_sizes_are_those_of_the_links():
    model, _ = make()
    other, _ = make(core='rnn', core_units=77)
    model.core = other.core
    sizes = Sizes(model)
    assert (sizes.core, sizes.state) == ('RNN', 77)
    assert (sizes.retina, sizes.channels, sizes.patches) == (72, 1, (6, 12))


def test_unrolled_shows_the_number_of_classes():
    assert '7 classes' in words_of(draw('network', *make()))


@pytest.mark.parametrize('glimpses', [2, 4, 5, 9])
def test_unrolled_shows_the_first_and_last_glimpses(glimpses):
    ax = draw('network', *make(glimpses=glimpses))
    shown = [int(w.split()[1]) for w in words_of(ax) if w[:8] == 'glimpse '
             and w.split()[1].isdigit()]
    assert shown == ([*range(1, glimpses + 1)] if glimpses < 5
                     else [1, 2, 3, glimpses])
    assert len(ax.figure.axes) == 1 + len(shown)  # a scene for each


def test_sensor_shows_the_patches_of_the_sensor():
    model, _ = make(scales=2)
    ax = draw_sensor(model, IMAGES[0], AT)
    image, *pairs = [rendered.get_array()[:, :, 0] / 255 for rendered in ax.images]
    numpy.testing.assert_allclose(image, IMAGES[0, 0], atol=1 / 255)
    retina = model.glimpse.sensor(IMAGES[:1], AT[None])[0]
    for patch, small, want, step in zip(pairs[::2], pairs[1::2], retina,
                                        (1, 2)):
        numpy.testing.assert_allclose(small, want[0], atol=1 / 255)
        mean = patch.reshape(6, step, 6, step).mean(axis=(1, 3))
        numpy.testing.assert_allclose(mean, want[0], atol=1 / 255)


def gradients(ax):
    """Colours of the thick arrows and of the barriers, with their numbers."""
    arrows, barriers = {}, {}
    for text in ax.texts:
        arrow = getattr(text, 'arrow_patch', None)
        if arrow is not None and arrow.get_linewidth() == 3:
            colour = tuple(arrow.get_edgecolor())
            arrows[colour] = arrows.get(colour, 0) + 1
    for line in ax.lines:
        if line.get_linewidth() == 2.2:
            colour = line.get_color()
            barriers[colour] = barriers.get(colour, 0) + 1
    return sorted(arrows.values()), sorted(barriers.values())


def test_gradients_are_those_of_the_map():
    # Each colour once in the legend. Cross-entropy: to action network, core
    # and glimpse network; the two others stop at a barrier of two strokes
    # before the core, which the legend explains.
    assert gradients(draw('gradients', *make())) == ([2, 2, 4], [2, 2, 2])
    model, config = make({'reinforce_reaches_core': True})
    assert gradients(draw('gradients', model, config)) == ([2, 4, 4], [2, 2])


@pytest.mark.parametrize('model', [
    {}, {'glimpses': 6, 'scales': 3, 'glimpse_size': 12},
    {'scales': 1, 'core': 'rnn', 'location_units': 0}])
def test_save_png_of_few_colours_writes_small_files_with_a_border(tmp_path, model):
    for name, ax in draw_all(*make(**model)).items():
        path = str(tmp_path / f'{name}.png')
        sheet.save_png(ax.figure, path, colours=255)
        assert os.path.getsize(path) < 200_000
        with Image.open(path) as image:
            assert image.width == 1800
            raster = numpy.array(image.convert('RGB'))
        # The border is white: no text and no box is clipped.
        for edge in (raster[:2], raster[-2:], raster[:, :2], raster[:, -2:]):
            assert (edge == 255).all(), name


def test_figures_have_no_overlapping_texts():
    for name, ax in draw_all(*make(glimpses=6, core_units=1024,
                               glimpse_units=1024, what_units=1024,
                               where_units=1024)).items():
        ax.figure.canvas.draw()
        renderer = ax.figure.canvas.get_renderer()
        boxes = [(text.get_text(), text.get_window_extent(renderer))
                 for text in ax.texts if text.get_text()]
        for i, (words, box) in enumerate(boxes):
            assert box.x0 >= 0 and box.x1 <= ax.bbox.width, words
            for other, its in boxes[:i]:
                assert not box.overlaps(its), (name, words, other)


def test_make_media_draws_without_mnist(load_script, tmp_path, monkeypatch,
                                        capsys):
    script = load_script('make_media')
    load = script.load_splits

    def offline(data, root=None):
        if data.name == 'mnist':
            raise RamError('no MNIST here')
        return load(data, root)

    monkeypatch.setattr(script, 'load_splits', offline)
    monkeypatch.chdir(TOP)
    script.draw_architecture(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == [
        'glimpse_network.png', 'gradients.png', 'network.png', 'sensor.png']
    assert 'synthetic digits instead' in capsys.readouterr().err
