"""After days without a run, or without Nightscout, the program as a user runs it catches up."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.simulators.history import PumpHistory, midnight
from tconnectsync.simulators.loopback import Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tests.support.command import CLOUDS, NEW_YORK, SECRET, Cloud, Computer, computer, days
from tests.support.expected import Fact, shown
from tests.support.fast_process import ends_when_asked, running, said, soon
from tests.support.real_nightscout import NightscoutSite

NOW = datetime.now(ZoneInfo(NEW_YORK)).replace(tzinfo=None)
DAY = timedelta(days=1)
UPLOADED = NOW - timedelta(minutes=20)
"""Late enough for all to be written at once: nothing waits for the sake of alarms."""
Make = Callable[[PumpHistory], Cloud]
BOTH = pytest.mark.parametrize("make", CLOUDS.values(), ids=CLOUDS)


@pytest.fixture(scope="module")
def life() -> PumpHistory:
    return live(NOW.date() - 9 * DAY, 10)


def in_one_run(folder: Path, tandem: Cloud) -> list[Fact]:
    """Return what a site shows after a single run over everything."""
    with SmallNightscout(SECRET) as site:
        computer(folder, tandem, site.url, SECRET).sync(*days(NOW.date() - 9 * DAY, NOW.date()))
        return shown(site.treatments)


def begun(folder: Path, tandem: Cloud, url: str, secret: str, uploaded: datetime) -> Computer:
    """Return a computer that has synced what had been uploaded by then."""
    tandem.uploaded_until = uploaded
    home = computer(folder, tandem, url, secret)
    home.sync(*days(NOW.date() - 9 * DAY, NOW.date()))
    return home


@pytest.mark.slow
@BOTH
def test_a_host_that_slept_for_a_week_misses_nothing(
    nightscout: NightscoutSite, tmp_path: Path, life: PumpHistory, make: Make
) -> None:
    # Basals are very many, and add nothing that the next test does not show. Without them the few
    # minutes of log after a midnight count as those of a pump that notes changes only. Hence noon.
    site, tandem = nightscout, make(replace(life, basal=()))
    with tandem:
        home = begun(tmp_path, tandem, site.url, site.secret, midnight(NOW.date()) - 6.5 * DAY)
        before = len(site.treatments())
        tandem.uploaded_until = UPLOADED
        caught_up = home.sync()
        assert caught_up.created > before > 0
        assert shown(site.treatments()) == in_one_run(tmp_path, tandem)
        assert home.sync()[:2] == (0, 0)


@pytest.mark.slow
@BOTH
def test_auto_update_writes_three_days_as_soon_as_nightscout_is_back(
    tmp_path: Path, life: PumpHistory, make: Make
) -> None:
    tandem = make(life)
    with tandem, SmallNightscout(SECRET) as site:
        home = begun(tmp_path, tandem, site.url, SECRET, NOW - 3 * DAY)
        before = len(site.treatments)
        site.fault = lambda request: Response(b"<html>Sorry</html>", 400, "text/html")
        with running(home, "--features", "BASAL", "BOLUS", "PUMP_EVENTS") as process:
            soon(lambda: [entry for entry in site.log if entry.status == 400])
            tandem.uploaded_until = UPLOADED
            time.sleep(1)
            assert process.poll() is None
            assert len(site.treatments) == before
            site.fault = None
            everything = in_one_run(tmp_path, tandem)
            soon(lambda: shown(site.treatments) == everything)
            ends_when_asked(home, process, signal.SIGTERM)
    assert "Traceback" not in said(home)
