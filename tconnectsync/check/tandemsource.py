"""The steps of a check that ask Tandem Source: login, pumps, their logs, the profiles in use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from tconnectsync.check.login import WAIT, is_locked, log_in
from tconnectsync.check.results import (
    CheckRequest,
    NotTriedError,
    Step,
    StopError,
    age_in_words,
    in_words,
)
from tconnectsync.domain.clock import DAY, LONG_AGO
from tconnectsync.domain.words import number_of
from tconnectsync.errors import LoginError, TconnectsyncError
from tconnectsync.sources.tandemsource import sensor
from tconnectsync.sources.tandemsource.basals import basals
from tconnectsync.sources.tandemsource.basals.rates import RATE_CODES
from tconnectsync.sources.tandemsource.boluses import newalgorithm
from tconnectsync.sources.tandemsource.clock.changes import CLOCK_CODES
from tconnectsync.sources.tandemsource.log.codes import (
    ALARM,
    ALERT,
    BASAL_RATE,
    BATTERY,
    BOLUS_ENDED,
    CANNULA_FILLED,
    CARTRIDGE_FILLED,
    LATER_PART_ENDED,
    MALFUNCTION,
    SENSOR_JOINS,
    SENSOR_STARTS,
    SENSOR_STOPS,
    SENSORS,
    TUBING_FILLED,
    USER_MODE,
)
from tconnectsync.sources.tandemsource.log.fields import KNOWN_CODES
from tconnectsync.sources.tandemsource.log.logentries import Entry, in_order
from tconnectsync.sources.tandemsource.log.records import plainly_named
from tconnectsync.sources.tandemsource.pumps import wornsigns, wrongdates
from tconnectsync.sources.tandemsource.pumps.clockmessages import disagreement
from tconnectsync.sources.tandemsource.pumps.pumpchoice import PumpChoice
from tconnectsync.sources.tandemsource.pumps.pumps import (
    Pump,
    ending,
    endings,
    is_automatic,
    may_be_in_use,
    named,
    newest_first,
    read_pumps,
    touches,
)
from tconnectsync.sources.tandemsource.settings import NOT_FOR_GUARDIANS, pump_settings
from tconnectsync.sources.tandemsource.source import open_source

KINDS = {
    "basals": (BASAL_RATE,),
    "boluses": (BOLUS_ENDED, LATER_PART_ENDED),
    "readings": SENSORS,
    "suspensions and resumptions": basals.SUSPENSIONS,
    "fills": (CARTRIDGE_FILLED, CANNULA_FILLED, TUBING_FILLED),
    "alarms": (ALERT, ALARM, MALFUNCTION),
    "rate changes": RATE_CODES,
    "sleep and exercise": (USER_MODE,),
    "sensor sessions": (*SENSOR_STARTS, *SENSOR_JOINS, *SENSOR_STOPS),
    "CGM alerts": tuple(sensor.ALERTS),
    "battery": BATTERY,
}
"""What the entries of the log are about, by their codes."""
REGULAR = ("basals", "boluses", "readings")
"""What comes every day; shown even if there are none."""
GAPLESS = (*KINDS["basals"], *KINDS["readings"])
WRONG_ZONE = timedelta(days=2)
"""By how much entries may lie in the future, because the zone or the pump's clock is wrong."""


def steps(asked: CheckRequest) -> list[Step]:
    """Return the steps in the order in which they depend on each other."""
    check = TandemSourceCheck(asked)
    return [
        ("Tandem login", check.log_in),
        ("Account and pumps", check.choose_pumps),
        ("Pump's log", check.read_logs),
        ("Profiles", check.read_profiles),
    ]


def serial_numbers(asked: CheckRequest) -> dict[str, str]:
    """Return the serial numbers of the account's pumps, by what people call the pump.

    Raises:
        TconnectsyncError: the account cannot be asked for.
    """
    source = open_source(
        asked.api, asked.settings, asked.pump_clock, asked.clock, needs_readings=False
    )
    return {named(pump): pump.serial for pump in source.account().pumps}


