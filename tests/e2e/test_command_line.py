"""The command as people type it: wrong use, wrong credentials, and addresses in all their forms."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tconnectsync import __version__
from tconnectsync.simulators.loopback import Fault, LoopbackServer, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tconnect.cloud import SimulatedTConnect
from tests.support.command import (
    AS_FILE,
    AS_MODULE,
    COMMAND,
    EMAIL,
    NEW_YORK,
    PASSWORD,
    SECRET,
    SERIAL,
    Computer,
    Finished,
    cloud,
    computer,
    days,
)
from tests.support.expected import expected, shown

FIRST = date(2024, 5, 6)
THREE_WINDOWS = days(FIRST, FIRST + timedelta(days=20))
ONE_DAY = days(FIRST, FIRST)
WRONG = "quite another secret, of good length too"

# A process of its own for each: the ways to start the program must not differ.
WAYS = pytest.mark.parametrize(
    "command", [COMMAND, AS_MODULE, AS_FILE], ids=["tconnectsync", "python -m", "main.py"]
)


@dataclass(frozen=True)
class Desk:
    """A computer, and the simulated services that it is set up for."""

    tconnect: SimulatedTConnect
    site: SmallNightscout
    home: Computer


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with cloud(live(FIRST, 1)) as tconnect, SmallNightscout(SECRET) as site:
        yield Desk(tconnect, site, computer(tmp_path, tconnect, site.url, SECRET))


# Wrong use


WRONG_USE = {
    "--start-date 2024-05-06": "--start-date and --end-date belong together",
    "--end-date 2024-05-06": "--start-date and --end-date belong together",
    "--start-date 2024-05-06 --end-date 2024-05-05": "2024-05-05 lies before",
    "--start-date 2024-05-06 --end-date 2024-05-06 --days 2": "--days cannot be combined",
    "--start-date 2024-05-06 --end-date 2024-05-06 --auto-update": "--auto-update cannot be",
    "--start-date 2999-01-01 --end-date 2999-01-02": "2999-01-01 lies in the future",
    "--start-date 9999-12-31 --end-date 9999-12-31": "9999-12-31 lies in the future",
    "--start-date 0001-01-01 --end-date 9999-12-31": "0001-01-01 lies before there were pumps",
    "--start-date soon --end-date 2024-05-06": "'soon' is not a date",
    "--start-date 2024-02-30 --end-date 2024-05-06": "'2024-02-30' is not a date",
    "--days many": "'many' is not a number of days",
    "--days 0": "'0' is not a number of days",
    "--features BASAL DREAMS": "DREAMS is not a feature",
    "--features": "--features: a value must follow it",
    "--pretend=yes": "--pretend: no value may follow it",
    "--days": "--days: a value must follow it",
    "--frobnicate": "there is no option --frobnicate. See",
    "--pretent": "there is no option --pretent; did you mean --pretend?",
    "-days 3": "there is no option -days; did you mean --days?",
    "--day=3": "there is no option --day; did you mean --days?",
    "yesterday": "“yesterday” belongs to no option",
}


@pytest.mark.parametrize("line", WRONG_USE)
def test_wrong_use_is_one_sentence_and_exit_code_2(desk: Desk, line: str) -> None:
    run = desk.home.run(*line.split())

    check_wrong_use(run, WRONG_USE[line])
    assert desk.tconnect.log == desk.site.log == []


def check_wrong_use(run: Finished, sentence: str) -> None:
    assert (run.code, run.output) == (2, "")
    (said,) = (line for line in run.errors.splitlines() if " INFO " not in line)
    assert said.startswith("tconnectsync: ")
    assert sentence in said


NEEDED = {
    "TCONNECT_EMAIL",
    "TCONNECT_PASSWORD",
    "NS_URL",
    "NS_SECRET (or API_SECRET, NS_API_SECRET)",
}


BY_SOURCE = pytest.mark.parametrize(
    ("source", "also"), [("tandem-source", set()), ("tconnect", {"PUMP_SERIAL_NUMBER"})]
)


@BY_SOURCE
def test_everything_that_is_not_configured_is_named_at_once(
    tmp_path: Path, source: str, also: set[str]
) -> None:
    run = Computer(tmp_path, {}).run("--source", source, TZ=None)

    assert (run.code, run.output) == (2, "")
    assert "Traceback" not in run.errors
    assert missing(run) == {*NEEDED, *also, "TIMEZONE_NAME (or TZ)"}


@BY_SOURCE
def test_placeholders_are_no_configuration(tmp_path: Path, source: str, also: set[str]) -> None:
    placeholders = {
        "TCONNECT_EMAIL": "email@email.com",
        "TCONNECT_PASSWORD": "password",
        "PUMP_SERIAL_NUMBER": "11111111",
        "NS_URL": "https://yournightscouturl/",
        "NS_SECRET": "apisecret",
        "TIMEZONE_NAME": NEW_YORK,
    }
    run = Computer(tmp_path, placeholders).run("--source", source)

    assert (run.code, run.output) == (2, "")
    assert missing(run) == {*NEEDED, *also}


def missing(run: Finished) -> set[str]:
    """Return what the run says is not set."""
    lines = (line.strip().partition(" is not set.") for line in run.errors.splitlines())
    return {name for name, found, _ in lines if found}


def test_values_that_cannot_be_are_named_with_what_to_write_instead(desk: Desk) -> None:
    run = desk.home.run(TIMEZONE_NAME="New York", NS_URL="my-site.example.org", CATCH_UP_DAYS="x")

    assert (run.code, run.output) == (2, "")
    for name in ("TIMEZONE_NAME", "NS_URL", "CATCH_UP_DAYS"):
        assert f"{name} is not usable: write " in run.errors
    assert desk.tconnect.log == desk.site.log == []


# The ways to start it


@WAYS
def test_the_version_is_said_however_it_is_started(tmp_path: Path, command: Sequence[str]) -> None:
    run = Computer(tmp_path, {}).run("--version", command=command)

    assert run == Finished(0, f"tconnectsync {__version__}\n", "")


@WAYS
def test_help_names_every_option_and_feature_however_it_is_started(
    tmp_path: Path, command: Sequence[str]
) -> None:
    run = Computer(tmp_path, {}).run("--help", command=command)

    assert (run.code, run.errors) == (0, "")
    assert run.output.startswith("usage: tconnectsync ")
    for name in ("--start-date", "--end-date", "--days", "--features", "--pretend", "--version"):
        assert name in run.output
    for name in ("BASAL", "BOLUS", "PUMP_EVENTS", "PUMP_EVENTS_BASAL_SUSPENSION"):
        assert name in run.output


@WAYS
def test_wrong_use_is_the_same_however_it_is_started(
    tmp_path: Path, command: Sequence[str]
) -> None:
    check_wrong_use(
        Computer(tmp_path, {}).run("--frobnicate", command=command), "no option --frobnicate"
    )


@WAYS
def test_it_syncs_however_it_is_started(desk: Desk, command: Sequence[str]) -> None:
    run = desk.home.run(*ONE_DAY, "--features", "BOLUS", command=command)

    boluses = [f for f in expected(desk.tconnect.history, NEW_YORK) if f.kind == "Combo Bolus"]
    assert (run.code, run.counts) == (0, (len(boluses), 0, 0))
    assert shown(desk.site.treatments) == boluses


def test_an_end_date_in_the_far_future_means_until_now(desk: Desk) -> None:
    yesterday = datetime.now(ZoneInfo(NEW_YORK)).date() - timedelta(days=1)

    run = desk.home.run(*days(yesterday, date.max), "--features", "BOLUS")

    assert (run.code, run.counts) == (0, (0, 0, 0))


@pytest.mark.parametrize("place", [".env", ".config/tconnectsync/.env"])
def test_the_configuration_can_be_in_a_file(desk: Desk, place: str) -> None:
    values = {**desk.home.variables, "TCONNECT_PASSWORD": PASSWORD.replace('"', '\\"')}
    file = desk.home.folder / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f'{name}="{value}"\n' for name, value in values.items()))

    run = Computer(desk.home.folder, {}).run(*ONE_DAY, "--features", "BOLUS")

    assert (run.code, run.counts.created) == (0, len(desk.site.treatments))
    assert desk.site.treatments


# Credentials


def test_a_wrong_secret_is_tried_once_and_named(desk: Desk) -> None:
    run = desk.home.run(*THREE_WINDOWS, NS_SECRET=WRONG)

    assert (run.code, run.counts) == (1, (0, 0, 0))
    (problem,) = problems(run)
    assert "Nightscout does not accept NS_SECRET" in problem
    assert [entry.status for entry in desk.site.log] == [401]
    # With the same secret it would be the same; what is missing stays in the backlog.
    assert run.repeats == []


def test_a_wrong_secret_is_noticed_before_tandem_is_asked_where_no_dates_are_given(
    desk: Desk,
) -> None:
    run = desk.home.run(NS_SECRET=WRONG)

    assert (run.code, run.output) == (1, "")
    *_, said = run.errors.splitlines()
    assert said.startswith("tconnectsync: Nightscout does not accept NS_SECRET")
    assert problems(run) == []
    assert [entry.status for entry in desk.site.log] == [401]
    assert desk.tconnect.log == []


def test_a_wrong_password_is_tried_once_and_named(desk: Desk) -> None:
    run = desk.home.run(*THREE_WINDOWS, TCONNECT_PASSWORD=WRONG)

    assert (run.code, run.counts) == (2, (0, 0, 0))
    (problem,) = problems(run)
    assert "Error logging in to t:connect" in problem
    assert [entry.request.method for entry in desk.tconnect.log] == ["GET", "POST"]
    assert desk.site.log == []


@pytest.mark.parametrize("name", ["NS_SECRET", "TCONNECT_PASSWORD"])
def test_wrong_credentials_end_auto_update_with_the_code_for_not_starting_it_again(
    desk: Desk, name: str
) -> None:
    run = desk.home.run("--auto-update", **{name: WRONG})

    assert run.code == 2
    (problem,) = problems(run)
    assert "Giving up, because trying again would not help" in problem


def test_a_cloud_that_refuses_its_own_login_is_not_logged_in_to_for_each_window(
    desk: Desk,
) -> None:
    desk.tconnect.fault = lambda request: (
        Response(b"", 401) if request.path.startswith("/tconnect/") else None
    )
    run = desk.home.run(*THREE_WINDOWS)

    logins = [entry for entry in desk.tconnect.log if "txtLoginPassword" in str(entry.request.body)]
    assert (run.code, len(logins)) == (1, 2)
    (problem,) = problems(run)
    assert "refuses the login that it gave a moment ago" in problem
    assert run.repeats == [[*THREE_WINDOWS, "--features", "BASAL", "BOLUS"]]


def problems(run: Finished) -> list[str]:
    """Return the lines that report a failure, and insist that there is no traceback."""
    assert "Traceback" not in run.errors
    return [line for line in run.errors.splitlines() if " ERROR " in line]


@pytest.mark.parametrize("failing", ["", "NS_SECRET", "TCONNECT_PASSWORD", "data"])
def test_nothing_secret_is_ever_shown(desk: Desk, failing: str) -> None:
    notice = f'<div class="notice_error">{EMAIL} may not use the password {WRONG}</div>'
    guid = desk.tconnect.user_guid

    def fault(request: Request) -> Response | None:
        if failing == "TCONNECT_PASSWORD" and request.method == "POST":
            return Response(notice.encode(), content_type="text/html")
        if failing == "data" and guid in request.path:
            return Response(f"{guid} {EMAIL}".encode(), 403)
        return None

    desk.tconnect.fault = fault
    wrong = {failing: WRONG} if failing.isupper() else {}
    run = desk.home.run("-v", *ONE_DAY, "--features", "BASAL", "BOLUS", "PUMP_EVENTS", **wrong)

    assert run.code == {"": 0, "TCONNECT_PASSWORD": 2}.get(failing, 1)
    shown = (run.output + run.errors).lower()
    for secret in (EMAIL, PASSWORD, SERIAL, SECRET, WRONG, guid, *desk.tconnect.tokens):
        for form in (secret, hashlib.sha1(secret.encode()).hexdigest()):
            assert form.lower() not in shown
    assert all(WRONG not in str(entry.request.query) for entry in desk.site.log)


# Addresses


@pytest.mark.parametrize("prefix", ["", "/family/robin"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_the_site_may_have_a_path_and_a_slash_at_its_end(
    desk: Desk, prefix: str, slash: str
) -> None:
    def pass_on(request: Request) -> Response:
        path = request.path.removeprefix(prefix)
        if not request.path.startswith(f"{prefix}/api/v1/"):
            return Response(b"", 404)
        answer = desk.site.answer(replace(request, path=path))
        assert not isinstance(answer, Fault)
        return answer

    with LoopbackServer(pass_on) as front:
        address = f"{front.url}{prefix}{slash}"
        run = desk.home.run(*ONE_DAY, "--features", "BOLUS", NS_URL=address)
        paths = {entry.request.path for entry in front.log}

    assert run.code == 0
    assert run.counts.created == len(desk.site.treatments) > 0
    assert paths == {f"{prefix}/api/v1/treatments"}
