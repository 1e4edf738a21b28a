"""What monitors and people hear after a run, at receivers on loopback."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.clock import Clock
from tconnectsync.config.settings import Configuration, WatchSettings
from tconnectsync.redact import Redactor
from tconnectsync.simulators.loopback import Fault, LoopbackServer, Request, Response
from tconnectsync.state.record import RunRecord, State
from tconnectsync.stop import Stopped
from tconnectsync.watch.messages import addresses, send, text_of
from tconnectsync.watch.metrics import metrics
from tconnectsync.watch.ping import Pings, address_for
from tconnectsync.watch.reporter import RunReporter
from tconnectsync.watch.systemd import Systemd
from tests.support.clocks import NO_WAITING

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TOKEN = "3f5c7a90-1b2c-4d5e-8f90-a1b2c3d4e5f6"
OK = RunRecord(NOON, State.OK, NOON, NOON + HOUR, last_ok=NOON)
BAD = RunRecord(
    at=NOON,
    state=State.LOGIN_REFUSED,
    since=NOON - 2 * HOUR,
    fresh_until=NOON + HOUR,
    cause="Tandem does not accept the password.",
    action="Correct it.",
    bad_since=NOON - 2 * HOUR,
    last_ok=NOON - 3 * HOUR,
)


@pytest.fixture
def receiver() -> Iterator[LoopbackServer]:
    with LoopbackServer(lambda request: Response(b"OK")) as server:
        yield server


def asked(receiver: LoopbackServer) -> list[str]:
    return [entry.request.path for entry in receiver.log]


# Pings


def test_a_monitor_hears_of_the_beginning_the_end_and_a_failure(receiver: LoopbackServer) -> None:
    pings = Pings(f"{receiver.url}/{TOKEN}", NO_WAITING)
    pings.start()
    assert pings.result(OK) == pings.result(BAD) == ""
    assert asked(receiver) == [f"/{TOKEN}/start", f"/{TOKEN}", f"/{TOKEN}/fail"]


def test_the_result_is_sent_after_the_beginning_however_slow_that_is(
    receiver: LoopbackServer,
) -> None:
    """The other way round, the monitor would think that the run still goes on."""
    receiver.fault = lambda request: (
        Response(delay=0.5) if request.path.endswith("/start") else None
    )
    pings = Pings(f"{receiver.url}/{TOKEN}/", NO_WAITING)
    pings.start()
    pings.result(OK)
    assert asked(receiver) == [f"/{TOKEN}/start", f"/{TOKEN}/"]


def test_uptime_kuma_gets_a_status_and_what_it_means(receiver: LoopbackServer) -> None:
    pings = Pings(f"{receiver.url}/api/push/{TOKEN}?status=up&msg=OK&ping=", NO_WAITING)
    pings.start()
    pings.result(OK)
    pings.result(BAD)
    queries = [entry.request.query for entry in receiver.log]
    assert [query["status"] for query in queries] == ["up", "down"]
    assert queries[1]["msg"] == "Tandem does not accept the login"
    assert set(queries[0]) == {"status", "msg", "ping"}


@pytest.mark.parametrize(
    ("url", "failing"),
    [
        ("https://hc.example.org/uuid", "https://hc.example.org/uuid/fail"),
        (
            "https://hc.example.org/key/slug?create=1",
            "https://hc.example.org/key/slug/fail?create=1",
        ),
    ],
)
def test_what_an_address_has_behind_a_question_mark_stays(url: str, failing: str) -> None:
    assert address_for(url, State.OK) == url
    assert address_for(url, State.BLOCKED) == failing


def test_no_ping_follows_a_redirect_to_another_host(receiver: LoopbackServer) -> None:
    moved = Response(status=302, headers=[("Location", f"{receiver.url}/{TOKEN}")])
    with LoopbackServer(lambda request: moved) as other:
        problem = Pings(f"{other.url}/{TOKEN}", NO_WAITING).result(OK)
    assert "leads to another address" in problem
    assert receiver.log == []


def test_a_ping_that_is_stopped_leaves_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def stopped() -> None:
        raise Stopped

    pings = Pings("http://127.0.0.1:9", replace(NO_WAITING, go_on=stopped))
    assert "has failed" in pings.result(BAD)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("fault", [Response(status=404), Fault.DROP, Fault.CUT])
def test_a_ping_that_fails_says_so_without_its_address(
    receiver: LoopbackServer, fault: Response | Fault
) -> None:
    receiver.fault = lambda request: fault
    problem = Pings(f"{receiver.url}/{TOKEN}", NO_WAITING).result(OK)
    assert problem.startswith("The call to the monitor (PING_URL) has failed")
    assert TOKEN not in problem
    assert "127.0.0.1" not in problem


# Messages


def notify(receiver: LoopbackServer, path: str = "secret-topic") -> str:
    return f"{receiver.url.replace('http:', 'json:')}/{path}"


def told(receiver: LoopbackServer) -> list[dict[str, str]]:
    return [json.loads(entry.request.body) for entry in receiver.log]


def test_a_message_says_the_state_since_when_and_what_to_do(receiver: LoopbackServer) -> None:
    title, text = text_of(BAD._replace(person="robin"), NOON, ZoneInfo("America/New_York"))
    assert send(notify(receiver), title, text) == ""
    (message,) = told(receiver)
    assert message["title"] == "tconnectsync (robin): Tandem does not accept the login"
    assert message["message"] == (
        "Tandem does not accept the login, since 2024-05-06 06:00 (2 hours ago).\n"
        "Tandem does not accept the password.\n"
        "All was well at 2024-05-06 05:00 (3 hours ago) for the last time.\n"
        "Correct it."
    )


def test_a_message_says_that_all_is_well_again(receiver: LoopbackServer) -> None:
    title, _ = text_of(OK, NOON, UTC)
    assert title == "tconnectsync: all is well again"


def test_one_address_that_fails_keeps_no_other_from_the_message(
    receiver: LoopbackServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Else the others would get it again and again."""
    receiver.fault = lambda request: Response(status=500) if "broken" in request.path else None
    urls = f"{notify(receiver, 'broken')}, {notify(receiver)}\nnonsense://x"
    assert send(urls, "title", "text") == ""
    assert caplog.messages == [
        "The message to NOTIFY_URLS could not be sent to address 1. NOTIFY_URLS: apprise does not "
        "understand address 3, so no message will be sent there."
    ]


