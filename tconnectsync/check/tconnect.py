"""The steps of a check that ask t:connect: login, data, devices, upload counter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, TypeVar

from tconnectsync.check.login import WAIT, is_locked, log_in
from tconnectsync.check.results import CheckRequest, Step, age_in_words, in_words
from tconnectsync.domain.clock import TimeRange
from tconnectsync.domain.events import Basal, Bolus, Event, Reading, ReadingKind, UserMode
from tconnectsync.domain.words import endings
from tconnectsync.errors import ApiError, LoginError, TconnectsyncError
from tconnectsync.sources.tconnect.basals import timeline_basals
from tconnectsync.sources.tconnect.boluses import therapy_boluses
from tconnectsync.sources.tconnect.glucose import therapy_readings
from tconnectsync.sources.tconnect.pages import read_devices, settings_guid
from tconnectsync.sources.tconnect.source import open_source
from tconnectsync.sync.run.window import windows

KNOWN_VERSION = "t:connect 7.17.2.3"
"""The version of the web site that this program was made for."""

ELSEWHERE = ("region", "country")
DAY = timedelta(days=1)

AnyEvent = TypeVar("AnyEvent", bound=Event)


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


class TConnectCheck:
    """Asks t:connect for what a sync needs, with the readers that a sync uses."""

    def __init__(self, asked: CheckRequest) -> None:
        self._api = asked.api
        self._clock = asked.pump_clock
        self._findings = asked.findings
        self._now = asked.clock.now()
        self._serial = asked.settings.pump_serial_number
        self._source = open_source(asked.api, asked.settings, asked.pump_clock, asked.clock, True)
        self._wanted = asked.wanted
        if asked.wanted.end >= asked.clock.now():
            # In a wrong zone, it may already be tomorrow on the pump.
            self._wanted = TimeRange(asked.wanted.start, asked.wanted.end + DAY)
        self._readers = [
            (window, self._source.read(window))
            for window in windows(self._wanted, self._source.window_days, asked.pump_clock)
        ]
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
        basals: list[Basal] = []
        activities: list[UserMode] = []
        skipped: Counter[str] = Counter()
        for window, reader in self._readers:
            found = timeline_basals(reader.timeline(), self._clock, lambda: self._now, skipped)
            basals += _begun_in(window, found)
            activities += _begun_in(window, reader.user_modes())
        if not any(reader.timeline() for _, reader in self._readers):
            return (
                "None in this range: the pump has no Control-IQ (its basals are taken from the CSV "
                "export), or had not uploaded. Try other days: --start-date and --end-date."
            )
        self._findings.gapless |= bool(basals)
        newest = self._newest([*(it.ends for it in basals), *(it.ends for it in activities)])
        not_understood = in_words(skipped, nothing_found=not basals and not activities)
        return f"{len(basals)} basals, {len(activities)} activities{newest}.{not_understood}"

    def therapy_events(self) -> str:
        """Ask for boluses and readings."""
        self._findings.record(self._api.controliq, therapy_events="therapy events")
        boluses: list[Bolus] = []
        readings: list[Reading] = []
        skipped: Counter[str] = Counter()
        for window, reader in self._readers:
            events = reader.therapy_events()
            boluses += _begun_in(window, therapy_boluses(events, self._clock, skipped))
            found = therapy_readings(events, self._clock, skipped)
            readings += [
                it
                for it in found
                if it.kind is ReadingKind.SENSOR and window.overlaps(it.at, it.at)
            ]
        not_understood = in_words(skipped, nothing_found=not boluses and not readings)
        self._findings.asked_for_events = True
        self._findings.gapless |= bool(readings)
        newest = self._newest([*(it.begins for it in boluses), *(it.at for it in readings)])
        return f"{len(boluses)} boluses, {len(readings)} readings{newest}.{not_understood}"

    def suspensions(self) -> str:
        """Ask for suspensions, alarms and site changes."""
        self._findings.record(self._api.ws2, basal_suspension="basal suspensions")
        found = _of_ws2(
            lambda: [
                it for window, read in self._readers for it in _begun_in(window, read.suspensions())
            ],
            "PUMP_EVENTS (site changes, alarms, suspensions)",
        )
        return f"{len(found)} entries."

    def csv_export(self) -> str:
        """Ask for the export of the last two days, once."""
        last = self._clock.day(self._wanted.end - timedelta(microseconds=1))
        first = max(self._clock.day(self._wanted.start), last - DAY)
        export = _of_ws2(
            lambda: self._api.ws2.therapy_timeline_csv(first, last, patient=False),
            "IOB, CGM, basals without Control-IQ and days without a bolus",
        )
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

    def _newest(self, instants: Sequence[datetime]) -> str:
        """Note the newest of some instants; return it in words, to follow a count."""
        newest = max(instants, default=None)
        if newest is None:
            return " (nothing was uploaded for these days)"
        self._findings.newest = max(filter(None, (newest, self._findings.newest)))
        age = age_in_words(newest, self._now)
        return f", the newest {age} ({self._clock.here(newest):%Y-%m-%d %H:%M})"


def _begun_in(window: TimeRange, events: Iterable[AnyEvent]) -> list[AnyEvent]:
    """Return the events of a window without those of the day before, which was asked for too."""
    return [event for event in events if window.overlaps(event.begins, event.begins)]


def login_advice(error: LoginError) -> str:
    """Return what to do about a failed login to the web site."""
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


def _of_ws2(ask: Callable[[], Any], features: str) -> Any:
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
