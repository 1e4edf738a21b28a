"""--accounts: several people in one process, each for themselves."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.simulators.loopback import Fault, Logged, Request, Response
from tconnectsync.state.record import State
from tests.support.command import ALL_FEATURES, NEW_YORK, Computer
from tests.support.expected import logged, shown
from tests.support.fast_process import running, said, soon
from tests.support.people import PEOPLE, Somebody, household, shared_computer, write_settings

NOW = datetime.now(ZoneInfo(NEW_YORK)).replace(tzinfo=None)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NAMES = ("anna", "ben")
FOR_ALL = ("--accounts", PEOPLE)

Household = dict[str, Somebody]


@pytest.fixture
def people(tmp_path: Path) -> Iterator[Household]:
    """Give two people whose pumps have uploaded until two hours ago."""
    with household(tmp_path, NOW.date() - 2 * DAY, 3, *NAMES, until=NOW - 2 * HOUR) as found:
        yield found


@pytest.fixture
def home(tmp_path: Path) -> Computer:
    """Give the computer of both."""
    return shared_computer(tmp_path)


def records(home: Computer) -> dict[str, dict[str, Any]]:
    """Return the run records by the names of the people."""
    found = [
        json.loads(path.read_text())
        for path in (home.folder / ".cache" / "tconnectsync").glob("record-*.json")
    ]
    return {record["person"]: record for record in found}


def states(home: Computer) -> dict[str, str]:
    """Return how it goes for each."""
    return {name: record["state"] for name, record in records(home).items()}


def change(home: Computer, somebody: Somebody, **changes: str) -> None:
    """Write other settings to a person's file."""
    file = home.folder / PEOPLE / f"{somebody.name}.env"
    write_settings(file, {**somebody.variables, **changes})


def has_own_data(somebody: Somebody) -> bool:
    """Return whether the site shows this person's life and nothing else."""
    facts = set(shown(somebody.site.treatments))
    life = set(logged(somebody.tandem.history, somebody.tandem.clocks))
    return len(facts) > 100 and len(facts - life) <= 2  # What still runs has no end in the life.


def test_one_run_syncs_everybody_to_their_own_site(home: Computer, people: Household) -> None:
    finished = home.run(*FOR_ALL, *ALL_FEATURES)
    assert finished.code == 0, finished.errors
    assert all(has_own_data(each) for each in people.values())
    assert shown(people["anna"].site.treatments) != shown(people["ben"].site.treatments)
    assert states(home) == dict.fromkeys(NAMES, State.OK)
    lines = finished.errors.splitlines()
    assert all(re.search(r" (anna|ben): ", line) for line in lines), lines


@pytest.mark.parametrize(
    "how",
    [
        ("--days", "2"),
        ("--start-date", f"{NOW.date() - DAY}", "--end-date", f"{NOW.date() - DAY}"),
        ("--pretend",),
        ("--check-login",),
        ("--shape-report",),
    ],
    ids=lambda how: how[0],
)
def test_every_way_of_running_is_for_everybody(
    home: Computer, people: Household, how: tuple[str, ...]
) -> None:
    finished = home.run(*FOR_ALL, *how)
    assert finished.code == 0, finished.output + finished.errors
    writes = {name: each.site.writes > 0 for name, each in people.items()}
    is_to_write = how[0] in ("--days", "--start-date")
    assert writes == dict.fromkeys(NAMES, is_to_write)
    for name, each in people.items():
        assert each.tandem.login.logins == 1
        assert f"{name}: " in (finished.errors if is_to_write else finished.output)
    if how[0] == "--check-login":
        files = {path.name for path in home.folder.glob("*.log")}
        assert files == {f"tconnectsync-check-output-{name}.log" for name in NAMES}


def test_one_person_alone_can_be_asked_for(home: Computer, people: Household) -> None:
    assert home.run(*FOR_ALL, "--person", "ben").code == 0
    assert (people["anna"].site.writes, people["anna"].tandem.log) == (0, [])
    assert has_own_data(people["ben"])
    finished = home.run(*FOR_ALL, "--person", "bem")
    assert (finished.code, "did you mean ben?" in finished.errors) == (2, True)