class TandemSourceCheck:
    """Asks Tandem Source for what a sync needs, with the adapter that a sync uses."""

    def __init__(self, asked: CheckRequest) -> None:
        self._api = asked.api
        self._tokens = asked.tokens
        self._clock = asked.pump_clock
        self._findings = asked.findings
        self._now = asked.clock.now()
        self._region = asked.settings.tandem.region
        self._serial = asked.settings.source.serial_number
        self._source = open_source(
            asked.api, asked.settings, asked.pump_clock, asked.clock, needs_readings=True
        )
        self._time_range = asked.time_range
        self._features = asked.features
        self._choice: PumpChoice
        self._pump: Pump
        """The one in use as far as known, by the second step, without which there are no further
        ones; the third step knows better."""

    def log_in(self) -> str:
        """Log in; the new login takes the place of the saved one, so that it is not one more."""
        login = log_in(self._api.tandemsource.logins, self._advice, self._findings)
        self._findings.redactor.learn("PUMPER_ID", login.pumper_id)
        self._findings.redactor.learn("ACCOUNT_ID", login.account_id)
        if self._tokens:
            self._tokens.save(login)
        return f"It is an account of the {self._region} region."

    def _advice(self, error: LoginError) -> str:
        tried = f"The region tried is {self._region}."
        if error.can_retry or error.status != 401:
            return tried
        if is_locked(error):
            return f"{tried} {WAIT}"
        return f"{tried} Do not simply try again: too many failed logins lock the account."

    def choose_pumps(self) -> str:
        """Ask for the pumps of the account, and choose those that a sync reads."""
        self._findings.record(
            self._api.tandemsource,
            self._keep,
            pumper="account and pumps",
            account="account of a guardian",
        )
        try:
            choice = self._source.choose(self._time_range)
        except TconnectsyncError as error:
            # Without a pump, there is nothing to read.
            raise StopError(str(error), exit_code=error.exit_code) from error
        if not choice.read:
            raise StopError(choice.never_uploaded)
        self._choice = choice
        self._pump = newest_first(choice.read, self._clock, self._now)[0]
        self._findings.uploaded = self._pump.uploaded
        if wrong := " ".join(filter(None, [choice.warning, *choice.undecided.values()])):
            raise TconnectsyncError(wrong)
        return self._chosen(self._source.account().pumps)

    def _chosen(self, pumps: Iterable[Pump]) -> str:
        """Return in words which pumps are read and which are not."""
        read = self._read_for_range()
        others = [pump for pump in pumps if pump not in read]
        also = f"; the account also has {endings(others)}" if others else ""
        if len(read) > 1:
            uploads = " ".join(f"{ending(pump)}: {self._last_upload(pump)}" for pump in read)
            return f"All of these pumps are read: {', '.join(map(named, read))}{also}. {uploads}"
        is_named = not is_automatic(self._serial)
        why = "the one that PUMP_SERIAL_NUMBER names" if is_named else "the one in use"
        return f"It is {named(read[0])}, {why}{also}. {self._last_upload(read[0])}"

    def _read_for_range(self) -> list[Pump]:
        """Return the pumps whose logs a sync of the range reads; the one in use if there is none.

        Then at least it can be said of which days it has something.
        """
        time_range, clock, now = self._time_range, self._clock, self._now
        found = [pump for pump in self._choice.read if touches(pump, time_range, clock, now)]
        return found or [self._pump]

    def _keep(self, what: str, payload: dict[str, Any]) -> None:
        """Keep an account, and learn what must be hidden of it.

        The whole name of the person stands under a key that much else has, too.
        """
        for pump in read_pumps(payload, self._clock):
            self._findings.redactor.learn("ASSIGNMENT_ID", pump.assignment_id)
        person = {name: payload.get(name) for name in ("firstName", "lastName", "name")}
        self._findings.owner_known |= any(person.values())
        self._findings.redactor.learn_from({"fullName": person["name"]})
        # A profile may bear the name of a person, too.
        self._findings.keep(what, _without_names(payload))

    def _last_upload(self, pump: Pump) -> str:
        if not pump.uploaded:
            return "The time of its last upload is unknown."
        age = age_in_words(pump.uploaded, self._now)
        # The zone of the pump's clock may not be known yet.
        zone = " UTC" if self._clock.zone.key == "UTC" else ""
        return f"It last uploaded {age} ({self._clock.here(pump.uploaded):%Y-%m-%d %H:%M}{zone})."

    def read_logs(self) -> str:
        """Read the log of each pump that a sync of the range reads."""
        self._findings.record(self._api.tandemsource, pump_logs="pump's log")
        skipped: Counter[str] = Counter()
        wrong: list[str] = []
        logs = [(pump, *self._read_log(pump, skipped, wrong)) for pump in self._read_for_range()]
        has_entries = any(entries for _, entries, _ in logs)
        not_understood = in_words(skipped, nothing_found=not has_entries)
        self._findings.asked_for_events = True

        def worn(log: tuple[Pump, list[Entry], str]) -> datetime:
            return max((it.at for it in log[1] if it.code in wornsigns.CODES), default=LONG_AGO)

        newest = newest_first([pump for pump, _, _ in logs], self._clock, self._now)
        logs.sort(key=lambda log: (worn(log), -newest.index(log[0])), reverse=True)
        self._pump, entries, self._findings.disagreement = logs[0]
        self._findings.uploaded = self._pump.uploaded
        codes = {entry.code for entry in entries}
        self._findings.gapless = bool(codes.intersection(GAPLESS))
        self._findings.newest = max((entry.at for entry in entries), default=None)
        self._findings.shows_wrong_date = bool(wrong)
        found = [
            f"{ending(pump) + ': ' if len(logs) > 1 else ''}{_counted(entries, pump)}"
            for pump, entries, _ in logs
        ]
        found[-1] += not_understood
        remarks = [it for _, entries, _ in logs for it in newalgorithm.remarks(entries)]
        said = " ".join([*dict.fromkeys(remark.text for remark in remarks), *found, *wrong])
        if wrong or any(remark.missing for remark in remarks):
            raise TconnectsyncError(said)
        return said

    def _read_log(
        self, pump: Pump, skipped: Counter[str], wrong: list[str]
    ) -> tuple[list[Entry], str]:
        """Return the entries of the range, and what is to be said of the pump's clock.

        A range that goes on until now has what seems to be later, too. What there is to say of a
        wrong date is left in ``wrong``.
        """
        one = replace(self._source.open_log(pump), say=lambda sentence: None)
        # The days that a sync asks for.
        first = self._clock.day(self._time_range.start) - DAY
        last = self._clock.day(self._time_range.end) + DAY
        days = one.days(first, last, one.codes)
        log = days.placed(KNOWN_CODES - CLOCK_CODES, self._now + WRONG_ZONE, skipped)
        if may_be_in_use(pump, self._choice.read, self._clock, self._now):
            remarks = wrongdates.remarks(days, self._time_range, self._now)
            wrong.extend(remark.text for remark in remarks if remark.missing)
        is_open = self._time_range.end >= self._now
        entries = [
            it
            for it in in_order(log)
            if self._time_range.start <= it.at and (is_open or it.at < self._time_range.end)
        ]
        return entries, disagreement(days.log_clock)

    def read_profiles(self) -> str:
        """Read the profiles of the pump in use."""
        if self._source.account().is_guardian and not self._pump.settings:
            if "PROFILES" in self._features:
                raise TconnectsyncError(NOT_FOR_GUARDIANS)
            raise NotTriedError(NOT_FOR_GUARDIANS)
        settings = pump_settings(self._pump.settings)
        profiles = settings.profiles
        broken = "".join(
            f" “{each.name or each.place + 1}” cannot be used: {each.why}."
            for each in settings.broken
        )
        if any(each.active for each in settings.broken):
            raise TconnectsyncError(
                "The profile that the pump follows cannot be shown; this matters only to PROFILES."
                f"{broken} Look at it on the pump and on Tandem's site: if all is right there, a "
                "newer tconnectsync is needed."
            )
        if not any(profile.active for profile in profiles):
            raise TconnectsyncError(
                f"{number_of(len(profiles), 'profile')}, but which one is in use is not known. "
                "Switch on a profile of the pump and upload it; this matters only to PROFILES."
            )
        segments = sum(len(profile.segments) for profile in profiles)
        counted = f"{number_of(len(profiles), 'profile')} with {number_of(segments, 'segment')}"
        return f"{counted} in all.{broken}"


