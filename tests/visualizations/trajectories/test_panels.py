"""Retina, probabilities and verdict of a glimpse."""

import matplotlib
import numpy
import pytest
from matplotlib.colors import to_rgb
from numpy.testing import assert_allclose, assert_array_equal
from trajectory_cases import make, rasterise

from ram.visualizations import draw_trajectory, sheet
from ram.visualizations.colours import RIGHT, WRONG
from ram.visualizations.trajectories import panels
from ram.visualizations.trajectories.panels import verdict


def new_axes():
    return sheet.add_axes(sheet.new_figure(360, 240), 120, 12, 216, 216)


@pytest.mark.parametrize('horizontal', [False, True])
def test_retina_shows_the_patches_of_the_network(horizontal):
    trajectory, _ = make(scales=2, channels=3)
    ax = new_axes()
    panels.Retina(ax, trajectory, horizontal).show(1)
    # Patch j starts at 5 j and a gap of a pixel.
    for j in range(2):
        image = ax.images[j]
        x, y = (6 * j, 0) if horizontal else (0, 6 * j)
        assert_allclose(image.get_extent(), [x, x + 5, y + 5, y])
        assert_allclose(image.get_array() / 255,
                        trajectory.retina[1, j].transpose(1, 2, 0),
                        atol=0.51 / 255)
        assert image.get_interpolation() == 'nearest'


def test_probabilities_are_the_widths_of_the_bars():
    trajectory, patch_sizes = make(label=3, guess=7)
    ax = draw_trajectory(trajectory, patch_sizes)[2]
    words = [text.get_text() for text in ax.texts]
    assert '\u25b8 3' in words
    assert '90 %' in words
    widths = [patch.get_width() for patch in ax.patches]
    assert_allclose(widths, trajectory.probabilities[-1], rtol=1e-6)


def test_probabilities_of_many_classes_include_the_true_one():
    trajectory, _ = make(classes=50, label=49, guess=20)
    classes = panels.likeliest(trajectory.probabilities.max(axis=0), 49, 4)
    ax = new_axes()
    panels.Bars(ax, trajectory, None, classes).show(2)
    words = [text.get_text() for text in ax.texts]
    assert '\u25b8 49' in words
    assert '20' in words
    assert len(words) == 8


def test_verdict_names_prediction_and_class():
    assert verdict(make(label=7)[0]) == (True, '\u2713 right: 7')
    assert verdict(make(label=1, guess=7)[0]) == (
        False, '\u2717 wrong: 7, is 1')
    names = ['shirt', 'shoe', 'bag']
    assert verdict(make(label=1, guess=2, classes=3)[0], names) == (
        False, '\u2717 wrong: bag, is shoe')
    unlabelled = make(label=7)[0]._replace(label=None)
    assert verdict(unlabelled) == (None, 'predicted: 7')
    assert verdict(unlabelled._replace(name='a.png')) == (None, 'a.png: 7')


@pytest.mark.parametrize('guess, colour', [
    (1, RIGHT), (7, WRONG)])
def test_trajectory_ends_with_the_verdict(guess, colour):
    trajectory, patch_sizes = make(label=1, guess=guess)
    title = draw_trajectory(trajectory, patch_sizes)[0].texts[-1]
    assert title.get_text() == verdict(trajectory)[1]
    assert title.get_bbox_patch().get_edgecolor()[:3] == to_rgb(colour)
    title = draw_trajectory(trajectory, patch_sizes, step=1)[0].texts[-1]
    assert title.get_text() == 'glimpse 2 of 3'
    assert title.get_bbox_patch() is None


@pytest.mark.parametrize('step', [0, 1, 2])
def test_trajectory_panels_show_the_same_glimpse(step):
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


def test_trajectory_ignores_matplotlib_settings():
    trajectory, patch_sizes = make(scales=2)
    expected = rasterise(draw_trajectory(trajectory, patch_sizes)[0].figure)
    with matplotlib.rc_context({
            'axes.facecolor': 'black', 'axes.grid': True, 'font.size': 20,
            'text.color': 'white', 'image.origin': 'lower',
            'image.interpolation': 'bilinear', 'image.cmap': 'jet',
            'figure.facecolor': 'red', 'font.family': 'serif'}):
        raster = rasterise(draw_trajectory(trajectory, patch_sizes)[0].figure)
    assert_array_equal(raster, expected)


def test_trajectory_shows_dollars_in_names():
    trajectory, patch_sizes = make(classes=2)
    axes = draw_trajectory(trajectory, patch_sizes,
                           class_names=['$x', 'a$ $\\frac'])
    shown = rasterise(axes[0].figure)  # a formula would not parse
    plain = rasterise(draw_trajectory(
        trajectory, patch_sizes, class_names=['x', 'a frac'])[0].figure)
    assert shown.shape != plain.shape or (shown != plain).any()
