"""Putting a cycle together from the settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from tconnectsync.config import Settings
from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.http import HttpClient
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.sources import open_source
from tconnectsync.sync.cycle import Cycle
from tconnectsync.sync.plan import Plan

NIGHTSCOUT_TIMEOUT = 60.0
"""Seconds; after a wrong login Nightscout holds every answer back for a while."""


def assemble(
    settings: Settings,
    features: Sequence[str],
    *,
    pretend: bool = False,
    on_plan: Callable[[TimeRange, Plan], None] = lambda window, plan: None,
) -> Cycle:
    """Return the cycle that the settings describe; nothing is sent yet."""
    clock = PumpClock(settings.timezone_name)
    http = HttpClient(
        "Nightscout", read_timeout=NIGHTSCOUT_TIMEOUT, verify=not settings.ns_skip_tls_verify
    )
    return Cycle(
        source=open_source(settings, clock),
        nightscout=NightscoutApi(settings.ns_url, settings.ns_secret, http),
        clock=clock,
        features=features,
        now=lambda: datetime.now(UTC),
        pretend=pretend,
        fill_gaps=settings.sync_gaps,
        on_plan=on_plan,
    )
