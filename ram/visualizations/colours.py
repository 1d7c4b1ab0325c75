"""The colours of all pictures.

They are Okabe and Ito's, which colour-blind readers can distinguish. Scales
also differ in line width, and right from wrong in sign and words.
"""

from typing import Tuple

SCALE_COLOURS = ('#E69F00', '#56B4E9', '#CC79A7', '#F0E442', '#009E73')
SCALE_WIDTHS = (3, 2, 1)
RIGHT, WRONG = '#009E73', '#D55E00'
GUESS, OTHER = '#0072B2', '#B8C4CC'
COLOURS = (GUESS, OTHER, RIGHT, WRONG) + SCALE_COLOURS


def scale_style(j: int) -> Tuple[str, int]:
    """Colour and line width in points of scale ``j``, 0 the finest."""
    return (SCALE_COLOURS[j % len(SCALE_COLOURS)],
            SCALE_WIDTHS[min(j, len(SCALE_WIDTHS) - 1)])
