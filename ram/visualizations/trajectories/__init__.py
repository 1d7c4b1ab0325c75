"""Trajectories: where the network looks, what it receives, what it predicts.

:func:`draw_trajectory` draws a glimpse, :func:`save_trajectories` writes an
animation or a strip. These arguments are the same everywhere:

- ``trajectory``: the glimpses of one image.
- ``patch_sizes``: side of each scale in pixels of the image, finest first.
- ``step``: the glimpse, from 0.
- ``class_names``: names of the K classes; numbers if left out.

Pixel i covers [i, i + 1) of an axis, so a patch that starts at ``(row,
column)`` is the rectangle from there to ``(row + side, column + side)``: the
pixels that :func:`ram.functions.glimpse.glimpse` reads.
"""

from ram.visualizations.trajectories.film import draw_trajectory
from ram.visualizations.trajectories.writers import save_trajectories
