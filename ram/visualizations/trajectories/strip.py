"""A strip: a row for each image, a column for each glimpse."""

from typing import Sequence

from matplotlib.figure import Figure

from ram.evaluation.evaluate import Trajectory
from ram.visualizations import sheet
from ram.visualizations.sheet import GAP
from ram.visualizations.trajectories import layout, panels
from ram.visualizations.trajectories.boxes import scene_size
from ram.visualizations.trajectories.panels import Names

_ROW = 15  # a class, in points


def draw_strip(trajectories: Sequence[Trajectory], patch_sizes: Sequence[int],
               class_names: Names = None) -> Figure:
    """Draws all glimpses of some images, all images of one size."""
    glimpses = max(t.glimpses for t in trajectories)
    scene, margin = scene_size(trajectories, patch_sizes, 144, pixels=2)
    labels = layout.labels_width(trajectories[0], class_names)
    cell = max(scene[0], 120, labels + 78)
    retina = layout.retina_size(trajectories[0], 3 * _ROW, cell, pixels=2)
    classes = min(3, trajectories[0].probabilities.shape[1])
    # Beside the retina, if they fit.
    beside = retina[0] + GAP + labels + 60 <= cell
    bars_left = labels + beside * (retina[0] + GAP)
    bars_top = scene[1] + 8 + (not beside) * (retina[1] + 6)
    down = layout.HEADER + max(bars_top + classes * _ROW,
                        scene[1] + 8 + retina[1]) + GAP
    bottom = 2 * GAP + len(trajectories) * down
    legend = layout.Legend(trajectories[0], patch_sizes,
                    glimpses * (cell + GAP) - GAP, pixels=2)
    words = max((panels.verdict(t, class_names)[1] for t in trajectories),
                key=len)
    figure = sheet.new_figure(
        GAP + max(glimpses * (cell + GAP), legend.width + GAP,
                  1.1 * sheet.text_width(words, 'bold') + 2 * GAP),
        bottom + legend.height + GAP, pixels=2)
    for row, trajectory in enumerate(trajectories):
        top = 2 * GAP + row * down + layout.HEADER
        for step in range(trajectory.glimpses):
            left = GAP + step * (cell + GAP)
            ax = sheet.add_axes(figure, left, top, *scene)
            panels.Scene(ax, trajectory, patch_sizes, margin).show(step)
            if step == 0:
                panels.Headline(ax, trajectory, class_names).show_verdict()
            if row == 0:
                sheet.note(ax, f'glimpse {step + 1}', layout.HEADER)
            ax = sheet.add_axes(figure, left, top + scene[1] + 8, *retina)
            panels.Retina(ax, trajectory, horizontal=True).show(step)
            ax = sheet.add_axes(figure, left + bars_left, top + bars_top,
                                cell - bars_left, classes * _ROW)
            panels.Bars(ax, trajectory, class_names, panels.likeliest(
                trajectory.probabilities[step], trajectory.label, classes),
                rows=classes, every_number=True).show(step)
    legend.draw(figure, GAP, bottom)
    return figure
