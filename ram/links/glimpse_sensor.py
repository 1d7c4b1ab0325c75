"""The glimpse sensor: patches of several scales around a location."""

from typing import Any

import chainer

from ram.functions.glimpse import glimpse


class GlimpseSensor(chainer.Link):
    """The retina: :math:`\\rho(x_t, l_{t-1})` (Section 3.1, Figure 1A).

    It has no parameters and passes no gradient to image or location.

    Args:
        size: Side g of each patch as it is returned, in pixels.
        scales: Number k of patches.
        factor: How much wider each patch is than the one before.

    Attributes:
        coarse (str): What a pixel of a coarse scale is of the pixels that it
            covers: their ``mean``, or their ``sum``, which keeps a single
            bright pixel as bright.

    """

    coarse = 'mean'

    def __init__(self, size: int, scales: int = 1, factor: int = 2):
        super().__init__()
        self.size = size
        self.scales = scales
        self.factor = factor

    def forward(self, images: Any, locations: Any, table: Any = None) -> Any:
        """Reads a glimpse of each image.

        Args:
            images: (B, C, H, W) float.
            locations: (B, 2) float, (x, y); (-1, -1) is the top left corner,
                (1, 1) the bottom right one.
            table: Summed-area table of the images; computed if left out.

        Returns:
            (B, k, C, g, g) array, the finest scale first. See
            :func:`ram.functions.glimpse.glimpse`.

        """
        retina = glimpse(images, locations, self.size, self.scales,
                         self.factor, table)
        if self.coarse == 'sum':
            for scale in range(1, self.scales):
                retina[:, scale] *= self.factor ** (2 * scale)
        return retina
