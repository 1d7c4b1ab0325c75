"""Files of trajectories: GIF, MP4, a PNG strip, or single PNG frames."""

import os
import re
import shutil
import tempfile
from typing import Sequence

import imageio.v2 as imageio
from PIL import Image

from ram.errors import RamError
from ram.evaluation.evaluate import Trajectory
from ram.files import make_folder, replacing
from ram.visualizations import sheet
from ram.visualizations.colours import COLOURS
from ram.visualizations.gif import GifWriter
from ram.visualizations.trajectories.film import FRAME, Film
from ram.visualizations.trajectories.panels import Names
from ram.visualizations.trajectories.strip import draw_strip

NUMBER = re.compile(r'%(0\d+)?d')  # its place in the names of frames


def save_trajectories(path: str, trajectories: Sequence[Trajectory],
                      patch_sizes: Sequence[int], class_names: Names = None,
                      seconds_per_glimpse: float = 1.0) -> None:
    """Writes trajectories as a picture or an animation.

    Args:
        path: ``.gif`` or ``.mp4`` for an animation of a grid of the images,
            ``.png`` for a strip: a row for each image, a column for each
            glimpse. An ``.mp4`` needs imageio-ffmpeg. A ``.png`` with a
            number, such as ``frames/%02d.png``, writes single frames of the
            animation: one a glimpse, from 1, and one with the verdict; their
            folder is made where it is missing.
        trajectories: One an image, all images of one size.
        patch_sizes: Side of each scale in pixels, finest first.
        class_names: Names of the classes, numbers if left out.
        seconds_per_glimpse: How long an animation stays at each.

    Raises:
        RamError: For any other suffix, if the path cannot be written, and if
            an ``.mp4`` cannot be encoded; no file is left behind.

    """
    path = os.fspath(path)
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in ('.gif', '.png', '.mp4'):
        raise RamError(f'{path}: unknown format; let the name end in .gif, '
                       '.png or .mp4')
    if not trajectories:
        raise RamError(f'{path}: no image to draw; choose at least one')
    if suffix == '.mp4':
        _require_encoder(path)
    inputs = trajectories, patch_sizes, class_names
    if suffix == '.png' and NUMBER.search(path):
        _write_frames(path, Film(*inputs, pixels=2))
    elif suffix == '.png':
        sheet.save_png(draw_strip(*inputs), path)
    else:
        write = _write_gif if suffix == '.gif' else _write_mp4
        with replacing(path) as file:
            write(file, Film(*inputs, seconds_per_glimpse))


def _write_gif(file, film):
    shots = film.shots
    gif = GifWriter([film.frame(shots[i]) for i in (0, len(shots) // 2, -1)],
                    COLOURS)
    gif.write(file, (gif.index(film.frame(shot)) for shot in shots),
              [shot.milliseconds for shot in shots])


def _write_frames(path, film):
    make_folder(os.path.dirname(path) or '.')
    stills = [shot for shot in film.shots if shot.progress == 1]
    for number, shot in enumerate(stills, 1):
        name = NUMBER.sub(lambda match: match[0] % number, path)
        with replacing(name) as file:
            Image.fromarray(film.frame(shot)).save(file, 'PNG', optimize=True)


def _write_mp4(file, film):
    # The encoder writes to a name, not to a file object.
    with tempfile.TemporaryDirectory() as folder:
        name = os.path.join(folder, 'film.mp4')
        with imageio.get_writer(
                name, format='FFMPEG', fps=1000 // FRAME, codec='libx264',
                quality=8, macro_block_size=2,
                ffmpeg_log_level='error') as writer:
            for shot in film.shots:
                frame = film.frame(shot)
                for _ in range(shot.milliseconds // FRAME):
                    writer.append_data(frame)
        with open(name, 'rb') as encoded:
            shutil.copyfileobj(encoded, file)


def _require_encoder(path):
    try:
        import imageio_ffmpeg
        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        raise RamError(f'{path}: needs a video encoder: pip install '
                       'imageio-ffmpeg, or let the name end in .gif'
                       ) from None
