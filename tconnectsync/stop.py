"""Stopping on SIGTERM, SIGHUP or Ctrl-C: at once, but not in the middle of a write."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

from tconnectsync.clock import Clock

LONGEST_WRITE = 0.7
"""Seconds that a write may still take after the request to stop."""

AGAIN = 2.0
"""Seconds after which :class:`Stopped` is raised once more if the program goes on. Python ignores
what is raised while it tidies up an object, and a signal may come just then."""

LONGEST_NAP = 0.2
"""Seconds after which a thread that sleeps looks whether it is to stop."""


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
    the next run finds what it wrote, and does not write the same at the same time. A second
    signal does not wait for it; but a window that is closed may send several SIGHUP.
    """

    def __init__(
        self, monotonic: Callable[[], float], on_request: Callable[[], None] = lambda: None
    ) -> None:
        """``on_request`` is called in the handler of a signal."""
        self._monotonic = monotonic
        self._on_request = on_request
        self._asked: float | None = None
        self._writing = False
        self._listening = True

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
            self._listening = False
            self._set_timer(0)
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

    def clock(self, clock: Clock) -> Clock:
        """Return a clock by which no thread begins a request, or a wait, after the signal.

        A signal reaches the main thread only; a thread that is in the middle of one of them then
        ends with the process.
        """
        return _stoppable(clock, self._raise_if_asked, math.inf)

    def _raise_if_asked(self) -> None:
        if self._asked is not None:
            raise Stopped(self._monotonic() - self._asked)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self._listening:
            return
        self._on_request()
        if self._asked is None:
            self._asked = self._monotonic()
            if self._writing:
                self._set_timer(LONGEST_WRITE)
                return
        elif number == getattr(signal, "SIGHUP", None):
            return
        self._raise(self._asked)

    def _raise(self, asked: float) -> None:
        self._set_timer(AGAIN)
        raise Stopped(self._monotonic() - asked)

    @staticmethod
    def _set_timer(seconds: float) -> None:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, seconds)


class StopTogether:
    """Ends what other threads do, at once, but not in the middle of a write.

    Signals reach the main thread only. After :meth:`ask`, each other thread raises
    :class:`Stopped` where it waits or begins a request, and after a write. One that waits for an
    answer ends with the process.
    """

    def __init__(self) -> None:
        self.is_asked = False
        self._changed = threading.Condition()
        self._busy = 0

    def ask(self) -> None:
        """Ask all threads to end; a handler of a signal may do that."""
        self.is_asked = True

    def wait(self) -> None:
        """Wait until no thread works any more, up to :data:`LONGEST_WRITE`."""
        with self._changed:
            self._changed.wait_for(lambda: not self._busy, LONGEST_WRITE)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Take note that a thread works during the block."""
        with self._changed:
            self._busy += 1
        try:
            self.raise_if_asked()
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Let the block finish before stopping, or do not begin it."""
        self.raise_if_asked()
        yield
        self.raise_if_asked()

    def clock(self, clock: Clock) -> Clock:
        """Return a clock for the threads: who sleeps by it, or begins a request, may be stopped."""
        return _stoppable(clock, self.raise_if_asked, LONGEST_NAP)

    def raise_if_asked(self) -> None:
        """Raise :class:`Stopped` if the threads were asked to end."""
        if self.is_asked:
            raise Stopped


def _stoppable(clock: Clock, raise_if_asked: Callable[[], None], nap: float) -> Clock:
    """Return a clock that calls ``raise_if_asked`` at each request and each nap of a wait.

    A nap takes up to ``nap`` seconds.
    """

    def go_on() -> None:
        clock.go_on()
        raise_if_asked()

    def sleep(seconds: float) -> None:
        left = seconds
        while left > 0:
            go_on()
            clock.sleep(min(left, nap))
            left -= nap
        go_on()

    return replace(clock, sleep=sleep, go_on=go_on)
