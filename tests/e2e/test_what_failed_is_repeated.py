"""What can be synced is synced, what failed is named, and the command for it finishes the job."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from tconnectsync.simulators.history import BasalSegment, BolusRecord, PumpHistory
from tconnectsync.simulators.loopback import Fault, LoopbackServer, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tests.support.command import (
    ALL_FEATURES,
    NEW_YORK,
    SECRET,
    Computer,
    Counts,
    cloud,
    computer,
    days,
)
from tests.support.expected import expected, shown
from tests.support.real_nightscout import NightscoutSite

FIRST = date(2024, 5, 6)
DAY = timedelta(days=1)

REFUSED = Response(b"no", 403, "text/plain")
WEB_PAGE = Response(b"<html><body>Down for maintenance</body></html>", 200, "text/html")


@pytest.mark.parametrize(
    "answer", [Response(b"", 404), REFUSED, WEB_PAGE], ids=["404", "403", "web page"]
)
def test_a_broken_service_holds_back_only_what_comes_from_it(
    nightscout: NightscoutSite, tmp_path: Path, answer: Response
) -> None:
    life = live(FIRST, 1, seed=2)
    everything = expected(life, NEW_YORK)
    by_ws2 = [fact for fact in everything if fact.kind in ("Site Change", "Basal Suspension")]
    assert by_ws2
    with cloud(life) as tconnect:
        tconnect.fault = lambda r: answer if r.path.startswith("/basalsuspension") else None
        home = computer(tmp_path, tconnect, nightscout.url, nightscout.secret)
        broken = home.run(*days(FIRST, FIRST), *ALL_FEATURES)
        assert broken.code == 1
        assert broken.counts == (len(everything) - len(by_ws2), 0, 0)
        assert shown(nightscout.treatments()) == [f for f in everything if f not in by_ws2]
        assert "PUMP_EVENTS from 2024-05-06 to 2024-05-06 failed. " in broken.errors
        assert "Traceback" not in broken.errors

        tconnect.fault = None
        (command,) = broken.repeats
        assert command == [*days(FIRST, FIRST), "--features", "PUMP_EVENTS"]
        repaired = home.run(*command)

    assert (repaired.code, repaired.counts.created) == (0, len(by_ws2))
    assert shown(nightscout.treatments()) == everything


def quiet_weeks() -> PumpHistory:
    """Return three weeks with four basals and one bolus a day, and a pause before each midnight."""
    start = datetime.combine(FIRST, datetime.min.time())
    quarters = [start + timedelta(hours=6 * number) for number in range(21 * 4)]
    noons = [start + timedelta(days=number, hours=12) for number in range(21)]
    return PumpHistory(
        first_day=FIRST,
        days=21,
        control_iq=True,
        basal=[BasalSegment(at, 6 * 3600 - 60, 0.8, "algorithm") for at in quarters],
        boluses=[
            BolusRecord(1001 + number, at, at + timedelta(seconds=90), 2.5, 2.5, carbs=20, food=2.5)
            for number, at in enumerate(noons)
        ],
    )


MIDDLE = (FIRST + 7 * DAY, FIRST + 13 * DAY)


def sync_and_repeat(
    home: Computer, server: LoopbackServer, fault: Callable[[Request], Response | Fault | None]
) -> tuple[list[list[str]], Counts]:
    """Run three windows of which one meets a fault, then what the run says to repeat."""
    server.fault = fault
    broken = home.run(*days(FIRST, FIRST + 20 * DAY), *ALL_FEATURES)
    assert broken.code == 1
    assert "Traceback" not in broken.errors
    server.fault = None
    for command in broken.repeats:
        assert home.run(*command).code == 0
    return broken.repeats, broken.counts


def test_a_window_that_fails_at_tandem_does_not_stop_the_others(
    nightscout: NightscoutSite, tmp_path: Path
) -> None:
    life = quiet_weeks()
    day_before = (MIDDLE[0] - DAY).strftime("%m-%d-%Y")

    def fault(request: Request) -> Response | None:
        """Refuse the window that is asked for from the day before its beginning."""
        return REFUSED if request.query.get("startDate") == day_before else None

    with cloud(life) as tconnect:
        home = computer(tmp_path, tconnect, nightscout.url, nightscout.secret)
        commands, counts = sync_and_repeat(home, tconnect, fault)
        repaired = shown(nightscout.treatments())
        again = home.sync(*days(FIRST, FIRST + 20 * DAY))

    everything = expected(life, NEW_YORK)
    # The boluses of the middle come nonetheless: by another request.
    assert commands == [[*days(*MIDDLE), "--features", "BASAL", "PUMP_EVENTS"]]
    assert counts == (len(everything) - 7 * 4, 0, 0)
    assert repaired == everything
    assert again == (0, 0, len(everything))


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_window_that_fails_at_nightscout_does_not_stop_the_others(
    tmp_path: Path, method: str
) -> None:
    life = quiet_weeks()
    seen: list[Request] = []

    def fault(request: Request) -> Response | None:
        """Refuse the second request with this method; there is one for each window."""
        if request.method != method:
            return None
        seen.append(request)
        return REFUSED if len(seen) == 2 else None

    with cloud(life) as tconnect, SmallNightscout(SECRET) as site:
        home = computer(tmp_path, tconnect, site.url, SECRET)
        commands, counts = sync_and_repeat(home, site, fault)
        repaired = shown(site.treatments)
        again = home.sync(*days(FIRST, FIRST + 20 * DAY))

    everything = expected(life, NEW_YORK)
    assert len(seen) == 3
    # What cannot be read concerns all; what cannot be written, those that had something to write.
    features = ALL_FEATURES if method == "GET" else ALL_FEATURES[:3]
    assert commands == [[*days(*MIDDLE), *features]]
    assert counts == (len(everything) - 7 * 5, 0, 0)
    assert repaired == everything
    assert again == (0, 0, len(everything))
