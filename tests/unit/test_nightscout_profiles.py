"""The pump's profiles as a Nightscout record, compared by value."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from tconnectsync.domain.profiles import Profile, PumpSettings, Segment
from tconnectsync.nightscout.profiles import ProfileStyle, revised_record, same, stamped
from tconnectsync.nightscout.provenance import Document

STYLE = ProfileStyle("America/New_York", mmol=False, targets="segments", carbs_hr="20", delay="20")
DAY = Profile(
    name="Day",
    segments=(
        Segment(time(0, 0), 0.8, 30.0, 6.0, 110.0),
        Segment(time(6, 30), 1.25, 40.0, 8.0, 120.0),
    ),
    insulin_duration=timedelta(hours=5),
    carbs_enabled=True,
    active=True,
)
NIGHT = replace(DAY, name="Night", active=False, segments=DAY.segments[:1])
PUMP = PumpSettings((DAY, NIGHT), low_alert=80.0, high_alert=200.0)


def record(settings: PumpSettings = PUMP, style: ProfileStyle = STYLE) -> Document:
    made = revised_record(None, settings, style)
    assert made
    return made


def values(entry: Document, name: str) -> list[tuple[str, int, float]]:
    return [(item["time"], item["timeAsSeconds"], item["value"]) for item in entry[name]]


def test_a_site_without_any_profile_gets_a_whole_record() -> None:
    made = record()
    assert made["defaultProfile"] == "Day"
    assert set(made["store"]) == {"Day", "Night"}
    entry = made["store"]["Day"]
    assert values(entry, "basal") == [("00:00", 0, 0.8), ("06:30", 23400, 1.25)]
    assert values(entry, "sens") == [("00:00", 0, 30.0), ("06:30", 23400, 40.0)]
    assert values(entry, "carbratio") == [("00:00", 0, 6.0), ("06:30", 23400, 8.0)]
    assert (entry["dia"], entry["timezone"], entry["units"]) == ("5", "America/New_York", "mg/dl")


def test_the_pump_aims_at_the_target_of_each_segment() -> None:
    entry = record()["store"]["Day"]
    assert values(entry, "target_low") == [("00:00", 0, 110.0), ("06:30", 23400, 120.0)]
    assert entry["target_low"] == entry["target_high"]


def test_alert_limits_as_targets_are_the_older_behaviour() -> None:
    entry = record(style=replace(STYLE, targets="alerts"))["store"]["Day"]
    assert values(entry, "target_low") == [("00:00", 0, 80.0)]
    assert values(entry, "target_high") == [("00:00", 0, 200.0)]


def test_a_site_in_mmol_gets_mmol() -> None:
    entry = record(style=replace(STYLE, mmol=True))["store"]["Day"]
    assert entry["units"] == "mmol"
    assert values(entry, "sens")[0][2] == pytest.approx(30 / 18.0182, abs=0.005)
    assert values(entry, "target_low")[0][2] == 6.1


def test_a_pump_in_mmol_on_a_site_in_mmol_keeps_its_numbers() -> None:
    segment = replace(DAY.segments[0], correction_factor=1.7 * 18.0182, target=6.1 * 18.0182)
    settings = PumpSettings((replace(DAY, segments=(segment,)),))
    entry = record(settings, replace(STYLE, mmol=True))["store"]["Day"]
    assert (entry["sens"][0]["value"], entry["target_low"][0]["value"]) == (1.7, 6.1)


def test_a_second_run_changes_nothing() -> None:
    assert revised_record(record(), PUMP, STYLE) is None


def test_numbers_as_texts_and_further_digits_are_no_change() -> None:
    stored = record()
    stored["store"]["Day"]["dia"] = 5
    stored["store"]["Day"]["carbs_hr"] = "20.000"
    stored["store"]["Day"]["basal"][0]["value"] = "0.8000001"
    assert revised_record(stored, PUMP, STYLE) is None


@pytest.mark.parametrize("name", ["basal", "sens", "carbratio", "target_low"])
def test_a_changed_value_is_noticed(name: str) -> None:
    stored = record()
    stored["store"]["Night"][name][0]["value"] = 99
    revised = revised_record(stored, PUMP, STYLE)
    assert revised
    assert revised["store"] == record()["store"]


def test_a_changed_active_profile_is_noticed() -> None:
    switched = PumpSettings((replace(DAY, active=False), replace(NIGHT, active=True)), 80.0, 200.0)
    revised = revised_record(record(), switched, STYLE)
    assert revised
    assert revised["defaultProfile"] == "Night"


def test_profiles_and_fields_that_only_nightscout_knows_survive() -> None:
    stored = record() | {"_id": "x", "loopSettings": {"a": 1}}
    stored["store"]["Holiday"] = {"dia": "3"}
    stored["store"]["Day"]["note"] = "mine"
    before = copy.deepcopy(stored)
    changed = replace(DAY, segments=(replace(DAY.segments[0], basal_rate=0.5),))
    revised = revised_record(stored, PumpSettings((changed, NIGHT), 80.0, 200.0), STYLE)
    assert stored == before
    assert revised
    assert revised["store"]["Holiday"] == {"dia": "3"}
    assert revised["store"]["Day"]["note"] == "mine"
    assert values(revised["store"]["Day"], "basal") == [("00:00", 0, 0.5)]
    assert (revised["_id"], revised["loopSettings"]) == ("x", {"a": 1})
    only_nightscout = {**record(), "store": {**record()["store"], "Holiday": {}}}
    assert revised_record(only_nightscout, PUMP, STYLE) is None


@pytest.mark.parametrize("stored", [{}, {"store": None}, {"store": {"Day": None}}, {"store": []}])
def test_an_odd_record_is_completed(stored: dict[str, Any]) -> None:
    revised = revised_record(stored, PUMP, STYLE)
    assert revised
    assert revised["store"] == record()["store"]


@pytest.mark.parametrize("active", [(False, False), (True, True)])
def test_without_one_active_profile_nothing_is_guessed(active: tuple[bool, bool]) -> None:
    profiles = (replace(DAY, active=active[0]), replace(NIGHT, active=active[1]))
    with pytest.raises(ValueError, match="which profile is active"):
        revised_record(record(), PumpSettings(profiles), STYLE)


UNSET: list[tuple[str, set[str]]] = [
    ("carb_ratio", {"carbratio"}),
    ("correction_factor", {"sens"}),
    ("target", {"target_low", "target_high"}),
]


def without(field: str, segments: slice) -> PumpSettings:
    """Return the pump's settings with something not set in some segments of each profile."""

    def unset(profile: Profile) -> Profile:
        nothing: dict[str, Any] = {field: 0.0}
        changed = [replace(each, **nothing) for each in profile.segments[segments]]
        kept = profile.segments[: segments.start or 0]
        return replace(profile, segments=(*kept, *changed))

    return replace(PUMP, profiles=tuple(map(unset, PUMP.profiles)))


