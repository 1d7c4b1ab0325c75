"""The rows of the paper's tables, and the controls beside them."""

import os
from typing import List, NamedTuple, Optional

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
CONFIGS = os.path.join(TOP, 'configs', 'paper')
RESULTS = os.path.join(TOP, 'media', 'results')


class Row(NamedTuple):
    """A row of the paper's tables, or a control beside it.

    Attributes:
        name: Of its configuration.
        task: What is classified.
        model: What classifies.
        paper: The paper's test error in %, if it has one.
        public: The lowest test error found of a public program.
        protocol: How that one was measured, where known.

    """

    name: str
    task: str
    model: str
    paper: Optional[float] = None
    public: Optional[float] = None
    protocol: str = ''


MNIST = 'MNIST 28x28'
TRANSLATED = 'translated 60x60'
CLUTTERED = 'cluttered 60x60'
WIDE = 'cluttered 100x100'
TEN, ON_TEST = 'ten paths', 'epoch chosen on the test set'
ROWS = [
    Row('mnist-fc', MNIST, 'FC, 2 layers of 256', 1.69),
    Row('mnist-conv', MNIST, 'convolutional', 1.21),
    Row('mnist-2', MNIST, 'RAM, 2 glimpses', 3.79, 2.34),
    Row('mnist-3', MNIST, 'RAM, 3 glimpses', 1.51),
    Row('mnist-4', MNIST, 'RAM, 4 glimpses', 1.54, 1.07, TEN),
    Row('mnist-5', MNIST, 'RAM, 5 glimpses', 1.34),
    Row('mnist-6', MNIST, 'RAM, 6 glimpses', 1.12, 0.67, TEN),
    Row('mnist-7', MNIST, 'RAM, 7 glimpses', 1.07, 0.85),
    Row('mnist-random', MNIST, 'RAM, 3 random glimpses'),
    Row('mnist-frozen', MNIST, 'RAM, 3 glimpses, frozen policy'),
    Row('mnist-faithful', MNIST, "RAM, 6 glimpses, paper's recipe",
        1.12),
    Row('translated-fc64', TRANSLATED, 'FC, 2 layers of 64', 6.42, 6.78),
    Row('translated-fc256', TRANSLATED, 'FC, 2 layers of 256', 2.63, 2.65),
    Row('translated-conv', TRANSLATED, 'convolutional', 1.62, 1.57),
    Row('translated-4', TRANSLATED, 'RAM, 4 glimpses', 1.54, 1.54, TEN),
    Row('translated-6', TRANSLATED, 'RAM, 6 glimpses', 1.22, 1.08, TEN),
    Row('translated-8', TRANSLATED, 'RAM, 8 glimpses', 1.20, 0.94, TEN),
    Row('translated-random', TRANSLATED, 'RAM, 4 random glimpses'),
    Row('translated-frozen', TRANSLATED, 'RAM, 4 glimpses, frozen policy'),
    Row('translated-faithful', TRANSLATED, "RAM, 6 glimpses, paper's recipe",
        1.22),
    Row('cluttered-fc64', CLUTTERED, 'FC, 2 layers of 64', 28.58, 29.13),
    Row('cluttered-fc256', CLUTTERED, 'FC, 2 layers of 256', 11.96, 11.36),
    Row('cluttered-conv', CLUTTERED, 'convolutional', 8.09, 8.37),
    Row('cluttered-4', CLUTTERED, 'RAM, 4 glimpses', 4.96, 5.15, TEN),
    Row('cluttered-6', CLUTTERED, 'RAM, 6 glimpses', 4.08, 3.33, TEN),
    Row('cluttered-8', CLUTTERED, 'RAM, 8 glimpses', 4.04, 2.63, TEN),
    Row('cluttered-random', CLUTTERED, 'RAM, 8 random glimpses', 14.4),
    Row('cluttered-frozen', CLUTTERED, 'RAM, 8 glimpses, frozen policy'),
    Row('cluttered-faithful', CLUTTERED, "RAM, 6 glimpses, paper's recipe",
        4.08),
    Row('wide-conv', WIDE, 'convolutional', 14.35, 16.22),
    Row('wide-4', WIDE, 'RAM, 4 glimpses', 9.41, 14.86, TEN),
    Row('wide-6', WIDE, 'RAM, 6 glimpses', 8.31, 4.62, ON_TEST),
    Row('wide-8', WIDE, 'RAM, 8 glimpses', 8.11, 2.68, ON_TEST),
    Row('wide-random', WIDE, 'RAM, 8 random glimpses', 28.4),
    Row('wide-frozen', WIDE, 'RAM, 8 glimpses, frozen policy'),
]


def names() -> List[str]:
    """The names of all rows."""
    return [row.name for row in ROWS]
