"""Automatic treatments wait until they are too old to snooze Nightscout's alarms.

Nightscout takes any treatment younger than ten minutes as a sign that a person is acting, and
snoozes its glucose alarms, urgent lows included (nightscout-api §4.7).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from tconnectsync.config.values import MOST_ALARM_SAFE_MINUTES
from tconnectsync.domain.clock import PumpClock
from tconnectsync.nightscout.treatments import Treatment
from tconnectsync.sync.plan import Plan

log = logging.getLogger(__name__)

TWO_CLOCKS = timedelta(seconds=30)
"""How far Nightscout's clock, by which it judges what is recent, may be behind ours."""
LONGEST_DEFERRAL = timedelta(minutes=MOST_ALARM_SAFE_MINUTES) + TWO_CLOCKS
"""The longest that a treatment may have waited under any setting."""


def minimum_age(alarm_safe: timedelta) -> timedelta:
    """Return how old an automatic treatment must be to be written; with 0 it never waits."""
    return alarm_safe + TWO_CLOCKS if alarm_safe else timedelta(0)


def defer_recent(
    plan: Plan, desired: Iterable[Treatment], since: datetime
) -> tuple[Plan, dict[str, datetime]]:
    """Take the automatic treatments that are later than ``since`` out of a plan.

    Also returns their times, by identifier. A stored treatment whose update waits keeps its
    instant.
    """
    automatic = {treatment.identifier for treatment in desired if treatment.automatic}
    planned = [*plan.create, *(update.after for update in plan.update)]
    recent = {
        each.identifier: each.at
        for each in planned
        if each.identifier in automatic and each.at > since
    }
    return plan.without(recent) if recent else plan, recent


def log_deferred(number: int, until: datetime, clock: PumpClock) -> None:
    """Log how many treatments are held back, and until when."""
    log.info(
        "%s held back until %s so that %s not snooze Nightscout's alarms (ALARM_SAFE_MINUTES).",
        "1 automatic treatment is" if number == 1 else f"{number} automatic treatments are",
        f"{clock.here(until):%H:%M}",
        "it does" if number == 1 else "they do",
    )
