"""Basal insulin of pumps without Control-IQ, which note a rate only when it changes.

See tandem-source-processing §14, tandem-event-log §10.1 (3, 90, 2, 15, 11, 12). Such a rate
may hold for many hours, so it counts only where the log of the pump's day is complete: its numbers
go on without a gap, and nothing in it reports basal insulin in another way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import NamedTuple

from tconnectsync.domain.clock import DAY, LONG_AGO
from tconnectsync.domain.events import Basal
from tconnectsync.sources.tandemsource.basals.basals import NOTHING, REASONS
from tconnectsync.sources.tandemsource.basals.rates import (
    RATE_CODES,
    RESUMES,
    Flow,
    Rates,
    profile_rate_of,
    rate_of,
)
from tconnectsync.sources.tandemsource.clock.changes import CLOCK_CODES
from tconnectsync.sources.tandemsource.log.codes import (
    BASAL_RATE,
    NEW_ALGORITHM,
    NEW_DAY,
    RATE_CHANGE,
)
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log, entries_of, in_order
from tconnectsync.sources.tandemsource.log.records import mask

GOES_ON = timedelta(minutes=6)
"""When the next entry comes no later than that, the pump was not switched off in between."""
TOO_EARLY = timedelta(minutes=10)
"""A pump with Control-IQ has noted its rate in another way by then."""

GAPS = "its log of that time has gaps, so a change of the rate may be missing"
ANOTHER_ALGORITHM = "its log of that time also reports doses in a form that is not understood yet"
BOTH_WAYS = "it began to note its rates in another way on that day, as it does after an update"


class Section(NamedTuple):
    """A day of the pump's calendar in its log; several if the clock was set back over midnight."""

    days: frozenset[date]
    entries: Sequence[Entry]
    """In the order of the log."""
    end: datetime
    """Until when the log supports its last rate."""
    is_last: bool
    """Whether nothing follows it in the log."""
    follows: bool
    """Whether it goes on right where the section before it ends."""
    rejection: str
    """Why no basal can be made of it; empty if one can."""


def days_in_question(log: Log) -> set[date]:
    """Return the days of which rates are reported by changes only, as far as is known yet."""
    already_shown = {entry.wall.date() for entry in log.get(BASAL_RATE, ())}
    last = max((entries[-1].at for entries in log.values() if entries), default=LONG_AGO)
    return {
        day
        for entry in entries_of(log, *RATE_CODES)
        if (day := entry.wall.date()) not in already_shown and entry.at + TOO_EARLY <= last
    }


def days_of_an_update(log: Log) -> set[date]:
    """Return the days on which the pump began to note rates every five minutes, but not at once."""
    first: dict[date, Entry] = {}
    for entry in log.get(BASAL_RATE, ()):
        first.setdefault(entry.wall.date(), entry)
    changes: dict[date, Entry] = {}
    for entry in entries_of(log, *RATE_CODES):
        if rate_of(entry):
            changes.setdefault(entry.wall.date(), entry)
    return {
        day
        for day, entry in first.items()
        if day - DAY not in first
        and day in changes
        and changes[day].at + TOO_EARLY < entry.at
        and any(
            changes[day].at + TOO_EARLY <= other.at < entry.at
            for entries in log.values()
            for other in entries
        )
    }


def sections(log: Log) -> list[Section]:
    """Return the days of a log that has entries of all kinds, in its order."""
    whole = in_order(log)
    places: dict[date, tuple[int, int]] = {}
    for place, entry in enumerate(whole):
        day = entry.wall.date()
        places[day] = (places.get(day, (place, place))[0], place)
    return [_section(whole, *span) for span in _apart(sorted(places.values()))]


def resumptions(found: Iterable[Section]) -> list[Entry]:
    """Return the changes of rate that say that a suspension is over."""
    return [
        entry
        for section in found
        if not section.rejection
        for entry in section.entries
        if entry.code == RATE_CHANGE
        and (mask(entry.values, "changetype") or 0) & RESUMES
        and rate_of(entry)
    ]


