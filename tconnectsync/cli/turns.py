"""State shared by the runs of one user against one site: the write lock and the backlog."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime
from pathlib import Path

from platformdirs import user_cache_path

from tconnectsync.backlog import Backlog
from tconnectsync.config import Settings
from tconnectsync.lock import SiteLock

Turns = Callable[[float], AbstractContextManager[object]]
"""Waits so many seconds for our turn, and keeps other runs from writing during the block.

Raises :class:`tconnectsync.lock.TakenError` when another one writes for longer.
"""


def turns(settings: Settings, options: argparse.Namespace) -> Turns:
    """Return what a run has to wait for before it writes; one that only looks never waits."""
    if options.pretend:
        return nullcontext
    return SiteLock(settings.ns_url, _folders(), now=_now, wait=time.sleep).held


def open_backlog(settings: Settings, options: argparse.Namespace) -> Backlog:
    """Return what is missing on the site; a run that only looks changes nothing of it."""
    return Backlog(settings.ns_url, _folders(), keep=not options.pretend)


def _folders() -> list[Path]:
    """Return where files about a site may be: the same for a user's cron, services and shells.

    Hence not the folder that a login gives and takes away again. The second one is for containers
    of which nothing else can be written to.
    """
    folders = [user_cache_path("tconnectsync", appauthor=False)]
    with suppress(OSError):
        folders.append(Path(tempfile.gettempdir()) / _name_of_our_own())
    return folders


def _name_of_our_own() -> str:
    """Return a name for a folder where other users may have theirs."""
    if sys.platform == "win32":
        return "tconnectsync"
    return f"tconnectsync-{os.getuid()}"


def _now() -> datetime:
    return datetime.now().astimezone()
