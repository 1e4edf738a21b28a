"""The pump's profiles as the acceptance cases describe them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tconnectsync.domain.profiles import Profile, Segment
from tconnectsync.sources.tconnect.pages import clock_time


def profile(wanted: dict[str, Any]) -> Profile:
    """Return the profile that a case describes."""
    return Profile(
        name=wanted["title"],
        segments=tuple(map(_segment, wanted["segments"])),
        insulin_duration=timedelta(minutes=wanted["insulin_duration_min"]),
        carbs_enabled=wanted["carbs_enabled"],
        active=wanted["active"],
    )


def _segment(wanted: dict[str, Any]) -> Segment:
    return Segment(
        start=clock_time(wanted["time"]),
        basal_rate=wanted["basal_rate"],
        correction_factor=wanted["correction_factor"],
        carb_ratio=wanted["carb_ratio"],
        target=wanted["target_bg_mgdl"],
    )
