"""Keeping the newest insulin on board as the one activity record of its kind.

See docs/protocol/tconnect-processing.md §7, nightscout-api §1.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tconnectsync.domain.clock import LONG_AGO
from tconnectsync.domain.events import InsulinOnBoard
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.provenance import ENTERED_BY, Document, instant, utc_text
from tconnectsync.state.backlog import Backlog

ACTIVITY_TYPE = "tconnect_iob"


def sync_iob(
    values: Sequence[InsulinOnBoard],
    nightscout: NightscoutApi,
    backlog: Backlog | None = None,
    *,
    pretend: bool,
) -> list[str]:
    """Store the newest value if it is newer than the stored one; return what was done, in words.

    Older records of ours are removed only after the new one is stored, so that there is always one.
    If a run stops in between, the next one removes them. With a ``backlog``, Nightscout is not
    asked when the newest value was already stored and nothing was left to remove.

    Raises:
        NightscoutError: Nightscout refused something.
        NetworkError: Nightscout could not be reached.
    """
    newest = max(values, key=lambda value: value.at, default=None)
    known = backlog.last_sent("IOB") if backlog else None
    if newest is None or (known and newest.at <= known):
        return []
    stored = sorted(nightscout.activities(ACTIVITY_TYPE), key=_when)
    if stored and _when(stored[-1]) >= newest.at:
        outdated, done = stored[:-1], []
    else:
        outdated, done = (
            stored,
            [f"Insulin on board: {newest.units:g} U at {newest.at:%Y-%m-%d %H:%M}"],
        )
        if not pretend:
            nightscout.add(_record(newest), "activity")
    for record in () if pretend else outdated:
        nightscout.remove_activity(record)
    if backlog and not done:
        # Not before a run has found it stored: only then no older record is left to remove.
        backlog.remember_sent("IOB", newest.at)
    return done


def _record(value: InsulinOnBoard) -> Document:
    # Nightscout stores these times as they come and compares them as text: hence UTC.
    at = utc_text(value.at)
    return {
        "activityType": ACTIVITY_TYPE,
        "iob": value.units,
        "created_at": at,
        "enteredBy": ENTERED_BY,
    }


def _when(record: Document) -> datetime:
    return instant(record) or LONG_AGO
