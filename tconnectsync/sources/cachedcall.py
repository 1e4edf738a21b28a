"""Asking a cloud for something once, however often it is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from tconnectsync.errors import TconnectsyncError

T = TypeVar("T")


class CachedCall(Generic[T]):
    """Calls ``fetch`` at the first call and repeats what came of it, a failure as well.

    Two features that need the same answer then make one request, and one time-out, not two.
    """

    def __init__(self, fetch: Callable[[], T]) -> None:
        self._fetch = fetch
        self._outcome: tuple[T] | TconnectsyncError | None = None

    @property
    def asked(self) -> bool:
        """Whether it has been called."""
        return self._outcome is not None

    def __call__(self) -> T:
        """Return what ``fetch`` returned, or raise what it raised."""
        if self._outcome is None:
            try:
                self._outcome = (self._fetch(),)
            except TconnectsyncError as error:
                self._outcome = error
        if isinstance(self._outcome, TconnectsyncError):
            raise self._outcome
        return self._outcome[0]
