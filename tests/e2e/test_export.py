"""--export: the command writes all of the pump's data to files, and says what is not there."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tconnectsync.clouds import TANDEM_SOURCE
from tconnectsync.simulators.history import basal_insulin, bolus_insulin
from tconnectsync.simulators.loopback import Response
from tconnectsync.simulators.person import live
from tests.support.binary_log import binary_log
from tests.support.command import CLOUDS, COMMAND, Cloud, computer, days
from tests.support.pages import blocks
from tests.support.people import PEOPLE, household, shared_computer
from tests.support.world import FIRST, broken

LIFE = live(FIRST, 2)
DAY = timedelta(days=1)
ALL = days(FIRST, FIRST + DAY)
FOLDER = "pump-data"
EXPORT = ("--export", FOLDER, *ALL)
TIMEOUT = 300


@pytest.fixture(params=CLOUDS)
def tandem(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    with CLOUDS[request.param](LIFE) as server:
        yield server


@pytest.fixture
def source() -> Iterator[Cloud]:
    with CLOUDS[TANDEM_SOURCE.name](LIFE) as server:
        yield server


def rows(folder: Path, kind: str, suffix: str = "csv") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in sorted(folder.glob(f"{kind}-*.{suffix}")):
        text = path.read_text("utf-8")
        if suffix == "csv":
            found += csv.DictReader(text.splitlines())
        else:
            found += map(json.loads, text.splitlines())
    assert len({row["key"] for row in found}) == len(found)
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_all_of_the_insulin_is_in_the_files_and_a_second_run_changes_nothing(
    tmp_path: Path, tandem: Cloud
) -> None:
    home, folder = computer(tmp_path, tandem, "", "").without_nightscout(), tmp_path / FOLDER
    done = home.run(*EXPORT, command=COMMAND)
    assert done.code == 0, done.errors
    assert done.output == ""
    begin, end = datetime(*FIRST.timetuple()[:3]), datetime.max
    for suffix in ("csv", "jsonl"):
        done = home.run(*EXPORT, "--format", suffix, "--quiet")
        assert (done.code, done.output, done.errors) == (0, "", "")
        basals, boluses = (rows(folder, kind, suffix) for kind in ("basals", "boluses"))
        given = sum(float(row["insulin_u"]) for row in basals)
        assert given == pytest.approx(basal_insulin(LIFE, begin, end), abs=0.005)
        given = sum(float(row["insulin_u"]) for row in boluses)
        assert given == pytest.approx(bolus_insulin(LIFE, begin, end), abs=0.005)
        assert sum(float(row["carbs_g"]) for row in boluses) == sum(it.carbs for it in LIFE.boluses)
        values = Counter(int(row["glucose_mg_dl"]) for row in rows(folder, "readings", suffix))
        assert values >= Counter(reading.mgdl for reading in LIFE.readings)
        for row in basals:
            instants = (datetime.fromisoformat(row[name]) for name in ("time_utc", "time_pump"))
            assert len(set(instants)) == 1
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())
    before = contents(folder)
    assert home.run(*EXPORT).code == 0
    assert contents(folder) == before


def test_the_examples_of_the_page_run(tmp_path: Path, source: Cloud) -> None:
    home = computer(tmp_path, source, "", "").without_nightscout()
    for suffix in ("csv", "jsonl"):
        assert home.run(*EXPORT, "--format", suffix).code == 0
    shown = [
        subprocess.run(
            ["sh", "-c", block.text] if block.kind == "sh" else [sys.executable, "-c", block.text],
            cwd=tmp_path,
            capture_output=True,
            encoding="utf-8",
            timeout=TIMEOUT,
            check=True,
        ).stdout
        for block in blocks("docs/export.md")
        if block.kind in ("sh", "python") and "--export" not in block.text
    ]
    of_boluses, of_all, in_range = shown
    boluses = bolus_insulin(LIFE, datetime.min, datetime.max)
    assert sum(float(line.split()[1]) for line in of_boluses.splitlines()) == pytest.approx(boluses)
    everything = boluses + basal_insulin(LIFE, datetime.min, datetime.max)
    totals = [float(line.split()[1]) for line in of_all.splitlines()]
    assert sum(totals) == pytest.approx(everything, abs=0.02)
    assert f" of {len(rows(tmp_path / FOLDER, 'readings'))} readings" in in_range


def test_a_saved_log_gives_the_same_rows_without_the_name_of_the_pump(
    tmp_path: Path, source: Any
) -> None:
    home = computer(tmp_path, source, "", "").without_nightscout()
    (tmp_path / "pump.log").write_bytes(binary_log(source.log_of_pump.entries))
    assert home.run(*EXPORT).code == 0
    home = replace(home, variables={"TIMEZONE_NAME": home.variables["TIMEZONE_NAME"]})
    done = home.run("--export", "from-log", "--import-log", "pump.log")
    assert done.code == 0, done.errors
    nameless = [{**row, "pump": ""} for row in rows(tmp_path / FOLDER, "boluses")]
    assert rows(tmp_path / "from-log", "boluses") == nameless
    assert list((tmp_path / "from-log").glob("profiles-*")) == []
    done = home.run(
        "--export", "from-log", "--import-log", "pump.log", *days(FIRST - DAY, FIRST - DAY)
    )
    assert done.code == 2
    assert "The saved log is about 2024-06-0" in done.errors
    done = home.run("--export", "part", "--import-log", "pump.log", *days(FIRST - DAY, FIRST))
    assert done.code == 1
    assert "it says nothing about other days" in done.errors
    assert rows(tmp_path / "part", "boluses")


def test_days_without_any_data_end_with_1_and_leave_no_rows(tmp_path: Path, source: Cloud) -> None:
    home = computer(tmp_path, source, "", "").without_nightscout()
    done = home.run("--export", FOLDER, "--quiet", *days(FIRST - 9 * DAY, FIRST - 8 * DAY))
    assert done.code == 1
    assert "There are no data for 2024-05-" in done.errors
    assert list((tmp_path / FOLDER).glob("[a-z]*")) == []


def test_a_corrected_zone_leaves_no_row_at_the_old_time(tmp_path: Path, source: Cloud) -> None:
    home = computer(tmp_path, source, "", "").without_nightscout()
    assert home.run(*EXPORT).code == 0
    for folder in (FOLDER, "fresh"):
        arguments = ("--export", folder, *days(FIRST - DAY, FIRST + 3 * DAY))
        done = home.run(*arguments, TIMEZONE_NAME="Asia/Tokyo")
        assert done.code == 1, "Of the days around these, nothing is known."
        assert "Exported: " in done.errors
    for kind in ("basals", "boluses", "events", "readings", "status"):
        assert rows(tmp_path / FOLDER, kind) == rows(tmp_path / "fresh", kind) != []


def test_what_cannot_be_read_is_said_and_its_rows_stay(tmp_path: Path) -> None:
    with CLOUDS["tconnect"](LIFE) as tandem:
        home, folder = computer(tmp_path, tandem, "", "").without_nightscout(), tmp_path / FOLDER
        assert home.run(*EXPORT).code == 0
        before = contents(folder)
        tandem.fault = broken("therapytimeline", Response(b"", 400))
        done = home.run(*EXPORT)
    assert done.code == 1
    assert "basal insulin" in done.errors.lower()
    assert "What the files held of it before is kept. Start the same command again." in done.errors
    assert contents(folder) == before


def test_each_of_several_people_has_a_folder(tmp_path: Path) -> None:
    with household(tmp_path, FIRST, 1, "anna", "ben") as people:
        home = shared_computer(tmp_path)
        done = home.run("--export", FOLDER, *days(FIRST, FIRST), "--accounts", PEOPLE)
        assert done.code == 0, done.errors
        assert "anna: Exported: " in done.errors
        names = {
            name: {row["pump"][-4:] for row in rows(tmp_path / FOLDER / name, "boluses")}
            for name in people
        }
        assert names == {name: {each.serial[-4:]} for name, each in people.items()}


def test_wrong_input_is_one_sentence_and_nothing_is_lost(tmp_path: Path, source: Cloud) -> None:
    home = computer(tmp_path, source, "", "").without_nightscout()
    file = tmp_path / "a-file"
    file.write_text("mine")
    foreign = tmp_path / FOLDER / "basals-2024-06.csv"
    foreign.parent.mkdir()
    foreign.write_text("day;units\n")
    for arguments, sentence in (
        (("--export", "a-file"), "a-file is a file; name a folder."),
        (("--export", "a-file/in-it"), "a-file is a file; name a folder."),
        (("--export", "/sys/in-it"), "nothing can be written to the folder /sys/in-it"),
        (("--export", ""), "--export: the name of a file or folder must follow it"),
        (EXPORT, "basals-2024-06.csv cannot be continued: it has other columns. It is left as it"),
        ((*EXPORT, "--format", "xlsx"), "--format"),
        (("--format", "csv"), "--format goes with --export only."),
        ((*EXPORT, "--features", "CGM"), "--features: all that the pump did is exported."),
        ((*EXPORT, "--pretend"), "--export cannot be combined with --pretend"),
    ):
        done = home.run(*arguments)
        assert done.code == 2, done.errors
        assert sentence in done.errors
        assert done.errors.count("tconnectsync:") == 1
    assert file.read_text() == "mine"
    assert foreign.read_text() == "day;units\n"
    assert not source.log
