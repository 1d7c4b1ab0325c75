import sys

from ram.cli import main

if __name__ == '__main__':
    sys.exit(main())
