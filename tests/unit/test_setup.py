"""What --setup understands, writes and shows, without any service."""

from __future__ import annotations

import plistlib
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tconnectsync.config.envfile import read_env_file
from tconnectsync.errors import UsageError
from tconnectsync.nightscout.provenance import ENTERED_BY
from tconnectsync.setup import keeprunning
from tconnectsync.setup.countries import country, only_zone
from tconnectsync.setup.draft import Draft
from tconnectsync.setup.envtext import changed, quoted
from tconnectsync.setup.uploaders import Seen, advice
from tests.support.forked_command import CHECKOUT

PROGRAM = ["/home/a b/.venv/bin/tconnectsync", "--env-file", "/home/a b/100% 'mine'/.env"]
VALUES = st.text(
    st.sampled_from("ab0 '\"\\$#=%`{}äß€:nt") | st.characters(exclude_categories=("C", "Z"))
).map(str.strip)
"""What can be typed on one line; settings are read without blanks at their ends."""


@pytest.mark.parametrize(
    ("text", "name", "region"),
    [
        ("US", "United States", "US"),
        ("u.s.a.", "United States", "US"),
        ("the United States", "United States", "US"),
        ("canada", "Canada", "US"),
        ("México", "Mexico", "US"),
        ("Puerto Rico", "Puerto Rico", "US"),
        ("uk", "United Kingdom", "EU"),
        ("England", "United Kingdom", "EU"),
        ("Deutschland", "Germany", "EU"),
        ("de", "Germany", "EU"),
        ("Österreich", "Austria", "EU"),
        ("Cote d'Ivoire", "Côte d’Ivoire", "EU"),
        ("  new   zealand ", "New Zealand", "EU"),
        ("EU", "A country of the EU region", "EU"),
    ],
)
def test_countries_are_understood_as_people_write_them(text: str, name: str, region: str) -> None:
    found = country(text)
    assert (found.name, found.region) == (name, region)


@pytest.mark.parametrize(
    ("text", "hint"),
    [("Untied States", "did you mean United States?"), ("Austrlia", "Australia?"), ("xyzzy", "")],
)
def test_a_country_that_is_none_is_asked_again(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match="write the name of a country") as caught:
        country(text)
    assert hint in str(caught.value)
    assert ("did you mean" in str(caught.value)) == bool(hint)


def test_a_country_with_one_time_of_day_has_one_zone() -> None:
    assert only_zone("GB") == "Europe/London"
    assert only_zone("DE") == "Europe/Berlin"
    assert only_zone("US") == only_zone("AU") == only_zone("") == ""


