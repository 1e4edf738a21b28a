"""Options, and what is said at the end of a run."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

import pytest

from tconnectsync.app import this_computer, write_lock
from tconnectsync.cli.commands import commands, program, quoted
from tconnectsync.cli.options import parse
from tconnectsync.cli.planview import lines
from tconnectsync.cli.say import say_outcome
from tconnectsync.config.settings import Configuration
from tconnectsync.domain.clock import TimeRange
from tconnectsync.errors import (
    ApiError,
    FirewallError,
    LoginError,
    MissingRightError,
    NightscoutAddressError,
    NightscoutLoginError,
    PumpChoiceError,
    TconnectsyncError,
    UnprovenWriteError,
    UsageError,
)
from tconnectsync.nightscout.stored import stored_treatments
from tconnectsync.sync.features import DEFAULT
from tconnectsync.sync.plan import Plan, Update
from tconnectsync.sync.run.outcome import Failure, Outcome
from tests.support.event_builders import NEW_YORK, Site, basal, bolus, planned, sleep, wanted


def test_basals_and_boluses_are_synced_unless_others_are_named() -> None:
    assert parse([]).features is None
    assert Configuration({}, {}).values["FEATURES"] == DEFAULT == ("BASAL", "BOLUS")


@pytest.mark.parametrize(
    "arguments",
    [["BASAL", "PUMP_EVENTS"], ["BASAL,PUMP_EVENTS"], ["basal, Pump_Events,", "BASAL"]],
)
def test_features_may_be_separated_by_spaces_or_commas(arguments: list[str]) -> None:
    assert parse(["--features", *arguments]).features == ("BASAL", "PUMP_EVENTS")


@pytest.mark.parametrize("text", ["2024-02-29", "02-29-2024"])
def test_dates_are_read_in_two_ways(text: str) -> None:
    assert parse(["--start-date", text, "--end-date", text]).dates == (
        date(2024, 2, 29),
        date(2024, 2, 29),
    )


def test_the_first_and_the_last_date_one_can_write_are_read() -> None:
    options = parse(["--start-date", "0001-01-01", "--end-date", "9999-12-31"])
    assert options.dates == (date.min, date.max)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--start-date", "2024-01-01"], "belong together"),
        (["--end-date", "2024-01-01"], "belong together"),
        (["--days", "3", "--start-date", "2024-01-01"], "give either --days, or both dates"),
        (["--start-date", "2024-01-02", "--end-date", "2024-01-01"], "lies before"),
        (["--start-date", "2024-01-01", "--end-date", "2024-01-02", "--days", "1"], "--days"),
        (["--start-date", "2024-01-01", "--end-date", "2024-01-02", "--auto-update"], "--auto"),
        (["--start-date", "2024-02-30", "--end-date", "2024-03-01"], "is not a date"),
        (["--start-date", "1704067200", "--end-date", "2024-03-01"], "is not a date"),
        (["--days", "-1"], "days"),
        (["--days", "many"], "number of days"),
        (["--features", "BASAL", "DANCE"], "DANCE is not a feature. Choose from: BASAL"),
        (["--features", ","], "--features: no feature is named"),
        (["--check-login", "--auto-update"], "--check-login cannot be combined"),
        (["--feat", "BASAL"], "there is no option --feat"),
    ],
)
def test_wrong_use_is_answered_with_a_sentence(arguments: list[str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        parse(arguments)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_the_flag_of_older_versions_for_tandem_source_still_works() -> None:
    assert parse(["--tandem-source"]).source == "tandem-source"
    assert parse(["--tandem-source", "--source", "tandem-source"]).source == "tandem-source"
    assert parse(["--tandem-source", "--check-login"]).check_login
    with pytest.raises(UsageError, match="cannot be combined with --source tconnect"):
        parse(["--tandem-source", "--source", "tconnect"])


def failure(
    first: tuple[int, int],
    last: tuple[int, int],
    *features: str,
    error: TconnectsyncError | None = None,
) -> Failure:
    start = NEW_YORK.midnight(date(2024, *first))
    end = NEW_YORK.midnight(date(2024, *last))
    return Failure(TimeRange(start, end), features, error or ApiError("no answer", 503))


def test_failed_windows_that_follow_each_other_are_repeated_by_one_command() -> None:
    failures = [
        failure((6, 3), (6, 10), "BASAL", "BOLUS"),
        failure((6, 10), (6, 17), "BASAL"),
        failure((6, 10), (6, 17), "BOLUS"),
        failure((6, 17), (6, 24), "PUMP_EVENTS"),
        failure((6, 17), (6, 24), "PUMP_EVENTS"),
        failure((7, 1), (7, 8), "PUMP_EVENTS"),
    ]
    assert commands(failures, parse([]), NEW_YORK) == [
        "tconnectsync --start-date 2024-06-03 --end-date 2024-06-16 --features BASAL BOLUS",
        "tconnectsync --start-date 2024-06-17 --end-date 2024-06-23 --features PUMP_EVENTS",
        "tconnectsync --start-date 2024-07-01 --end-date 2024-07-07 --features PUMP_EVENTS",
    ]


def test_a_command_that_repeats_something_asks_the_same_source_in_the_same_way() -> None:
    given = ["--import-log", "my log.json", "--region", "EU", "--pretend"]
    (text,) = commands([failure((6, 3), (6, 10), "BASAL")], parse(given), NEW_YORK)
    again = parse(shlex.split(text)[1:])
    assert again.import_log == Path("my log.json").absolute()
    assert (again.region, again.pretend) == ("EU", True)
    assert again.dates == (date(2024, 6, 3), date(2024, 6, 9))
    assert again.features == ("BASAL",)
    given = ["--env-file", "my child.env"]
    (text,) = commands([failure((6, 3), (6, 10), "BASAL")], parse(given), NEW_YORK)
    assert parse(shlex.split(text)[1:]).env_file == Path("my child.env").absolute()
    given = ["--source", "tconnect"]
    (text,) = commands([failure((6, 3), (6, 10), "BASAL")], parse(given), NEW_YORK)
    assert parse(shlex.split(text)[1:]).source == "tconnect"


def test_the_commands_are_in_order_and_leave_no_day_out() -> None:
    failures = [
        failure((6, 8), (6, 9), "BASAL"),
        failure((6, 3), (6, 10), "BASAL"),
        failure((6, 1), (6, 2), "BASAL"),
    ]
    assert commands(failures, parse([]), NEW_YORK) == [
        "tconnectsync --start-date 2024-06-01 --end-date 2024-06-01 --features BASAL",
        "tconnectsync --start-date 2024-06-03 --end-date 2024-06-09 --features BASAL",
    ]


@pytest.mark.parametrize(
    ("error", "helps"),
    [
        (LoginError("The password is wrong."), False),
        (LoginError("The login page is out of order.", 503), True),
        (PumpChoiceError("Say which pump."), False),
        (NightscoutLoginError("The secret is wrong.", 401), False),
        (NightscoutAddressError("There is no Nightscout.", 404), False),
        (MissingRightError("The role lacks a right.", "api:treatments:update"), False),
        (ApiError("The answer has an unknown form."), False),
        (ApiError("Down for maintenance.", can_retry=True), True),
        (ApiError("It could not give the log.", 500), True),
        (UnprovenWriteError("Not shown to be stored.", []), True),
    ],
)
def test_repeating_is_advised_only_where_it_can_help(error: TconnectsyncError, helps: bool) -> None:
    failures = [failure((6, 3), (6, 10), "BASAL", error=error)]
    assert bool(commands(failures, parse([]), NEW_YORK)) is helps


@pytest.mark.parametrize(("given", "helps"), [([], False), (["--days", "7"], True)])
def test_a_block_by_the_firewall_is_not_answered_with_another_try(
    given: list[str], helps: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    error = FirewallError("Tandem's firewall blocks this address for a while.")
    outcome = Outcome(failures=[failure((6, 3), (6, 10), "BASAL", error=error)])
    assert say_outcome(outcome, parse(given), NEW_YORK) == 1
    assert ("To repeat what failed" in capsys.readouterr().err) is helps


def test_a_command_starts_the_program_as_it_was_started(tmp_path: Path) -> None:
    checkout = Path(__file__).parents[2]
    script = tmp_path / "tconnectsync"
    script.touch(0o755)
    as_file = [sys.executable, str(checkout / "main.py")]
    assert program(str(script)) == [str(script)]
    assert program(str(checkout / "main.py")) == as_file
    assert program(str(checkout / "tconnectsync" / "__main__.py")) == as_file
    assert program("-c") == ["tconnectsync"]


def test_a_command_is_written_as_the_system_wants_it() -> None:
    words = [r"C:\My Programs\tconnectsync.exe", "--features", "BASAL", "--import-log", "it's"]
    assert quoted(words, for_windows=True) == (
        '"C:\\My Programs\\tconnectsync.exe" --features BASAL --import-log it\'s'
    )
    assert shlex.split(quoted(words, for_windows=False)) == words


def test_a_plan_shows_counts_per_kind_and_every_document() -> None:
    site = Site()
    site.carry_out(planned(wanted(basal(0, 5, running=True)), []))
    plan = planned(wanted(basal(0, 65), bolus(30, 2.5, carbs=40)), site.stored)
    assert list(lines(plan, NEW_YORK)) == [
        "New: 1 bolus (2.50 U). Changed: 1 basal.",
        "Tue 5 Mar 2024",
        "~ 07:00  basal for 5 min -> for 65 min",
        "  07:32  bolus 2.50 U, 40 g carbs, Standard",
    ]


def test_a_plan_shows_all_fields_to_those_who_ask_for_them() -> None:
    plan = planned(wanted(bolus(30, 2.5, carbs=40)), [])
    short, long = (list(lines(plan, NEW_YORK, verbose=verbose)) for verbose in (False, True))
    assert [line for line in long if line in short] == short
    (fields,) = (line for line in long if line not in short)
    assert "eventType: Combo Bolus, created_at: 2024-03-05T12:32:00+00:00" in fields
    assert "insulin: 2.5, carbs: 40, notes: Standard" in fields
    assert "identifier: " in fields
    assert "checksum: " in fields


def test_a_plan_has_a_heading_for_each_day_of_the_pump() -> None:
    late = planned(wanted(basal(16 * 60, 5), basal(17 * 60 + 30, 5, 0.85)), [])
    assert list(lines(late, NEW_YORK)) == [
        "New: 2 basals (0.14 U).",
        "Tue 5 Mar 2024",
        "  23:00  basal 0.80 U/h for 5 min, algorithmDelivery",
        "Wed 6 Mar 2024",
        "  00:30  basal 0.85 U/h for 5 min, algorithmDelivery",
    ]


def test_a_plan_says_what_a_change_does_to_the_insulin_and_to_the_time() -> None:
    site = Site()
    site.carry_out(planned(wanted(bolus(0, 1.77, running=True), sleep(60, 30)), []))
    moved = [want._replace(at=want.at + timedelta(minutes=2)) for want in wanted(sleep(60, 30))]
    stored = stored_treatments(site.stored)
    now = [*wanted(bolus(0, 2.1)), *moved]
    update = [Update(old, new) for old, new in zip(stored, now, strict=True)]
    assert list(lines(Plan(update=update), NEW_YORK))[2:] == [
        "~ 07:00  bolus moved to 07:02:00, 1.77 U -> 2.10 U, Standard (in progress: requested "
        "1.77 units) -> Standard",
        "~ 08:00  sleep period moved to 08:02:00",
    ]


def test_a_plan_says_what_it_removes_and_counts_it_as_changed() -> None:
    site = Site()
    site.carry_out(planned(wanted(basal(0, 5), basal(5, 5)), []))
    gone = [want._replace(cut=True) for want in wanted(basal(5, 0))]
    assert list(lines(planned(gone, site.stored), NEW_YORK)) == [
        "Nothing new. Removed: 1 basal, because another pump was in use.",
        "Tue 5 Mar 2024",
        "- 07:05  basal removed, because another pump was in use",
    ]


ACCOUNT = {
    "TCONNECT_EMAIL": "someone@example.org",
    "TCONNECT_PASSWORD": "correct horse",
    "TIMEZONE_NAME": "Europe/Berlin",
}
SETTINGS = Configuration({**ACCOUNT, "NS_URL": "https://my-site.example.org"}, {}).completed()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


def test_the_lock_lies_in_the_users_own_folder_for_caches(home: Path) -> None:
    with write_lock(SETTINGS, this_computer(), pretend=False)(0):
        (file,) = home.rglob("*.lock")
    assert file.parent.name in ("tconnectsync", "Cache")


def test_pretending_takes_no_lock(home: Path) -> None:
    with write_lock(SETTINGS, this_computer(), pretend=True)(0):
        assert list(home.rglob("*.lock")) == []


def test_without_any_place_for_files_a_run_goes_on_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (no_folder := tmp_path / "no folder").touch()
    for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA", "TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, str(no_folder))
    monkeypatch.setattr(tempfile, "tempdir", str(no_folder))
    with write_lock(SETTINGS, this_computer(), pretend=False)(0):
        (record,) = caplog.records
    assert record.message.startswith("No lock file can be made")


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom tconnectsync.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'requests', 'arrow', 'bs4', 'dotenv', 'tqdm', 'urllib3', 'json', 'zoneinfo'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True
    )
    assert ran.stdout.splitlines()[-1] == "loaded: []"
