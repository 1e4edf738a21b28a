"""A further cloud takes an adapter and a row: nothing else of the program has to know of it.

It is a diary of the pump, kept in memory: it has no log numbers, and its own keys for everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.app import assemble, open_check
from tconnectsync.check.run import State
from tconnectsync.cli.demo import demo
from tconnectsync.cli.options import Options, check_available, parse
from tconnectsync.clock import Clock
from tconnectsync.clouds import CLOUDS, TANDEM_SOURCE, TCONNECT, Cloud, cloud_named
from tconnectsync.config import Configuration, load
from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.domain.events import Basal, Bolus, Reading, ReadingKind
from tconnectsync.errors import ConfigError, UsageError
from tconnectsync.simulators.history import BasalSegment, BolusRecord, PumpHistory
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.sources.base import Reader, Source
from tconnectsync.sync.run.outcome import Outcome
from tconnectsync.sync.run.window import date_range
from tests.support.command import EMAIL, NEW_YORK, PASSWORD, SECRET, SERIAL
from tests.support.expected import as_of, delivered, insulin_shown
from tests.support.settings import host

FIRST = date(2024, 6, 3)
LIFE = live(FIRST, 3)


class DiaryReader(Reader):
    """What the diary says of one range."""

    def __init__(self, history: PumpHistory, clock: PumpClock, wanted: TimeRange) -> None:
        self.skipped = Counter()
        self.remarks = []
        self._history = history
        self._instant = clock.instant
        self._wanted = wanted

    def basals(self) -> list[Basal]:
        """Return the basal segments."""
        found = [
            Basal(
                key=f"basal of {each.start}",
                start=self._instant(each.start),
                duration=timedelta(seconds=each.duration_seconds),
                rate=each.rate,
                reason=f"{each.kind} rate",
            )
            for each in self._history.basal
        ]
        return [it for it in found if self._wanted.overlaps(it.begins, it.ends)]

    def boluses(self) -> list[Bolus]:
        """Return the boluses; the later part of an extended one is a bolus of its own."""
        found = [part for bolus in self._history.boluses for part in self._parts(bolus)]
        return [it for it in found if self._wanted.overlaps(it.begins, it.ends)]

    def _parts(self, bolus: BolusRecord) -> Iterator[Bolus]:
        now = Bolus(
            key=f"bolus of {bolus.requested}",
            requested_at=self._instant(bolus.requested),
            completed=self._instant(bolus.completed) if bolus.completed else None,
            insulin=bolus.insulin,
            requested=bolus.requested_insulin,
            carbs=bolus.carbs,
            description=f"{bolus.kind} bolus",
            incomplete="",
            override=bolus.override,
            automatic=bolus.kind == "automatic",
        )
        yield now
        if (later := bolus.extended) and later.end:
            yield replace(
                now,
                key=f"later part of {bolus.requested}",
                completed=self._instant(later.end),
                insulin=later.insulin,
                requested=later.requested_insulin,
                carbs=0.0,
                automatic=True,
                whole_since=now.completed,
            )

    def readings(self) -> list[Reading]:
        """Return the sensor's readings."""
        found = [
            Reading(f"reading of {it.at}", self._instant(it.at), it.mgdl, ReadingKind.SENSOR)
            for it in self._history.readings
        ]
        return [it for it in found if self._wanted.overlaps(it.at, it.at)]


class Diary(Source):
    """The cloud."""

    name = "diary"
    window_days = 2

    def __init__(self, history: PumpHistory, clock: PumpClock, now: Callable[[], datetime]) -> None:
        self._history = history
        self._clock = clock
        self._now = now

    def read(self, wanted: TimeRange) -> DiaryReader:
        """Return a reader for ``wanted``."""
        wall = self._clock.here(self._now()).replace(tzinfo=None)
        return DiaryReader(as_of(self._history, wall), self._clock, wanted)


def row(history: PumpHistory) -> Cloud:
    return Cloud(
        Diary.name,
        "Pump Diary",
        lambda api, settings, pump_clock, clock, needs_readings: Diary(
            history, pump_clock, clock.now
        ),
        lacks=frozenset({"CGM_ALERTS", "DEVICE_STATUS"}),
    )


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    CLOUDS[Diary.name] = row(LIFE)
    yield
    del CLOUDS[Diary.name]


def variables(site: SmallNightscout, source: str = Diary.name) -> dict[str, str]:
    return {
        "TCONNECT_EMAIL": EMAIL,
        "TCONNECT_PASSWORD": PASSWORD,
        "PUMP_SERIAL_NUMBER": SERIAL,
        "NS_URL": site.url,
        "NS_SECRET": SECRET,
        "TIMEZONE_NAME": NEW_YORK,
        "TCONNECT_SOURCE": source,
        "CACHE_CREDENTIALS": "false",
    }


def sync(given: dict[str, str], first: date = FIRST, last: date | None = None) -> Outcome:
    cycle = assemble(load(given, {}), ("BASAL", "BOLUS"), host(clock=Clock()))
    last = last or FIRST + timedelta(days=LIFE.days - 1)
    outcome = cycle.run(date_range(first, last, cycle.clock, cycle.now()))
    assert outcome.failures == []
    return outcome


def sync_from(cloud: Cloud, site: SmallNightscout, uploaded_until: datetime | None = None) -> None:
    assert cloud.simulator
    zone = ZoneInfo(NEW_YORK)
    with cloud.simulator(LIFE, email=EMAIL, password=PASSWORD, zone=zone) as simulated:
        simulated.uploaded_until = uploaded_until
        sync({**variables(site, cloud.name), **simulated.variables})


