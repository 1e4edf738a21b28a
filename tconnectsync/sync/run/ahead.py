"""Fetches the next window of a run while the one before is written: the waits then overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from threading import Thread

from tconnectsync.domain.clock import TimeRange
from tconnectsync.sources.base import Reader

NAP = 0.2
"""Seconds after which a thread that waits for another one looks whether it is to stop."""


class Ahead:
    """Reads one range ahead, in a thread of its own.

    The cloud is still asked one thing at a time: whoever asks it calls :meth:`reader` first, which
    waits. What fails is raised for whoever asks the reader, as if it had just been asked.

    Args:
        read: returns the reader of a range; fetches nothing yet.
    """

    def __init__(self, read: Callable[[TimeRange], Reader]) -> None:
        self._read = read
        self._found: tuple[TimeRange, Reader, Thread] | None = None

    def fetch(self, window: TimeRange, parts: Iterable[str]) -> None:
        """Begin to fetch what some parts of a range will need; nothing else is being fetched."""
        reader, context = self._read(window), copy_context()

        def work() -> None:
            # A fault of ours, or a request to stop, shows where the reader is asked again.
            with suppress(BaseException):
                context.run(reader.fetch, parts)

        # A daemon: a run that is stopped does not wait for the cloud's answer.
        thread = Thread(target=work, name="fetch ahead", daemon=True)
        thread.start()
        self._found = window, reader, thread

    def reader(self, window: TimeRange) -> Reader:
        """Return the reader of a range, fetched ahead if it is the one; wait until that is done."""
        found = self._wait()
        return found[1] if found and found[0] == window else self._read(window)

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """Leave nothing on the way at the end of the block, unless the program is to stop."""
        try:
            yield
        except Exception:
            self._wait()
            raise
        self._wait()

    def _wait(self) -> tuple[TimeRange, Reader, Thread] | None:
        found, self._found = self._found, None
        while found and found[2].is_alive():
            found[2].join(NAP)
        return found
