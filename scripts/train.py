"""The same as `ram train`, for those who like a script."""
import sys

from ram.commands.main import main

if __name__ == '__main__':
    sys.exit(main(['train'] + sys.argv[1:]))
