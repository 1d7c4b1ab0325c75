"""Animated GIFs of few colours, which makes small files."""

from typing import BinaryIO, Iterable, List, Sequence

import numpy
from matplotlib.colors import to_rgb
from PIL import Image

_CLEAR = 0  # the palette's entry for pixels that do not change


class GifWriter:
    """Maps all frames to one palette, so that still parts do not flicker.

    Args:
        samples: (h, w, 3) uint8 frames whose colours are chosen.
        exact: Colours with a meaning, which are not changed, nor are white
            and black.

    """

    def __init__(self, samples: List[numpy.ndarray], exact: Sequence[str]):
        exact = [[round(255 * c) for c in to_rgb(colour)]
                 for colour in ('white', 'black', *exact)]
        common = Image.fromarray(numpy.concatenate(samples)).quantize(240)
        common = numpy.reshape(common.getpalette()[:3 * 240], (-1, 3))
        self._colours = numpy.concatenate([exact, common]).astype('uint8')
        # By 0xRRGGBB; clear if not yet computed.
        self._nearest = numpy.zeros(1 << 24, 'uint8')

    def index(self, frame: numpy.ndarray) -> numpy.ndarray:
        """The palette's nearest entry for each pixel.

        Args:
            frame: (h, w, 3) uint8.

        Returns:
            (h, w) uint8.

        """
        shifts = numpy.array([16, 8, 0], 'uint32')
        codes = (frame.astype('uint32') << shifts).sum(axis=2)
        new = numpy.unique(codes[self._nearest[codes] == _CLEAR])
        for part in numpy.array_split(new, len(new) // 4096 + 1):
            rgb = (part[:, None] >> shifts & 255).astype('int32')
            distances = ((rgb[:, None] - self._colours) ** 2).sum(axis=2)
            self._nearest[part] = 1 + distances.argmin(axis=1)
        return self._nearest[codes]

    def write(self, file: BinaryIO, indices: Iterable[numpy.ndarray],
              durations: Sequence[int]) -> None:
        """Writes an endless animation.

        Args:
            file: The file.
            indices: (h, w) uint8 frames by :meth:`index`.
            durations: Of each frame, in milliseconds.

        """
        palette = numpy.zeros((256, 3), 'uint8')
        palette[1:1 + len(self._colours)] = self._colours
        images, last = [], None
        for index in indices:
            image = Image.fromarray(
                index if last is None else
                numpy.where(index == last, numpy.uint8(_CLEAR), index))
            image.putpalette(palette.tobytes())
            images.append(image)
            last = index
        images[0].save(file, 'GIF', save_all=True, append_images=images[1:],
                       duration=list(durations), loop=0, disposal=1,
                       transparency=_CLEAR, optimize=False)
