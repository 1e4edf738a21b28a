"""A person's week with pumps, made up from a number: what happens, and what is known of it when.

All times without zone are the person's own clock, which runs on evenly from the first midnight.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

from tconnectsync.simulators.history import PumpHistory, midnight
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.pumps import PumpChange, SimulatedPump, change_pumps
from tconnectsync.sources.tandemsource.clock.zonerules import zone_rules
from tests.support.accounts import truth
from tests.support.expected import Insulin

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
LATEST = 56 * HOUR
"""By then everybody has put the pump's clock over for daylight saving."""
LOST = datetime(2008, 1, 1)
"""What a pump's clock shows after its battery was flat."""
ZONES = (
    *("America/New_York", "Europe/Berlin", "Pacific/Auckland", "Asia/Kolkata"),
    *("America/St_Johns", "Pacific/Honolulu", "America/Los_Angeles", "Australia/Lord_Howe"),
    *("Europe/London", "America/Santiago", "Asia/Tokyo", "Australia/Adelaide"),
)
FIRST_NUMBERS = (7301, 3, 5)
SINCE, UNTIL = datetime(2023, 6, 1), datetime(2026, 3, 1)


@dataclass(frozen=True)
class Setting:
    """Somebody sets the pump's clock, or it loses its time."""

    at: datetime
    ahead: timedelta
    """How far it is ahead of the person's own clock from then on."""
    on_record: bool = True


@dataclass(frozen=True)
class Kinds:
    """What a life may have in it."""

    pumps: int
    switch: bool
    """Whether daylight saving begins or ends meanwhile, which is set on the pump late."""
    journey: bool
    wrong_dates: int
    edits: bool
    faults: bool

    def __str__(self) -> str:
        names = [name for name in ("switch", "journey", "edits", "faults") if getattr(self, name)]
        return ", ".join([f"{self.pumps} pumps", *names, f"{self.wrong_dates} wrong dates"])


