"""Part of the pump's log, read as the kinds of events that a cycle asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time, timedelta

from tconnectsync.domain.clock import DAY, LONG_AGO, TimeRange
from tconnectsync.domain.events import (
    Basal,
    Bolus,
    CarbEntry,
    DeviceStatus,
    InsulinOnBoard,
    PumpEvent,
    Reading,
    UserMode,
)
from tconnectsync.sources.base import NewestData, Reader, Remark
from tconnectsync.sources.cachedcall import CachedCall
from tconnectsync.sources.tandemsource import pumpevents, sensor, usermodes
from tconnectsync.sources.tandemsource.basals import basals, ratechanges, rates, slowbasals
from tconnectsync.sources.tandemsource.basals.slowbasals import SlowDays
from tconnectsync.sources.tandemsource.boluses import (
    boluses,
    carbs,
    doses,
    glucosekind,
    newalgorithm,
)
from tconnectsync.sources.tandemsource.log import unreadable
from tconnectsync.sources.tandemsource.log.codes import (
    BASAL_IQ,
    BASAL_RATE,
    NEW_ALGORITHM,
    NEW_DAY,
    OTHER_SENSORS,
    RATE_CHANGE,
    SENSORS,
    USER_MODE,
)
from tconnectsync.sources.tandemsource.log.logentries import (
    Entry,
    Log,
    entries_of,
    in_order,
    joined,
)
from tconnectsync.sources.tandemsource.status import status

USED = frozenset(
    (
        *basals.CODES,
        *doses.CODES,
        *usermodes.CODES,
        *pumpevents.CODES,
        *sensor.CODES,
        *status.CODES,
        *rates.CODES,
        *NEW_ALGORITHM,
        *carbs.CODES,
        *glucosekind.CODES,
        *unreadable.CODES,
    )
)
"""The codes of the entries that something is made of."""
LONG_LASTING = (*basals.SUSPENSIONS, USER_MODE, RATE_CHANGE)
"""The codes of entries that report something that can have begun days ago."""
LONGEST_LOOK_BACK = timedelta(days=14)
"""How far before a range they are looked for."""
ZERO_RATE = 0.01
"""Basal rates of a profile below that (U/h) count as none."""


class LogReader(Reader):
    """Reads one range of the log; see :class:`tconnectsync.sources.base.Reader`.

    Args:
        fetch: gets the log of the range and some time around it; is given where to count what
            cannot be understood.
        before: gets the last entry of some codes before that; ``None`` if that cannot be read.
        earlier: gets the log of the days just before, as far as the pump's state needs it.
        since: what has ended by then is of no interest.
        time_range: the range itself; of what lies around it, nothing is said.
        whole: gets the log of the range and around it with entries of all kinds; ``None`` if that
            cannot be read. Without it, ``fetch`` gives out all of them.
        ignore_zero_basals: whether basals without insulin are left out.
        remarks: where ``fetch`` leaves what people must know.
    """

    def __init__(
        self,
        fetch: Callable[[Counter[str]], Log],
        *,
        before: Callable[[Sequence[int]], Log | None] = lambda codes: {},
        earlier: Callable[[], Log] = dict,
        since: datetime = LONG_AGO,
        time_range: TimeRange | None = None,
        whole: Callable[[Counter[str]], Log | None] | None = None,
        ignore_zero_basals: bool = False,
        remarks: list[Remark] | None = None,
        newest_data: Callable[[], NewestData | None] = lambda: None,
    ) -> None:
        self.skipped = Counter()
        self.remarks = [] if remarks is None else remarks
        self._fetch = fetch
        self._log = CachedCall(self._fetched)
        self._before = before
        self._earlier = earlier
        self._since = since
        self._time_range = time_range
        self._whole = whole or (lambda skipped: self._log())
        self._ignore_zero_basals = ignore_zero_basals
        self._newest_data = newest_data

    def log(self) -> Log:
        """Return the entries of the range and some time around it."""
        return self._log()

    def release(self) -> None:
        """Let go of the log; the reader is of no use any more."""
        # They lead back to the reader, and would keep it until garbage is collected.
        self._log = CachedCall(dict)
        self._fetch = self._whole = lambda skipped: {}

    def basals(self) -> list[Basal]:
        """Return the basal segments; a suspension is one of 0 U/h.

        One whose beginning cannot be read is left out, since Nightscout would cut the whole of it
        short where it begins once more.
        """
        log = self._log()
        days = self._of_range(log, ratechanges.days_in_question(log))
        slow = slowbasals.slow_days(log, days, lambda: self._whole(self.skipped))
        if basals.begins_suspended(log, self._since) or (
            slow.sections and slowbasals.opens_at_zero(log)
        ):
            earlier = self._before(basals.SUSPENSIONS)
            log = basals.without_opening(log) if earlier is None else joined(earlier, log)
        resumed = ratechanges.resumptions(slow.sections)
        found = basals.basals(log, self._known_until(), self.skipped, resumed)
        found += self._slow_basals(log, slow, found)
        if self._ignore_zero_basals:
            of_profile = basals.REASONS[basals.PROFILE]
            found = [it for it in found if it.reason != of_profile or it.rate >= ZERO_RATE]
        return sorted(found, key=lambda basal: basal.start)

    def boluses(self) -> list[Bolus | CarbEntry]:
        """Return the boluses, the immediate and the later part of one as two boluses.

        Carbs that were entered without one are among them.
        """
        log = self._log()
        found = glucosekind.with_kind(boluses.boluses(log, self.skipped), log)
        return [*found, *carbs.carbs(log, self.skipped)]

    def user_modes(self) -> list[UserMode]:
        """Return sleep and exercise; what has no beginning is left out."""
        log = self._log()
        if usermodes.begins_inside(log, self._since):
            log = joined(self._before(usermodes.CODES) or {}, log)
        return usermodes.user_modes(log, self._known_until(), self.skipped)

    def suspensions(self) -> list[PumpEvent]:
        """Return when and why delivery was suspended."""
        return pumpevents.suspensions(self._log())

    def pump_events(self) -> list[PumpEvent]:
        """Return resumptions, alarms, fills and sensor sessions."""
        log = self._log()
        return [
            *pumpevents.resumptions(log),
            *pumpevents.alarms(log),
            *pumpevents.alerts(log),
            *pumpevents.fills(log),
            *sensor.sensor_sessions(log),
        ]

    def cgm_alerts(self) -> list[PumpEvent]:
        """Return the alerts about glucose and its sensor."""
        return sensor.cgm_alerts(self._log())

    def readings(self) -> list[Reading]:
        """Return the sensor's readings and those that a person entered."""
        log = self._log()
        codes = (BASAL_IQ, *OTHER_SENSORS, *SENSORS)
        self.remarks += unreadable.glucose_remarks(self._inside(log, *codes))
        return sensor.readings(log, self.skipped)

    def insulin_on_board(self) -> list[InsulinOnBoard]:
        """Return how much insulin was on board whenever the pump noted it."""
        return status.insulin_on_board(self._log())

    def statuses(self) -> list[DeviceStatus]:
        """Return what the pump noted of its state within the range."""
        return status.noted(self._inside(self._log(), *dict.fromkeys(status.CODES)))

    def newest(self) -> datetime | None:
        """Return the instant of the newest entry."""
        known_until = self._known_until()
        return None if known_until == LONG_AGO else known_until

    def newest_data(self) -> NewestData | None:
        """Return the newest data of the pump; ``None`` if its log has not been read."""
        return self._newest_data()

    def device_status(self, last: DeviceStatus | None = None) -> DeviceStatus | None:
        """Return the pump's state at the end of the log, as far as known.

        ``None`` where nothing has come since ``last``, the one that was stored last.
        """
        return status.device_status(self._log(), last, self._earlier)

    def _fetched(self) -> Log:
        log = self._fetch(self.skipped)
        self.remarks += newalgorithm.remarks(self._inside(log, *NEW_ALGORITHM))
        self.remarks += unreadable.remarks(self._inside(log, *unreadable.LOST), self.skipped)
        return log

    def _inside(self, log: Log, *codes: int) -> list[Entry]:
        """Return the entries of some codes in the range itself."""
        found = entries_of(log, *codes)
        if self._time_range is None:
            return list(found)
        return [entry for entry in found if self._time_range.overlaps(entry.at, entry.at)]

    def _of_range(self, log: Log, days: Iterable[date]) -> set[date]:
        """Return those of some days of the pump's calendar that the range touches."""
        time_range, days = self._time_range, set(days)
        if time_range is None or not days:
            return days
        found = set()
        for entry in entries_of(log, *rates.RATE_CODES, BASAL_RATE):
            begins = entry.at - (entry.wall - datetime.combine(entry.wall, time.min))
            if begins < time_range.end and begins + DAY > time_range.start:
                found.add(entry.wall.date())
        return found & days

    def _slow_basals(self, log: Log, slow: SlowDays, suspensions: Sequence[Basal]) -> list[Basal]:
        """Return the basals that changes of the rate report; say which days have none."""
        days = self._of_range(log, slow.rejections)
        rejections = {day: slow.rejections[day] for day in days}
        changes = slowbasals.with_insulin(entries_of(log, *rates.RATE_CODES), suspensions)
        self.remarks += slowbasals.remarks(rejections, changes)
        if not slow.sections:
            return []
        found, unclear = ratechanges.basals(slow.sections, suspensions, self._last_change(slow))
        time_range = self._time_range
        self.remarks += slowbasals.unclear(
            [
                entry
                for entry in unclear
                if time_range is None or time_range.overlaps(entry.at, entry.at)
            ]
        )
        return [basal for basal in found if time_range is None or basal.ends > time_range.start]

    def _last_change(self, slow: SlowDays) -> Entry | None:
        """Return the last change of the rate before the whole log, which says why it holds.

        It is asked for only where the log states a rate in the range before any change.
        """
        entries = [entry for section in slow.sections for entry in section.entries]
        changes = [entry for entry in entries if entry.code == RATE_CHANGE]
        days = [entry for entry in entries if entry.code == NEW_DAY]
        start = self._time_range.start if self._time_range else LONG_AGO
        shown = next((day for day in reversed(days) if day.at <= start), days[0] if days else None)
        if shown is None or (changes and changes[0].at <= shown.at):
            return None
        known = [entry for entry in self._log().get(RATE_CHANGE, ()) if entry.at < entries[0].at]
        if not known:
            known = in_order(self._before((RATE_CHANGE,)) or {})
        return known[-1] if known else None

    def _known_until(self) -> datetime:
        newest = (entries[-1].at for entries in self._log().values() if entries)
        return max(newest, default=LONG_AGO)
