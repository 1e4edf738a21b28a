"""Logging, and the t:connect clients as the configuration describes them, for a Python shell.

The recipe of docs/python.md: ``tconnectsync.util.cli.enable_logging()``, then
``api = tconnectsync.util.cli.get_api()``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tconnectsync.logoutput import enable_logging

if TYPE_CHECKING:
    from tconnectsync.api.clients import TConnectApi

__all__ = ["enable_logging", "get_api"]


def get_api() -> TConnectApi:
    """Return t:connect's clients for the configured account; they log in when first used.

    Only the variables of the Tandem account and the time zone have to be set.

    Raises:
        ConfigError: one of them is missing or wrong.
    """
    from tconnectsync.app import open_tandem, this_computer
    from tconnectsync.config.settings import TandemSettings

    host = this_computer()
    return open_tandem(host.configuration().group(TandemSettings), host)
