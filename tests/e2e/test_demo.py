"""The report that ``--demo`` writes, with the command as a user runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import Computer

NAME = "tconnectsync-demo-report.html"


@pytest.fixture
def home(tmp_path: Path) -> Computer:
    return Computer(tmp_path, {})


@pytest.mark.parametrize("source", ["tandem-source", "tconnect"])
def test_it_says_where_its_report_is_and_replaces_it_the_next_time(
    home: Computer, source: str
) -> None:
    home = Computer(home.folder, {"HTTP_PROXY": "http://proxy.example.org:9"})
    file = home.folder / NAME
    mark = '<meta name="generator" content="tconnectsync 1">'
    file.write_text(f"<!DOCTYPE html>{mark}The report of an earlier demo", "utf-8")
    file.chmod(0o644)
    ran = home.run("--demo", "--source", source)
    assert ran.code == 0, ran.errors
    assert ran.output.endswith(f"A report of these days, to be opened in a browser: {file}\n")
    page = file.read_text("utf-8")
    assert page.count('<section class="day"') == 3
    assert "earlier demo" not in page
    assert file.stat().st_mode & 0o777 == 0o600
    assert [it.name for it in home.folder.iterdir()] == [NAME]


def test_what_is_no_report_is_not_replaced(home: Computer) -> None:
    notes = home.folder / "notes.html"
    notes.write_text("my notes", "utf-8")
    ran = home.run("--demo", "--output", notes.name)
    assert (ran.code, ran.output) == (2, "")
    assert f"{notes} exists and is no report, so it is not replaced" in ran.errors
    assert notes.read_text("utf-8") == "my notes"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--serve",), "--serve goes with --demo only."),
        (("--demo", "--output", "."), "is a folder. Name a file in it"),
        (("--demo", "--serve", "--days", "3"), "--demo cannot be combined with --days."),
    ],
)
def test_wrong_use_gets_a_sentence(home: Computer, options: tuple[str, ...], said: str) -> None:
    ran = home.run(*options)
    assert (ran.code, ran.output) == (2, "")
    assert said in ran.errors
    assert list(home.folder.iterdir()) == []
