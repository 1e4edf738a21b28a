"""Names of profiles: none may end the site's process, or hide the profile in use."""

from __future__ import annotations

from dataclasses import replace
from datetime import time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tconnectsync.domain.profiles import BrokenProfile, Profile, PumpSettings, Segment
from tconnectsync.nightscout.keys import safe_key, safe_keys, takes_any_key, with_safe_keys
from tconnectsync.nightscout.profiles import (
    ProfileStyle,
    keys_of,
    left_out,
    revised_record,
    sendable,
    with_our_names_safe,
)
from tconnectsync.nightscout.provenance import Document

OLD = ProfileStyle("Europe/Berlin", mmol=False, targets="segments", carbs_hr="20", delay="20")
NEW = replace(OLD, any_key=True)
STYLES = pytest.mark.parametrize("style", [OLD, NEW], ids=["old", "15.0.7"])
ODD = ["A.B", "$Gym", "a<b", "<3", "a < b & c", "..", "$", "v1.0 <beta>", "Ill <in bed>"]
NAMES = st.text(st.sampled_from("A.$<&;＄．‹ltp12() "), min_size=1, max_size=12)


def pump(*names: str, active: int = 0, rate: float = 0.8) -> PumpSettings:
    segments = (Segment(time(0), rate, 30, 6, 110),)
    profiles = [
        Profile(name, segments, timedelta(hours=5), carbs_enabled=True, active=place == active)
        for place, name in enumerate(names)
    ]
    return PumpSettings(tuple(profiles))


def record(settings: PumpSettings, style: ProfileStyle = OLD, **stored: Any) -> Document:
    made = revised_record(stored or None, settings, style)
    assert made
    return sendable(made, style)


def keys_in(value: Any) -> list[str]:
    """Return the keys at all depths."""
    if isinstance(value, list):
        return [key for item in value for key in keys_in(item)]
    if not isinstance(value, dict):
        return []
    return [*value, *(key for item in value.values() for key in keys_in(item))]


def require_harmless(sent: Document) -> None:
    for key in keys_in(sent):
        assert "." not in key
        assert "<" not in key
        assert not key.startswith("$")


@STYLES
@pytest.mark.parametrize("name", ODD)
def test_an_odd_name_is_sent_with_look_alikes_and_is_the_one_in_force(
    name: str, style: ProfileStyle
) -> None:
    sent = record(pump(name, "Plain"), style)
    require_harmless(sent)
    assert "<" not in sent["defaultProfile"]
    assert set(sent["store"]) == {sent["defaultProfile"], "Plain"}
    assert revised_record(sent, pump(name, "Plain"), style) is None


def test_letters_are_replaced_one_to_one_and_only_where_they_do_harm() -> None:
    assert safe_key("A.B") == "A．B"
    assert safe_key("$Gym $") == "＄Gym $"
    assert safe_key("a<b>") == "a‹b>"
    for name in ("Work & gym", "a/b", " x", "#1", "Ärger", "constructor", "5%"):
        assert safe_key(name) == name


def test_names_that_become_equal_get_a_number_in_the_pump_s_order() -> None:
    names = ["A.B", "A．B", "A．B (2)", "A.B"]
    assert safe_keys(names) == ["A．B", "A．B (2)", "A．B (2) (2)", "A．B (3)"]
    assert list(keys_of(pump("Day", "Day"), OLD)) == ["Day", "Day (2)"]
    twins = pump("Day", "Day", active=1)
    assert record(twins)["defaultProfile"] == "Day (2)"
    assert revised_record(record(twins), twins, OLD) is None


@pytest.mark.parametrize("style", [OLD, NEW], ids=["old", "15.0.7"])
@given(names=st.lists(NAMES, min_size=1, max_size=5), data=st.data())
def test_whatever_the_names_all_profiles_are_there_and_a_second_run_changes_nothing(
    style: ProfileStyle, names: list[str], data: st.DataObject
) -> None:
    settings = pump(*names, active=data.draw(st.integers(0, len(names) - 1)))
    sent = record(settings, style)
    require_harmless(sent)
    assert len(sent["store"]) == len(names)
    assert sent["defaultProfile"] in sent["store"]
    assert revised_record(sent, settings, style) is None


@STYLES
@pytest.mark.parametrize("name", ODD)
def test_a_raw_name_of_ours_becomes_safe_in_the_same_record_once(
    name: str, style: ProfileStyle
) -> None:
    settings = pump(name, "Plain")
    ours = record(pump("Plain", "X"), style)["store"]["X"]
    stored = {
        "_id": "x",
        "startDate": "2024-01-01T00:00:00.000Z",
        "defaultProfile": name,
        "store": {name: {**ours, "mine": 1}, "Plain": ours},
    }
    renamed = with_our_names_safe(stored, settings, style)
    assert renamed == {
        **stored,
        "defaultProfile": safe_key(name),
        "store": {safe_key(name): {**ours, "mine": 1}, "Plain": ours},
    }
    assert revised_record(stored, settings, style) == renamed
    assert revised_record(renamed, settings, style) is None
    assert stored["defaultProfile"] == name


