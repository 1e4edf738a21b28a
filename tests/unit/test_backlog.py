"""What runs leave to each other: what is missing of which feature, and what was asked once."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tconnectsync.domain.clock import TimeRange
from tconnectsync.state.backlog import MOST_RANGES, Backlog

URL = "https://my-site.example.org"
NOON = datetime(2024, 6, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
BOTH = ("BASAL", "BOLUS")


def backlog(*folders: Path, url: str = URL, keep: bool = True) -> Backlog:
    return Backlog(url, folders, keep=keep)


def hours(first: float, last: float) -> TimeRange:
    """Return a range by hours after noon."""
    return TimeRange(NOON + first * HOUR, NOON + last * HOUR)


def test_at_first_nothing_is_missing(tmp_path: Path) -> None:
    assert backlog(tmp_path).missing(BOTH) == {}
    assert list(tmp_path.iterdir()) == []


def test_ranges_add_up_and_another_process_knows_them(tmp_path: Path) -> None:
    backlog(tmp_path).add({"BASAL": [hours(0, 1)], "BOLUS": [hours(5, 6)]})
    backlog(tmp_path).add({"BASAL": [hours(1, 2), hours(4, 5)]})
    assert backlog(tmp_path).missing(BOTH) == {
        "BASAL": (hours(0, 2), hours(4, 5)),
        "BOLUS": (hours(5, 6),),
    }
    assert backlog(tmp_path).missing(["CGM"]) == {}


def test_what_is_covered_is_forgotten_and_other_features_and_times_are_not(tmp_path: Path) -> None:
    kept = backlog(tmp_path)
    kept.add({"BASAL": [hours(0, 10)], "BOLUS": [hours(2, 3)], "CGM": [hours(0, 10)]})
    kept.resolve(hours(2, 8), BOTH, {"BOLUS": [hours(4, 5)]})
    assert kept.missing(("BASAL", "BOLUS", "CGM")) == {
        "BASAL": (hours(0, 2), hours(8, 10)),
        "BOLUS": (hours(4, 5),),
        "CGM": (hours(0, 10),),
    }


spans = st.tuples(st.integers(0, 40), st.integers(1, 20)).map(lambda it: hours(it[0], sum(it)))


@given(missing=st.lists(spans, max_size=6), covered=spans)
def test_exactly_what_is_missing_and_not_covered_is_left(
    missing: list[TimeRange], covered: TimeRange
) -> None:
    def inside(ranges: tuple[TimeRange, ...], hour: int) -> bool:
        at = NOON + (hour + 0.5) * HOUR
        return any(each.start <= at < each.end for each in ranges)

    kept = backlog()
    kept.add({"BASAL": missing})
    kept.resolve(covered, ["BASAL"], {})
    left = kept.missing(["BASAL"]).get("BASAL", ())
    for hour in range(62):
        expected = inside(tuple(missing), hour) and not inside((covered,), hour)
        assert inside(left, hour) == expected


def test_the_file_does_not_grow_without_limit_and_forgets_nothing(tmp_path: Path) -> None:
    many = [hours(3 * number, 3 * number + 1) for number in range(3 * MOST_RANGES)]
    kept = backlog(tmp_path)
    kept.add({"BASAL": many})
    ranges = kept.missing(["BASAL"])["BASAL"]
    assert len(ranges) <= MOST_RANGES
    assert all(any(it.start <= one.start < one.end <= it.end for it in ranges) for one in many)


def test_each_site_has_its_own(tmp_path: Path) -> None:
    backlog(tmp_path).add({"BASAL": [hours(0, 1)]})
    assert backlog(tmp_path, url="https://another.example.org").missing(BOTH) == {}
    assert backlog(tmp_path, url=f"{URL}/").missing(BOTH) == {"BASAL": (hours(0, 1),)}


def test_pumps_and_questions_are_remembered(tmp_path: Path) -> None:
    backlog(tmp_path).remember_log_ends({"one": NOON, "other": NOON})
    backlog(tmp_path).remember_log_ends({"one": NOON + HOUR})
    backlog(tmp_path).remember_done("ages")
    backlog(tmp_path).add({"BASAL": [hours(0, 1)]})
    assert backlog(tmp_path).log_ends() == {"one": NOON + HOUR, "other": NOON}
    assert backlog(tmp_path).is_done("ages")
    assert not backlog(tmp_path).is_done("something else")


def test_the_newest_of_a_type_is_known_only_once_the_site_was_asked(tmp_path: Path) -> None:
    backlog(tmp_path).remember_newest({"Temp Basal": NOON})
    assert backlog(tmp_path).newest() == {}
    backlog(tmp_path).remember_newest({"Temp Basal": NOON}, of=["Temp Basal", "Site Change"])
    assert backlog(tmp_path).newest() == {"Temp Basal": NOON, "Site Change": None}
    later = {"Temp Basal": NOON - HOUR, "Site Change": NOON + HOUR, "Combo Bolus": NOON}
    backlog(tmp_path).remember_newest(later)
    assert backlog(tmp_path).newest() == {"Temp Basal": NOON, "Site Change": NOON + HOUR}
    backlog(tmp_path).remember_sent("IOB", NOON)
    assert backlog(tmp_path).last_sent("IOB") == NOON
    backlog(tmp_path).forget_site()
    assert (backlog(tmp_path).newest(), backlog(tmp_path).last_sent("IOB")) == ({}, None)


def test_the_file_is_private_and_does_not_name_the_site(tmp_path: Path) -> None:
    backlog(tmp_path / "new").add({"BASAL": [hours(0, 1)]})
    (file,) = (tmp_path / "new").iterdir()
    assert "my-site" not in file.name
    assert "my-site" not in file.read_text()
    if os.name == "posix":
        assert file.stat().st_mode & 0o077 == 0
        assert file.parent.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.name != "posix", reason="This system has no such modes.")
def test_what_others_may_have_written_is_not_believed(tmp_path: Path) -> None:
    backlog(tmp_path).remember_done("ages")
    (file,) = tmp_path.iterdir()
    file.chmod(0o620)
    assert not backlog(tmp_path).is_done("ages")
    backlog(tmp_path).remember_done("sensors")
    assert file.stat().st_mode & 0o777 == 0o600
    assert not backlog(tmp_path).is_done("ages")


def test_a_run_that_only_looks_changes_nothing(tmp_path: Path) -> None:
    backlog(tmp_path).add({"BASAL": [hours(0, 1)]})
    looking = backlog(tmp_path, keep=False)
    looking.resolve(hours(0, 1), BOTH, {})
    looking.add({"BOLUS": [hours(0, 1)]})
    looking.remember_done("ages")
    expected = {"BASAL": (hours(0, 1),)}
    assert looking.missing(BOTH) == backlog(tmp_path).missing(BOTH) == expected
    assert not looking.is_done("ages")


def test_where_the_first_folder_cannot_be_used_the_second_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    folders = tmp_path / "file" / "cache", tmp_path / "second"
    backlog(*folders).add({"BASAL": [hours(0, 1)]})
    assert backlog(*folders).missing(BOTH) == {"BASAL": (hours(0, 1),)}


def test_where_nothing_can_be_kept_this_process_remembers(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    kept = backlog(tmp_path / "file" / "cache")
    kept.add({"BASAL": [hours(0, 1)]})
    assert kept.missing(BOTH) == {"BASAL": (hours(0, 1),)}
    kept.resolve(hours(0, 1), BOTH, {})
    assert kept.missing(BOTH) == {}


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "7", '{"BASAL": 7}', '{"BASAL": "noon"}', "[" * 5000, "\0"),
        *('{"missing": 7}', '{"missing": {"BASAL": [["noon"]]}}', '{"pumps": {"a": "b"}}'),
        '{"BASAL": "2024-06-03T12:00:00"}',
    ],
)
def test_a_damaged_file_says_nothing_and_is_replaced(tmp_path: Path, text: str) -> None:
    backlog(tmp_path).add({"BASAL": [hours(0, 1)]})
    (file,) = tmp_path.iterdir()
    file.write_text(text)
    kept = backlog(tmp_path)
    assert kept.missing(BOTH) == {}
    kept.add({"BOLUS": [hours(0, 1)]})
    assert backlog(tmp_path).missing(BOTH) == {"BOLUS": (hours(0, 1),)}


def test_the_file_of_version_0_1_0_is_understood(tmp_path: Path) -> None:
    backlog(tmp_path).add({"BASAL": [hours(0, 1)]})
    (file,) = tmp_path.iterdir()
    file.write_text(json.dumps({"BASAL": NOON.isoformat()}))
    written = (NOON + 3 * HOUR).timestamp()
    os.utime(file, (written, written))
    assert backlog(tmp_path).missing(BOTH) == {"BASAL": (hours(0, 3),)}


def test_the_file_keeps_its_name_and_keys_from_version_to_version(tmp_path: Path) -> None:
    kept = backlog(tmp_path)
    kept.add({"BASAL": [hours(0, 1)]})
    kept.remember_log_ends({"a pump": NOON})
    kept.remember_newest({"Temp Basal": NOON}, of=["Temp Basal", "Site Change"])
    kept.remember_sent("IOB", NOON)
    kept.remember_done("ages")
    (file,) = tmp_path.iterdir()
    noon = "2024-06-03T12:00:00+00:00"
    assert file.name == "site-9905addb75f3d341b024cb6420beb460.unfinished"
    assert json.loads(file.read_text()) == {
        "missing": {"BASAL": [[noon, "2024-06-03T13:00:00+00:00"]]},
        "pumps": {"a pump": noon},
        "newest": {"Temp Basal": noon, "Site Change": None},
        "told": {"IOB": noon},
        "asked": ["ages"],
    }
