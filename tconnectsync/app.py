"""Makes a cycle from the settings: which source, which Nightscout, what is synced once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import timedelta
from functools import partial

from tconnectsync.api.clients import tandem_api
from tconnectsync.clock import Clock
from tconnectsync.config.settings import Settings
from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.errors import TconnectsyncError
from tconnectsync.nightscout.api import address_in_use, open_nightscout
from tconnectsync.nightscout.profiles import ProfileStyle
from tconnectsync.sources.base import Reader, Source
from tconnectsync.sources.registry import cloud_named
from tconnectsync.state.backlog import Backlog
from tconnectsync.sync.features import parts_of
from tconnectsync.sync.plan import Plan
from tconnectsync.sync.run.cycle import Cycle
from tconnectsync.sync.run.sync_device_status import sync_device_status
from tconnectsync.sync.run.sync_iob import sync_iob
from tconnectsync.sync.run.sync_profiles import sync_profiles


def assemble(
    settings: Settings,
    features: Sequence[str],
    clock: Clock,
    *,
    source: Source | None = None,
    backlog: Backlog | None = None,
    pretend: bool = False,
    on_plan: Callable[[TimeRange, Plan], None] = lambda window, plan: None,
    writing: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Cycle:
    """Return the cycle that the settings describe; nothing is sent yet.

    ``source`` replaces the cloud that the settings choose. Every request that changes Nightscout is
    sent within a ``writing`` block. With a ``backlog``, Nightscout is asked for the pump's state
    and its insulin on board only if the pump has uploaded something since.
    """
    pump_clock = PumpClock(settings.timezone_name)
    nightscout = open_nightscout(vars(settings), clock, writing)
    readings = "readings" in parts_of(features)
    if source is None:
        cloud = cloud_named(settings.tconnect_source)
        api = tandem_api(vars(settings), clock)
        source = cloud.open_source(api, settings, pump_clock, clock, readings)
    style = partial(
        ProfileStyle,
        timezone=settings.timezone_name.key,
        targets=settings.nightscout_profile_targets,
        carbs_hr=settings.nightscout_profile_carbs_hr_value,
        delay=settings.nightscout_profile_delay_value,
    )
    mode = settings.nightscout_profile_upload_mode
    once: dict[str, Callable[[Reader], list[str]]] = {
        "PROFILES": lambda reader: sync_profiles(
            source.pump_settings(), nightscout, style, mode=mode, now=clock.now(), pretend=pretend
        ),
        "IOB": lambda reader: sync_iob(
            reader.insulin_on_board(), nightscout, backlog, pretend=pretend
        ),
        "DEVICE_STATUS": lambda reader: sync_device_status(
            reader, nightscout, backlog, pretend=pretend
        ),
    }
    return Cycle(
        source=source,
        nightscout=nightscout,
        clock=pump_clock,
        features=features,
        now=clock.now,
        pretend=pretend,
        fill_gaps=settings.sync_gaps,
        on_plan=on_plan,
        at_the_end={name: sync for name, sync in once.items() if name in features},
        alarm_safe=timedelta(minutes=settings.alarm_safe_minutes),
    )


def at_address_in_use(settings: Settings, clock: Clock, *, patient: bool) -> Settings:
    """Return settings in which NS_URL is the site's own address, not that of one of its pages.

    Args:
        settings: as they were given.
        clock: waits between tries.
        patient: whether they are left as they are while the site cannot be asked.

    Raises:
        NightscoutError: what answers is not Nightscout.
        NetworkError: Nightscout could not be reached.
    """
    try:
        return replace(settings, ns_url=address_in_use(vars(settings), clock))
    except TconnectsyncError:
        if patient:
            return settings
        raise
