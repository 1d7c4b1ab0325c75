
from ram.links.action_network import ActionNetwork
from ram.links.baseline_network import BaselineNetwork
from ram.links.core import (
    LSTMCore,
    RNNCore,
)
from ram.links.glimpse_network import GlimpseNetwork
from ram.links.glimpse_sensor import GlimpseSensor
from ram.links.location_network import LocationNetwork
