"""The steps of a check that ask Tandem Source: login, pumps, their logs, the profiles in use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from operator import itemgetter
from typing import Any

import arrow

from tconnectsync.api.clients import TConnectApi
from tconnectsync.api.tandemsource.tokens import TokenCache
from tconnectsync.check.login import WAIT, is_locked, log_in
from tconnectsync.check.results import Findings, NotTriedError, Step, StopError
from tconnectsync.domain.clock import LONG_AGO, PumpClock, TimeRange
from tconnectsync.errors import LoginError, TconnectsyncError
from tconnectsync.sources.tandemsource import (
    basals,
    claims,
    doses,
    newalgorithm,
    pumpevents,
    sensor,
    usermodes,
    wrongdates,
)
from tconnectsync.sources.tandemsource.choice import Account, Choice, Chooser
from tconnectsync.sources.tandemsource.clock.changes import CLOCK_CODES
from tconnectsync.sources.tandemsource.clockmessages import disagreement
from tconnectsync.sources.tandemsource.fields import EXTRA_CODES, KNOWN_CODES
from tconnectsync.sources.tandemsource.logdays import LogDays
from tconnectsync.sources.tandemsource.logentries import Entry
from tconnectsync.sources.tandemsource.names import plainly_named
from tconnectsync.sources.tandemsource.onepump import OnePump
from tconnectsync.sources.tandemsource.overlaps import Overlaps
from tconnectsync.sources.tandemsource.pumps import (
    Pump,
    ending,
    endings,
    is_automatic,
    may_be_in_use,
    newest_first,
    read_pumps,
    touches,
)
from tconnectsync.sources.tandemsource.rates import TELLING
from tconnectsync.sources.tandemsource.reader import USED, LogReader
from tconnectsync.sources.tandemsource.records import Record, records_of
from tconnectsync.sources.tandemsource.settings import NOT_FOR_GUARDIANS, pump_settings
from tconnectsync.sources.tandemsource.source import ASKED_FOR, open_for_comparison
from tconnectsync.sources.tandemsource.status import BATTERY
from tconnectsync.state.files import cache_folder

DAY = timedelta(days=1)

Dated = tuple[datetime, Record]
"""An entry of the log with its true instant."""

KINDS = {
    "basals": (basals.DELIVERY,),
    "boluses": (doses.IMMEDIATE, doses.EXTENDED),
    "readings": sensor.SENSORS,
    "suspensions and resumptions": basals.SUSPENSIONS,
    "fills": (pumpevents.CARTRIDGE, pumpevents.CANNULA, pumpevents.TUBING),
    "alarms": (pumpevents.ALERT, pumpevents.ALARM, pumpevents.MALFUNCTION),
    "rate changes": TELLING,
    "sleep and exercise": usermodes.CODES,
    "sensor sessions": (*sensor.STARTS, *sensor.JOINS, *sensor.STOPS),
    "CGM alerts": tuple(sensor.ALERTS),
    "battery": BATTERY,
}
"""What the entries of the log are about, by their codes."""
REGULAR = ("basals", "boluses", "readings")
"""What comes every day; that there are none is worth telling."""
GAPLESS = (*KINDS["basals"], *KINDS["readings"])
MOST_NAMED = 5
"""So many kinds of what is not understood are named."""


class TandemSourceSteps:
    """Asks Tandem Source for what a sync needs.

    Args:
        api: the clients; they must log in when they are first used, not take a saved login.
        cache: where the new login takes the place of the saved one, so that it is not one more.
        clock: the pump's clock.
        values: the settings by field name.
        wanted: the range to ask for.
        now: the current instant.
        findings: where to leave what is found.
    """

    def __init__(
        self,
        api: TConnectApi,
        cache: TokenCache | None,
        clock: PumpClock,
        values: Mapping[str, Any],
        wanted: TimeRange,
        now: datetime,
        findings: Findings,
    ) -> None:
        self._api = api
        self._cache = cache
        self._clock = clock
        self._region: str = values["tconnect_region"]
        self._serial: str = values["pump_serial_number"]
        self._codes = None if values["fetch_all_event_types"] else sorted(ASKED_FOR)
        self._extra = () if self._codes is None else EXTRA_CODES
        self._wanted = wanted
        self._now = now
        self._findings = findings
        self._is_guardian = False
        self._catch_up = timedelta(days=values.get("catch_up_days", 14.0))
        self._choice: Choice
        self._pump: Pump
        """The one in use as far as known, by the second step, without which there are no further
        ones; the third step knows better."""

    def steps(self) -> list[Step]:
        """Return the steps in the order in which they depend on each other."""
        return [
            ("Tandem login", self._log_in),
            ("Account and pumps", self._choose_pumps),
            ("Pump's log", self._read_logs),
            ("Profiles", self._read_profiles),
        ]

    def _log_in(self) -> str:
        login = log_in(self._api.tandemsource.logins, self._advice, self._findings)
        self._findings.redactor.learn("PUMPER_ID", login.pumper_id)
        self._findings.redactor.learn("ACCOUNT_ID", login.account_id)
        if self._cache:
            self._cache.save(login)
        return f"It is an account of the {self._region} region."

    def _advice(self, error: LoginError) -> str:
        tried = f"The region tried is {self._region}."
        if error.can_retry or error.status != 401:
            return tried
        if is_locked(error):
            return f"{tried} {WAIT}"
        return f"{tried} Do not just try again: too many wrong tries lock the account."

    def _choose_pumps(self) -> str:
        try:
            account = self._fetch_account()
            choice = self._chooser().choose(account, self._wanted)
        except TconnectsyncError as error:
            # Without a pump, there is nothing to read.
            raise StopError(str(error), exit_code=error.exit_code) from error
        if not choice.read:
            raise StopError(
                f"The pump {_all_named(choice.meant)} has never uploaded. Connect it to Tandem's "
                "app on the phone, or upload it once from a computer."
            )
        self._choice = choice
        self._pump = newest_first(choice.read, self._clock, self._now)[0]
        self._findings.uploaded = self._pump.uploaded
        if wrong := " ".join(filter(None, [choice.warning, *choice.undecided.values()])):
            raise TconnectsyncError(wrong)
        return self._chosen(account)

    def _chosen(self, account: Account) -> str:
        """Return in words which pumps are read and which are not."""
        read = self._read_for_range()
        others = [pump for pump in account.pumps if pump not in read]
        also = f"; the account also has {endings(others)}" if others else ""
        if len(read) > 1:
            uploads = " ".join(f"{ending(pump)}: {self._last_upload(pump)}" for pump in read)
            return f"All of these pumps are read: {_all_named(read)}{also}. {uploads}"
        is_named = not is_automatic(self._serial)
        why = "as PUMP_SERIAL_NUMBER says" if is_named else "the one in use"
        return f"It is {_named(read[0])}, {why}{also}. {self._last_upload(read[0])}"

    def _read_for_range(self) -> list[Pump]:
        """Return the pumps whose logs a sync of the range reads; the one in use if there is none.

        Then at least it can be said of which days it has something.
        """
        wanted, clock, now = self._wanted, self._clock, self._now
        found = [pump for pump in self._choice.read if touches(pump, wanted, clock, now)]
        return found or [self._pump]

    def _chooser(self) -> Chooser:
        """Return what decides which pumps are read, the same as for a sync."""
        return Chooser(
            self._clock,
            self._serial,
            self._catch_up,
            self._now,
            Overlaps(cache_folder()),
            self._open_for_comparison,
        )

    def _open_for_comparison(self, pump: Pump, wanted: TimeRange) -> LogReader:
        one = OnePump(
            self._api,
            self._clock,
            lambda: pump,
            USED,
            self._codes,
            ignore_zero_basals=False,
            now=lambda: self._now,
            say=lambda sentence: None,
        )
        return open_for_comparison(one, wanted)

    def _fetch_account(self) -> Account:
        pumper = self._api.tandemsource.pumper()
        self._keep("account and pumps", pumper)
        pumps = read_pumps(pumper, self._clock)
        if not pumps:
            account = self._api.tandemsource.account()
            self._keep("account of a guardian", account)
            pumps = read_pumps(account, self._clock)
            self._is_guardian = bool(pumps)
        for pump in pumps:
            self._findings.redactor.learn("ASSIGNMENT_ID", pump.assignment_id)
        return Account(pumps, self._is_guardian)

    def _keep(self, what: str, payload: dict[str, Any]) -> None:
        """Keep what tells of the person; their whole name stands under a key that many have."""
        person = {name: payload.get(name) for name in ("firstName", "lastName", "name")}
        self._findings.owner_known |= any(person.values())
        self._findings.redactor.learn_from({"fullName": person["name"]})
        # A profile may be named after somebody, too.
        self._findings.keep(what, _without_names(payload))

    def _last_upload(self, pump: Pump) -> str:
        if not pump.uploaded:
            return "When it last uploaded is not known."
        age = arrow.get(pump.uploaded).humanize(arrow.get(self._now))
        return f"It last uploaded {age} ({self._clock.here(pump.uploaded):%Y-%m-%d %H:%M})."

    def _read_logs(self) -> str:
        read = self._read_for_range()
        skipped: Counter[str] = Counter()
        wrong: list[str] = []
        logs = [(pump, *self._read_log(pump, skipped, wrong)) for pump in read]
        self._findings.asked_for_events = True

        def worn(it: tuple[Pump, list[Dated], str]) -> datetime:
            return max((at for at, each in it[1] if each.code in claims.CODES), default=LONG_AGO)

        newest = newest_first(read, self._clock, self._now)
        logs.sort(key=lambda it: (worn(it), -newest.index(it[0])), reverse=True)
        self._pump, entries, self._findings.disagreement = logs[0]
        self._findings.uploaded = self._pump.uploaded
        self._note_newest(entries)
        told = [
            f"{ending(pump) + ': ' if len(logs) > 1 else ''}{self._told(entries, pump)}"
            for pump, entries, _ in logs
        ]
        text = f"{' '.join(told)}{_skipped(skipped)}"
        remarks = [it for _, entries, _ in logs for it in newalgorithm.remarks(_entries(entries))]
        said = " ".join([*dict.fromkeys(remark.text for remark in remarks), text, *wrong])
        self._findings.shows_wrong_date = bool(wrong)
        if wrong or any(remark.missing for remark in remarks):
            raise TconnectsyncError(said)
        return said

    def _read_log(
        self, pump: Pump, skipped: Counter[str], wrong: list[str]
    ) -> tuple[list[Dated], str]:
        """Return what a log says of the range, and what is to be said of the pump's clock.

        What there is to say of a wrong date is left in ``wrong``.
        """
        # The days that a sync asks for.
        first = self._clock.day(self._wanted.start) - DAY
        last = self._clock.day(self._wanted.end) + DAY
        days = LogDays(lambda *span: self._ask_for(pump, *span), pump, self._clock, first, last)
        entries = self._entries(days, skipped)
        if may_be_in_use(pump, self._choice.read, self._clock, self._now):
            remarks = wrongdates.remarks(days, self._wanted, self._now)
            wrong.extend(remark.text for remark in remarks if remark.missing)
        return entries, disagreement(days.log_clock)

    def _ask_for(self, pump: Pump, first: date, last: date) -> dict[str, list[Any]]:
        source = self._api.tandemsource
        payload = source.pump_logs(pump.assignment_id, first, last, self._codes, self._extra)
        self._findings.keep("pump's log", payload)
        return payload

    def _entries(self, days: LogDays, skipped: Counter[str]) -> list[Dated]:
        """Return the entries of the range; one that goes on until now has what is later, too.

        Raises:
            TconnectsyncError: there are some, but none that can be used.
        """
        records = records_of(days.events, KNOWN_CODES - CLOCK_CODES, skipped)
        if skipped and not records:
            raise TconnectsyncError(
                f"Nothing in it can be used.{_skipped(skipped)} A newer tconnectsync is needed."
            )
        clock = days.log_clock
        instants = clock.instants([((each.group, each.sequence), each.wall) for each in records])
        is_open = self._wanted.end >= self._now
        return [
            (at, record)
            for at, record in zip(instants, records, strict=True)
            if self._wanted.start <= at and (is_open or at < self._wanted.end)
        ]

    def _note_newest(self, entries: Sequence[Dated]) -> None:
        """Note how far the pump in use is known, and whether a gap in that means something."""
        codes = {record.code for _, record in entries}
        self._findings.gapless = bool(codes.intersection(GAPLESS))
        self._findings.newest = max((at for at, _ in entries), default=None)

    def _told(self, entries: Sequence[Dated], pump: Pump) -> str:
        """Return in words what there is."""
        if not entries:
            newest = f"{pump.newest:%Y-%m-%d %H:%M}" if pump.newest else "unknown"
            return (
                "No entries for these days: the pump was not in use or has not uploaded them. Its "
                f"newest entry on Tandem Source: {newest}. Try other days: --start-date and "
                "--end-date."
            )
        codes = Counter(record.code for _, record in entries)
        _, first = min(entries, key=itemgetter(0))
        _, last = max(entries, key=itemgetter(0))
        return (
            f"{len(entries)} entries from {first.wall:%Y-%m-%d %H:%M} to "
            f"{last.wall:%Y-%m-%d %H:%M} by the pump's clock: {', '.join(_counts(codes))}."
        )

    def _read_profiles(self) -> str:
        if self._is_guardian and not self._pump.settings:
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
                f"{_number(len(profiles), 'profile')}, but which one is in use is not told. "
                "Switch on a profile of the pump and upload it; this matters only to PROFILES."
            )
        segments = sum(len(profile.segments) for profile in profiles)
        told = f"{_number(len(profiles), 'profile')} with {_number(segments, 'segment')} in all."
        return f"{told}{broken}"


def _entries(dated: Iterable[Dated]) -> list[Entry]:
    return [Entry(at, it.code, it.sequence, it.wall, it.values) for at, it in dated]


def _named(pump: Pump) -> str:
    return f"{ending(pump)} ({pump.model})" if pump.model else ending(pump)


def _all_named(pumps: Iterable[Pump]) -> str:
    return ", ".join(map(_named, pumps))


def _counts(codes: Counter[int]) -> list[str]:
    """Return how many entries there are of each kind."""
    found = {kind: sum(codes[code] for code in of_kind) for kind, of_kind in KINDS.items()}
    counts = [f"{n} {kind}" for kind, n in found.items() if n or kind in REGULAR]
    return [*counts, f"{codes.total() - sum(found.values())} others"]


def _skipped(skipped: Counter[str]) -> str:
    """Return what is not understood in words, as sentences that follow others."""
    if not skipped:
        return ""
    named = [f"{what} ({times} times)" for what, times in skipped.most_common(MOST_NAMED)]
    more = f" and {len(skipped) - MOST_NAMED} other kinds" if len(skipped) > MOST_NAMED else ""
    return f" Not understood: {', '.join(named)}{more}."


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


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
