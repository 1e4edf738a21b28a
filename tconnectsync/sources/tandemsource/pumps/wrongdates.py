"""Whether a pump's clock shows a wrong date now, and the remarks about it.

See tandem-source-api §4.6, tandem-event-log §10.8, tandem-source-processing §16.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from tconnectsync.domain.clock import DAY, MINUTE, TimeRange
from tconnectsync.sources.base import Remark
from tconnectsync.sources.tandemsource.clock.changes import FIRST_SOLD, LogPosition
from tconnectsync.sources.tandemsource.clock.hypotheses import SLOW
from tconnectsync.sources.tandemsource.pumps import clockmessages
from tconnectsync.sources.tandemsource.pumps.logdays import LogDays

MONTH, YEAR = 32 * DAY, 366 * DAY
RECENT = 14 * DAY
"""A pump that uploaded within this time is in use, whatever its clock shows."""


class WrongDate(NamedTuple):
    """The pump's clock shows a wrong date now."""

    text: str
    """What it is, what it means and what to do."""
    since: datetime
    """From when on entries are missing, or stand at a time that is not quite sure."""
    is_sure: bool = True
    """Whether the log proves it; else the pump may just not have been in use."""


def remarks(days: LogDays, time_range: TimeRange, now: datetime) -> list[Remark]:
    """Return what people have to know of a wrong date that the clock shows now."""
    wrong = wrong_date(days)
    if not wrong:
        return []
    uploaded = days.pump.uploaded or now
    touches = wrong.since < time_range.end and time_range.start < uploaded + DAY
    if not touches and now - uploaded > RECENT:
        return []
    heals = wrong.is_sure and touches
    return [Remark(wrong.text, missing=wrong.is_sure, heals=heals, pump_or_clock=True)]


def wrong_date(days: LogDays) -> WrongDate | None:
    """Return what is wrong if the clock shows a wrong date now, as far as can be seen.

    It may ask for another day to be sure.
    """
    clock, pump, log_clock = days.clock, days.pump, days.log_clock
    if log_clock.shows_wrong_date:
        change = next((each for each in reversed(days.changes) if each.is_by_days), None)
        since = clock.instant(change.before) if change else days.begin
        return WrongDate(clockmessages.set_wrong(log_clock.ahead, change), since)
    newest, uploaded = pump.newest, pump.uploaded
    if not newest or not uploaded:
        return None
    if days.lacks_newest or (log_clock.lag and log_clock.lag > SLOW):
        return _nothing_new(days, newest, uploaded)
    ahead = clock.instant(newest) - uploaded
    # By the record, the clock may have shown that date and then been set back.
    was_set_back = any(it.before + MINUTE >= newest > it.after for it in days.changes)
    if ahead > DAY and not was_set_back:
        # A date may stand for no entry.
        days.ask_for(newest.date(), newest.date())
        if any(record.wall.date() == newest.date() for record in days.records()):
            text = clockmessages.uploaded_ahead(ahead, newest, clock.here(uploaded), uploaded)
            return WrongDate(text, uploaded - DAY)
    if pump.oldest and _has_fallen_back(days, pump.oldest, newest):
        since = clock.instant(newest)
        text = clockmessages.lost_its_date(pump.oldest.year, clock.here(since))
        return WrongDate(text, since)
    return None


def _nothing_new(days: LogDays, newest: datetime, uploaded: datetime) -> WrongDate:
    """Return what is wrong with a pump that uploads, but has nothing new."""
    since = min(days.clock.instant(newest), uploaded)
    is_sure = newest.year < FIRST_SOLD or _has_later_entries(days, newest, uploaded)
    here = days.clock.here
    text = clockmessages.nothing_new(newest, here(uploaded), here(since), is_sure=is_sure)
    return WrongDate(text, since, is_sure)


def _has_later_entries(days: LogDays, newest: datetime, uploaded: datetime) -> bool:
    """Return whether entries written after the ``newest`` stand where a wrong date puts them.

    That is where the log begins, in the weeks before, or a year before the upload.
    """
    year_ago = days.clock.here(uploaded).date() - YEAR
    oldest = days.pump.oldest
    days.ask_for(newest.date(), newest.date())
    days.ask_for(newest.date() - MONTH, newest.date() - DAY)
    days.ask_for(year_ago - DAY, year_ago + 2 * DAY)
    if oldest:
        days.ask_for(oldest.date(), oldest.date())
    of_newest = _positions(days, lambda wall: wall.date() == newest.date())
    others = _positions(days, lambda wall: wall.date() < newest.date())
    return bool(of_newest and others) and max(others) > max(of_newest)


def _has_fallen_back(days: LogDays, oldest: datetime, newest: datetime) -> bool:
    """Return whether the log begins years ago with what was written after the newest entry."""
    if oldest.year >= FIRST_SOLD:
        return False
    if any(each.is_by_days and oldest <= each.before <= newest for each in days.changes):
        return False
    for wall in (oldest, newest):
        days.ask_for(wall.date(), wall.date())
    of_oldest = _positions(days, lambda wall: wall.date() == oldest.date())
    of_newest = _positions(days, lambda wall: wall.date() == newest.date())
    return bool(of_oldest and of_newest) and max(of_oldest) > max(of_newest)


def _positions(days: LogDays, is_meant: Callable[[datetime], bool]) -> list[LogPosition]:
    """Return the log positions of the entries with such wall times."""
    return [(it.group, it.sequence) for it in days.records() if is_meant(it.wall)]
