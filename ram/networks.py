"""The network that a configuration names."""

from ram.baselines import build_baseline
from ram.ram import build_ram


def build_network(config, rng):
    """Builds RAM or a baseline.

    Args:
        config (ram.config.Config): ``model.network`` says which.
        rng (numpy.random.Generator): Draws the initial weights.

    Returns:
        ram.ram.RAM or ram.baselines.Baseline: On the CPU, float32.

    """
    build = build_ram if config.model.network == 'ram' else build_baseline
    return build(config, rng)
