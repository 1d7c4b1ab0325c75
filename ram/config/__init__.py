"""The configuration: its keys, its checks, and the YAML files it comes from."""

from ram.config.schema import (
    PARTS,
    RESUMABLE,
    RUN_OPTIONS,
    SECTIONS,
    Config,
    DataConfig,
    ModelConfig,
    TrainingConfig,
    build_config,
    config_from_dict,
    load_config,
    reference,
)