def test_a_further_cloud_alone_shows_all_insulin(site: SmallNightscout) -> None:
    outcome = sync(variables(site))
    assert outcome.created == len(site.treatments) > 0
    assert insulin_shown(site.treatments) == pytest.approx(delivered(LIFE), abs=0.01)
    again = sync(variables(site))
    assert (again.created, again.updated) == (0, 0)


@pytest.mark.parametrize("before", [TCONNECT, TANDEM_SOURCE], ids=lambda cloud: cloud.name)
@pytest.mark.parametrize("hours", [None, 41.0], ids=["all", "the first days"])
def test_after_another_cloud_nothing_stands_twice(
    site: SmallNightscout, before: Cloud, hours: float | None
) -> None:
    until = datetime.combine(FIRST, datetime.min.time()) + timedelta(hours=hours) if hours else None
    sync_from(before, site, until)
    known = len(site.treatments)

    first = sync(variables(site))
    second = sync(variables(site))

    assert (first.created > 0) == (hours is not None)
    assert (second.created, second.updated) == (0, 0)
    assert len(site.treatments) == known + first.created
    assert insulin_shown(site.treatments) == pytest.approx(delivered(LIFE), abs=0.01)
    shown = [it for it in site.treatments if it["eventType"] != "Temp Basal" or it.get("duration")]
    seconds = Counter((it["eventType"], it["created_at"][:19]) for it in shown)
    assert [each for each, times in seconds.items() if times > 1] == []


@pytest.mark.parametrize("after", [TCONNECT, TANDEM_SOURCE], ids=lambda cloud: cloud.name)
def test_another_cloud_after_it_shows_no_insulin_twice(site: SmallNightscout, after: Cloud) -> None:
    sync(variables(site))
    sync_from(after, site)
    written = site.writes
    sync_from(after, site)
    assert site.writes == written
    assert insulin_shown(site.treatments) == pytest.approx(delivered(LIFE), abs=0.01)


def test_what_the_pump_did_automatically_is_held_back_for_alarms(site: SmallNightscout) -> None:
    now = datetime.now(ZoneInfo(NEW_YORK)).replace(tzinfo=None, microsecond=0)
    minutes = [timedelta(minutes=each) for each in range(100)]
    history = PumpHistory(
        now.date() - timedelta(days=1),
        2,
        True,
        basal=[BasalSegment(now - minutes[90], 5400, 0.8, "algorithm")],
        boluses=[
            BolusRecord(1, now - minutes[40], now - minutes[39], 0.5, 0.5, kind="automatic"),
            BolusRecord(2, now - minutes[4], now - minutes[3], 2.0, 2.0, carbs=16),
            BolusRecord(3, now - minutes[2], now - minutes[1], 0.4, 0.4, kind="automatic"),
        ],
    )
    CLOUDS[Diary.name] = row(history)
    sync({**variables(site), "ALARM_SAFE_MINUTES": "10"}, history.first_day, now.date())
    assert sorted(it["insulin"] for it in site.treatments if "insulin" in it) == [0.5, 2.0]
    sync({**variables(site), "ALARM_SAFE_MINUTES": "0"}, history.first_day, now.date())
    assert sorted(it["insulin"] for it in site.treatments if "insulin" in it) == [0.4, 0.5, 2.0]


def test_a_check_reads_it_through_its_adapter() -> None:
    now = datetime.combine(FIRST, datetime.min.time(), ZoneInfo(NEW_YORK)) + timedelta(hours=71.95)
    now = now.astimezone(UTC)
    with SmallNightscout(SECRET, now=lambda: now) as site:
        here = host(clock=Clock(now=lambda: now))
        check = open_check(Configuration(variables(site), {}), (), here)
        results = {it.step: it for it in check.run(TimeRange(now - timedelta(days=1), now))}
    assert {it.state for it in results.values()} == {State.OK}, results
    assert "the source is diary" in results["Settings"].text
    assert results["Account and pumps"].text == "Pump Diary answers."
    assert "basals" in results["Pump's data"].text


def test_it_is_chosen_and_refused_as_any_other() -> None:
    assert parse(["--source", "diary"]).source == "diary"
    check_available(["BASAL", "CGM"], "diary", testing_enabled=False)
    with pytest.raises(UsageError, match="diary has no data for DEVICE_STATUS"):
        check_available(["DEVICE_STATUS"], "diary", testing_enabled=True)
    with pytest.raises(UsageError, match="no simulation of Pump Diary"):
        demo(Options(source="diary"), host())
    with pytest.raises(UsageError, match="reads the log of Tandem Source"):
        parse(["--source", "diary", "--import-log", "log.json"])


def asked_for(name: str) -> list[Callable[[], object]]:
    with SmallNightscout(SECRET) as site:
        given = variables(site, name)
    return [
        lambda: cloud_named(name),
        lambda: load(given, {}),
        lambda: demo(Options(source=name), host()),
        lambda: check_available(["BASAL"], name, testing_enabled=True),
    ]


@pytest.mark.parametrize("number", range(4))
def test_an_unknown_cloud_is_refused_everywhere(number: int) -> None:
    with pytest.raises(ConfigError, match="write one of: tandem-source, tconnect, diary"):
        asked_for("no such cloud")[number]()
