"""Changing over: a site that was filled from t:connect or by another tconnectsync, then ours.

Whatever filled it, Tandem Source adds what was lacking and shows nothing a second time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.simulators.history import (
    ActivityRecord,
    BasalKind,
    BasalSegment,
    BolusRecord,
    CgmReading,
    ExtendedPart,
    PumpHistory,
    SiteChange,
    SuspensionRecord,
)
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tconnectsync.simulators.tandemsource.entries import LogEntry
from tconnectsync.simulators.tconnect.cloud import SimulatedTConnect
from tests.support.command import (
    NEW_YORK,
    SECRET,
    Computer,
    Counts,
    addresses,
    cloud,
    computer,
    days,
    tandem_source,
)
from tests.support.expected import Fact, delivered, insulin_shown, shown
from tests.support.older_versions import (
    readings_written_by_3,
    written_by_1,
    written_by_2,
    written_by_3,
)
from tests.support.real_nightscout import Document, NightscoutSite, RealNightscout
from tests.support.treatments import by_id

FIRST = date(2024, 5, 6)
TODAY = days(FIRST, FIRST)
MINUTE = timedelta(minutes=1)


def at(minutes: float) -> datetime:
    """Return a moment of the pump's clock some minutes after noon."""
    return datetime(2024, 5, 6, 12) + minutes * MINUTE


def an_afternoon() -> PumpHistory:
    """Return five hours in which everything happens that a pump can report."""

    def flow(start: float, end: float, rate: float, kind: BasalKind = "algorithm") -> BasalSegment:
        return BasalSegment(at(start), round((end - start) * 60), rate, kind)

    part = ExtendedPart(at(222), at(282), 2.25, 2.25, duration_minutes=60, immediate_percent=40)
    return PumpHistory(
        first_day=FIRST,
        days=1,
        control_iq=True,
        basal=[
            flow(0, 47.35, 0.8, "profile"),
            flow(47.35, 95.6, 1.12),
            flow(125.15, 150.25, 0.61),
            flow(158.8, 200.45, 0.9),
            replace(flow(200.45, 213.9, 0.0), suspended=True),
            flow(213.9, 250.35, 1.35, "temp"),
            flow(250.35, 301.5, 0.7),
        ],
        boluses=[
            BolusRecord(1000, at(20), at(22), 4.12, 4.12, carbs=33, glucose=143),
            BolusRecord(1001, at(60), at(61), 2.5, 2.5, carbs=20, override=True),
            BolusRecord(1002, at(130), at(131), 0.77, 0.77, kind="automatic", glucose=190),
            BolusRecord(1003, at(220), at(222), 1.5, 1.5, kind="extended", carbs=30, extended=part),
            BolusRecord(1004, at(290), at(291), 0.8, 2.0, status="user aborted"),
        ],
        suspensions=[
            SuspensionRecord(at(95.6), at(125.15), "manual"),
            SuspensionRecord(at(150.25), at(158.8), "site change"),
            SuspensionRecord(at(200.45), at(213.9), "control-iq"),
        ],
        activities=[
            ActivityRecord(at(30), 45 * 60, "exercise"),
            ActivityRecord(at(235), 60 * 60, "sleep"),
        ],
        site_changes=[SiteChange(at(150.25), "cartridge"), SiteChange(at(157), "site")],
        readings=[CgmReading(at(5 * n + 0.25), 120 + n % 9 * 4) for n in range(60)],
    )


LIFE = an_afternoon()
LACKED_BY_TCONNECT = {
    "Temp Basal": 2,  # the standstill for the new cartridge, and that nothing follows at the end
    "Basal Suspension": 1,
    "Basal Resume": 2,
    "Insulin Change": 1,
    "Note": 1,
    "Sensor Start": 1,
}
PIECES = 9
"""In so many the extended part of 2.25 U is shown."""
ROUNDING = 0.005
"""U by which totals may differ."""
LESS_THAN_A_MINUTE = 0.025
"""U that may be missing where the sources meet: so short a basal is not worth a document."""
BEFORE_A_STOP = 0.03
"""U that 3.x shows too much: it let the rate before a stop run on to the next entry of a rate."""


