"""Insulin on board and the state of the pump, from its log.

See docs/protocol/tandem-source-processing.md §7, §18 and §20, tandem-event-log §5.1 and §10.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from operator import attrgetter
from typing import NamedTuple, TypeVar

from tconnectsync.domain.events import DeviceStatus, InsulinOnBoard
from tconnectsync.errors import TconnectsyncError
from tconnectsync.sources.tandemsource.basals.basals import NOTHING
from tconnectsync.sources.tandemsource.log.codes import BASAL_RATE, BATTERY, RESUMED, SUSPENDED
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log
from tconnectsync.sources.tandemsource.log.records import whole
from tconnectsync.sources.tandemsource.status import onboard, reservoir

T = TypeVar("T")

POSITION = attrgetter("position")

CODES = (*onboard.CODES, *reservoir.CODES, *BATTERY, SUSPENDED, RESUMED, BASAL_RATE)

PERCENT = range(101)
MILLIVOLTS = range(1_000, 6_001)
"""What a battery of one cell can have."""
FRESH_IOB = timedelta(minutes=15)
"""How long a reported insulin on board may be taken for the present one."""


class _Battery(NamedTuple):
    percent: int | None = None
    volts: float | None = None


def insulin_on_board(log: Log) -> list[InsulinOnBoard]:
    """Return how much insulin was on board (U), as far as no bolus has begun since; in order."""
    return [InsulinOnBoard(entry.at, units) for entry, units in onboard.still_true(log)]


def device_status(
    log: Log, last: DeviceStatus | None = None, earlier: Callable[[], Log] = dict
) -> DeviceStatus | None:
    """Return the pump's state at the end of its log.

    ``None`` if nothing of it is known, or nothing has come since the ``last`` status. Insulin on
    board counts only if it was noted shortly before the end of the log: it gets less.

    Args:
        log: what is known of the pump's log.
        last: the status that was stored last.
        earlier: gets the log of some days before; asked only if ``last`` does not say how much
            insulin was left.
    """
    end = max((entries[-1] for entries in log.values() if entries), key=POSITION, default=None)
    if end is None or (last and end.at <= last.at):
        return None
    battery = _newest(log, BATTERY, _battery)
    suspended = _newest(log, (SUSPENDED, RESUMED, BASAL_RATE), _is_suspended)
    iob = onboard.still_true(log)[-1:]
    iob = [found for found in iob if end.at - found[0].at <= FRESH_IOB]
    try:
        left, is_searched = reservoir.left(log, end.at, last, earlier), True
    except TconnectsyncError as error:
        if error.fatal:
            raise
        left, is_searched = reservoir.NOT_KNOWN, False
    if not (battery or suspended or iob or left.units is not None):
        return None
    sources = [found[0] for found in (battery, suspended, *iob) if found]
    sources += [left.reported_by] if left.reported_by else []
    used = {entry.key: entry for entry in (*sources, end)}
    percent, volts = battery[1] if battery else _Battery()
    return DeviceStatus(
        at=end.at,
        battery_percent=percent,
        battery_volts=volts,
        reservoir=left.units,
        iob=iob[0][1] if iob else None,
        suspended=suspended[1] if suspended else None,
        log_ids=tuple(each.sequence for each in sorted(used.values(), key=POSITION, reverse=True)),
        iob_at=iob[0][0].at if iob else None,
        reservoir_is_reported=left.is_reported,
        reservoir_is_searched=is_searched,
    )


def noted(entries: Iterable[Entry]) -> list[DeviceStatus]:
    """Return what entries note of the pump's state: each what it says alone, in their order."""
    found = []
    for entry in entries:
        percent, volts = (_battery(entry) if entry.code in BATTERY else None) or _Battery()
        units, on_board = reservoir.noted(entry), onboard.noted_by(entry)
        is_halt = entry.code in (SUSPENDED, RESUMED)
        if is_halt or {percent, volts, units, on_board} != {None}:
            suspended = entry.code == SUSPENDED if is_halt else None
            values = (entry.at, percent, volts, units, on_board, suspended)
            found.append(DeviceStatus(*values, log_ids=(entry.sequence,)))
    return found


def _newest(
    log: Log, codes: Sequence[int], read: Callable[[Entry], T | None]
) -> tuple[Entry, T] | None:
    """Return the newest entry of some codes that says something, and what it says."""
    found = []
    for code in codes:
        for entry in reversed(log.get(code, ())):
            value = read(entry)
            if value is not None:
                found.append((entry, value))
                break
    return max(found, key=lambda it: it[0].position, default=None)


def _battery(entry: Entry) -> _Battery | None:
    percent = whole(entry.values, "batterychargepercent", "abc", "lipoabc")
    millivolts = whole(entry.values, "batterylipomillivolts", "lipomv")
    battery = _Battery(
        percent if percent in PERCENT else None,
        round(millivolts / 1000, 2) if millivolts and millivolts in MILLIVOLTS else None,
    )
    return None if battery == (None, None) else battery


def _is_suspended(entry: Entry) -> bool | None:
    if entry.code != BASAL_RATE:
        return entry.code == SUSPENDED
    source = whole(entry.values, "commandedratesource")
    return None if source is None else source == NOTHING
