"""What a stretch of the pump's log says, as the parts that a cycle asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from tconnectsync.domain.events import (
    Activity,
    Basal,
    Bolus,
    DeviceStatus,
    InsulinOnBoard,
    Notice,
    Reading,
)
from tconnectsync.sources import Remark
from tconnectsync.sources.once import Once
from tconnectsync.sources.tandemsource import basals, boluses, modes, notices, sensor, status
from tconnectsync.sources.tandemsource.entries import Log, joined

USED = frozenset(
    (
        *basals.CODES,
        *boluses.CODES,
        *modes.CODES,
        *notices.CODES,
        *sensor.CODES,
        *status.CODES,
    )
)
"""The codes of the entries that something is made of."""
LONG_LASTING = (*basals.SUSPENSIONS, modes.USER_MODE)
"""The codes of entries that tell of something that can have begun days ago."""
LONGEST_LOOK_BACK = timedelta(days=14)
"""How far before a range they are looked for."""
ZERO_RATE = 0.01
"""Basal rates below that (U/h) count as none."""
NOTHING_KNOWN = datetime.min.replace(tzinfo=UTC)


class LogReader:
    """Reads one range of the log; see :class:`tconnectsync.sources.Reader`.

    Args:
        fetch: gets the log of the range and some time around it; is given where to count what
            cannot be understood.
        before: gets the last entry of some codes before that; ``None`` if that cannot be had.
        since: what has ended by then is of no interest.
        ignore_zero_basals: whether basals without insulin are left out.
        remarks: where ``fetch`` leaves what people must be told.
    """

    def __init__(
        self,
        fetch: Callable[[Counter[str]], Log],
        *,
        before: Callable[[Sequence[int]], Log | None] = lambda codes: {},
        since: datetime = NOTHING_KNOWN,
        ignore_zero_basals: bool = False,
        remarks: list[Remark] | None = None,
    ) -> None:
        skipped: Counter[str] = Counter()
        self.skipped = skipped
        self.remarks: list[Remark] = [] if remarks is None else remarks
        self._log = Once(lambda: fetch(skipped))
        self._before = before
        self._since = since
        self._ignore_zero_basals = ignore_zero_basals

    def log(self) -> Log:
        """Return the entries of the range and some time around it."""
        return self._log()

    def basals(self) -> list[Basal]:
        """Return the basal segments; a suspension is one of 0 U/h.

        One whose beginning cannot be had is left out, since Nightscout would cut the whole of it
        short where it begins once more.
        """
        log = self._log()
        if basals.begins_suspended(log, self._since):
            earlier = self._before(basals.SUSPENSIONS)
            log = basals.without_opening(log) if earlier is None else joined(earlier, log)
        found = basals.basals(log, self._known_until(), self.skipped)
        if self._ignore_zero_basals:
            return [basal for basal in found if basal.rate >= ZERO_RATE]
        return found

    def boluses(self) -> list[Bolus]:
        """Return the boluses, the immediate and the extended part of one each by itself."""
        return boluses.boluses(self._log(), self.skipped)

    def activities(self) -> list[Activity]:
        """Return sleep and exercise; what has no beginning is left out."""
        log = self._log()
        if modes.begins_inside(log, self._since):
            log = joined(self._before(modes.CODES) or {}, log)
        return modes.activities(log, self._known_until(), self.skipped)

    def suspensions(self) -> list[Notice]:
        """Return when and why delivery was suspended."""
        return notices.suspensions(self._log())

    def notices(self) -> list[Notice]:
        """Return resumptions, alarms, fills and sensor sessions."""
        log = self._log()
        return [
            *notices.resumptions(log),
            *notices.alarms(log),
            *notices.fills(log),
            *sensor.sensor_sessions(log),
        ]

    def cgm_alerts(self) -> list[Notice]:
        """Return the alerts about glucose and its sensor."""
        return sensor.cgm_alerts(self._log(), self.skipped)

    def readings(self) -> list[Reading]:
        """Return the sensor's readings and those that a person entered."""
        return sensor.readings(self._log(), self.skipped)

    def insulin_on_board(self) -> list[InsulinOnBoard]:
        """Return how much insulin was on board whenever the pump noted it."""
        return status.insulin_on_board(self._log())

    def device_status(self) -> DeviceStatus | None:
        """Return the pump's state at the end of the log, as far as known."""
        return status.device_status(self._log())

    def _known_until(self) -> datetime:
        newest = (entries[-1].at for entries in self._log().values() if entries)
        return max(newest, default=NOTHING_KNOWN)
