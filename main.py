"""Runs tconnectsync from a checkout: ``python main.py``."""

import sys

from tconnectsync.cli import main

if __name__ == "__main__":
    sys.exit(main())
