"""Starts ``tconnectsync-fleet``, or says what is not installed."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tconnectsync.app import Host


def main(arguments: Sequence[str] | None = None, host: Host | None = None) -> int:
    """Run the command; return its exit code."""
    try:
        from tconnectsync.fleet.command import run
    except ModuleNotFoundError as error:
        sys.stderr.write(f"{error.name} is not installed. Do so: pip install '.[fleet]'\n")
        return 1
    return run(arguments, host)
