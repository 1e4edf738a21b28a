"""What the rows of exported profiles are made of: the segments of the profiles of a pump."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tconnectsync.domain.profiles import Profile, PumpSettings, Segment


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """One segment of one of the pump's profiles."""

    at: datetime
    """When the pump's settings were first read like this, as its clock shows it."""
    pump: str
    profile: Profile
    segment: Segment

    @property
    def key(self) -> str:
        """Names the row."""
        seen = self.at.isoformat(timespec="seconds")
        return f"profile {self.profile.name} {self.segment.start:%H:%M} {seen}"


def profile_rows(settings: PumpSettings, at: datetime, pump: str) -> list[ProfileRow]:
    """Return the rows of all profiles of a pump."""
    return [
        ProfileRow(at, pump, profile, segment)
        for profile in settings.profiles
        for segment in profile.segments
    ]
