"""The same as `ram render`, for those who like a script."""
import sys

from ram.cli import main

if __name__ == '__main__':
    sys.exit(main(['render'] + sys.argv[1:]))
