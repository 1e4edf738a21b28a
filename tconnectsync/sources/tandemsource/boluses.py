"""Boluses from the pump's log: what was delivered, joined with what was requested.

Contract tandem-source-processing §6, tandem-event-log §7 (20, 21 and 64 to 66). The immediate and
the extended part of a bolus end at different times and are two boluses here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tconnectsync.domain.events import COMPLETED, Bolus, Split
from tconnectsync.sources.tandemsource.entries import Entry, Log, entries_of
from tconnectsync.sources.tandemsource.records import flag, number, whole

IMMEDIATE, EXTENDED = 20, 21
REQUESTS = (64, 65, 66)
CODES = (IMMEDIATE, EXTENDED, *REQUESTS)

SAME_BOLUS = timedelta(days=1)
"""The pump counts its boluses round and round; a request further back is another bolus's."""
MOST_INSULIN = 80.0
MOST_MINUTES = 24 * 60
"""No bolus is extended over more than a day."""

KINDS = {
    0: "Standard Bolus",
    1: "Extended Bolus",
    2: "Quick Bolus",
    3: "Automatic Bolus",
    4: "BLE Standard Bolus",
    5: "BLE Extended Bolus",
    6: "Eating Soon Automatic Bolus",
    7: "Late Bolus",
}
EXTENDED_KINDS = (1, 5)
ENDS = {
    0: "User Aborted",
    1: "Terminated by Alarm",
    2: "Terminated by Malfunction",
    3: COMPLETED,
    5: "Bolus rejected",
    6: "Aborted by PLGS",
}

_Requests = Mapping[tuple[int, int], list[Entry]]
"""The messages of requests by code and number of the bolus, in time order."""


def boluses(log: Log, skipped: Counter[str]) -> list[Bolus]:
    """Return what was delivered, in time order; amounts to the thousandth of a unit."""
    requests: dict[tuple[int, int], list[Entry]] = defaultdict(list)
    for entry in entries_of(log, *REQUESTS):
        number_of_bolus = whole(entry.values, "bolusid")
        if number_of_bolus is not None:
            requests[entry.code, number_of_bolus].append(entry)
    found = (_bolus(entry, requests, skipped) for entry in entries_of(log, IMMEDIATE, EXTENDED))
    return [bolus for bolus in found if bolus]


def _bolus(entry: Entry, requests: _Requests, skipped: Counter[str]) -> Bolus | None:
    insulin = number(entry.values, "insulindelivered")
    if insulin is None or not 0 <= insulin <= MOST_INSULIN:
        skipped["bolus without a plausible amount of insulin"] += 1
        return None
    messages = [_request(entry, code, requests) for code in REQUESTS]
    begins = [message.at for message in messages if message]
    requested = number(entry.values, "insulinrequested")
    common: dict[str, Any] = {
        "key": entry.key,
        "requested_at": min(begins, default=entry.at),
        "completed": entry.at,
        "insulin": round(insulin, 3),
        "requested": None if requested is None else round(requested, 3),
        "status": _status(entry, insulin, requested),
    }
    if entry.code == EXTENDED:
        return Bolus(
            **common,
            carbs=0,
            description=KINDS[1],
            override=False,
            log_ids=(entry.sequence,),
        )
    return Bolus(
        **common,
        **_as_requested(*({} if message is None else message.values for message in messages)),
        log_ids=(entry.sequence, *(message.sequence for message in messages if message)),
    )


def _as_requested(
    first: dict[str, Any], second: dict[str, Any], third: dict[str, Any]
) -> dict[str, Any]:
    """Return what the three messages of a request say; a missing one says nothing."""
    kind = whole(second, "options")
    return {
        "carbs": whole(first, "carbamount") or 0,
        "glucose": whole(first, "bg") or None,
        "description": KINDS.get(-1 if kind is None else kind, ""),
        "override": flag(second, "useroverride") is True,
        "declined_correction": flag(second, "declinedcorrection") is True,
        "planned": _split(second, third) if kind in EXTENDED_KINDS else None,
    }


def _split(second: dict[str, Any], third: dict[str, Any]) -> Split | None:
    now_percent, minutes = number(second, "standardpercent"), whole(second, "duration")
    total = number(third, "totalbolussize")
    if now_percent is None or not 0 <= now_percent <= 100:
        return None
    return Split(
        total=None if total is None else round(total, 3),
        now_percent=now_percent,
        duration=timedelta(minutes=minutes) if minutes and 0 < minutes <= MOST_MINUTES else None,
    )


def _request(completion: Entry, code: int, requests: _Requests) -> Entry | None:
    """Return the newest message of the same bolus before it was completed."""
    number_of_bolus = whole(completion.values, "bolusid")
    messages = [] if number_of_bolus is None else requests.get((code, number_of_bolus), [])
    index = bisect_right(messages, completion.at, key=lambda message: message.at)
    if index and completion.at - messages[index - 1].at <= SAME_BOLUS:
        return messages[index - 1]
    return None


def _status(entry: Entry, insulin: float, requested: float | None) -> str:
    told = whole(entry.values, "completionstatus")
    if told in ENDS:
        return ENDS[told]
    complete = requested is None or insulin >= requested - 0.005
    return COMPLETED if complete else "Incomplete"
