"""--auto-update on Tandem Source, as a process of its own whose clock runs fast."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.simulators.history import PumpHistory, midnight
from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.account import pump as pump_of_account
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tests.support.busy_hour import HASTE, LIKE_A_USER, busy_hour
from tests.support.command import (
    ALL_FEATURES,
    EMAIL,
    NEW_YORK,
    PASSWORD,
    SECRET,
    Computer,
    computer,
    tandem_source,
)
from tests.support.expected import Fact, logged, shown
from tests.support.fast_process import ends_when_asked, is_idle, running, said, soon
from tests.support.real_nightscout import NightscoutSite

NOW = datetime.now(ZoneInfo(NEW_YORK)).replace(tzinfo=None)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
FAR_AHEAD = {
    "assignmentId": "5f1d0b1e-73aa-4c69-9d7e-0f8a2b7c4e11",
    "serialNumber": "80018001",
    "maxDateOfEvents": "2099-12-31T00:00:00",
}
"""Another pump of the account, whose clock has never been right."""


@pytest.fixture(scope="module")
def life() -> PumpHistory:
    return live(NOW.date() - 2 * DAY, 3)


@pytest.fixture
def tandem(life: PumpHistory) -> Iterator[SimulatedTandemSource]:
    with tandem_source(life) as server:
        server.uploaded_until = NOW - timedelta(hours=2)
        yield server


@pytest.fixture
def home(tmp_path: Path, tandem: SimulatedTandemSource, site: SmallNightscout) -> Computer:
    return computer(tmp_path, tandem, site.url, SECRET)


def test_it_waits_for_a_first_upload_and_is_not_stopped_by_a_clock_set_back(
    nightscout: NightscoutSite, tmp_path: Path
) -> None:
    # In UTC, where no hour is skipped or repeated but by the person.
    end = datetime.now(UTC).replace(tzinfo=None, second=0, microsecond=0)
    start = end - 60 * MINUTE
    life = busy_hour(start)
    set_back = start + 33 * MINUTE
    with SimulatedTandemSource(
        life,
        email=EMAIL,
        password=PASSWORD,
        zone=ZoneInfo("UTC"),
        uploaded_until=midnight(life.first_day) - DAY,
        clock_changes=[(set_back, set_back - 60 * MINUTE)],
    ) as tandem:
        everything = logged(life, tandem.clocks)
        home = computer(tmp_path, tandem, nightscout.url, nightscout.secret, zone="UTC")

        def has_arrived(moment: datetime) -> bool:
            return ended_by(everything, moment) <= set(shown(nightscout.treatments()))

        with running(home, *ALL_FEATURES, haste=HASTE, **LIKE_A_USER) as process:
            soon(lambda: tandem.login.logins)
            time.sleep(1)
            assert process.poll() is None
            assert nightscout.ids() == set()

            ids: set[str] = set()
            for minutes in range(10, 61, 10):
                tandem.uploaded_until = start + minutes * MINUTE
                soon(lambda: has_arrived(tandem.uploaded_until or start))
                before, ids = ids, nightscout.ids()
                assert before <= ids
            ends_when_asked(home, process, signal.SIGTERM)
    facts = shown(nightscout.treatments())
    assert len(set(facts)) == len(facts)
    assert {f.kind for f in set(facts) - set(everything)} <= {"Temp Basal", "Exercise"}
    assert tandem.login.logins == 1
    assert "Traceback" not in said(home)


def ended_by(facts: list[Fact], moment: datetime) -> set[Fact]:
    """Return what was over some minutes before a moment (UTC): rates come every five minutes."""
    known = moment.replace(tzinfo=UTC) - 6 * MINUTE
    return {fact for fact in facts if fact.at + fact.minutes * MINUTE <= known}


def test_a_pump_with_a_date_in_the_far_future_is_not_taken_for_the_one_in_use(
    home: Computer, tandem: SimulatedTandemSource, site: SmallNightscout
) -> None:
    tandem.pumps = [{**pump_of_account(None, control_iq=True), **FAR_AHEAD}]
    with running(home, PUMP_SERIAL_NUMBER="11111111") as process:
        soon(lambda: is_idle(tandem))
        before = len(site.treatments)
        tandem.uploaded_until = NOW
        soon(lambda: len(site.treatments) > before > 100)
        ends_when_asked(home, process, signal.SIGTERM)
    assert "Traceback" not in said(home)


def test_a_token_that_runs_out_is_renewed_and_kept_for_the_next_start(
    home: Computer, tandem: SimulatedTandemSource, site: SmallNightscout
) -> None:
    with running(home) as process:
        soon(lambda: is_idle(tandem))
        tandem.login.tokens.clear()
        soon(lambda: tandem.login.logins == 2)
        before = len(site.treatments)
        tandem.uploaded_until = NOW
        soon(lambda: len(site.treatments) > before)
        ends_when_asked(home, process, signal.SIGTERM)
    asked = len(tandem.log)
    with running(home) as process:
        soon(lambda: len(tandem.log) > asked + 3)
        ends_when_asked(home, process, signal.SIGTERM)
    assert tandem.login.logins == 2


def test_it_ends_at_once_while_tandem_keeps_it_waiting(
    home: Computer, tandem: SimulatedTandemSource, site: SmallNightscout
) -> None:
    asked: list[Request] = []

    def hang(request: Request) -> Response | None:
        if "pump-logs" not in request.path:
            return None
        asked.append(request)
        return Response(b"{}", delay=600)

    tandem.fault = hang
    with running(home) as process:
        soon(lambda: asked)
        ends_when_asked(home, process, signal.SIGTERM)
    assert "Traceback" not in said(home)


def test_tandem_that_is_down_for_a_while_is_waited_for(
    home: Computer, tandem: SimulatedTandemSource, site: SmallNightscout
) -> None:
    tandem.fault = lambda request: Response(b"<html>Sorry</html>", 503, "text/html")
    with running(home) as process:
        soon(lambda: len(tandem.log) > 3)
        assert process.poll() is None
        tandem.fault = None
        soon(lambda: len(site.treatments) > 100)
        ends_when_asked(home, process, signal.SIGTERM)
    assert "Traceback" not in said(home)


def test_a_wrong_password_ends_it_at_once_and_for_good(
    home: Computer, tandem: SimulatedTandemSource
) -> None:
    with running(home, TCONNECT_PASSWORD="wrong") as process:
        assert process.wait(timeout=300) == 2
    tried = [entry for entry in tandem.log if entry.request.path == "/accounts/api/login"]
    assert (len(tried), tandem.login.logins) == (1, 0)
    assert "Traceback" not in said(home)
