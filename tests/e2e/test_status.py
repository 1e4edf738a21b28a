"""--status: what the command says after runs of the same command, and where there were none."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.simulators.loopback import Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tconnectsync.state.record import State
from tests.support.command import (
    COMMAND,
    EMAIL,
    NEW_YORK,
    PASSWORD,
    SECRET,
    SERIAL,
    Computer,
    computer,
    days,
    tandem_source,
)
from tests.support.forked_command import CHECKOUT

NOW = datetime.now(ZoneInfo(NEW_YORK)).replace(tzinfo=None)
LATER = timedelta(hours=4)
SOMEBODY_ELSE = "import os; os.geteuid() or os.seteuid(65534)"
"""Lets a process of the superuser, who may read everything, go on as a user who owns nothing."""
PERSONAL = (EMAIL, PASSWORD, SERIAL, SERIAL[-4:], SECRET, "127.0.0.1")


@pytest.fixture(scope="module")
def tandem() -> Iterator[SimulatedTandemSource]:
    with tandem_source(live(NOW.date() - timedelta(days=2), 3)) as server:
        server.uploaded_until = NOW - timedelta(minutes=20)
        yield server


@pytest.fixture
def home(tmp_path: Path, tandem: SimulatedTandemSource, site: SmallNightscout) -> Computer:
    return computer(tmp_path, tandem, site.url, SECRET)


def record_file(home: Computer) -> Path:
    (path,) = (home.folder / ".cache" / "tconnectsync").glob("record-*.json")
    return path


def changed(home: Computer, changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return all that is set where some variables are set otherwise, or unset."""
    everything = {**home.variables, **changes}
    return {name: value for name, value in everything.items() if value is not None}


def status(home: Computer, **changes: str | None) -> tuple[int, dict[str, object]]:
    """Ask for the status as JSON; return the exit code and what is said of the one person."""
    asked = replace(home, variables=changed(home, changes)).run("--status", "--json")
    assert asked.errors == ""
    said = json.loads(asked.output)
    assert said["ok"] is (asked.code == 0)
    (person,) = said["people"]
    return asked.code, person


def test_after_a_good_run_all_is_well(home: Computer) -> None:
    home.sync()

    asked = home.run("--status")
    assert (asked.code, asked.errors) == (0, "")
    assert asked.output.startswith("ok: All that the pump has uploaded is in Nightscout, last run ")
    assert f"; from {record_file(home)}.)" in asked.output
    assert asked.output.count("\n") == 1


def test_the_json_says_what_was_written_and_how_new_it_is(home: Computer) -> None:
    home.sync()

    code, person = status(home)
    assert code == 0
    assert person["state"] == "ok"
    assert person["written"]["Temp Basal"] > 10  # type: ignore[index]
    uploaded = datetime.fromisoformat(str(person["last_upload"]))
    assert abs(uploaded - datetime.now(UTC)) < timedelta(hours=1)
    newest = datetime.fromisoformat(str(person["newest_event"]))
    assert newest <= datetime.now(UTC)
    assert person["missing"] == []
    assert person["file"] == str(record_file(home))


def test_every_key_and_state_is_documented(home: Computer) -> None:
    home.sync()
    _, person = status(home)
    text = (CHECKOUT / "docs" / "status.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_-]+)`", text))
    assert named >= {*person, *State}


