"""Putting a cycle together from the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from tconnectsync.clock import Clock
from tconnectsync.config.settings import Settings
from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.domain.events import DeviceStatus
from tconnectsync.errors import ApiError, MissingRightError, TconnectsyncError
from tconnectsync.nightscout.api import NightscoutApi, address_in_use, open_nightscout
from tconnectsync.nightscout.keys import takes_any_key
from tconnectsync.nightscout.profiles import ProfileStyle, shows_all, units_in_force, units_of
from tconnectsync.sources.base import Reader, Source
from tconnectsync.sources.registry import open_source
from tconnectsync.sync.features import parts_of
from tconnectsync.sync.plan import Plan
from tconnectsync.sync.run.cycle import Cycle
from tconnectsync.sync.run.sync_device_status import sync_device_status
from tconnectsync.sync.run.sync_iob import sync_iob
from tconnectsync.sync.run.sync_profiles import sync_profiles


class Memory(Protocol):
    """What runs remember of what they have told Nightscout once."""

    def told(self, what: str) -> datetime | None:
        """Return up to when something has been told; ``None`` if that is not known."""
        ...

    def note_told(self, what: str, at: datetime) -> None:
        """Remember up to when something has been told."""
        ...


def assemble(
    settings: Settings,
    features: Sequence[str],
    clock: Clock,
    *,
    source: Source | None = None,
    memory: Memory | None = None,
    pretend: bool = False,
    on_plan: Callable[[TimeRange, Plan], None] = lambda window, plan: None,
    writing: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Cycle:
    """Return the cycle that the settings describe; nothing is sent yet.

    ``source`` replaces the cloud that the settings choose. Every request that changes Nightscout is
    sent within a ``writing`` block. With a ``memory``, Nightscout is asked for the pump's state and
    its insulin on board only if the pump has told something since.
    """
    pump_clock = PumpClock(settings.timezone_name)
    nightscout = open_nightscout(vars(settings), clock, writing)
    readings = "readings" in parts_of(features)
    source = source or open_source(settings, pump_clock, clock, readings=readings)
    once = {
        "PROFILES": lambda reader: _profiles(settings, source, nightscout, clock.now(), pretend),
        "IOB": lambda reader: _insulin_on_board(reader, nightscout, memory, pretend),
        "DEVICE_STATUS": lambda reader: _device_status(reader, nightscout, memory, pretend),
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


def _profiles(
    settings: Settings, source: Source, nightscout: NightscoutApi, now: datetime, pretend: bool
) -> list[str]:
    def style(units: object, version: object) -> ProfileStyle:
        return ProfileStyle(
            timezone=settings.timezone_name.key,
            mmol=str(units).lower().startswith("mmol"),
            targets=settings.nightscout_profile_targets,
            carbs_hr=settings.nightscout_profile_carbs_hr_value,
            delay=settings.nightscout_profile_delay_value,
            any_key=takes_any_key(version),
        )

    pump, current = source.pump_settings(), nightscout.profile()
    if current and shows_all(current, pump, style(units_in_force(current), None)):
        return []
    site = _site(nightscout)
    return sync_profiles(
        pump,
        nightscout,
        style(units_of(site), site.get("version")),
        mode=settings.nightscout_profile_upload_mode,
        now=now,
        pretend=pretend,
    )


def _insulin_on_board(
    reader: Reader, nightscout: NightscoutApi, memory: Memory | None, pretend: bool
) -> list[str]:
    values = reader.insulin_on_board()
    newest = max((value.at for value in values), default=None)
    told = memory.told("IOB") if memory else None
    if newest is None or (told and newest <= told):
        return []
    done = sync_iob(values, nightscout, pretend=pretend)
    if memory and not done:
        # Not before the next run has seen that it stands alone.
        memory.note_told("IOB", newest)
    return done


def _device_status(
    reader: Reader, nightscout: NightscoutApi, memory: Memory | None, pretend: bool
) -> list[str]:
    newest, told = reader.newest(), memory.told("DEVICE_STATUS") if memory else None
    if newest is None or (told and newest <= told):
        return []
    is_complete = True

    def read(last: DeviceStatus | None) -> DeviceStatus | None:
        nonlocal is_complete
        status = reader.device_status(last)
        is_complete = status is None or status.reservoir_is_searched
        return status

    done = sync_device_status(read, nightscout, pretend=pretend)
    if not is_complete:
        raise ApiError(
            "What is left in the reservoir is not known, because Tandem did not give the log of "
            "the days before. The rest of the pump's state is shown; the reservoir is asked for "
            "again when the pump has uploaded more."
        )
    if memory:
        memory.note_told("DEVICE_STATUS", newest)
    return done


def _site(nightscout: NightscoutApi) -> Mapping[str, Any]:
    """Return the site's status; without the right to ask for it, what its profile says of it."""
    try:
        return nightscout.status()
    except MissingRightError:
        units = units_in_force(nightscout.profile())
        if not units:
            raise
        return {"settings": {"units": units}}
