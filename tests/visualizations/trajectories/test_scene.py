"""Boxes, path and image of a scene, read off its pixels."""

import numpy
import pytest
from numpy.testing import assert_allclose
from trajectory_cases import ZOOM, coloured, make, rasterise, scene

from ram.visualizations.colours import SCALE_COLOURS
from ram.visualizations.trajectories import boxes, panels
from ram.visualizations.trajectories.boxes import patch_boxes


def found_box(raster, colour, margin):
    """Row, column, height and width of a rendered box, in image pixels."""
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
            with_boxes, SCALE_COLOURS[scale], margin)
        assert height == width == side
        # The middles of the rendered pixels within the box, averaged as the
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
def test_scene_box_holds_the_pixels_that_the_sensor_reads(location, size, image_size):
    assert not false_boxes(location, size, image_size)


def shifted(rows, columns):
    def change(monkeypatch):
        start = boxes.patch_start
        monkeypatch.setattr(boxes, 'patch_start', lambda *args: tuple(
            a + b for a, b in zip(start(*args), (rows, columns))))
    return change


def swapped_in_the_crop(monkeypatch):
    start = boxes.patch_start
    monkeypatch.setattr(boxes, 'patch_start', lambda locations, *args: start(
        locations[:, ::-1], *args))


def swapped_in_the_drawing(monkeypatch):
    class Swapped(panels.Rectangle):
        def set_xy(self, xy):
            super().set_xy(xy[::-1])
    monkeypatch.setattr(panels, 'Rectangle', Swapped)


@pytest.mark.parametrize('size, location', [(5, (0.3, -0.55)),
                                            (8, (-1, 0.9))])
@pytest.mark.parametrize('mutation', [
    shifted(1, 0), shifted(-1, 0), shifted(0, 1), shifted(0, -1),
    swapped_in_the_crop, swapped_in_the_drawing])
def test_scene_box_test_detects_wrong_boxes(mutation, size, location, monkeypatch):
    mutation(monkeypatch)
    assert false_boxes(location, size, (20, 33)) == {0, 1, 2}


@pytest.mark.parametrize('location', [(0.3, -0.55), (-0.8, 0.9), (1, -1)])
def test_scene_mark_is_at_the_location(location):
    trajectory, patch_sizes = make(locations=[location])
    ax = scene(trajectory, patch_sizes, 3)
    for patch in ax.patches:
        patch.set_visible(False)

    _, top, bottom, left, right = coloured(rasterise(ax.figure),
                                           SCALE_COLOURS[0])

    middle = numpy.array([left + right + 1, top + bottom + 1]) / 2
    height, width = trajectory.image.shape[1:]
    expected = ((numpy.array(location) + 1) / 2 * (width, height) + 3) * ZOOM
    assert_allclose(middle, expected, atol=1.5)


def test_scene_path_has_numbered_steps():
    trajectory, patch_sizes = make(glimpses=4)
    ax = scene(trajectory, patch_sizes, 3, step=2)
    assert [text.get_text() for text in ax.texts if text.get_visible()] == [
        '1', '2', '3']
    path = ax.lines[0].get_xydata()
    expected = (trajectory.locations[:3] + 1) / 2 * (33, 20)
    assert_allclose(path, expected, rtol=1e-5)


def test_patch_boxes_gives_row_column_side():
    # (1, -1) is the upper right corner: u = (33, 0).
    location = numpy.array([1, -1], 'float32')
    assert patch_boxes(location, (20, 33), [4, 8]) == [(-2, 31, 4),
                                                       (-4, 29, 8)]


@pytest.mark.parametrize('channels', [1, 2, 3])
def test_scene_draws_each_pixel(channels):
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
