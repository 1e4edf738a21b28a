"""Insulin on board and the state of the pump, from its log.

Contract tandem-source-processing §7 (battery), tandem-event-log §5.1 and §7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import NamedTuple, TypeVar

from tconnectsync.domain.events import DeviceStatus, InsulinOnBoard
from tconnectsync.sources.tandemsource.entries import Entry, Log, entries_of
from tconnectsync.sources.tandemsource.records import number, whole

T = TypeVar("T")

SUSPENDED, RESUMED, CARTRIDGE, DAILY_BASAL, BASAL = 11, 12, 33, 81, 279
WITH_IOB = (16, 20, 21, 55, 59, 64, DAILY_BASAL)
WITH_RESERVOIR = (SUSPENDED, RESUMED, CARTRIDGE)
CODES = (*WITH_IOB, *WITH_RESERVOIR, BASAL)

MOST_IOB = 100.0
"""U; more insulin is not at work in anybody."""
MOST_RESERVOIR = 400.0
"""U; more than any cartridge holds."""
PERCENT = range(101)
MILLIVOLTS = range(1_000, 6_001)
"""What a battery of one cell can have."""
NO_DELIVERY = 0
"""The source of a basal rate while the pump is suspended."""
FRESH_RESERVOIR = timedelta(hours=1)
FRESH_IOB = timedelta(minutes=15)
"""How long what is told of insulin may be taken for the present."""


class _Battery(NamedTuple):
    percent: int | None = None
    volts: float | None = None


def insulin_on_board(log: Log) -> list[InsulinOnBoard]:
    """Return how much insulin was on board (U) whenever the pump noted it, in time order."""
    values = ((entry.at, _iob(entry)) for entry in entries_of(log, *WITH_IOB))
    return [InsulinOnBoard(at, units) for at, units in values if units is not None]


def device_status(log: Log) -> DeviceStatus | None:
    """Return the pump's state at the end of its log; ``None`` if nothing of it is known.

    Insulin counts only if it was noted shortly before the end of the log: it gets less.
    """
    battery = _newest(log, (DAILY_BASAL,), _battery)
    reservoir = _if_fresh(log, _newest(log, WITH_RESERVOIR, _reservoir), FRESH_RESERVOIR)
    iob = _if_fresh(log, _newest(log, WITH_IOB, _iob), FRESH_IOB)
    suspended = _newest(log, (SUSPENDED, RESUMED, BASAL), _is_suspended)
    used = {found[0].key: found[0] for found in (battery, reservoir, iob, suspended) if found}
    if not used:
        return None
    entries = sorted(used.values(), key=_place, reverse=True)
    percent, volts = battery[1] if battery else _Battery()
    return DeviceStatus(
        at=entries[0].at,
        battery_percent=percent,
        battery_volts=volts,
        reservoir=reservoir[1] if reservoir else None,
        iob=iob[1] if iob else None,
        suspended=suspended[1] if suspended else None,
        log_ids=tuple(entry.sequence for entry in entries),
    )


def _newest(
    log: Log, codes: Sequence[int], read: Callable[[Entry], T | None]
) -> tuple[Entry, T] | None:
    """Return the newest entry of some codes that tells something, and what it tells."""
    found = []
    for code in codes:
        for entry in reversed(log.get(code, ())):
            value = read(entry)
            if value is not None:
                found.append((entry, value))
                break
    return max(found, key=lambda it: _place(it[0]), default=None)


def _place(entry: Entry) -> tuple[object, int]:
    return entry.at, entry.sequence


def _if_fresh(log: Log, found: tuple[Entry, T] | None, limit: timedelta) -> tuple[Entry, T] | None:
    end = max((entries[-1].at for entries in log.values() if entries), default=None)
    return found if found and end and end - found[0].at <= limit else None


def _iob(entry: Entry) -> float | None:
    units = number(entry.values, "iob")
    return units if units is not None and 0 <= units <= MOST_IOB else None


def _battery(entry: Entry) -> _Battery | None:
    percent = whole(entry.values, "batterychargepercent", "abc")
    millivolts = whole(entry.values, "batterylipomillivolts", "lipomv")
    battery = _Battery(
        percent if percent in PERCENT else None,
        round(millivolts / 1000, 2) if millivolts and millivolts in MILLIVOLTS else None,
    )
    return None if battery == (None, None) else battery


def _reservoir(entry: Entry) -> float | None:
    values = entry.values
    if entry.code == CARTRIDGE:
        units = number(values, "insulinvolume") or number(values, "v2volume") or None
    else:
        units = number(values, "insulinamount")
    return units if units is not None and 0 <= units <= MOST_RESERVOIR else None


def _is_suspended(entry: Entry) -> bool | None:
    if entry.code != BASAL:
        return entry.code == SUSPENDED
    source = whole(entry.values, "commandedratesource")
    return None if source is None else source == NO_DELIVERY
