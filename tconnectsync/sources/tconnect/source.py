"""t:connect as a source: which of its three services to ask for what, and from which day on.

See tconnect-processing §4: the timeline for basals and activities, TherapyEvents for boluses
and readings, the CSV export where those have nothing, basal suspensions for interruptions.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from tconnectsync.api.clients import TConnectApi
from tconnectsync.clock import Clock
from tconnectsync.clouds import TCONNECT
from tconnectsync.config.settings import Settings
from tconnectsync.domain.clock import DAY, LONG_AGO, PumpClock, TimeRange
from tconnectsync.domain.events import (
    Basal,
    Bolus,
    CarbEntry,
    InsulinOnBoard,
    PumpEvent,
    Reading,
    ReadingKind,
    UserMode,
)
from tconnectsync.domain.profiles import PumpSettings
from tconnectsync.errors import ApiError, TconnectsyncError
from tconnectsync.sources.base import NewestData, Reader, Remark, Source
from tconnectsync.sources.cachedcall import CachedCall
from tconnectsync.sources.tconnect.basals import (
    DELIVERIES,
    begins_suspended,
    csv_basals,
    timeline_basals,
)
from tconnectsync.sources.tconnect.boluses import csv_boluses, therapy_boluses
from tconnectsync.sources.tconnect.glucose import (
    csv_insulin_on_board,
    csv_readings,
    therapy_readings,
    with_glucose_kind,
)
from tconnectsync.sources.tconnect.pages import read_devices, read_settings, settings_guid
from tconnectsync.sources.tconnect.periods import basal_suspensions, timeline_modes
from tconnectsync.sources.tconnect.values import objects, readable_wall_time

log = logging.getLogger(__name__)

FAR_AWAY = datetime.max.replace(tzinfo=UTC)
LONGEST_LOOK_BACK = 15 * DAY
"""How far before a range the beginning of a suspension is looked for."""


def open_source(
    api: TConnectApi,
    settings: Settings,
    pump_clock: PumpClock,
    clock: Clock,
    *,
    needs_readings: bool,
) -> TConnectSource:
    """Return the t:connect that the settings name; see ``tconnectsync.clouds``."""
    return TConnectSource(api, pump_clock, settings.source.serial_number)


class TConnectSource(Source):
    """The t:connect cloud; see :class:`tconnectsync.sources.base.Source`."""

    name = TCONNECT.name
    window_days = 7

    def __init__(self, api: TConnectApi, clock: PumpClock, serial: str) -> None:
        self._api = api
        self._clock = clock
        self._serial = serial

    def read(self, time_range: TimeRange) -> TConnectReader:
        """Return a reader for ``time_range``; nothing is fetched yet."""
        return TConnectReader(self._api, self._clock, time_range)

    def upload_counter(self) -> int | None:
        """Return the highest index of what the pump has uploaded (tconnect-api §3.2)."""
        # Without the leading zeros: the service knows it as a number.
        counter = self._api.android.last_event_uploaded(int(self._serial)).get("maxPumpEventIndex")
        return counter if isinstance(counter, int) else None

    def force_login(self) -> None:
        """Make the next request begin with a new login."""
        self._api.forget_logins()

    def pump_settings(self) -> PumpSettings:
        """Return what the pump was set to at its last upload."""
        webui = self._api.webui
        guid = settings_guid(read_devices(webui.my_devices()), self._serial)
        return read_settings(webui.device_settings(guid))


class TConnectReader(Reader):
    """What t:connect knows about one range; see :class:`tconnectsync.sources.base.Reader`.

    A day more than the range is fetched at its beginning, because what goes on at that moment
    began earlier: a night's sleep, an extended bolus, a suspension. Basals are also fetched for the
    day in which the range ends, since only what follows says how long the last one lasted.
    """

    def __init__(self, api: TConnectApi, clock: PumpClock, time_range: TimeRange) -> None:
        first, last = clock.days(time_range)
        first -= DAY
        beyond = clock.day(time_range.end)
        self.skipped = Counter()
        self.remarks = []
        self._clock = clock
        self._from = time_range.start
        self._until = time_range.end
        # None of these may refer to the reader: payloads are to go when it goes.
        self.timeline = CachedCall(lambda: _fetch_timeline(api, clock, first, beyond))
        self.therapy_events = CachedCall(
            lambda: _with(api.controliq.therapy_events(first, last), "event")
        )
        self._csv = CachedCall(lambda: api.ws2.therapy_timeline_csv(first, beyond))
        self._csv_at_once = CachedCall(
            lambda: api.ws2.therapy_timeline_csv(first, last, patient=False)
        )
        self._csv_of_last_days = CachedCall(
            lambda: api.ws2.therapy_timeline_csv(max(first, last - DAY), last)
        )
        self._suspensions = CachedCall(
            lambda: _with(api.ws2.basal_suspension(first, last), "BasalSuspension")
        )

    def basals(self) -> list[Basal]:
        """Return the basal segments, from the CSV export where Control-IQ reports none."""
        found = timeline_basals(self.timeline(), self._clock, self._known_until, self.skipped)
        controlled_from = found[0].start if found else self._until
        if found and controlled_from - self._from < DAY:
            return found
        log.info("Control-IQ reports no basal for some days; asking for the CSV export.")
        try:
            return self._csv_basals(controlled_from) + found
        except TconnectsyncError as error:
            if error.fatal or not found:
                raise
            begin = f"{self._clock.here(controlled_from):%Y-%m-%d %H:%M}"
            text = f"Basal insulin before {begin} may be missing. {error}"
            self.remarks.append(Remark(text, missing=False))
            return found

    def boluses(self) -> list[Bolus]:
        """Return the boluses, from the CSV export where TherapyEvents has none."""
        try:
            found = therapy_boluses(self.therapy_events(), self._clock, self.skipped)
        except TconnectsyncError as error:
            if error.fatal:
                raise
            log.info("Asking for the CSV export instead of TherapyEvents: %s", error)
            return csv_boluses(self._csv()["bolusData"], self._clock, self.skipped)
        if found:
            return found
        log.info("TherapyEvents has no bolus in this range; asking the CSV export as well.")
        csv = self._csv if self._csv.asked else self._csv_at_once
        try:
            return csv_boluses(csv()["bolusData"], self._clock, self.skipped)
        except TconnectsyncError as error:
            if error.fatal:
                raise
            first, last = self._clock.days(TimeRange(self._from, self._until))
            days = f"of {first}" if first == last else f"from {first} to {last}"
            text = (
                f"TherapyEvents has no bolus {days}, and the CSV export could not confirm that "
                f"there was none; boluses may be missing. {error}"
            )
            self.remarks.append(Remark(text, missing=False))
            return []

    def user_modes(self) -> list[UserMode]:
        """Return sleep, exercise and the like."""
        return timeline_modes(self.timeline(), self._clock, self.skipped)

    def suspensions(self) -> list[PumpEvent]:
        """Return site changes, alarms and suspensions by the person."""
        return basal_suspensions(self._suspensions(), self._clock, self.skipped)

    def readings(self) -> list[Reading]:
        """Return the glucose readings, from the CSV export where TherapyEvents has no sensor's.

        An export that fails is an error here: without it we do not know whether there were any.
        """
        try:
            found = therapy_readings(self.therapy_events(), self._clock, self.skipped)
            csv = self._csv if self._csv.asked else self._csv_at_once
        except TconnectsyncError as error:
            if error.fatal:
                raise
            log.info("Asking for the CSV export instead of TherapyEvents: %s", error)
            found, csv = [], self._csv
        if any(reading.kind is ReadingKind.SENSOR for reading in found):
            return found
        log.info("TherapyEvents has no sensor reading in this range; asking the CSV export.")
        return found + csv_readings(csv()["readingData"], self._clock, self.skipped)

    def with_glucose_kind(
        self, boluses: Sequence[Bolus | CarbEntry], readings: Sequence[Reading]
    ) -> Sequence[Bolus | CarbEntry]:
        """Return the boluses with where their glucose came from, which t:connect does not say."""
        return with_glucose_kind(boluses, readings)

    def insulin_on_board(self) -> list[InsulinOnBoard]:
        """Return how much insulin was on board, as the CSV export has it."""
        csv = self._csv if self._csv.asked else self._csv_of_last_days
        return csv_insulin_on_board(csv()["iobData"], self._clock, self.skipped)

    def newest_data(self) -> NewestData | None:
        """Return the newest event that has been read; t:connect does not say when it came."""
        if not self.therapy_events.asked:
            return None
        try:
            events = objects(self.therapy_events(), "event")
        except TconnectsyncError:
            return None
        at = self._newest(events, FAR_AWAY)
        return None if at == LONG_AGO else NewestData(at, None)

    def _known_until(self) -> datetime:
        """Return the newest instant of which TherapyEvents knows, at most the range's end."""
        try:
            events = objects(self.therapy_events(), "event")
        except TconnectsyncError as error:
            log.debug("How long the suspension has lasted is not known: %s", error)
            events = []
        return self._newest(events, self._until)

    def _csv_basals(self, before: datetime) -> list[Basal]:
        csv = self._csv()
        known_until = self._newest((row for rows in csv.values() for row in rows), before)
        found = csv_basals(csv["basalData"], self._clock, known_until, self.skipped)
        return [basal for basal in found if basal.start < before]

    def _newest(self, items: Iterable[Mapping[str, Any]], limit: datetime) -> datetime:
        times = (
            item.get("eventDateTime") or item.get("EventDateTime")
            for item in items
            if isinstance(item, Mapping)
        )
        newest = max(filter(None, map(readable_wall_time, times)), default=None)
        return min(self._clock.instant(newest), limit) if newest else LONG_AGO