@dataclass
class Week:
    """What happens in some days: see :func:`week`."""

    seed: int
    kinds: Kinds
    zone: ZoneInfo
    first: date
    life: PumpHistory
    changes: list[PumpChange]
    settings: list[Setting]
    """How the clock of the pump in use is set."""
    phone_off: list[tuple[datetime, datetime]]
    last_seen: list[datetime]
    """When a pump that is replaced uploads for the last time but one."""
    keyed_by_identifier: bool
    pumps: list[SimulatedPump] = field(init=False)

    def __post_init__(self) -> None:
        made = change_pumps(self.life, *self.changes, zone=self.zone, first_numbers=FIRST_NUMBERS)
        borders = [datetime.min, *(change.at for change in self.changes), datetime.max]
        self.pumps = [
            self._with_clock(pump, number, *span)
            for number, (pump, span) in enumerate(zip(made, pairwise(borders), strict=True))
        ]

    def _with_clock(
        self, pump: SimulatedPump, number: int, begin: datetime, end: datetime
    ) -> SimulatedPump:
        """Return a pump whose clock is set as the person does while it is in use.

        A new one shows what the one before it did when it was put away.
        """
        before = [each for each in self.settings if each.at <= begin]
        settings = [each for each in self.settings if begin < each.at < end]
        if before and before[-1].ahead:
            settings.insert(0, replace(before[-1], at=begin - HOUR))
        change = self.changes[number] if number < len(self.changes) else None
        return SimulatedPump(
            pump.history,
            zone=self.zone,
            serial=pump.serial_number,
            clock_changes=list(_changes(settings)),
            unrecorded=[place for place, each in enumerate(settings) if not each.on_record],
            first_number=FIRST_NUMBERS[number],
            began=begin + MINUTE if number else datetime.min,
            ended=change.at + change.in_drawer if change else datetime.max,
        )

    @property
    def begin(self) -> datetime:
        """When all of it begins."""
        return midnight(self.first)

    @property
    def end(self) -> datetime:
        """When the last upload is: early on the last day, with no bolus under way."""
        return self.life.end - DAY + timedelta(hours=5, minutes=30)

    def instant(self, moment: datetime) -> datetime:
        """Return when something really was."""
        return self.pumps[0].clocks.instant(moment)

    def moment(self, instant: datetime) -> datetime:
        """Return what the person's own clock shows at an instant."""
        return self.begin + (instant - self.instant(self.begin))

    def upload(self, moment: datetime) -> None:
        """Let each pump have uploaded what it has by a moment: hourly, if the phone is on."""
        for number, pump in enumerate(self.pumps):
            at = self._last_upload(moment)
            if number < len(self.changes):
                change = self.changes[number]
                last, tail = self.last_seen[number], change.at + change.in_drawer
                at = tail if at >= tail else min(at, last)
            if number and at < self.changes[number - 1].at + 2 * MINUTE:
                at = datetime.min
            pump.uploaded_until = at

    def upload_last(self) -> None:
        """Let each pump upload all that it has until the end."""
        for pump in self.pumps:
            pump.uploaded_until = min(self.end, pump.log_of_pump.entries[-1].at)

    def _last_upload(self, moment: datetime) -> datetime:
        at = (moment - 10 * MINUTE).replace(minute=0, second=0, microsecond=0) + 10 * MINUTE
        for asleep, awake in self.phone_off:
            if asleep <= at < awake:
                at = asleep
        return at

    def given(self) -> Insulin:
        """Return what the person got: all boluses, and the basal of the pump that was worn."""
        boluses = (
            bolus.delivered
            for pump in self.pumps
            for bolus in pump.history.boluses
            if bolus.requested < self.end
        )
        log = self.pumps[-1].log_of_pump
        # What is being delivered is shown up to the newest entry of the log.
        newest = log.entries[log.uploaded(self.end) - 1].at
        return Insulin(truth(self.pumps, self.changes, newest), sum(boluses))

    def __str__(self) -> str:
        """Return all of it that matters, to look for what went wrong."""
        told = [f"Seed {self.seed}, {self.zone}, from {self.first}: {self.kinds}"]
        told += ["Nightscout 15.0.7" if self.keyed_by_identifier else "Nightscout 0.12.8"]
        told += [
            f"{each.at}: the clock is {each.ahead} ahead{'' if each.on_record else ', no record'}"
            for each in self.settings
        ]
        told += [
            f"{each.at}: a new pump; the old one was seen at {seen}, is on for {each.in_drawer}"
            f"{', and delivers' if each.left_running else ''}"
            for each, seen in zip(self.changes, self.last_seen, strict=True)
        ]
        told += [f"{asleep}: the phone is off until {awake}" for asleep, awake in self.phone_off]
        return "\n  ".join(told)


def _changes(settings: Sequence[Setting]) -> Iterator[tuple[datetime, datetime]]:
    ahead = timedelta(0)
    for each in settings:
        yield each.at + ahead, each.at + each.ahead
        ahead = each.ahead


def week(seed: int, kinds: Kinds | None = None) -> Week:
    """Make up a week; the same number gives the same one."""
    chance = Random(f"law {seed}")
    kinds = kinds or _kinds(chance)
    zone = _zone(chance, kinds)
    first = _first_day(chance, zone, kinds)
    days = chance.choice((8, 9))
    begin, end = midnight(first), midnight(first) + (days - 0.8) * DAY
    life = live(first, days, seed=chance.randrange(1000), control_iq=_has_control_iq(chance, kinds))
    settings = _settings(chance, kinds, zone, begin, end)
    changes = _pump_changes(chance, kinds, settings, _switches(zone, begin, end), begin, end)
    # By wrong dates the logs of two pumps seem to share days: they may be those of two people.
    runs_on = kinds.wrong_dates == 0
    changes = [replace(it, left_running=runs_on and _runs_on(life, it)) for it in changes]
    busy = [change.at for change in changes]
    springs = [at for at, ahead in _switches(zone, begin, end).items() if ahead > timedelta(0)]
    for _ in range(kinds.wrong_dates):
        settings += _wrong_date(chance, settings, busy, springs, begin, end)
        settings.sort(key=lambda each: each.at)
    if settings:
        # A reading is never moved, nor is what the pump reckons of its sensor: it would stand
        # where a clock that is put right later had put it.
        life = replace(life, readings=(), finger_sticks=())
    last_seen = [change.at - chance.randrange(8 * 60) * MINUTE for change in changes]
    asleep = sorted(begin + _minutes(chance, 0.5, days - 1) for _ in range(chance.randrange(3)))
    return Week(
        seed,
        kinds,
        zone,
        first,
        life,
        changes,
        settings,
        phone_off=[(at, at + _minutes(chance, 0.1, 1.2)) for at in asleep],
        last_seen=last_seen,
        keyed_by_identifier=chance.random() < 0.6,
    )


