"""Several people: whose settings count, who may not be mixed up, and when it is whose turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tconnectsync.cli.options import Options, parse
from tconnectsync.cli.people import conflict, each_person
from tconnectsync.clock import Clock
from tconnectsync.config.people import people_in, places_of
from tconnectsync.config.settings import Configuration
from tconnectsync.errors import UsageError, code_of_all
from tconnectsync.logoutput import LogFormatter
from tconnectsync.person import about, named
from tconnectsync.redact import JointRedactor, Redactor
from tconnectsync.stop import Stopped, StopTogether
from tconnectsync.sync.loop.loop import run_together, starts
from tconnectsync.sync.loop.step import Next
from tests.support.people import write_settings
from tests.support.settings import COMPLETE, host
from tests.support.virtual_home import logging_restored

FAST = Clock(sleep=lambda seconds: time.sleep(0.001))


def settings_of(folder: Path, environment: Mapping[str, str] | None = None) -> Configuration:
    (person,) = (each for each in people_in(folder) if each.name == "anna")
    return Configuration(*places_of(person, environment or {}))


# --- whose settings count ---


def test_a_persons_own_file_counts_before_the_common_one_and_that_before_the_environment(
    tmp_path: Path,
) -> None:
    write_settings(tmp_path / "anna.env", {"CATCH_UP_DAYS": "1"})
    write_settings(tmp_path / ".env", {"CATCH_UP_DAYS": "2", "ALARM_SAFE_MINUTES": "2"})
    environment = {"CATCH_UP_DAYS": "3", "ALARM_SAFE_MINUTES": "3", "TIMEZONE_NAME": "Asia/Tokyo"}
    values = settings_of(tmp_path, environment).values
    assert (values["CATCH_UP_DAYS"], values["ALARM_SAFE_MINUTES"]) == (1, 2)
    assert str(values["TIMEZONE_NAME"]) == "Asia/Tokyo"


@pytest.mark.parametrize("name", ["NS_SECRET", "API_SECRET", "NS_SECRET_FILE"])
def test_another_name_for_the_same_does_not_bring_what_is_for_all_before_ones_own(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "secret").write_text("anna's own")
    own = {"NS_SECRET_FILE": "secret"} if name.endswith("_FILE") else {name: "anna's own"}
    write_settings(tmp_path / "anna.env", own)
    write_settings(tmp_path / ".env", {"NS_SECRET": "that of all"})
    assert settings_of(tmp_path).values["NS_SECRET"] == "anna's own"


def test_what_is_about_one_person_is_never_taken_from_the_environment(tmp_path: Path) -> None:
    write_settings(tmp_path / "anna.env", {})
    personal = ("TCONNECT_EMAIL", "TCONNECT_PASSWORD", "NS_URL", "NS_SECRET", "PUMP_SERIAL_NUMBER")
    values = settings_of(tmp_path, {**dict.fromkeys(personal, "12345678"), "API_SECRET": "x"}).given
    assert values == {}


def test_the_common_file_may_say_what_two_children_of_one_account_share(tmp_path: Path) -> None:
    write_settings(tmp_path / "anna.env", {"PUMP_SERIAL_NUMBER": "1111"})
    write_settings(tmp_path / ".env", {"TCONNECT_EMAIL": "parent@example.org"})
    assert settings_of(tmp_path).values["TCONNECT_EMAIL"] == "parent@example.org"


def test_the_record_belongs_to_the_persons_file(tmp_path: Path) -> None:
    write_settings(tmp_path / "anna.env", {})
    assert settings_of(tmp_path).key == str(tmp_path / "anna.env")


# --- the folder ---


def test_a_file_that_windows_gave_another_ending_is_pointed_out(tmp_path: Path) -> None:
    write_settings(tmp_path / "anna.env", {})
    write_settings(tmp_path / "anna.env.txt", {})
    write_settings(tmp_path / "ben.env.txt", {})
    anna, ben = people_in(tmp_path)
    assert (anna.name, anna.problem) == ("anna", "")
    assert (ben.name, ben.file.name) == ("ben", "ben.env.txt")
    assert ben.problem.startswith("Rename ben.env.txt to ben.env:")


def test_files_of_no_person_are_left_alone(tmp_path: Path) -> None:
    for name in (".env", "ben.env", "anna.env", "anna.env.bak", "ben.env~", ".#ben.env", "notes"):
        (tmp_path / name).touch()
    assert [person.name for person in people_in(tmp_path)] == ["anna", "ben"]


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda folder: None, "there is no folder"),
        (lambda folder: folder.touch(), "is a file"),
        (lambda folder: folder.mkdir(), "no settings were found in"),
    ],
)
def test_a_folder_without_anybody_is_explained(
    tmp_path: Path, prepare: Callable[[Path], None], said: str
) -> None:
    prepare(tmp_path / "people")
    with pytest.raises(UsageError, match=said):
        people_in(tmp_path / "people")


@pytest.mark.parametrize("name", ["anna@example.org", "a\nb", "x" * 41, "-anna", "[31m"])
def test_a_name_that_cannot_stand_in_a_log_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.env").touch()
    (person,) = people_in(tmp_path)
    assert "cannot be used" in person.problem
    assert not {"@", "\n", ""} & set(person.name + person.problem)


@pytest.mark.parametrize("name", ["anna", "Änne", "ben 2", "c.d-e_f", "小明"])
def test_names_of_all_the_world_are_fine(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.env").touch()
    (person,) = people_in(tmp_path)
    assert (person.name, person.problem) == (name, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--import-log", "x", "--accounts", "d"], "a log is one person's"),
        (["--env-file", "x", "--accounts", "d"], "--accounts cannot be combined with --env-file"),
        (["--demo", "--accounts", "d"], "--demo cannot be combined with --accounts"),
        (["--person", "anna"], "--person needs --accounts"),
        (["--stay"], "--stay needs --auto-update"),
    ],
)
def test_options_that_do_not_go_together_are_explained(arguments: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse(arguments)


# --- who may not be mixed up ---


def conflicting(anna: Mapping[str, str], ben: Mapping[str, str]) -> list[bool]:
    """Return for each whether their settings are refused beside those of the other."""
    configurations = {"anna": Configuration(anna), "ben": Configuration(ben)}
    return [bool(conflict(name, configurations)) for name in configurations]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.example.org", "https://b.example.org", False),
        ("https://a.example.org", "http://A.example.org:443/", True),
        ("https://a.example.org", "https://a.example.org/report", True),
        ("https://a.example.org/anna", "https://a.example.org/ben", False),
        ("https://u:p@a.example.org/", "https://a.example.org/", True),
        ("https://a.example.org:1337", "https://a.example.org:1338", False),
        ("https://a.example.org.", "https://a.example.org", True),
        ("https://müller.example.org", "https://xn--mller-kva.example.org", True),
        ("http://localhost:1337", "http://127.0.0.1:1337", True),
        ("http://[::1]:1337", "http://127.1:1337", True),
        ("https://a.example.org/x/../ben", "https://a.example.org/be%6e", True),
        ("https://10.0.0.1", "https://10.0.0.2", False),
    ],
)
def test_no_two_people_have_one_site(one: str, other: str, same: bool) -> None:
    assert conflicting({"NS_URL": one}, {"NS_URL": other}) == [same, same]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("x@example.org", "1111"), ("y@example.org", "1111"), False),
        (("x@example.org", "1111"), ("X@example.org ", "01111"), True),
        (("x@example.org", "1111"), ("x@example.org", "2222"), False),
        (("x@example.org", "1111"), ("x@example.org", ""), True),
        (("x@example.org", ""), ("x@example.org", ""), True),
        (("x@example.org", "1111,3333"), ("x@example.org", "2222"), False),
        (("x@example.org", "1111,2222"), ("x@example.org", "2222"), True),
        (("", ""), ("", ""), False),
    ],
)
def test_no_two_people_have_one_pump(
    one: tuple[str, str], other: tuple[str, str], same: bool
) -> None:
    names = ("TCONNECT_EMAIL", "PUMP_SERIAL_NUMBER")
    pair = [dict(zip(names, values, strict=True)) for values in (one, other)]
    assert conflicting(*pair) == [same, same]


# --- names and secrets in what is said ---


def test_every_line_bears_the_name_of_the_person_whose_turn_it_is() -> None:
    with about("anna"):
        with about("ben"):
            assert named("one\ntwo") == "ben: one\nben: two"
        assert named("three") == "anna: three"
    assert named("four") == "four"


def test_the_log_hides_the_secrets_of_all_and_keeps_the_name() -> None:
    import logging

    joint, text = JointRedactor(), "p%22ss%2017%2F%26; 398765"
    for number in range(20):
        joint.add(Redactor({"TCONNECT_PASSWORD": f'p"ss {number}/&', "SERIAL": f"00{number}98765"}))
    record = logging.LogRecord(
        "x", logging.INFO, "x", 1, "a %s", ("p%22ss%2017%2F%26; 398765",), None
    )
    with about("anna"):
        text = LogFormatter(joint, None).format(record)
    assert text.endswith("INFO     anna: a [TCONNECT_PASSWORD]; [SERIAL]")
    assert vars(record)["person"] == "anna"


def test_where_nothing_is_to_be_found_a_redactor_need_not_look() -> None:
    redactor = Redactor({"TCONNECT_PASSWORD": 'correct "horse"', "NS_SECRET": "пароль"})
    assert redactor.may_find("It is CORRECT%20")
    assert redactor.may_find("anything")  # A value without plain letters may look like anything.
    assert not Redactor({"NS_SECRET": "correct horse"}).may_find("nothing of it")


# --- whose turn it is ---


def test_many_people_do_not_begin_at_the_same_moment_but_one_does_at_once() -> None:
    names = {f"person-{number}": None for number in range(100)}
    waits = sorted(starts(names).values())
    assert (waits[0], waits[-1] <= 198) == (0.0, True)
    assert max(sum(begin <= it < begin + 10 for it in waits) for begin in range(0, 200, 5)) < 20
    assert starts(names) == starts(names)
    assert starts({"anna": None}) == {"anna": 0.0}


def test_each_has_turns_when_they_are_due_whatever_the_others_do() -> None:
    hung = threading.Event()
    left = {"anna": 3, "ben": 3}

    def turn(name: str) -> Next:
        left[name] -= 1
        return Next(exit_code=0) if not left[name] else Next(0.01)

    def hang() -> Next:
        hung.wait(30)
        return Next(exit_code=0)

    def until_others_are_done(seconds: float) -> None:
        if not any(left.values()):
            hung.set()
        time.sleep(0.001)

    clock = replace(FAST, sleep=until_others_are_done)
    turns = {"anna": lambda: turn("anna"), "ben": lambda: turn("ben"), "carl": hang}
    assert run_together(turns, clock, threads=2) == 0
    assert left == {"anna": 0, "ben": 0}


def test_the_exit_code_is_that_of_all_or_1() -> None:
    for codes, code in (((2, 2), 2), ((0, 0), 0), ((0, 2), 1), ((1, 2), 1)):
        turns = {str(n): partial(Next, exit_code=each) for n, each in enumerate(codes)}
        assert run_together(turns, FAST, threads=2) == code_of_all(codes) == code


def test_threads_stop_where_they_wait_or_write_but_not_in_the_middle_of_a_write() -> None:
    together, begun, done = StopTogether(), threading.Event(), []

    def work() -> None:
        with together.working(), together.writing():
            begun.set()
            time.sleep(0.1)
            done.append("written")

    def quietly() -> None:
        with pytest.raises(Stopped):
            work()

    thread = threading.Thread(target=quietly)
    thread.start()
    assert begun.wait(10)
    together.ask()
    together.wait()
    thread.join(10)
    assert done == ["written"]
    with pytest.raises(Stopped):
        together.clock(FAST).sleep(5)
    with pytest.raises(Stopped):
        together.clock(FAST).go_on()
    quietly()
    assert done == ["written"]


@pytest.mark.parametrize("text", ["", "Stopped before all was done."])
def test_a_run_that_is_stopped_names_everybody_who_was_not_begun(tmp_path: Path, text: str) -> None:
    for name in ("anna", "ben"):
        variables = {**COMPLETE, "TCONNECT_EMAIL": name, "NS_URL": f"https://{name}.example.org"}
        write_settings(tmp_path / f"{name}.env", variables)

    def act(one: Options) -> int:
        raise Stopped(0.0, text)

    options = parse(["--accounts", str(tmp_path), "--days", "2"])
    with pytest.raises(Stopped) as stopped, logging_restored():
        each_person(options, host(tmp_path), act)
    *said, last = str(stopped.value).splitlines()
    assert said == ([f"anna: {text}"] if text else [])
    who = "ben" if text else "anna, ben"
    assert last.startswith(f"Stopped before anything was done for {who}. Start the same command")
