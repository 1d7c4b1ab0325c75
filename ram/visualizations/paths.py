"""Whole paths over some images, side by side: one frame of a training."""

from typing import Optional, Sequence

from matplotlib.figure import Figure

from ram.evaluation.evaluate import Trajectory
from ram.visualizations import sheet
from ram.visualizations.sheet import FAINT, FONT, GAP
from ram.visualizations.trajectories import panels
from ram.visualizations.trajectories.boxes import scene_size

_SCENE = 180  # the longer side, at most, in points
_HEADER = 58  # title and verdict
_LONGEST = 'epoch 100000, validation error 100.00 %'  # title
_CORNERS = ((-1, -1), (1, 1))  # where boxes reach out farthest


def draw_whole_paths(trajectories: Sequence[Trajectory],
                     patch_sizes: Sequence[int], title: str,
                     class_names: Optional[Sequence[str]] = None
                     ) -> Figure:
    """Draws whole paths with the boxes of the last glimpse and the verdict.

    The layout depends on the images and not on the paths, so that pictures
    of the same images make a film. All images have one size.
    """
    (width, height), margin = scene_size(
        [trajectories[0]._replace(locations=_CORNERS)], patch_sizes, _SCENE)
    cell = max(width, sheet.text_width('\u2717 wrong: 0, is 0 ', 'bold'))
    note = f'all {trajectories[0].glimpses} glimpses; boxes: the last one'
    figure = sheet.new_figure(
        max(GAP + len(trajectories) * (cell + GAP),
            3 * GAP + sheet.text_width(_LONGEST, 'bold')
            + sheet.text_width(note)),
        _HEADER + height + GAP)
    sheet.title(figure, title)
    across, down = figure.get_size_inches() * 72
    sheet.text(figure, 1 - GAP / across, 1 - 1.5 * GAP / down, note,
               size=FONT - 1, color=FAINT, va='center', ha='right')
    for i, trajectory in enumerate(trajectories):
        ax = sheet.add_axes(figure, GAP + i * (cell + GAP), _HEADER, width,
                            height)
        panels.Scene(ax, trajectory, patch_sizes, margin).show(
            trajectory.glimpses - 1)
        panels.Headline(ax, trajectory, class_names).show_verdict()
    return figure
