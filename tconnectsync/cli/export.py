"""``--export``: writes the data of the pump to files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tconnectsync.errors import UsageError

if TYPE_CHECKING:
    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options


def export(options: Options, host: Host) -> int:
    """Write the files of the range that the options name; return the exit code."""
    raise UsageError("--export is not part of this version.")
