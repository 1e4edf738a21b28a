"""--auto-update as a process of its own, whose clock runs fast, and how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.demo.history import (
    ActivityRecord,
    BasalSegment,
    BolusRecord,
    ExtendedPart,
    PumpHistory,
)
from tconnectsync.demo.nightscout import SmallNightscout
from tconnectsync.demo.person import live
from tconnectsync.demo.server import Request, Response
from tconnectsync.demo.tconnect import SimulatedTConnect
from tconnectsync.demo.tconnect.view import SERIAL_NUMBER
from tests.support.command import (
    ALL_FEATURES,
    NEW_YORK,
    SECRET,
    Computer,
    cloud,
    computer,
)
from tests.support.expected import as_of, expected, shown
from tests.support.real_nightscout import NightscoutSite

NOW = datetime.now(ZoneInfo(NEW_YORK)).replace(tzinfo=None)
MINUTE = timedelta(minutes=1)

HURRIED = """
import sys, time
sleep, monotonic, haste = time.sleep, time.monotonic, float(sys.argv.pop(1))
time.sleep = lambda seconds: sleep(seconds / haste)
time.monotonic = lambda: monotonic() * haste
from tconnectsync.cli import main
sys.exit(main())
"""
"""The command, with a clock so many times as fast as ours."""

OFTEN = {
    "AUTOUPDATE_DEFAULT_SLEEP_SECONDS": "10",
    "AUTOUPDATE_UNEXPECTED_NO_INDEX_SLEEP_SECONDS": "10",
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


@pytest.fixture
def home(tmp_path: Path, tconnect: SimulatedTConnect, site: SmallNightscout) -> Computer:
    return computer(tmp_path, tconnect, site.url, SECRET)


def soon(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "It has not happened in time."
        time.sleep(0.02)


@contextmanager
def running(
    home: Computer, *options: str, haste: float = 50, **changes: str
) -> Iterator[subprocess.Popen[str]]:
    with (home.folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", HURRIED, str(haste), "--auto-update", *options],
            cwd=home.folder,
            env={
                **home.environment,
                "PUMP_SERIAL_NUMBER": f"00{SERIAL_NUMBER}",
                **OFTEN,
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
    home: Computer, tconnect: SimulatedTConnect, site: SmallNightscout, number: int
) -> None:
    with running(home) as process:
        soon(lambda: is_idle(tconnect))
        before = len(site.treatments)
        tconnect.uploaded_until = NOW
        soon(lambda: len(site.treatments) > before > 100)
        soon(lambda: is_idle(tconnect))
        ends_within_a_second(process, number)
    text = (home.folder / "log").read_text()
    assert "Nothing is lost" in text
    assert "Traceback" not in text


@BOTH
def test_it_ends_within_a_second_while_tandem_keeps_it_waiting(
    home: Computer, tconnect: SimulatedTConnect, site: SmallNightscout, number: int
) -> None:
    asked: list[Request] = []

    def hang(request: Request) -> Response | None:
        if "therapytimeline" not in request.path:
            return None
        asked.append(request)
        return Response(b"{}", delay=15)

    tconnect.fault = hang
    with running(home) as process:
        soon(lambda: asked)
        ends_within_a_second(process, number)
    assert "Traceback" not in (home.folder / "log").read_text()


@pytest.mark.parametrize("seconds", [0.3, 15])
def test_ending_in_the_middle_of_a_backlog_loses_and_doubles_nothing(
    home: Computer, tconnect: SimulatedTConnect, site: SmallNightscout, seconds: float
) -> None:
    writing: list[Request] = []

    def slow(request: Request) -> Response | None:
        if request.method != "GET" and len(writing) < 100:
            writing.append(request)
            time.sleep(seconds if len(writing) == 2 else 0)
        return None

    site.fault = slow
    with running(home, "--days", "3") as process:
        soon(lambda: len(writing) == 2)
        ends_within_a_second(process, signal.SIGTERM)
    at_the_end = len(site.treatments)
    site.fault = None
    assert at_the_end == (200 if seconds < 1 else 100)
    with running(home, "--days", "3") as process:
        soon(lambda: is_idle(tconnect) and len(site.treatments) > 500)
        ends_within_a_second(process, signal.SIGTERM)
    identifiers = [document["identifier"] for document in site.treatments]
    assert len(set(identifiers)) == len(identifiers)


def test_pretending_plans_and_writes_nothing(
    home: Computer, tconnect: SimulatedTConnect, site: SmallNightscout
) -> None:
    with running(home, "--pretend") as process:
        soon(lambda: is_idle(tconnect))
        ends_within_a_second(process, signal.SIGTERM)
    assert site.treatments == []
    assert "Nothing was written (--pretend)" in (home.folder / "log").read_text()


def test_a_wrong_password_ends_it_at_once_and_for_good(
    home: Computer, tconnect: SimulatedTConnect, site: SmallNightscout
) -> None:
    with running(home, TCONNECT_PASSWORD="wrong") as process:
        assert process.wait(timeout=20) == 2
    assert len(tconnect.log) == 1


def test_a_wrong_secret_ends_it_at_once_and_for_good(
    home: Computer, tconnect: SimulatedTConnect, site: SmallNightscout
) -> None:
    with running(home, NS_SECRET="wrong wrong wrong") as process:
        assert process.wait(timeout=20) == 2
    assert [entry.status for entry in site.log] == [401]


def test_nightscout_that_is_down_is_waited_for(
    home: Computer, tconnect: SimulatedTConnect, site: SmallNightscout
) -> None:
    site.fault = lambda request: Response(b"", 400)
    with running(home) as process:
        soon(lambda: len(site.log) >= 1)
        time.sleep(1)
        assert process.poll() is None
        ends_within_a_second(process, signal.SIGTERM)


# An hour


HOUR_IN_SECONDS = 10.0
LIKE_A_USER = {
    "AUTOUPDATE_DEFAULT_SLEEP_SECONDS": "300",
    "AUTOUPDATE_UNEXPECTED_NO_INDEX_SLEEP_SECONDS": "60",
    # The time of the day does not run as fast as the loop's clock.
    "ALARM_SAFE_MINUTES": "0",
}


def busy_hour(start: datetime) -> PumpHistory:
    """Return a pump's story in which something is going on at every moment of an hour."""

    def at(minutes: float) -> datetime:
        return start + minutes * MINUTE

    extended = ExtendedPart(at(24), at(52), 1.5, 1.5, duration_minutes=28, immediate_percent=50)
    return PumpHistory(
        first_day=start.date() - timedelta(days=1),
        days=3,
        control_iq=True,
        basal=[
            BasalSegment(at(-120), 137 * 60, 0.8, "profile"),
            BasalSegment(at(17), 33 * 60, 1.1, "algorithm"),
            BasalSegment(at(50), 60 * 60, 0.6, "algorithm"),
        ],
        boluses=[
            BolusRecord(1, at(3), at(4), 0.7, 0.7, kind="automatic"),
            BolusRecord(2, at(14), at(16), 3.0, 3.0, carbs=24),
            BolusRecord(3, at(22), at(23), 1.5, 1.5, kind="extended", carbs=24, extended=extended),
        ],
        activities=[ActivityRecord(at(-10), 50 * 60, "exercise")],
    )


