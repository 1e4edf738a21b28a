"""--stay keeps a loop alive that would end; and one that nothing remembers does not end at once."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.cli import main
from tconnectsync.simulators.loopback import Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tconnectsync.state.record import State
from tests.support.clocks import NO_WAITING
from tests.support.command import NEW_YORK, SECRET, Computer, computer, tandem_source
from tests.support.fast_process import ends_when_asked, running, said, soon
from tests.support.people import write_settings
from tests.support.settings import host

NOW = datetime.now(ZoneInfo(NEW_YORK)).replace(tzinfo=None)
WAITING = "Waiting until the settings are changed. Nothing is synced until then."


@pytest.fixture
def tandem() -> Iterator[SimulatedTandemSource]:
    with tandem_source(live(NOW.date() - timedelta(days=1), 2)) as server:
        server.uploaded_until = NOW
        yield server


@pytest.fixture
def home(tmp_path: Path, tandem: SimulatedTandemSource, site: SmallNightscout) -> Computer:
    """Give a computer whose settings stand in a file, as those of most people."""
    write_settings(tmp_path / ".env", computer(tmp_path, tandem, site.url, SECRET).variables)
    return Computer(tmp_path, {})


def correct(home: Computer, tandem: SimulatedTandemSource, url: str, **changes: str) -> None:
    variables = computer(home.folder, tandem, url, SECRET).variables
    write_settings(home.folder / ".env", {**variables, **changes})


def state(home: Computer) -> str:
    files = list((home.folder / ".cache" / "tconnectsync").glob("record-*.json"))
    return str(json.loads(files[0].read_text())["state"]) if files else ""


def tries(tandem: SimulatedTandemSource) -> int:
    return sum(entry.request.path == "/accounts/api/login" for entry in tandem.log)


def test_a_wrong_password_is_waited_out_until_it_is_corrected(
    home: Computer, tandem: SimulatedTandemSource, site: SmallNightscout
) -> None:
    correct(home, tandem, site.url, TCONNECT_PASSWORD="wrong")
    with running(home, "--stay") as process:
        soon(lambda: WAITING in said(home))
        assert (process.poll(), state(home), tries(tandem)) == (None, State.LOGIN_REFUSED, 1)
        correct(home, tandem, site.url)
        soon(lambda: len(site.treatments) > 100)
        soon(lambda: state(home) == State.OK)
        ends_when_asked(home, process, signal.SIGTERM)
    assert (tries(tandem), said(home).count(WAITING)) == (2, 1)


def test_wrong_settings_are_waited_out_too_and_it_ends_at_once_when_asked(
    home: Computer, tandem: SimulatedTandemSource, site: SmallNightscout
) -> None:
    correct(home, tandem, "my-site")
    with running(home, "--stay") as process:
        soon(lambda: WAITING in said(home))
        assert "NS_URL is not usable" in said(home)
        assert (process.poll(), state(home)) == (None, State.SETTINGS_WRONG)
        ends_when_asked(home, process, signal.SIGTERM)
    with running(home) as process:
        assert process.wait(timeout=300) == 2


def test_after_a_long_outage_it_begins_anew_by_itself(
    home: Computer, tandem: SimulatedTandemSource, site: SmallNightscout
) -> None:
    tandem.fault = lambda request: Response(b"<html>Sorry</html>", 503, "text/html")
    with running(home, "--stay", AUTOUPDATE_API_FAILURE_MINUTES="2") as process:
        soon(lambda: "Resting; starting again in 10 minutes." in said(home))
        assert process.poll() is None
        tandem.fault = None
        soon(lambda: len(site.treatments) > 100)
        ends_when_asked(home, process, signal.SIGTERM)


def test_where_a_refused_password_cannot_be_remembered_a_restart_cannot_lock_the_account(
    home: Computer,
    tandem: SimulatedTandemSource,
    site: SmallNightscout,
    capsys: pytest.CaptureFixture[str],
) -> None:
    correct(home, tandem, site.url, TCONNECT_PASSWORD="wrong")
    waits: list[float] = []
    here = replace(host(home.folder, replace(NO_WAITING, sleep=waits.append)), caches=[])
    assert main(["--auto-update"], here) == 2
    assert (tries(tandem), waits) == (1, [600.0])
    assert "Ending in 10 minutes." in capsys.readouterr().err

    correct(home, tandem, site.url, TCONNECT_PASSWORD="wrong too")
    waits.clear()
    assert main(["--auto-update"], host(home.folder, replace(NO_WAITING, sleep=waits.append))) == 2
    assert (tries(tandem), waits) == (2, [])


def test_staying_is_for_the_loop_only(home: Computer) -> None:
    finished = home.run("--stay")
    assert (finished.code, "--stay needs --auto-update." in finished.errors) == (2, True)
