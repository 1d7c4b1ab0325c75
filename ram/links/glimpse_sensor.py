import chainer

from ram.functions.glimpse import glimpse


class GlimpseSensor(chainer.Link):
    """The retina: :math:`\\rho(x_t, l_{t-1})` (Section 3.1, Figure 1A).

    It has no parameters and passes no gradient on, to image or location.

    Args:
        size (int): Side g of each patch as it is returned, in pixels.
        scales (int): Number k of patches.
        factor (int): How much wider each patch is than the one before.

    """

    def __init__(self, size, scales=1, factor=2):
        super().__init__()
        self.size = size
        self.scales = scales
        self.factor = factor

    def forward(self, images, locations, table=None):
        """Reads a glimpse of each image.

        Args:
            images (array): (B, C, H, W) float.
            locations (array): (B, 2) float, (x, y); (-1, -1) is the top left
                corner, (1, 1) the bottom right one.
            table (array): The images' summed-area table, if it is at hand.

        Returns:
            array: (B, k, C, g, g), the finest scale first. See
            :func:`ram.functions.glimpse`.

        """
        return glimpse(images, locations, self.size, self.scales, self.factor,
                       table)
