"""Animations as GIFs that are small, and calm to look at."""

import numpy
from matplotlib.colors import to_rgb
from PIL import Image

_CLEAR = 0  # the entry of the palette that shows what was there before


class GifWriter:
    """Brings frames into one choice of colours, less than 256.

    One choice for all frames keeps the picture calm.

    Args:
        samples (list of arrays): (h, w, 3) uint8 frames to choose by.
        exact (sequence of str): Colours that carry meaning, which stay as
            they are; white and black do too.

    """

    def __init__(self, samples, exact):
        exact = [[round(255 * c) for c in to_rgb(colour)]
                 for colour in ('white', 'black', *exact)]
        common = Image.fromarray(numpy.concatenate(samples)).quantize(240)
        common = numpy.reshape(common.getpalette()[:3 * 240], (-1, 3))
        self._colours = numpy.concatenate([exact, common]).astype('uint8')
        # By 0xRRGGBB; clear where not yet known, in memory where known.
        self._nearest = numpy.zeros(1 << 24, 'uint8')

    def index(self, frame):
        """The number of the nearest colour for each pixel.

        Args:
            frame (array): (h, w, 3) uint8.

        Returns:
            array: (h, w) uint8.

        """
        shifts = numpy.array([16, 8, 0], 'uint32')
        codes = (frame.astype('uint32') << shifts).sum(axis=2)
        new = numpy.unique(codes[self._nearest[codes] == _CLEAR])
        for part in numpy.array_split(new, len(new) // 4096 + 1):
            rgb = (part[:, None] >> shifts & 255).astype('int32')
            distances = ((rgb[:, None] - self._colours) ** 2).sum(axis=2)
            self._nearest[part] = 1 + distances.argmin(axis=1)
        return self._nearest[codes]

    def write(self, file, indices, durations):
        """Writes an animation without end.

        Args:
            file (file object): Binary.
            indices (iterable of arrays): (h, w) uint8 each, as :meth:`index`
                makes them.
            durations (sequence of int): Of each frame, in milliseconds.

        """
        palette = numpy.zeros((256, 3), 'uint8')
        palette[1:1 + len(self._colours)] = self._colours
        images, last = [], None
        for index in indices:
            # Clear where nothing changes.
            image = Image.fromarray(
                index if last is None else
                numpy.where(index == last, numpy.uint8(_CLEAR), index))
            image.putpalette(palette.tobytes())
            images.append(image)
            last = index
        images[0].save(file, 'GIF', save_all=True, append_images=images[1:],
                       duration=list(durations), loop=0, disposal=1,
                       transparency=_CLEAR, optimize=False)
