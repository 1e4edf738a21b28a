"""Reads one range of the logs of all pumps of a person.

See tandem-source-api §4.5 and tandem-source-processing §15. Each pump has its own log, clock and
order of log numbers; everything in them is kept except basal at times that belong to another pump.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from operator import attrgetter
from typing import TypeVar

from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.domain.events import (
    Basal,
    Bolus,
    CarbEntry,
    DeviceStatus,
    Event,
    InsulinOnBoard,
    PumpEvent,
    Reading,
    UserMode,
)
from tconnectsync.errors import TconnectsyncError
from tconnectsync.sources.base import NewestData, Reader, Remark
from tconnectsync.sources.cachedcall import CachedCall
from tconnectsync.sources.tandemsource.basals import basals as basals_of_log
from tconnectsync.sources.tandemsource.basals import rates
from tconnectsync.sources.tandemsource.basals.basalowner import owned_parts, owns_since
from tconnectsync.sources.tandemsource.pumps.pumplog import SOMEWHAT, PumpLog
from tconnectsync.sources.tandemsource.pumps.pumps import Pump, mark, named, newest_first, touches
from tconnectsync.sources.tandemsource.pumps.wornsearch import (
    BasalOwners,
    ReadPump,
    WornSearch,
    in_order,
    numbers_of,
)
from tconnectsync.sources.tandemsource.reader import LogReader
from tconnectsync.sources.tandemsource.sensor import SESSION

Found = TypeVar("Found", bound=Event | Reading)
Item = TypeVar("Item", bound=Event | Reading | DeviceStatus)


class AllPumpsReader(Reader):
    """Reads one range of the logs of all pumps; see :class:`tconnectsync.sources.base.Reader`.

    Args:
        time_range: the range.
        clock: knows the zone of the pumps' clocks.
        now: the current instant.
        pumps: returns the pumps that may be read, asking for them if need be.
        open_log: returns what reads the log of one of them.
        remarks: returns what people have to know of the range because of pumps that are not read.
    """

    def __init__(
        self,
        time_range: TimeRange,
        clock: PumpClock,
        now: datetime,
        pumps: Callable[[], Sequence[Pump]],
        open_log: Callable[[Pump], PumpLog],
        remarks: Callable[[], list[Remark]],
    ) -> None:
        self.time_range = time_range
        self.skipped = Counter()
        self.remarks = []
        self._clock = clock
        self._now = now
        self._open_log = open_log
        self._since = time_range.start - SOMEWHAT
        self._pumps = CachedCall(lambda: in_order(pumps(), clock))
        self._read = CachedCall(self._open)
        self._owners = CachedCall(lambda: self._owners_since(self._since))
        self._notes = CachedCall(remarks)
        self._holes: dict[str, Remark] = {}
        """The failures, by pump."""
        self._given: list[tuple[ReadPump, Sequence[Event | Reading]]] = []
        """The events of several pumps that were given since :meth:`pump_of` was asked."""
        self._pump_names: dict[tuple[type, str], str] = {}
        """What people call the pump of an event, by its kind and key."""

    def release(self) -> None:
        """Let go of the logs; what is asked after that is fetched again."""
        if self._read.asked:
            with suppress(TconnectsyncError):
                for read in self._read():
                    read.reader.release()
            self._read = CachedCall(self._open)

    def basals(self) -> list[Basal]:
        """Return the basal segments, each as far as its pump owns its time."""
        found = self._distinct(LogReader.basals)
        if self._is_alone():
            return self._together(found)
        of_interest = [
            (read, [basal for basal in events if basal.ends >= self._since])
            for read, events in found
        ]
        earliest = min((b.start for _, events in of_interest for b in events), default=self._since)
        # A suspension may have begun days ago.
        owners = self._owners_since(earliest) if earliest < self._since else self._owners()
        left = self._together(
            [
                (read, owned_parts(events, owners.signs[read.number], read.number, owners.owners))
                for read, events in of_interest
            ]
        )
        if owners.are_uncertain:
            # Whose time it was is not known there; what is stored stays.
            left = [basal for basal in left if not basal.cut]
        self._collect()
        return left

    def boluses(self) -> list[Bolus | CarbEntry]:
        """Return the boluses of all pumps, and carbs that were entered without one."""
        return self._all(LogReader.boluses)

    def user_modes(self) -> list[UserMode]:
        """Return sleep, exercise and the like."""
        return self._all(LogReader.user_modes)

    def suspensions(self) -> list[PumpEvent]:
        """Return when and why a pump was suspended."""
        return self._all(LogReader.suspensions)

    def pump_events(self) -> list[PumpEvent]:
        """Return the other events of the pumps."""
        return self._all(LogReader.pump_events)

    def cgm_alerts(self) -> list[PumpEvent]:
        """Return the alerts about glucose and its sensor."""
        return self._all(LogReader.cgm_alerts)

    def readings(self) -> list[Reading]:
        """Return the glucose readings."""
        return self._all(LogReader.readings)

    def insulin_on_board(self) -> list[InsulinOnBoard]:
        """Return how much insulin was on board, as the pump in use knows it."""
        found = [value for read in self._in_use() for value in read.reader.insulin_on_board()]
        self._collect()
        return sorted(found, key=attrgetter("at"))

    def statuses(self) -> list[DeviceStatus]:
        """Return what each pump noted of its state within the range."""
        return sorted(
            (
                replace(status, pump=named(read.pump))
                for read, statuses in self._of_each(LogReader.statuses)
                for status in statuses
            ),
            key=attrgetter("at"),
        )

    def pump_of(self, event: Event | Reading) -> str:
        """Return what people call the pump of an event."""
        pumps_read = self._read()
        if len(pumps_read) == 1:
            return named(pumps_read[0].pump)
        for read, events in self._given:
            self._pump_names |= {(type(it), it.key): named(read.pump) for it in events}
        self._given.clear()
        return self._pump_names.get((type(event), event.key), "")

    def newest(self) -> datetime | None:
        """Return the instant of the newest entry of the pump in use."""
        found = [at for read in self._in_use() if (at := read.reader.newest())]
        self._collect()
        return max(found, default=None)

    def newest_data(self) -> NewestData | None:
        """Return the newest data of a pump that may be in use, of several the last upload."""
        if not self._read.asked:
            return None
        in_use = (read.reader for read in self._read() if read.log.may_be_in_use)
        found = [data for reader in in_use if (data := reader.newest_data())]
        return max(found, key=lambda data: data.uploaded or data.at, default=None)

    def device_status(self, last: DeviceStatus | None = None) -> DeviceStatus | None:
        """Return the state of the pump in use at the end of the range, if anything is known."""
        statuses = (read.reader.device_status(last) for read in self._in_use())
        found = [status for status in statuses if status]
        self._collect()
        return max(found, key=attrgetter("at"), default=None)

    def worn(self) -> Pump:
        """Return the pump in use.

        It is the one with the newest sign of being worn, or without any sign the one with the
        newest data.

        Raises:
            TconnectsyncError: the pumps cannot be asked for.
        """
        pumps = self._pumps()
        if self._is_alone():
            return newest_first(pumps, self._clock, self._now)[0]
        owners, numbers = self._owners(), numbers_of(pumps)
        if any(owners.signs):
            last = owners.owners[-1].pump
            pumps = [pump for pump in pumps if numbers[pump.assignment_id] == last]
        return newest_first(pumps, self._clock, self._now)[0]

    def shown(self) -> Pump | None:
        """Return the pump in use if its log was read and shows it."""
        if not self._owners.asked or self._is_alone() or not any(self._owners().signs):
            return None
        return self.worn()

    # -- the pumps -----------------------------------------------------------------------------

    def _open(self) -> list[ReadPump]:
        pumps = self._pumps()
        numbers = numbers_of(pumps)
        found = []
        for pump in pumps:
            if touches(pump, self.time_range, self._clock, self._now):
                log, number = self._open_log(pump), numbers[pump.assignment_id]
                reader = log.read(self.time_range, self._looks_back(number))
                found.append(ReadPump(pump, number, log, reader))
        return found

    def _looks_back(self, number: int) -> Callable[[Sequence[int]], bool]:
        """Return a function that says whether to search for the last entry of some codes.

        A suspension of a pump that lies in a drawer, perhaps for weeks, is not worth a search.
        """

        def is_worth_it(codes: Sequence[int]) -> bool:
            if self._is_alone() or not set(codes) <= {*basals_of_log.CODES, *rates.CODES}:
                return True
            return owns_since(self._owners().owners, number, self._since)

        return is_worth_it

    def _owners_since(self, since: datetime) -> BasalOwners:
        return WornSearch(
            self.time_range,
            self._clock,
            self._now,
            self._pumps(),
            self._read(),
            self._open_log,
            self._note_unknown,
        ).owners_since(since)

    def _is_alone(self) -> bool:
        return len(set(numbers_of(self._pumps()).values())) < 2

    def _in_use(self) -> list[ReadPump]:
        if self._is_alone():
            return self._read()
        worn = self.worn()
        return [read for read in self._read() if read.pump.serial == worn.serial]

    # -- events --------------------------------------------------------------------------------

    def _all(self, events_of: Callable[[LogReader], Sequence[Found]]) -> list[Found]:
        return self._together(self._distinct(events_of))

    def _together(self, found: Sequence[tuple[ReadPump, list[Found]]]) -> list[Found]:
        """Return the events of all pumps in time order."""
        if len(found) == 1:
            return found[0][1]
        self._given += found
        return sorted((it for _, events in found for it in events), key=attrgetter("begins"))

    def _distinct(
        self, events_of: Callable[[LogReader], Sequence[Found]]
    ) -> list[tuple[ReadPump, list[Found]]]:
        """Return the events of each pump, each under a key of its own.

        Two pumps may give one number at one time by their clocks. A pump that stands twice in the
        account may have the same event twice, and so may two pumps that begin one sensor session.
        """
        first_with: dict[str, ReadPump] = {}
        found: list[tuple[ReadPump, list[Found]]] = []
        for read, events in self._of_each(events_of):
            own: list[Found] = []
            for event in events:
                other = first_with.setdefault(event.key, read)
                if other is read:
                    own.append(event)
                elif other.number != read.number and not event.key.startswith(SESSION):
                    own.append(replace(event, key=f"{event.key} {mark(read.pump)}"))
            found.append((read, own))
        return found

    def _of_each(
        self, events_of: Callable[[LogReader], Sequence[Item]]
    ) -> list[tuple[ReadPump, Sequence[Item]]]:
        """Return the events of each pump, or of those that can be read if another one fails.

        Raises:
            TconnectsyncError: none can be had, going on makes no sense, or asking for shorter
                ranges may bring more.
        """
        found: list[tuple[ReadPump, Sequence[Item]]] = []
        failed: list[tuple[ReadPump, TconnectsyncError]] = []
        try:
            for read in self._read():
                try:
                    found.append((read, events_of(read.reader)))
                except TconnectsyncError as error:
                    if error.fatal:
                        raise
                    failed.append((read, error))
            for read, reason in failed:
                if not found or self._is_divisible(reason):
                    raise reason
                self._note_hole(read.pump, reason)
        finally:
            self._collect()
        return found

    def _is_divisible(self, error: TconnectsyncError) -> bool:
        first, last = self._clock.days(self.time_range)
        return error.shorter_may_help and first != last

    def _note_unknown(self, pump: Pump, error: TconnectsyncError, *, in_range: bool) -> None:
        """Note that the signs of a pump cannot be read.

        Where its log of the range fails, asking for shorter ranges may come first.
        """
        if not (in_range and self._is_divisible(error)):
            self._note_hole(pump, error)

    def _note_hole(self, pump: Pump, error: TconnectsyncError) -> None:
        first, last = self._clock.days(self.time_range)
        self._holes[pump.assignment_id] = Remark(
            f"The log of the pump {named(pump)} from {first} to {last} cannot be read: "
            f"{str(error).removesuffix('.')}. Its insulin is missing, and so is "
            "the basal of other pumps for times at which this pump may have been worn. The next "
            "run asks again.",
            heals=True,
            is_refusal=not error.can_retry,
        )

    def _collect(self) -> None:
        """Bring together what is to be said."""
        with suppress(TconnectsyncError):
            pumps_read = self._read()
            self.skipped.clear()
            for read in pumps_read:
                self.skipped.update(read.reader.skipped)
            several = len(self._pumps()) > 1
            self.remarks[:] = [
                *self._notes(),
                *self._holes.values(),
                *(
                    replace(it, text=f"{named(read.pump)}: {it.text}") if several else it
                    for read in pumps_read
                    for it in read.reader.remarks
                ),
            ]
