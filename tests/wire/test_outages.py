"""Whatever was down or silent for hours or days: what comes next brings all that is missing.

The whole command runs in this process, on a clock that only its waiting and the test move.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest

from tconnectsync.api import TConnectApi
from tconnectsync.cli import main
from tconnectsync.demo.history import PumpHistory
from tconnectsync.demo.nightscout import SmallNightscout
from tconnectsync.demo.person import live
from tconnectsync.demo.server import Fault, Request, Response
from tconnectsync.http import HttpClient
from tconnectsync.stop import Stopped
from tests.support.command import (
    EMAIL,
    NEW_YORK,
    PASSWORD,
    SECRET,
    SERIAL,
    Cloud,
    addresses,
    cloud,
    tandem_source,
)
from tests.support.command import days as dates
from tests.support.story import NEW_YORK as CLOCK

FIRST = date(2024, 6, 3)
NEVER = datetime.max.replace(tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EVERY_FEATURE = {
    "tconnect": ("BASAL", "BOLUS", "PUMP_EVENTS", "PROFILES", "IOB", "CGM"),
    "tandem-source": (
        *("BASAL", "BOLUS", "PUMP_EVENTS", "PROFILES", "IOB", "CGM"),
        *("CGM_ALERTS", "DEVICE_STATUS"),
    ),
}
MAKE: dict[str, Callable[[PumpHistory], Cloud]] = {
    "tconnect": cloud,
    "tandem-source": tandem_source,
}
BOTH_SOURCES = tuple(MAKE)
UNHURRIED = {
    "AUTOUPDATE_DEFAULT_SLEEP_SECONDS": "14400",
    "AUTOUPDATE_MAX_SLEEP_SECONDS": "14400",
    "AUTOUPDATE_UNEXPECTED_NO_INDEX_SLEEP_SECONDS": "14400",
    "AUTOUPDATE_API_FAILURE_MINUTES": "0",
}
"""Polls every four hours, and never gives up: a test cannot live through days of usual polls."""
_COUNTS = re.compile(r"(\d+) created, (\d+) updated, (\d+) unchanged\.\n")

Answer = Callable[[Request], Response | Fault | None]


class Ran(NamedTuple):
    """What came of a run."""

    code: int
    output: str
    errors: str

    @property
    def written(self) -> tuple[int, int]:
        """How many treatments and entries it says it created and updated."""
        found = _COUNTS.search(self.output)
        assert found, f"{self.output}{self.errors}"
        return int(found[1]), int(found[2])


@dataclass
class Home:
    """A computer with the command, the two services, and the clock of all three.

    The phone uploads every hour, ten minutes past, unless it is ``phone_off``.
    """

    tandem: Cloud
    site: SmallNightscout
    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]
    features: tuple[str, ...]
    now: datetime = field(default_factory=lambda: CLOCK.midnight(FIRST))
    until: datetime = NEVER
    phone_off: tuple[datetime, datetime] | None = None
    last_upload: datetime = NEVER
    variables: dict[str, str] = field(default_factory=dict)

    def go_to(self, day: float) -> None:
        """Let time pass until so many days of the pump's life are over."""
        self._move_to(at(day))

    def wait(self, seconds: float) -> None:
        """Let seconds pass; the command is stopped when its time is over."""
        # Rounded up: a wait too short for this clock would never be over.
        self._move_to(self.now + timedelta(seconds=seconds, microseconds=1))
        if self.now >= self.until:
            raise Stopped

    def _move_to(self, moment: datetime) -> None:
        assert moment >= self.now
        self.now = moment
        asleep_from, awake_from = self.phone_off or (moment + DAY, moment)
        if not asleep_from <= moment < awake_from:
            wall = CLOCK.here(min(moment, self.last_upload) - 10 * MINUTE).replace(tzinfo=None)
            hour = wall.replace(minute=0, second=0, microsecond=0)
            self.tandem.uploaded_until = hour + 10 * MINUTE

    def run(self, *arguments: str) -> Ran:
        """Run the command."""
        with self.patch.context() as patch:
            for name in os.environ:
                patch.delenv(name)
            for name, value in self.variables.items():
                patch.setenv(name, value)
            patch.setattr("tconnectsync.sync.assemble._now", lambda: self.now)
            patch.setattr(time, "monotonic", lambda: (self.now - at(0)).total_seconds())
            patch.setattr(time, "sleep", self.wait)
            for client in (HttpClient, TConnectApi):
                patch.setitem(cast(Any, client.__init__).__kwdefaults__, "sleep", self.wait)
            logger = logging.getLogger("tconnectsync")
            for name in ("handlers", "level", "propagate"):
                patch.setattr(logger, name, getattr(logger, name))
            code = main([*arguments, "--features", *self.features])
        return Ran(code, *self.capture.readouterr())

    def auto_update(self, day: float) -> Ran:
        """Run --auto-update until then."""
        self.until = at(day)
        with self.patch.context() as patch:
            for name, value in UNHURRIED.items():
                patch.setitem(self.variables, name, value)
            ran = self.run("--auto-update")
        self.until = NEVER
        return ran

    def requests(self) -> int:
        """Return how many requests there have been since the last call."""
        number = len(self.tandem.log) + len(self.site.log)
        self.tandem.log.clear()
        self.site.log.clear()
        return number


