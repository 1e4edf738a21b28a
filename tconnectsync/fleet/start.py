"""Starts ``tconnectsync-fleet``, or says what is not installed."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tconnectsync.app import Host

MISSING = (
    "tconnectsync-fleet needs a Python package that is not installed ({}). Install it with all "
    "that it needs: pip install '.[fleet]'\n"
)


def main(arguments: Sequence[str] | None = None, host: Host | None = None) -> int:
    """Run the command; return its exit code."""
    try:
        from tconnectsync.fleet.command import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("", "tconnectsync"):
            raise
        sys.stderr.write(MISSING.format(error.name))
        return 1
    return run(arguments, host)
