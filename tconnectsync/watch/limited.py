"""Work that must not take long, whatever is at the other end."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

LIMIT = 10.0
"""Seconds that a ping or a message may take."""


class Limited:
    """Work in the background, which is waited for up to a limit and then given up.

    Args:
        work: returns what has gone wrong, as a sentence; nothing if it has worked.
        what: what does the work, for the sentence that it takes too long.
    """

    def __init__(self, work: Callable[[], str], what: str) -> None:
        self._what = what
        self._work = work
        self._result: str | None = None
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:  # Also a request to stop. What it says may hold the address.
            self._result = f"{self._what} has failed ({type(error).__name__})."

    def result(self) -> str:
        """Wait, and return what has gone wrong; nothing if it has worked."""
        self._thread.join(LIMIT)
        if self._result is None:
            return f"{self._what} has not been done within {LIMIT:.0f} s."
        return self._result
