"""The log of one pump on Tandem Source, from which everything is read.

See tandem-source-api §4 and tandem-source-processing. The log of a range is fetched once,
whatever is read from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Container, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import date, datetime, timedelta

from tconnectsync.api.clients import TConnectApi
from tconnectsync.domain.clock import DAY, PumpClock, TimeRange
from tconnectsync.errors import ApiError, TconnectsyncError
from tconnectsync.sources.base import NewestData, Remark
from tconnectsync.sources.tandemsource.basals import basals
from tconnectsync.sources.tandemsource.boluses import doses
from tconnectsync.sources.tandemsource.clock.changes import CLOCK_CODES
from tconnectsync.sources.tandemsource.log.codes import WEB_APP_CODES
from tconnectsync.sources.tandemsource.log.logentries import Log, entries_of
from tconnectsync.sources.tandemsource.log.records import EVERY_CODE
from tconnectsync.sources.tandemsource.pumps import wrongdates
from tconnectsync.sources.tandemsource.pumps.clockmessages import disagreement
from tconnectsync.sources.tandemsource.pumps.logdays import Ask, LogDays
from tconnectsync.sources.tandemsource.pumps.pumps import Pump
from tconnectsync.sources.tandemsource.reader import LONGEST_LOOK_BACK, LogReader
from tconnectsync.sources.tandemsource.status import reservoir

DAYS_FOR_STATUS = 3
"""With the day before a range, these are four days in which the pump may have reported the insulin
left: a cartridge seldom lasts longer."""
STATUS_CODES = frozenset((*reservoir.CODES, *doses.CODES, *basals.CODES)).intersection(
    WEB_APP_CODES
)
REFUSED = 400
"""The status with which the cloud refuses a question."""
SOMEWHAT = timedelta(hours=6)
"""Events that ended this long before a range are ignored."""


@dataclass(eq=False)
class PumpLog:
    """Reads the log of one pump.

    Where the cloud refuses to give out entries of all kinds, those of Tandem's web app are asked
    for (docs/protocol/tandem-source-api.md §4.4).

    Args:
        api: Tandem's clients.
        clock: knows the zone of the pump's clock.
        pump: whose log it is.
        used: the codes of the entries that something is made of.
        codes: the codes that are asked for; ``None`` for all.
        ignore_zero_basals: whether basals without insulin are left out.
        now: returns the current instant.
        say: is given sentences for the user, each as often as it comes up.
        extra: codes that are asked for besides, for as long as the cloud takes them.
        may_be_in_use: whether it matters which date the pump shows now.
    """

    api: TConnectApi
    clock: PumpClock
    pump: Pump
    _: KW_ONLY
    used: frozenset[int]
    codes: Sequence[int] | None
    ignore_zero_basals: bool
    now: Callable[[], datetime]
    say: Callable[[str], None]
    extra: Sequence[int] = ()
    may_be_in_use: bool = True

    def read(
        self,
        time_range: TimeRange,
        looks_back: Callable[[Sequence[int]], bool] = lambda codes: True,
    ) -> LogReader:
        """Return a reader for ``time_range``; nothing is fetched yet.

        It gets the log of the range and a day around it, because the cloud goes by the pump's wall
        clock, which may be off by a journey. ``looks_back`` says whether the last entry of some
        codes before that is of any use.
        """
        first, last = self.clock.day(time_range.start) - DAY, self.clock.day(time_range.end) + DAY
        remarks: list[Remark] = []
        newest: list[NewestData] = []

        def get(codes: Sequence[int] | None, used: Container[int], skipped: Counter[str]) -> Log:
            days = self.days(first, last, codes)
            log = days.placed(used, self.now(), skipped)
            if at := days.log_clock.newest:
                newest[:] = [NewestData(at, self.pump.uploaded)]
            if not remarks:
                remarks.extend(self._date_remarks(days, time_range))
            return log

        get_whole = _asked_once(lambda skipped: get(None, EVERY_CODE, skipped))

        def fetch(skipped: Counter[str]) -> Log:
            is_whole = self.codes is None or self.pump.lacks_control_iq
            if is_whole and (found := get_whole(skipped)) is not None:
                return {code: entries for code, entries in found.items() if code in self.used}
            return get(self.codes or WEB_APP_CODES, self.used, skipped)

        return LogReader(
            fetch,
            before=lambda codes: self._last_before(first, codes) if looks_back(codes) else None,
            earlier=lambda: self.entries(first - DAYS_FOR_STATUS * DAY, first - DAY, STATUS_CODES),
            since=time_range.start - SOMEWHAT,
            time_range=time_range,
            whole=get_whole,
            ignore_zero_basals=self.ignore_zero_basals,
            remarks=remarks,
            newest_data=lambda: newest[0] if newest and self.pump.uploaded else None,
        )

    def entries(self, first: date, last: date, codes: Collection[int]) -> Log:
        """Return the entries of some codes from one day to another, inclusive, placed in time."""
        days = self.days(first, last, self.codes, sorted(CLOCK_CODES.union(codes)))
        return days.placed(codes, self.now(), Counter())

    def days(
        self, first: date, last: date, codes: Sequence[int] | None, few: Sequence[int] = ()
    ) -> LogDays:
        """Return what the pump's log says from one day to another, inclusive.

        ``few`` are codes that are enough, unless only all entries together show when each was
        written.
        """

        def asking(kinds: Sequence[int] | None) -> Ask:
            extra = self.extra if kinds and kinds is self.codes else ()
            log_of = self.api.tandemsource.pump_logs
            return lambda start, end: log_of(self.pump.assignment_id, start, end, kinds, extra)

        only_few = asking(few) if few else None
        found = LogDays(asking(codes), self.pump, self.clock, first, last, only_few)
        self.say(disagreement(found.log_clock))
        return found

    def _date_remarks(self, days: LogDays, time_range: TimeRange) -> list[Remark]:
        """Return what people have to know of the date that the pump shows now."""
        if not self.may_be_in_use:
            return []
        try:
            return wrongdates.remarks(days, time_range, self.now())
        except TconnectsyncError as error:
            # What is only asked to judge the clock must not hold back what is known.
            if error.fatal:
                raise
            self.say(f"The pump's date could not be checked. {error}")
            return []

    def _last_before(self, day: date, codes: Sequence[int]) -> Log | None:
        """Return the last entry of some codes before a day; ``None`` if it cannot be read.

        The steps back grow, because the entry is usually near. A day that cannot be read makes them
        small again: the entry may be after it.
        """
        earliest, step = day - LONGEST_LOOK_BACK, DAY
        while day > earliest:
            first = max(day - step, earliest)
            try:
                found = list(entries_of(self.entries(first, day - DAY, codes), *codes))
            except TconnectsyncError as error:
                if error.fatal:
                    raise
                if step == DAY:
                    self.say(_gap(first, error))
                    return None
                step = DAY
                continue
            if found:
                return {found[-1].code: found[-1:]}
            day, step = first, 2 * step
        return {}


def _asked_once(
    get_all: Callable[[Counter[str]], Log],
) -> Callable[[Counter[str]], Log | None]:
    """Return a function that gets the log with entries of all kinds, asking for it once.

    It returns ``None`` if the cloud refuses to give them out (tandem-source-api §4.4).
    """
    answers: list[Log | None] = []

    def get_whole(skipped: Counter[str]) -> Log | None:
        if not answers:
            counted: Counter[str] = Counter()
            try:
                answers.append(get_all(counted))
            except ApiError as error:
                if error.status != REFUSED:
                    raise
                answers.append(None)
            # What the other answer held as well is not there twice.
            skipped |= counted
        return answers[0]

    return get_whole


def _gap(day: date, error: TconnectsyncError) -> str:
    return (
        f"The pump's log of {day} cannot be read. {str(error).removesuffix('.')}. A suspension, "
        "sleep or exercise that began then or earlier and lasted for more than a day is left "
        f"out. When it works again, get it with --start-date {day} and --end-date of its last "
        "day."
    )