def at(day: float) -> datetime:
    """Return the instant so many days after the pump's life begins."""
    return CLOCK.midnight(FIRST) + day * DAY


def between(home: Home, start: float, end: float, answer: Response | Fault | Answer) -> Answer:
    """Return a fault that answers so from one day until another."""

    def fault(request: Request) -> Response | Fault | None:
        if not at(start) <= home.now < at(end):
            return None
        return answer(request) if callable(answer) else answer

    return fault


def refused(what: str) -> Answer:
    """Return a fault that refuses requests, by a part of ``METHOD path``."""
    return lambda r: Response(b"", 403) if what in f"{r.method} {r.path}" else None


Make = Callable[..., Home]


@pytest.fixture(scope="module")
def life() -> PumpHistory:
    return live(FIRST, 16, seed=2)


@contextmanager
def homes(
    folder: Path, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]
) -> Iterator[Make]:
    """Give what makes a home for a source and a history, and end all of them."""
    with ExitStack() as stack:

        def make(source: str, history: PumpHistory, *, keyed_by_identifier: bool = True) -> Home:
            tandem = MAKE[source](history)
            stack.enter_context(tandem)
            site = SmallNightscout(SECRET, keyed_by_identifier=keyed_by_identifier)
            stack.enter_context(site)
            patch.chdir(folder)
            home = Home(tandem, site, patch, capture, EVERY_FEATURE[source])
            home.variables = {
                "HOME": str(folder),
                "TCONNECT_EMAIL": EMAIL,
                "TCONNECT_PASSWORD": PASSWORD,
                "PUMP_SERIAL_NUMBER": SERIAL,
                "NS_URL": site.url,
                "NS_SECRET": SECRET,
                "TIMEZONE_NAME": NEW_YORK,
                "ENABLE_TESTING_MODES": "true",
                **addresses(tandem),
            }
            return home

        yield make


@pytest.fixture
def make_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Make]:
    with homes(tmp_path, monkeypatch, capsys) as make:
        yield make


def held(site: SmallNightscout) -> Counter[str]:
    """Return what a site holds, without what its database or the time of writing gave it.

    Of how the pump is, only the newest counts: nobody is told of what has passed. A reading's
    direction is what was known when it arrived.
    """
    kept = {
        "treatment": (site.treatments, ()),
        "entry": (site.entries, ("direction",)),
        "activity": (site.activity, ()),
        "device status": (site.device_statuses[-1:], ()),
        "profile": (site.profiles, ("startDate", "created_at", "mills")),
    }
    return Counter(
        json.dumps([kind, {k: v for k, v in each.items() if k not in ("_id", *without)}])
        for kind, (documents, without) in kept.items()
        for each in (dict(sorted(document.items())) for document in documents)
    )


