"""Which time zone to propose for the pump's clock."""

from __future__ import annotations

from tconnectsync.config.values import why_no_place
from tconnectsync.setup.countries import only_zone


def proposed_zone(country: str) -> str:
    """Return the zone of this computer if it names a place, else that of the country.

    Empty if neither is known. ``country`` is its code.
    """
    here = _this_computers_zone()
    if here and not why_no_place(here):
        return here
    return only_zone(country)


def _this_computers_zone() -> str:
    """Return the name of the zone that this computer is set to; empty if it is not known."""
    from tzlocal import get_localzone_name

    try:
        return get_localzone_name() or ""
    except (LookupError, OSError, ValueError):
        # It contradicts itself, or names no zone.
        return ""
