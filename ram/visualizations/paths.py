"""Whole paths over some images, side by side: one frame of a training."""

from ram.visualizations import sheet
from ram.visualizations.sheet import FAINT, FONT, GAP
from ram.visualizations.trajectories import (
    draw_scene,
    draw_verdict,
    scene_size,
)

_SCENE = 180  # the longer side, at most, in points
_TITLE = 30
_VERDICT = 28
_CORNERS = ((-1, -1), (1, 1))  # boxes reach out farthest there


def draw_whole_paths(trajectories, patch_sizes, title, class_names=None):
    """Draws whole paths with the boxes of the last glimpse and the verdict.

    The layout depends on the images and not on the paths, so that pictures
    of the same images make a film.

    Args:
        trajectories (sequence of ram.evaluation.evaluate.Trajectory): One an image,
            all images of one size.
        patch_sizes (sequence of int): Side of each scale in pixels, the
            finest first.
        title (str): A line above all.
        class_names (sequence of str): Names of the classes, numbers if left
            out.

    Returns:
        list of matplotlib.axes.Axes: One for each image.

    """
    (width, height), margin = scene_size(
        [trajectories[0]._replace(locations=_CORNERS)], patch_sizes, _SCENE)
    cell = max(width, sheet.text_width('\u2717 wrong: 0, is 0 ', 'bold'))
    glimpses = len(trajectories[0].locations)
    note = f'all {glimpses} glimpses; boxes: the last one'
    figure = sheet.new_figure(
        max(GAP + len(trajectories) * (cell + GAP),
            3 * GAP + sheet.text_width(title, 'bold')
            + sheet.text_width(note)),
        _TITLE + _VERDICT + height + GAP)
    across, down = figure.get_size_inches() * 72
    sheet.text(figure, GAP / across, 1 - 1.5 * GAP / down, title,
               size=FONT, weight='bold', va='center')
    sheet.text(figure, 1 - GAP / across, 1 - 1.5 * GAP / down, note,
               size=FONT - 1, color=FAINT, va='center', ha='right')
    axes = []
    for i, trajectory in enumerate(trajectories):
        ax = sheet.add_axes(figure, GAP + i * (cell + GAP),
                            _TITLE + _VERDICT, width, height)
        draw_scene(trajectory, patch_sizes, margin=margin, ax=ax)
        draw_verdict(ax, trajectory, class_names)
        axes.append(ax)
    return axes
