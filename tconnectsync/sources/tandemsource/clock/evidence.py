"""Facts about a pump's log besides the changes of its clock.

Times are naive UTC here, wall times apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tconnectsync.domain.clock import DAY, HOUR, MINUTE
from tconnectsync.sources.tandemsource.clock.changes import ClockChange
from tconnectsync.sources.tandemsource.clock.zonerules import WIDEST_OFFSET, ZoneRules, earlier, utc


class Evidence(NamedTuple):
    """The ends of a log, and its upload; each is ``None`` if it is not known."""

    newest: datetime | None
    """The wall time of the newest entry, if that was surely written after the last change."""
    oldest: datetime | None
    """The wall time of the oldest entry."""
    uploaded: datetime | None
    now: datetime | None
    """About when the newest entry was written."""

    def lag(self, offset: timedelta) -> timedelta | None:
        """Return how long before its upload the newest entry was written with such an offset."""
        if self.newest is None or self.uploaded is None:
            return None
        return self.uploaded - utc(self.newest, offset)

    def is_after_upload(self, instant: datetime | None) -> bool:
        """Return whether an instant is so late that the log cannot hold it."""
        if self.uploaded is None or instant is None:
            return False
        return instant > earlier(self.uploaded, -WIDEST_OFFSET)


def evidence_of(
    changes: Sequence[ClockChange],
    rules: ZoneRules,
    *,
    newest: datetime | None,
    oldest: datetime | None,
    uploaded: datetime | None,
) -> Evidence:
    """Return what can be used of these wall times and of the time of the upload (aware)."""
    sent = uploaded and uploaded.astimezone(UTC).replace(tzinfo=None)
    if newest is None or not _is_after_last_change(newest, changes, sent):
        return Evidence(None, oldest, sent, sent)
    now = utc(newest, rules.of_wall(newest)[0])
    if sent and (abs(sent - now) < DAY or any(change.is_by_days for change in changes)):
        now = sent
    return Evidence(newest, oldest, sent, now)


def _is_after_last_change(
    newest: datetime, changes: Sequence[ClockChange], uploaded: datetime | None
) -> bool:
    """Return whether the newest wall time was written after the last change, and can be true.

    After the clock was set back, the latest wall time is for a while the one right before that.
    """
    was_set_by_days = any(change.is_by_days for change in changes)
    if uploaded and newest - uploaded > 2 * DAY and not was_set_by_days:
        return False
    if changes and changes[-1].after - newest > MINUTE:
        return False
    for change in changes:
        # Date and time are set one after the other: the note of the new date has the old time.
        noted = datetime.combine(change.after.date(), change.before.time())
        if abs(newest - noted) <= MINUTE:
            return False
        if timedelta(0) <= change.before - newest <= HOUR:
            return False
    return True
