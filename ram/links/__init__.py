
from ram.links.action_network import ActionNetwork  # noqa: F401
from ram.links.baseline_network import BaselineNetwork  # noqa: F401
from ram.links.core import LSTMCore  # noqa: F401
from ram.links.core import RNNCore  # noqa: F401
from ram.links.glimpse_network import GlimpseNetwork  # noqa: F401
from ram.links.glimpse_sensor import GlimpseSensor  # noqa: F401
from ram.links.location_network import LocationNetwork  # noqa: F401
