"""The figures of a report, against values worked out by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.config.values import glucose_unit
from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.domain.events import (
    Basal,
    Bolus,
    CarbEntry,
    Piece,
    PumpEvent,
    PumpEventKind,
    Reading,
    ReadingKind,
)
from tconnectsync.errors import ApiError
from tconnectsync.history import History
from tconnectsync.report.days import average, day_of
from tconnectsync.report.figures import make_report
from tconnectsync.report.glucosefigures import ReadingCounts, percentiles
from tconnectsync.report.model import Compared, Day, Glucose, Totals
from tconnectsync.report.wear import worn
from tconnectsync.sources.base import Reader, Source
from tests.support.report_builders import basal, bolus

BERLIN = PumpClock(ZoneInfo("Europe/Berlin"))
FIRST = date(2024, 10, 26)
"""The day before the night that has an hour more."""
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def at(day: int, hours: float) -> datetime:
    """Return an instant so many hours after the beginning of a day; day 0 is FIRST."""
    return BERLIN.here(BERLIN.midnight(FIRST + timedelta(days=day)) + hours * HOUR)


def whole(day: int) -> TimeRange:
    return TimeRange(at(day, 0), at(day + 1, 0))


def event(kind: PumpEventKind, when: datetime, noted: datetime | None = None) -> PumpEvent:
    return PumpEvent(f"{kind} {when}", when, kind, "", automatic=False, noted_at=noted)


def reading(when: datetime, glucose: int, kind: ReadingKind = ReadingKind.SENSOR) -> Reading:
    return Reading(f"reading {when}", when, glucose, kind)


def day(
    number: int, *events: Basal | Bolus | CarbEntry | PumpEvent, stops: Collection[datetime] = ()
) -> Day:
    return day_of(whole(number), events, [], stops, BERLIN)


# -- glucose ---------------------------------------------------------------------------------------


def said_of(*values: int) -> Glucose:
    counted = ReadingCounts()
    readings = [reading(at(0, 8) + number * 5 * MINUTE, it) for number, it in enumerate(values)]
    counted.add(readings, whole(0))
    found = counted.glucose()
    assert found
    return found


def test_both_ends_of_the_range_are_in_range() -> None:
    found = said_of(53, 54, 69, 70, 180, 181, 250, 251)
    assert found.shares == {
        "very low": 1 / 8,
        "low": 2 / 8,
        "in range": 2 / 8,
        "high": 2 / 8,
        "very high": 1 / 8,
    }


def test_mean_spread_and_management_indicator_are_those_of_the_field() -> None:
    found = said_of(100, 150, 200)
    assert (found.mean, found.deviation) == (150, 50)
    assert found.cv == pytest.approx(33.333, abs=0.001)
    assert found.gmi == pytest.approx(3.31 + 0.02392 * 150)
    assert said_of(*[154] * 7).deviation == 0
    assert said_of(100).cv == 0


def test_coverage_is_of_all_the_time_and_no_slot_counts_twice() -> None:
    counted = ReadingCounts()
    # The longer day has 300 slots of five minutes; half of them have a reading, some have two.
    times = [at(1, number / 12) for number in range(150)]
    counted.add([reading(it, 100) for it in times], whole(1))
    counted.add([reading(it, 100) for it in [at(0, 9), at(0, 9.01)]], whole(0))
    found = counted.glucose()
    assert found
    assert found.coverage == pytest.approx(151 / (288 + 300))
    assert found.readings == 152


def test_a_finger_stick_is_no_reading_of_the_sensor() -> None:
    counted = ReadingCounts()
    counted.add([reading(at(0, 8), 300, ReadingKind.FINGER)], whole(0))
    assert counted.glucose() is None


def test_percentiles_lie_between_values_in_proportion() -> None:
    counts = Counter([10, 20, 30, 40, 50])
    assert percentiles(counts, (0, 5, 25, 50, 90, 100)) == [10, 12, 20, 30, 46, 50]
    assert percentiles(Counter({100: 3, 200: 1}), (50, 75, 100)) == [100, 125, 200]


def test_the_profile_goes_round_midnight_and_needs_several_days() -> None:
    counted = ReadingCounts()
    for number, glucose in ((2, 100), (3, 120), (4, 140)):
        late, early = at(number, 23.9), at(number, 0.1)
        counted.add([reading(early, glucose), reading(late, glucose)], whole(number))
    found = counted.glucose()
    assert found
    points = {point.minute: point for point in found.profile}
    assert set(points) == {0, 15, 1425, 1440}
    assert points[0].p50 == points[1440].p50 == 120
    assert said_of(100, 110).profile == []


# -- days ------------------------------------------------------------------------------------------


def test_basal_over_midnight_counts_in_each_day_with_its_part() -> None:
    over = basal(at(0, 22), 4, 1.5)
    assert [day(number, over).totals.basal for number in (0, 1)] == [3.0, 3.0]
    assert day(0, over).basals == day(1, over).basals == [over]


def test_sums_are_exact() -> None:
    tenths = [bolus(at(0, hour), 0.1) for hour in range(3)]
    assert day(0, *tenths).totals.bolus == 0.3
    # 288 times five minutes at 0.85 U/h.
    parts = [basal(at(0, number / 12), 1 / 12, 0.85) for number in range(288)]
    assert day(0, *parts).totals.basal == 20.4


def test_a_bolus_counts_with_its_carbs_on_the_day_on_which_it_ended() -> None:
    late = bolus(at(0, 23.99), 5.0, carbs=40)
    assert day(0, late).totals == Totals(0, 0, 0, 0)
    assert day(1, late, CarbEntry("", at(1, 8), 12)).totals == Totals(0, 5.0, 0, 52)


def test_the_later_part_of_an_extended_bolus_is_not_by_the_pump() -> None:
    now = bolus(at(0, 8), 2.0)
    piece = replace(bolus(at(0, 9), 1.0), automatic=True, piece=Piece(1, at(0, 8)))
    later = replace(bolus(at(0, 10), 1.0), automatic=True, whole_since=at(0, 8))
    correction = replace(bolus(at(0, 15), 0.7), automatic=True)
    assert day(0, now, piece, later, correction).totals == Totals(0, 4.7, 0.7, 0)


def test_days_of_23_and_25_hours_are_whole() -> None:
    clock = PumpClock(ZoneInfo("America/New_York"))
    for first, hours in ((date(2024, 3, 10), 23), (date(2024, 11, 3), 25)):
        start, end = clock.midnight(first), clock.midnight(first + timedelta(days=1))
        found = day_of(TimeRange(start, end), [basal(start, hours)], [], (), clock)
        assert (found.totals.basal, found.is_whole, found.gaps) == (hours, True, [])


@pytest.mark.parametrize(
    ("missing", "gaps", "is_whole"),
    [(0.01, 0, True), (0.25, 1, True), (0.5, 1, True), (0.6, 1, False)],
)
def test_a_gap_is_shown_and_a_day_with_a_long_one_is_not_averaged(
    missing: float, gaps: int, is_whole: bool
) -> None:
    found = day(0, basal(at(0, 0), 10), basal(at(0, 10 + missing), 14 - missing))
    assert (len(found.gaps), found.is_whole) == (gaps, is_whole)


def test_today_is_not_averaged() -> None:
    so_far = TimeRange(at(0, 0), at(0, 20))
    assert not day_of(so_far, [basal(at(0, 0), 20)], [], (), BERLIN).is_whole
    assert average([Totals(10, 20, 1, 100), Totals(11, 21, 2, 101)]) == Totals(
        10.5, 20.5, 1.5, 100.5
    )


def test_the_pump_s_own_stops_are_suspensions_but_a_rate_of_zero_is_none() -> None:
    algorithm = replace(basal(at(0, 1), 1, 0.0), suspended=False)
    unexplained, stopped = basal(at(0, 5), 1, 0.0), basal(at(0, 23), 3, 0.0)
    stops = [at(0, 1), at(0, 23)]
    found = [
        day(number, algorithm, unexplained, stopped, stops=stops).suspended for number in (0, 1)
    ]
    assert found[0] == [TimeRange(at(0, 23), at(1, 0))]
    assert found[1] == [TimeRange(at(1, 0), stopped.ends)]


def test_a_site_change_without_basal_is_no_gap_in_what_is_known() -> None:
    parts = basal(at(0, 0), 10), basal(at(0, 10.1), 13.9)
    found = day(0, *parts, stops=[at(0, 10)])
    assert (found.gaps, found.is_whole) == ([], True)
    assert found.suspended == [TimeRange(at(0, 10), at(0, 10.1))]


def test_a_difference_shows_no_trace_of_binary_fractions() -> None:
    assert f"{Compared(FIRST, 0.1, 0.2, 0.3, 0.0).difference:.2f}" == "0.00"
    assert f"{Compared(FIRST, 0.3, 0.0, 0.1, 0.2).difference:+.2f}" == "+0.00"


# -- what was worn ---------------------------------------------------------------------------------


def test_a_site_lasts_until_the_next_one_and_the_last_one_still() -> None:
    site = PumpEventKind.SITE_CHANGE
    found = worn([event(site, at(0, 8)), event(site, at(2, 20)), event(site, at(2, 20.2))])
    assert [(it.kind, it.began, it.ended) for it in found] == [
        ("Site", at(0, 8), at(2, 20.2)),
        ("Site", at(2, 20.2), None),
    ]


def test_a_sensor_lasts_until_its_session_ends() -> None:
    start, stop = PumpEventKind.SENSOR_START, PumpEventKind.SENSOR_STOP
    found = worn(
        [
            event(start, at(-9, 8), noted=at(0, 0)),
            # Put on while the one before goes on for a little.
            event(start, at(1, 8), noted=at(1, 9)),
            event(stop, at(1, 8.5)),
            event(stop, at(2, 12)),
        ]
    )
    assert [(it.began, it.ended) for it in found] == [
        (at(-9, 8), at(1, 8)),
        (at(1, 8), at(2, 12)),
    ]


# -- from windows to a report ----------------------------------------------------------------------


@dataclass
class GivenEvents(Source):
    """A cloud that has what it was given, a day at a time; some days have no boluses to read."""

    basals: Sequence[Basal]
    boluses: Sequence[Bolus]
    broken: Sequence[date] = ()
    name: str = "given"
    window_days: int = 1

    def read(self, time_range: TimeRange) -> Reader:
        return ToldReader(self, time_range)


@dataclass
class ToldReader(Reader):
    given: GivenEvents
    range: TimeRange
    skipped: Counter[str] = field(default_factory=Counter)
    remarks: list[object] = field(default_factory=list)  # type: ignore[assignment]

    def basals(self) -> list[Basal]:
        return [it for it in self.given.basals if self.range.overlaps(it.begins, it.ends)]

    def boluses(self) -> list[Bolus]:
        if BERLIN.day(self.range.start) in self.given.broken:
            raise ApiError("Tandem's cloud refuses.", 404)
        return [it for it in self.given.boluses if self.range.overlaps(it.begins, it.ends)]


def test_a_report_is_made_of_windows_and_leaves_out_of_the_mean_what_was_not_read() -> None:
    broken = FIRST + timedelta(days=2)
    basals = [basal(at(0, -2), 50, 0.5), basal(at(0, 48), 60, 1.0)]
    given = GivenEvents(basals, [bolus(at(1, 23.99), 3.0), bolus(at(2, 12), 8.0)], [broken])
    history = History(given, BERLIN, lambda: datetime(2024, 11, 20, tzinfo=UTC))
    report = make_report(history, TimeRange(at(0, 0), at(4, 0)))
    assert [it.date for it in report.days] == [FIRST + timedelta(days=n) for n in (3, 2, 1, 0)]
    # The second day has 25 hours, the last of them at 1 U/h.
    assert [it.totals.basal for it in report.days[::-1]] == [12, 13, 24, 24]
    assert [it.is_whole for it in report.days[::-1]] == [True, True, False, True]
    assert (report.averaged_days, report.average.basal) == (3, 49 / 3)
    assert report.remarks == [
        "Boluses of 2024-10-28 could not be read. Tandem's cloud refuses (HTTP 404)."
    ]
    assert report.glucose is None
    assert "No Nightscout site is set" in report.why_not_compared


@pytest.mark.parametrize("first", [0, 1], ids=["in the middle", "at the beginning"])
def test_a_bolus_that_ends_in_the_second_of_midnight_counts_once(first: int) -> None:
    given = GivenEvents([], [bolus(at(1, 0) - 2 * MINUTE, 3.0, carbs=24)])
    history = History(given, BERLIN, lambda: datetime(2024, 11, 20, tzinfo=UTC))
    days = make_report(history, TimeRange(at(first, 0), at(3, 0))).days[::-1]
    sums = {each.date: (each.totals.bolus, each.totals.carbs) for each in days}
    on_its_day = FIRST + timedelta(days=1)
    assert sums == {**dict.fromkeys(sums, (0, 0)), on_its_day: (3.0, 24)}


def test_all_times_of_a_report_are_in_the_pump_s_zone() -> None:
    """Those of a wrong date come in UTC, those of a journey in another zone, and now as it is."""
    abroad = bolus(at(2, 9).astimezone(ZoneInfo("Asia/Tokyo")), 1.0)
    part = Piece(1, at(0, 23).astimezone(UTC), whole_ended=at(1, 1))
    given = GivenEvents(
        [basal(at(2, 0).astimezone(UTC), 10)], [abroad, replace(bolus(at(1, 1), 2), piece=part)]
    )
    history = History(given, BERLIN, lambda: datetime(2024, 11, 20, tzinfo=UTC))
    days = make_report(history, TimeRange(at(0, 0), at(2, 20).astimezone(UTC))).days
    shown = [days[0].boluses[0].begins, days[0].boluses[0].ends, days[0].basals[0].start]
    shown += [it for gap in days[0].gaps for it in (gap.start, gap.end)]
    assert [f"{it:%H:%M}" for it in shown] == ["09:00", "09:02", "00:00", "10:00", "20:00"]
    assert [f"{it.piece.since:%H:%M}" for it in days[1].boluses if it.piece] == ["23:00"]


@pytest.mark.parametrize("text", ["mmol", "mmol/L", "MMOL/l", "mmol/l", "mmolL"])
def test_mmol_is_understood_as_people_spell_it(text: str) -> None:
    assert glucose_unit(text) == "mmol/L"


@pytest.mark.parametrize("text", ["mg/dL", "mg/dl", "MGDL", "mg"])
def test_mg_is_understood_as_people_spell_it(text: str) -> None:
    assert glucose_unit(text) == "mg/dL"
