"""Ending when asked to, by SIGTERM or Ctrl-C: at once, but not in the middle of a write."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

LONGEST_WRITE = 0.7
"""Seconds that a write may still take after the wish to stop."""


class Stopped(BaseException):
    """The program was asked to end. No error, and nothing that catches errors catches it."""


class Stop:
    """Raises :class:`Stopped` wherever the program is, waiting for an answer included.

    A request that writes is let finish, so that the next run finds what it wrote and does not write
    the same at the same time; unless it takes too long.
    """

    def __init__(self) -> None:
        self._asked = False
        self._writing = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen for the signals as long as the block lasts."""
        numbers = [signal.SIGINT, signal.SIGTERM]
        if hasattr(signal, "SIGALRM"):
            numbers.append(signal.SIGALRM)
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Let what happens in the block finish first."""
        self._writing = True
        try:
            yield
        finally:
            self._writing = False
            if self._asked:
                self._raise()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        again, self._asked = self._asked, True
        if again or not self._writing:
            self._raise()
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, LONGEST_WRITE)

    def _raise(self) -> None:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        raise Stopped
