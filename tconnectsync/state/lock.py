"""One writer per Nightscout site: a file that the operating system keeps locked for one process.

What counts is the system's lock, which ends with the process, not that the file exists. So a file
left behind by a killed process or a power cut blocks no later run, and process ids may repeat: in
two containers that share a folder, both may be process 1. What is written in the file only serves
to say which process holds the lock.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Self

from tconnectsync.clock import Clock
from tconnectsync.errors import TconnectsyncError
from tconnectsync.state.files import make_private, site_file

log = logging.getLogger(__name__)

WriteLock = Callable[[float], AbstractContextManager[object]]
"""Waits up to so many seconds for the site's write lock, and holds it during the block.

Raises :class:`TakenError` if another process writes for longer.
"""

INTERVAL = 1
"""Seconds between two attempts to take a lock that another process holds."""
REMINDER = 3600
"""Seconds between two lines about waiting for it."""
SIZE = 300
"""Bytes of the file; all of them are written each time, so that no longer text shows through."""

if sys.platform == "win32":
    import msvcrt

    FAR = 1 << 20
    """The byte that is locked: one that is never written, because others cannot read it."""

    def try_lock(file: int) -> bool:
        """Lock an open file; return False if another process holds it. Raises ``OSError``."""
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

    def try_lock(file: int) -> bool:
        """Lock an open file; return False if another process holds it. Raises ``OSError``."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)


class TakenError(TconnectsyncError):
    """Another tconnectsync writes to the site; the text says which, without a full stop."""

    can_retry = True


class SiteLock:
    """The right to write to one Nightscout site, which one process has at a time.

    Args:
        url: the site's address; its scheme and a slash at the end make no difference.
        folders: where the file may be, the same for all runs. The first in which it can be locked
            is used; some disks are read-only, and some network disks support no locks.
        clock: for the time, and to wait.
        try_lock: locks an open file, as :func:`try_lock`.
        zone: in which times are said; with ``None`` this computer's.
    """

    def __init__(
        self,
        url: str,
        folders: Iterable[Path],
        clock: Clock,
        try_lock: Callable[[int], bool] = try_lock,
        zone: tzinfo | None = None,
    ) -> None:
        self._paths = [folder / site_file(url, "lock") for folder in folders]
        self._clock = clock
        self._zone = zone
        self._try_lock = try_lock
        self._has_warned = False

    @classmethod
    def at(cls, path: Path, clock: Clock, zone: tzinfo | None = None) -> Self:
        """Return the lock that a file is, whichever site it is of."""
        lock = cls("", (), clock, zone=zone)
        lock._paths = [path]
        return lock

    @contextmanager
    def held(self, patience: float) -> Iterator[None]:
        """Hold the lock during the block, after waiting for it up to ``patience`` seconds.

        Where no file can be locked, the block runs without a lock, and the log says so once.

        Raises:
            TakenError: another process still holds it.
        """
        file = self._acquire(patience)
        try:
            yield
        finally:
            if file is not None:
                _write(file, "")
                with suppress(OSError):
                    _unlock(file)
                os.close(file)

    def _acquire(self, patience: float) -> int | None:
        """Return the locked file, ``None`` if none can be locked. Raises as :meth:`held`."""
        waited = 0
        while True:
            try:
                return self._try_folders()
            except TakenError as other:
                if waited >= patience:
                    raise
                if waited % REMINDER == 0:
                    level = logging.WARNING if waited else logging.INFO
                    log.log(level, "%s. Waiting until it has ended.", other)
            self._clock.sleep(INTERVAL)
            waited += INTERVAL

    def _try_folders(self) -> int | None:
        problems = []
        for path in self._paths:
            try:
                return self._open_locked(path)
            except OSError as error:
                problems.append(error.strerror or type(error).__name__)
        if not self._has_warned:
            self._has_warned = True
            log.warning(
                "No lock file can be made (%s), so two runs could write to this site at the "
                "same time. Make the cache folder writable, or start only one run at a time.",
                "; ".join(problems),
            )
        return None

    def _open_locked(self, path: Path) -> int:
        """Return the file, open and locked.

        Raises:
            TakenError: another process holds the lock.
            OSError: the file cannot be made, or no file can be locked here.
        """
        make_private(path.parent)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not self._try_lock(file):
                raise TakenError(self._about_owner(file))
            if not is_at(path, file):
                # Another process would lock a file of its own.
                os.close(file)
                return self._open_locked(path)
            since = self._clock.now().astimezone().isoformat(timespec="seconds")
            owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
            _write(file, json.dumps(owner))
        except BaseException:
            os.close(file)
            raise
        return file

    def _about_owner(self, file: int) -> str:
        """Return a sentence about who holds the lock, as far as the file says."""
        try:
            owner = json.loads(os.read(file, SIZE))
            if owner["host"] == socket.gethostname():
                who = f"process {int(owner['pid'])}"
            else:
                who = "on another computer or in another container"
            since = datetime.fromisoformat(owner["since"]).astimezone(self._zone)
        except (OSError, ValueError, TypeError, LookupError, OverflowError, RecursionError):
            return "Another tconnectsync is syncing this site"
        is_today = since.date() == self._clock.now().astimezone(self._zone).date()
        when = since.strftime("%H:%M" if is_today else "%Y-%m-%d %H:%M")
        return f"Another tconnectsync ({who}) has been syncing this site since {when}"


def is_at(path: Path, file: int) -> bool:
    """Return whether an open file is still the one that has this name; --forget may remove it."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file), path.stat())
    return False


def _write(file: int, text: str) -> None:
    """Replace the text of the file; on a full disk it is left out."""
    with suppress(OSError):
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, text.encode().ljust(SIZE)[:SIZE])
