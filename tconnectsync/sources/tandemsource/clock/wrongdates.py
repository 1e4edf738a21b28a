"""A pump's log where its clock showed a wrong date: which other days to ask for, what to say.

Tandem Source keeps the log by the pump's calendar, and tells all changes of its clock with every
answer. See tandem-source-api §4.6, tandem-event-log §10.8, tandem-source-processing §16.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.domain.words import days_in_words
from tconnectsync.sources.base import Remark
from tconnectsync.sources.tandemsource.clock.changes import CLOCK_CODES, clock_changes
from tconnectsync.sources.tandemsource.clock.hypotheses import SLOW
from tconnectsync.sources.tandemsource.clock.intervals import WIDEST, ClockChange, Place, is_by_days
from tconnectsync.sources.tandemsource.clock.logclock import FIRST_SOLD, LogClock
from tconnectsync.sources.tandemsource.clock.walldays import without
from tconnectsync.sources.tandemsource.logentries import Entry, Log, by_code
from tconnectsync.sources.tandemsource.pumps import Pump
from tconnectsync.sources.tandemsource.records import Record, records_of

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
MONTH, YEAR = timedelta(days=32), timedelta(days=366)
RECENT = timedelta(days=14)
"""A pump that uploaded within this time is in use, whatever its clock shows."""

Payload = dict[str, list[Any]]
Ask = Callable[[date, date], Payload]
"""Asks the cloud for the log from one day of the pump's calendar to another, inclusive."""


@dataclass(frozen=True)
class WrongDate:
    """The pump's clock shows a wrong date now."""

    text: str
    """What it is, what it means and what to do."""
    since: datetime
    """From when on entries are missing, or stand at a time that is not quite sure."""
    is_sure: bool = True
    """Whether the log proves it; else the pump may just not have been in use."""


