"""Logging, and the t:connect clients as the configuration describes them, for a Python shell.

The recipe of the README: ``tconnectsync.util.cli.enable_logging()``, then
``api = tconnectsync.util.cli.get_api()``.
"""

from __future__ import annotations

import logging
import sys
import warnings
from typing import TYPE_CHECKING

from tconnectsync.redact import RedactingFormatter, Redactor

if TYPE_CHECKING:
    from tconnectsync.api.clients import TConnectApi


def enable_logging(level: int = logging.INFO, redactor: Redactor | None = None) -> None:
    """Show what the program does on the standard error output.

    What the redactor knows is not shown. Calling it again changes the level and the redactor.
    Other libraries stay silent: their warnings name whole addresses, with what is in them.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter(redactor or Redactor()))
    logger = logging.getLogger("tconnectsync")
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", message="Unverified HTTPS request")


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
