"""A pump's profiles and alerts from the settings that it uploaded to Tandem Source.

See tandem-source-processing §9. People dose by profiles: each is read as a whole or not at
all, and one that cannot be read does not stop the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time, timedelta
from typing import Any, TypeGuard

from tconnectsync.domain.clock import MINUTE
from tconnectsync.domain.profiles import (
    LONGEST_DURATION,
    SHORTEST_DURATION,
    BrokenProfile,
    Profile,
    PumpSettings,
    Segment,
    is_alert_level,
    is_possible,
)
from tconnectsync.errors import ApiError
from tconnectsync.sources.tandemsource.log.records import flag, number, plainly_named, whole

MINUTES_OF_DAY = range(24 * 60)
MILLI = 1000
MOST_LETTERS = 100
SHORTEST_MINUTES, LONGEST_MINUTES = SHORTEST_DURATION / MINUTE, LONGEST_DURATION / MINUTE
CARBS_ON = ("on", "true", "1")


NOT_FOR_GUARDIANS = (
    "Tandem Source does not show the pump's settings to a guardian. To sync its profiles, use the "
    "account of the person who wears the pump; otherwise leave PROFILES out."
)


class _BrokenError(Exception):
    """A profile cannot be used; the text says why."""


def pump_settings(details: object, *, for_guardian: bool = False) -> PumpSettings:
    """Return what a pump is set to, glucose in mg/dL.

    Args:
        details: the ``settings.details`` of the pump; ``None`` if it has none.
        for_guardian: whether the account is a guardian's, who is not shown any.

    Raises:
        ApiError: there are no settings, or none of the profiles can be used.
    """
    known = plainly_named(details)
    if not known and for_guardian:
        raise ApiError(NOT_FOR_GUARDIANS)
    if not known:
        raise ApiError(
            "Tandem Source has no settings of this pump. Upload the pump once with Tandem's "
            "phone app or from a computer, then its profiles can be synced."
        )
    fields = plainly_named(known.get("profiles"))
    active = whole(fields, "activeidp")
    profiles: list[Profile] = []
    broken: list[BrokenProfile] = []
    for item in _list(fields.get("profile")) or []:
        one = plainly_named(item)
        idp, name = whole(one, "idp"), one.get("name")
        is_active = idp is not None and idp == active
        try:
            profile = _profile(one, active=is_active)
        except _BrokenError as error:
            name, place = name if _is_name(name) else "", len(profiles) + len(broken)
            broken.append(BrokenProfile(name, str(error), is_active, place))
        else:
            profiles += [profile] if profile else []
    if not profiles:
        raise ApiError(
            "The pump's settings on Tandem Source cannot be used: "
            f"{broken[0].why if broken else 'they show no profile'}. Look at them on the site, "
            "and at the pump's profiles: if all is right there, a newer tconnectsync is needed.",
            changed=True,
        )
    alerts = _alert_levels(plainly_named(known.get("cgmsettings")))
    return PumpSettings(tuple(profiles), broken=tuple(broken), **alerts)


def _profile(fields: Mapping[str, Any], *, active: bool) -> Profile | None:
    """Return a profile, ``None`` for a place where the pump keeps none.

    Raises:
        _BrokenError: something in it is missing or not understood.
    """
    name = fields.get("name")
    items = _list(fields.get("timedependentsegments"))
    if items is None:
        raise _BrokenError("a profile has no segments")
    found = [_segment(plainly_named(item)) for item in items]
    # The pump fills up its table with segments in which nothing is set.
    used = [s for s in found if any((s.basal_rate, s.correction_factor, s.carb_ratio, s.target))]
    segments = sorted(used, key=lambda segment: segment.start)
    if not segments and not active:
        return None
    duration = number(fields, "insulinduration") or 0
    if not _is_name(name) or not SHORTEST_MINUTES <= duration <= LONGEST_MINUTES:
        raise _BrokenError("a profile lacks its name or its duration of insulin")
    # A profile that is not in use may lack its first segment because that is blank.
    starts = [segment.start for segment in segments]
    covered = starts if active else [segment.start for segment in found]
    if time.min not in covered or len({*starts}) != len(starts):
        raise _BrokenError("the segments of a profile do not follow one another from midnight on")
    # Whether carbs are entered, not units: 0 or 1, or text as ``UnitsAsCarbs``.
    carbs = str(fields.get("carbentry")).lower()
    return Profile(
        name=name,
        segments=tuple(segments),
        insulin_duration=timedelta(minutes=duration),
        carbs_enabled=carbs in CARBS_ON or ("carb" in carbs and not carbs.startswith("off")),
        active=active,
    )


def _segment(fields: Mapping[str, Any]) -> Segment:
    start = whole(fields, "starttime")
    if start is None or start not in MINUTES_OF_DAY:
        raise _BrokenError("a segment begins at an unknown time")
    return Segment(
        start=time(start // 60, start % 60),
        basal_rate=_amount(fields, "basalrate", "basal rate", MILLI),
        correction_factor=_amount(fields, "isf", "correction factor"),
        carb_ratio=_amount(fields, "carbratio", "carb ratio", MILLI),
        target=_amount(fields, "targetbg", "target"),
    )


def _amount(fields: Mapping[str, Any], name: str, what: str, parts: int = 1) -> float:
    """Return an amount that is fields in so many parts of our unit; 0 if it is not set."""
    value = number(fields, name)
    if value is None or not is_possible(what, value / parts):
        raise _BrokenError(f"a {what} is not a number that can be true")
    return value / parts


def _is_name(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= MOST_LETTERS and value.isprintable()


def _alert_levels(fields: Mapping[str, Any]) -> dict[str, float]:
    """Return the levels of the alerts that are on, mg/dL, by their names in PumpSettings."""
    levels = {}
    for ours, name in (("low_alert", "lowglucosealert"), ("high_alert", "highglucosealert")):
        nested = {f"{name}{key}": value for key, value in plainly_named(fields.get(name)).items()}
        alert = {**fields, **nested}
        level = number(alert, f"{name}mgperdl")
        if level is None or not is_alert_level(level):
            continue
        if flag(alert, f"{name}enabled") is not False:
            levels[ours] = level
    return levels


def _list(value: object) -> list[object] | None:
    return value if isinstance(value, list) else None
