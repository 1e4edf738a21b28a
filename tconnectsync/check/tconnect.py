"""The steps of a check that ask t:connect: login, data, devices, upload counter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import arrow

from tconnectsync.api.clients import TConnectApi
from tconnectsync.check.login import WAIT, is_locked, log_in
from tconnectsync.check.results import Findings, Step
from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.domain.numbers import as_number
from tconnectsync.errors import ApiError, LoginError, TconnectsyncError
from tconnectsync.sources.tconnect.pages import read_devices, settings_guid
from tconnectsync.sources.tconnect.values import objects, pacific_wall_time, readable_wall_time

KNOWN_VERSION = "t:connect 7.17.2.3"
"""The version of the web site that this program was made for."""

DELIVERIES = ("profileDeliveryEvents", "algorithmDeliveryEvents", "tempDeliveryEvents")
ELSEWHERE = ("region", "country")
DEVICE_FIELDS = ("name", "model", "status", "guid")
DAY = timedelta(days=1)
WEEK = timedelta(days=7)


class TConnectSteps:
    """Asks t:connect for what a sync needs.

    Args:
        api: the clients; they log in when they are first used.
        clock: the pump's clock.
        serial: the configured serial number.
        wanted: the range to ask for.
        now: the current instant.
        findings: where to leave what is found.
    """

    def __init__(
        self,
        api: TConnectApi,
        clock: PumpClock,
        serial: str,
        wanted: TimeRange,
        now: datetime,
        findings: Findings,
    ) -> None:
        self._api = api
        self._clock = clock
        self._serial = serial
        self._now = now
        self._findings = findings
        self._first = clock.day(wanted.start)
        self._last = clock.day(wanted.end - timedelta(microseconds=1))
        if wanted.end >= now:
            # In a wrong zone, it may already be tomorrow on the pump.
            self._last += DAY
        self._known_pumps = ""

    def steps(self) -> list[Step]:
        """Return the steps in the order in which they depend on each other."""
        return [
            ("Tandem login", self._log_in),
            ("Basals and activities", self._timeline),
            ("Boluses and readings", self._therapy_events),
            ("Suspensions (ws2)", self._suspensions),
            ("CSV export (ws2)", self._csv_export),
            ("Pump's serial number", self._devices),
            # Last, because it has a login of its own on which nothing else depends.
            ("Upload counter", self._upload_counter),
        ]

    def _log_in(self) -> str:
        login = log_in(self._api.controliq.logins, login_advice, self._findings)
        self._findings.redactor.learn("USER_GUID", login.user_guid)
        version = login.software_version
        if version in (None, KNOWN_VERSION):
            return f"The web site is {version or 'of unknown version'}."
        return f"The web site is {version}; this program was made for {KNOWN_VERSION}."

    def _timeline(self) -> str:
        timelines = [self._timeline_of(*week) for week in self._weeks()]
        if not any(timelines):
            return (
                "None in this range: the pump has no Control-IQ (its basals are taken from the CSV "
                "export), or had not uploaded. Try other days: --start-date and --end-date."
            )
        self._findings.keep("therapy timeline", timelines)
        basals = [
            basal
            for timeline in timelines
            for name in DELIVERIES
            for basal in objects(timeline, "basal", name)
        ]
        activities = [event for timeline in timelines for event in objects(timeline, "events")]
        self._findings.gapless |= bool(basals)
        ends = [self._timeline_end(item) for item in (*basals, *activities)]
        return f"{len(basals)} basals, {len(activities)} activities{self._newest(ends)}."

    def _therapy_events(self) -> str:
        payloads = [self._api.controliq.therapy_events(*week) for week in self._weeks()]
        self._findings.keep("therapy events", payloads)
        self._findings.asked_for_events = True
        events = [event for payload in payloads for event in objects(payload, "event")]
        kinds = [event.get("type") for event in events]
        self._findings.gapless |= "CGM" in kinds
        walls = (readable_wall_time(event.get("eventDateTime")) for event in events)
        times = [self._clock.instant(wall) if wall else None for wall in walls]
        return (
            f"{kinds.count('Bolus')} boluses, {kinds.count('CGM')} readings, "
            f"{len(kinds)} events in all{self._newest(times)}."
        )

    def _suspensions(self) -> str:
        def ask() -> Mapping[str, Any]:
            return self._api.ws2.basal_suspension(self._first, self._last)

        payload = _of_ws2(ask, "PUMP_EVENTS (site changes, alarms, suspensions)")
        self._findings.keep("basal suspensions", payload)
        return f"{len(objects(payload, 'BasalSuspension'))} entries."

    def _csv_export(self) -> str:
        def ask() -> Mapping[str, Any]:
            first_day = max(self._first, self._last - DAY)
            return self._api.ws2.therapy_timeline_csv(first_day, self._last, patient=False)

        export = _of_ws2(ask, "IOB, CGM, basals without Control-IQ and days without a bolus")
        self._findings.keep("CSV export", export)
        return ", ".join(f"{len(rows)} {name}" for name, rows in export.items()) + "."

    def _devices(self) -> str:
        devices = read_devices(self._api.webui.my_devices())
        self._findings.keep(
            "devices",
            [
                {"serialNumber": serial, **{name: getattr(device, name) for name in DEVICE_FIELDS}}
                for serial, device in devices.items()
            ],
        )
        pumps = {serial: device for serial, device in devices.items() if device.guid}
        self._known_pumps = ", ".join(f"…{serial[-3:]}" for serial in pumps)
        guid = settings_guid(devices, self._serial)
        pump = next(device for device in pumps.values() if device.guid == guid)
        return f"t:connect knows it: {pump.name}, {pump.status}."

    def _upload_counter(self) -> str:
        login = self._api.android.logins.current()
        self._findings.redactor.learn("TOKEN", login.token.value)
        self._findings.redactor.learn("USER_ID", login.user_id or "")
        for ask in (self._api.android.patient_info, self._api.android.user_profile):
            self._learn_who_it_is(ask)
        try:
            # Without the leading zeros: the service knows it as a number.
            counter = self._api.android.last_event_uploaded(int(self._serial))
        except ApiError as error:
            if error.status != 404:
                raise
            raise TconnectsyncError(
                "Tandem has no upload of a pump with the serial number in PUMP_SERIAL_NUMBER "
                f"(HTTP 404). The account's pumps end in: {self._known_pumps or 'unknown'}. "
                "Correct the number, or upload the pump once."
            ) from error
        self._findings.keep("upload counter", counter)
        index = as_number(counter.get("maxPumpEventIndex"))
        if index is None:
            raise TconnectsyncError(
                "The answer holds no number. --auto-update needs it to notice uploads; nothing "
                "else does."
            )
        return f"The pump has uploaded {index:.0f} events."

    def _learn_who_it_is(self, ask: Callable[[], dict[str, Any]]) -> None:
        """Learn names and birth dates, to hide them in the report; of no use otherwise."""
        try:
            payload = ask()
        except TconnectsyncError as error:
            if error.fatal:
                raise
            return
        self._findings.redactor.learn_from(payload)
        self._findings.owner_known = True

    def _weeks(self) -> Iterator[tuple[date, date]]:
        """Yield the range in pieces of the length that a sync asks for, both days inclusive."""
        first = self._first
        while first <= self._last:
            yield first, min(first + WEEK - DAY, self._last)
            first += WEEK

    def _timeline_of(self, first: date, last: date) -> dict[str, Any]:
        try:
            return self._api.controliq.therapy_timeline(first, last)
        except ApiError as error:
            if error.status != 404:
                raise
            # See docs/protocol/tconnect-api.md §2: no pump with Control-IQ, or nothing from it.
            return {}

    def _timeline_end(self, item: Mapping[str, Any]) -> datetime | None:
        try:
            start = self._clock.instant(pacific_wall_time(item.get("x")))
        except ValueError:
            return None
        return start + timedelta(seconds=as_number(item.get("duration")) or 0)

    def _newest(self, times: list[datetime | None]) -> str:
        """Note the newest time; return it in words, to follow a count."""
        newest = max(filter(None, times), default=None)
        if newest is None:
            return " (nothing was uploaded for these days)"
        known = self._findings.newest
        self._findings.newest = max(newest, known) if known else newest
        age = arrow.get(newest).humanize(arrow.get(self._now))
        return f", the newest {age} ({self._clock.here(newest):%Y-%m-%d %H:%M})"


def login_advice(error: LoginError) -> str:
    """Say what to do about a failed login to the web site."""
    text = str(error).lower()
    if error.can_retry or (error.status or 0) >= 500:
        return "t:connect itself is in trouble; try again later."
    if is_locked(error):
        return WAIT
    if any(word in text for word in ELSEWHERE):
        return (
            "The account belongs to another region than the web site at TCONNECT_WEB_URL. Log in "
            "with a browser to see which site knows the account."
        )
    return (
        "Wrong e-mail address or password: log in to t:connect with a browser and put what works "
        "there into TCONNECT_EMAIL and TCONNECT_PASSWORD. If it works on the site of another "
        "region only, TCONNECT_WEB_URL is wrong. Do not just try again: too many wrong tries lock "
        "the account."
    )


def _of_ws2(ask: Callable[[], Mapping[str, Any]], features: str) -> Mapping[str, Any]:
    """Ask ws2; its failures come with what they matter to."""
    try:
        return ask()
    except TconnectsyncError as error:
        if error.fatal:
            raise
        raise TconnectsyncError(
            f"{str(error).removesuffix('.')}. This matters only to {features}; ws2 is often out of "
            "order and may work again later."
        ) from error
