"""The clouds: how each is made from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tconnectsync.clock import Clock
from tconnectsync.domain.clock import PumpClock
from tconnectsync.sources.base import Source
from tconnectsync.state.files import cache_folder

if TYPE_CHECKING:
    from tconnectsync.api.clients import TConnectApi
    from tconnectsync.config.settings import Settings


def open_source(
    settings: Settings, pump_clock: PumpClock, clock: Clock, *, readings: bool
) -> Source:
    """Return the source that the settings choose; it logs in when it is first asked.

    Args:
        settings: which one, whose and where.
        pump_clock: knows the zone of the pump's clock.
        clock: tells the time, and waits between tries.
        readings: whether glucose readings are wanted of it.
    """
    api = tandem_api(vars(settings), clock)
    if settings.tconnect_source == "tconnect":
        from tconnectsync.sources.tconnect.source import TConnectSource

        return TConnectSource(api, pump_clock, settings.pump_serial_number)
    from tconnectsync.sources.tandemsource.source import TandemSource

    return TandemSource(
        api,
        pump_clock,
        settings.pump_serial_number,
        everything=settings.fetch_all_event_types,
        readings=readings,
        ignore_zero_basals=settings.ignore_zero_unit_basal,
        now=clock.now,
        catch_up_days=settings.catch_up_days,
        folder=cache_folder(),
    )


def tandem_api(values: Mapping[str, Any], clock: Clock) -> TConnectApi:
    """Return Tandem's clients for settings given by field name; nothing is sent yet."""
    from tconnectsync.api.clients import Account, TConnectApi

    return TConnectApi(
        Account(
            email=values["tconnect_email"],
            password=values["tconnect_password"],
            web_url=values["tconnect_web_url"],
            services_url=values["tconnect_services_url"],
            ws2_url=values["tconnect_ws2_url"],
            region=values["tconnect_region"],
            sso_url=values["tandem_sso_url"],
            accounts_url=values["tandem_accounts_url"],
            source_url=values["tandem_source_url"],
            token_cache=cache_folder() if values["cache_credentials"] else None,
            proxy=values["requests_proxy"],
            zone=values["timezone_name"],
        ),
        clock,
    )
