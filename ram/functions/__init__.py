"""Functions without parameters."""

from ram.functions.glimpse import (
    glimpse,
    summed_area_table,
)
