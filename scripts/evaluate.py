"""The same as `ram evaluate`, for those who like a script."""
import sys

from ram.cli import main

if __name__ == '__main__':
    sys.exit(main(['evaluate'] + sys.argv[1:]))
