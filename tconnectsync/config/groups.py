"""The groups of settings: what each part of the program is given of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_type_hints
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class TandemSettings:
    """The Tandem account, and where Tandem's services are.

    Nothing personal shows in the ``repr``; the address of a proxy can hold a password too. An
    address may end in a slash or not.
    """

    email: str = field(repr=False)
    password: str = field(repr=False)
    region: str
    """Which of Tandem Source's clouds knows the user: ``US`` or ``EU``."""
    zone: ZoneInfo
    """That of the pump's clock, in which the days of requests are."""
    cache_credentials: bool
    proxy: str = field(repr=False)
    sso_url: str
    """The page that logs in to Tandem Source; empty, like the next two: the region's own."""
    accounts_url: str
    """The login service behind it, with ``/accounts/api``; also the issuer of its tokens."""
    source_url: str
    """Where the data of Tandem Source are."""
    web_url: str
    services_url: str
    ws2_url: str


@dataclass(frozen=True)
class SourceSettings:
    """Which cloud and pump to read, and what of it."""

    name: str
    """The name of a cloud in :mod:`tconnectsync.clouds`."""
    serial_number: str = field(repr=False)
    """With its leading zeros; empty: all pumps of the account."""
    fetch_all_event_types: bool


@dataclass(frozen=True)
class NightscoutSettings:
    """The Nightscout site and the login to it."""

    url: str = field(repr=False)
    """The address as it was given; it may have a path, a user and a password."""
    secret: str = field(repr=False)
    """The API secret or an access token."""
    skip_tls_verify: bool


@dataclass(frozen=True)
class SyncSettings:
    """What is synced, and when."""

    features: tuple[str, ...]
    """Names of :data:`tconnectsync.sync.features.FEATURES`."""
    catch_up_days: float
    fill_gaps: bool
    alarm_safe_minutes: float
    ignore_zero_unit_basal: bool
    enable_testing_modes: bool


@dataclass(frozen=True)
class ProfileSettings:
    """What profiles in Nightscout show besides what the pump says."""

    upload_mode: str
    """``add`` or ``replace``."""
    targets: str
    """``segments`` or ``alerts``."""
    carbs_hr: str
    """Carbs absorbed per hour, g/h, as it was written."""
    delay: str
    """Minutes, as it was written."""


@dataclass(frozen=True)
class LoopSettings:
    """When ``--auto-update`` waits how long, and when it gives up."""

    default_sleep_seconds: float
    max_sleep_seconds: float
    unexpected_no_index_sleep_seconds: float
    use_fixed_sleep: bool
    no_data_failure_minutes: float
    failure_minutes: float
    api_failure_minutes: float
    restart_on_failure: bool
    max_loop_invocations: int
    threads: int
    """For how many people the loop may work at the same time."""


@dataclass(frozen=True)
class WatchSettings:
    """How people and their monitors learn how syncing is going, and what is logged."""

    ping_url: str = field(repr=False)
    """The address of a monitor; empty: none."""
    notify_urls: str = field(repr=False)
    """Addresses of apprise, separated by blanks or commas; empty: none."""
    notify_after_minutes: float
    status_max_age_minutes: float
    """0: what suits the way of running."""
    metrics_file: str
    """A path; empty: none."""
    log_format: str
    """``text`` or ``json``."""
    log_level: str
    """``debug``, ``info``, ``warning`` or ``error``."""


@dataclass(frozen=True)
class ReportSettings:
    """How reports show things."""

    units: str
    """``mg/dL`` or ``mmol/L``; empty: as the cloud says."""


@dataclass(frozen=True)
class Settings:
    """All settings."""

    tandem: TandemSettings
    source: SourceSettings
    nightscout: NightscoutSettings
    sync: SyncSettings
    profiles: ProfileSettings
    loop: LoopSettings
    watch: WatchSettings
    report: ReportSettings


GROUPS: Mapping[type, str] = {kind: name for name, kind in get_type_hints(Settings).items()}
"""Which field of :class:`Settings` a group is."""
