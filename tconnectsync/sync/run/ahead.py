"""Reads the next window of a run while the one before is written: the waits then overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import copy_context
from threading import Thread

from tconnectsync.domain.clock import TimeRange
from tconnectsync.sync.run.windowplan import WindowRead

NAP = 0.2
"""Seconds after which a thread that waits for another one looks whether it is to stop."""


class Ahead:
    """Reads one window ahead, in a thread of its own.

    The cloud is still asked one thing at a time: each caller uses :meth:`read` first, which
    waits.

    Args:
        read: reads a window for some features.
    """

    def __init__(self, read: Callable[[TimeRange, Sequence[str]], WindowRead]) -> None:
        self._read = read
        self._thread: Thread | None = None
        self._found: WindowRead | None = None

    def begin(self, window: TimeRange, features: Sequence[str]) -> None:
        """Begin to read a window; nothing else is being read."""
        context = copy_context()

        def work() -> None:
            # A fault of ours, or a request to stop, shows where the window is read again.
            with suppress(BaseException):
                self._found = context.run(self._read, window, features)

        # A daemon: a run that is stopped does not wait for the cloud's answer.
        self._thread = Thread(target=work, name="read ahead", daemon=True)
        self._thread.start()

    def read(self, window: TimeRange, features: Sequence[str]) -> WindowRead:
        """Return what a window holds for some features, read ahead if that has begun for these."""
        self._wait()
        found, self._found = self._found, None
        if found and (found.range, list(found.features)) == (window, list(features)):
            return found
        if found:
            found.reader.release()
        return self._read(window, features)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Leave nothing on the way at the end of the block, unless the program is to stop."""
        try:
            yield
        except Exception:
            self._wait()
            raise
        self._wait()

    def _wait(self) -> None:
        while self._thread and self._thread.is_alive():
            self._thread.join(NAP)
        self._thread = None
