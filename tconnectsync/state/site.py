"""State shared by the runs of one user against one site: the write lock and the backlog."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from tconnectsync.clock import Clock
from tconnectsync.state.backlog import Backlog
from tconnectsync.state.files import cache_folder
from tconnectsync.state.lock import SiteLock

WriteLock = Callable[[float], AbstractContextManager[object]]
"""Waits up to so many seconds for the site's write lock, and holds it during the block.

Raises :class:`tconnectsync.state.lock.TakenError` when another one writes for longer.
"""


def write_lock(ns_url: str, clock: Clock, *, pretend: bool) -> WriteLock:
    """Return what a run has to wait for before it writes; one that only looks never waits."""
    if pretend:
        return nullcontext
    return SiteLock(ns_url, _folders(), clock).held


def open_backlog(ns_url: str, *, pretend: bool) -> Backlog:
    """Return what is missing on the site; a run that only looks changes nothing of it."""
    return Backlog(ns_url, _folders(), keep=not pretend)


def _folders() -> list[Path]:
    """Return where files about a site may be: the same for a user's cron, services and shells.

    Hence not the folder that a login gives and takes away again. The second one is for containers
    of which nothing else can be written to.
    """
    folders = [cache_folder()]
    with suppress(OSError):
        folders.append(Path(tempfile.gettempdir()) / _name_of_our_own())
    return folders


def _name_of_our_own() -> str:
    """Return a name for a folder where other users may have theirs."""
    if sys.platform == "win32":
        return "tconnectsync"
    return f"tconnectsync-{os.getuid()}"
