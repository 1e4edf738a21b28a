"""What is said about settings: where they come from, what is missing, what may be a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from tconnectsync.cli.options import ACTIONS, _parser, parse
from tconnectsync.config import VARIABLES, Configuration, read_env_files
from tconnectsync.config.envfile import why_not_read
from tconnectsync.config.given import CommandLine
from tconnectsync.config.names import mistyped
from tconnectsync.errors import ConfigError, UsageError
from tests.support.settings import COMPLETE, host


def without(*names: str, **changes: str) -> dict[str, str]:
    return {name: value for name, value in COMPLETE.items() if name not in names} | changes


def in_file(folder: Path, text: str) -> Path:
    (path := folder / ".env").write_text(text)
    path.chmod(0o600)
    return path


# Names


MEANT = {
    "ALARM_SAFE_MINUTE": "ALARM_SAFE_MINUTES",
    "TCONNECT_REGOIN": "TCONNECT_REGION",
    "TCONNECT_PASSWROD": "TCONNECT_PASSWORD",
    "TIMEZONE_NMAE": "TIMEZONE_NAME",
    "NS_URl": "NS_URL",
    "ns_secret": "NS_SECRET",
    "NSURL": "NS_URL",
    "FEATURE": "FEATURES",
    "NIGHTSCOUT_URL": "NS_URL",
    "NS_SECRETFILE": "NS_SECRET_FILE",
    "PUMP_SERIAL": "PUMP_SERIAL_NUMBER",
    "AUTOUPDATE_MAXSLEEP_SECONDS": "AUTOUPDATE_MAX_SLEEP_SECONDS",
    "TANDEM_SOMETHING": "",
}


@pytest.mark.parametrize("name", MEANT)
@pytest.mark.parametrize("place", ["file", "environment"])
def test_a_mistyped_name_is_pointed_out_with_the_one_that_is_meant(
    tmp_path: Path, name: str, place: str
) -> None:
    assert mistyped([name], in_environment=place == "environment") == {name: MEANT[name]}
    if place == "file":
        path = in_file(tmp_path, f"# comment\n{name}=s3cret-value\n")
        found, where = Configuration(COMPLETE, read_env_files((path,))), f"line 2 of {path}"
    else:
        found, where = Configuration({**COMPLETE, name: "s3cret-value"}), "the environment"
    (notice,) = found.notices()
    end = f"; did you mean {MEANT[name]}?" if MEANT[name] else " and has no effect."
    assert notice == f"{name} ({where}) is unknown{end}"


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "HOME", "PORT", "PWD", "TERM", "NODE_ENV", "MONGODB_URI", "BASE_URL", "DNS_URL"),
        *("PUMP_FIELDS", "ALARM_TYPES", "ENABLE", "TZDIR", "EMAIL", "PASSWORD", "SECRET", "_", ""),
        *("NIGHTSCOUT_PORT_1337_TCP_ADDR", "NS_SERVICE_HOST", "NIGHTSCOUT_SERVICE_PORT_HTTP"),
        *("NIGHTSCOUT_NAME", "NIGHTSCOUT_ENV_API_SECRET", "DISPLAY", "LANG", "SYSTEMD_EXEC_PID"),
    ],
)
def test_names_of_other_programs_in_the_environment_are_no_mistake(name: str) -> None:
    assert Configuration({**COMPLETE, name: "x"}).notices() == []


def test_names_of_other_programs_in_our_file_are_named_in_one_line(tmp_path: Path) -> None:
    path = in_file(tmp_path, "PORT=1\nMONGODB_URI=mongodb://x:y@z\nPUMP_FIELDS=a\nodd.name=1\n")
    found = Configuration(COMPLETE, read_env_files((path,)))
    names = "PORT, MONGODB_URI, PUMP_FIELDS, (line 4)"
    assert found.information() == [f"{path} also holds what tconnectsync does not use: {names}."]
    assert found.notices() == []


def test_of_many_other_names_only_some_are_named(tmp_path: Path) -> None:
    path = in_file(tmp_path, "".join(f"MY_NAME_{n}=1\n" for n in range(100)))
    (line,) = Configuration(COMPLETE, read_env_files((path,))).information()
    assert line.endswith("MY_NAME_9 and 90 more.")


def test_no_name_of_ours_is_a_mistake() -> None:
    names = [name for variable in VARIABLES for name in variable.names]
    files = [f"{v.name}_FILE" for v in VARIABLES if v.secret]
    assert mistyped([*names, *files], in_environment=True) == {}


def test_a_missing_variable_is_named_with_what_was_meant_for_it(tmp_path: Path) -> None:
    path = in_file(tmp_path, "A=1\n\nNS_URl=https://robin.example.org\nTIMEZONE_NMAE=US/Eastern\n")
    found = Configuration(without("NS_URL", "TIMEZONE_NAME"), read_env_files((path,)))
    url, zone = found.problems
    assert url.startswith("NS_URL is not set. ")
    assert url.endswith(f"Line 3 of {path} has NS_URl: names are in capitals.")
    assert zone.endswith(f"Line 4 of {path} has TIMEZONE_NMAE; did you mean TIMEZONE_NAME?")
    assert "robin" not in url
    # It is not said twice.
    assert found.notices() == []


# Where values come from


def test_every_value_knows_where_it_was_given(tmp_path: Path) -> None:
    (secret := tmp_path / "secret").write_text("from a file\n")
    path = in_file(tmp_path, f"SYNC_GAPS=false\nCATCH_UP_DAYS=3\nNS_SECRET_FILE={secret}\n")
    options = CommandLine(TCONNECT_REGION="EU")
    environment = without("NS_SECRET", CATCH_UP_DAYS="4")
    found = Configuration(options, environment, read_env_files((path,)))
    assert found.settings().nightscout.secret == "from a file"
    names = ("TCONNECT_REGION", "CATCH_UP_DAYS", "SYNC_GAPS", "NS_SECRET", "FEATURES")
    assert [found.where(name) for name in names] == [
        "the command line",
        "the environment",
        f"line 1 of {path}",
        f"{secret} (NS_SECRET_FILE)",
        "its default",
    ]
    shown = dict(found.shown())
    assert shown["SYNC_GAPS"] == "False (line 1 of .env)"
    assert shown["NS_SECRET"] == "(hidden) (secret (NS_SECRET_FILE))"
    assert shown["FEATURES"] == "BASAL, BOLUS"
    assert found.origin == f"The settings come from {path} and the environment."


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("TIMEZONE_NAME", "New York", 'Now it is "New York"'),
        ("CATCH_UP_DAYS", "a week\u202e", 'Now it is "a week?"'),
        ("SYNC_GAPS", "x" * 100, f'Now it is "{"x" * 40}…"'),
        ("PUMP_SERIAL_NUMBER", "s3cret", "It is given"),
        ("NS_URL", "s3cret.example.org", "It is given"),
        ("TANDEM_SOURCE_URL", "s3cret.example.org", "It is given"),
        ("TCONNECT_REGION", "a long enough secret", "It is given"),
    ],
)
def test_a_value_that_cannot_be_used_is_quoted_with_its_place_unless_it_is_secret(
    tmp_path: Path, name: str, value: str, shown: str
) -> None:
    path = in_file(tmp_path, f"{name}={value}\n")
    (problem,) = Configuration(without(name), read_env_files((path,))).problems
    assert f"{shown} " in problem
    assert f"line 1 of {path}" in problem
    assert "s3cret" not in problem
    assert "long enough" not in problem
    (problem,) = Configuration(without(**{name: value})).problems
    assert "the environment" in problem


def test_an_empty_variable_that_hides_a_value_is_said(tmp_path: Path) -> None:
    path = in_file(tmp_path, "NS_URL=https://ns.example.org\nCATCH_UP_DAYS=3\n")
    found = Configuration(without(NS_URL="", CATCH_UP_DAYS=""), read_env_files((path,)))
    (problem,) = found.problems
    hides = "is empty in the environment, so its value in"
    assert problem.endswith(f"NS_URL {hides} line 1 of {path} is not used. Remove the empty one.")
    (notice,) = found.notices()
    assert notice.startswith(f"CATCH_UP_DAYS {hides} line 2 of {path} is not used")


def test_a_file_that_was_named_comes_before_the_environment_and_that_is_said(
    tmp_path: Path,
) -> None:
    (tmp_path / "anna.env").write_text("TCONNECT_EMAIL=anna@example.org\nNS_URL=https://a.example")
    (tmp_path / "anna.env").chmod(0o600)
    in_file(tmp_path, "CATCH_UP_DAYS=3\n")
    here = host(tmp_path, variables=COMPLETE)
    found = here.configuration({"TCONNECT_REGION": "EU"}, Path("../") / tmp_path.name / "anna.env")
    path = tmp_path / "anna.env"
    settings = found.settings()
    assert (settings.tandem.email, settings.tandem.region) == ("anna@example.org", "EU")
    assert settings.tandem.password == COMPLETE["TCONNECT_PASSWORD"]
    assert settings.sync.catch_up_days == 14
    assert (found.key, found.file) == (str(path), path)
    assert found.notices() == [
        f"TCONNECT_EMAIL in the environment is not used: it is set in line 1 of {path}.",
        f"NS_URL in the environment is not used: it is set in line 2 of {path}.",
    ]


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--env-file: there is no file .*/anna\.env\."):
        host(tmp_path, variables=COMPLETE).configuration(env_file=Path("anna.env"))
    (tmp_path / "folder").mkdir()
    found = host(tmp_path, variables=COMPLETE).configuration(env_file=Path("folder"))
    (problem,) = found.problems
    assert problem.startswith(f"{tmp_path / 'folder'} cannot be read: it is a folder")


# Secrets in files


@pytest.mark.parametrize("name", ["NS_SECRET", "API_SECRET", "NS_API_SECRET"])
@pytest.mark.parametrize("content", [b"it's  secret", b"it's  secret\n", b"it's  secret\r\n"])
def test_a_secret_may_be_in_a_file_of_its_own(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    given = without("NS_SECRET", **{f"{name}_FILE": str(tmp_path / "secret")})
    assert Configuration(given).settings().nightscout.secret == "it's  secret"


def test_every_secret_may_be_in_a_file_of_its_own_and_also_the_site(tmp_path: Path) -> None:
    given: dict[str, str] = {}
    for name, value in COMPLETE.items():
        (tmp_path / name).write_text(f"{value}\n")
        is_known = name != "TIMEZONE_NAME"
        given |= {f"{name}_FILE": str(tmp_path / name)} if is_known else {name: value}
    assert Configuration(given).settings() == Configuration(COMPLETE).settings()
    assert Configuration(given).notices() == []


def test_a_file_of_a_secret_that_a_settings_file_names_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("  from beside it  \n")
    path = in_file(tmp_path, "NS_SECRET_FILE=secret\n")
    found = Configuration(without("NS_SECRET"), read_env_files((path,)))
    assert found.settings().nightscout.secret == "  from beside it  "


FILES = {
    b"": "which is empty",
    b"\n": "which is empty",
    b"s3cret\nother\n": "which holds more than one line",
    b"s3cret" * 20_000: "which holds more than one line",
    b"\xff\xffs3cret": "which holds no text in UTF-8",
    b"s\x003cret": "which holds no text in UTF-8",
}


@pytest.mark.parametrize("content", FILES, ids=[each[:12].hex() for each in FILES])
def test_a_file_that_holds_no_secret_is_named(tmp_path: Path, content: bytes) -> None:
    (path := tmp_path / "secret").write_bytes(content)
    (problem,) = Configuration(without("NS_SECRET", NS_SECRET_FILE=str(path))).problems
    assert problem.startswith(f"NS_SECRET_FILE (the environment) names {path}, {FILES[content]}")
    assert "s3cret" not in problem


@pytest.mark.parametrize("place", ["", "nowhere"])
def test_a_file_of_a_secret_that_cannot_be_read_is_named(tmp_path: Path, place: str) -> None:
    (problem,) = Configuration(without("NS_SECRET", NS_SECRET_FILE=f"{tmp_path / place}")).problems
    reason = "there is no such file" if place else "it is a folder"
    assert f"{tmp_path / place}, which cannot be read: {reason}" in problem


def test_a_secret_that_is_given_in_two_ways_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("other")
    given = {**COMPLETE, "NS_SECRET_FILE": str(tmp_path / "secret")}
    (problem,) = Configuration(given).problems
    assert problem == (
        "NS_SECRET (the environment) and NS_SECRET_FILE (the environment) are both set. Remove one "
        "of them."
    )


def test_errors_of_the_system_are_explained_without_their_names() -> None:
    for error in (
        PermissionError(13, "x"),
        IsADirectoryError(21, "x"),
        OSError(5, "Bad disk"),
        OSError(),
    ):
        text = why_not_read(error)
        assert text
        assert "Error" not in text


def test_secrets_with_invisible_signs_are_said_without_showing_them() -> None:
    given = {**COMPLETE, "NS_SECRET": "sec\u200bret-word", "TCONNECT_PASSWORD": " horse\t"}
    first, second = sorted(Configuration(given).notices())
    assert first.startswith("NS_SECRET (the environment) holds a character that cannot be seen")
    assert second.startswith("TCONNECT_PASSWORD (the environment) has blanks at its beginning")
    assert "horse" not in first + second


def test_a_secret_that_ends_where_a_comment_begins_is_said(tmp_path: Path) -> None:
    path = in_file(
        tmp_path, "TCONNECT_PASSWORD=correct #horse\nNS_SECRET='a word of good length' # mine\n"
    )
    found = Configuration(without("TCONNECT_PASSWORD", "NS_SECRET"), read_env_files((path,)))
    (notice,) = found.notices()
    assert notice.startswith(f"TCONNECT_PASSWORD in line 1 of {path} ends before a blank and #")
    assert "horse" not in notice


# Zones


@pytest.mark.parametrize(
    "zone",
    [
        *(
            "UTC",
            "GMT",
            "Etc/UTC",
            "Etc/GMT+5",
            "EST",
            "EST5EDT",
            "EST5EDT,M3.2.0,M11.1.0",
            "<+03>-3",
        ),
        *("CET", ":/etc/localtime", "/usr/share/zoneinfo/Europe/Berlin", "Japan"),
    ],
)
def test_a_zone_of_the_computer_that_names_no_place_is_not_taken_and_it_is_said_why(
    zone: str,
) -> None:
    (problem,) = Configuration(without("TIMEZONE_NAME", TZ=zone)).problems
    assert problem.startswith("TIMEZONE_NAME (or TZ) is not set. ")
    assert f'TZ is "{zone}" in the environment, but it names no place' in problem


@pytest.mark.parametrize("zone", ["Europe/Berlin", ":America/Chicago", "America/Indiana/Knox"])
def test_a_zone_of_the_computer_that_names_a_place_stands_in_and_it_is_said(zone: str) -> None:
    found = Configuration(without("TIMEZONE_NAME", TZ=zone))
    assert found.settings().tandem.zone.key == zone.removeprefix(":")
    assert found.notices() == ["TIMEZONE_NAME is not set; TZ is used instead."]


@pytest.mark.parametrize(
    ("zone", "place"),
    [("EST", "America/New_York"), ("UTC", "Europe/Berlin"), ("Etc/GMT+5", "Europe/Berlin")],
)
def test_a_zone_that_never_changes_its_clocks_is_warned_about(zone: str, place: str) -> None:
    found = Configuration(without(TIMEZONE_NAME=zone))
    assert found.settings().tandem.zone.key == zone
    (notice,) = found.notices()
    assert f"TIMEZONE_NAME is {zone} (the environment), which never changes" in notice
    assert place in notice


@pytest.mark.parametrize("zone", ["EST5EDT", "CET", "Japan", "America/Phoenix", "Pacific/Honolulu"])
def test_other_zones_are_taken_without_a_word(zone: str) -> None:
    assert Configuration(without(TIMEZONE_NAME=zone)).notices() == []


# Features


def test_features_may_be_set_and_the_option_overrules_them() -> None:
    given = {**COMPLETE, "FEATURES": "basal, Pump_Events PROFILES"}
    assert Configuration(given).settings().sync.features == ("BASAL", "PUMP_EVENTS", "PROFILES")
    assert Configuration(given).notices() == []
    here = host(variables=given).configuration({"FEATURES": "IOB"})
    assert here.settings().sync.features == ("IOB",)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"FEATURES": "basal bollus"}, "BOLLUS is not a feature; did you mean BOLUS? Choose from"),
        ({"FEATURES": "one, two"}, "ONE and TWO are not features. Choose from: BASAL"),
        ({"FEATURES": ","}, "no feature is named. Choose from: BASAL"),
        ({"FEATURES": "BOLUS_BG"}, "(the environment) is not usable: Still being tested: BOLUS_BG"),
        ({"FEATURES": "IOB CGM_ALERTS", "TCONNECT_SOURCE": "tconnect"}, "has no data for CGM_"),
    ],
)
def test_features_that_cannot_be_used_are_problems_of_the_setting(
    changes: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Configuration(without(**changes)).settings()
    (problem,) = caught.value.problems
    assert problem.startswith("FEATURES ")
    assert sentence in problem


# Options


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--source tandem", "--source: 'tandem' is not usable: write one of: tandem-source, tconn"),
        ("--source tandem", "(did you mean tandem-source?)"),
        ("--region Europe", "--region: 'Europe' is not usable: write US or EU"),
        ("--features basal bollus", "--features: BOLLUS is not a feature; did you mean BOLUS?"),
        ("--demo --days 3", "--demo cannot be combined with --days"),
        ("--demo --check-login", "--demo cannot be combined with --check-login"),
        ("--demo --features IOB --region EU", "cannot be combined with --features and --region"),
        ("--check-login --pretend", "--check-login writes nothing to Nightscout anyway"),
        ("--import-log x --days 3", "--import-log cannot be combined with --days: it syncs all"),
        ("--auto-update --import-log x", "--import-log cannot be combined with --auto-update"),
    ],
)
def test_a_mistake_in_an_option_is_one_of_the_option(arguments: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(arguments.split())
    assert sentence in str(caught.value)


def test_options_are_read_in_small_and_capital_letters() -> None:
    options = parse(["--source", "Tconnect", "--region", "eu"])
    assert (options.source, options.region) == ("tconnect", "EU")


def test_the_table_of_actions_names_options_that_exist_and_only_a_log_goes_with_others() -> None:
    known = {name for action in _parser()._actions for name in action.option_strings}
    assert known >= {*ACTIONS, *(each for options in ACTIONS.values() for each in options)}
    together = {action: set(ACTIONS) & options for action, options in ACTIONS.items()}
    assert {action: others for action, others in together.items() if others} == {
        "--import-log": {"--report", "--export"},
        "--report": {"--import-log"},
        "--export": {"--import-log"},
    }


def test_all_files_that_settings_come_from_are_named(tmp_path: Path) -> None:
    (tmp_path / "anna").mkdir()
    anna = in_file(tmp_path / "anna", "NS_SECRET='a secret of annas'\nPORT=1\n")
    common = in_file(tmp_path, "TIMEZONE_NAME=Europe/Rome\nSHELLS=x\n")
    found = Configuration(*(read_env_files((path,)) for path in (anna, common)))
    assert found.origin == f"The settings come from {anna} and {common}."
    assert found.information() == [
        f"{anna} also holds what tconnectsync does not use: PORT.",
        f"{common} also holds what tconnectsync does not use: SHELLS.",
    ]
    assert found.key == str(anna)
    assert found.without_folders(found.origin) == "The settings come from .env and .env."
