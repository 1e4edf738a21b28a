"""What a pump is set to: its insulin profiles, and the glucose at which it warns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time, timedelta

from tconnectsync.domain.limits import HIGHEST_FACTOR, HIGHEST_GLUCOSE, LOWEST_GLUCOSE, MOST_RATE

MGDL_PER_MMOL = 18.0182
"""mg/dL of glucose in 1 mmol/L."""
SHORTEST_DURATION, LONGEST_DURATION = timedelta(hours=1), timedelta(hours=24)
"""For how long insulin can act."""

_LIMITS = {
    "basal rate": (0.0, MOST_RATE),
    "correction factor": (1.0, HIGHEST_FACTOR),
    "carb ratio": (0.1, HIGHEST_FACTOR),
    "target": (LOWEST_GLUCOSE, HIGHEST_GLUCOSE),
}
"""U/h, mg/dL per U, g per U and mg/dL."""


def is_possible(what: str, value: float) -> bool:
    """Return whether a setting of a segment, in our unit, can be true; 0 means that it is not set.

    People dose by it, so what cannot be true is no profile.
    """
    low, high = _LIMITS[what]
    return value == 0 or low <= value <= high


def is_alert_level(mgdl: float) -> bool:
    """Return whether a pump can warn of this glucose, mg/dL."""
    return LOWEST_GLUCOSE <= mgdl <= HIGHEST_GLUCOSE


@dataclass(frozen=True, slots=True)
class Segment:
    """Settings that hold from one time of the day until the next segment, the last to midnight.

    0 means that the pump has no setting, except for the rate.
    """

    start: time
    """The pump's wall clock, without zone."""
    basal_rate: float
    """U/h."""
    correction_factor: float
    """mg/dL by which 1 U lowers the glucose."""
    carb_ratio: float
    """g of carbohydrate that 1 U covers."""
    target: float
    """Glucose aimed at, mg/dL."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A day's settings under a name."""

    name: str
    segments: tuple[Segment, ...]
    """In time order; the first begins at midnight."""
    insulin_duration: timedelta
    """How long insulin is taken to act."""
    carbs_enabled: bool
    """Whether the pump asks for carbohydrates, and so uses the carb ratios."""
    active: bool
    """Whether the pump followed this profile when it last uploaded."""


@dataclass(frozen=True, slots=True)
class BrokenProfile:
    """A profile with something that cannot be true, so that none of it is used."""

    name: str
    """Empty if it has none that can be shown."""
    why: str
    """What is wrong with it; the end of a sentence."""
    active: bool
    """Whether the pump followed this profile when it last uploaded."""
    place: int
    """Its place among all profiles of the pump, from 0 on."""


@dataclass(frozen=True, slots=True)
class PumpSettings:
    """What one pump is set to; an alert that is off keeps its default."""

    profiles: tuple[Profile, ...]
    """Those that are understood, in the pump's order."""
    low_alert: float = 70.0
    """Glucose below which the pump warns, mg/dL."""
    high_alert: float = 180.0
    """Glucose above which the pump warns, mg/dL."""
    broken: tuple[BrokenProfile, ...] = ()
    """The other profiles, in the pump's order."""

    @property
    def in_order(self) -> list[Profile | BrokenProfile]:
        """All profiles as the pump lists them."""
        found: list[Profile | BrokenProfile] = [*self.profiles]
        for profile in self.broken:
            found.insert(profile.place, profile)
        return found
