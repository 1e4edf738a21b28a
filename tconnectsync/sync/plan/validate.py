"""The last look at what a source has read: what no pump and no body can do is not written.

The limits are wide. They are no medical judgement: they find a payload that was damaged, or that
has changed its meaning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from tconnectsync.domain.events import (
    Basal,
    Bolus,
    CarbEntry,
    DeviceStatus,
    Event,
    PumpEvent,
    Reading,
    Split,
    UserMode,
)
from tconnectsync.domain.limits import (
    AHEAD,
    EARLIEST,
    HIGHEST_GLUCOSE,
    LOWEST_GLUCOSE,
    MOST_CARBS,
    MOST_INSULIN,
    MOST_RATE,
)

NAMES = {
    Basal: "basal",
    Bolus: "bolus",
    CarbEntry: "carb entry",
    UserMode: "user mode",
    PumpEvent: "pump event",
    Reading: "reading",
    DeviceStatus: "status",
}
Found = TypeVar("Found", bound=Event | Reading | DeviceStatus)
LONGEST_EVENT = timedelta(days=31)
"""A pump in a drawer is suspended for weeks; nothing that it does lasts longer."""


def validate(events: Iterable[Found], now: datetime, skipped: Counter[str]) -> list[Found]:
    """Return the events that can have happened, in their order.

    Of a bolus, the insulin that was delivered is what matters: any other value that cannot be true
    is left out alone. Whatever is left out is counted in ``skipped``.

    Args:
        events: of one part of a :class:`~tconnectsync.sources.base.Reader`.
        now: the current instant, aware.
        skipped: counts by what is left out, and why.
    """
    found: list[Found] = []
    for event in events:
        reason = _reason_to_reject(event, now)
        if reason:
            skipped[f"{NAMES[type(event)]} with {reason}"] += 1
        elif isinstance(event, Bolus):
            found.append(cast("Found", _sanitized(event, skipped)))
        else:
            found.append(event)
    return found


def _reason_to_reject(event: Event | Reading | DeviceStatus, now: datetime) -> str:
    """Say what about an event cannot be; empty if all of it can."""
    if isinstance(event, Reading):
        begins = ends = event.at
    else:
        begins, ends = event.begins, event.ends
    if begins < EARLIEST or ends > now + AHEAD:
        return "an impossible time"
    match event:
        case Basal() | UserMode() if not timedelta() <= event.duration <= LONGEST_EVENT:
            return "an impossible duration"
        case Basal() if not 0 <= event.rate <= MOST_RATE:
            return "an impossible rate"
        case Bolus() if not _is_dose(event.insulin):
            return "an impossible amount of insulin"
        case CarbEntry() if not 0 < event.carbs <= MOST_CARBS:
            return "an impossible amount of carbs"
        case Reading() if not _is_glucose(event.glucose):
            return "an impossible value"
    return ""


def _sanitized(bolus: Bolus, skipped: Counter[str]) -> Bolus:
    """Return a bolus without what cannot be true of it."""
    wrong: dict[str, Any] = {}
    if not 0 <= bolus.carbs <= MOST_CARBS:
        wrong["carbs"] = 0.0
    if bolus.requested is not None and not _is_dose(bolus.requested):
        wrong["requested"] = None
    if bolus.glucose is not None and not _is_glucose(bolus.glucose):
        wrong["glucose"] = None
    if bolus.planned and not _is_plan(bolus.planned):
        wrong["planned"] = None
    for name in wrong:
        skipped[f"impossible value of a bolus: {name}"] += 1
    if "planned" in wrong:
        wrong["label"] = ""
    return replace(bolus, **wrong) if wrong else bolus


def _is_plan(split: Split) -> bool:
    return (
        0 <= split.now_percent <= 100
        and (split.total is None or _is_dose(split.total))
        and (split.duration is None or timedelta() <= split.duration <= LONGEST_EVENT)
    )


def _is_dose(units: float) -> bool:
    return 0 <= units <= MOST_INSULIN


def _is_glucose(mgdl: float) -> bool:
    return LOWEST_GLUCOSE <= mgdl <= HIGHEST_GLUCOSE