@pytest.fixture(scope="module")
def tandem() -> Iterator[SimulatedTandemSource]:
    with tandem_source(LIFE) as server:
        yield server


@pytest.fixture
def log(tandem: SimulatedTandemSource) -> Sequence[LogEntry]:
    return tandem.log_of_pump.entries


@pytest.fixture
def home(tmp_path: Path, tandem: SimulatedTandemSource, nightscout: NightscoutSite) -> Computer:
    return computer(tmp_path, tandem, nightscout.url, nightscout.secret)


@dataclass(frozen=True)
class Changeover:
    """What a first run on Tandem Source made of a site."""

    before: list[Document]
    after: list[Document]
    counts: Counts

    @property
    def new(self) -> list[Fact]:
        """What was created."""
        known = {document["_id"] for document in self.before}
        return shown(document for document in self.after if document["_id"] not in known)

    @property
    def changed(self) -> list[tuple[Document, Document]]:
        """What was updated, before and after."""
        now = by_id(self.after)
        pairs = [(document, now[document["_id"]]) for document in self.before]
        return [(before, after) for before, after in pairs if before != after]


def change_over(
    home: Computer, treatments: Callable[[], list[Document]], *, basal_within: float = ROUNDING
) -> Changeover:
    """Sync from Tandem Source twice, and insist on what is true of every change-over."""
    before = treatments()
    counts = home.sync(*TODAY)
    done = Changeover(before, treatments(), counts)
    assert home.sync(*TODAY)[:2] == (0, 0)
    assert repr(treatments()) == repr(done.after)

    assert (counts.created, counts.updated) == (len(done.new), len(done.changed))
    # A temp basal without a duration shows nothing: it only ends the one before.
    seen = [d for d in done.after if d["eventType"] != "Temp Basal" or d.get("duration")]
    seconds = [(document["eventType"], document["created_at"][:19]) for document in seen]
    assert [each for each, times in Counter(seconds).items() if times > 1] == []
    given, insulin = delivered(LIFE), insulin_shown(done.after)
    assert insulin.basal == pytest.approx(given.basal, abs=basal_within)
    assert insulin.bolus == pytest.approx(given.bolus, abs=ROUNDING)
    assert minutes_shown_twice(done.after) == pytest.approx(0, abs=0.01)
    assert minutes_of(done.after, "Exercise") == pytest.approx(45, abs=0.01)
    assert minutes_of(done.after, "Sleep") == pytest.approx(60, abs=0.01)
    return done


def minutes_shown_twice(treatments: Iterable[Document]) -> float:
    """Return the minutes for which one temp basal says what the next one says, too."""
    spans = sorted(
        (datetime.fromisoformat(t["created_at"]), t.get("duration") or 0)
        for t in treatments
        if t["eventType"] == "Temp Basal"
    )
    ends = [start + minutes * MINUTE for start, minutes in spans]
    return sum(
        max(timedelta(0), end - start) / MINUTE
        for end, (start, _) in zip(ends, spans[1:], strict=False)
    )


def minutes_of(treatments: Iterable[Document], kind: str) -> float:
    return sum(float(t["duration"]) for t in treatments if t["eventType"] == kind)


def insulin_of(facts: Iterable[Fact]) -> float:
    return sum(fact.insulin for fact in facts)


def kinds(facts: Iterable[Fact]) -> dict[str, int]:
    return dict(Counter(fact.kind for fact in facts))


def on_tconnect(home: Computer, tconnect: SimulatedTConnect) -> Computer:
    """Return the same computer as it was set up before, for the old cloud."""
    return replace(home, variables={**home.variables, **addresses(tconnect)})


# From t:connect


def test_what_tconnect_brought_is_completed_and_not_shown_again(
    nightscout: NightscoutSite, home: Computer
) -> None:
    with cloud(LIFE) as tconnect:
        on_tconnect(home, tconnect).sync(*TODAY)
    done = change_over(home, nightscout.treatments)

    assert kinds(done.new) == LACKED_BY_TCONNECT
    assert done.changed == []


def test_what_1_0_brought_from_tconnect_is_completed_and_not_shown_again(
    nightscout: NightscoutSite, home: Computer
) -> None:
    nightscout.insert("treatments", written_by_1(LIFE, NEW_YORK))
    done = change_over(home, nightscout.treatments)

    assert kinds(done.new) == LACKED_BY_TCONNECT | {"Combo Bolus": PIECES}
    assert insulin_of(done.new) == pytest.approx(2.25)
    assert done.changed == []


