"""--auto-update as a process of its own, whose clock runs fast, and how it ends."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.domain.profiles import PumpSettings
from tconnectsync.simulators.history import PumpHistory
from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tconnect.cloud import SimulatedTConnect
from tconnectsync.stop import LONGEST_WRITE
from tests.support import fast_process
from tests.support.busy_hour import HASTE, LIKE_A_USER, busy_hour
from tests.support.command import ALL_FEATURES, NEW_YORK, SECRET, Computer, cloud, computer
from tests.support.expected import as_of, expected, shown
from tests.support.fast_process import ends_when_asked, is_idle, running, said, soon
from tests.support.real_nightscout import NightscoutSite

NOW = datetime.now(ZoneInfo(NEW_YORK)).replace(tzinfo=None)
MINUTE = timedelta(minutes=1)
NEVER = 600.0
"""Seconds after which an answer comes that no test lives to see."""


@pytest.fixture(scope="module")
def life() -> PumpHistory:
    return live(NOW.date() - timedelta(days=3), 4)


@pytest.fixture
def tconnect(life: PumpHistory) -> Iterator[SimulatedTConnect]:
    with cloud(life) as server:
        server.uploaded_until = NOW - timedelta(hours=2)
        yield server


@pytest.fixture
def home(tmp_path: Path, tconnect: SimulatedTConnect, site: SmallNightscout) -> Computer:
    return computer(tmp_path, tconnect, site.url, SECRET)


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
        ends_when_asked(home, process, number)
    assert "Nothing is lost" in said(home)
    assert "Traceback" not in said(home)


def test_ctrl_c_again_and_again_ends_it_without_a_traceback(
    home: Computer, tconnect: SimulatedTConnect
) -> None:
    with running(home) as process:
        soon(lambda: is_idle(tconnect))
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.02)
    assert process.returncode in (0, 1)
    assert "Stopped." in said(home)
    assert "Traceback" not in said(home)


@BOTH
def test_it_ends_at_once_while_tandem_keeps_it_waiting(
    home: Computer, tconnect: SimulatedTConnect, site: SmallNightscout, number: int
) -> None:
    asked: list[Request] = []

    def hang(request: Request) -> Response | None:
        if "therapytimeline" not in request.path:
            return None
        asked.append(request)
        return Response(b"{}", delay=NEVER)

    tconnect.fault = hang
    with running(home) as process:
        soon(lambda: asked)
        ends_when_asked(home, process, number)
    assert "Traceback" not in said(home)


@pytest.mark.parametrize("seconds", [0.3, NEVER])
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
    with running(home, "--days", "3", "-v") as process:
        soon(lambda: len(writing) == 2)
        ends_when_asked(home, process, signal.SIGTERM)
    (waited,) = re.findall(r"A write could go on for (\d+\.\d+) s", said(home))
    assert (float(waited) / fast_process.HASTE >= LONGEST_WRITE) == (seconds == NEVER)
    at_the_end = len(site.treatments)
    site.fault = None
    assert at_the_end == (200 if seconds < 1 else 100)
    with running(home, "--days", "3") as process:
        soon(lambda: is_idle(tconnect) and len(site.treatments) > 500)
        ends_when_asked(home, process, signal.SIGTERM)
    identifiers = [document["identifier"] for document in site.treatments]
    assert len(set(identifiers)) == len(identifiers)


def test_pretending_plans_and_writes_nothing(
    home: Computer, tconnect: SimulatedTConnect, site: SmallNightscout
) -> None:
    with running(home, "--pretend") as process:
        soon(lambda: is_idle(tconnect))
        ends_when_asked(home, process, signal.SIGTERM)
    assert site.treatments == []
    assert "Nothing was written (--pretend)" in said(home)


def test_letters_that_the_terminal_cannot_show_do_not_end_it(
    home: Computer, tconnect: SimulatedTConnect, site: SmallNightscout
) -> None:
    every_day, ill = tconnect.account_pages.settings.profiles
    profiles = (every_day, replace(ill, name="Übung – süß"))
    tconnect.account_pages.settings = PumpSettings(profiles)
    options = ("--features", "PROFILES", "--pretend")
    with running(home, *options, PYTHONIOENCODING="ascii") as process:
        soon(lambda: "not written: --pretend" in said(home) or process.poll() is not None)
        ends_when_asked(home, process, signal.SIGTERM)
    assert r"profiles Every day, \xdcbung - s\xfc\xdf" in said(home)
    assert "Traceback" not in said(home)


def test_a_wrong_password_ends_it_at_once_and_for_good(
    home: Computer, tconnect: SimulatedTConnect, site: SmallNightscout
) -> None:
    with running(home, TCONNECT_PASSWORD="wrong") as process:
        assert process.wait(timeout=300) == 2
    assert len(tconnect.log) == 1


def test_a_wrong_secret_ends_it_at_once_and_for_good(
    home: Computer, tconnect: SimulatedTConnect, site: SmallNightscout
) -> None:
    with running(home, NS_SECRET="wrong wrong wrong") as process:
        assert process.wait(timeout=300) == 2
    assert [entry.status for entry in site.log] == [401]


def test_nightscout_that_is_down_is_waited_for(
    home: Computer, tconnect: SimulatedTConnect, site: SmallNightscout
) -> None:
    site.fault = lambda request: Response(b"", 400)
    with running(home) as process:
        soon(lambda: len(site.log) >= 1)
        time.sleep(1)
        assert process.poll() is None
        ends_when_asked(home, process, signal.SIGTERM)


# An hour


def test_in_an_hour_everything_appears_as_it_is_uploaded_grows_and_is_never_doubled(
    nightscout: NightscoutSite, tmp_path: Path
) -> None:
    # In UTC, where no hour is skipped or repeated.
    end = datetime.now(UTC).replace(tzinfo=None, second=0, microsecond=0)
    start = end - 60 * MINUTE
    life = busy_hour(start)

    def is_shown(moment: datetime) -> bool:
        return shown(nightscout.treatments()) == expected(as_of(life, moment), "UTC")

    with cloud(life) as tconnect:
        tconnect.uploaded_until = start
        home = computer(tmp_path, tconnect, nightscout.url, nightscout.secret, zone="UTC")
        with running(home, *ALL_FEATURES, haste=HASTE, **LIKE_A_USER) as process:
            soon(lambda: is_shown(start))
            begun, ids = time.monotonic(), nightscout.ids()
            for minutes in range(5, 61, 5):
                time.sleep(max(0.0, begun + minutes * 60 / HASTE - time.monotonic()))
                tconnect.uploaded_until = start + minutes * MINUTE
                soon(lambda: is_shown(tconnect.uploaded_until or start))
                before, ids = ids, nightscout.ids()
                assert before <= ids
            ends_when_asked(home, process, signal.SIGTERM)
        logins = [e for e in tconnect.log if e.request.path == "/cloud/oauth2/token"]
    assert is_shown(end)
    # One of the app, and one of the web site, whose login takes its token from there.
    assert len(logins) == 2
    assert "Traceback" not in said(home)
