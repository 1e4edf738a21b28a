"""``--forget``: removes what earlier runs left on this computer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tconnectsync.errors import UsageError

if TYPE_CHECKING:
    from tconnectsync.app import Host
    from tconnectsync.cli.options import Options


def forget(options: Options, host: Host) -> int:
    """Remove saved logins and the files of earlier runs; return the exit code."""
    raise UsageError("--forget is not part of this version.")
