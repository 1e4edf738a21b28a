"""The instants that treatments of a type have to themselves.

Nightscout before 15.0.7 lets one of two treatments of a type at one instant overwrite the other
(contract nightscout-api §0, §1.2).
"""

from __future__ import annotations

from datetime import timedelta

from tconnectsync.nightscout.documents import Wanted
from tconnectsync.nightscout.marks import Document, created_at
from tconnectsync.nightscout.stored import Slot

MILLISECOND = timedelta(milliseconds=1)


def set_apart(want: Wanted, taken: set[Slot]) -> Document:
    """Return the document at the first free millisecond from its instant on, and take that."""
    event_type, at = want.body["eventType"], want.at
    while (event_type, at) in taken:
        at += MILLISECOND
    taken.add((event_type, at))
    return {**want.body, "created_at": created_at(at)}
