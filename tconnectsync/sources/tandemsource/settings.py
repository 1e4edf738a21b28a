"""A pump's profiles and alerts from the settings that it uploaded to Tandem Source.

Contract tandem-source-processing §9. People dose by profiles: one is read as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time, timedelta
from typing import Any, TypeGuard

from tconnectsync.domain.profiles import (
    LONGEST_DURATION,
    SHORTEST_DURATION,
    Profile,
    PumpSettings,
    Segment,
    is_alert_level,
    is_possible,
)
from tconnectsync.errors import ApiError
from tconnectsync.sources.tandemsource.names import plainly_named
from tconnectsync.sources.tandemsource.records import flag, number, whole

MINUTES_OF_DAY = range(24 * 60)
MINUTE = timedelta(minutes=1)
MILLI = 1000
MOST_LETTERS = 100
SHORTEST, LONGEST = SHORTEST_DURATION / MINUTE, LONGEST_DURATION / MINUTE
CARBS_ON = ("on", "true", "1")


def pump_settings(details: object) -> PumpSettings:
    """Return what a pump is set to, glucose in mg/dL.

    Args:
        details: the ``settings.details`` of the pump; ``None`` if it has none.

    Raises:
        ApiError: there are no settings, or something in the profiles is missing or not understood.
    """
    known = plainly_named(details)
    if not known:
        raise ApiError(
            "Tandem Source has no settings of this pump. Upload the pump once with Tandem's "
            "phone app or from a computer, then its profiles can be synced."
        )
    told = plainly_named(known.get("profiles"))
    active = whole(told, "activeidp")
    items = _list(told.get("profile")) or []
    found = [_profile(plainly_named(item), active) for item in items]
    profiles = tuple(profile for profile in found if profile)
    if not profiles:
        raise _unusable("they show no profile")
    return PumpSettings(profiles, **_alert_levels(plainly_named(known.get("cgmsettings"))))


def _profile(told: Mapping[str, Any], active_idp: int | None) -> Profile | None:
    """Return a profile, ``None`` for a place where the pump keeps none."""
    idp, name = whole(told, "idp"), told.get("name")
    active = idp is not None and idp == active_idp
    items = _list(told.get("timedependentsegments"))
    if items is None:
        raise _unusable("a profile has no segments")
    found = [_segment(plainly_named(item)) for item in items]
    segments = sorted((s for s in found if not _is_blank(s)), key=lambda segment: segment.start)
    if not segments and not active:
        return None
    duration = number(told, "insulinduration") or 0
    if not _is_name(name) or not SHORTEST <= duration <= LONGEST:
        raise _unusable("a profile lacks its name or its duration of insulin")
    _check_order(segments, found, active=active)
    return Profile(
        name=name,
        segments=tuple(segments),
        insulin_duration=timedelta(minutes=duration),
        carbs_enabled=_is_on(told.get("carbentry")),
        active=active,
    )


def _check_order(segments: list[Segment], told: list[Segment], *, active: bool) -> None:
    """Refuse a profile that does not say what holds at each time of the day.

    Args:
        segments: those that are left without the blank ones. A profile that is not in use may
            lack its first one so.
        told: all of them.
        active: whether the profile is in use.

    Raises:
        ApiError: it is such a profile.
    """
    starts = [segment.start for segment in segments]
    covered = starts if active else [segment.start for segment in told]
    if time.min not in covered or len({*starts}) != len(starts):
        raise _unusable("the segments of a profile do not follow one another from midnight on")


def _segment(told: Mapping[str, Any]) -> Segment:
    start = whole(told, "starttime")
    if start is None or start not in MINUTES_OF_DAY:
        raise _unusable("a segment begins at an unknown time")
    return Segment(
        start=time(start // 60, start % 60),
        basal_rate=_amount(told, "basalrate", "basal rate", MILLI),
        correction_factor=_amount(told, "isf", "correction factor"),
        carb_ratio=_amount(told, "carbratio", "carb ratio", MILLI),
        target=_amount(told, "targetbg", "target"),
    )


def _is_blank(segment: Segment) -> bool:
    """Tell whether nothing is set; the pump fills up its table so."""
    return not any(
        (segment.basal_rate, segment.correction_factor, segment.carb_ratio, segment.target)
    )


def _amount(told: Mapping[str, Any], name: str, what: str, parts: int = 1) -> float:
    """Return an amount that is told in so many parts of our unit; 0 if it is not set."""
    value = number(told, name)
    if value is None or not is_possible(what, value / parts):
        raise _unusable(f"a {what} is not a number that can be true")
    return value / parts


def _is_name(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= MOST_LETTERS and value.isprintable()


def _is_on(carb_entry: object) -> bool:
    """Tell whether carbohydrates are entered, not units: 0 or 1, or text as ``UnitsAsCarbs``."""
    text = str(carb_entry).lower()
    return text in CARBS_ON or ("carb" in text and not text.startswith("off"))


def _alert_levels(told: Mapping[str, Any]) -> dict[str, float]:
    """Return the levels of the alerts that are on, mg/dL, by their names in PumpSettings."""
    levels = {}
    for ours, name in (("low_alert", "lowglucosealert"), ("high_alert", "highglucosealert")):
        nested = {f"{name}{key}": value for key, value in plainly_named(told.get(name)).items()}
        alert = {**told, **nested}
        level = number(alert, f"{name}mgperdl")
        if level is None or not is_alert_level(level):
            continue
        if flag(alert, f"{name}enabled") is not False:
            levels[ours] = level
    return levels


def _list(value: object) -> list[object] | None:
    return value if isinstance(value, list) else None


def _unusable(why: str) -> ApiError:
    return ApiError(
        f"The pump's settings on Tandem Source cannot be used: {why}. Look at them on the site, "
        "and at the pump's profiles: if all is right there, a newer tconnectsync is needed."
    )
