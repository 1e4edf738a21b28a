"""Basal insulin from the pump's log.

See tandem-source-processing §4, tandem-event-log §7 (279, 11, 12). The pump writes the rate
down every five minutes and whenever it changes, also while it is suspended.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice, takewhile, zip_longest
from operator import attrgetter

from tconnectsync.domain.clock import TimeRange
from tconnectsync.domain.events import Basal
from tconnectsync.domain.limits import MOST_RATE
from tconnectsync.sources.tandemsource.log.codes import BASAL_RATE, RESUMED, SUSPENDED
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log, entries_of
from tconnectsync.sources.tandemsource.log.records import whole

CODES = (SUSPENDED, RESUMED, BASAL_RATE)
SUSPENSIONS = (SUSPENDED, RESUMED)

SUPPORTED = timedelta(minutes=5)
"""How long the rate of an entry is valid."""
NO_GAP = timedelta(minutes=6)
"""If the next entry comes within this time, no entry is missing in between."""

NOTHING = 0
"""The source of a rate when the pump is suspended."""
PROFILE, TEMP = 1, 2
REASONS: dict[int | None, str] = {
    NOTHING: "Suspended",
    PROFILE: "Profile",
    TEMP: "TempRate",
    3: "Algorithm",
    4: "TempRateAndAlgorithm",
}
"""The reason to show of a basal, by the source of its rate."""

_at = attrgetter("at")


def basals(
    log: Log, known_until: datetime, skipped: Counter[str], resumed: Sequence[Entry] = ()
) -> list[Basal]:
    """Return the basal segments in time order, one per entry; a suspension is one of 0 U/h.

    No segment is longer than the log supports: until the next entry, or five minutes where that is
    missing. A suspension lasts until the pump says that it delivers again. What goes on at
    ``known_until``, the newest instant of the log, is marked as running. A segment without duration
    yet is left out: Nightscout would take it as the end of the basal before it. ``resumed`` are
    further entries that end a suspension.
    """
    story = list(entries_of(log, *CODES))
    stops = sorted([*story, *resumed], key=attrgetter("position"))
    suspensions = list(_suspensions(stops if resumed else story, known_until))
    found = [
        Basal(
            key=f"{entry.key} basal",
            start=span.start,
            duration=span.end - span.start,
            rate=0.0,
            reason=REASONS[NOTHING],
            running=running,
            log_ids=(entry.sequence,),
            profile_rate=_profile_rate_when_stopped(story, span),
            suspended=True,
        )
        for entry, span, running in suspensions
    ]
    for entry, after in zip_longest(story, story[1:]):
        # Suspensions follow one another.
        index = bisect_right(suspensions, entry.at, key=lambda it: it[1].start)
        is_suspended = index > 0 and entry.at < suspensions[index - 1][1].end
        if entry.code == BASAL_RATE and not is_suspended:
            end, running = _end(entry, after, known_until)
            basal = _delivered(entry, end - entry.at, running, skipped)
            if basal:
                found.append(basal)
    return sorted((basal for basal in found if basal.duration), key=lambda basal: basal.start)


def begins_suspended(log: Log, since: datetime) -> bool:
    """Return whether the log opens in the middle of a suspension that lasts until ``since``."""
    story = list(entries_of(log, *CODES))
    opening = _opening(story)
    after = story[len(opening)] if len(opening) < len(story) else None
    if after is None:
        return bool(opening)
    return after.at >= since and (bool(opening) or after.code == RESUMED)


def without_opening(log: Log) -> Log:
    """Return the log without the rates of a suspension that it opens in the middle of."""
    opening = _opening(entries_of(log, *CODES))
    return {**log, BASAL_RATE: list(entries_of(log, BASAL_RATE))[len(opening) :]}


def _opening(story: Iterable[Entry]) -> list[Entry]:
    return list(takewhile(lambda entry: _source(entry) == NOTHING, story))


def _suspensions(
    story: Iterable[Entry], known_until: datetime
) -> Iterator[tuple[Entry, TimeRange, bool]]:
    """Yield when the pump was suspended, by which entry, and whether it still is."""
    begun: Entry | None = None
    for entry in story:
        if begun and (
            entry.code != BASAL_RATE
            # It may deliver again although its log has no word of being resumed.
            or (entry.at > begun.at and _source(entry) not in (NOTHING, None))
        ):
            yield begun, TimeRange(begun.at, entry.at), False
            begun = None
        if entry.code == SUSPENDED:
            begun = entry
    if begun:
        yield begun, TimeRange(begun.at, max(begun.at, known_until)), True


def _end(entry: Entry, after: Entry | None, known_until: datetime) -> tuple[datetime, bool]:
    """Return until when an entry's rate is known to hold, and whether it may go on."""
    if after and after.at - entry.at <= NO_GAP:
        return after.at, False
    supported = entry.at + SUPPORTED
    if after:
        return supported, False
    return max(entry.at, min(known_until, supported)), known_until - entry.at <= NO_GAP


def _delivered(
    entry: Entry, duration: timedelta, running: bool, skipped: Counter[str]
) -> Basal | None:
    rate = whole(entry.values, "commandedrate")
    if rate is None or not 0 <= rate <= MOST_RATE * 1000:
        skipped["basal entry without a plausible rate"] += 1
        return None
    return Basal(
        key=entry.key,
        start=entry.at,
        duration=duration,
        rate=rate / 1000,
        reason=REASONS.get(_source(entry), ""),
        running=running,
        log_ids=(entry.sequence,),
        profile_rate=_profile_rate(entry),
        suspended=_source(entry) == NOTHING,
    )


def _profile_rate(entry: Entry) -> float | None:
    rate = whole(entry.values, "profilebasalrate")
    return rate / 1000 if rate is not None and 0 <= rate <= MOST_RATE * 1000 else None


def _profile_rate_when_stopped(story: Sequence[Entry], span: TimeRange) -> float | None:
    """Return the profile's rate when a suspension began, by the first entry of it that says it.

    Of one that was looked up days later, the first entries are not there.
    """
    first, until = bisect_left(story, span.start, key=_at), min(span.start + NO_GAP, span.end)
    within = takewhile(lambda entry: entry.at < until, islice(story, first, None))
    rates = (_profile_rate(entry) for entry in within if entry.code == BASAL_RATE)
    return next((rate for rate in rates if rate is not None), None)


def _source(entry: Entry) -> int | None:
    return whole(entry.values, "commandedratesource")