def _kinds(chance: Random) -> Kinds:
    return Kinds(
        pumps=chance.choice((1, 1, 2, 2, 3)),
        switch=chance.random() < 0.4,
        journey=chance.random() < 0.3,
        wrong_dates=chance.choice((0, 0, 0, 1, 1, 2)),
        edits=chance.random() < 0.5,
        faults=chance.random() < 0.6,
    )


def _zone(chance: Random, kinds: Kinds) -> ZoneInfo:
    zones = [ZoneInfo(name) for name in ZONES]
    return chance.choice([zone for zone in zones if not kinds.switch or zone_rules(zone).switches])


def _has_control_iq(chance: Random, kinds: Kinds) -> bool:
    # Without it, a day with a wrong date or of which a pump has only a part is not shown.
    is_plain = kinds.pumps == 1 and not kinds.switch and not kinds.journey and not kinds.wrong_dates
    return not (is_plain and chance.random() < 0.3)


def _first_day(chance: Random, zone: ZoneInfo, kinds: Kinds) -> date:
    """Return a day, some days before daylight saving begins or ends if it is to do so."""
    offset = zone_rules(zone).offsets[0]
    switches = [at + offset for at in zone_rules(zone).switches if SINCE <= at < UNTIL]
    if kinds.switch:
        return (chance.choice(switches) - chance.randrange(1, 4) * DAY).date()
    while True:
        day = (SINCE + chance.randrange((UNTIL - SINCE).days) * DAY).date()
        if not any(-DAY < at - midnight(day) < 11 * DAY for at in switches):
            return day


def _settings(
    chance: Random, kinds: Kinds, zone: ZoneInfo, begin: datetime, end: datetime
) -> list[Setting]:
    """Return how the clock is set: after a switch, and on a journey."""
    found = [
        Setting(at + chance.choice((0.3, 3, 8, 20, 30, 48, 55)) * HOUR, ahead)
        for at, ahead in _switches(zone, begin, end).items()
    ]
    if kinds.journey:
        offset = zone_rules(zone).offsets[-1]
        places = [hours * HOUR for hours in (-9, -6, -5, -3, -2, 2, 3, 5.5, 6, 8)]
        away = chance.choice([it for it in places if -11 * HOUR <= offset + it <= 12 * HOUR])
        leaves = _free(chance, found, begin, end, 4.0)
        returns = leaves + _minutes(chance, 1, 4)
        found = [*_journey(found, leaves, returns, away)]
    return found


def _switches(zone: ZoneInfo, begin: datetime, end: datetime) -> dict[datetime, timedelta]:
    """Return when daylight saving begins or ends, and how far a right clock is ahead from then."""
    rules = zone_rules(zone)
    start = begin.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)
    return {
        begin + (at - start): rules.at(at) - rules.at(start)
        for at in rules.switches
        if start < at < start + (end - begin)
    }


def _journey(
    found: Sequence[Setting], leaves: datetime, returns: datetime, away: timedelta
) -> Iterator[Setting]:
    """Yield how the clock is set where it is set for another place meanwhile."""
    yield from (each for each in found if each.at <= leaves)
    yield Setting(leaves, _ahead(found, leaves) + away)
    for each in found:
        if leaves < each.at < returns:
            yield replace(each, ahead=each.ahead + away)
    yield Setting(returns, _ahead(found, returns))
    yield from (each for each in found if returns < each.at)


