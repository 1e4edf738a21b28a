"""``python -m tconnectsync`` does what the installed command does."""

import sys

from tconnectsync.cli import main

if __name__ == "__main__":
    sys.exit(main())
