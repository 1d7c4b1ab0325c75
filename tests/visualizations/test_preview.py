import os
import subprocess
import sys

import numpy
import pytest
from numpy.testing import assert_allclose
from PIL import Image
from training_runs import TOP

from ram import RamError
from ram.visualizations.preview import draw_preview, save_preview


@pytest.mark.parametrize('channels', [1, 2, 3])
def test_preview_draws_each_pixel(channels):
    images = numpy.random.default_rng(0).random((13, channels, 12, 20),
                                                'float32')
    axes = draw_preview(images, range(13))
    assert len(axes) == 13
    figure = axes[0].figure
    figure.canvas.draw()
    raster = numpy.array(figure.canvas.buffer_rgba())[:, :, :3]
    for ax, image in zip(axes, images):
        box = ax.get_window_extent()
        zoom = box.width / 20
        assert zoom == pytest.approx(round(zoom), abs=1e-6)
        # Rows of a raster run downwards.
        rows = len(raster) - box.y1 + (numpy.arange(12) + 0.5) * zoom
        columns = box.x0 + (numpy.arange(20) + 0.5) * zoom
        rendered = raster[rows.astype(int)][:, columns.astype(int)] / 255
        if channels != 3:
            image = numpy.repeat(image.mean(axis=0, keepdims=True), 3, axis=0)
        assert_allclose(rendered, image.transpose(1, 2, 0), atol=1 / 255)


def test_preview_puts_labels_above_images():
    images = numpy.zeros((3, 1, 5, 5), 'float32')
    axes = draw_preview(images, ['cat', 'a very long name of a class', 7])
    assert [ax.texts[0].get_text() for ax in axes] == [
        'cat', 'a very long name of a class', '7']
    axes[0].figure.canvas.draw()
    ends = [ax.texts[0].get_window_extent().x1 for ax in axes]
    starts = [ax.texts[0].get_window_extent().x0 for ax in axes]
    assert ends[0] < starts[1] and ends[1] < starts[2]


@pytest.mark.parametrize('shape', [(1, 1, 28, 28), (40, 3, 7, 30),
                                   (2, 1, 400, 300)])
def test_save_preview_writes_a_png_with_a_border(tmp_path, shape):
    path = str(tmp_path / 'a.png')
    images = numpy.ones(shape, 'float32') / 2
    title = 'cluttered: 4 patches for $5'
    save_preview(path, images, numpy.zeros(len(images), 'int32'), title)
    with Image.open(path) as image:
        assert image.width <= 2 * 840
        raster = numpy.array(image)
    assert raster.shape[2] == 3
    assert abs(raster.astype(int) - 128).max(axis=2).min() <= 1
    for edge in (raster[:2], raster[-2:], raster[:, :2], raster[:, -2:]):
        assert (edge == 255).all()
    assert [p.name for p in tmp_path.iterdir()] == ['a.png']


@pytest.mark.parametrize('name, match', [
    ('a.gif', r'end in \.png'), ('a', r'end in \.png'),
    ('missing/a.png', 'cannot be written')])
def test_save_preview_refuses_bad_paths(tmp_path, name, match):
    with pytest.raises(RamError, match=match) as error:
        save_preview(str(tmp_path / name), numpy.zeros((1, 1, 4, 4)), [0])
    assert name in str(error.value)
    assert not list(tmp_path.iterdir())


def test_save_preview_refuses_no_images(tmp_path):
    with pytest.raises(RamError, match='no image'):
        save_preview(str(tmp_path / 'a.png'), numpy.zeros((0, 1, 4, 4)), [])


def test_a_name_without_glyphs_gives_no_warning(tmp_path):
    done = subprocess.run(
        [sys.executable, '-c', 'import numpy\n'
         'from ram.visualizations import save_preview\n'
         "save_preview('x.png', numpy.zeros((1, 1, 9, 9)), "
         "['\u5b57 \u0444'], 'title')"], cwd=tmp_path, text=True,
        capture_output=True, env=dict(os.environ, PYTHONPATH=TOP))
    assert done.returncode == 0 and not done.stderr
    assert (tmp_path / 'x.png').exists()