def undisturbed(home: Home, first: date = FIRST) -> Counter[str]:
    """Return what a site holds after one run over everything."""
    with SmallNightscout(SECRET) as site, home.patch.context() as patch:
        patch.setitem(home.variables, "NS_URL", site.url)
        assert home.run(*dates(first, CLOCK.day(home.now))).code == 0
        return held(site)


def begin(home: Home) -> None:
    """Sync the first day and a half."""
    home.go_to(1.5)
    assert home.run(*dates(FIRST, FIRST + DAY)).code == 0


def check(home: Home) -> None:
    """Insist that everything is there, once, and that another run writes nothing."""
    found, wanted = held(home.site), undisturbed(home)
    assert (wanted - found, found - wanted) == ({}, {})
    written = home.site.writes
    assert home.run().written == (0, 0)
    assert home.site.writes == written


DOWN = Response(b"<html>Down for maintenance</html>", 503, "text/html")


def tandem_is_down(home: Home) -> float:
    home.tandem.fault = between(home, 1.5, 1.75, DOWN)
    return 1.75


def tandem_cuts_every_connection(home: Home) -> float:
    home.tandem.fault = between(home, 1.5, 1.75, Fault.DROP)
    return 1.75


def nightscout_is_down(home: Home) -> float:
    home.site.fault = between(home, 1.5, 4.5, DOWN)
    return 4.5


def nightscout_cannot_be_written(home: Home) -> float:
    def no_writes(request: Request) -> Response | None:
        return Response(b"", 500) if request.method != "GET" else None

    home.site.fault = between(home, 1.5, 2.5, no_writes)
    return 2.5


def the_phone_is_silent(home: Home) -> float:
    home.phone_off = at(1.5), at(6.5)
    return 6.5


Outage = Callable[[Home], float]
OUTAGES: dict[str, Outage] = {
    outage.__name__.replace("_", " "): outage
    for outage in (
        tandem_is_down,
        tandem_cuts_every_connection,
        nightscout_is_down,
        nightscout_cannot_be_written,
        the_phone_is_silent,
    )
}


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
@pytest.mark.parametrize("source", BOTH_SOURCES)
def test_the_first_run_after_an_outage_brings_everything(
    make_home: Make, life: PumpHistory, source: str, outage: Outage
) -> None:
    home = make_home(source, life)
    begin(home)
    over = outage(home)
    for part in (0.2, 0.9):
        home.go_to(1.5 + part * (over - 1.5))
        ran = home.run()
        assert ran.code == (0 if outage is the_phone_is_silent else 1)
        assert "Traceback" not in ran.errors
    home.go_to(over + 1.2 / 24)
    home.requests()
    assert home.run().code == 0
    assert home.requests() < 60
    check(home)


@pytest.mark.parametrize("source", BOTH_SOURCES)
def test_a_host_that_has_slept_for_a_week_catches_up(
    make_home: Make, life: PumpHistory, source: str
) -> None:
    home = make_home(source, life)
    begin(home)
    home.go_to(8.5)
    ran = home.run()
    assert ran.code == 0
    assert "reaching back to 2024-06-03" in ran.errors
    check(home)


# --auto-update


@pytest.mark.slow
@pytest.mark.parametrize("outage", [tandem_is_down, nightscout_is_down, the_phone_is_silent])
@pytest.mark.parametrize("source", BOTH_SOURCES)
def test_auto_update_brings_everything_as_soon_as_an_outage_is_over(
    make_home: Make, life: PumpHistory, source: str, outage: Outage
) -> None:
    home = make_home(source, life)
    begin(home)
    over = outage(home)
    home.requests()
    home.last_upload = at(over + 1 / 24)
    ran = home.auto_update(over + 10 / 24)
    assert ran.code == 0
    assert "Traceback" not in ran.errors
    assert home.requests() < 2000
    check(home)