MOMENTS = {"a stop": 110, "an extended bolus": 228, "sleep": 262}


@pytest.mark.parametrize("minutes", MOMENTS.values(), ids=MOMENTS)
def test_tandem_source_goes_on_where_tconnect_ended_in_the_middle_of_things(
    tmp_path: Path, minutes: float
) -> None:
    with (
        cloud(LIFE) as tconnect,
        tandem_source(LIFE) as tandem,
        SmallNightscout(SECRET) as site,
    ):
        home = computer(tmp_path, tandem, site.url, SECRET)
        tconnect.uploaded_until = at(minutes)
        on_tconnect(home, tconnect).sync(*TODAY)
        tandem.uploaded_until = at(minutes + 13)
        home.sync(*TODAY)
        tandem.uploaded_until = None
        done = change_over(
            home,
            lambda: [dict(document) for document in site.treatments],
            basal_within=LESS_THAN_A_MINUTE,
        )

    assert {"Combo Bolus", "Temp Basal"} <= {fact.kind for fact in done.new}


# From other versions on Tandem Source


def test_what_3_x_wrote_is_adopted_and_only_what_it_lost_is_added(
    nightscout: NightscoutSite, home: Computer, log: Sequence[LogEntry]
) -> None:
    nightscout.insert("treatments", written_by_3(log, NEW_YORK, at(600)))
    done = change_over(home, nightscout.treatments, basal_within=BEFORE_A_STOP)

    assert kinds(done.new) == {"Insulin Change": 1}
    assert done.changed == []


def test_what_2_x_wrote_is_adopted_and_only_what_it_lost_is_added(
    nightscout: NightscoutSite, home: Computer, log: Sequence[LogEntry]
) -> None:
    nightscout.insert("treatments", written_by_2(log, NEW_YORK, at(600)))
    done = change_over(home, nightscout.treatments, basal_within=BEFORE_A_STOP)

    assert kinds(done.new) == {"Insulin Change": 1, "Combo Bolus": PIECES}
    assert insulin_of(done.new) == pytest.approx(2.25)
    assert done.changed == []


def test_a_cartridge_that_the_tubing_replaced_in_3_x_comes_back(
    nightscout: NightscoutSite, home: Computer, log: Sequence[LogEntry]
) -> None:
    fills = [d for d in written_by_3(log, NEW_YORK, at(600)) if d["eventType"] == "Site Change"]
    assert [fill["notes"] for fill in fills] == ["Tubing Filled", "Cannula Filled (0.3u primed)"]
    nightscout.insert("treatments", fills)
    before = nightscout.treatments()
    home.sync(*TODAY)
    after = nightscout.treatments()

    texts = Counter(str(document.get("notes")) for document in after)
    assert texts["Tubing Filled"] == texts["Cannula Filled (0.3u primed)"] == 1
    (cartridge,) = [d for d in after if d["eventType"] == "Insulin Change"]
    assert cartridge["notes"] == "Cartridge Filled (180u filled)"
    assert [document for document in after if document in before] == before


def test_what_3_x_left_half_way_through_a_day_is_finished_in_place(
    nightscout: NightscoutSite, home: Computer, log: Sequence[LogEntry]
) -> None:
    nightscout.insert("treatments", written_by_3(log, NEW_YORK, at(254.5)))
    done = change_over(home, nightscout.treatments, basal_within=BEFORE_A_STOP)

    (basal, whole), (sleep, night) = sorted(
        done.changed, key=lambda pair: str(pair[0]["eventType"]), reverse=True
    )
    assert 0 < basal["duration"] < whole["duration"] == 5
    assert (sleep["notes"], night["notes"]) == ("Sleep (Manual) - Not Ended", "Sleep (Manual)")
    assert 0 < sleep["duration"] < night["duration"] == 60
    later = at(254.5).replace(tzinfo=ZoneInfo(NEW_YORK))
    # 3.x shows nothing of an extended part as long as it runs.
    lost = ("Insulin Change", "Combo Bolus")
    assert all(fact.at >= later for fact in done.new if fact.kind not in lost)


