"""An hour of a pump that takes --auto-update ten seconds on a fast clock."""

from __future__ import annotations

from datetime import datetime, timedelta

from tconnectsync.simulators.history import (
    ActivityRecord,
    BasalSegment,
    BolusRecord,
    ExtendedPart,
    PumpHistory,
)

HASTE = 360.0
"""How many times as fast as ours the clock of the command runs."""
LIKE_A_USER = {
    "AUTOUPDATE_DEFAULT_SLEEP_SECONDS": "300",
    "AUTOUPDATE_UNEXPECTED_NO_INDEX_SLEEP_SECONDS": "60",
    # The time of the day does not run as fast as the loop's clock.
    "ALARM_SAFE_MINUTES": "0",
}


def busy_hour(start: datetime) -> PumpHistory:
    """Return a pump's story in which something is going on at every moment of an hour."""

    def at(minutes: float) -> datetime:
        return start + timedelta(minutes=minutes)

    extended = ExtendedPart(at(24), at(52), 1.5, 1.5, duration_minutes=28, immediate_percent=50)
    return PumpHistory(
        first_day=start.date() - timedelta(days=1),
        days=3,
        control_iq=True,
        basal=[
            BasalSegment(at(-120), 137 * 60, 0.8, "profile"),
            BasalSegment(at(17), 33 * 60, 1.1, "algorithm"),
            BasalSegment(at(50), 60 * 60, 0.6, "algorithm"),
        ],
        boluses=[
            BolusRecord(1, at(3), at(4), 0.7, 0.7, kind="automatic"),
            BolusRecord(2, at(14), at(16), 3.0, 3.0, carbs=24),
            BolusRecord(3, at(22), at(23), 1.5, 1.5, kind="extended", carbs=24, extended=extended),
        ],
        activities=[ActivityRecord(at(-10), 50 * 60, "exercise")],
    )
