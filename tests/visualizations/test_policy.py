"""Figures of a policy show its numbers, for images of any kind."""

from types import SimpleNamespace

import numpy
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from ram import RamError
from ram.evaluation.evaluate import Trajectory
from ram.evaluation.statistics import HeatMap, saccade_histogram
from ram.visualizations import policy_figures as figures
from ram.visualizations.policy import save_pictures


def trajectory(glimpses, classes):
    return Trajectory(
        numpy.zeros((1, 40, 30), 'float32'),
        numpy.zeros((glimpses, 1, 1, 5, 5), 'float32'),
        numpy.zeros((glimpses, 2), 'float32'),
        numpy.full((glimpses, classes), 1 / classes, 'float32'), 0)


def shown(ax):
    return numpy.asarray(ax.images[0].get_array())


def words(ax):
    return [text.get_text() for text in ax.texts]


def test_accuracy_has_values_and_intervals():
    result = SimpleNamespace(error_by_glimpse=[60., 12.5], n=40)
    ax, = figures.draw_accuracy(result)
    assert_allclose(ax.lines[0].get_xydata(), [[1, 40], [2, 87.5]])
    low, high = ax.lines[2].get_ydata()
    assert 70 < low < 87.5 < high < 96
    assert words(ax) == ['40.00', '87.50']


def test_heat_maps_show_the_counts_in_their_cells(made):
    result = made()
    axes = figures.draw_heat_maps(result.on_digit, result.digits, [0, 3])
    assert len(axes) == 3 * 3
    counts = result.on_digit.counts
    for t in range(3):
        assert_allclose(shown(axes[t]), counts[t].sum(axis=0))
        assert_allclose(shown(axes[3 + t]), counts[t, 0])
        assert_allclose(shown(axes[6 + t]), counts[t, 3])
    assert tuple(axes[0].images[0].get_extent()) == (-5, 15, 18, -6)
    assert axes[0].get_xlim() == (-5, 15) and axes[0].get_ylim() == (18, -6)


def test_paths_show_means_and_spread(made):
    result = made()
    axes = figures.draw_paths(result.paths, result.digits, beyond=True)
    assert len(axes) == 5
    for ax, k in zip(axes, [4, 0, 1, 2, 3]):
        assert_allclose(shown(ax), result.digits[k])
        assert len(ax.lines) == (0 if k == 2 else 4)
        if k != 2:
            assert_allclose(ax.lines[0].get_xydata(), result.paths.means[k])
    # An axis of the ellipse is a standard deviation to either side.
    spread = figures.draw_paths(result.paths._replace(
        covariances=numpy.tile(numpy.diag([9., 4]), (5, 3, 1, 1))),
        result.digits, [])[0].patches[0]
    assert_allclose(sorted([spread.width, spread.height]), [4, 6])
    box = spread.get_extents().transformed(
        spread.axes.transData.inverted())
    assert_allclose([abs(box.width), abs(box.height)], [6, 4], rtol=1e-2)


def test_saccades_show_histograms_and_medians(made):
    lengths = made().saccades
    axes = figures.draw_saccades(lengths)
    counts, edges = saccade_histogram(lengths)
    for ax, row, of in zip(axes, counts, lengths):
        bars = [bar.get_height() for bar in ax.patches]
        assert bars == row.tolist() and sum(bars) == 60
        assert_allclose([bar.get_x() for bar in ax.patches], edges[:-1])
        assert f'median {numpy.median(of):.1f}' in words(ax)


def test_matrices_show_values_and_numbers(made):
    error, loss = figures.draw_first_locations(made().first, 0.75)
    assert_allclose(shown(error), [[10, 20], [30, 40]])
    assert error.get_ylim() == (1, -1)  # y downwards, as in the image
    assert {'10.0', '20.0', '30.0', '40.0'} < set(words(error))
    assert '0.100' in words(loss)
    box = error.get_window_extent()
    assert box.width / box.height == pytest.approx(0.75)
    ax, = figures.draw_confusion(numpy.array([[7, 2], [0, 5]]))
    assert_allclose(shown(ax), [[0, 2], [0, 0]])
    assert words(ax) == ['7', '2', '', '5']


def test_titles_of_narrow_heat_maps_stay_apart():
    axes = figures.draw_heat_maps(
        HeatMap(numpy.ones((3, 2, 70, 20), 'int64'), 0, 0, 1))
    titles = [ax.texts[-1].get_window_extent() for ax in axes[:3]]
    assert [words(ax)[-1] for ax in axes[:3]] == [
        'glimpse 1', 'glimpse 2', 'glimpse 3']
    assert titles[0].x1 < titles[1].x0 and titles[1].x1 < titles[2].x0
    assert titles[2].x1 < axes[0].figure.bbox.x1


def test_figures_shorten_and_escape_class_names(made):
    result, names = made(), ['a $ sign', 'b', 'c', 'a very long name']
    axes = figures.draw_heat_maps(result.on_image, None, [0, 3], names)
    assert [axes[i].texts[0].get_text() for i in (0, 3, 6)] == [
        'all', 'a \\$ sign', 'a very long\u2026']
    assert axes[6].texts[0].get_window_extent().x0 > 0
    ax, = figures.draw_confusion(result.evaluation.confusion, names)
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        'a \\$ sign', 'b', 'c', 'a very long\u2026']
    axes = figures.draw_paths(result.paths, result.digits, [1], True, names)
    assert axes[1].texts[0].get_text() == 'b'


@pytest.mark.parametrize('glimpses, classes, canvas, odd, names', [
    (3, 4, True, True, ['a', 'b', 'c', 'a very long name']),
    (1, 25, False, False, None)])
def test_save_pictures_writes_what_applies(made, tmp_path, glimpses, classes, canvas, odd, names):
    done = []
    pictures = save_pictures(
        str(tmp_path), made(glimpses, classes, canvas),
        [trajectory(glimpses, classes)],
        [trajectory(glimpses, classes)] * odd, [5], names,
        lambda *counts: done.append(counts))
    names = [picture.name for picture in pictures]
    assert set(names) == {p.name for p in tmp_path.iterdir()}
    assert ('heat_digit.png' in names) == canvas
    assert ('saccades.png' in names) == (glimpses > 1)
    assert ('oddest.png' in names) == odd
    assert done == [(i + 1, len(names)) for i in range(len(names))]
    for picture in pictures:
        assert picture.title and picture.caption
        with Image.open(tmp_path / picture.name) as image:
            raster = numpy.array(image)
        for edge in (raster[:2], raster[-2:], raster[:, :2], raster[:, -2:]):
            assert (edge == 255).all(), picture.name  # nothing is clipped
        assert raster.min() < 100


def test_save_pictures_refuses_a_missing_folder(made, tmp_path):
    with pytest.raises(RamError, match='cannot be written'):
        save_pictures(str(tmp_path / 'no'), made(), [], [], [5])
