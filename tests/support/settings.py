"""Settings and computers of tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tconnectsync.app import Host
from tconnectsync.clock import Clock
from tconnectsync.config.settings import Configuration, TandemSettings
from tests.support.clocks import NO_WAITING

COMPLETE = {
    "TCONNECT_EMAIL": "someone@example.org",
    "TCONNECT_PASSWORD": "correct horse",
    "PUMP_SERIAL_NUMBER": "00123456",
    "NS_URL": "https://ns.example.org/path",
    "NS_SECRET": "a long enough secret",
    "TIMEZONE_NAME": "Europe/Berlin",
}
"""All that a user has to set."""


def account(email: str, password: str, **changes: Any) -> TandemSettings:
    """Return the settings of an account; what is not changed is as if nothing else was set."""
    given = {"TCONNECT_EMAIL": "-@-", "TCONNECT_PASSWORD": "-", "TIMEZONE_NAME": "UTC"}
    usual = Configuration(given, {}).group(TandemSettings)
    return replace(usual, email=email, password=password, **changes)


def host(
    folder: Path | None = None,
    clock: Clock = NO_WAITING,
    variables: Mapping[str, str] | None = None,
) -> Host:
    """Return a computer with one folder for everything, or one that keeps no files."""
    here = folder or Path("/nonexistent")
    caches = [folder / ".cache" / "tconnectsync"] if folder else []
    return Host(clock, variables or {}, here, here, caches)
