"""Copies what a Tandem insulin pump did from Tandem's cloud into a Nightscout site.

Importing the package does nothing but define names. From a Python shell, ``tconnectsync.util.cli``
is there without a further import; it is loaded at first use.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

__version__ = "2026.12.0"


def __getattr__(name: str) -> ModuleType:
    """Load ``tconnectsync.util`` when somebody first asks for it."""
    if name == "util":
        import importlib

        return importlib.import_module("tconnectsync.util")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