def _fetch_timeline(
    api: TConnectApi, clock: PumpClock, first: date, last: date
) -> Mapping[str, Any]:
    """Fetch the timeline, and earlier days while it opens inside a suspension."""
    timeline = _fetch_timeline_days(api, first, last)
    earliest, step = first, DAY
    while begins_suspended(timeline, clock) and first - earliest < LONGEST_LOOK_BACK:
        earlier = _fetch_timeline_days(api, earliest - step, earliest - DAY)
        timeline = _joined(earlier, timeline)
        earliest, step = earliest - step, 2 * step
    return timeline


def _fetch_timeline_days(api: TConnectApi, first: date, last: date) -> Mapping[str, Any]:
    try:
        return _with(api.controliq.therapy_timeline(first, last), "basal")
    except ApiError as error:
        if error.status != 404:
            raise
        # See docs/protocol/tconnect-api.md §2: no pump with Control-IQ in this range.
        return {}


def _with(payload: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    """Return a payload that has its main part, even an empty one.

    Raises:
        ApiError: it has not; then it is an error report and does not mean "nothing happened".
    """
    if part in payload:
        return payload
    raise ApiError(
        f"Tandem's cloud answered without the part {part!r} that holds the data. It may work again "
        "later; the next run asks again.",
        can_retry=True,
    )


def _joined(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> Mapping[str, Any]:
    """Put two timelines together, as far as basals, suspensions and activities go."""
    return {
        "basal": {
            name: objects(earlier, "basal", name) + objects(later, "basal", name)
            for name in DELIVERIES
        },
        **{
            name: objects(earlier, name) + objects(later, name)
            for name in ("suspensionDeliveryEvents", "events")
        },
    }
