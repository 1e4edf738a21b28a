"""Starts the program, and ends it quietly where that was asked for: the command's own beginning."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tconnectsync.cli.outputs import UnreadError, lasting_outputs

if TYPE_CHECKING:
    from tconnectsync.app import Host


def main(arguments: Sequence[str] | None = None, host: Host | None = None) -> int:
    """Run the program; return its exit code.

    It is 0 when done, 1 when something failed, 2 for wrong use. ``--auto-update`` also returns 2
    for wrong credentials: it must not be started again before they are fixed.

    Args:
        arguments: those of the command line, unless others are given.
        host: where the program runs: this computer, unless another one is given.
    """
    with lasting_outputs():
        try:
            # Loading it takes long enough for a Ctrl-C.
            from tconnectsync.cli.program import run

            return run(arguments, host)
        except KeyboardInterrupt:
            sys.stderr.write("Stopped.\n")
            return 1
        except UnreadError:
            return 1
