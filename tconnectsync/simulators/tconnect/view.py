"""Some days of a pump's history, as far as t:connect knows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from tconnectsync.simulators.history import PumpHistory, R, Record, between

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class View:
    """The calendar days ``first`` to ``last`` (both inclusive) of a history.

    ``until`` is the moment of the last upload (pump's wall clock), ``hidden`` what was not
    uploaded with the rest.
    """

    history: PumpHistory
    first: date
    last: date
    until: datetime
    hidden: Set[Record]

    @property
    def start(self) -> datetime:
        """The first second that belongs to both the days asked for and the history."""
        return datetime.combine(max(self.first, self.history.first_day), time.min)

    @property
    def end(self) -> datetime:
        """The midnight after the last day; the day after the history may hold its last events."""
        return min(datetime.combine(self.last, time.min), self.history.end) + ONE_DAY

    def moments(self, step: timedelta) -> Iterator[datetime]:
        """Go from the first midnight on in equal steps, as far as the history is uploaded."""
        moment = self.start
        while moment < self.end and moment <= min(self.until, self.history.end):
            yield moment
            moment += step

    def known(self, records: Sequence[R]) -> list[R]:
        """Return those of the records that began on these days, as of the last upload."""
        records = between(records, self.start, self.end)
        if self.hidden:
            records = [record for record in records if record not in self.hidden]
        return [known for record in records if (known := record.as_of(self.until)) is not None]

    def suspension_over(self, midnight: datetime) -> bool:
        """Return whether the person had stopped the pump before a midnight and resumed after it."""
        earlier = between(self.history.suspensions, datetime.min, midnight)[-1:]
        return any(
            s.reason == "manual" and (s.end is None or s.end > midnight) and s not in self.hidden
            for s in earlier
        )