@pytest.mark.parametrize(
    ("zone", "proposed"),
    [
        ("America/Chicago", "America/Chicago"),
        ("Etc/UTC", "Europe/London"),
        ("UTC", "Europe/London"),
        ("No/Where", "Europe/London"),
    ],
)
def test_a_computer_s_zone_is_proposed_only_if_it_names_a_place(zone: str, proposed: str) -> None:
    ask = "from tconnectsync.setup.homezone import proposed_zone; print(proposed_zone('GB'))"
    run = subprocess.run(
        [sys.executable, "-c", ask],
        env={"TZ": zone, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert (run.stdout.strip(), run.returncode) == (proposed, 0), run.stderr


@given(VALUES)
def test_any_value_is_read_back_as_it_was_typed(tmp_path_factory: object, value: str) -> None:
    path = Path(tmp_path_factory.getbasetemp()) / "law.env"  # type: ignore[attr-defined]
    path.write_text(changed("", {"TCONNECT_PASSWORD": value}), encoding="utf-8")
    path.chmod(0o600)
    read = read_env_file(path)
    assert dict(read) == {"TCONNECT_PASSWORD": value}
    assert not read.problems
    # Only a value that nothing but escapes can write is worth a second look.
    assert not read.notices or "\\" in value


@given(st.lists(VALUES, max_size=4), VALUES)
def test_all_other_lines_stay_as_they_are(others: list[str], value: str) -> None:
    lines = [f"OTHER_{number}={quoted(text)} # note" for number, text in enumerate(others)]
    text = "\n".join(["# head", *lines, "NS_URL=old", "export NS_URL='again'", "", "# foot"])
    after = changed(text, {"NS_URL": value, "NS_SECRET": "x"}).splitlines()
    assert after == [
        "# head",
        *lines,
        f"NS_URL={quoted(value)}",
        "",
        "# foot",
        "NS_SECRET=x",
    ]


def test_lines_of_a_variable_that_cannot_be_read_or_name_a_file_go_with_its_old_value() -> None:
    text = (
        'NS_URL: https://colon\nTCONNECT_PASSWORD="say "hi""\nNS_SECRET_FILE=/run/secret\n'
        "API_SECRET_FILE=/run/other\nwhat is this\n"
    )
    new = {"NS_URL": "https://new", "TCONNECT_PASSWORD": "p", "NS_SECRET": "s"}
    assert changed(text, new) == (
        "NS_URL=https://new\nTCONNECT_PASSWORD=p\nwhat is this\nNS_SECRET=s\n"
    )


def test_a_file_that_cannot_be_kept_whole_is_not_begun_with(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes("NAME=Grüße\n".encode("latin-1"))
    with pytest.raises(UsageError, match="not a text in UTF-8"):
        Draft(path, {})
    with pytest.raises(UsageError, match="it is a folder"):
        Draft(tmp_path, {})


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit here")
@pytest.mark.parametrize("most", [10, 150])
def test_a_full_disk_leaves_no_part_of_a_copy(tmp_path: Path, most: int) -> None:
    """It would pass for the settings as they were."""
    path, text = tmp_path / ".env", "# my settings, which take some place on the disk\n" * 2
    path.write_text(text)
    write = (
        "import resource, signal; from pathlib import Path\n"
        "from tconnectsync.setup.backup import replace_with_backup\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))\n"
        f"replace_with_backup(Path({str(path)!r}), 'x' * 1000)"
    )
    run = subprocess.run([sys.executable, "-c", write], cwd=CHECKOUT, capture_output=True)
    assert b"OSError" in run.stderr
    assert [it.name for it in tmp_path.iterdir()] == [".env"]
    assert path.read_text() == text


def test_what_is_not_changed_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("TCONNECT_EMAIL=a@b.c\n", encoding="utf-8")
    draft = Draft(path, {})
    draft.answers["TCONNECT_EMAIL"] = "a@b.c"
    assert draft.write() is None
    assert [it.name for it in tmp_path.iterdir()] == [".env"]


def test_a_link_stays_a_link_to_the_changed_file(tmp_path: Path) -> None:
    real, link = tmp_path / "real" / "settings", tmp_path / ".env"
    real.parent.mkdir()
    real.write_text("NS_URL=https://a.example\n", encoding="utf-8")
    link.symlink_to(real)
    draft = Draft(link, {})
    draft.answers["NS_URL"] = "https://b.example"
    assert draft.write() == real.with_name("settings.bak")
    assert link.is_symlink()
    assert real.read_text(encoding="utf-8") == "NS_URL=https://b.example\n"


def test_what_the_environment_overrules_is_known(tmp_path: Path) -> None:
    draft = Draft(tmp_path / ".env", {"NS_URL": "https://other.example", "NS_SECRET": "same"})
    draft.answers |= {"NS_URL": "https://mine.example", "NS_SECRET": "same"}
    assert draft.overruled() == ["NS_URL"]
    assert draft.configuration().values["NS_URL"] == "https://mine.example"


def test_the_cron_line_runs_the_program_of_any_folder() -> None:
    line = keeprunning.cron_line(PROGRAM)
    assert line.startswith("*/15 * * * * ")
    # cron ends a command at a percent sign without a backslash, and drops the backslash.
    assert shlex.split(line.split(maxsplit=5)[5].replace(r"\%", "%")) == [*PROGRAM, "--quiet"]
    assert "%" not in line.replace(r"\%", "")


def test_the_windows_task_and_the_agent_of_macos_run_the_program_of_any_folder() -> None:
    agent = plistlib.loads(keeprunning.launchd_plist(PROGRAM, "/tmp/log").encode())
    assert agent["ProgramArguments"] == [*PROGRAM, "--auto-update", "--stay"]
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    windows = [r"C:\Users\A & B\tconnectsync.exe", "--env-file", r"C:\Users\A & B\.env"]
    task = ElementTree.fromstring(keeprunning.windows_task(windows))
    space = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
    assert task.findtext(f".//{space}Command") == windows[0]
    assert task.findtext(f".//{space}Arguments") == r'--env-file "C:\Users\A & B\.env" --quiet'
    assert keeprunning.windows_command(windows) == (
        r"schtasks /Create /TN tconnectsync /SC MINUTE /MO 15 /TR "
        r'"\"C:\Users\A & B\tconnectsync.exe\" --env-file \"C:\Users\A & B\.env\" --quiet"'
    )


@pytest.mark.parametrize(
    ("system", "words"),
    [
        ("linux", ["crontab -e"]),
        ("darwin", ["launchctl bootstrap", "Library/LaunchAgents/org.tconnectsync.plist"]),
        ("win32", ["schtasks /Create"]),
    ],
)
def test_each_system_has_its_own_lines(system: str, words: list[str]) -> None:
    home = Path("/home/a b")
    found = keeprunning.to_paste(system, PROGRAM, home / ".env", home, has_docker=True)
    text = "\n".join(line for block in found for line in block)
    assert all(word in text for word in [*words, "docker run", "--auto-update --stay"])


NOTHING = Seen([], [], [], [])


def test_an_empty_site_gets_what_most_people_want() -> None:
    found = advice(NOTHING, lacking=["DEVICE_STATUS"])
    assert found.features == ("BASAL", "BOLUS", "PUMP_EVENTS", "PROFILES")
    assert found.remarks == [
        "No program brings glucose. CGM would bring the pump's readings, about an hour late; "
        "choose it only if no other program will."
    ]


def test_an_older_tconnectsync_goes_on_without_doubling() -> None:
    own = {"enteredBy": ENTERED_BY, "insulin": 2.0, "eventType": "Combo Bolus"}
    entry = {"type": "sgv", "device": ENTERED_BY}
    status = {"device": ENTERED_BY, "pump": {"reservoir": 1}}
    found = advice(Seen([own], [entry], [status], [{"enteredBy": ENTERED_BY}]))
    assert found.features == ("BASAL", "BOLUS", "PUMP_EVENTS", "PROFILES", "DEVICE_STATUS")
    assert len(found.remarks) == 1
    assert "goes on from there and doubles nothing" in found.remarks[0]


def test_a_person_s_own_profile_is_not_replaced_unasked() -> None:
    found = advice(Seen([], [], [], [{"defaultProfile": "Default"}]))
    assert "PROFILES" not in found.features
    assert any("has a profile that tconnectsync did not write" in it for it in found.remarks)


def test_names_of_programs_are_shown_in_plain_characters_and_not_at_any_length() -> None:
    entry = {"type": "sgv", "device": "\x1b[31m" + "x" * 100}
    text = " ".join(advice(Seen([], [entry], [], [])).remarks)
    assert "\x1b" not in text
    assert len(text) < 100
