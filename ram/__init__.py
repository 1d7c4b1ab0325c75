"""Recurrent Models of Visual Attention (Mnih et al., NIPS 2014) in Chainer."""

from ram import compat as _compat  # noqa: F401  (first: it lets Chainer import)
from ram.errors import RamError  # noqa: F401

__version__ = '0.1.0'
