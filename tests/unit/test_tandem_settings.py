"""Profiles and alerts out of the settings that a pump uploaded to Tandem Source."""

from __future__ import annotations

from datetime import time, timedelta
from typing import Any

import pytest

from tconnectsync.domain.profiles import Profile, PumpSettings, Segment
from tconnectsync.errors import ApiError
from tconnectsync.sources.tandemsource.settings import pump_settings

Object = dict[str, Any]


def segment(start: Any = 0, **changes: Any) -> Object:
    values = {"basalRate": 850, "carbRatio": 7500, "isf": 42, "targetBg": 112}
    return {"startTime": start, **values, "status": [], **changes}


def blank(start: int) -> Object:
    return segment(start, basalRate=0, carbRatio=0, isf=0, targetBg=0)


def profile(*segments: Object, **changes: Any) -> Object:
    values = {"idp": 3, "name": "Work", "carbEntry": "UnitsAsCarbs", "insulinDuration": 330}
    return {**values, "timeDependentSegments": list(segments or [segment()]), **changes}


def details(*profiles: Object, active: Any = 3, alerts: Any = None) -> Object:
    return {
        "profiles": {"activeIdp": active, "profile": list(profiles or [profile()])},
        "cgmSettings": alerts,
    }


def only_profile(*segments: Object, **changes: Any) -> Profile:
    (found,) = pump_settings(details(profile(*segments, **changes))).profiles
    return found


def test_a_profile_is_read_with_its_segments() -> None:
    assert only_profile(segment(), segment(390, basalRate=1025, carbRatio=6000)) == Profile(
        name="Work",
        segments=(
            Segment(time(0), 0.85, 42, 7.5, 112),
            Segment(time(6, 30), 1.025, 42, 6, 112),
        ),
        insulin_duration=timedelta(hours=5, minutes=30),
        carbs_enabled=True,
        active=True,
    )


def test_the_profile_in_use_is_distinguished_from_the_others() -> None:
    given = details(profile(idp=0), profile(idp=1), profile(idp=2), active=1)
    assert [each.active for each in pump_settings(given).profiles] == [False, True, False]


@pytest.mark.parametrize("active", [None, 9, "3"])
def test_where_the_pump_does_not_say_no_profile_is_in_use(active: object) -> None:
    given = details(profile(), profile(idp=None), active=active)
    assert [each.active for each in pump_settings(given).profiles] == [False, False]


def in_upper_case(item: Any) -> Any:
    if isinstance(item, dict):
        return {name.upper(): in_upper_case(value) for name, value in item.items()}
    return [in_upper_case(each) for each in item] if isinstance(item, list) else item


def test_names_match_whatever_their_case() -> None:
    given = details(alerts={"lowGlucoseAlert": {"mgPerDl": 81}})
    assert pump_settings(in_upper_case(given)) == pump_settings(given)


@pytest.mark.parametrize(
    ("carb_entry", "enabled"),
    [
        ("UnitsAsCarbs", True),
        ("unitsascarbs", True),
        (1, True),
        (True, True),
        ("On", True),
        (0, False),
        (False, False),
        ("Off", False),
        ("OffCarbs", False),
        ("UnitsAsInsulin", False),
    ],
)
def test_a_profile_says_whether_carbohydrates_are_entered(carb_entry: Any, enabled: bool) -> None:
    assert only_profile(carbEntry=carb_entry).carbs_enabled is enabled


def test_blank_segments_only_fill_the_table() -> None:
    found = only_profile(segment(), segment(600), blank(0), blank(720))
    assert [each.start for each in found.segments] == [time(0), time(10)]


def test_a_segment_without_basal_is_not_blank() -> None:
    (found,) = only_profile(segment(basalRate=0)).segments
    assert (found.basal_rate, found.correction_factor) == (0, 42)


def test_segments_come_in_time_order() -> None:
    found = only_profile(segment(600), segment(0))
    assert [each.start for each in found.segments] == [time(0), time(10)]


def test_a_place_without_a_profile_is_none() -> None:
    empty = profile(blank(0), idp=4, name="")
    assert pump_settings(details(profile(), empty)) == pump_settings(details(profile()))


def test_a_profile_in_use_must_not_be_blank() -> None:
    with pytest.raises(ApiError, match="do not follow one another from midnight"):
        only_profile(blank(0))


def test_a_profile_not_in_use_may_begin_blank() -> None:
    (found,) = pump_settings(details(profile(blank(0), segment(720)), active=0)).profiles
    assert [each.start for each in found.segments] == [time(12)]


@pytest.mark.parametrize("active", [3, 0])
@pytest.mark.parametrize("starts", [(60,), (0, 60, 60)])
def test_segments_that_leave_a_time_open_are_refused(starts: tuple[int, ...], active: int) -> None:
    with pytest.raises(ApiError, match="do not follow one another from midnight"):
        pump_settings(details(profile(*map(segment, starts)), active=active))


def test_a_profile_in_use_must_not_begin_blank() -> None:
    with pytest.raises(ApiError, match="do not follow one another from midnight"):
        only_profile(blank(0), segment(720))


