import chainer
import chainer.functions as F
import chainer.links as L
from chainer.initializers import LeCunNormal


class GlimpseNetwork(chainer.Chain):
    """What is seen and where, in one vector (Section 3.1, Figure 1B).

    .. math::

        h_g = Rect(Linear(\\rho)), \\quad h_l = Rect(Linear(l)), \\quad
        g = Rect(Linear(h_g) + Linear(h_l))

    Args:
        sensor (GlimpseSensor): The retina.
        channels (int): Channels C of an image.
        what_units (int): Width of h_g.
        where_units (int): Width of h_l.
        out_units (int): Width of g.
        rng (numpy.random.Generator): Draws the initial weights.

    """

    def __init__(self, sensor, channels, what_units=128, where_units=128,
                 out_units=256, rng=None):
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

    def forward(self, images, locations, table=None):
        """Encodes a glimpse of each image.

        Args:
            images (array): (B, C, H, W) float.
            locations (array): (B, 2) float, (x, y) in [-1, 1].
            table (array): The images' summed-area table, if it is at hand.

        Returns:
            Variable: g, (B, out_units).

        """
        retina = self.sensor(images, locations, table)
        h_g = F.relu(self.what(retina.reshape(len(retina), -1)))
        h_l = F.relu(self.where(locations))
        return F.relu(self.what_out(h_g) + self.where_out(h_l))
