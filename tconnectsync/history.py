"""Reads what a pump did over a range of any length, window by window; no Nightscout is needed.

The report, the export and the Python interface are built on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from itertools import chain
from operator import attrgetter

from tconnectsync.domain.clock import DAY, TimeRange
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
from tconnectsync.sync.run.coverage import coverage, empty_days, empty_log, not_uploaded
from tconnectsync.sync.run.outcome import Outcome
from tconnectsync.sync.run.parts import ReadingParts
from tconnectsync.sync.run.window import windows

STATUS = "DEVICE_STATUS"
Identity = tuple[type, str]
"""The type and the key of an event or a reading: the same in every window."""


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
    unknown_days: Sequence[TimeRange] = ()
    """The days of the window, or the parts in it, of which there is nothing, while no pump that is
    read says since when it has data: the cloud may not have them any more. A saved log has none."""


@dataclass(eq=False)
class History(ReadingParts):
    """The story of the pumps of one account, or of one saved log."""

    lacking: frozenset[str] = frozenset()
    """The features that the cloud has no data for."""
    covered: TimeRange | None = None
    """What a saved log covers; ``None`` for a cloud."""
    every_day: bool = True
    """Whether days before the account's first data count as missing, because a person named them;
    else they are only mentioned."""
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
        asked_for, time_range = time_range, self.as_covered(time_range)
        spans = self._spans(time_range)
        if spans is None:
            return
        says_its_days = bool(self.covered) or any(span.is_read for span in spans)
        earlier, known = _EarlierWindows(), set[date]()
        for each in windows(time_range, self.source.window_days, self.clock):
            window = self._window(each, earlier, is_last=each.end >= time_range.end)
            if not says_its_days:
                known |= self._days_of(window.events, window.readings, earlier.going_on.values())
                parts = windows(each, 1, self.clock)
                unknown = [part for part in parts if self.clock.day(part.start) not in known]
                window = replace(window, unknown_days=unknown)
            yield window
        if earlier.are_empty and not self.outcome.failures:
            work = (time_range, self.features)
            self.outcome.remark(empty_log(spans, time_range, self.clock), work)
            if self.outcome.is_complete:
                first, last = self.clock.days(asked_for)
                days = f"for {first}" if first == last else f"from {first} to {last}"
                self.outcome.remark([Remark(f"There are no data of the pump {days}.")])
        elif known:
            for failure in self.outcome.failures:  # Of these days, that is said already.
                known.update(_dates(*self.clock.days(failure.window)))
            every_day = self.every_day
            self.outcome.remark(
                empty_days(known, time_range, self.clock, self.now(), every_day=every_day)
            )

    def _window(self, window: TimeRange, earlier: _EarlierWindows, *, is_last: bool) -> Window:
        found, statuses, has_failed = self._read(window)
        due = earlier.due(window, found, has_failed=has_failed, is_last=is_last)
        return Window(
            window,
            [event for event in due if not isinstance(event, Reading)],
            [event for event in due if isinstance(event, Reading)],
            statuses,
        )

    def _days_of(self, *events: Iterable[Event | Reading]) -> set[date]:
        """Return the days of the pump's calendar on which something happened."""
        day = self.clock.day
        return {it for each in chain(*events) for it in _dates(day(each.begins), day(each.ends))}

    def taken(self, reader: Reader, read: TimeRange, events: Sequence[Found]) -> Sequence[Found]:
        """Return the events that touch the range that was read, each with its pump.

        A reader knows less of the others: it may report the whole of a bolus for its parts.
        """
        return [_with_pump(event, reader) for event in events if _touches(event, read)]

    def as_covered(self, time_range: TimeRange) -> TimeRange:
        """Return the part of a range that a saved log can say something about.

        If that is not all, it is noted.
        """
        if not self.covered:
            return time_range
        first, last = self.clock.days(self.covered)
        asked_first, asked_last = self.clock.days(time_range)
        if asked_first < first or asked_last > last:
            text = f"The saved log is about {first} to {last}: it says nothing about other days."
            self.outcome.remark([Remark(text)])
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
        found = coverage(spans, time_range, self.clock)
        if self.every_day:
            found = [replace(it, missing=True) for it in found]
        found += not_uploaded(spans, time_range, self.clock, self.now())
        self.outcome.remark(found)
        return spans

    def _read(
        self, window: TimeRange
    ) -> tuple[dict[Identity, Event | Reading], Sequence[DeviceStatus], bool]:
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
class _EarlierWindows:
    """What is known of earlier windows when the next one is read."""

    reported: dict[Identity, datetime] = field(default_factory=dict)
    """When each event ends that was reported with the last window, or that reaches beyond it."""
    going_on: dict[Identity, Event | Reading] = field(default_factory=dict)
    """What went on when the log of the last window ended, and is not reported yet."""
    last_failed: bool = True
    """Whether something of the last window could not be read, or there was none."""
    are_empty: bool = True
    """Whether nothing has been reported."""

    def due(
        self,
        window: TimeRange,
        found: Mapping[Identity, Event | Reading],
        *,
        has_failed: bool,
        is_last: bool,
    ) -> list[Event | Reading]:
        """Return which of the events that touch a window are to be reported with it, in order."""
        events = {
            name: event
            for name, event in found.items()
            if name not in self.reported
            and (event.begins >= window.start or name in self.going_on or self.last_failed)
        }
        for name, event in self.going_on.items():
            if name in events:
                events[name] = _with_profile_rate(events[name], event)
            else:
                events[name] = event if has_failed else _until(event, window.start)
        self.going_on = {
            name: event
            for name, event in events.items()
            if not is_last and (has_failed or name in found) and _goes_on(event)
        }
        due = [event for name, event in events.items() if name not in self.going_on]
        self.reported = {name: ends for name, ends in self.reported.items() if ends > window.end}
        self.reported |= {_identity(event): event.ends for event in due}
        self.are_empty, self.last_failed = self.are_empty and not due, has_failed
        return sorted(due, key=attrgetter("begins"))


