"""Reads what a pump did over a range of any length, window by window; no Nightscout is needed.

The report, the export and the Python interface are built on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import attrgetter

from tconnectsync.domain.clock import TimeRange
from tconnectsync.domain.events import (
    Basal,
    Bolus,
    DeviceStatus,
    Event,
    Reading,
    UserMode,
)
from tconnectsync.domain.profiles import PumpSettings
from tconnectsync.errors import PumpChoiceError, TconnectsyncError
from tconnectsync.sources.base import PumpSpan, Reader, Remark
from tconnectsync.sync.features import FEATURES, parts_of
from tconnectsync.sync.plan.validate import Found
from tconnectsync.sync.run.collect import collect_parts
from tconnectsync.sync.run.coverage import coverage, empty_log
from tconnectsync.sync.run.outcome import Outcome
from tconnectsync.sync.run.parts import ReadingParts
from tconnectsync.sync.run.window import windows

STATUS = "DEVICE_STATUS"
Name = tuple[type, str]
"""The kind and the key of an event or a reading, by which it is known in every window."""


@dataclass(frozen=True, slots=True)
class Window:
    """What a pump did in one window of a range."""

    range: TimeRange
    events: Sequence[Event]
    """In order of their beginnings; each is whole, also where it reaches over an end of the range.

    In all windows together each stands once, in the window in which it begins. What still went on
    when the log of that window ended, such as a suspension over days, stands in a later one, as
    soon as its end is known. The first window also has what began before it and reaches into it.
    """
    readings: Sequence[Reading]
    """The glucose readings in time order, each once."""
    statuses: Sequence[DeviceStatus]
    """What the pump noted of its battery, reservoir and insulin on board, in time order; each has
    only what was noted at its instant."""


@dataclass(eq=False)
class History(ReadingParts):
    """The story of the pumps of one account, or of one saved log."""

    lacking: frozenset[str] = frozenset()
    """The features that the cloud has no data for."""
    covered: TimeRange | None = None
    """What a saved log covers; ``None`` for a cloud."""
    outcome: Outcome = field(default_factory=Outcome, compare=False)
    """What of all that was asked for could not be read or understood."""

    @property
    def features(self) -> list[str]:
        """The features of which the events are read."""
        left_out = {*self.lacking, "PUMP_EVENTS_BASAL_SUSPENSION"}  # A part of PUMP_EVENTS.
        return [name for name, it in FEATURES.items() if it.parts and name not in left_out]

    def pumps(self, time_range: TimeRange) -> Sequence[PumpSpan]:
        """Return the pumps of the account; empty where the cloud, or a saved log, names none.

        Raises:
            PumpChoiceError: a person has to say first which pump is meant.
            TconnectsyncError: the cloud cannot be asked.
        """
        return self.source.pumps(time_range)

    def settings(self) -> PumpSettings | None:
        """Return what the pump is set to now; ``None``, with a note in the outcome, if unknown."""
        try:
            return self.source.pump_settings()
        except TconnectsyncError as error:
            if error.fatal:
                raise
            now = self.now()
            self.outcome.failed(TimeRange(now, now), ["PROFILES"], error)
            return None

    def windows(self, time_range: TimeRange) -> Iterator[Window]:
        """Yield what happened, window by window in time order; one is kept in memory at a time.

        What cannot be read is noted in :attr:`outcome`, and the rest goes on.

        Raises:
            PumpChoiceError: a person has to say first which pump is meant.
            TconnectsyncError: going on makes no sense.
        """
        time_range = self._as_covered(time_range)
        spans = self._spans(time_range)
        if spans is None:
            return
        border = _Border()
        for window in windows(time_range, self.source.window_days, self.clock):
            yield self._window(window, border, is_last=window.end >= time_range.end)
        if border.is_empty and not self.outcome.failures:
            work = (time_range, self.features)
            self.outcome.remark(empty_log(spans, time_range, self.clock), work)

    def _window(self, window: TimeRange, border: _Border, *, is_last: bool) -> Window:
        found, statuses, has_hole = self._read(window)
        told = border.passed(window, found, has_hole=has_hole, is_last=is_last)
        return Window(
            window,
            [event for event in told if not isinstance(event, Reading)],
            [event for event in told if isinstance(event, Reading)],
            statuses,
        )

    def taken(self, reader: Reader, read: TimeRange, events: Sequence[Found]) -> Sequence[Found]:
        """Return the events that touch the range that was read, each with its pump.

        A reader knows less of the others: it may report the whole of a bolus for its parts.
        """
        return [_named(event, reader) for event in events if _touches(event, read)]

    def _as_covered(self, time_range: TimeRange) -> TimeRange:
        """Return the part of a range that a saved log can say something about."""
        if not self.covered:
            return time_range
        first, last = self.clock.days(self.covered)
        asked_first, asked_last = self.clock.days(time_range)
        if asked_first < first or asked_last > last:
            text = f"The saved log is about {first} to {last}: it says nothing about other days."
            self.outcome.remark([Remark(text, missing=False, asks_something=False)])
        start = max(time_range.start, self.covered.start)
        return TimeRange(start, min(time_range.end, self.covered.end))

    def _spans(self, time_range: TimeRange) -> Sequence[PumpSpan] | None:
        """Return the pumps of the account, and note the days that none covers.

        If that fails, it is noted, and ``None`` is returned.
        """
        try:
            spans = self.pumps(time_range)
        except PumpChoiceError:
            raise
        except TconnectsyncError as error:
            if error.fatal:
                raise
            self.outcome.failed(time_range, self.features, error)
            return None
        self.outcome.remark(coverage(spans, time_range, self.clock))
        return spans

    def _read(
        self, window: TimeRange
    ) -> tuple[dict[Name, Event | Reading], Sequence[DeviceStatus], bool]:
        """Return what touches a window, what was noted in it, and whether something failed."""
        failed_before = len(self.outcome.failures)
        reader = self.source.read(window)
        features, asked_for = self.features, parts_of(self.features)
        if STATUS not in self.lacking:
            asked_for["statuses"] = (STATUS,)
        parts = collect_parts(self, reader, window, features, asked_for, self.outcome)
        statuses = sorted(parts.pop("statuses", []), key=attrgetter("at"))
        found = _each_once(event for part in parts.values() for event in part)
        return found, statuses, len(self.outcome.failures) > failed_before


@dataclass
class _Border:
    """What is known of earlier windows when the next one is read."""

    given: dict[Name, datetime] = field(default_factory=dict)
    """When the events end that were given with the last window, or reach beyond it."""
    going_on: dict[Name, Event | Reading] = field(default_factory=dict)
    """What went on when the log of the last window ended, and has not been given."""
    follows_hole: bool = True
    """Whether something of the last window could not be read, or there was none."""
    is_empty: bool = True
    """Whether nothing has been given."""

    def passed(
        self,
        window: TimeRange,
        found: Mapping[Name, Event | Reading],
        *,
        has_hole: bool,
        is_last: bool,
    ) -> list[Event | Reading]:
        """Return what of the events that touch a window is to be given with it, in order."""
        events = {
            name: event
            for name, event in found.items()
            if name not in self.given
            and (event.begins >= window.start or name in self.going_on or self.follows_hole)
        }
        for name, event in self.going_on.items():
            events.setdefault(name, event if has_hole else _until(event, window.start))
        self.going_on = {
            name: event
            for name, event in events.items()
            if not is_last and (has_hole or name in found) and _goes_on(event)
        }
        told = [event for name, event in events.items() if name not in self.going_on]
        self.given = {name: ends for name, ends in self.given.items() if ends > window.end}
        self.given |= {_name(event): event.ends for event in told}
        self.is_empty, self.follows_hole = self.is_empty and not told, has_hole
        return sorted(told, key=attrgetter("begins"))


def _named(event: Found, reader: Reader) -> Found:
    if isinstance(event, DeviceStatus):
        return event
    pump = reader.pump_of(event)
    return replace(event, pump=pump) if pump else event


def _touches(event: Event | Reading | DeviceStatus, time_range: TimeRange) -> bool:
    """Return whether something happens in a range; nothing does in a basal without duration."""
    if isinstance(event, Basal | Bolus | UserMode) and event.begins < time_range.start:
        return event.ends > time_range.start
    is_nothing = isinstance(event, Basal) and not event.duration
    return time_range.start <= event.begins < time_range.end and not is_nothing


def _name(event: Event | Reading) -> Name:
    return type(event), event.key


def _each_once(events: Iterable[Event | Reading]) -> dict[Name, Event | Reading]:
    """Return events by their names; of one that was read twice, what is known for longer."""
    found: dict[Name, Event | Reading] = {}
    for event in events:
        other = found.get(_name(event))
        if other is None or event.ends > other.ends:
            found[_name(event)] = event
    return found


def _goes_on(event: Event | Reading) -> bool:
    if isinstance(event, Bolus):
        return event.completed is None
    return isinstance(event, Basal | UserMode) and event.running


def _until(event: Event | Reading, border: datetime) -> Event | Reading:
    """Return an event of which the window after the border knows no more, so others follow it."""
    if isinstance(event, Basal) and event.ends > border:
        return replace(event, duration=border - event.start)
    return event