def require_left_out(broken: Any, why: str, name: str) -> None:
    """Insist that a broken profile is left out and named, wherever it stands, and no other is."""
    whole = pump_settings(details(profile()))
    for place, both in enumerate(([broken, profile()], [profile(), broken])):
        found = pump_settings(details(*both))
        assert found.profiles == whole.profiles
        (missing,) = found.broken
        assert (missing.name, missing.active, missing.place) == (name, False, place)
        assert why in missing.why
        assert found.in_order[place] is missing
    with pytest.raises(ApiError, match=why):
        pump_settings(details(broken))


@pytest.mark.parametrize("name", ["basalRate", "carbRatio", "isf", "targetBg"])
@pytest.mark.parametrize("value", [None, "850", -1, True, float("nan"), [850], {}])
def test_an_amount_that_is_none_spoils_its_profile_alone(name: str, value: object) -> None:
    spoilt = profile(segment(), segment(60, **{name: value}), idp=4, name="Holiday")
    require_left_out(spoilt, "is not a number", "Holiday")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("basalRate", 15_001),
        ("carbRatio", 7.5),
        ("carbRatio", 999_001),
        ("isf", 0.9),
        ("isf", 1000),
        ("targetBg", 19),
        ("targetBg", 601),
    ],
)
def test_an_amount_that_cannot_be_true_spoils_its_profile_alone(name: str, value: object) -> None:
    spoilt = profile(segment(), segment(60, **{name: value}), idp=4, name="Holiday")
    require_left_out(spoilt, "is not a number that can be true", "Holiday")


def test_what_is_not_set_on_the_pump_is_nothing_and_the_rest_is_read() -> None:
    (found,) = only_profile(segment(carbRatio=0, isf=0, targetBg=0)).segments
    assert found == Segment(time(0), 0.85, 0, 0, 0)


@pytest.mark.parametrize("start", [None, -1, 1440, 0.5, "0"])
def test_a_segment_at_no_time_of_the_day_is_refused(start: object) -> None:
    with pytest.raises(ApiError, match="begins at an unknown time"):
        only_profile(segment(start))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": None},
        {"name": 5},
        *({"insulinDuration": d} for d in (None, 0, -5, 59, 1441)),
    ],
)
def test_a_profile_without_name_or_duration_is_refused(changes: Object) -> None:
    with pytest.raises(ApiError, match="lacks its name or its duration"):
        only_profile(**changes)


@pytest.mark.parametrize(
    "given",
    [
        {"profiles": {"numberOfProfiles": 1}},
        {"profiles": None},
        {"cgmSettings": {}},
        {"profiles": {"profile": []}},
        {"profiles": {"profile": {"name": "Work"}}},
    ],
)
def test_settings_without_a_profile_are_refused(given: Object) -> None:
    with pytest.raises(ApiError, match="cannot be used: they show no profile"):
        pump_settings(given)


@pytest.mark.parametrize(
    "broken", [profile(timeDependentSegments=None, idp=4, name="Holiday"), None, [], "Work"]
)
def test_a_broken_profile_does_not_spoil_the_others(broken: Any) -> None:
    name = "Holiday" if isinstance(broken, dict) else ""
    require_left_out(broken, "a profile has no segments", name)


def test_a_broken_profile_in_use_is_said_and_no_other_takes_its_place() -> None:
    found = pump_settings(details(profile(segment(60)), profile(idp=4, name="Holiday")))
    assert [(each.name, each.active) for each in found.profiles] == [("Holiday", False)]
    assert [(each.name, each.active) for each in found.broken] == [("Work", True)]


def test_a_guardian_reads_the_true_reason() -> None:
    with pytest.raises(ApiError, match="does not show the pump's settings to a guardian"):
        pump_settings(None, for_guardian=True)
    assert pump_settings(details(), for_guardian=True) == pump_settings(details())


@pytest.mark.parametrize("given", [None, {}, [], "details"])
def test_a_pump_that_never_uploaded_its_settings_is_named(given: object) -> None:
    with pytest.raises(ApiError, match="no settings of this pump"):
        pump_settings(given)


@pytest.mark.parametrize(
    ("alerts", "low", "high"),
    [
        ({"lowGlucoseAlertMgPerDl": 81, "highGlucoseAlertMgPerDl": 210}, 81, 210),
        ({"lowGlucoseAlert": {"mgPerDl": 81}, "highGlucoseAlert": {"mgPerDl": 210}}, 81, 210),
        ({"lowGlucoseAlertMgPerDl": 81, "lowGlucoseAlertEnabled": True}, 81, 180),
        ({"lowGlucoseAlertMgPerDl": 81, "lowGlucoseAlertEnabled": False}, 70, 180),
        ({"highGlucoseAlert": {"mgPerDl": 210, "enabled": 0}}, 70, 180),
        ({"lowGlucoseAlertMgPerDl": 0, "highGlucoseAlertMgPerDl": "210"}, 70, 180),
        (None, 70, 180),
    ],
)
def test_alerts_that_are_on_have_their_level(alerts: Any, low: float, high: float) -> None:
    found = pump_settings(details(alerts=alerts))
    assert found == PumpSettings(found.profiles, low_alert=low, high_alert=high)