def test_what_failed_for_one_person_is_repeated_for_that_one(
    home: Computer, people: Household
) -> None:
    people["ben"].tandem.fault = lambda request: (
        Response(b"{}", 500) if "pump-logs" in request.path else None
    )
    dates = ("--start-date", f"{NOW.date() - DAY}", "--end-date", f"{NOW.date() - DAY}")
    finished = home.run(*FOR_ALL, *dates)
    assert finished.code == 1
    (command,) = re.findall(r"To repeat what failed: (.+)", finished.errors)
    assert "--person ben" in command
    assert f"--accounts {home.folder / PEOPLE}" in command
    assert people["anna"].site.writes > 0


def test_wrong_settings_of_one_keep_no_others_waiting(home: Computer, people: Household) -> None:
    change(home, people["anna"], NS_URL="my-site")
    finished = home.run(*FOR_ALL)
    assert finished.code == 1
    assert "anna:   NS_URL is not usable" in finished.errors
    assert states(home) == {"anna": State.SETTINGS_WRONG, "ben": State.OK}
    assert has_own_data(people["ben"])
    change(home, people["ben"], NS_URL="my-site")
    assert home.run(*FOR_ALL).code == 2


@pytest.mark.parametrize("page", ["", "/", "/report"])
def test_two_people_never_write_to_one_site(home: Computer, people: Household, page: str) -> None:
    site = people["ben"].site.url + page
    change(home, people["anna"], NS_URL=site, NS_SECRET=people["ben"].secret)
    finished = home.run(*FOR_ALL)
    assert finished.code == 2
    assert "anna.env and ben.env have the same Nightscout site" in finished.errors
    assert states(home) == dict.fromkeys(NAMES, State.SETTINGS_WRONG)
    assert [each.site.log for each in people.values()] == [[], []]


def test_one_account_needs_a_pump_for_each(home: Computer, people: Household) -> None:
    anna, ben = people.values()
    anna.tandem.pumps = [ben.tandem.pump]
    login = {"TCONNECT_EMAIL": anna.email, "TCONNECT_PASSWORD": anna.password}
    both = {**login, **anna.tandem.variables}
    for serials in (("", ""), (anna.serial, anna.serial), (anna.serial, "")):
        for each, serial in zip((anna, ben), serials, strict=True):
            change(home, each, **both, PUMP_SERIAL_NUMBER=serial)
        finished = home.run(*FOR_ALL)
        assert finished.code == 2
        assert "anna.env and ben.env have the same Tandem account" in finished.errors
    change(home, anna)
    change(home, ben, **both)
    finished = home.run(*FOR_ALL, *ALL_FEATURES)
    assert finished.code == 0, finished.errors
    assert has_own_data(anna)
    assert has_own_data(ben)


def test_no_person_gets_what_is_missing_from_the_environment(
    home: Computer, people: Household, tmp_path: Path
) -> None:
    anna, ben = people.values()
    change(home, ben, TCONNECT_PASSWORD="", NS_SECRET="")
    shared = shared_computer(
        tmp_path, TCONNECT_PASSWORD=anna.password, API_SECRET=anna.secret, NS_URL=anna.site.url
    )
    finished = shared.run(*FOR_ALL)
    assert finished.code == 1
    assert "ben:   TCONNECT_PASSWORD is not set." in finished.errors
    assert f"ben: Set them in {home.folder / PEOPLE}/ben.env or " in finished.errors
    assert "ben:   NS_SECRET (or API_SECRET, NS_API_SECRET) is not set." in finished.errors
    assert "TCONNECT_PASSWORD, API_SECRET, NS_URL in the environment" in finished.errors
    assert (ben.tandem.log, ben.site.log) == ([], [])
    assert has_own_data(anna)


# --- the loop ---


