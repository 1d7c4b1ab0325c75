"""The configuration: its keys, its checks, and the YAML files it comes from."""

from ram.config.schema import build_config  # noqa: F401
from ram.config.schema import Config  # noqa: F401
from ram.config.schema import config_from_dict  # noqa: F401
from ram.config.schema import DataConfig  # noqa: F401
from ram.config.schema import load_config  # noqa: F401
from ram.config.schema import ModelConfig  # noqa: F401
from ram.config.schema import PARTS  # noqa: F401
from ram.config.schema import reference  # noqa: F401
from ram.config.schema import SECTIONS  # noqa: F401
from ram.config.schema import TrainingConfig  # noqa: F401
