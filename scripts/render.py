"""The same as `ram render`, for those who like a script."""
import sys

from ram.commands.main import main

if __name__ == '__main__':
    sys.exit(main(['render'] + sys.argv[1:]))
