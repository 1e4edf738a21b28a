"""A small JSON file that threads and processes of one user change one after the other.

Where no file can be written, at least the threads of this process share what would be in it.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

from tconnectsync.state.files import is_private, make_private, write_atomically
from tconnectsync.state.lock import is_at, try_lock

log = logging.getLogger(__name__)

TRIES = 40
"""How often the lock of another process is waited for; it holds it for milliseconds."""
INTERVAL = 0.05
"""Seconds between two tries."""


class SharedFile:
    """One JSON object in one file, readable by its owner only.

    A file with any fault counts as empty.

    Args:
        name: the file's name.
        folders: where it may be, the first that can be used.
        sleep: waits so many seconds.
    """

    def __init__(
        self, name: str, folders: Sequence[Path], sleep: Callable[[float], None] = lambda _: None
    ) -> None:
        self._paths = [folder / name for folder in folders]
        self._sleep = sleep
        self._threads = threading.Lock()
        self._remembered: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """Return what is in it; to change that, see :meth:`change`."""
        for path in self._paths:
            with suppress(OSError, ValueError, RecursionError):
                text = path.read_text("utf-8")
                if not is_private(path):
                    continue  # Others may have written it.
                content = json.loads(text)
                return content if isinstance(content, dict) else {}
        return deepcopy(self._remembered)

    @contextmanager
    def change(self) -> Iterator[dict[str, Any]]:
        """Give what is in it, and keep what the block makes of that, unless the block fails."""
        with self._threads, ExitStack() as locked:
            self._lock(locked)
            content = self.read()
            before = deepcopy(content)
            yield content
            if content != before:
                self._write(content)

    @property
    def can_be_kept(self) -> bool:
        """Whether the file can be written, so that later runs know what is in it."""
        for path in self._paths:
            with suppress(OSError):
                make_private(path.parent)
                write_atomically(path.with_name(f"{path.name}.try"), "")
                path.with_name(f"{path.name}.try").unlink()
                return True
        return False

    def _write(self, content: dict[str, Any]) -> None:
        self._remembered = deepcopy(content)
        for path in self._paths:
            with suppress(OSError):
                make_private(path.parent)
                write_atomically(path, json.dumps(content, indent=1))
                return
        log.debug("%s cannot be saved for the next run.", self._paths or "It")

    def _lock(self, locked: ExitStack) -> None:
        """Keep other processes from changing it, for as long as ``locked`` is open.

        Where that cannot be, it is changed all the same: an update may then be lost.
        """
        for path in self._paths:
            with suppress(OSError):
                make_private(path.parent)
                lock = path.with_suffix(".lock")
                for _ in range(TRIES):
                    file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
                    locked.callback(os.close, file)
                    if try_lock(file) and is_at(lock, file):
                        return
                    self._sleep(INTERVAL)
                return
