"""What the logs of all pumps of a person say of one range.

Contracts tandem-source-api §4.5 and tandem-source-processing §15. Each pump has its own log, clock
and order of log numbers; everything of all of them is kept, but for basal that another pump claims.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple

from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.domain.events import (
    Activity,
    Basal,
    Bolus,
    DeviceStatus,
    InsulinOnBoard,
    Notice,
    Reading,
)
from tconnectsync.errors import ApiError, TconnectsyncError
from tconnectsync.sources import Remark
from tconnectsync.sources.once import Once
from tconnectsync.sources.tandemsource import basals as basals_of_log
from tconnectsync.sources.tandemsource.claims import (
    EVER,
    Sign,
    Turn,
    claimed,
    owns_since,
    signs,
    turns,
)
from tconnectsync.sources.tandemsource.onepump import DAY, SOMEWHAT, OnePump
from tconnectsync.sources.tandemsource.pumps import (
    Pump,
    first_instant,
    last_instant,
    mark,
    named,
    newest_first,
    touches,
)
from tconnectsync.sources.tandemsource.reader import LogReader


class Part(NamedTuple):
    """A pump that is read for a range."""

    pump: Pump
    number: int
    """Counts the pumps of the person in the order in which their logs begin."""
    one: OnePump
    reader: LogReader


class PumpsReader:
    """Reads one range of the logs of all pumps; see :class:`tconnectsync.sources.Reader`.

    Args:
        wanted: the range.
        clock: knows the zone of the pumps' clocks.
        now: the current instant.
        pumps: returns the pumps that may be read, asking for them if need be.
        open_log: returns what reads the log of one of them.
        remarks: returns what is to be said of the range because of pumps that are not read.
    """

    def __init__(
        self,
        wanted: TimeRange,
        clock: PumpClock,
        now: datetime,
        pumps: Callable[[], Sequence[Pump]],
        open_log: Callable[[Pump], OnePump],
        remarks: Callable[[], list[Remark]],
    ) -> None:
        self.wanted = wanted
        self.skipped: Counter[str] = Counter()
        self.remarks: list[Remark] = []
        self._clock = clock
        self._now = now
        self._open_log = open_log
        self._first_day = clock.day(wanted.start) - DAY
        self._since = wanted.start - SOMEWHAT
        self._pumps = Once(lambda: in_order(pumps(), clock))
        self._parts = Once(self._open)
        self._turns = Once(lambda: self._turns_from(self._since))
        self._notes = Once(remarks)
        self._holes: dict[str, Remark] = {}
        """What cannot be had, by the pump."""

    def basals(self) -> list[Basal]:
        """Return the basal segments, each as far as its pump claims its time."""
        found = self._distinct("basals")
        if self._is_alone():
            told = [basal for _, events in found for basal in events]
            return sorted(told, key=attrgetter("start"))
        of_interest = [
            (part, [basal for basal in events if basal.ends >= self._since])
            for part, events in found
        ]
        earliest = min((b.start for _, events in of_interest for b in events), default=self._since)
        # A suspension may have begun days ago.
        is_older = self._first_day_for(earliest) < self._first_day
        taken, own = self._turns_from(earliest) if is_older else self._turns()
        left = [
            basal
            for part, events in of_interest
            for basal in claimed(events, own[part.number], part.number, taken)
        ]
        if self._holes:
            # Whose time it was is not known there; what is stored stays.
            left = [basal for basal in left if not basal.cut]
        self._collect()
        return sorted(left, key=attrgetter("start"))

    def boluses(self) -> list[Bolus]:
        """Return the boluses of all pumps."""
        return self._all("boluses", "begins")

    def activities(self) -> list[Activity]:
        """Return sleep, exercise and the like."""
        return self._all("activities", "begins")

    def suspensions(self) -> list[Notice]:
        """Return when and why a pump was suspended."""
        return self._all("suspensions", "begins")

    def notices(self) -> list[Notice]:
        """Return what else the pumps noted."""
        return self._all("notices", "begins")

    def cgm_alerts(self) -> list[Notice]:
        """Return the alerts about glucose and its sensor."""
        return self._all("cgm_alerts", "begins")

    def readings(self) -> list[Reading]:
        """Return the glucose readings."""
        return self._all("readings", "at")

    def insulin_on_board(self) -> list[InsulinOnBoard]:
        """Return how much insulin was on board, as the pump in use knows it."""
        found = [value for part in self._in_use() for value in part.reader.insulin_on_board()]
        self._collect()
        return sorted(found, key=attrgetter("at"))

    def device_status(self) -> DeviceStatus | None:
        """Return the state of the pump in use at the end of the range, if anything is known."""
        found = [status for part in self._in_use() if (status := part.reader.device_status())]
        self._collect()
        return max(found, key=attrgetter("at"), default=None)

    def worn(self) -> Pump:
        """Return the pump in use: the one with the newest sign of being worn, else event.

        Raises:
            TconnectsyncError: the pumps cannot be asked for.
        """
        pumps = self._pumps()
        if self._is_alone():
            return newest_first(pumps, self._clock, self._now)[0]
        taken, own = self._turns()
        numbers = _numbers(pumps)
        shown = [pump for pump in pumps if numbers[pump.assignment_id] == taken[-1].pump]
        return newest_first(shown if any(own) else pumps, self._clock, self._now)[0]

    def shown(self) -> Pump | None:
        """Return the pump in use if its log was read and shows it."""
        if not self._turns.asked or self._is_alone() or not any(self._turns()[1]):
            return None
        return self.worn()

    # -- the pumps -----------------------------------------------------------------------------

    def _open(self) -> list[Part]:
        pumps = self._pumps()
        numbers = _numbers(pumps)
        found = []
        for pump in pumps:
            if touches(pump, self.wanted, self._clock, self._now):
                one, number = self._open_log(pump), numbers[pump.assignment_id]
                found.append(
                    Part(pump, number, one, one.read(self.wanted, self._looks_back(number)))
                )
        return found

    def _looks_back(self, number: int) -> Callable[[Sequence[int]], bool]:
        """Return what tells whether a log is worth going back in, for the last of some codes.

        It is not for a suspension of a pump that lies in a drawer, as it may for weeks.
        """

        def is_worth_it(codes: Sequence[int]) -> bool:
            if self._is_alone() or not set(codes) <= set(basals_of_log.CODES):
                return True
            return owns_since(self._turns()[0], number, self._since)

        return is_worth_it

    def _is_alone(self) -> bool:
        return len(set(_numbers(self._pumps()).values())) < 2

    def _in_use(self) -> list[Part]:
        if self._is_alone():
            return self._parts()
        worn = self.worn()
        return [part for part in self._parts() if part.pump.serial == worn.serial]

    # -- events --------------------------------------------------------------------------------

    def _all(self, method: str, when: str) -> list[Any]:
        found = self._distinct(method)
        if len(found) == 1:
            return found[0][1]
        return sorted((it for _, events in found for it in events), key=attrgetter(when))

    def _distinct(self, method: str) -> list[tuple[Part, list[Any]]]:
        """Return the events of each pump, each under a key of its own.

        Two pumps may give one number at one time by their clocks. A pump that stands twice in the
        account may tell the same twice.
        """
        told: dict[str, Part] = {}
        found = []
        for part, events in self._of_each(method):
            own = []
            for event in events:
                other = told.setdefault(event.key, part)
                if other is part:
                    own.append(event)
                elif other.number != part.number:
                    own.append(replace(event, key=f"{event.key} {mark(part.pump)}"))
            found.append((part, own))
        return found

    def _of_each(self, method: str) -> list[tuple[Part, list[Any]]]:
        """Return what each pump tells; of those that answer, if one fails and others do not.

        Raises:
            TconnectsyncError: none can be had, going on makes no sense, or asking for shorter
                ranges may bring more.
        """
        found: list[tuple[Part, list[Any]]] = []
        failed: list[tuple[Part, TconnectsyncError]] = []
        try:
            for part in self._parts():
                try:
                    found.append((part, getattr(part.reader, method)()))
                except TconnectsyncError as error:
                    if error.fatal:
                        raise
                    failed.append((part, error))
            for part, reason in failed:
                if not found or self._is_divisible(reason):
                    raise reason
                self._note_hole(part.pump, reason)
        finally:
            self._collect()
        return found

    def _is_divisible(self, error: TconnectsyncError) -> bool:
        last = self._clock.day(self.wanted.end - timedelta(microseconds=1))
        is_one_day = self._clock.day(self.wanted.start) == last
        return isinstance(error, ApiError) and error.shorter_may_help and not is_one_day

    def _note_hole(self, pump: Pump, error: TconnectsyncError) -> None:
        day = self._clock.day
        first, last = day(self.wanted.start), day(self.wanted.end - timedelta(microseconds=1))
        self._holes[pump.assignment_id] = Remark(
            f"What the pump {named(pump)} did from {first} to {last} cannot be had: "
            f"{str(error).removesuffix('.')}. Its insulin is missing in Nightscout, and basal of "
            "other pumps where it may be the one that was worn. The next run asks again.",
            heals=True,
        )

    def _collect(self) -> None:
        """Bring together what is to be said."""
        with suppress(TconnectsyncError):
            parts = self._parts()
            self.skipped.clear()
            for part in parts:
                self.skipped.update(part.reader.skipped)
            several = len(self._pumps()) > 1
            self.remarks[:] = [
                *self._notes(),
                *self._holes.values(),
                *(
                    replace(it, text=f"{named(part.pump)}: {it.text}") if several else it
                    for part in parts
                    for it in part.reader.remarks
                ),
            ]

    # -- signs ---------------------------------------------------------------------------------

    def _turns_from(self, since: datetime) -> tuple[list[Turn], list[list[Sign]]]:
        """Return whose basal counts from an instant on, and the signs of each pump."""
        pumps = self._pumps()
        numbers = _numbers(pumps)
        shown: list[list[Sign]] = [[] for _ in set(numbers.values())]
        unknown = []
        for pump in pumps:
            try:
                shown[numbers[pump.assignment_id]] += self._signs_of(pump, since)
            except TconnectsyncError as error:
                if error.fatal:
                    raise
                if not self._is_divisible(error):
                    self._note_hole(pump, error)
                unknown.append(pump)
        unknown += self._look_back(shown, since, unknown)
        for pump in unknown:
            shown = self._as_if_always_worn(pump, numbers[pump.assignment_id], shown)
        for found in shown:
            found.sort()
        return turns(shown, 0), shown

    def _signs_of(self, pump: Pump, since: datetime) -> list[Sign]:
        """Return the signs in the log of the range, and from an instant before that on."""
        part = next((it for it in self._parts() if it.pump is pump), None)
        found = signs(part.reader.log()) if part else []
        first = self._first_day_for(since)
        earlier = TimeRange(since, self.wanted.start)
        if first < self._first_day and touches(pump, earlier, self._clock, self._now):
            one = part.one if part else self._open_log(pump)
            found += signs(one.signs_log(first, self._first_day - DAY))
        return found

    def _first_day_for(self, since: datetime) -> date:
        """Return the first day of the logs that show whose basal counts from an instant on."""
        if since >= self._clock.midnight(self._first_day):
            return self._first_day
        return self._clock.day(since) - DAY

    def _look_back(
        self, shown: list[list[Sign]], since: datetime, unknown: Sequence[Pump]
    ) -> list[Pump]:
        """Add the last sign before an instant, of whichever pump; return those that fail to tell.

        The pumps that were in use last are asked first, so that the others need not be.
        """
        numbers = _numbers(self._pumps())
        first = self._first_day_for(since)
        known_from = self._clock.midnight(first)
        best = max((it.at for found in shown for it in found if it.at <= since), default=EVER)
        read = [part.pump for part in self._parts()]
        failed = []

        def last(pump: Pump) -> datetime:
            return last_instant(pump, self._clock, self._now) or self._now

        for pump in sorted(self._pumps(), key=last, reverse=True):
            unseen_until = min(last(pump), known_from) if pump in read else last(pump)
            if pump in unknown or unseen_until <= best:
                continue
            day = min(first, self._clock.day(last(pump)) + 2 * DAY)
            began = max(best, first_instant(pump, self._clock) or EVER)
            try:
                earlier = self._open_log(pump).last_signs(
                    day, None if began == EVER else self._clock.day(began) - DAY
                )
            except TconnectsyncError as error:
                if error.fatal:
                    raise
                self._note_hole(pump, error)
                failed.append(pump)
                continue
            shown[numbers[pump.assignment_id]] += signs(earlier)
            best = max([best, *(sign.at for sign in signs(earlier))])
        return failed

    def _as_if_always_worn(
        self, pump: Pump, number: int, shown: list[list[Sign]]
    ) -> list[list[Sign]]:
        """Return the signs as if a pump whose log cannot be had claimed all of its time.

        So no other pump's basal is shown where it may have gone nowhere.
        """
        first = first_instant(pump, self._clock) or EVER
        last = last_instant(pump, self._clock, self._now) or self._now
        left = [
            [sign for sign in found if other == number or not first <= sign.at <= last]
            for other, found in enumerate(shown)
        ]
        left[number].append(Sign(first, ""))
        return left


def in_order(pumps: Iterable[Pump], clock: PumpClock) -> list[Pump]:
    """Return pumps in the order in which their logs begin; those of which it is unknown last."""

    def began(pump: Pump) -> tuple[bool, datetime, str]:
        first = first_instant(pump, clock)
        return first is None, first or EVER, mark(pump)

    return sorted(pumps, key=began)


def _numbers(pumps: Sequence[Pump]) -> dict[str, int]:
    """Return the number of each pump; one that was assigned anew keeps it."""
    serials = list(dict.fromkeys(pump.serial for pump in pumps))
    return {pump.assignment_id: serials.index(pump.serial) for pump in pumps}
