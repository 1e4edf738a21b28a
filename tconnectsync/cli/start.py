"""Starts the program, and ends it quietly where that was asked for: the command's own beginning.

It imports nothing at first: loading the program takes long enough for a Ctrl-C.
"""

from __future__ import annotations

import atexit
import gc
import io
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tconnectsync.app import Host

GC_THRESHOLD = 50_000
"""Imports and JSON payloads create many small acyclic objects: collect less often."""
MISSING = """\
tconnectsync cannot start: a Python package that it needs is not installed ({}). Install it with all
that it needs, in the folder with main.py:
  python3 -m venv .venv             (Windows: py -m venv .venv)
  .venv/bin/pip install .           (Windows: .venv\\Scripts\\pip install .)
and start it as .venv/bin/tconnectsync (Windows: .venv\\Scripts\\tconnectsync).
"""


def main(arguments: Sequence[str] | None = None, host: Host | None = None) -> int:
    """Run the program; return its exit code.

    It is 0 when done, 1 when something failed, 2 when a person has to change something first: the
    options, the settings or a refused password. ``--auto-update`` returns 2 for any wrong
    credentials: it must not be started again before they are corrected.

    Args:
        arguments: those of the command line, unless others are given.
        host: where the program runs: this computer, unless another one is given.
    """
    try:
        gc.set_threshold(GC_THRESHOLD)
        # At the end all memory is given back at once: nothing has to look what could be freed.
        atexit.register(gc.freeze)
        given = sys.argv[1:] if arguments is None else arguments
        if "--status" in given:
            from tconnectsync.cli.status import quick_status

            if isinstance(sys.stdout, io.TextIOWrapper):
                sys.stdout.reconfigure(errors="backslashreplace")
            code = quick_status(given, host)
            if code is not None:
                return code
        from tconnectsync.cli.outputs import UnreadError, lasting_outputs

        with lasting_outputs():
            from tconnectsync.cli.program import run

            try:
                return run(arguments, host)
            except UnreadError:
                return 1
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("", "tconnectsync"):
            raise
        sys.stderr.write(MISSING.format(error.name))
        return 1
    except KeyboardInterrupt:
        import os
        from contextlib import suppress

        with suppress(OSError):
            os.write(2, b"Stopped.\n")
        return 1
    finally:
        if arguments is None:
            # The process ends: a second Ctrl-C finds nothing left to stop, and needs no traceback.
            import signal

            signal.signal(signal.SIGINT, signal.SIG_IGN)