def test_in_an_hour_everything_appears_as_it_is_uploaded_grows_and_is_never_doubled(
    nightscout: NightscoutSite, tmp_path: Path
) -> None:
    # In UTC, where no hour is skipped or repeated.
    end = datetime.now(UTC).replace(tzinfo=None, second=0, microsecond=0)
    start = end - 60 * MINUTE
    life = busy_hour(start)
    haste = 3600 / HOUR_IN_SECONDS

    def is_shown(moment: datetime) -> bool:
        return shown(nightscout.treatments()) == expected(as_of(life, moment), "UTC")

    with cloud(life) as tconnect:
        tconnect.uploaded_until = start
        home = computer(tmp_path, tconnect, nightscout.url, nightscout.secret, zone="UTC")
        with running(home, *ALL_FEATURES, haste=haste, **LIKE_A_USER) as process:
            soon(lambda: is_shown(start))
            begun, ids = time.monotonic(), ids_of(nightscout)
            for minutes in range(5, 61, 5):
                time.sleep(max(0.0, begun + minutes * 60 / haste - time.monotonic()))
                tconnect.uploaded_until = start + minutes * MINUTE
                soon(lambda: is_shown(tconnect.uploaded_until or start))
                before, ids = ids, ids_of(nightscout)
                assert before <= ids
            ends_within_a_second(process, signal.SIGTERM)
        logins = [e for e in tconnect.log if e.request.path == "/cloud/oauth2/token"]
    assert is_shown(end)
    # One of the app, and one of the web site, whose login takes its token from there.
    assert len(logins) == 2
    assert "Traceback" not in (tmp_path / "log").read_text()


def ids_of(nightscout: NightscoutSite) -> set[str]:
    return {treatment["_id"] for treatment in nightscout.treatments()}