def _dates(first: date, last: date) -> Iterator[date]:
    return (first + number * DAY for number in range((last - first).days + 1))


def _with_pump(event: Found, reader: Reader) -> Found:
    if isinstance(event, DeviceStatus):
        return event
    pump = reader.pump_of(event)
    return replace(event, pump=pump) if pump else event


def _touches(event: Event | Reading | DeviceStatus, time_range: TimeRange) -> bool:
    """Return whether something happens in a range; nothing does in a basal without duration.

    The end of a bolus does: it counts where it ended, also in the first instant.
    """
    if event.begins < time_range.start:
        if isinstance(event, Bolus):
            return event.ends >= time_range.start
        return isinstance(event, Basal | UserMode) and event.ends > time_range.start
    is_nothing = isinstance(event, Basal) and not event.duration
    return event.begins in time_range and not is_nothing


def _identity(event: Event | Reading) -> Identity:
    return type(event), event.key


def _each_once(events: Iterable[Event | Reading]) -> dict[Identity, Event | Reading]:
    """Return events by their identities; of one that was read twice, what is known for longer."""
    found: dict[Identity, Event | Reading] = {}
    for event in events:
        other = found.get(_identity(event))
        if other is None or event.ends > other.ends:
            found[_identity(event)] = event
    return found


def _goes_on(event: Event | Reading) -> bool:
    if isinstance(event, Bolus):
        return event.completed is None
    return isinstance(event, Basal | UserMode) and event.running


def _with_profile_rate(event: Event | Reading, before: Event | Reading) -> Event | Reading:
    """Return an event with what only the window in which it began may know of it."""
    if isinstance(event, Basal) and isinstance(before, Basal) and event.profile_rate is None:
        return replace(event, profile_rate=before.profile_rate)
    return event


def _until(event: Event | Reading, border: datetime) -> Event | Reading:
    """Return an event of which the window after the border knows no more, so others follow it."""
    if isinstance(event, Basal) and event.ends > border:
        return replace(event, duration=border - event.start)
    return event
