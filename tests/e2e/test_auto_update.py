"""--auto-update as a process of its own, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.demo.history import PumpHistory
from tconnectsync.demo.nightscout import SmallNightscout
from tconnectsync.demo.person import live
from tconnectsync.demo.server import Request, Response
from tconnectsync.demo.tconnect import SimulatedTConnect
from tconnectsync.demo.tconnect.view import SERIAL_NUMBER
from tests.support.command import CHECKOUT, COMMAND, NEW_YORK, SECRET, cloud, computer

NOW = datetime.now(ZoneInfo(NEW_YORK)).replace(tzinfo=None)
QUICK = {
    "AUTOUPDATE_DEFAULT_SLEEP_SECONDS": "0.2",
    "AUTOUPDATE_UNEXPECTED_NO_INDEX_SLEEP_SECONDS": "0.2",
    "PUMP_SERIAL_NUMBER": f"00{SERIAL_NUMBER}",
}


@pytest.fixture(scope="module")
def life() -> PumpHistory:
    return live(NOW.date() - timedelta(days=3), 4)


@pytest.fixture
def tconnect(life: PumpHistory) -> Iterator[SimulatedTConnect]:
    with cloud(life) as server:
        server.uploaded_until = NOW - timedelta(hours=2)
        yield server


@pytest.fixture
def site() -> Iterator[SmallNightscout]:
    with SmallNightscout(SECRET) as server:
        yield server


def soon(condition: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "It has not happened in time."
        time.sleep(0.01)


@contextmanager
def running(
    folder: Path, tconnect: SimulatedTConnect, site: SmallNightscout, *options: str, **changes: str
) -> Iterator[subprocess.Popen[str]]:
    home = computer(folder, tconnect, site.url, SECRET)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*COMMAND, "--auto-update", *options],
            cwd=folder,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(folder),
                "PYTHONPATH": str(CHECKOUT),
                **home.variables,
                **QUICK,
                **changes,
            },
            stdout=log,
            stderr=log,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def ends_within_a_second(process: subprocess.Popen[str], number: int) -> None:
    asked = time.monotonic()
    process.send_signal(number)
    assert process.wait(timeout=10) == 0
    assert time.monotonic() - asked < 1


def is_idle(tconnect: SimulatedTConnect) -> bool:
    paths = [entry.request.path for entry in tconnect.log]
    return len(paths) > 5 and all("lasteventuploaded" in path for path in paths[-2:])


BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "Ctrl-C"])


@BOTH
def test_it_syncs_what_comes_in_and_ends_when_asked(
    tmp_path: Path, tconnect: SimulatedTConnect, site: SmallNightscout, number: int
) -> None:
    with running(tmp_path, tconnect, site) as process:
        soon(lambda: is_idle(tconnect))
        before = len(site.treatments)
        tconnect.uploaded_until = NOW
        soon(lambda: len(site.treatments) > before > 100)
        soon(lambda: is_idle(tconnect))
        ends_within_a_second(process, number)
    text = (tmp_path / "log").read_text()
    assert "Nothing is lost" in text
    assert "Traceback" not in text


@BOTH
def test_it_ends_within_a_second_while_tandem_keeps_it_waiting(
    tmp_path: Path, tconnect: SimulatedTConnect, site: SmallNightscout, number: int
) -> None:
    asked: list[Request] = []

    def hang(request: Request) -> Response | None:
        if "therapytimeline" not in request.path:
            return None
        asked.append(request)
        return Response(b"{}", delay=15)

    tconnect.fault = hang
    with running(tmp_path, tconnect, site) as process:
        soon(lambda: asked)
        ends_within_a_second(process, number)
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("seconds", [0.3, 15])
def test_ending_in_the_middle_of_a_backlog_loses_and_doubles_nothing(
    tmp_path: Path, tconnect: SimulatedTConnect, site: SmallNightscout, seconds: float
) -> None:
    writing: list[Request] = []

    def slow(request: Request) -> Response | None:
        if request.method != "GET" and len(writing) < 100:
            writing.append(request)
            time.sleep(seconds if len(writing) == 2 else 0)
        return None

    site.fault = slow
    with running(tmp_path, tconnect, site, "--days", "3") as process:
        soon(lambda: len(writing) == 2)
        ends_within_a_second(process, signal.SIGTERM)
    at_the_end = len(site.treatments)
    site.fault = None
    assert at_the_end == (200 if seconds < 1 else 100)
    with running(tmp_path, tconnect, site, "--days", "3") as process:
        soon(lambda: is_idle(tconnect) and len(site.treatments) > 500)
        ends_within_a_second(process, signal.SIGTERM)
    identifiers = [document["identifier"] for document in site.treatments]
    assert len(set(identifiers)) == len(identifiers)


def test_pretending_plans_and_writes_nothing(
    tmp_path: Path, tconnect: SimulatedTConnect, site: SmallNightscout
) -> None:
    with running(tmp_path, tconnect, site, "--pretend") as process:
        soon(lambda: is_idle(tconnect))
        ends_within_a_second(process, signal.SIGTERM)
    assert site.treatments == []
    assert "Nothing was written (--pretend)" in (tmp_path / "log").read_text()


def test_a_wrong_password_ends_it_at_once(
    tmp_path: Path, tconnect: SimulatedTConnect, site: SmallNightscout
) -> None:
    with running(tmp_path, tconnect, site, TCONNECT_PASSWORD="wrong") as process:
        assert process.wait(timeout=20) == 1
    assert len(tconnect.log) == 1


def test_a_wrong_secret_ends_it_at_once(
    tmp_path: Path, tconnect: SimulatedTConnect, site: SmallNightscout
) -> None:
    with running(tmp_path, tconnect, site, NS_SECRET="wrong wrong wrong") as process:
        assert process.wait(timeout=20) == 1
    assert [entry.status for entry in site.log] == [401]


def test_nightscout_that_is_down_is_waited_for(
    tmp_path: Path, tconnect: SimulatedTConnect, site: SmallNightscout
) -> None:
    site.fault = lambda request: Response(b"", 400)
    with running(tmp_path, tconnect, site) as process:
        soon(lambda: len(site.log) >= 1)
        time.sleep(1)
        assert process.poll() is None
        ends_within_a_second(process, signal.SIGTERM)