@pytest.mark.slow
@pytest.mark.parametrize("source", BOTH_SOURCES)
def test_auto_update_on_a_host_that_slept_for_a_week_catches_up(
    make_home: Make, life: PumpHistory, source: str
) -> None:
    home = make_home(source, life)
    begin(home)

    def asleep(request: Request) -> None:
        """Put the computer to sleep during a poll."""
        if at(1.6) < home.now < at(2):
            home.now = at(8.5)

    home.tandem.fault = asleep
    home.last_upload = at(8.5)
    assert home.auto_update(8.9).code == 0
    check(home)


# One feature


@pytest.mark.parametrize(
    ("source", "where", "part", "features"),
    [
        ("tconnect", "tandem", "therapytimeline/", {"BASAL", "PUMP_EVENTS"}),
        ("tconnect", "tandem", "basalsuspension", {"PUMP_EVENTS"}),
        ("tconnect", "tandem", "2csv", {"IOB"}),
        ("tconnect", "tandem", "myaccount", {"PROFILES"}),
        ("tconnect", "site", "POST /api/v1/entries", set(EVERY_FEATURE["tconnect"])),
        ("tconnect", "site", "entries", {"CGM"}),
        ("tandem-source", "site", "POST /api/v1/entries", set(EVERY_FEATURE["tandem-source"])),
        ("tandem-source", "site", "devicestatus", {"DEVICE_STATUS"}),
    ],
)
def test_what_failed_for_days_while_others_went_on_is_caught_up(
    make_home: Make, life: PumpHistory, source: str, where: str, part: str, features: set[str]
) -> None:
    home = make_home(source, life)
    begin(home)
    server = home.tandem if where == "tandem" else home.site
    server.fault = between(home, 1.5, 3.8, refused(part))
    home.go_to(3.7)
    ran = home.run()
    assert ran.code == 1
    failed = re.findall(r"((?:[A-Z_]{3,} )+)from \S+ to \S+ failed\. ", ran.errors)
    assert {name for names in failed for name in names.split()} == features
    home.go_to(3.9)
    assert home.run().code == 0
    check(home)


# The limit


@pytest.mark.parametrize("source", BOTH_SOURCES)
def test_catching_up_ends_at_the_limit_and_says_how_to_get_the_rest(
    make_home: Make, life: PumpHistory, source: str
) -> None:
    home = make_home(source, life)
    begin(home)
    home.go_to(6.5)
    home.variables["CATCH_UP_DAYS"] = "3"
    ran = home.run()
    assert ran.code == 0
    assert "more than CATCH_UP_DAYS ago" in ran.errors
    shown = {document["created_at"][:10] for document in home.site.treatments}
    assert "2024-06-05" not in shown
    assert {"2024-06-07", "2024-06-08", "2024-06-09"} <= shown
    said = re.search(r"run: tconnectsync (--start-date \S+ --end-date [-0-9]+)", ran.errors)
    assert said
    assert home.run(*said[1].split()).code == 0
    check(home)


@pytest.mark.slow
def test_two_weeks_are_caught_up_unless_told_otherwise(make_home: Make, life: PumpHistory) -> None:
    home = make_home("tandem-source", life)
    begin(home)
    home.go_to(15.4)
    ran = home.run()
    assert ran.code == 0
    assert "CATCH_UP_DAYS" not in ran.errors
    check(home)


@pytest.mark.slow
def test_what_auto_update_could_not_do_for_longer_than_the_limit_is_caught_up_to_it(
    make_home: Make, life: PumpHistory
) -> None:
    home = make_home("tandem-source", life)
    home.features = ("BOLUS", "CGM")
    home.variables["CATCH_UP_DAYS"] = "2"
    begin(home)
    home.site.fault = between(home, 1.5, 4.5, refused("POST /api/v1/entries"))
    home.auto_update(4.8)
    days = [CLOCK.day(datetime.fromtimestamp(e["date"] / 1000, UTC)) for e in home.site.entries]
    assert days.count(FIRST + 3 * DAY) == 288