def test_the_record_is_private_and_holds_nothing_personal(home: Computer) -> None:
    home.sync()
    home.run(NS_SECRET="quite another secret, of good length")
    home.run(TCONNECT_PASSWORD="wrong", CACHE_CREDENTIALS="false")
    home.run(TIMEZONE_NAME="Mars/Olympus")

    path = record_file(home)
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert not [each for each in (*PERSONAL, str(home.folder), "Mars") if each in text]


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        (
            {"TCONNECT_PASSWORD": "wrong", "CACHE_CREDENTIALS": "false"},
            "login-refused",
            "TCONNECT_PASSWORD",
        ),
        ({"NS_SECRET": "another one, of good length"}, "nightscout-refuses", "--check-login"),
        ({"NS_URL": "http://127.0.0.1:9"}, "nightscout-unreachable", "Open the site"),
        ({"TANDEM_SOURCE_URL": "http://127.0.0.1:9"}, "tandem-unreachable", "internet"),
        ({"TIMEZONE_NAME": None}, "settings-wrong", "TIMEZONE_NAME"),
        ({"FEATURES": "BASAL BOLUSES"}, "settings-wrong", "FEATURES"),
    ],
)
def test_each_fault_has_its_state_and_says_what_to_do(
    home: Computer, changes: dict[str, str | None], state: str, words: str
) -> None:
    (home.folder / ".env").touch()
    home.sync()
    replace(home, variables=changed(home, changes)).run()

    code, person = status(home, **changes)
    assert (code, person["state"]) == (1, state)
    assert words in str(person["text"])
    assert person["since"] == person["bad_since"] == person["at"]


def test_it_works_while_the_settings_are_wrong_and_no_service_answers(home: Computer) -> None:
    """It needs nothing but the folders: a health check must not fail for another reason."""
    run = home.run("--status", NS_URL=None, TCONNECT_EMAIL=None, TANDEM_SOURCE_URL="nonsense")

    assert run.code == 1
    assert run.output.startswith("No run has left a record yet for the settings in the environment")
    assert str(home.folder / ".cache" / "tconnectsync") in run.output
    assert run.output.count("\n") == 1


def test_a_record_that_belongs_to_another_user_is_a_sentence_of_its_own(home: Computer) -> None:
    home.sync()
    with TemporaryDirectory() as shared:
        folder = Path(shared)
        folder.chmod(0o755)
        path = folder / "tconnectsync" / record_file(home).name
        path.parent.mkdir()
        record_file(home).rename(path)
        path.chmod(0)
        other = replace(home, patch=SOMEBODY_ELSE)
        run = other.run("--status", XDG_CACHE_HOME=shared)
    assert run.code == 1, run.errors
    assert f"{path}, belongs to another user and cannot be read" in run.output


def test_a_damaged_record_counts_as_none(home: Computer) -> None:
    home.sync()
    record_file(home).write_text('{"format": 2, "at": ')

    code, person = status(home)
    assert (code, person["state"]) == (1, "never-run")
    assert f"{record_file(home)}, cannot be read: it is damaged" in str(person["text"])
    home.sync()
    assert status(home)[0] == 0


def test_an_old_record_says_that_nothing_runs_any_more(home: Computer) -> None:
    home.sync()
    record = json.loads(record_file(home).read_text())
    for name in ("at", "fresh_until"):
        record[name] = (datetime.fromisoformat(record[name]) - LATER).isoformat()
    record_file(home).write_text(json.dumps(record))

    run = home.run("--status")
    assert run.code == 1
    assert run.output.startswith("Nothing has run since the last run 4 hours ago.")
    assert "STATUS_MAX_AGE_MINUTES" in run.output


def test_how_old_a_record_may_be_can_be_set(home: Computer) -> None:
    home.run(STATUS_MAX_AGE_MINUTES="1500")

    _, person = status(home)
    at, until = (datetime.fromisoformat(str(person[name])) for name in ("at", "fresh_until"))
    assert until - at == timedelta(minutes=1500)


def test_a_phone_that_does_not_upload_is_noticed_by_single_runs(
    home: Computer, tandem: SimulatedTandemSource
) -> None:
    uploaded, tandem.uploaded_until = tandem.uploaded_until, NOW - timedelta(hours=5)
    try:
        first, second = home.run("-q"), home.run("-q")
        loud = home.run()
    finally:
        tandem.uploaded_until = uploaded
    assert (first.code, second.code) == (0, 0)
    said = r"The pump has uploaded nothing for 5 hours( and \d+ minutes?)?\. Check that the phone"
    assert re.search(f"WARNING  {said}", first.errors)
    assert second.errors == ""
    assert re.search(f"INFO     {said}", loud.errors)

    code, person = status(home)
    assert (code, person["state"]) == (1, "phone-not-uploading")
    assert "The pump has uploaded nothing for 5 hours" in str(person["text"])


