"""The configuration: its keys, checks and YAML files."""

from ram.config.files import (
    build_config,
    config_from_dict,
    differences,
    load_config,
)
from ram.config.reference import reference
from ram.config.schema import (
    PARTS,
    RESUMABLE,
    RUN_OPTIONS,
    SECTIONS,
    Config,
    DataConfig,
    ModelConfig,
    TrainingConfig,
)