def test_a_message_that_does_not_arrive_is_a_problem_without_the_address(
    receiver: LoopbackServer, capfd: pytest.CaptureFixture[str]
) -> None:
    receiver.fault = lambda request: Response(status=500)
    problem = send(notify(receiver), "title", "text")
    assert problem == "The message to NOTIFY_URLS could not be sent to address 1."
    assert "topic" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("between", [" ", ",", ", ", "\n", " ,  "])
def test_addresses_are_separated_by_blanks_or_commas(between: str) -> None:
    both = ["mailto://robin:a%20b@example.org?to=x,y@example.org", "ntfy://topic"]
    assert addresses(between.join(both)) == both


@pytest.mark.parametrize(
    "value", ["robins-topic", "ntfy:robins-topic", "mailto://robin:a b@example.org"]
)
def test_what_is_no_address_is_refused_without_repeating_it(value: str) -> None:
    (problem,) = [
        each for each in Configuration({"NOTIFY_URLS": value}, {}).problems if "NOTIFY" in each
    ]
    assert "write addresses of apprise" in problem
    assert value not in problem


def test_no_part_of_a_secret_address_reaches_the_log() -> None:
    """Libraries quote the address in parts, as in "Max retries exceeded with url: /x/fail"."""
    values = {
        "PING_URL": f"https://hc.example.org/{TOKEN}",
        "NOTIFY_URLS": "tgram://123456789:AbCdEfGhIj/987654321 ntfy://robins-own-topic",
    }
    redact = Redactor(Configuration(values, {}).secrets)
    text = f"url: /{TOKEN}/fail, /bot123456789:AbCdEfGhIj/send, chat 987654321, robins-own-topic."
    shown = redact(text)
    for secret in (TOKEN, "AbCdEfGhIj", "987654321", "robins-own-topic"):
        assert secret not in shown


# All of them together


def reporter(**values: str) -> RunReporter:
    settings = Configuration(values, {}).usable(WatchSettings)
    clock = replace(NO_WAITING, now=lambda: NOON)
    return RunReporter(settings, clock, UTC, Systemd({}), "robin")


def test_nothing_is_sent_unless_the_settings_name_somebody(receiver: LoopbackServer) -> None:
    quiet = reporter()
    quiet.started()
    quiet.recorded(BAD)
    assert quiet.notified(BAD, ended=True) is None