def test_a_look_and_a_check_leave_no_record(home: Computer) -> None:
    assert home.run("--pretend").code == 0
    assert home.run("--pretend", TIMEZONE_NAME="Mars").code == 2
    home.run("--check-login")

    assert not list((home.folder / ".cache" / "tconnectsync").glob("record-*"))


def test_a_mistyped_range_does_not_say_that_the_settings_are_wrong(home: Computer) -> None:
    home.sync()
    before = record_file(home).read_text()

    assert home.run("--import-log", "nowhere.json").code == 2
    assert record_file(home).read_text() == before


def test_a_range_of_long_ago_hides_nothing_about_now(home: Computer) -> None:
    home.sync()
    _, before = status(home)
    assert home.run(*days(NOW.date() - timedelta(days=2), NOW.date() - timedelta(days=2))).code == 0

    code, person = status(home)
    assert code == 0
    assert person["newest_event"] == before["newest_event"]
    assert person["last_upload"] == before["last_upload"]


def test_each_of_several_people_has_a_sentence(home: Computer) -> None:
    people = home.folder / "people"
    people.mkdir()
    personal = ("TCONNECT_EMAIL", "TCONNECT_PASSWORD", "NS_URL", "NS_SECRET", "PUMP_SERIAL_NUMBER")
    lines = [f"{name}='{home.variables[name]}'" for name in personal]
    (people / "anna.env").write_text("\n".join(lines))
    (people / "bo.env").touch()
    rest = {name: value for name, value in home.variables.items() if name not in personal}
    everybody = replace(home, variables=rest)
    assert everybody.run("--accounts", "people").code == 1

    asked = everybody.run("--status", "--accounts", "people")
    anna, bo = asked.output.splitlines()
    assert asked.code == 1
    assert anna.startswith("anna: ok: ")
    assert bo.startswith("bo: The settings cannot be used (for less than a minute, ")
    alone = everybody.run("--status", "--accounts", "people", "--person", "anna", "--json")
    assert alone.code == 0
    assert [each["person"] for each in json.loads(alone.output)["people"]] == ["anna"]
    assert everybody.run("--status", "--accounts", "nowhere").code == 2


def test_it_loads_next_to_nothing(home: Computer) -> None:
    """Health checks ask every minute, on small computers."""
    home.sync()
    code = (
        "import sys; from tconnectsync.cli import main; main(['--status']); "
        "print(*sys.modules, file=sys.stderr)"
    )
    run = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env=home.environment,
        cwd=home.folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    heavy = {"requests", "dotenv", "logging", "argparse", "dataclasses", "platformdirs", "pathlib"}
    assert run.stdout.startswith("ok: ")
    assert heavy & set(run.stderr.split()) == set()


def test_a_closed_pipe_changes_no_exit_code(home: Computer) -> None:
    home.sync()
    with subprocess.Popen(
        [*COMMAND, "--status"],
        env=home.environment,
        cwd=home.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("--status --pretend", "--status cannot be combined with --pretend"),
        ("--json", "--json goes with --status only"),
        ("--status --frobnicate", "--frobnicate"),
    ],
)
def test_wrong_use_is_refused(home: Computer, line: str, sentence: str) -> None:
    run = home.run(*line.split())
    assert (run.code, run.output) == (2, "")
    assert sentence in run.errors


def test_a_log_that_comes_empty_is_not_a_pump_that_did_nothing(
    home: Computer, tandem: SimulatedTandemSource, site: SmallNightscout
) -> None:
    """As on the day on which Tandem gives the list of events another name."""
    assert home.run().code == 0
    before = len(site.treatments)
    tandem.fault = lambda request: (
        Response(b'{"newEvents": [], "clockChanges": []}') if "pump-logs" in request.path else None
    )
    try:
        failed = home.run()
    finally:
        tandem.fault = None
    assert failed.code == 1
    assert "nothing of its log that could be read" in failed.errors
    assert status(home)[1]["state"] == "tandem-changed"
    assert len(site.treatments) == before
    assert home.run().code == 0
    assert status(home)[0] == 0
