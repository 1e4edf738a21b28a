"""The result of a cycle: what it did and what failed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from tconnectsync.domain.clock import TimeRange
from tconnectsync.errors import ApiError, TconnectsyncError
from tconnectsync.sources.base import Remark
from tconnectsync.sources.leftout import is_lost_insulin
from tconnectsync.sync.features import FEATURES

Work = tuple[TimeRange, Sequence[str]]
"""A range, and the features that are synced in it."""


class Failure(NamedTuple):
    """What could not be synced, and why; ``features`` are those that have to be repeated."""

    window: TimeRange
    features: tuple[str, ...]
    error: TconnectsyncError


def failed_throughout(window: TimeRange, failures: Sequence[Failure]) -> set[str]:
    """Return the features of which nothing of a window could be synced, not even a day."""
    failed: dict[str, set[TimeRange]] = defaultdict(set)
    for failure in failures:
        for name in failure.features:
            failed[name].add(failure.window)
    whole = window.end - window.start
    return {
        name
        for name, ranges in failed.items()
        if sum((each.end - each.start for each in ranges), timedelta()) >= whole
    }


@dataclass
class Outcome:
    """What a cycle did, in documents, and what it could not do."""

    created: int = 0
    updated: int = 0
    kept: int = 0
    failures: list[Failure] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    """How many treatments and entries were created or updated, by type."""
    insulin: float = 0.0
    """U of the boluses among them."""
    new: Counter[str] = field(default_factory=Counter)
    """How many of them were created, by type."""
    new_insulin: dict[str, float] = field(default_factory=dict)
    """U that the created ones show, by type."""
    others: list[str] = field(default_factory=list)
    """What was written besides treatments, in words."""
    deferred: dict[str, timedelta] = field(default_factory=dict)
    """After how long the deferred treatments may be written, by identifier."""
    remarks: list[Remark] = field(default_factory=list)
    """What people must know, each once."""
    healing: dict[str, list[TimeRange]] = field(default_factory=dict)
    """Ranges that later runs may be able to complete although nothing failed, by feature."""
    not_given: dict[str, list[TimeRange]] = field(default_factory=dict)
    """Those of these ranges of which the cloud refused something."""
    newest: dict[str, datetime] = field(default_factory=dict)
    """When the newest treatment or entry was that now stands or has failed, by its type."""
    last_upload: datetime | None = None
    """When the pump uploaded last, as far as the cloud says."""
    moved_before: datetime | None = None
    """Treatments before this instant may still stand where an earlier state of the pump's clock
    put them; the run was not allowed to go further back."""

    @property
    def ended_by(self) -> TconnectsyncError | None:
        """The error that stopped the rest, if any; its failure lists what was left undone."""
        return next((each.error for each in self.failures if each.error.fatal), None)

    @property
    def more_in(self) -> timedelta | None:
        """After how long all deferred treatments may be written; ``None`` if there are none."""
        return max(self.deferred.values(), default=None)

    @property
    def is_complete(self) -> bool:
        """Whether Nightscout shows all that the pump did, as far as is known."""
        return not (
            self.failures or self.lost_insulin or any(remark.missing for remark in self.remarks)
        )

    @property
    def lost_insulin(self) -> list[str]:
        """What was left out because it was not understood, and was insulin or sounds like it."""
        return [what for what in self.skipped if is_lost_insulin(what)]

    @property
    def missing(self) -> dict[str, list[TimeRange]]:
        """The ranges that later runs have to bring, by feature.

        What is synced once has nothing that could be missing later.
        """
        found = {name: list(ranges) for name, ranges in self.healing.items()}
        for failure in self.failures:
            for name in failure.features:
                if FEATURES[name].parts:
                    found.setdefault(name, []).append(failure.window)
        return found

    @property
    def refused(self) -> dict[str, list[TimeRange]]:
        """The part of :attr:`missing` that the cloud did not give, by feature."""
        found = {name: list(ranges) for name, ranges in self.not_given.items()}
        for failure in self.failures:
            if isinstance(failure.error, ApiError) and not failure.error.can_retry:
                for name in failure.features:
                    found.setdefault(name, []).append(failure.window)
        return found

    def remark(self, remarks: Iterable[Remark], work: Work | None = None) -> None:
        """Add what there is to say; ``work`` is what a later run may be able to complete."""
        for each in remarks:
            if each not in self.remarks:
                self.remarks.append(each)
            if each.heals and work:
                window, features = work
                for name in features:
                    self.healing.setdefault(name, []).append(window)
                    if each.is_refusal:
                        self.not_given.setdefault(name, []).append(window)

    def note_new(self, number: Mapping[str, int], insulin: Mapping[str, float]) -> None:
        """Note how many were created, and the insulin (U) that they show, both by type."""
        self.new.update(number)
        for kind, units in insulin.items():
            self.new_insulin[kind] = self.new_insulin.get(kind, 0.0) + units

    def note_newest(self, event_type: str, at: datetime) -> None:
        """Note that a treatment or entry of a type is up to date."""
        self.newest[event_type] = max(at, self.newest.get(event_type, at))

    def absorb(self, part: Outcome) -> None:
        """Add what became of a part of the run."""
        self.created += part.created
        self.updated += part.updated
        self.kept += part.kept
        self.failures += part.failures
        self.skipped.update(part.skipped)
        self.written.update(part.written)
        self.insulin += part.insulin
        self.note_new(part.new, part.new_insulin)
        self.others += part.others
        self.deferred |= part.deferred
        self.remarks += [each for each in part.remarks if each not in self.remarks]
        for name, ranges in part.healing.items():
            self.healing.setdefault(name, []).extend(ranges)
        for name, ranges in part.not_given.items():
            self.not_given.setdefault(name, []).extend(ranges)
        for event_type, at in part.newest.items():
            self.note_newest(event_type, at)
        self.last_upload = self.last_upload or part.last_upload
        self.moved_before = self.moved_before or part.moved_before

    def failed(self, window: TimeRange, features: Sequence[str], error: TconnectsyncError) -> None:
        """Note what an error left undone."""
        # The frames that it came through hold the payloads of its window.
        error.__cause__ = error.__context__ = error.__traceback__ = None
        self.failures.append(Failure(window, tuple(features), error))

    @contextmanager
    def recording_failures(self, work: Work, *, rest: Work) -> Iterator[None]:
        """Record ``work`` as undone if the block fails.

        If the error is fatal, record ``rest`` (which includes ``work``) instead.
        """
        try:
            yield
        except TconnectsyncError as error:
            self.failed(*(rest if error.fatal else work), error)
