"""The boxes of a glimpse, and the size of an image that shows them."""

from typing import Any, List, Sequence, Tuple

import numpy

from ram.evaluation.evaluate import Trajectory
from ram.functions.glimpse import patch_start


def patch_boxes(location: Any, image_size: Tuple[int, int],
                patch_sizes: Sequence[int]) -> List[Tuple[int, int, int]]:
    """The pixels that the sensor reads at a location.

    Args:
        location: (2,) float, (x, y) in [-1, 1].
        image_size: (H, W).
        patch_sizes: Side of each scale in pixels, finest first.

    Returns:
        (row, column, side) for each scale; it may reach beyond the image.

    """
    locations = numpy.asarray(location)[None]
    boxes = []
    for side in patch_sizes:
        rows, columns = patch_start(locations, image_size, side)
        boxes.append((int(rows[0]), int(columns[0]), int(side)))
    return boxes


def overhang(trajectories: Sequence[Trajectory],
             patch_sizes: Sequence[int]) -> int:
    """How far the boxes reach beyond the images, in pixels."""
    reach = 0
    for trajectory in trajectories:
        height, width = trajectory.image.shape[1:]
        for location in trajectory.locations:
            for row, column, side in patch_boxes(location, (height, width),
                                                 patch_sizes):
                reach = max(reach, -row, -column, row + side - height,
                            column + side - width)
    return reach


def scene_size(trajectories: Sequence[Trajectory], patch_sizes: Sequence[int],
               longest: float, pixels: int = 1
               ) -> Tuple[Tuple[float, float], int]:
    """How large to draw a scene.

    Args:
        trajectories: Those whose boxes are shown, all images of one size.
        patch_sizes: Side of each scale in pixels.
        longest: The longer side at most, in points.
        pixels: Pixels of the picture to a point.

    Returns:
        (width, height) in points, and the margin in pixels of the image.

    """
    image_size = trajectories[0].image.shape[1:]
    zoom, margin = _zoom(max(image_size), overhang(trajectories, patch_sizes),
                         longest * pixels)
    height, width = ((side + 2 * margin) * zoom / pixels
                     for side in image_size)
    return (width, height), margin


def _zoom(side, margin, longest):
    """Pixels to draw a pixel of the image with, and the margin shown.

    A whole number where the image is small enough, so that all its pixels
    look alike. The panel may clip a large box: to show all of it the image
    would become too small.
    """
    full = int(longest // (side + 2 * margin))
    for zoom in range(int(longest // side), 0, -1):
        spare = int((longest / zoom - side) / 2)
        if spare >= margin or (spare >= side / 25 and zoom * 0.75 > full):
            return zoom, min(margin, spare)
    margin = min(margin, side // 25)
    return longest / (side + 2 * margin), margin
