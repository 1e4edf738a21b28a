"""Monitors, messages, systemd and the log of programs, with the command as a process."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.simulators.loopback import LoopbackServer, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tests.support.command import (
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
from tests.support.fast_process import ends_when_asked, running, said, soon

NOW = datetime.now(ZoneInfo(NEW_YORK)).replace(tzinfo=None)
PERSONAL = (EMAIL, PASSWORD, SERIAL, SECRET)
WRONG = {"TCONNECT_PASSWORD": "wrong", "CACHE_CREDENTIALS": "false"}


@pytest.fixture(scope="module")
def tandem() -> Iterator[SimulatedTandemSource]:
    with tandem_source(live(NOW.date() - timedelta(days=2), 3)) as server:
        server.uploaded_until = NOW - timedelta(minutes=20)
        yield server


@pytest.fixture
def home(tmp_path: Path, tandem: SimulatedTandemSource, site: SmallNightscout) -> Computer:
    return computer(tmp_path, tandem, site.url, SECRET)


@pytest.fixture
def receiver() -> Iterator[LoopbackServer]:
    with LoopbackServer(lambda request: Response(b"OK")) as server:
        yield server


def paths(receiver: LoopbackServer) -> list[str]:
    return [entry.request.path for entry in receiver.log]


def written(site: SmallNightscout) -> bool:
    return any(entry.request.method == "POST" for entry in site.log)


def test_the_monitor_hears_of_a_good_run_and_of_a_failed_one(
    home: Computer, receiver: LoopbackServer
) -> None:
    ping = {"PING_URL": f"{receiver.url}/a-secret-token"}
    assert home.run(**ping).code == 0
    failed = home.run(**ping, **WRONG)
    assert failed.code == 2
    home.run(**ping, TIMEZONE_NAME=None)
    assert paths(receiver) == [
        "/a-secret-token/start",
        "/a-secret-token",
        "/a-secret-token/start",
        "/a-secret-token/fail",
        "/a-secret-token/fail",
    ]


def test_a_monitor_that_does_not_answer_holds_up_no_insulin(
    home: Computer, receiver: LoopbackServer, site: SmallNightscout
) -> None:
    """Its answer to the beginning comes when the treatments have been written, and not before."""
    order = []

    def wait_for_the_writes(request: Request) -> Response | None:
        if request.path.endswith("/start"):
            soon(lambda: written(site))
        order.append((request.path, written(site)))
        return None

    receiver.fault = wait_for_the_writes
    assert home.run(PING_URL=f"{receiver.url}/token").code == 0
    assert order == [("/token/start", True), ("/token", True)]


def test_a_monitor_that_fails_changes_nothing_but_a_warning(
    home: Computer, receiver: LoopbackServer
) -> None:
    receiver.fault = lambda request: Response(status=500)
    run = home.run("-v", PING_URL=f"{receiver.url}/a-secret-token")
    assert run.code == 0
    assert "WARNING  The call to the monitor (PING_URL) has failed" in run.errors
    assert "a-secret-token" not in run.errors + run.output
    assert home.run("--status").code == 0


def test_a_range_that_a_person_asks_for_is_not_reported(
    home: Computer, receiver: LoopbackServer
) -> None:
    """The person sees it; and it says nothing of whether the planned runs take place."""
    yesterday = NOW.date() - timedelta(days=1)
    told = {"PING_URL": f"{receiver.url}/x", "NOTIFY_AFTER_MINUTES": "0"}
    home.run(*days(yesterday, yesterday), **told)
    assert receiver.log == []


def test_one_message_comes_when_it_stops_and_one_when_it_is_well_again(
    home: Computer, receiver: LoopbackServer, site: SmallNightscout
) -> None:
    notify = {
        "NOTIFY_URLS": f"{receiver.url.replace('http:', 'json:')}/a-secret-topic",
        "NOTIFY_AFTER_MINUTES": "0",
    }
    for changes in ({}, WRONG, WRONG, {}, {}):
        home.run(**notify, **changes)
    bodies = [json.loads(entry.request.body) for entry in receiver.log]
    assert [body["title"] for body in bodies] == [
        "tconnectsync: Tandem does not accept the login",
        "tconnectsync: all is well again",
    ]
    assert "--check-login" in bodies[0]["message"]
    text = str(bodies)
    assert not [each for each in (*PERSONAL, site.url, SERIAL[-4:]) if each in text]
    kinds = {document["eventType"] for document in site.treatments}
    assert kinds.isdisjoint({"Announcement", "Note"})


def test_without_the_package_for_messages_it_says_how_to_install_it(home: Computer) -> None:
    lacking = replace(home, patch="import sys; sys.modules['apprise'] = None")
    run = lacking.run(NOTIFY_URLS="ntfy://a-secret-topic", NOTIFY_AFTER_MINUTES="0")
    assert run.code == 0
    assert run.errors.count("pip install apprise") == 1
    assert "a-secret-topic" not in run.errors


def test_settings_that_cannot_be_used_are_said_too(
    home: Computer, receiver: LoopbackServer
) -> None:
    notify = f"{receiver.url.replace('http:', 'json:')}/topic"
    run = home.run("--auto-update", NOTIFY_URLS=notify, TIMEZONE_NAME="Mars", NS_URL=None)
    assert run.code == 2
    (entry,) = receiver.log
    body = json.loads(entry.request.body)
    assert body["title"] == "tconnectsync: The settings cannot be used"
    assert "TIMEZONE_NAME" in body["message"]
    assert "Mars" not in body["message"]


def test_the_loop_calls_the_monitor_after_every_round(
    home: Computer, receiver: LoopbackServer
) -> None:
    with running(home, PING_URL=f"{receiver.url}/token") as process:
        soon(lambda: len(receiver.log) > 4)
        ends_when_asked(home, process, signal.SIGTERM)
    assert paths(receiver)[:3] == ["/token/start", "/token", "/token"]
    asked = home.run("--status", "--json")
    (person,) = json.loads(asked.output)["people"]
    assert (asked.code, person["continuous"]) == (0, True)


def test_systemd_hears_when_it_is_ready_how_it_is_and_that_it_lives(home: Computer) -> None:
    if not hasattr(socket, "AF_UNIX"):
        pytest.skip("there is no such socket here")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        path = home.folder / "notify"
        manager.bind(str(path))
        manager.settimeout(300)
        lines: list[str] = []
        with running(home, NOTIFY_SOCKET=str(path), WATCHDOG_USEC="6000000") as process:
            while lines.count("WATCHDOG=1") < 10 or not any("STATUS=" in it for it in lines):
                lines += manager.recv(1000).decode().split("\n")
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=300) == 0
        while "STOPPING=1" not in lines:
            lines += manager.recv(1000).decode().split("\n")
    told = [line for line in lines if line != "WATCHDOG=1"]
    assert told[:2] == ["READY=1", "STATUS=All that the pump has uploaded is in Nightscout"]
    assert told[-1] == "STOPPING=1"


def test_a_service_with_wrong_settings_is_never_ready(home: Computer) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(home.folder / "notify"))
        manager.setblocking(False)
        run = home.run(
            "--auto-update", NOTIFY_SOCKET=str(home.folder / "notify"), TIMEZONE_NAME="Mars"
        )
        assert run.code == 2
        assert manager.recv(1000) == b"STATUS=The settings cannot be used"


def test_the_log_can_be_one_for_programs(home: Computer) -> None:
    run = home.run("-v", LOG_FORMAT="json")
    assert run.code == 0
    lines = [json.loads(line) for line in run.errors.splitlines()]
    assert {line["level"] for line in lines} == {"debug", "info"}
    for line in lines:
        assert datetime.fromisoformat(line["time"]).tzinfo
    assert not [each for each in PERSONAL if each in run.errors]


@pytest.mark.parametrize("changes", [WRONG, {"TIMEZONE_NAME": "Mars"}], ids=["login", "settings"])
def test_what_ends_a_run_is_in_that_log_too(home: Computer, changes: dict[str, str]) -> None:
    run = home.run(LOG_FORMAT="json", **changes)
    assert run.code == 2
    lines = [json.loads(line) for line in run.errors.splitlines()]
    assert lines[-1]["level"] == "error"


def test_how_much_is_logged_can_be_set_and_an_option_overrules_it(home: Computer) -> None:
    assert home.run(LOG_LEVEL="WARN").errors == ""
    assert "INFO" in home.run().errors
    assert "DEBUG" in home.run(LOG_LEVEL="debug").errors
    assert "DEBUG" in home.run("-v", LOG_LEVEL="error").errors


def test_the_loop_goes_on_while_the_monitor_is_down(home: Computer) -> None:
    with running(home, PING_URL="http://127.0.0.1:9/a-secret-token") as process:
        soon(lambda: said(home).count("PING_URL") > 1)
        ends_when_asked(home, process, signal.SIGINT)
    assert "a-secret-token" not in said(home)
    assert "PING_URL" in said(home)
