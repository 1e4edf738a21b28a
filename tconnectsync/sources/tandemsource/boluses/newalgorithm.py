"""Doses of Tandem's next algorithm, of which nothing is written before a captured log proves them.

See docs/protocol/tandem-event-log.md §13, tandem-source-processing §23 (558, 559, 562 to 566).
"""

from __future__ import annotations

from collections.abc import Iterable

from tconnectsync.domain.limits import MOST_INSULIN
from tconnectsync.sources.base import Remark
from tconnectsync.sources.tandemsource.log.codes import DOSE_COMPLETED, DOSE_STARTED, NEW_ALGORITHM
from tconnectsync.sources.tandemsource.log.logentries import Entry
from tconnectsync.sources.tandemsource.log.records import number


def remarks(entries: Iterable[Entry]) -> list[Remark]:
    """Return remarks about such entries: how much insulin is not shown."""
    found = [entry for entry in entries if entry.code in NEW_ALGORITHM]
    if not found:
        return []
    doses = [
        _units(entry, "syncdosesizedelivered") for entry in found if entry.code == DOSE_COMPLETED
    ]
    units = sum(dose for dose in doses if dose)
    unread = sum(dose is None for dose in doses)
    started = sum(
        _units(entry, "syncdosesizerequested") != 0 for entry in found if entry.code == DOSE_STARTED
    )
    codes = ", ".join(map(str, sorted({entry.code for entry in found})))
    count = f"{len(found)} {'entry' if len(found) == 1 else 'entries'}"
    what = (
        f"The pump's log has {count} of an algorithm that this version of tconnectsync does not "
        f"know yet (codes {codes})."
    )
    has_insulin = bool(units or unread or started > len(doses))
    return [Remark(f"{what} {_consequence(units, unread, has_insulin)}", has_insulin, heals=False)]


def _consequence(units: float, unread: int, has_insulin: bool) -> str:
    if not has_insulin:
        return (
            "They report settings and rates, not doses, and are not shown. Look for a newer "
            "version of tconnectsync."
        )
    amount = f"{units:.2f} U of insulin" if units else "Insulin"
    more = f" (and {unread} doses whose amount cannot be read)" if units and unread else ""
    return (
        f"{amount} that they report{more} {'is' if not units else 'are'} NOT shown in Nightscout, "
        "so its insulin on board is too low. Do not rely on it, and install a newer version of "
        "tconnectsync."
    )


def _units(entry: Entry, name: str) -> float | None:
    """Return an amount (U); ``None`` if the entry does not say it or it cannot be true."""
    units = number(entry.values, name)
    return units if units is not None and 0 <= units <= MOST_INSULIN else None
