"""The same as `ram evaluate`, for those who like a script."""
import sys

from ram.commands.main import main

if __name__ == '__main__':
    sys.exit(main(['evaluate'] + sys.argv[1:]))
