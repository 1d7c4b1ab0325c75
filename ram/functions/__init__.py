"""Functions without parameters."""

from ram.functions.glimpse import glimpse  # noqa: F401
from ram.functions.glimpse import summed_area_table  # noqa: F401
