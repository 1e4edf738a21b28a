"""What runs leave to each other: since when which feature is unfinished."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tconnectsync.unfinished import Unfinished

URL = "https://my-site.example.org"
NOON = datetime(2024, 6, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
BOTH = ("BASAL", "BOLUS")


def memory(*folders: Path, url: str = URL, keep: bool = True) -> Unfinished:
    return Unfinished(url, folders, keep=keep)


def test_at_first_nothing_is_unfinished(tmp_path: Path) -> None:
    assert memory(tmp_path).since(BOTH) is None
    assert list(tmp_path.iterdir()) == []


def test_the_earliest_counts_and_another_process_knows_it(tmp_path: Path) -> None:
    memory(tmp_path).add({"BASAL": NOON, "BOLUS": NOON - HOUR})
    memory(tmp_path).add({"BASAL": NOON - 2 * HOUR, "BOLUS": NOON})
    assert memory(tmp_path).since(["BASAL"]) == NOON - 2 * HOUR
    assert memory(tmp_path).since(["BOLUS"]) == NOON - HOUR
    assert memory(tmp_path).since(BOTH) == NOON - 2 * HOUR
    assert memory(tmp_path).since(["CGM"]) is None


def test_what_is_settled_is_forgotten_and_other_features_are_not(tmp_path: Path) -> None:
    kept = memory(tmp_path)
    kept.add({"BASAL": NOON, "BOLUS": NOON, "CGM": NOON})
    kept.settle(BOTH, {"BOLUS": NOON + HOUR})
    assert kept.since(["BASAL"]) is None
    assert kept.since(["BOLUS"]) == NOON + HOUR
    assert kept.since(["CGM"]) == NOON


def test_each_site_has_its_own(tmp_path: Path) -> None:
    memory(tmp_path).add({"BASAL": NOON})
    assert memory(tmp_path, url="https://another.example.org").since(BOTH) is None
    assert memory(tmp_path, url=f"{URL}/").since(BOTH) == NOON


def test_the_file_is_private_and_does_not_tell_the_site(tmp_path: Path) -> None:
    memory(tmp_path / "new").add({"BASAL": NOON})
    (file,) = (tmp_path / "new").iterdir()
    assert "my-site" not in file.name
    assert "my-site" not in file.read_text()
    if os.name == "posix":
        assert file.stat().st_mode & 0o077 == 0
        assert file.parent.stat().st_mode & 0o077 == 0


def test_who_only_looks_changes_nothing(tmp_path: Path) -> None:
    memory(tmp_path).add({"BASAL": NOON})
    looking = memory(tmp_path, keep=False)
    looking.settle(BOTH, {})
    looking.add({"BOLUS": NOON - HOUR})
    assert looking.since(BOTH) == memory(tmp_path).since(BOTH) == NOON


def test_where_the_first_folder_cannot_be_used_the_second_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    folders = tmp_path / "file" / "cache", tmp_path / "second"
    memory(*folders).add({"BASAL": NOON})
    assert memory(*folders).since(BOTH) == NOON


def test_where_nothing_can_be_kept_this_process_remembers(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    kept = memory(tmp_path / "file" / "cache")
    kept.add({"BASAL": NOON})
    assert kept.since(BOTH) == NOON
    kept.settle(BOTH, {})
    assert kept.since(BOTH) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"BASAL": 7}', '{"BASAL": "noon"}', "[" * 5000, "\0"]
)
def test_a_damaged_file_says_nothing_and_is_replaced(tmp_path: Path, text: str) -> None:
    memory(tmp_path).add({"BASAL": NOON})
    (file,) = tmp_path.iterdir()
    file.write_text(text)
    kept = memory(tmp_path)
    assert kept.since(BOTH) is None
    kept.add({"BOLUS": NOON})
    assert memory(tmp_path).since(BOTH) == NOON


def test_a_time_without_zone_is_none(tmp_path: Path) -> None:
    memory(tmp_path).add({"BASAL": NOON})
    (file,) = tmp_path.iterdir()
    file.write_text('{"BASAL": "2024-06-03T12:00:00"}')
    assert memory(tmp_path).since(BOTH) is None
