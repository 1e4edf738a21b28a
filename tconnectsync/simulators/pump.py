"""The simulated person's pump, in no cloud's format: what it is called and what it is set to."""

from __future__ import annotations

from dataclasses import replace
from datetime import time, timedelta

from tconnectsync.domain.profiles import Profile, PumpSettings, Segment
from tconnectsync.simulators.history import CARB_RATIO, CORRECTION_FACTOR, TARGET
from tconnectsync.simulators.person import SCHEDULE

SERIAL_NUMBER = 90210042
"""The serial number of the simulated pump."""

DEVICE = "t:slim X2 Insulin Pump"
"""The name of its model."""


def _day(factor: float) -> tuple[Segment, ...]:
    return tuple(
        Segment(
            start=time(minute // 60, minute % 60),
            basal_rate=round(rate * factor, 3),
            correction_factor=CORRECTION_FACTOR,
            carb_ratio=CARB_RATIO,
            target=TARGET,
        )
        for minute, rate in SCHEDULE
    )


_EVERY_DAY = Profile("Every day", _day(1.0), timedelta(hours=5), carbs_enabled=True, active=True)
_ILL = replace(_EVERY_DAY, name="Ill <in bed>", segments=_day(1.2), active=False)
_OLD = replace(_EVERY_DAY, name="Then", segments=_day(0.8), insulin_duration=timedelta(hours=4))

SETTINGS = PumpSettings((_EVERY_DAY, _ILL), low_alert=80.0, high_alert=200.0)
"""The settings of the pump, unless a test replaces them."""

OLD_SERIAL_NUMBER = 1000317
"""The serial number of the pump that the person had before."""

OLD_SETTINGS = PumpSettings((_OLD,))
"""The settings of the pump that the person had before."""
