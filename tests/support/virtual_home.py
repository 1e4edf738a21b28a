"""The whole command in this process, on a clock that only its waiting and the test move.

So it lives through days of a pump's life in seconds, beside both services.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tconnectsync.cli import main
from tconnectsync.clock import Clock
from tconnectsync.nightscout.provenance import instant
from tconnectsync.simulators.history import PumpHistory, midnight
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tconnectsync.stop import Stopped
from tests.support.command import CLOUDS, SECRET, Cloud, Finished
from tests.support.command import days as dates
from tests.support.event_builders import NEW_YORK as CLOCK
from tests.support.world import FIRST, World

NEVER = datetime.max.replace(tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
EVERY_FEATURE = {
    "tconnect": ("BASAL", "BOLUS", "PUMP_EVENTS", "PROFILES", "IOB", "CGM"),
    "tandem-source": (
        *("BASAL", "BOLUS", "PUMP_EVENTS", "PROFILES", "IOB", "CGM"),
        *("CGM_ALERTS", "DEVICE_STATUS"),
    ),
}
UNHURRIED = {
    "AUTOUPDATE_DEFAULT_SLEEP_SECONDS": "14400",
    "AUTOUPDATE_MAX_SLEEP_SECONDS": "14400",
    "AUTOUPDATE_UNEXPECTED_NO_INDEX_SLEEP_SECONDS": "14400",
    "AUTOUPDATE_API_FAILURE_MINUTES": "0",
}
"""Polls every four hours, and never gives up: a test cannot live through days of usual polls."""


@dataclass(kw_only=True)
class Home(World[Cloud]):
    """A world whose clock goes on, and the command in it.

    The phone uploads every hour, ten minutes past, unless it is ``phone_off``.
    """

    folder: Path
    capture: pytest.CaptureFixture[str]
    now: datetime = field(default_factory=lambda: CLOCK.midnight(FIRST))
    until: datetime = NEVER
    phone_off: tuple[datetime, datetime] | None = None
    last_upload: datetime = NEVER

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

    @property
    def clock(self) -> Clock:
        """The clock of the computer, which all waiting sets forward."""
        return Clock(
            now=lambda: self.now,
            monotonic=lambda: (self.now - at(0)).total_seconds(),
            sleep=self.wait,
        )

    def run(self, *arguments: str, **changes: str) -> Finished:
        """Run the command; ``changes`` are variables set otherwise this time."""
        if isinstance(self.tandem, SimulatedTandemSource):
            self.tandem.login.now = lambda: self.now
        here = replace(self.host, environment={**self.variables, **changes})
        with logging_restored():
            code = main([*arguments, "--features", *self.features], here)
        return Finished(code, *self.capture.readouterr())

    def auto_update(self, day: float) -> Finished:
        """Run --auto-update until then."""
        self.until = at(day)
        ran = self.run("--auto-update", **UNHURRIED)
        self.until = NEVER
        return ran


@contextmanager
def logging_restored() -> Iterator[None]:
    """Leave logging afterwards as it was before."""
    logger = logging.getLogger("tconnectsync")
    before = logger.handlers, logger.level, logger.propagate
    try:
        yield
    finally:
        logger.handlers, logger.level, logger.propagate = before


def with_few_readings(life: PumpHistory) -> PumpHistory:
    """Return a life with a reading every half hour: six times as many would only take longer."""
    return replace(life, readings=life.readings[::6])


def sparse(life: PumpHistory) -> PumpHistory:
    """Return a life with few readings, and with basal only around each full hour.

    What a test changes or disturbs is at full hours, or at any time at all.
    """
    basal = [each for each in life.basal if not 10 <= each.start.minute < 50]
    starts = {each.start for each in basal}
    stops = [it for it in life.suspensions if it.reason != "control-iq" or it.start in starts]
    return replace(with_few_readings(life), basal=basal, suspensions=stops)


def at(day: float) -> datetime:
    """Return the instant so many days after the pump's life begins."""
    return CLOCK.midnight(FIRST) + day * DAY


def wall(day: float) -> datetime:
    """Return what the pump's clock shows so many days after its life begins."""
    return midnight(FIRST) + day * DAY


def boluses_of(home: Home) -> list[datetime]:
    """Return when the boluses in Nightscout were, in time order."""
    found = [d for d in home.site.treatments if d["eventType"] == "Combo Bolus"]
    return sorted(at for d in found if (at := instant(d)))


Make = Callable[..., Home]


@contextmanager
def homes(folder: Path, capture: pytest.CaptureFixture[str]) -> Iterator[Make]:
    """Give what makes a home for a source and a history, and end all of them."""
    with ExitStack() as stack:

        def make(source: str, history: PumpHistory, *, keyed_by_identifier: bool = True) -> Home:
            tandem = CLOUDS[source](history)
            stack.enter_context(tandem)
            site = SmallNightscout(
                SECRET, keyed_by_identifier=keyed_by_identifier, now=lambda: home.now
            )
            stack.enter_context(site)
            home = Home(
                tandem,
                site,
                folder=folder,
                capture=capture,
                features=EVERY_FEATURE[source],
                changes={"ENABLE_TESTING_MODES": "true"},
            )
            return home

        yield make


def held(site: SmallNightscout) -> Counter[str]:
    """Return what a site holds, without what its database or the time of writing gave it.

    Of how the pump is, only the newest counts: what has passed is not shown. Insulin goes on
    from what the statuses before it say. A reading's direction is what was known when it arrived.
    """
    insulin = ("iob", "reservoir", "reservoir_display_override")
    states = [
        {**state, "pump": {k: v for k, v in state["pump"].items() if k not in insulin}}
        for state in site.device_statuses[-1:]
    ]
    kept = {
        "treatment": (site.treatments, ()),
        "entry": (site.entries, ("direction",)),
        "activity": (site.activity, ()),
        "device status": (states, ("created_at", "insulin_left", "pump_event_id")),
        "profile": (site.profiles, ("startDate", "created_at", "mills")),
    }
    return Counter(
        json.dumps([kind, {k: v for k, v in each.items() if k not in ("_id", *without)}])
        for kind, (documents, without) in kept.items()
        for each in (dict(sorted(document.items())) for document in documents)
    )


_known: dict[tuple[object, ...], Counter[str]] = {}


def undisturbed(home: Home, first: date = FIRST, like: str = "") -> Counter[str]:
    """Return what a site holds after one run over everything.

    Homes that are ``like`` one another, by the name they share, have the same history and uploads:
    then one such run is enough for all of one moment and one source.
    """
    key = (like, type(home.tandem), home.features, tuple(home.changes.items()), first, home.now)
    if not like or key not in _known:
        with SmallNightscout(SECRET, now=lambda: home.now) as site:
            assert home.run(*dates(first, CLOCK.day(home.now)), NS_URL=site.url).code == 0
            _known[key] = held(site)
    return _known[key]


def check(home: Home, like: str = "") -> None:
    """Insist that everything is there, once, and that another run writes nothing.

    ``like`` is that of :func:`undisturbed`.
    """
    found, wanted = held(home.site), undisturbed(home, like=like)
    assert (wanted - found, found - wanted) == ({}, {})
    written = home.site.writes
    assert home.run().counts[:2] == (0, 0)
    assert home.site.writes == written