def test_a_monitor_that_fails_is_a_warning_now_and_then(
    receiver: LoopbackServer, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.fault = lambda request: Response(status=500)
    many = reporter(PING_URL=f"{receiver.url}/{TOKEN}")
    for _ in range(8):
        many.recorded(OK)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 4


def test_an_address_that_no_message_would_reach_is_a_warning_while_all_is_well(
    receiver: LoopbackServer, caplog: pytest.LogCaptureFixture
) -> None:
    one = reporter(NOTIFY_URLS=f"{notify(receiver)} nfty://robins-topic")
    one.started()
    assert caplog.messages == []
    one.recorded(OK)
    assert len(caplog.messages) == 1
    assert "does not understand address 2, so no message will be sent there" in caplog.text
    assert "robins-topic" not in caplog.text
    assert receiver.log == []


def test_a_message_is_noted_only_if_it_was_sent(receiver: LoopbackServer) -> None:
    one = reporter(NOTIFY_URLS=notify(receiver))
    receiver.fault = lambda request: Response(status=500)
    assert one.notified(BAD, ended=False) is None
    receiver.fault = None
    assert one.notified(BAD, ended=False) is State.LOGIN_REFUSED
    again = BAD._replace(notified=State.LOGIN_REFUSED)
    assert one.notified(again, ended=False) is State.LOGIN_REFUSED
    assert len(receiver.log) == 2
    assert one.notified(OK._replace(notified=State.LOGIN_REFUSED), ended=False) is State.OK


# Metrics


def test_prometheus_reads_the_record(tmp_path: Path) -> None:
    record = BAD._replace(person='the "one"', written={"Temp Basal": 3}, newest_event=NOON)
    lines = metrics(record).splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    who = r'person="the \"one\""'
    assert values[f"tconnectsync_ok{{{who}}}"] == "0"
    assert values[f'tconnectsync_state{{{who},state="login-refused"}}'] == "1"
    assert values[f'tconnectsync_state{{{who},state="ok"}}'] == "0"
    assert values[f'tconnectsync_written_documents{{{who},type="Temp Basal"}}'] == "3"
    assert values[f"tconnectsync_last_run_timestamp_seconds{{{who}}}"] == f"{NOON.timestamp():.0f}"
    assert not any("last_upload" in name for name in values)


def test_each_person_has_a_file_that_the_exporter_may_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reporter(METRICS_FILE=str(tmp_path / "tconnectsync.prom")).recorded(OK)
    (path,) = tmp_path.iterdir()
    assert path.name == "tconnectsync-robin.prom"
    assert path.stat().st_mode & 0o777 == 0o644

    reporter(METRICS_FILE=str(path / "below a file")).recorded(OK)
    assert "METRICS_FILE cannot be written" in caplog.text

    reporter(METRICS_FILE=str(tmp_path / "nowhere" / "tconnectsync.prom")).recorded(OK)
    assert f"METRICS_FILE cannot be written: there is no folder {tmp_path}/nowhere" in caplog.text
    assert not (tmp_path / "nowhere").exists()


# systemd


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    if not hasattr(socket, "AF_UNIX"):
        pytest.skip("there is no such socket here")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(300)
        yield receiver, str(tmp_path / "notify")


def test_systemd_gets_its_lines(manager: tuple[socket.socket, str]) -> None:
    receiver, path = manager
    Systemd({"NOTIFY_SOCKET": path}).notify("READY=1", "STATUS=all\nis well")
    assert receiver.recv(1000) == b"READY=1\nSTATUS=all is well"


def test_a_socket_without_a_file_is_reached_too() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        try:
            receiver.bind("\0tconnectsync test")
        except OSError:
            pytest.skip("only Linux has them")
        receiver.settimeout(300)
        Systemd({"NOTIFY_SOCKET": "@tconnectsync test"}).notify("READY=1")
        assert receiver.recv(100) == b"READY=1"


def test_a_long_wait_gives_signs_of_life(manager: tuple[socket.socket, str]) -> None:
    receiver, path = manager
    now, waits = [0.0], []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    clock = Clock(monotonic=lambda: now[0], sleep=sleep)
    systemd = Systemd({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "30000000"})
    systemd.watched(clock).sleep(45)
    assert (sum(waits), max(waits)) == (45, 10)
    assert [receiver.recv(100) for _ in range(5)] == [b"WATCHDOG=1"] * 5


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "30000000"}, {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "x"}],
)
def test_elsewhere_the_clock_is_left_alone(environment: dict[str, str]) -> None:
    systemd = Systemd(environment)
    systemd.notify("READY=1")
    assert systemd.watched(NO_WAITING) is NO_WAITING


def test_the_sign_of_life_of_another_process_is_not_ours(tmp_path: Path) -> None:
    given = {"NOTIFY_SOCKET": str(tmp_path), "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}
    assert Systemd(given).watched(NO_WAITING) is NO_WAITING


def test_a_request_names_no_person(receiver: LoopbackServer) -> None:
    """What a monitor gets is its own address, and nothing about anybody."""
    Pings(f"{receiver.url}/{TOKEN}", NO_WAITING).result(BAD._replace(person="robin"))
    (entry,) = receiver.log
    request: Request = entry.request
    assert request.body == b""
    assert "robin" not in f"{request.path}{request.query}{request.headers}"
