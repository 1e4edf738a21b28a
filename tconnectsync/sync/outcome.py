"""What a cycle did and what it could not do."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tconnectsync.domain.clock import TimeRange
from tconnectsync.errors import TconnectsyncError
from tconnectsync.sync.features import FEATURES

Work = tuple[TimeRange, Sequence[str]]
"""A range, and the features that are synced in it."""


@dataclass(frozen=True)
class Failure:
    """What could not be synced, and why; ``features`` are those that have to be repeated.

    It keeps the error's words and not the error, which would keep all payloads of its window.
    """

    window: TimeRange
    features: tuple[str, ...]
    reason: str


def failed_throughout(window: TimeRange, failures: Sequence[Failure]) -> set[str]:
    """Return the features of which nothing of a window could be synced, not even a day."""
    pieces: dict[str, set[TimeRange]] = defaultdict(set)
    for failure in failures:
        for name in failure.features:
            pieces[name].add(failure.window)
    whole = window.end - window.start
    return {
        name
        for name, found in pieces.items()
        if sum((piece.end - piece.start for piece in found), timedelta()) >= whole
    }


@dataclass
class Outcome:
    """What a cycle did, in documents, and what it could not do."""

    created: int = 0
    updated: int = 0
    kept: int = 0
    failures: list[Failure] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    others: list[str] = field(default_factory=list)
    """What was written besides treatments, in words."""
    waiting: dict[str, timedelta] = field(default_factory=dict)
    """For how long treatments still have to wait until they may be written, by identifier."""
    ended_by: TconnectsyncError | None = None
    """What made going on pointless, if anything did; the failures say what was left undone."""

    @property
    def more_in(self) -> timedelta | None:
        """After how long another cycle finds nothing waiting any more; ``None`` if nothing does."""
        return max(self.waiting.values(), default=None)

    @property
    def unfinished(self) -> dict[str, datetime]:
        """Since when features are unfinished; what is synced once has nothing that could be."""
        since: dict[str, datetime] = {}
        for failure in self.failures:
            for name in failure.features:
                if FEATURES[name].parts:
                    since[name] = min(failure.window.start, since.get(name, failure.window.start))
        return since

    def failed(self, window: TimeRange, features: Sequence[str], error: TconnectsyncError) -> None:
        """Note what an error left undone."""
        self.failures.append(Failure(window, tuple(features), str(error)))

    @contextmanager
    def noting(self, work: Work, *, rest: Work) -> Iterator[None]:
        """Note that ``work`` is undone if the block fails.

        If that makes going on pointless, all of the ``rest``, of which it is the beginning, is.
        """
        try:
            yield
        except TconnectsyncError as error:
            self.failed(*(rest if error.fatal else work), error)
            if error.fatal:
                self.ended_by = error.with_traceback(None)