@dataclass
class PumpDays:
    """The log of one pump over some days, those included that its clock showed in their stead.

    Args:
        ask: asks the cloud; the answers hold entries of all kinds that are ever asked for.
        pump: whose log it is.
        clock: knows the zone of the pump's clock.
        first: the first day of the pump's calendar.
        last: the last one, inclusive.
        few: if given, asks for what is wanted only, where the time of entries is in no doubt.
    """

    ask: Ask
    pump: Pump
    clock: PumpClock
    first: date
    last: date
    few: Ask | None = None
    log_clock: LogClock = field(init=False)
    """The clock by which entries are placed."""
    events: list[Any] = field(init=False)
    """All that was answered."""
    _changes: list[ClockChange] = field(init=False)
    _asked: list[tuple[date, date]] = field(init=False)
    _is_silent: bool = field(init=False, default=False)
    """Whether there is no entry that was written by the clock as it was last set."""

    def __post_init__(self) -> None:
        """Ask for the days, and for others that the clock showed meanwhile.

        A further answer brings no more changes of the clock, so one round is enough.
        """
        payload = (self.few or self.ask)(self.first, self.last)
        self._asked = [(self.first, self.last)]
        self.events = payload["events"]
        told = payload["clockChanges"] + payload["events"]
        self._changes = clock_changes(records_of(told, CLOCK_CODES, Counter()))
        if self.few and self._is_in_doubt():
            self.events = self.ask(self.first, self.last)["events"]
        self.log_clock = self._clock_with(self.pump.newest)
        newest = self._newest()
        if newest != self.pump.newest:
            self.log_clock = self._clock_with(newest)
        for first, last in without(self._shown(), self._asked):
            self._ask_for(first, last)

    def placed(self, used: Container[int], now: datetime, skipped: Counter[str]) -> Log:
        """Return the entries with the ``used`` codes that were written in these days."""
        log = by_code(records_of(self.events, used, skipped), self.log_clock, now, skipped)
        if len(self._asked) == 1 and not self.log_clock.had_a_wrong_date:
            return log
        return {code: [each for each in log[code] if self._is_within(each)] for code in log}

    def wrong_date(self) -> WrongDate | None:
        """Return what there is to say if the clock shows a wrong date now, as far as can be told.

        It may ask for another day to be sure.
        """
        if ahead := self.log_clock.days_off:
            return self._on_record(ahead)
        newest, uploaded = self.pump.newest, self.pump.uploaded
        if not newest or not uploaded:
            return None
        lag = self.log_clock.lag
        if self._is_silent or (lag and lag > SLOW):
            return self._behind(newest, uploaded)
        ahead = self.clock.instant(newest) - uploaded
        if ahead > DAY and not self._is_explained(newest) and self._has_entries_of(newest):
            return WrongDate(
                f"The pump's clock is {days_in_words(ahead)} ahead: its newest entry is of "
                f"{newest:%Y-%m-%d %H:%M}, but was uploaded on {self._local(uploaded)}. "
                f"{_until_set(uploaded)}",
                uploaded - DAY,
            )
        if self.pump.oldest and self._has_fallen_back(self.pump.oldest, newest):
            since = self.clock.instant(newest)
            return WrongDate(
                f"The pump's clock shows a date in {self.pump.oldest.year}, as after an empty "
                f"battery. {_until_set(self.clock.here(since))}",
                since,
            )
        return None

    def remarks(self, wanted: TimeRange, now: datetime) -> list[Remark]:
        """Return what people must be told of a wrong date that the clock shows now."""
        wrong = self.wrong_date()
        if not wrong:
            return []
        uploaded = self.pump.uploaded or now
        touches = wrong.since < wanted.end and wanted.start < uploaded + DAY
        if not touches and now - uploaded > RECENT:
            return []
        return [Remark(wrong.text, missing=wrong.is_sure, heals=wrong.is_sure and touches)]

    def _clock_with(self, newest: datetime | None) -> LogClock:
        return LogClock(
            self.clock,
            self._changes,
            newest=newest,
            uploaded=self.pump.uploaded,
            oldest=self.pump.oldest,
        )

    def _shown(self) -> list[tuple[date, date]]:
        """Return the days that the clock showed in this time, those of a wrong date generously."""
        inner = TimeRange(self._begin + DAY, self._end - DAY)
        return self.log_clock.wall_days(inner, around=DAY)

    @property
    def _begin(self) -> datetime:
        return self.clock.midnight(self.first)

    @property
    def _end(self) -> datetime:
        return self.clock.midnight(self.last + DAY)

    def _ask_for(self, first: date, last: date) -> None:
        for start, end in without([(first, last)], self._asked):
            self.events += self.ask(start, end)["events"]
            self._asked.append((start, end))

    def _is_in_doubt(self) -> bool:
        """Tell whether only the order of all entries says which of these days have a wrong date."""
        return any(is_by_days(each) and each.before.date() >= self.first for each in self._changes)

    def _newest(self) -> datetime | None:
        """Return the newest wall time that was written by the clock as it was last set, if known.

        After it was set back by days, the latest wall time is for as long an older one. Then what
        was written about the last upload tells, in days by the zone or by the clock before.
        """
        change, uploaded = self.log_clock.changed_by_days, self.pump.uploaded
        newest = self.pump.newest
        if not change or not uploaded or not newest or change.exact_shift > timedelta(0):
            return newest
        if newest > change.before + MINUTE:
            return newest
        wall = self.clock.here(uploaded).replace(tzinfo=None)
        for about in (wall, wall + change.exact_shift):
            self._ask_for(about.date() - DAY, about.date() + DAY)
            found = [
                record.wall
                for record in self._records()
                if _place(record) >= change.place and abs(record.wall - about) <= SLOW
            ]
            if found:
                return found[-1]
        self._is_silent = True
        return None

    def _records(self) -> list[Record]:
        """Return the entries so far that have a time, of whatever kind."""
        return records_of(self.events, _ANY, Counter())

    def _is_within(self, entry: Entry) -> bool:
        """Tell whether an entry was written in these days, or as usual stands under them."""
        shift = entry.at.astimezone(UTC).replace(tzinfo=None) - entry.wall
        if abs(shift) <= WIDEST and self.first <= entry.wall.date() <= self.last:
            return True
        return self._begin <= entry.at < self._end

    def _on_record(self, ahead: timedelta) -> WrongDate:
        change = next((each for each in reversed(self._changes) if is_by_days(each)), None)
        since = self.clock.instant(change.before) if change else self._begin
        return WrongDate(set_wrong(ahead, change), since)

    def _behind(self, newest: datetime, uploaded: datetime) -> WrongDate:
        """Return what to say of a pump that uploads, but has nothing new."""
        since = min(self.clock.instant(newest), uploaded)
        told = (
            f"The pump uploaded on {self._local(uploaded)}, but its newest entry is of "
            f"{newest:%Y-%m-%d %H:%M}"
        )
        if newest.year >= FIRST_SOLD and not self._has_later_entries(newest, uploaded):
            return WrongDate(
                f"{told}. If it was in use since, its clock shows a wrong date: look at the date "
                "on the pump, and set it if it is wrong.",
                since,
                is_sure=False,
            )
        return WrongDate(
            f"{told}: its clock shows a wrong date, as after an empty battery. "
            f"{_until_set(self.clock.here(since))}",
            since,
        )

    def _has_later_entries(self, newest: datetime, uploaded: datetime) -> bool:
        """Tell whether entries written after the ``newest`` stand where a wrong date puts them.

        That is where the log begins, in the weeks before, or a year before the upload.
        """
        year_ago = self.clock.here(uploaded).date() - YEAR
        oldest = self.pump.oldest
        for first, last in (
            (newest.date(), newest.date()),
            (newest.date() - MONTH, newest.date() - DAY),
            (year_ago - DAY, year_ago + 2 * DAY),
            *([(oldest.date(), oldest.date())] if oldest else []),
        ):
            self._ask_for(first, last)
        records = self._records()
        of_newest = [_place(each) for each in records if each.wall.date() == newest.date()]
        others = [_place(each) for each in records if each.wall.date() < newest.date()]
        return bool(of_newest and others) and max(others) > max(of_newest)

    def _local(self, instant: datetime) -> str:
        return f"{self.clock.here(instant):%Y-%m-%d %H:%M}"

    def _is_explained(self, wall: datetime) -> bool:
        """Tell whether the record says that the clock showed such a time and was then set back."""
        return any(change.before + MINUTE >= wall > change.after for change in self._changes)

    def _has_entries_of(self, wall: datetime) -> bool:
        """Tell whether the log holds entries of that day; a date may stand for none."""
        self._ask_for(wall.date(), wall.date())
        return any(record.wall.date() == wall.date() for record in self._records())

    def _has_fallen_back(self, oldest: datetime, newest: datetime) -> bool:
        """Tell whether the log begins years ago with what was written after the newest entry."""
        if oldest.year >= FIRST_SOLD:
            return False
        if any(is_by_days(each) and oldest <= each.before <= newest for each in self._changes):
            return False
        for wall in (oldest, newest):
            self._ask_for(wall.date(), wall.date())
        records = self._records()
        of_then = [_place(each) for each in records if each.wall.date() == oldest.date()]
        of_newest = [_place(each) for each in records if each.wall.date() == newest.date()]
        return bool(of_then and of_newest) and of_then[-1] > of_newest[-1]


def set_wrong(ahead: timedelta, change: ClockChange | None) -> str:
    """Say that somebody has set the clock to a wrong date, and what to do."""
    side = "ahead" if ahead > timedelta(0) else "behind"
    when = f": it was set to {change.after:%Y-%m-%d %H:%M} by mistake" if change else ""
    return (
        f"The pump's clock is {days_in_words(ahead)} {side}{when}. What the pump does is shown at "
        "its true time as far as its log tells, but only to some minutes. Set the date and the "
        "time on the pump; the next sync after its upload then brings these days exactly."
    )


class _Any:
    """Holds every code."""

    def __contains__(self, code: object) -> bool:
        return True


_ANY = _Any()


def _place(record: Record) -> Place:
    return record.group, record.sequence


def _until_set(since: datetime) -> str:
    return (
        "Until it is put right, insulin given meanwhile is missing in Nightscout or stands under a "
        "wrong day. Set the date and the time on the pump; the next sync after its upload then "
        "places these days by itself. For what is older than CATCH_UP_DAYS, sync again with "
        f"--start-date {since:%Y-%m-%d}."
    )