@pytest.mark.parametrize("style", [STYLE, replace(STYLE, mmol=True)])
@pytest.mark.parametrize("segments", [slice(None), slice(1, None)], ids=["all", "one"])
@pytest.mark.parametrize(("field", "names"), UNSET)
def test_what_the_pump_has_not_set_is_left_out_and_the_rest_is_there(
    field: str, names: set[str], segments: slice, style: ProfileStyle
) -> None:
    whole = record(style=style)["store"]["Day"]
    entry = record(without(field, segments), style)["store"]["Day"]
    assert entry == {name: value for name, value in whole.items() if name not in names}


@pytest.mark.parametrize("segments", [slice(None), slice(1, None)], ids=["all", "one"])
def test_alert_limits_are_targets_of_a_pump_without_targets(segments: slice) -> None:
    style = replace(STYLE, targets="alerts")
    assert record(without("target", segments), style) == record(style=style)


@pytest.mark.parametrize(("field", "names"), UNSET)
def test_what_the_pump_no_longer_has_does_not_stay_from_an_earlier_sync(
    field: str, names: set[str]
) -> None:
    stored = record()
    stored["store"]["Day"]["note"] = "mine"
    settings = without(field, slice(None))
    revised = revised_record(stored, settings, STYLE)
    assert revised
    assert revised["store"]["Day"] == {**record(settings)["store"]["Day"], "note": "mine"}
    assert not names & revised["store"]["Day"].keys()
    assert revised_record(revised, settings, STYLE) is None
    again = revised_record(revised, PUMP, STYLE)
    assert again
    assert again["store"] == stored["store"]


def test_a_new_record_is_valid_from_now_on_in_utc() -> None:
    now = datetime(2024, 6, 3, 12, 0, tzinfo=UTC)
    made = stamped({"_id": "x", "startDate": "old", "defaultProfile": "Day"}, now)
    assert made == {
        "startDate": "2024-06-03T12:00:00.000Z",
        "created_at": "2024-06-03T12:00:00.000Z",
        "defaultProfile": "Day",
    }


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (5, "5.000", True),
        (5, 5.1, False),
        (5, 10**400, False),
        ({"a": 1, "b": [2]}, {"b": ["2.0"], "a": "1"}, True),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        (None, None, True),
        ("x", "y", False),
    ],
)
def test_values_are_compared_by_what_they_mean(one: Any, other: Any, expected: bool) -> None:
    assert same(one, other) is expected