def basals(
    found: Iterable[Section], suspensions: Sequence[Basal], earlier: Entry | None
) -> tuple[list[Basal], list[Entry]]:
    """Return the basal segments of sections, and the entries after which no rate is known.

    Args:
        found: the sections, in order.
        suspensions: the time that is reported as suspended already.
        earlier: the last change of rate before the first of the sections, if known.
    """
    segments: list[Basal] = []
    unclear: list[Entry] = []
    rates = Rates(earlier)
    for section in found:
        if section.rejection:
            changes = [entry for entry in section.entries if entry.code == RATE_CHANGE]
            rates = Rates(changes[-1] if changes else rates.newest_change)
            continue
        if not section.follows:
            rates = Rates(rates.newest_change)
        if any(is_within(section.entries[0], each) for each in suspensions):
            rates.stop()
        segments += _segments(section, rates)
        unclear += rates.unclear
        rates.unclear = []
    return segments, unclear


def _segments(section: Section, rates: Rates) -> Iterator[Basal]:
    """Yield what flows at which rate from each entry on that changes it."""
    points: list[tuple[Entry, Flow | None, str]] = []
    for place, entry in enumerate(section.entries):
        before = rates.flow
        if entry.code == NEW_DAY and _is_by_product(section.entries, place):
            is_news = False
        else:
            is_news = rates.note(entry, section.entries[place + 1 :])
        if is_news or (place == 0 and before):
            points.append(
                (entry, rates.flow, "" if entry.code in RATE_CODES and is_news else " basal")
            )
    ends = [*(entry.at for entry, _, _ in points), section.end][1:]
    for (entry, flow, suffix), end in zip(points, ends, strict=True):
        if flow and end > entry.at:
            yield Basal(
                key=f"{entry.key}{suffix}",
                start=entry.at,
                duration=end - entry.at,
                rate=flow.rate,
                reason=REASONS[flow.source],
                running=section.is_last and entry is points[-1][0],
                log_ids=(entry.sequence,),
                profile_rate=profile_rate_of(entry, flow),
                suspended=flow.source == NOTHING,
            )


def _section(whole: Sequence[Entry], first: int, last: int) -> Section:
    entries = whole[first : last + 1]
    days = frozenset(entry.wall.date() for entry in entries)
    midnight = _midnight(whole, first)
    # What is missing before the pump says that the day begins is missing from the day before.
    since = first if midnight is None else midnight
    has_gap = not _is_gapless(whole[since : last + 1])
    follows = first > 0 and _is_gapless(whole[first - 1 : since + 1])
    if midnight is None and first and not follows:
        has_gap |= whole[first - 1].wall.date() == min(days) - DAY
    end, after = entries[-1].at, whole[last + 1] if last + 1 < len(whole) else None
    if after and _is_next(entries[-1], after):
        if _midnight(whole, last + 1) is not None or after.at - end <= GOES_ON:
            end = after.at
    elif after:
        has_gap |= after.wall.date() == max(days) + DAY
    codes = {entry.code for entry in entries}
    rejection = GAPS if has_gap else ""
    if BASAL_RATE in codes:
        rejection = BOTH_WAYS
    elif codes & NEW_ALGORITHM:
        rejection = ANOTHER_ALGORITHM
    return Section(days, entries, end, after is None, follows, rejection)


def _apart(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join spans, given in order, that overlap."""
    found: list[tuple[int, int]] = []
    for first, last in spans:
        if found and first < found[-1][1]:
            first, last = found[-1][0], max(last, found.pop()[1])
        found.append((first, last))
    return found


def _is_next(entry: Entry, after: Entry) -> bool:
    return after.group == entry.group and after.sequence == entry.sequence + 1


def _is_gapless(entries: Sequence[Entry]) -> bool:
    return all(_is_next(*each) for each in pairwise(entries))


def _midnight(whole: Sequence[Entry], place: int) -> int | None:
    """Return where the pump says that a day begins, in the second of an entry or never."""
    second = whole[place].wall
    if second.time() != time.min:
        return None
    while place < len(whole) and whole[place].wall == second:
        if whole[place].code == NEW_DAY and not _is_by_product(whole, place):
            return place
        place += 1
    return None


def _is_by_product(entries: Sequence[Entry], place: int) -> bool:
    """Return whether a new day is reported only because the clock was set over midnight."""
    after = entries[place + 1] if place + 1 < len(entries) else None
    return after is not None and after.code in CLOCK_CODES and _is_next(entries[place], after)


def is_within(entry: Entry, suspension: Basal) -> bool:
    """Return whether an entry was written while the pump is known to have been suspended."""
    after_begin = suspension.suspended and suspension.start < entry.at
    return bool(after_begin) and (suspension.running or entry.at < suspension.ends)
