"""Short ways to write down the log of a pump on Tandem Source, for tests."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tconnectsync.clouds import TANDEM_SOURCE
from tconnectsync.nightscout.treatments import Treatment
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log
from tconnectsync.sources.tandemsource.reader import LogReader
from tests.support.event_builders import NEW_YORK, at, wanted

NOTHING, PROFILE, TEMP, ALGORITHM = 0, 1, 2, 3
"""Where a basal rate comes from."""
NORMAL, SLEEPING, EXERCISING = 0, 1, 2
"""The modes of the pump."""
START_SLEEP, STOP_SLEEP, START_EXERCISE, STOP_EXERCISE, STOP_ALL = 1, 2, 3, 4, 5
ABORTED, REJECTED, COMPLETED = 0, 5, 3
FIRST = 1000
"""The number of the first entry of a log."""


def entry(minutes: float, code: int, **values: Any) -> Entry:
    """Return an entry some minutes after noon; values that are ``None`` are missing."""
    instant = at(minutes)
    wall = NEW_YORK.here(instant).replace(tzinfo=None)
    known = {name: value for name, value in values.items() if value is not None}
    return Entry(instant, code, 0, wall, known)


def log(*entries: Entry) -> Log:
    """Return a log of entries in the order in which they were written, numbered by it."""
    found: dict[int, list[Entry]] = {}
    for number, each in enumerate(entries, FIRST):
        found.setdefault(each.code, []).append(each._replace(sequence=number))
    return found


def part(whole: Log, start: float, end: float) -> Log:
    """Return what a log says from ``start`` to ``end``, both in minutes after noon and included."""
    return {
        code: [each for each in entries if at(start) <= each.at <= at(end)]
        for code, entries in whole.items()
    }


def nothing_new(minutes: float) -> Entry:
    """Return an entry that says nothing but how far the log goes: a day begins."""
    return entry(minutes, 90)


def rate(minutes: float, milliunits: Any, source: Any = ALGORITHM) -> Entry:
    """Return an entry of a basal rate in mU/h."""
    return entry(minutes, 279, commandedrate=milliunits, commandedratesource=source)


def rates(start: float, end: float, milliunits: int = 800, source: int = ALGORITHM) -> list[Entry]:
    """Return the entries of a rate that is noted every five minutes, ``end`` excluded."""
    count = int((end - start) / 5)
    return [rate(start + 5 * number, milliunits, source) for number in range(count)]


def suspended(minutes: float, reason: int | None = 0) -> Entry:
    """Return an entry of a suspension, by the person unless said otherwise."""
    return entry(minutes, 11, suspendreason=reason)


def resumed(minutes: float) -> Entry:
    """Return the entry of the end of a suspension."""
    return entry(minutes, 12)


def request(
    minutes: float,
    bolus: int,
    units: float,
    *,
    carbs: Any = 0,
    glucose: Any = 0,
    options: Any = 0,
    override: int = 0,
    declined: int = 0,
    now_percent: int = 100,
    duration: int = 0,
) -> list[Entry]:
    """Return the three messages with which a bolus is requested."""
    return [
        entry(minutes, 64, bolusid=bolus, carbamount=carbs, bg=glucose),
        entry(
            minutes,
            65,
            bolusid=bolus,
            options=options,
            useroverride=override,
            declinedcorrection=declined,
            standardpercent=now_percent,
            duration=duration,
        ),
        entry(minutes, 66, bolusid=bolus, totalbolussize=units),
    ]


def delivered(
    minutes: float,
    bolus: Any,
    units: Any,
    requested: Any = None,
    status: Any = COMPLETED,
    *,
    code: int = 20,
) -> Entry:
    """Return the entry of a bolus at its end; as much was requested unless said otherwise."""
    return entry(
        minutes,
        code,
        bolusid=bolus,
        insulindelivered=units,
        insulinrequested=units if requested is None else requested,
        completionstatus=status,
    )


def slowly_delivered(
    minutes: float, bolus: Any, units: Any, requested: Any = None, status: Any = COMPLETED
) -> Entry:
    """Return the entry of the extended part of a bolus at its end."""
    return delivered(minutes, bolus, units, requested, status, code=21)


def mode(
    minutes: float, action: int, before: int | None = None, after: int | None = None, **values: Any
) -> Entry:
    """Return the entry of a change of mode."""
    return entry(
        minutes,
        229,
        requestedaction=action,
        previoususermode=before,
        currentusermode=after,
        **values,
    )


def reader(of: Log, *, ignore_zero_basals: bool = False) -> LogReader:
    """Return a reader of a log."""

    def fetch(skipped: Counter[str]) -> Log:
        return of

    return LogReader(fetch, ignore_zero_basals=ignore_zero_basals)


def wanted_of(of: Log) -> list[Treatment]:
    """Return the documents for all of a log but its readings."""
    story = reader(of)
    return wanted(
        *story.basals(),
        *story.boluses(),
        *story.user_modes(),
        *story.suspensions(),
        *story.pump_events(),
        cloud=TANDEM_SOURCE.name,
    )
