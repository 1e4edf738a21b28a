"""Stopping on SIGTERM, SIGHUP or Ctrl-C: at once, but not in the middle of a write."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

LONGEST_WRITE = 0.7
"""Seconds that a write may still take after the request to stop."""


class Stopped(BaseException):
    """The program was asked to end. No error, so ``except Exception`` does not catch it.

    ``waited`` are the seconds for which a write could still go on; the text says what is left of
    the work, where that is known.
    """

    def __init__(self, waited: float = 0.0, text: str = "") -> None:
        super().__init__(text)
        self.waited = waited


class Stop:
    """Raises :class:`Stopped` wherever the program is, even while it waits for an answer.

    A request that writes may finish first, unless it takes longer than :data:`LONGEST_WRITE`: then
    the next run finds what it wrote, and does not write the same at the same time. Whoever asks
    twice does not wait for it; but a window that is closed may send several SIGHUP.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._asked: float | None = None
        self._writing = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals during the block."""
        numbers = [signal.SIGINT, signal.SIGTERM]
        # Those that not every system has. What nohup has switched off stays so.
        named = (getattr(signal, name, None) for name in ("SIGHUP", "SIGBREAK", "SIGALRM"))
        numbers += [each for each in named if each and signal.getsignal(each) != signal.SIG_IGN]
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Let the block finish before stopping."""
        self._writing = True
        try:
            yield
        finally:
            self._writing = False
            if self._asked is not None:
                self._raise(self._asked)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._asked is None:
            self._asked = self._monotonic()
            if self._writing:
                if hasattr(signal, "setitimer"):
                    signal.setitimer(signal.ITIMER_REAL, LONGEST_WRITE)
                return
        elif number == getattr(signal, "SIGHUP", None):
            return
        self._raise(self._asked)

    def _raise(self, asked: float) -> None:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        raise Stopped(self._monotonic() - asked)
