"""Settings as people get them wrong, with the installed command."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tconnect.cloud import SimulatedTConnect
from tests.support.command import COMMAND, PASSWORD, SECRET, Computer, cloud, computer, days

FIRST = date(2024, 5, 6)
ONE_DAY = days(FIRST, FIRST)


@dataclass(frozen=True)
class Desk:
    """A computer, and the simulated services that it is set up for."""

    tconnect: SimulatedTConnect
    site: SmallNightscout
    home: Computer

    @property
    def nobody_was_asked(self) -> bool:
        """Whether no service got a request."""
        return self.tconnect.log == self.site.log == []


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with cloud(live(FIRST, 1)) as tconnect, SmallNightscout(SECRET) as site:
        yield Desk(tconnect, site, computer(tmp_path, tconnect, site.url, SECRET))


def env(desk: Desk, name: str = ".env", **changes: str) -> Path:
    """Write the settings of the desk to a file; return its path."""
    given = {**desk.home.variables, "TCONNECT_PASSWORD": f"'{PASSWORD}'", **changes}
    path = desk.home.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{key}={value}\n" for key, value in given.items() if value))
    path.chmod(0o600)
    return path


def test_a_file_that_is_damaged_in_many_ways_is_explained_at_once(desk: Desk) -> None:
    path = env(desk, NS_URL="", TCONNECT_PASSWORD='"say "hi-there""', TIMEZONE_NAME="New York")
    with path.open("a") as file:
        file.write("NS_URl=https://robin.example.org\nALARM_SAFE_MINUTE=0\nhunter2-hunter2\n")
    run = Computer(desk.home.folder, {}).run(command=COMMAND, TZ="Etc/UTC")

    assert (run.code, run.output) == (2, "")
    lines = run.errors.splitlines()
    assert lines[0] == "tconnectsync cannot start, because of its configuration:"
    assert [line[2:].partition(" ")[0] for line in lines if line.startswith("  ")] == [
        "TCONNECT_PASSWORD",
        "NS_URL",
        "TIMEZONE_NAME",
    ]
    assert "has NS_URl: names are in capitals." in run.errors
    assert 'Now it is "New York" (line ' in run.errors
    assert "did you mean ALARM_SAFE_MINUTES?" in run.errors
    assert lines[-2:] == [
        f"The settings come from {path}.",
        f"Set it in the environment, or in {path}.",
    ]
    for hidden in ("hi-there", "robin", "hunter2", "dotenv", "Error", "Traceback"):
        assert hidden not in run.errors
    assert desk.nobody_was_asked
    records = [each.read_text() for each in desk.home.folder.glob(".cache/tconnectsync/*.json")]
    (record,) = [text for text in records if "NS_URL" in text]
    for value in ("New York", "hi-there", str(desk.home.folder)):
        assert value not in record


def test_a_mistyped_zone_is_not_replaced_by_that_of_the_computer(desk: Desk) -> None:
    env(desk, TIMEZONE_NAME="", TIMEZONE_NMAE="America/New_York")
    run = Computer(desk.home.folder, {}).run(*ONE_DAY, command=COMMAND, TZ="Etc/UTC")

    assert run.code == 2
    assert "TIMEZONE_NMAE; did you mean TIMEZONE_NAME?" in run.errors
    assert 'TZ is "Etc/UTC" in the environment, but it names no place' in run.errors
    assert desk.nobody_was_asked


def test_a_mistyped_name_of_an_optional_variable_is_a_warning_and_the_run_goes_on(
    desk: Desk,
) -> None:
    path = env(desk, CATCH_UP_DAY="3", MONGODB_URI="mongodb://robin:secret-word@db")
    run = Computer(desk.home.folder, {}).run(*ONE_DAY, command=COMMAND)

    assert run.code == 0
    assert "did you mean CATCH_UP_DAYS?" in run.errors
    assert f"{path} also holds what tconnectsync does not use: MONGODB_URI." in run.errors
    assert "secret-word" not in run.errors


def test_features_and_secrets_in_files_are_all_that_a_container_needs(desk: Desk) -> None:
    secrets = desk.home.folder / "run" / "secrets"
    secrets.mkdir(parents=True)
    variables = dict(desk.home.variables)
    for name in ("TCONNECT_EMAIL", "TCONNECT_PASSWORD", "NS_SECRET", "PUMP_SERIAL_NUMBER"):
        (secrets / name).write_text(f"{variables.pop(name)}\n")
        variables[f"{name}_FILE"] = str(secrets / name)
    run = Computer(desk.home.folder, {**variables, "FEATURES": "bolus"}).run(
        *ONE_DAY, command=COMMAND
    )

    assert (run.code, run.counts.created) == (0, len(desk.site.treatments))
    assert {each["eventType"] for each in desk.site.treatments} == {"Combo Bolus"}
    assert "run/secrets" not in run.errors


def test_the_file_that_is_named_is_the_one_that_is_used(desk: Desk) -> None:
    env(desk, "anna.env")
    env(desk, NS_SECRET="quite another secret, of good length")
    run = Computer(desk.home.folder, {}).run(
        *ONE_DAY, "--env-file", "anna.env", "--features", "BOLUS", command=COMMAND
    )
    assert (run.code, run.counts.created) == (0, len(desk.site.treatments))

    run = Computer(desk.home.folder, {}).run("--env-file", "robin.env", command=COMMAND)
    assert (run.code, run.output) == (2, "")
    assert run.errors == (
        f"tconnectsync: --env-file: there is no file {desk.home.folder / 'robin.env'}.\n"
    )


def test_the_check_shows_problems_one_per_line_and_goes_on(desk: Desk) -> None:
    path = env(desk, TIMEZONE_NAME="EST", CATCH_UP_DAYS="a week", SYNC_GAPS="perhaps")
    run = Computer(desk.home.folder, {}).run("--check-login", *ONE_DAY, command=COMMAND)

    assert run.code == 2
    lines = run.output.splitlines()
    assert lines[0] == "Settings:                failed. 2 problems:"
    assert lines[1].startswith("    CATCH_UP_DAYS is not usable")
    assert lines[2].startswith("    SYNC_GAPS is not usable")
    assert any(line.startswith("    TIMEZONE_NAME is EST") for line in lines)
    assert any(line.startswith(f"    The settings come from {path}.") for line in lines)
    assert any(line.startswith("Nightscout") and " ok." in line for line in lines)
    report = (desk.home.folder / "tconnectsync-check-output.log").read_text()
    assert "CATCH_UP_DAYS=(not usable) (line " in report
    assert str(desk.home.folder) not in report


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--demo --days 3", "--demo cannot be combined with --days."),
        ("--demo --check-login", "--demo cannot be combined with --check-login."),
        ("--region Europe", "--region: 'Europe' is not usable: write US or EU."),
        ("--source tandem", "(did you mean tandem-source?)"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence(
    desk: Desk, arguments: str, sentence: str
) -> None:
    run = desk.home.run(*arguments.split(), command=COMMAND)

    assert (run.code, run.output) == (2, "")
    assert run.errors.startswith("tconnectsync: ")
    assert run.errors.count("\n") == 1
    assert sentence in run.errors
    assert desk.tconnect.log == []


def test_a_log_that_is_not_there_is_named(desk: Desk) -> None:
    run = desk.home.run("--import-log", "nofile", command=COMMAND, TCONNECT_SOURCE=None)

    assert (run.code, run.output) == (2, "")
    assert run.errors.splitlines()[-1] == (
        "tconnectsync: The log file nofile cannot be read: No such file or directory."
    )
