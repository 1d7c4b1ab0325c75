"""Trajectories: where the network looks, what it receives, what it predicts.

The ``draw_*`` functions draw one panel each and return its axes.
:func:`save_trajectories` composes them into an animation or a strip. These
arguments are the same everywhere:

- ``trajectory``: the glimpses of one image.
- ``patch_sizes``: side of each scale in pixels of the image, finest first.
- ``step``: the glimpse, from 0; the last one if left out.
- ``class_names``: names of the K classes; numbers if left out.
- ``ax``: axes to draw on; those of a new figure if left out.

Pixel i covers [i, i + 1) of an axis, so a patch that starts at ``(row,
column)`` is the rectangle from there to ``(row + side, column + side)``: the
pixels that :func:`ram.functions.glimpse` reads.
"""

from ram.evaluation.evaluate import Trajectory
from ram.visualizations.trajectories.boxes import patch_boxes, scene_size
from ram.visualizations.trajectories.film import draw_trajectory
from ram.visualizations.trajectories.panels import (
    draw_probabilities,
    draw_retina,
    draw_scene,
    draw_verdict,
    verdict,
)
from ram.visualizations.trajectories.writers import save_trajectories