def test_a_default_that_the_site_has_spoilt_follows() -> None:
    settings = pump("Plain", "a<b", active=1)
    entry = record(pump("X"), NEW)["store"]["X"]
    stored = {"defaultProfile": "a", "store": {"a<b": entry, "Plain": entry}}
    assert with_our_names_safe(stored, settings, NEW)["defaultProfile"] == "a‹b"


def test_a_raw_name_beside_its_safe_one_goes_and_the_safe_one_stays() -> None:
    entry = record(pump("X"))["store"]["X"]
    safe = {**entry, "mine": 1}
    stored = {"defaultProfile": "A.B", "store": {"A.B": entry, "A．B": safe}}
    revised = revised_record(stored, pump("A.B"), NEW)
    assert revised == {"defaultProfile": "A．B", "store": {"A．B": safe}}


OTHERS = {
    "store": {"Loop v1.2": {"dia": 4, "x.y": [{"$z": 1}]}, "$": {"dia": 3}},
    "loopSettings": {"a.b": {"c<d": 1}},
    "$top": 1,
}


def test_to_an_old_site_every_key_is_safe_of_any_author() -> None:
    sent = record(pump("Plain"), OLD, **OTHERS)
    require_harmless(sent)
    store = sent["store"]
    assert store["Loop v1．2"] == {"dia": 4, "x．y": [{"＄z": 1}]}
    assert store["＄"] == {"dia": 3}
    assert sent["loopSettings"] == {"a．b": {"c‹d": 1}}
    assert revised_record(sent, pump("Plain"), OLD) is None


def test_to_a_site_that_takes_them_names_of_others_stay_as_they_are() -> None:
    sent = record(pump("A.B"), NEW, **OTHERS)
    assert {name: sent["store"][name] for name in OTHERS["store"]} == OTHERS["store"]  # type: ignore[attr-defined]
    assert (sent["loopSettings"], sent["$top"]) == (OTHERS["loopSettings"], 1)
    assert "A．B" in sent["store"]


def test_unsafe_keys_of_others_alone_are_no_reason_to_write() -> None:
    stored = record(pump("Plain"), NEW, **OTHERS)
    assert revised_record(stored, pump("Plain"), OLD) is None


def test_a_name_of_others_never_takes_the_place_of_one_that_is_there() -> None:
    made = with_safe_keys({"A.B": 1, "A．B": 2, "A．B (2)": 3})
    assert made == {"A．B": 2, "A．B (2)": 3, "A．B (3)": 1}


@pytest.mark.parametrize("stored", ["R&amp;D", "R&#38;D"])
def test_a_text_that_the_site_has_escaped_is_no_change(stored: str) -> None:
    settings = pump("R&D", "Plain")
    sent = record(settings)
    entry = sent["store"].pop("R&D")
    for default in ("R&D", stored):
        kept = {**sent, "defaultProfile": default, "store": {**sent["store"], stored: entry}}
        assert revised_record(kept, settings, OLD) is None


def test_names_that_are_numbers_are_compared_as_names() -> None:
    revised = revised_record(record(pump("5", "5.0")), pump("5", "5.0", active=1), NEW)
    assert revised
    assert revised["defaultProfile"] == "5．0"


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("__proto__", False, True), ("@@@@@x", False, False), ("", False, False), ("x" * 301, 0, 0)],
)
def test_what_a_site_does_not_keep_is_left_out_and_named(name: str, old: bool, new: bool) -> None:
    settings = pump("Plain", name)
    for style, is_kept in ((OLD, old), (NEW, new)):
        sent = record(settings, style)
        assert (name in sent["store"]) == is_kept
        assert [each.name for each in left_out(settings, style)] == [name] * (not is_kept)
        assert revised_record(sent, settings, style) is None


BROKEN = BrokenProfile("Work", "a profile has no segments", active=True, place=0)


def test_while_the_profile_in_use_is_broken_the_record_s_own_stays_and_others_go_on() -> None:
    before = record(pump("Work", "Plain"))
    settings = replace(pump("Plain", active=-1, rate=1.5), broken=(BROKEN,))
    revised = revised_record(before, settings, OLD)
    assert revised
    assert revised["defaultProfile"] == "Work"
    assert revised["store"]["Work"] == before["store"]["Work"]
    assert revised["store"]["Plain"]["basal"][0]["value"] == 1.5
    assert revised_record(None, settings, OLD) is None


def test_a_broken_profile_keeps_its_name_from_another_of_the_same() -> None:
    settings = replace(pump("Work"), broken=(replace(BROKEN, active=False),))
    assert list(keys_of(settings, OLD)) == ["Work (2)"]


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("15.0.7", True),
        ("v15.0.8", True),
        ("15.0.10-dev", True),
        ("15.1.0", True),
        ("16.0.0-beta", True),
        ("15.0.7-dev-20260101", False),
        ("15.0.6", False),
        ("14.9.9", False),
        ("0.12.8-release", False),
        ("15.0", False),
        ("", False),
        (None, False),
        (15.1, False),
    ],
)
def test_only_a_version_that_is_known_to_take_any_key_is_trusted(
    version: object, expected: bool
) -> None:
    assert takes_any_key(version) is expected