def _wrong_date(
    chance: Random,
    found: Sequence[Setting],
    changes: Sequence[datetime],
    springs: Sequence[datetime],
    begin: datetime,
    end: datetime,
) -> list[Setting]:
    """Return how a date goes wrong and is put right, with nothing else happening to the clock.

    On a pump that is put away meanwhile, what it wrote then could not be placed by anybody. Nor
    could anybody say whether a clock that lost its date in the days after a switch had been put
    forward before.
    """
    busy = [*(each.at for each in found), *changes]
    hours = chance.choice((2.0, 5.0, 14.0, 30.0, 46.0))
    for _ in range(200):
        at = (begin + chance.uniform(1, (end - begin) / DAY - 1) * DAY).replace(microsecond=0)
        until = at + hours * HOUR
        is_free = not any(at - 4 * HOUR < each < until + 4 * HOUR for each in busy)
        if is_free and until < end - 12 * HOUR and abs(_ahead(found, at)) < 15 * HOUR:
            break
        hours = max(2.0, hours * 0.97)
    else:
        return []
    ahead = _ahead(found, at)
    shown = at + ahead
    kind = chance.choice(("lost", "lost", "lost on record", "behind", "ahead", "month", "year"))
    if kind == "lost" and any(each < at < each + LATEST for each in springs):
        kind = "lost on record"
    wrong = {
        "behind": -chance.choice((1, 2, 3, 4, 6)) * DAY,
        "ahead": chance.choice((2, 3)) * DAY,
        "month": chance.choice((-30, -31, 30, 31)) * DAY,
        "year": shown.replace(year=shown.year - 1, day=min(shown.day, 28)) - shown,
    }.get(kind, LOST - shown)
    until = until.replace(microsecond=0)
    return [Setting(at, ahead + wrong, on_record=kind != "lost"), Setting(until, ahead)]


def _ahead(found: Sequence[Setting], at: datetime) -> timedelta:
    before = [each for each in sorted(found, key=lambda it: it.at) if each.at <= at]
    return before[-1].ahead if before else timedelta(0)


def _free(
    chance: Random, found: Sequence[Setting], begin: datetime, end: datetime, days: float
) -> datetime:
    """Return a moment at which no one else sets the clock, and so many days before the end."""
    while True:
        at = begin + chance.uniform(0.5, (end - begin) / DAY - days - 0.5) * DAY
        if all(abs(each.at - at) > 12 * HOUR for each in found):
            return at.replace(microsecond=0)


def _pump_changes(
    chance: Random,
    kinds: Kinds,
    settings: Sequence[Setting],
    switches: Iterable[datetime],
    begin: datetime,
    end: datetime,
) -> list[PumpChange]:
    """Return when the pump is replaced, some days apart, and with clocks that are in no doubt.

    One that is put away before its clock is put over, days late, never shows that it was not put
    over, nor one that is used on a journey only that it was elsewhere. The old one uploads once
    more and is switched off: later it would have more to show. It does not deliver on three days,
    as that of a second person.
    """
    doubtful = [(at, at + LATEST) for at in switches]
    doubtful += [(each.at, each.at) for each in settings]
    if kinds.journey and kinds.pumps > 2:
        doubtful.append((settings[0].at, settings[-1].at))
    slot = ((end - begin) / DAY - 2) / max(1, kinds.pumps - 1)
    found: list[PumpChange] = []
    for number in range(kinds.pumps - 1):
        for _ in range(100):
            days = 1 + (number + chance.uniform(0.1, 0.9)) * slot
            at = (begin + days * DAY).replace(microsecond=0)
            if not any(since - 5 * HOUR < at < until + 5 * HOUR for since, until in doubtful):
                break
        else:
            continue
        is_running = chance.random() < 0.4
        hours = chance.choice((3, 5, 20) if is_running else (3, 5, 20, 50))
        found.append(PumpChange(at, in_drawer=hours * HOUR, left_running=is_running))
    return found


def _runs_on(life: PumpHistory, change: PumpChange) -> bool:
    """Return whether the old pump goes on delivering; not if it would have to be resumed."""
    until = change.at + change.in_drawer
    ends = [stop.end for stop in life.suspensions if stop.reason != "control-iq"]
    return change.left_running and not any(end and change.at < end < until for end in ends)


def _minutes(chance: Random, least: float, most: float) -> timedelta:
    """Return some days, to the minute."""
    return chance.randrange(round(least * 1440), round(most * 1440)) * MINUTE