def ends_well(home: Computer, process: subprocess.Popen[str]) -> None:
    """Ask it to end; insist that it does, and that no thread goes on with its work."""
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=300) == 0
    assert "A request after the signal" not in said(home)
    assert said(home).rstrip().endswith("the next run continues from here.")


def test_the_loop_follows_everybodys_uploads(home: Computer, people: Household) -> None:
    with running(home, *FOR_ALL, *ALL_FEATURES) as process:
        soon(lambda: all(len(each.site.treatments) > 100 for each in people.values()))
        before = {name: len(each.site.treatments) for name, each in people.items()}
        people["ben"].tandem.uploaded_until = NOW
        soon(lambda: len(people["ben"].site.treatments) > before["ben"])
        people["anna"].tandem.uploaded_until = NOW
        soon(lambda: len(people["anna"].site.treatments) > before["anna"])
        ends_well(home, process)
    assert "Traceback" not in said(home)
    assert all(has_own_data(each) for each in people.values())
    assert {each.tandem.login.logins for each in people.values()} == {1}


def test_it_ends_at_once_while_one_is_kept_waiting_and_another_sleeps(
    home: Computer, people: Household
) -> None:
    asked: list[Request] = []

    def hang(request: Request) -> Response | None:
        if "pump-logs" not in request.path:
            return None
        asked.append(request)
        return Response(b"{}", delay=600)

    people["anna"].tandem.fault = hang
    people["ben"].tandem.fault = lambda request: Response(b"", 503)
    with running(home, *FOR_ALL) as process:
        soon(lambda: asked and len(people["ben"].tandem.log) > 2)
        ends_well(home, process)
    assert "Traceback" not in said(home)
    assert "Nothing is lost" in said(home)


def test_a_site_that_hangs_delays_no_others(home: Computer, people: Household) -> None:
    people["anna"].site.fault = lambda request: Response(b"[]", delay=600)
    with running(home, *FOR_ALL) as process:
        soon(lambda: len(people["ben"].site.treatments) > 100)
        before = len(people["ben"].site.treatments)
        people["ben"].tandem.uploaded_until = NOW
        soon(lambda: len(people["ben"].site.treatments) > before)
        ends_well(home, process)


def test_a_refused_password_parks_one_person_until_the_file_is_corrected(
    home: Computer, people: Household
) -> None:
    anna, ben = people.values()
    change(home, anna, TCONNECT_PASSWORD="wrong")

    def tries() -> int:
        return sum(entry.request.path == "/accounts/api/login" for entry in anna.tandem.log)

    with running(home, *FOR_ALL) as process:
        soon(lambda: states(home) == {"anna": State.LOGIN_REFUSED, "ben": State.OK})
        polls = len(ben.tandem.log)
        soon(lambda: len(ben.tandem.log) > polls + 5)
        assert (tries(), process.poll()) == (1, None)
        change(home, anna)
        soon(lambda: len(anna.site.treatments) > 100)
        soon(lambda: states(home) == dict.fromkeys(NAMES, State.OK))
        ends_well(home, process)
    assert tries() == 2
    assert said(home).count("Waiting until the settings are changed") == 1


def test_it_ends_with_2_only_when_no_one_can_be_synced(home: Computer, people: Household) -> None:
    for each in people.values():
        change(home, each, TCONNECT_PASSWORD="wrong")
    with running(home, *FOR_ALL) as process:
        assert process.wait(timeout=300) == 2
    assert states(home) == dict.fromkeys(NAMES, State.LOGIN_REFUSED)
    assert "Traceback" not in said(home)


def test_settings_that_are_corrected_while_it_runs_are_tried(
    home: Computer, people: Household
) -> None:
    anna, ben = people.values()
    change(home, anna, NS_URL=ben.site.url)
    with running(home, *FOR_ALL, "--stay") as process:
        soon(lambda: states(home) == dict.fromkeys(NAMES, State.SETTINGS_WRONG))
        assert process.poll() is None
        change(home, anna)
        soon(lambda: all(len(each.site.treatments) > 100 for each in people.values()))
        ends_well(home, process)
    assert all(has_own_data(each) for each in people.values())


