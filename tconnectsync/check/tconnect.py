"""The steps of a check that ask t:connect: login, data, devices, upload counter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from tconnectsync.check.anycloud import count, windows_of
from tconnectsync.check.login import WAIT, is_locked, log_in
from tconnectsync.check.results import CheckRequest, Step
from tconnectsync.domain.clock import DAY
from tconnectsync.domain.events import Basal, Bolus, Reading, ReadingKind
from tconnectsync.domain.words import ending, endings
from tconnectsync.errors import ApiError, LoginError, TconnectsyncError
from tconnectsync.sources.tconnect.basals import timeline_basals
from tconnectsync.sources.tconnect.boluses import therapy_boluses
from tconnectsync.sources.tconnect.glucose import therapy_readings
from tconnectsync.sources.tconnect.pages import read_devices, settings_guid
from tconnectsync.sources.tconnect.source import TConnectReader, open_source

KNOWN_VERSION = "t:connect 7.17.2.3"
"""The version of the web site that this program was made for."""

ELSEWHERE = ("region", "country")


def steps(asked: CheckRequest) -> list[Step]:
    """Return the steps in the order in which they depend on each other."""
    check = TConnectCheck(asked)
    return [
        ("Tandem login", check.log_in),
        ("Basals and activities", check.timeline),
        ("Boluses and readings", check.therapy_events),
        ("Suspensions (ws2)", check.suspensions),
        ("CSV export (ws2)", check.csv_export),
        ("Pump's serial number", check.devices),
        # Last, because it has a login of its own on which nothing else depends.
        ("Upload counter", check.upload_counter),
    ]


def serial_numbers(asked: CheckRequest) -> dict[str, str]:
    """Return the serial numbers of the account's pumps, by what people call the pump.

    Raises:
        TconnectsyncError: the account cannot be asked for.
    """
    devices = read_devices(asked.api.webui.my_devices())
    return {
        f"{it.name} {ending(serial)} ({it.status})": serial
        for serial, it in devices.items()
        if it.guid
    }


class TConnectCheck:
    """Asks t:connect for what a sync needs, with the readers that a sync uses."""

    def __init__(self, asked: CheckRequest) -> None:
        self._asked = asked
        self._api = asked.api
        self._findings = asked.findings
        self._serial = asked.settings.source.serial_number
        self._source = open_source(
            asked.api, asked.settings, asked.pump_clock, asked.clock, needs_readings=True
        )
        self._readers = [(it, self._source.read(it)) for it in windows_of(asked, self._source)]
        self._pumps = "unknown"

    def log_in(self) -> str:
        """Log in, and say which version of the web site answers."""
        login = log_in(self._api.controliq.logins, login_advice, self._findings)
        self._findings.redactor.learn("USER_GUID", login.user_guid)
        version = login.software_version
        if version in (None, KNOWN_VERSION):
            return f"The web site is {version or 'of unknown version'}."
        return f"The web site is {version}; this program was made for {KNOWN_VERSION}."

    def timeline(self) -> str:
        """Ask for basals and activities."""
        self._findings.record(self._api.controliq, therapy_timeline="therapy timeline")
        timelines = [reader.timeline() for _, reader in self._readers]
        if not any(timelines):
            return (
                "None in this range: the pump has no Control-IQ (its basals are taken from the CSV "
                "export), or had not uploaded. Try other days: --start-date and --end-date."
            )
        now, clock = self._asked.clock.now, self._asked.pump_clock

        def basals(reader: TConnectReader) -> list[Basal]:
            return timeline_basals(reader.timeline(), clock, now, reader.skipped)

        return count(
            self._asked, self._readers, {"basals": basals, "activities": TConnectReader.user_modes}
        )

    def therapy_events(self) -> str:
        """Ask for boluses and readings."""
        self._findings.record(self._api.controliq, therapy_events="therapy events")
        clock = self._asked.pump_clock

        def boluses(reader: TConnectReader) -> list[Bolus]:
            return therapy_boluses(reader.therapy_events(), clock, reader.skipped)

        def readings(reader: TConnectReader) -> list[Reading]:
            found = therapy_readings(reader.therapy_events(), clock, reader.skipped)
            return [it for it in found if it.kind is ReadingKind.SENSOR]

        counts = count(self._asked, self._readers, {"boluses": boluses, "readings": readings})
        self._findings.asked_for_events = True
        return counts

    def suspensions(self) -> str:
        """Ask for suspensions, alarms and site changes."""
        self._findings.record(self._api.ws2, basal_suspension="basal suspensions")
        with _matters_only_to("PUMP_EVENTS (site changes, alarms, suspensions)"):
            found = [
                it
                for window, reader in self._readers
                for it in reader.suspensions()
                if window.overlaps(it.begins, it.ends)
            ]
        return f"{len(found)} entries."

    def csv_export(self) -> str:
        """Ask for the export of the last two days, once."""
        clock = self._asked.pump_clock
        _, last = clock.days(self._readers[-1][0])
        first = max(clock.day(self._asked.time_range.start), last - DAY)
        with _matters_only_to("IOB, CGM, basals without Control-IQ and days without a bolus"):
            export = self._api.ws2.therapy_timeline_csv(first, last, patient=False)
        self._findings.keep("CSV export", export)
        return ", ".join(f"{len(rows)} {name}" for name, rows in export.items()) + "."

    def devices(self) -> str:
        """Look for the pump among the devices of the account."""
        devices = read_devices(self._api.webui.my_devices())
        self._findings.keep(
            "devices", [{"serialNumber": serial, **asdict(it)} for serial, it in devices.items()]
        )
        pumps = {serial: device for serial, device in devices.items() if device.guid}
        self._pumps = endings(pumps) or "unknown"
        guid = settings_guid(devices, self._serial)
        pump = next(device for device in pumps.values() if device.guid == guid)
        return f"t:connect knows it: {pump.name}, {pump.status}."

    def upload_counter(self) -> str:
        """Ask for the counter by which ``--auto-update`` notices uploads."""
        api = self._api.android
        login = api.logins.current()
        self._findings.redactor.learn("TOKEN", login.token.value)
        self._findings.redactor.learn("USER_ID", login.user_id or "")
        for ask in (api.patient_info, api.user_profile):
            self._learn_who_it_is(ask)
        self._findings.record(api, last_event_uploaded="upload counter")
        try:
            index = self._source.upload_counter()
        except ApiError as error:
            if error.status != 404:
                raise
            raise TconnectsyncError(
                "Tandem has no upload of a pump with the serial number in PUMP_SERIAL_NUMBER "
                f"(HTTP 404). The account's pumps end in: {self._pumps}. Correct the number, or "
                "upload the pump once."
            ) from error
        if index is None:
            raise TconnectsyncError(
                "The answer holds no number. --auto-update needs it to notice uploads; nothing "
                "else does."
            )
        return f"The pump has uploaded {index} events."

    def _learn_who_it_is(self, ask: Callable[[], dict[str, Any]]) -> None:
        """Learn names and birth dates, to hide them in the report; of no use otherwise."""
        try:
            self._findings.redactor.learn_from(ask())
        except TconnectsyncError as error:
            if error.fatal:
                raise
        else:
            self._findings.owner_known = True


def login_advice(error: LoginError) -> str:
    """Return what to do about a failed login to the web site."""
    text = str(error).lower()
    if error.can_retry or (error.status or 0) >= 500:
        return "t:connect has a fault; try again later."
    if is_locked(error):
        return WAIT
    if any(word in text for word in ELSEWHERE):
        return (
            "The account belongs to another region than the web site at TCONNECT_WEB_URL. Log in "
            "with a browser to see which site knows the account."
        )
    return (
        "Wrong e-mail address or password: log in to t:connect with a browser and put what "
        "works there into TCONNECT_EMAIL and TCONNECT_PASSWORD. If it works on the site of "
        "another region only, TCONNECT_WEB_URL is wrong. Do not simply try again: too many "
        "failed logins lock the account."
    )


@contextmanager
def _matters_only_to(features: str) -> Iterator[None]:
    """Let failures of ws2 say what they matter to."""
    try:
        yield
    except TconnectsyncError as error:
        if error.fatal:
            raise
        raise TconnectsyncError(
            f"{str(error).removesuffix('.')}. This matters only to {features}; ws2 is often out of "
            "order and may work again later."
        ) from error
