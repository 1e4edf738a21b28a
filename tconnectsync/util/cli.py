"""Logging, and the t:connect clients as the configuration describes them, for a Python shell.

The recipe of the README: ``tconnectsync.util.cli.enable_logging()``, then
``api = tconnectsync.util.cli.get_api()``.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from tconnectsync.redact import RedactingFormatter, Redactor

if TYPE_CHECKING:
    from tconnectsync.api.clients import TConnectApi

NEEDED_FOR_TANDEM = (
    "TCONNECT_",
    "TANDEM_",
    "CACHE_CREDENTIALS",
    "TIMEZONE_NAME",
    "REQUESTS_PROXY",
)


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


def given_values() -> tuple[dict[str, str], dict[str, str]]:
    """Return what the environment and the ``.env`` file set.

    Raises:
        ConfigError: the ``.env`` file cannot be read.
    """
    from tconnectsync import config

    files = config.env_files(Path.home(), Path.cwd())
    return dict(os.environ), config.read_env_files(files)


def get_api() -> TConnectApi:
    """Return t:connect's clients for the configured account; they log in when first used.

    Only the variables of the Tandem account and the time zone have to be set.

    Raises:
        ConfigError: one of them is missing or wrong.
    """
    from tconnectsync import config
    from tconnectsync.api.clients import tandem_api
    from tconnectsync.clock import Clock

    variables = [v for v in config.VARIABLES if v.name.startswith(NEEDED_FOR_TANDEM)]
    return tandem_api(config.read(variables, *given_values()), Clock())
