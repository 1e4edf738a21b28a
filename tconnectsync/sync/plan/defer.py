"""Alarms stay loud: what the pump did by itself waits until it silences none.

A Nightscout that finds a treatment younger than ten minutes takes it that somebody is looking after
things, and snoozes its glucose alarms, urgent lows included (docs/protocol/nightscout-api.md §4.7).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from tconnectsync.config.values import LONGEST_YOUTH as MOST_MINUTES
from tconnectsync.domain.clock import PumpClock
from tconnectsync.nightscout.provenance import instant
from tconnectsync.nightscout.treatments import Treatment
from tconnectsync.sync.plan import Plan
from tconnectsync.sync.plan.withheld import without

log = logging.getLogger(__name__)

TWO_CLOCKS = timedelta(seconds=30)
"""How far the clock of Nightscout, by which it tells what is young, may be behind ours."""
LONGEST_DEFERRAL = timedelta(minutes=MOST_MINUTES) + TWO_CLOCKS
"""For how long something may have waited, whatever the setting was then."""


def minimum_age(alarm_safe: timedelta) -> timedelta:
    """Return how old what the pump did by itself must be to be written; with 0 it never waits."""
    return alarm_safe + TWO_CLOCKS if alarm_safe else timedelta(0)


def defer_recent(
    plan: Plan, wanted: Iterable[Treatment], since: datetime
) -> tuple[Plan, dict[str, datetime]]:
    """Take out of a plan what the pump did by itself and later than ``since``.

    Also returns the times of that, by identifier. What waits keeps the instant where it stands.
    """
    automatic = {want.identifier for want in wanted if want.automatic}
    planned = [*plan.create, *(update.after for update in plan.update)]
    young = {
        document["identifier"]: at
        for document in planned
        if document.get("identifier") in automatic and (at := instant(document)) and at > since
    }
    return without(plan, young) if young else plan, young


def log_deferred(number: int, until: datetime, clock: PumpClock) -> None:
    """Say how many treatments wait, and until when."""
    log.info(
        "%d %s by the pump itself %s until %s, so that alarms stay loud (ALARM_SAFE_MINUTES).",
        number,
        "treatment" if number == 1 else "treatments",
        "waits" if number == 1 else "wait",
        f"{clock.here(until):%H:%M}",
    )
