"""One writer per Nightscout site: a lock file that the system frees when its owner ends.

What counts is the operating system's lock, not that the file exists. So nothing that a killed
process or a power cut leaves behind blocks anybody, and process ids may repeat: in two containers
that share a folder, both may be process 1. What the file says is for the sentence about its owner.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from tconnectsync.clock import Clock
from tconnectsync.errors import TconnectsyncError
from tconnectsync.state.files import make_private, site_file

log = logging.getLogger(__name__)

LOOK_AGAIN = 1
"""Seconds between two looks at a lock that is taken."""
REMINDER = 3600
"""Seconds between two lines about waiting for it."""
SIZE = 300
"""Bytes of the file; always all of them are written, so that nothing of a longer text remains."""

if sys.platform == "win32":
    import msvcrt

    FAR = 1 << 20
    """Which byte is locked: one that is never written, because no other process can read it."""

    def _lock(file: int) -> bool:
        os.lseek(file, FAR, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def _unlock(file: int) -> None:
        os.lseek(file, FAR, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)


class TakenError(TconnectsyncError):
    """Another tconnectsync is writing to the site; the text says which, without a full stop."""

    can_retry = True


class SiteLock:
    """The right to write to one Nightscout site, which one process has at a time.

    Args:
        url: the site's address; its scheme and a slash at the end make no difference.
        folders: where the file may be. The first in which it can be locked is used; some disks
            are read-only, and some of other computers know no locks. All runs that shall not
            meet have to be given the same.
        clock: tells the time, and waits.
    """

    def __init__(self, url: str, folders: Iterable[Path], clock: Clock) -> None:
        self._paths = [folder / site_file(url, "lock") for folder in folders]
        self._clock = clock
        self._has_warned = False

    @contextmanager
    def held(self, patience: float) -> Iterator[None]:
        """Hold the lock during the block, after waiting for it up to ``patience`` seconds.

        Where nothing can be locked the block runs all the same, and the log says so once.

        Raises:
            TakenError: another process still holds it.
        """
        file = self._taken_in_time(patience)
        try:
            yield
        finally:
            if file is not None:
                _free(file)

    def _taken_in_time(self, patience: float) -> int | None:
        """Return the locked file, ``None`` if there can be none. Raises as :meth:`held`."""
        waited = 0
        while True:
            try:
                return self._take()
            except TakenError as other:
                if waited >= patience:
                    raise
                if waited % REMINDER == 0:
                    level = logging.WARNING if waited else logging.INFO
                    log.log(level, "%s. Waiting until it has ended.", other)
            self._clock.sleep(LOOK_AGAIN)
            waited += LOOK_AGAIN

    def _take(self) -> int | None:
        problems = []
        for path in self._paths:
            try:
                return self._take_in(path)
            except OSError as error:
                problems.append(error.strerror or type(error).__name__)
        if not self._has_warned:
            self._has_warned = True
            log.warning(
                "No lock file can be made (%s), so nothing keeps two tconnectsync from writing to "
                "this site at once. Make the folder for caches writable, or run only one.",
                "; ".join(problems),
            )
        return None

    def _take_in(self, path: Path) -> int:
        """Return the locked file.

        Raises:
            TakenError: another process holds it.
            OSError: the file cannot be made, or not be locked by anybody.
        """
        make_private(path.parent)
        # Never removed: somebody may have it open already, and would then lock what nobody sees.
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _lock(file):
                raise TakenError(self._about_owner(file))
        except BaseException:
            os.close(file)
            raise
        since = self._clock.now().astimezone().isoformat(timespec="seconds")
        _write(file, json.dumps({"pid": os.getpid(), "host": platform.node(), "since": since}))
        return file

    def _about_owner(self, file: int) -> str:
        """Say who holds the lock, as far as the file tells."""
        try:
            owner = json.loads(os.read(file, SIZE))
            if owner["host"] == platform.node():
                who = f"process {int(owner['pid'])}"
            else:
                who = "on another computer or in another container"
            since = datetime.fromisoformat(owner["since"]).astimezone()
        except (OSError, ValueError, TypeError, LookupError, OverflowError, RecursionError):
            return "Another tconnectsync is syncing this site"
        is_today = since.date() == self._clock.now().astimezone().date()
        when = since.strftime("%H:%M" if is_today else "%Y-%m-%d %H:%M")
        return f"Another tconnectsync ({who}) has been syncing this site since {when}"


def _free(file: int) -> None:
    _write(file, "")
    with suppress(OSError):
        _unlock(file)
    os.close(file)


def _write(file: int, text: str) -> None:
    """Let the file say something; a full disk only means that it does not."""
    with suppress(OSError):
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, text.encode().ljust(SIZE)[:SIZE])
