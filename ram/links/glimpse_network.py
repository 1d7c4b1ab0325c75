"""The glimpse network f_g: what is seen and where, in one vector."""

from typing import Any, Optional

import chainer
import chainer.functions as F
import chainer.links as L
import numpy
from chainer.initializers import LeCunNormal

from ram.links.glimpse_sensor import GlimpseSensor


class GlimpseNetwork(chainer.Chain):
    """What is seen and where, in one vector (Section 3.1, Figure 1B).

    .. math::

        h_g = Rect(Linear(\\rho)), \\quad h_l = Rect(Linear(l)), \\quad
        g = Rect(Linear(h_g) + Linear(h_l))

    Args:
        sensor: The retina.
        channels: Channels C of an image.
        what_units: Width of h_g.
        where_units: Width of h_l.
        out_units: Width of g.
        rng: Samples the initial weights.

    """

    def __init__(self, sensor: GlimpseSensor, channels: int,
                 what_units: int = 128, where_units: int = 128,
                 out_units: int = 256,
                 rng: Optional[numpy.random.Generator] = None):
        super().__init__()
        retina = sensor.scales * channels * sensor.size ** 2
        with self.init_scope():
            self.sensor = sensor
            self.what = L.Linear(retina, what_units,
                                 initialW=LeCunNormal(rng=rng))
            self.where = L.Linear(2, where_units,
                                  initialW=LeCunNormal(rng=rng))
            self.what_out = L.Linear(what_units, out_units,
                                     initialW=LeCunNormal(rng=rng))
            self.where_out = L.Linear(where_units, out_units,
                                      initialW=LeCunNormal(rng=rng))

    def forward(self, images: Any, locations: Any,
                table: Any = None) -> chainer.Variable:
        """Encodes a glimpse of each image.

        Args:
            images: (B, C, H, W) float.
            locations: (B, 2) float, (x, y) in [-1, 1].
            table: Summed-area table of the images; computed if left out.

        Returns:
            g, (B, out_units).

        """
        retina = self.sensor(images, locations, table)
        h_g = F.relu(self.what(retina.reshape(len(retina), -1)))
        h_l = F.relu(self.where(locations))
        return F.relu(self.what_out(h_g) + self.where_out(h_l))
