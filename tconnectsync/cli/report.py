"""``--report``: writes a page with totals, and a picture for each day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tconnectsync.errors import UsageError

if TYPE_CHECKING:
    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options


def report(options: Options, host: Host) -> int:
    """Write the report of the range that the options name; return the exit code."""
    raise UsageError("--report is not part of this version.")
