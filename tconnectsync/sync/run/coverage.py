"""Which days the pumps of the account cover, remarks on the others, and what is new of them.

Pure. Days are days of the pump's calendar.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

from tconnectsync.domain.clock import DAY, LONG_AGO, PumpClock, TimeRange
from tconnectsync.sources.base import PumpSpan, Remark

MOST_NAMED = 5
"""So many ranges of days are named; the others are counted."""
LONGEST_EMPTY = timedelta(hours=12)
"""A pump that is worn delivers something, or records that it does not, in much less time."""
LONGEST_UPLOAD = timedelta(hours=3)
"""The phone uploads about every hour; what is newer than that may follow."""
SHORTEST = timedelta(minutes=15)
"""Shorter times between two pumps are not named: one is taken off, the other put on."""


def coverage(spans: Sequence[PumpSpan], time_range: TimeRange, clock: PumpClock) -> list[Remark]:
    """Return remarks on days that no pump covers, or only one that is left out.

    Of a day on which one that is read has replaced one that is left out, the hours are named. There
    is none on the time after the newest entry: the pump has not uploaded it yet.
    """
    known = [span for span in spans if span.last]
    if not known:
        return []
    begins = [span.first for span in known if span.first]
    begin = min(begins) if len(begins) == len(known) else None
    gaps = _gaps([span for span in known if span.is_read])
    before: list[date] = []
    uncovered: list[date] = []
    others: dict[str, list[date | str]] = {}
    for day, whole in _days(time_range, clock):
        part = TimeRange(max(whole.start, time_range.start), min(whole.end, time_range.end))
        left_out = [span for span in known if not span.is_read and _touches(span, whole)]
        if any(gap.start < part.end and part.start < gap.end for gap in gaps) and not left_out:
            uncovered.append(day)
        elif any(span.is_read and _touches(span, whole) for span in known):
            for span in left_out:
                for hours in _only_of(span, known, part, clock):
                    others.setdefault(span.name, []).append(hours)
        elif left_out:
            others.setdefault(", ".join(span.name for span in left_out), []).append(day)
        elif begin and whole.end <= begin:
            before.append(day)
    return [
        *_said(uncovered, _UNCOVERED, missing=True),
        *(remark for name, days in others.items() for remark in _said(days, _LEFT_OUT, name)),
        *_said(before, _BEFORE, asks_something=False),
    ]


def empty_log(spans: Sequence[PumpSpan], time_range: TimeRange, clock: PumpClock) -> list[Remark]:
    """Return a remark on a pump whose log should end in a range of which nothing was found.

    It is said by the list of pumps alone: the log itself is in a form that is not read, or was not
    given. Without it, that would look like a pump that did nothing.
    """
    ends = [
        span.last
        for span in spans
        if span.is_read
        and span.in_use
        and span.last
        and span.last <= time_range.end
        and span.last - max(time_range.start, span.first or LONG_AGO) >= LONGEST_EMPTY
    ]
    if not ends:
        return []
    until = clock.here(max(ends))
    text = (
        f"Tandem says that it has the pump's data up to {until:%Y-%m-%d %H:%M}, but has given "
        "nothing of its log that could be read. The insulin of this time is missing. The "
        "next run asks again; if this lasts, a newer tconnectsync is needed."
    )
    return [Remark(text, heals=True, changed=True)]


def not_uploaded(
    spans: Sequence[PumpSpan], time_range: TimeRange, clock: PumpClock, now: datetime
) -> list[Remark]:
    """Return a remark on time before today for which no pump has uploaded anything yet.

    Of today, there is what has been uploaded; a day must be over to be missed.
    """
    ends = [span.last for span in spans if span.is_read and span.last]
    until = min(time_range.end, clock.midnight(clock.day(now)))
    newest = max(ends, default=until)
    if until - max(newest, time_range.start) < LONGEST_UPLOAD:
        return []
    text = (
        f"The pump has uploaded nothing after {clock.here(newest):%Y-%m-%d %H:%M}: what it did "
        "since then is missing. If it is in use, check that the phone has a connection and the "
        "pump's app runs."
    )
    return [Remark(text)]


def empty_days(
    known: Collection[date],
    time_range: TimeRange,
    clock: PumpClock,
    now: datetime,
    *,
    every_day: bool,
) -> list[Remark]:
    """Return remarks on the days of which a cloud that names no pumps has nothing at all.

    Args:
        known: the days of which it has something.
        time_range: what was read.
        clock: the pump's.
        now: the current instant; what the pump did today may follow.
        every_day: whether days before the first of the known ones count as missing.
    """
    today = clock.day(now)
    days = [day for day, _ in _days(time_range, clock) if day not in known and day < today]
    first = min(known, default=today)
    before = [day for day in days if day < first]
    return [
        *_said(before, _EMPTY, missing=every_day, asks_something=every_day),
        *_said([day for day in days if day > first], _EMPTY, missing=True),
    ]


def _gaps(read: Sequence[PumpSpan]) -> list[TimeRange]:
    """Return the ranges of a day or more between the logs of the pumps that are read."""
    found: list[TimeRange] = []
    until: datetime | None = None
    # One whose beginning is not known may have begun long ago.
    for span in sorted(read, key=lambda it: it.first or LONG_AGO):
        if until and span.first and span.first - until >= DAY:
            found.append(TimeRange(until, span.first))
        until = max(filter(None, (until, span.last)))
    return found


def _touches(span: PumpSpan, day: TimeRange) -> bool:
    begins_later = span.first is not None and span.first >= day.end
    return not begins_later and span.last is not None and span.last >= day.start


def _only_of(
    left_out: PumpSpan, known: Sequence[PumpSpan], part: TimeRange, clock: PumpClock
) -> list[str]:
    """Return the hours of a day of which only a pump that is left out has data, in words.

    Only before the log of a pump begins, or after it has ended for good: what is newer than its
    last upload may follow.
    """
    read = [span for span in known if span.is_read]
    begin = min((span.first or LONG_AGO for span in read), default=LONG_AGO)
    end = max(span.last for span in read if span.last)
    found = []
    until = min(filter(None, (begin, part.end, left_out.last)))
    since = max(filter(None, (part.start, left_out.first)))
    if until - since >= SHORTEST:
        found.append(TimeRange(since, until))
    if left_out.last and left_out.last - end >= DAY:
        since = max(filter(None, (part.start, end, left_out.first)))
        if part.end - since >= SHORTEST:
            found.append(TimeRange(since, part.end))
    return [
        f"{clock.day(each.start)} {clock.here(each.start):%H:%M} to "
        f"{clock.here(each.end):%H:%M}".replace(" to 00:00", " to midnight")
        for each in found
    ]


def _days(time_range: TimeRange, clock: PumpClock) -> Iterator[tuple[date, TimeRange]]:
    day = clock.day(time_range.start)
    while (start := clock.midnight(day)) < time_range.end:
        yield day, TimeRange(start, clock.midnight(day + DAY))
        day += DAY


_UNCOVERED = (
    "No pump of the account has data for {days}, although there are earlier and later ones: "
    "insulin delivered then is missing. Upload the pump that was worn then from a "
    "computer; data that were never uploaded cannot be synced."
)
_LEFT_OUT = (
    "For {days} only another pump of the account has data ({name}); PUMP_SERIAL_NUMBER leaves it "
    "out. If it was yours, remove PUMP_SERIAL_NUMBER, or set it to that pump's for these days."
)
_EMPTY = "There are no data of the pump for {days}."
_BEFORE = "There are no data for {days}: the account's data begin later."


def _said(
    days: Sequence[date | str],
    sentence: str,
    name: str = "",
    *,
    missing: bool = False,
    asks_something: bool = True,
) -> list[Remark]:
    if not days:
        return []
    ranges: list[tuple[date | str, date | str]] = []
    for day in days:
        before = ranges[-1][1] if ranges else ""
        if isinstance(day, date) and isinstance(before, date) and day - before == DAY:
            ranges[-1] = ranges[-1][0], day
        else:
            ranges.append((day, day))
    words = [f"{one}" if one == last else f"{one} to {last}" for one, last in ranges]
    more = len(words) - MOST_NAMED
    text = ", ".join(words[:MOST_NAMED]) + (f" and {more} further ranges" if more > 0 else "")
    text = sentence.format(days=text, name=name)
    return [Remark(text, missing=missing, asks_something=asks_something)]


def late_since(
    spans: Sequence[PumpSpan],
    known: Mapping[str, datetime],
    time_range: TimeRange,
    earliest: datetime,
) -> datetime:
    """Return from when on the logs of several pumps may hold what earlier runs have not seen.

    A replaced pump may upload its last hours when the new one has been in use for days. How far
    the last run got with the pump in use follows from the newest treatment; but one whose date was
    ahead for a while may be taken for it.

    Args:
        spans: the pumps of the account.
        known: up to when the log of each was known at the last run, by its mark.
        time_range: the range of this run.
        earliest: how far back it may go.
    """
    read = [span for span in spans if span.is_read and span.last and span.last > earliest]
    if len(read) < 2:
        return time_range.start
    new = (
        _news(span, known.get(span.mark), earliest)
        for span in read
        if span.mark in known or not span.in_use
    )
    return max(min([time_range.start, *filter(None, new)]), earliest)


def newest_entries(spans: Iterable[PumpSpan]) -> dict[str, datetime]:
    """Return up to when the logs of the pumps that are read are known now, by their marks."""
    return {span.mark: span.last for span in spans if span.is_read and span.last}


def _news(span: PumpSpan, known: datetime | None, earliest: datetime) -> datetime | None:
    """Return since when the log of a pump may be new to us; ``None`` if nothing is."""
    if known is None:
        return span.first or earliest
    return known if span.last and span.last > known else None
