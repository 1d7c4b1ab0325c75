"""Cards of all panels of an image, and animations of them."""

from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from ram.evaluation.evaluate import Trajectory
from ram.visualizations import sheet
from ram.visualizations.sheet import GAP
from ram.visualizations.trajectories import panels
from ram.visualizations.trajectories.layout import CardLayout, Legend
from ram.visualizations.trajectories.panels import Names

FRAME = 40  # milliseconds; a film has 25 frames a second
_WAY = (0.1, 0.3, 0.5, 0.7, 0.9)  # from one glimpse to the next
_HOLD = 3  # the verdict stays so many times as long as a glimpse


class Card:
    """All panels of one image, on given axes.

    Attributes:
        moving: The artists that differ from glimpse to glimpse, in drawing
            order.

    """

    def __init__(self, axes: Sequence[Axes], trajectory: Trajectory,
                 patch_sizes: Sequence[int], class_names: Names, margin: int):
        scene, retina, bars = axes
        self._scene = panels.Scene(scene, trajectory, patch_sizes, margin)
        self._retina = panels.Retina(retina, trajectory, horizontal=False)
        classes = panels.likeliest(trajectory.probabilities.max(axis=0),
                                   trajectory.label, 10)
        self._bars = panels.Bars(bars, trajectory, class_names,
                                 sorted(classes))
        self._headline = panels.Headline(scene, trajectory, class_names)
        self._last = trajectory.glimpses - 1
        self.moving = [
            artist for panel in (self._headline, self._scene, self._retina,
                                 self._bars)
            for artist in sorted(panel.moving, key=Artist.get_zorder)]

    def show(self, step: int, progress: float = 1, final: bool = False
             ) -> None:
        """Shows a glimpse, a part of the way to it, or the verdict."""
        if step > self._last:  # others have more glimpses
            step, progress = self._last, 1
        self._scene.show(step, progress)
        if progress == 1:
            self._retina.show(step)
            self._bars.show(step)
            if final:
                self._headline.show_verdict()
            else:
                self._headline.show(step)


def draw_trajectory(trajectory: Trajectory, patch_sizes: Sequence[int],
                    step: Optional[int] = None, class_names: Names = None
                    ) -> Tuple[Axes, Axes, Axes]:
    """Draws scene, retina and probabilities of a glimpse, on a new figure.

    Args:
        step: The glimpse, from 0; if left out the last one, with the verdict.

    Returns:
        Axes of scene, retina and probabilities.

    """
    layout = CardLayout([trajectory], patch_sizes, class_names)
    axes = layout.axes(sheet.new_figure(
        layout.width + 2 * GAP, layout.height + 2 * GAP), GAP, GAP)
    Card(axes, trajectory, patch_sizes, class_names, layout.margin).show(
        trajectory.glimpses - 1 if step is None else step, final=step is None)
    return axes


class Shot(NamedTuple):
    """What one frame shows, and for how long.

    Attributes:
        step: The glimpse, from 0.
        progress: Share of the way to it; 1 shows the glimpse itself.
        final: With the verdict.
        milliseconds: Duration.

    """

    step: int
    progress: float
    final: bool
    milliseconds: int


def make_shots(glimpses: int, seconds: float) -> List[Shot]:
    """The shots of a film that stays ``seconds`` at each glimpse."""
    hold = max(FRAME, round(1000 * seconds / FRAME) * FRAME)
    shots = [Shot(0, 1, False, hold)]
    for step in range(1, glimpses):
        shots += [Shot(step, progress, False, FRAME) for progress in _WAY]
        shots.append(Shot(step, 1, False, hold))
    return shots + [Shot(glimpses - 1, 1, True, _HOLD * hold)]


class Film:
    """A grid of cards, two in a row.

    Args:
        seconds: How long it stays at each glimpse.
        pixels: Pixels of a frame to a point.

    Attributes:
        shots: What it shows.

    """

    def __init__(self, trajectories: Sequence[Trajectory],
                 patch_sizes: Sequence[int], class_names: Names,
                 seconds: float = 1.0, pixels: int = 1):
        columns = min(len(trajectories), 2)
        rows = -(-len(trajectories) // columns)
        layout = CardLayout(trajectories, patch_sizes, class_names)
        across, down = layout.width + 2 * GAP, layout.height + GAP
        legend = Legend(trajectories[0], patch_sizes,
                        columns * across - 2 * GAP)
        self._figure = sheet.new_figure(
            max(columns * across, legend.width + 2 * GAP),
            rows * down + legend.height + 2 * GAP, pixels)
        self._cards = []
        for i, trajectory in enumerate(trajectories):
            row, column = divmod(i, columns)
            axes = layout.axes(self._figure, GAP + column * across, row * down)
            self._cards.append(Card(axes, trajectory, patch_sizes, class_names,
                                    layout.margin))
        legend.draw(self._figure, GAP, rows * down + GAP)
        self.shots = make_shots(max(t.glimpses for t in trajectories), seconds)
        # The rest is rendered once, and only these again for each frame.
        self._moving = [a for card in self._cards for a in card.moving]
        for artist in self._moving:
            artist.set_animated(True)
        self._figure.canvas.draw()
        self._still = self._figure.canvas.copy_from_bbox(self._figure.bbox)

    def frame(self, shot: Shot) -> numpy.ndarray:
        """One frame, (h, w, 3) uint8."""
        self._figure.canvas.restore_region(self._still)
        for card in self._cards:
            card.show(shot.step, shot.progress, shot.final)
        for artist in self._moving:
            artist.draw(self._figure.canvas.get_renderer())
        return sheet.raster(self._figure)
