"""Games of a player: screen, retina, action probabilities, and the score."""

import os
from typing import Dict, List, Sequence, Tuple

import chainer
import numpy
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ram.errors import RamError
from ram.evaluation.gaze import Gaze
from ram.evaluation.play import Played
from ram.files import replacing
from ram.games.catch import ACTIONS, State
from ram.models.player import Player
from ram.visualizations import charts, sheet
from ram.visualizations.colours import (
    COLOURS,
    GUESS,
    OTHER,
    RIGHT,
    SCALE_COLOURS,
    WRONG,
    scale_style,
)
from ram.visualizations.gif import GifWriter
from ram.visualizations.sheet import FAINT, FONT, GAP
from ram.visualizations.trajectories.boxes import patch_boxes
from ram.visualizations.trajectories.writers import NUMBER

_SCREEN = 168  # the longer side of a screen, at most, in points
_PATCH = 52  # a patch of the retina
_BARS = 44  # the action probabilities
_TOP, _HEADER = 34, 20  # title; line above a game
_COLUMNS, _AT_ONCE = 3, 6  # games side by side; in an animation, at most
_STEP, _END = 120, 1600  # milliseconds


class GameFilm:
    """Pictures of N games, some at a time, step by step.

    Args:
        model: The player.
        played: Its games, by :func:`ram.evaluation.play.play`.
        patch_sizes: Side of each scale in pixels, finest first.
        at_once: Games in a picture, at most; all pictures have one size.

    """

    def __init__(self, model: Player, played: Played,
                 patch_sizes: Sequence[int], at_once: int):
        self._at_once = at_once
        self._model = model
        self._played = played
        self._patch_sizes = patch_sizes
        rows, columns = model.game.height, model.game.width
        self._zoom = _SCREEN / max(rows, columns)
        self._size = columns * self._zoom, rows * self._zoom

    @property
    def steps(self) -> int:
        """Pictures of a game: T steps, and one after the last."""
        return len(self._played.balls)

    def draw(self, games: range, step: int) -> Figure:
        """Draws one step of some games.

        Args:
            games: Their indices; those before them are over, for the score.
            step: From 0 to T; at T the reward is known.

        """
        width, height = self._size
        cell = width + GAP / 2 + _PATCH + GAP
        lines = -(-self._at_once // _COLUMNS)
        full = _HEADER + max(height, len(self._patch_sizes) * (
            _PATCH + 6)) + _BARS + GAP
        figure = sheet.new_figure(
            GAP + cell * min(self._at_once, _COLUMNS), _TOP + lines * full)
        is_over = step == self.steps - 1
        done = games.stop if is_over else games.start
        caught = int(self._played.rewards[:done].sum())
        sheet.title(figure, f'Catch: {caught} of {done} caught')
        # One system of axes, in points: many would be slow.
        whole = figure.get_size_inches() * 72
        ax = sheet.add_axes(figure, 0, 0, *whole)
        sheet.clear_axes(ax, *whole)
        screens, retinas = self._look(games, step)
        for i, game in enumerate(games):
            line, column = divmod(i, _COLUMNS)
            self._draw_game(ax, GAP + column * cell, _TOP + line * full, game,
                            min(step, self.steps - 2), screens[i], retinas[i],
                            is_over)
        return figure

    def _look(self, games, step):
        """Screens (n, 1, H, W) and retinas (n, k, 1, g, g) of a step."""
        games = list(games)
        last = min(step, self.steps - 2)  # no glimpse after the last action
        screens = self._model.game.draw(self._state(games, step))
        seen = self._model.game.draw(self._state(games, last))
        locations = self._played.locations[last, games]
        device = self._model.device
        retinas = self._model.glimpse.sensor(
            device.send(seen), device.send(locations))
        return screens, chainer.get_device('@numpy').send(retinas)

    def _state(self, games, step):
        balls = self._played.balls[step, games]
        return State(step, balls, numpy.zeros_like(balls),
                     self._played.paddles[step, games])

    def _draw_game(self, ax, x, y, game, step, screen, retina, is_over):
        width, height = self._size
        rows, columns = screen.shape[1:]
        headline, colour = f'step {step + 1} of {self.steps - 1}', FAINT
        if is_over:
            was_caught = bool(self._played.rewards[game])
            headline = '\u2713 caught' if was_caught else '\u2717 missed'
            colour = RIGHT if was_caught else WRONG
        sheet.text(ax, x, y + _HEADER - 5, headline, color=colour)
        screen_box = (x, y + _HEADER, width, height)
        _show(ax, screen, *screen_box)
        clip = Rectangle(screen_box[:2], width, height,
                         transform=ax.transData)
        for scale, (row, column, side) in reversed(list(enumerate(patch_boxes(
                self._played.locations[step, game], (rows, columns),
                self._patch_sizes)))):
            colour, line = scale_style(scale)
            box = Rectangle((x + column * self._zoom,
                             y + _HEADER + row * self._zoom),
                            side * self._zoom, side * self._zoom, fill=False,
                            edgecolor=colour, linewidth=line)
            ax.add_patch(box)
            box.set_clip_path(clip)
        for scale, patch in enumerate(retina):
            colour, line = scale_style(scale)
            corner = (x + width + GAP / 2,
                      y + _HEADER + scale * (_PATCH + 6))
            _show(ax, patch, *corner, _PATCH, _PATCH)
            ax.add_patch(Rectangle(corner, _PATCH, _PATCH, fill=False,
                                   edgecolor=colour, linewidth=line))
        self._draw_actions(ax, x, y + _HEADER + height + 6, step, game)

    def _draw_actions(self, ax, x, y, step, game):
        width, height = self._size[0] / len(ACTIONS), _BARS - 20
        taken = self._played.actions[step, game]
        for action, share in enumerate(
                self._played.probabilities[step, game].tolist()):
            ax.add_patch(Rectangle(
                (x + (action + 0.08) * width, y + (1 - share) * height),
                0.84 * width, share * height, linewidth=0,
                color=GUESS if action == taken else OTHER))
            sheet.text(ax, x + (action + 0.5) * width, y + height + 12,
                       ACTIONS[action], size=FONT - 2, ha='center')


def _show(ax, image, x, y, width, height):
    """Draws a (1, h, w) image sharply over a rectangle."""
    ax.imshow(sheet.picture(image), origin='upper', interpolation='nearest',
              aspect='auto', extent=(x, x + width, y + height, y))


def save_games(path: str, model: Player, played: Played,
               patch_sizes: Sequence[int]) -> None:
    """Writes games as an animation, or their last step as a picture.

    Args:
        path: ``.gif``, or ``.png`` for the last step of all.
        model: The player.
        played: Its games.
        patch_sizes: Side of each scale in pixels, finest first.

    Raises:
        RamError: For any other suffix, or if it cannot be written.

    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in ('.gif', '.png') or NUMBER.search(path):
        raise RamError(f'{path}: unknown format; games are written to one '
                       '.gif or .png')
    count = len(played.rewards)
    at_once = count if suffix == '.png' else min(_AT_ONCE, count)
    film = GameFilm(model, played, patch_sizes, at_once)
    if suffix == '.png':
        sheet.save_png(film.draw(range(count), film.steps - 1), path)
        return
    with replacing(path) as file:
        frames, durations = _shoot(film, count, at_once)
        writer = GifWriter(frames[::max(len(frames) // 3, 1)], COLOURS)
        writer.write(file, (writer.index(frame) for frame in frames),
                     durations)


def _shoot(film, count, at_once) -> Tuple[List[numpy.ndarray], List[int]]:
    """All frames and their durations."""
    frames, durations = [], []
    for begin in range(0, count, at_once):
        games = range(begin, min(begin + at_once, count))
        for step in range(film.steps):
            figure = film.draw(games, step)
            figure.canvas.draw()
            frames.append(sheet.raster(figure))
            durations.append(_END if step == film.steps - 1 else _STEP)
    return frames, durations


def save_gaze(path: str, own: Gaze, others: Dict[str, Gaze]) -> None:
    """Draws how far the gaze is from the ball, by step.

    Args:
        path: A ``.png``.
        own: Of the player.
        others: Of the same player with other gazes, by name.

    """
    figure = charts.new_sheet('Median distance of gaze and ball (pixels)',
                              520, 320)
    ax = charts.add_chart(figure, 48, 44, 452, 226)
    steps = numpy.arange(1, len(own.caught) + 1)
    lines = [('caught', own.caught, RIGHT), ('missed', own.missed, WRONG)] + [
        (f'gaze {name}, caught', gaze.caught, colour)
        for (name, gaze), colour in zip(others.items(), SCALE_COLOURS)]
    # Without a game of that kind there is no line.
    lines = [line for line in lines if not numpy.isnan(line[1]).all()]
    for label, values, colour in lines:
        ax.plot(steps, values, color=colour, label=label, linewidth=1.6)
    top = max(numpy.nanmax(values) for _, values, _ in lines)
    ax.set_xlim(1, max(len(steps), 2))
    ax.set_ylim(0, 1.05 * top)
    charts.set_ticks(ax, steps[::2].tolist(), [
        tick for tick in range(0, 100, 4) if tick <= 1.05 * top])
    charts.name_axes(ax, 'step')
    ax.legend(prop={'family': sheet.FAMILY, 'size': FONT - 2}, frameon=False)
    sheet.save_png(figure, path)