def test_the_last_basal_of_each_run_of_3_x_gets_its_true_length(
    nightscout: NightscoutSite, home: Computer, log: Sequence[LogEntry]
) -> None:
    runs = [at(minutes) for minutes in (62, 115, 165, 220, 253)]
    nightscout.insert("treatments", written_by_3(log, NEW_YORK, *runs))
    change_over(home, nightscout.treatments, basal_within=BEFORE_A_STOP)


def test_what_a_person_edited_in_documents_of_3_x_stays_edited(
    nightscout: NightscoutSite, home: Computer, log: Sequence[LogEntry]
) -> None:
    nightscout.insert("treatments", written_by_3(log, NEW_YORK, at(600)))
    stored = sorted(nightscout.treatments(), key=lambda treatment: str(treatment["created_at"]))
    of_kind = {
        kind: [t for t in stored if t["eventType"] == kind]
        for kind in ("Combo Bolus", "Temp Basal", "Sleep", "Site Change")
    }
    boluses, basals = of_kind["Combo Bolus"], of_kind["Temp Basal"]
    moved = datetime.fromisoformat(boluses[2]["created_at"]) + 12 * MINUTE
    nightscout.edit(boluses[0], insulin=9.9, carbs=70)
    nightscout.edit(boluses[1], notes="pasta, half of it")
    nightscout.edit(boluses[2], created_at=moved.isoformat())
    nightscout.edit(basals[2], duration=3)
    nightscout.edit(basals[3], absolute=0.1, rate=0.1)
    nightscout.edit(of_kind["Sleep"][0], duration=30, notes="a nap")
    nightscout.edit(of_kind["Site Change"][1], notes="left thigh", reason="left thigh")
    edited = nightscout.treatments()
    counts = home.sync(*TODAY)
    after = nightscout.treatments()

    assert len([treatment for treatment in edited if treatment not in stored]) == 7
    now = by_id(after)
    assert [now[treatment["_id"]] for treatment in edited] == edited
    new = shown(treatment for treatment in after if treatment not in edited)
    assert kinds(new) == {"Insulin Change": 1}
    assert counts.updated == 0
    assert home.sync(*TODAY)[:2] == (0, 0)


# Readings


def test_readings_that_3_x_wrote_are_completed_and_not_shown_again(
    nightscout: NightscoutSite, home: Computer, log: Sequence[LogEntry]
) -> None:
    if not isinstance(nightscout, RealNightscout):
        pytest.skip("A site that is given loses its treatments only; this test needs more.")
    until_later = [entry for entry in log if entry.at <= at(100)]
    nightscout.insert("entries", readings_written_by_3(until_later, NEW_YORK))
    query = {"find[date][$gte]": "0", "count": "10000"}
    before = nightscout.request("GET", "entries.json", params=query).json()
    first = home.run(*TODAY, "--features", "CGM")
    after = nightscout.request("GET", "entries.json", params=query).json()

    assert first.counts == (40, 0, 20)
    assert after[-20:] == before
    check_readings(after)
    assert home.run(*TODAY, "--features", "CGM").counts == (0, 0, 60)


def test_readings_that_tconnect_brought_are_not_shown_again(
    tmp_path: Path, tandem: SimulatedTandemSource
) -> None:
    cgm = (*TODAY, "--features", "CGM")
    with cloud(LIFE) as tconnect, SmallNightscout(SECRET) as site:
        home = computer(tmp_path, tandem, site.url, SECRET)
        old = on_tconnect(home, tconnect).run(*cgm, ENABLE_TESTING_MODES="true")
        assert home.run(*cgm).counts == (0, 0, 60)
    assert old.counts == (60, 0, 0)
    check_readings(site.entries)


def check_readings(entries: Sequence[Document]) -> None:
    """Insist on every reading of the sensor, once."""
    instants = [r.at.replace(tzinfo=ZoneInfo(NEW_YORK)).timestamp() * 1000 for r in LIFE.readings]
    expected_ones = [(at, r.mgdl) for at, r in zip(instants, LIFE.readings, strict=True)]
    assert sorted((entry["date"], entry["sgv"]) for entry in entries) == expected_ones
