"""Lets `python -m ram` run in the folder above a clone that is named ram.

There Python takes the clone for the package. This file, which neither the
wheel nor a clone of another name uses, puts the package in its place.
"""

import os
import sys

sys.modules.pop('ram', None)
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from ram.commands.main import main  # noqa: E402

if __name__ == '__main__':
    sys.exit(main())
