"""Copies what a Tandem insulin pump did from Tandem's cloud into a Nightscout site.

Importing the package does nothing but define names. What it offers to Python programs
(docs/python.md) is loaded at first use, and so is ``tconnectsync.util`` for a Python shell.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tconnectsync import util as util
    from tconnectsync.domain.clock import TimeRange
    from tconnectsync.domain.events import (
        Basal,
        Bolus,
        CarbEntry,
        DeviceStatus,
        Event,
        Piece,
        PumpEvent,
        PumpEventKind,
        Reading,
        ReadingKind,
        Split,
        UserMode,
        UserModeKind,
    )
    from tconnectsync.domain.profiles import BrokenProfile, Profile, PumpSettings, Segment
    from tconnectsync.errors import ConfigError, IncompleteError, TconnectsyncError
    from tconnectsync.history import Window
    from tconnectsync.pumpdata import PumpData, open_source
    from tconnectsync.sources.base import PumpSpan

__version__ = "2026.12.0"
__all__ = [
    "Basal",
    "Bolus",
    "BrokenProfile",
    "CarbEntry",
    "ConfigError",
    "DeviceStatus",
    "Event",
    "IncompleteError",
    "Piece",
    "Profile",
    "PumpData",
    "PumpEvent",
    "PumpEventKind",
    "PumpSettings",
    "PumpSpan",
    "Reading",
    "ReadingKind",
    "Segment",
    "Split",
    "TconnectsyncError",
    "TimeRange",
    "UserMode",
    "UserModeKind",
    "Window",
    "open_source",
]

_MODULES = {
    "BrokenProfile": "domain.profiles",
    "ConfigError": "errors",
    "IncompleteError": "errors",
    "Profile": "domain.profiles",
    "PumpData": "pumpdata",
    "PumpSettings": "domain.profiles",
    "PumpSpan": "sources.base",
    "Segment": "domain.profiles",
    "TconnectsyncError": "errors",
    "TimeRange": "domain.clock",
    "Window": "history",
    "open_source": "pumpdata",
}
"""The modules of public names; the others are of ``domain.events``."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load a public name when somebody first asks for it."""
        import importlib

        if name == "util":
            return importlib.import_module("tconnectsync.util")
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = importlib.import_module(f"{__name__}.{_MODULES.get(name, 'domain.events')}")
        return getattr(module, name)

    def __dir__() -> list[str]:
        """Return the names that are there, for a Python shell."""
        return sorted({*globals(), *__all__, "util"})