def _counted(entries: Sequence[Entry], pump: Pump) -> str:
    """Return what there is in a log, in words."""
    if not entries:
        newest = f"{pump.newest:%Y-%m-%d %H:%M}" if pump.newest else "unknown"
        return (
            "No entries for these days: the pump was not in use or has not uploaded them. Its "
            f"newest entry on Tandem Source: {newest}. Try other days: --start-date and "
            "--end-date."
        )
    codes = Counter(entry.code for entry in entries)
    of_kinds = {kind: sum(codes[code] for code in of) for kind, of in KINDS.items()}
    counts = [f"{count} {kind}" for kind, count in of_kinds.items() if count or kind in REGULAR]
    counts.append(f"{codes.total() - sum(of_kinds.values())} others")
    first, last = min(entries, key=attrgetter("at")), max(entries, key=attrgetter("at"))
    return (
        f"{len(entries)} entries from {first.wall:%Y-%m-%d %H:%M} to {last.wall:%Y-%m-%d %H:%M} "
        f"by the pump's clock: {', '.join(counts)}."
    )


def _without_names(payload: object) -> object:
    """Return a copy of a payload without the values of all keys that are just "name"."""
    match payload:
        case Mapping():
            return {
                key: "[NAME]" if plainly_named({key: value}).get("name") else _without_names(value)
                for key, value in payload.items()
            }
        case list():
            return [_without_names(item) for item in payload]
    return payload