def test_a_person_for_whom_it_gave_up_is_tried_again_after_some_minutes(
    home: Computer, people: Household
) -> None:
    anna, ben = people.values()
    anna.tandem.fault = lambda request: Response(b"<html>Sorry</html>", 503, "text/html")
    with running(home, *FOR_ALL, AUTOUPDATE_API_FAILURE_MINUTES="2") as process:
        soon(lambda: "anna: Resting; starting again in 10 minutes." in said(home))
        anna.tandem.fault = None
        soon(lambda: len(anna.site.treatments) > 100)
        ends_well(home, process)
    assert has_own_data(ben)


# --- the law ---


def echo(request: Request) -> bytes:
    """Return all that a request held."""
    return json.dumps([request.headers, request.body.decode(errors="replace")]).encode()


class Faults:
    """Lets some of the first requests fail in every way, and repeat what was sent."""

    def __init__(self) -> None:
        self.number = 0
        self.refused = False

    def __call__(self, request: Request) -> Response | Fault | None:
        self.number += 1
        if self.number > 60:
            return None
        answers: dict[int, Response | Fault] = {
            3: Response(echo(request), 500),
            5: Fault.DROP,
            8: Response(echo(request), 502),
            11: Fault.CUT,
            14: Response(echo(request), 503),
            17: Response(echo(request), 200),
            20: Fault.RESET,
            40: Response(echo(request), 500),
        }
        if self.number > 22 and not self.refused and request.method == "GET":
            # A login is asked for again; one that is refused itself would end all.
            self.refused = True
            return Response(b"", 401)
        return answers.get(self.number)


def text_of(entry: Logged) -> str:
    request = entry.request
    parts = (request.path, request.query, request.headers, request.body.decode(errors="replace"))
    return json.dumps(parts)


def found_in(text: str, personal: Mapping[str, str]) -> list[str]:
    """Return what of a person's is in a text."""
    lowered = text.lower()
    return [what for what, value in personal.items() if value.lower() in lowered]


def test_nothing_of_one_is_ever_in_a_request_a_file_or_a_line_of_the_other(
    home: Computer, people: Household
) -> None:
    personal: dict[str, dict[str, str]] = {name: {} for name in NAMES}

    def learn() -> None:
        for name, each in people.items():
            personal[name] |= each.personal

    for each in people.values():
        each.tandem.fault, each.site.fault = Faults(), Faults()
    with running(home, *FOR_ALL, *ALL_FEATURES, "PROFILES", "IOB", "-v") as process:
        soon(lambda: all(len(each.site.treatments) > 100 for each in people.values()))
        for hour in (1.5, 1, 0.5, 0):
            learn()
            for each in people.values():
                each.tandem.login.tokens.clear()
                each.tandem.uploaded_until = NOW - hour * HOUR
            soon(lambda: all(each.tandem.login.tokens for each in people.values()))
        ends_well(home, process)
    learn()
    assert all(each.tandem.login.logins > 1 for each in people.values())
    for name, each in people.items():
        others = {k: v for who, it in personal.items() if who != name for k, v in it.items()}
        requests = [*each.tandem.log, *each.site.log]
        assert len(requests) > 60
        assert [w for entry in requests for w in found_in(text_of(entry), others)] == []
        lines = [line for line in said(home).splitlines() if f" {name}: " in line]
        assert len(lines) > 20
        assert [(line, w) for line in lines for w in found_in(line, others)] == []
        secret = {k: v for k, v in personal[name].items() if not k.startswith("address")}
        assert [(line, w) for line in lines for w in found_in(line, secret)] == []
        assert has_own_data(each)
    files = [path for path in (home.folder / ".cache").rglob("*") if path.is_file()]
    assert len(files) >= 6
    about = {
        path.name: {name for name in NAMES if found_in(path.read_text(), personal[name])}
        for path in files
    }
    assert all(len(names) <= 1 for names in about.values()), about
    assert any(about.values())  # A saved login, unless it is just being renewed.
