"""Basals of pumps without Control-IQ, whose log has a rate only when it changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tconnectsync.clouds import TANDEM_SOURCE
from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.domain.events import Basal
from tconnectsync.nightscout.treatments import treatments_of
from tconnectsync.simulators.history import basal_insulin, midnight
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.clock import Clocks
from tconnectsync.simulators.tandemsource.cloud import as_served
from tconnectsync.simulators.tandemsource.log import pump_log
from tconnectsync.sources.tandemsource.clock.changes import CLOCK_CODES, clock_changes
from tconnectsync.sources.tandemsource.clock.logclock import LogClock
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log, by_code
from tconnectsync.sources.tandemsource.log.records import EVERY_CODE, records_of
from tconnectsync.sources.tandemsource.reader import USED, LogReader
from tests.support.event_builders import NEW_YORK

DAY = timedelta(days=1)
FIRST = date(2026, 3, 2)
MIDNIGHT = datetime(2026, 3, 2)
TIMED, NEW_PROFILE, TEMP_START, TEMP_END, STOPPED, RESUMED, OFF, LIMIT = range(8)


def entry(hours: float, code: int, **values: Any) -> Entry:
    """Return an entry some hours after the first midnight."""
    wall = MIDNIGHT + timedelta(hours=hours)
    known = {name: value for name, value in values.items() if value is not None}
    return Entry(NEW_YORK.instant(wall), code, 0, wall, known)


def change(
    hours: float, rate: float | None, *why: int, base: float | None = None, **values: Any
) -> Entry:
    """Return a change of the rate (U/h); the profile's rate is the same unless said otherwise."""
    return entry(
        hours,
        3,
        commandedbasalrate=rate,
        basebasalrate=rate if base is None else base,
        changetype=sum(1 << bit for bit in why),
        **values,
    )


def new_day(day: int, rate: float | None) -> Entry:
    return entry(24 * day, 90, commandedbasalrate=rate)


def sign(hours: float) -> Entry:
    """Return an entry that says nothing but that the log goes on."""
    return entry(hours, 313)


def numbered(entries: Sequence[Entry], first: int = 500) -> list[Entry]:
    return [it._replace(sequence=number) for number, it in enumerate(entries, first)]


def log_of(entries: Sequence[Entry]) -> Log:
    found: dict[int, list[Entry]] = {}
    for each in entries:
        found.setdefault(each.code, []).append(each)
    return found


def reader_of(entries: Sequence[Entry], whole: Sequence[Entry] | None = None) -> LogReader:
    complete = log_of(entries if whole is None else whole)
    return LogReader(lambda skipped: log_of(entries), whole=lambda skipped: complete)


def spans(basals: Sequence[Basal]) -> list[tuple[float, float, float, str | None]]:
    """Return start and end in hours after the first midnight, the rate, and its name."""
    origin = NEW_YORK.instant(MIDNIGHT)
    hour = timedelta(hours=1)
    return [
        ((it.start - origin) / hour, (it.ends - origin) / hour, it.rate, it.reason) for it in basals
    ]


def read(*entries: Entry) -> list[tuple[float, float, float, str | None]]:
    reader = reader_of(numbered(entries))
    found = spans(reader.basals())
    assert not reader.remarks
    assert not reader.skipped
    return found


def test_a_rate_holds_until_it_changes_and_midnight_divides_it() -> None:
    assert read(
        new_day(0, 0.7),
        change(3, 0.85, TIMED),
        change(16, 0.9, TIMED),
        new_day(1, 0.9),
        change(25, 0.75, TIMED),
        sign(30),
    ) == [
        (0, 3, 0.7, "Profile"),
        (3, 16, 0.85, "Profile"),
        (16, 24, 0.9, "Profile"),
        (24, 25, 0.9, "Profile"),
        (25, 30, 0.75, "Profile"),
    ]


def test_only_what_goes_on_at_the_newest_entry_is_running() -> None:
    found = reader_of(numbered([new_day(0, 1), change(3, 2, 0), new_day(1, 2), sign(30)])).basals()
    assert [it.running for it in found] == [False, False, True]


def test_each_document_is_named_after_the_entry_that_sets_its_rate() -> None:
    entries = numbered([new_day(0, 0.7), change(3, 0.85, TIMED), sign(5)])
    found = reader_of(entries).basals()
    assert [it.key for it in found] == [entries[0].key, entries[1].key]
    assert [it.log_ids for it in found] == [(500,), (501,)]


@pytest.mark.parametrize(
    ("why", "rate", "base", "kind"),
    [
        ([TIMED], 1.0, 1.0, "Profile"),
        ([NEW_PROFILE], 1.0, 1.0, "Profile"),
        ([TEMP_END], 1.0, 1.0, "Profile"),
        ([TEMP_START], 1.5, 1.0, "TempRate"),
        ([TEMP_START], 1.0, 1.0, "TempRate"),
        ([TIMED], 1.5, 1.0, "TempRate"),
        ([RESUMED, TEMP_START], 1.5, 1.0, "TempRate"),
        ([TEMP_END, STOPPED], 0.0, 1.0, "Suspended"),
        ([TIMED, STOPPED, TEMP_START], 0.0, 1.0, "Suspended"),
        ([], 1.0, 1.0, "Profile"),
    ],
)
def test_why_a_rate_changes_is_said(why: list[int], rate: float, base: float, kind: str) -> None:
    found = read(new_day(0, 0.5), change(3, rate, *why, base=base), sign(5))
    assert found == [(0, 3, 0.5, "Profile"), (3, 5, rate, kind)]


def test_a_raised_limit_does_not_end_a_temp_rate() -> None:
    assert read(
        new_day(0, 1.4),
        change(3, 2.0, TEMP_START, base=1.4),
        change(4, 2.8, LIMIT, base=1.4),
        change(5, 2.8, LIMIT, base=2.8),
        sign(6),
    )[1:] == [(3, 4, 2.0, "TempRate"), (4, 5, 2.8, "TempRate"), (5, 6, 2.8, "TempRate")]


def test_a_temp_rate_goes_on_over_midnight() -> None:
    assert read(new_day(0, 1), change(22, 0.5, TEMP_START, base=1), new_day(1, 0.5), sign(26))[
        1:
    ] == [(22, 24, 0.5, "TempRate"), (24, 26, 0.5, "TempRate")]


def test_a_pump_that_is_off_delivers_nothing_until_its_next_rate() -> None:
    assert read(
        new_day(0, 1), change(3, 0, OFF, base=1), sign(5), change(6, 1, TIMED), sign(8)
    ) == [(0, 3, 1, "Profile"), (6, 8, 1, "Profile")]


def test_a_suspension_is_one_segment_also_where_the_rate_shows_it_too() -> None:
    assert read(
        new_day(0, 1),
        entry(3, 11, suspendreason=0),
        change(3, 0, STOPPED, base=1),
        entry(4, 12),
        change(4, 1.2, RESUMED),
        sign(6),
    ) == [(0, 3, 1, "Profile"), (3, 4, 0, "Suspended"), (4, 6, 1.2, "Profile")]


def test_a_suspension_over_midnight_is_whole() -> None:
    story = [entry(23, 11), new_day(1, 0), entry(26, 12), change(26, 1, RESUMED), sign(28)]
    assert read(new_day(0, 1), *story) == [
        (0, 23, 1, "Profile"),
        (23, 26, 0, "Suspended"),
        (26, 28, 1, "Profile"),
    ]


def test_after_a_suspension_without_a_new_rate_the_old_one_goes_on() -> None:
    assert read(new_day(0, 1), entry(3, 11), entry(4, 12), sign(6)) == [
        (0, 3, 1, "Profile"),
        (3, 4, 0, "Suspended"),
        (4, 6, 1, "Profile"),
    ]


def test_after_a_suspension_in_which_a_temp_rate_ended_the_rate_is_not_known() -> None:
    story = [
        new_day(0, 1),
        entry(2, 2, percent=50.0, duration=3_600_000.0),
        change(2, 0.5, TEMP_START, base=1),
        entry(2.5, 11),
        entry(4, 12),
        sign(6),
        change(7, 1, TIMED),
        sign(8),
    ]
    reader = reader_of(numbered(story))
    assert spans(reader.basals())[1:] == [
        (2, 2.5, 0.5, "TempRate"),
        (2.5, 4, 0, "Suspended"),
        (7, 8, 1, "Profile"),
    ]
    (remark,) = reader.remarks
    assert remark.missing
    assert "the basal rate is not known" in remark.text


def test_a_rate_that_says_that_the_pump_resumes_ends_a_suspension() -> None:
    assert read(new_day(0, 1), entry(3, 11), change(4, 1.5, RESUMED), sign(6)) == [
        (0, 3, 1, "Profile"),
        (3, 4, 0, "Suspended"),
        (4, 6, 1.5, "Profile"),
    ]


@pytest.mark.parametrize("alarm", [2, 26])
def test_an_occlusion_stops_the_pump_even_without_a_word_of_it(alarm: int) -> None:
    story = [new_day(0, 1), entry(3, 5, alarmid=alarm), sign(4), entry(5, 12), change(5, 1, 5)]
    assert read(*story, sign(6)) == [
        (0, 3, 1, "Profile"),
        (3, 5, 0, "Suspended"),
        (5, 6, 1, "Profile"),
    ]
    story = [new_day(0, 1), entry(3, 5, alarmid=alarm), entry(4, 11), entry(5, 12), sign(6)]
    assert read(*story) == [
        (0, 3, 1, "Profile"),
        (3, 4, 0, "Suspended"),
        (4, 5, 0, "Suspended"),
        (5, 6, 1, "Profile"),
    ]


def test_a_new_day_that_comes_of_setting_the_clock_is_none() -> None:
    by_product = entry(24, 90, commandedbasalrate=0.2)
    story = [new_day(0, 1), sign(23.95), by_product, entry(24, 14), sign(30)]
    assert read(*story) == [(0, 24, 1, "Profile"), (24, 30, 1, "Profile")]


def test_a_log_that_begins_within_a_day_knows_no_rate_until_the_first_one() -> None:
    assert read(sign(9), sign(11), change(12, 0.8, TIMED), sign(20)) == [(12, 20, 0.8, "Profile")]


def test_what_a_change_says_in_another_form_is_named_and_not_written() -> None:
    story = [new_day(0, 1), entry(3, 3, rate=2.0, why=4), sign(5), change(6, 1, TIMED), sign(8)]
    reader = reader_of(numbered(story))
    assert spans(reader.basals()) == [(0, 3, 1, "Profile"), (6, 8, 1, "Profile")]
    (remark,) = reader.remarks
    assert "They report: rate, why." in remark.text


@pytest.mark.parametrize("rate", [-1, 15.001, 900])
def test_a_rate_that_cannot_be_is_not_written(rate: float) -> None:
    reader = reader_of(numbered([new_day(0, 1), change(3, rate, TIMED), sign(5)]))
    assert spans(reader.basals()) == [(0, 3, 1, "Profile")]
    assert reader.remarks


THREE_DAYS = [
    new_day(0, 1),
    change(3, 0.8, TIMED),
    sign(20),
    new_day(1, 0.8),
    change(27, 0.9, TIMED),
    sign(44),
    new_day(2, 0.9),
    change(51, 1.1, TIMED),
    sign(60),
]


@pytest.mark.parametrize(("lost", "day"), [(1, 0), (2, 0), (4, 1), (5, 1), (7, 2)])
def test_a_day_whose_log_has_a_gap_has_no_basal_and_this_is_said(lost: int, day: int) -> None:
    entries = numbered(THREE_DAYS)
    del entries[lost]
    reader = reader_of(entries)
    found = reader.basals()
    assert {int(start // 24) for start, *_ in spans(found)} == {0, 1, 2} - {day}
    (remark,) = reader.remarks
    assert str(FIRST + day * DAY) in remark.text
    assert remark.missing
    assert not remark.heals


def test_what_is_missing_just_before_midnight_is_missing_from_the_day_before() -> None:
    entries = numbered(THREE_DAYS)
    jumped = entries[:3] + [it._replace(sequence=it.sequence + 1) for it in entries[3:]]
    assert {int(start // 24) for start, *_ in spans(reader_of(jumped).basals())} == {1, 2}


def test_numbers_that_begin_anew_are_a_gap() -> None:
    entries = numbered(THREE_DAYS)
    anew = entries[:5] + [
        it._replace(group=1, sequence=number) for number, it in enumerate(entries[5:])
    ]
    assert {int(start // 24) for start, *_ in spans(reader_of(anew).basals())} == {0, 2}


@pytest.mark.parametrize("code", [558, 559, 562, 563, 564, 565, 566])
def test_a_day_with_doses_of_the_next_algorithm_has_no_basal_of_rate_changes(code: int) -> None:
    entries = list(THREE_DAYS)
    entries.insert(5, entry(40, code))
    reader = reader_of(numbered(entries))
    assert {int(start // 24) for start, *_ in spans(reader.basals())} == {0, 2}
    assert any("2026-03-03" in remark.text and remark.missing for remark in reader.remarks)


def delivery(hours: float, milliunits: int) -> Entry:
    return entry(hours, 279, commandedrate=milliunits, commandedratesource=3)


def test_on_the_day_of_an_update_only_what_is_noted_every_five_minutes_is_shown() -> None:
    entries = [*THREE_DAYS[:6], new_day(2, 0.9), sign(50), sign(52)]
    entries += [delivery(53 + number / 12, 900) for number in range(3)]
    reader = reader_of(numbered(entries))
    found = spans(reader.basals())
    assert [(start, rate, kind) for start, _, rate, kind in found if start >= 48] == [
        (53 + number / 12, 0.9, "Algorithm") for number in range(2)
    ]
    (remark,) = reader.remarks
    assert "2026-03-04" in remark.text
    assert "update" in remark.text


def test_where_rates_are_noted_every_five_minutes_nothing_else_is_asked_for() -> None:
    asked = []
    entries = numbered(
        [new_day(0, 1), change(0, 1, TIMED), *(delivery(n / 12, 1) for n in range(9))]
    )

    def whole(skipped: Counter[str]) -> Log:
        asked.append(1)
        return {}

    reader = LogReader(lambda skipped: log_of(entries), whole=whole)
    assert {it.reason for it in reader.basals()} == {"Algorithm"}
    assert not asked
    assert not reader.remarks


def test_just_after_midnight_nothing_is_asked_for_either() -> None:
    entries = [delivery(23 + n / 12, 1) for n in range(12)] + [new_day(1, 1), sign(24.05)]
    reader = LogReader(lambda skipped: log_of(numbered(entries)), whole=lambda skipped: None)
    assert reader.basals()
    assert not reader.remarks


def test_a_cloud_that_does_not_give_out_the_whole_log_is_named() -> None:
    reader = LogReader(lambda skipped: log_of(numbered(THREE_DAYS)), whole=lambda skipped: None)
    assert reader.basals() == []
    (remark,) = reader.remarks
    assert "Tandem's cloud does not provide the whole log" in remark.text
    assert remark.missing


def test_a_day_on_which_the_pump_was_suspended_misses_nothing() -> None:
    entries = numbered([entry(-3, 11), new_day(0, 0), sign(5), new_day(1, 0), sign(26)])
    del entries[2]
    reader = reader_of(entries)
    assert [kind for *_, kind in spans(reader.basals())] == ["Suspended"]
    assert not reader.remarks


def test_a_log_that_opens_suspended_is_completed_by_what_came_before() -> None:
    entries = numbered([new_day(0, 0), sign(5), entry(6, 12), change(6, 1, RESUMED), sign(8)])

    def before(codes: Sequence[int]) -> Log:
        return {11: [entry(-40, 11)]} if 11 in codes else {}

    reader = LogReader(lambda skipped: log_of(entries), before=before)
    assert spans(reader.basals()) == [(-40, 6, 0, "Suspended"), (6, 8, 1, "Profile")]


def test_a_rate_of_zero_that_is_no_suspension_is_one_of_the_profile() -> None:
    entries = numbered([new_day(0, 0), sign(5)])
    reader = LogReader(lambda skipped: log_of(entries), before=lambda codes: {})
    assert spans(reader.basals()) == [(0, 5, 0, "Profile")]


def test_why_the_rate_at_midnight_holds_is_what_the_last_change_said() -> None:
    entries = numbered([new_day(0, 0.5), sign(5)])
    earlier = change(-30, 0.5, TEMP_START, base=1)
    asked: list[tuple[int, ...]] = []

    def before(codes: Sequence[int]) -> Log:
        asked.append(tuple(codes))
        return {3: [earlier]}

    reader = LogReader(lambda skipped: log_of(entries), before=before)
    assert spans(reader.basals()) == [(0, 5, 0.5, "TempRate")]
    assert asked == [(3,)]


EVENTS: dict[str, Callable[[float], Entry]] = {
    "rate": lambda hours: change(hours, 1.2, TIMED),
    "temp": lambda hours: change(hours, 0.5, TEMP_START, base=1),
    "temp end": lambda hours: change(hours, 1, TEMP_END),
    "stop": lambda hours: change(hours, 0, STOPPED, base=1),
    "resume": lambda hours: change(hours, 1, RESUMED),
    "off": lambda hours: change(hours, 0, OFF, base=1),
    "limit": lambda hours: change(hours, 2, LIMIT),
    "odd": lambda hours: change(hours, None),
    "suspended": lambda hours: entry(hours, 11),
    "resumed": lambda hours: entry(hours, 12),
    "occlusion": lambda hours: entry(hours, 5, alarmid=2),
    "day": lambda hours: entry(hours, 90, commandedbasalrate=1.0),
    "clock": lambda hours: entry(hours, 13),
    "sign": sign,
    "temp with an end": lambda hours: entry(hours, 2, duration=1e6),
    "temp over": lambda hours: entry(hours, 15),
}


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.01, 0.5, 3, 11, 24]), st.sampled_from(sorted(EVENTS))),
        max_size=40,
    ),
    st.sets(st.integers(0, 39), max_size=2),
)
def test_whatever_the_log_says_basals_do_not_overlap_and_do_not_outlast_it(
    story: list[tuple[float, str]], lost: set[int]
) -> None:
    hours, entries = 0.0, []
    for pause, what in story:
        hours += pause
        entries.append(EVENTS[what](hours))
    left = [it for place, it in enumerate(numbered(entries)) if place not in lost]
    found = reader_of(left).basals()
    flowing = [it for it in found if not it.suspended]
    assert all(one.ends <= other.start for one, other in pairwise(flowing))
    stops = [it for it in found if it.suspended]
    assert not any(
        flow.start < stop.ends and stop.start < flow.ends for flow in flowing for stop in stops
    )
    newest = max((it.at for it in left), default=None)
    assert all(newest and timedelta(0) < it.duration and it.ends <= newest for it in found)
    assert len({it.key for it in found}) == len(found)


# -- a whole life ----------------------------------------------------------------------------------


def lived(first: date, days: int, seed: int, zone: str) -> tuple[Any, list[dict[str, Any]]]:
    history = live(first, days, seed=seed, control_iq=False)
    clocks = Clocks(midnight(first), ZoneInfo(zone), ())
    return history, [as_served(it) for it in pump_log(history, clocks).entries]


def window_of(
    events: list[dict[str, Any]], wanted: TimeRange, clock: PumpClock
) -> tuple[list[Basal], LogReader]:
    """Read a range as :class:`PumpLog` does, a day more on both sides."""
    first, last = clock.day(wanted.start) - DAY, clock.day(wanted.end) + DAY
    around = [it for it in events if str(first) <= it["pumpDateTime"][:10] <= str(last)]
    log_clock = LogClock(
        clock,
        clock_changes(records_of(events, CLOCK_CODES, Counter())),
        newest=None,
        uploaded=None,
    )
    now = clock.instant(datetime(2030, 1, 1))

    def part(codes: Any, of: list[dict[str, Any]]) -> Log:
        return by_code(records_of(of, codes, Counter()), log_clock, now)

    def before(codes: Sequence[int]) -> Log:
        earlier = [it for it in events if it["pumpDateTime"][:10] < str(first)]
        entries = [entry for of_code in part(codes, earlier).values() for entry in of_code]
        newest = max(entries, key=lambda it: it.sequence, default=None)
        return {newest.code: [newest]} if newest else {}

    reader = LogReader(
        lambda skipped: part(USED, around),
        before=before,
        since=wanted.start - timedelta(hours=6),
        time_range=wanted,
        whole=lambda skipped: part(EVERY_CODE, around),
    )
    found = reader.basals()
    return [it for it in found if wanted.overlaps(it.begins, it.ends)], reader


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Auckland"])
@pytest.mark.parametrize("first", [date(2026, 5, 4), date(2026, 10, 29)])
def test_what_is_shown_adds_up_to_what_the_pump_delivered_in_windows_of_any_length(
    seed: int, zone: str, first: date
) -> None:
    history, events = lived(first, 6, seed, zone)
    clock = PumpClock(ZoneInfo(zone))
    start, end = clock.midnight(first), clock.midnight(first + 6 * DAY)
    whole, reader = window_of(events, TimeRange(start, end), clock)
    assert not reader.remarks
    units = sum(it.rate * (it.duration / timedelta(hours=1)) for it in whole)
    newest = max(it["pumpDateTime"] for it in events)
    truth = basal_insulin(history, midnight(first), datetime.fromisoformat(newest))
    # The clock is not set for daylight saving here, so a day may be an hour longer for it.
    assert units == pytest.approx(truth, abs=2.0 if first.month == 10 else 0.005)

    def shown(basals: Sequence[Basal]) -> dict[str, Any]:
        wanted = [
            want
            for basal in basals
            for want in treatments_of(replace(basal, running=False), TANDEM_SOURCE.name)
        ]
        return {want.identifier: want.body for want in wanted}

    daily: dict[str, Any] = {}
    for number in range(6):
        day = TimeRange(start + number * DAY, start + (number + 1) * DAY)
        found, _ = window_of(events, day, clock)
        daily |= shown(found)
    assert daily == shown(whole)


@pytest.mark.parametrize(("hours", "said"), [(0, 1), (6, 1), (-24, 0), (24, 0), (30, 0)])
def test_a_hole_is_said_by_those_who_ask_for_its_day(hours: float, said: int) -> None:
    _, events = lived(FIRST, 6, 1, "America/New_York")
    victim = next(it for it in events if it["pumpDateTime"].startswith("2026-03-04T12"))
    clock = PumpClock(ZoneInfo("America/New_York"))
    start = clock.midnight(FIRST + 2 * DAY) + timedelta(hours=hours)
    left = [it for it in events if it is not victim]
    _, reader = window_of(left, TimeRange(start, start + DAY), clock)
    assert len(reader.remarks) == said


def test_a_life_with_a_hole_loses_only_the_basal_of_that_day() -> None:
    _, events = lived(FIRST, 6, 1, "America/New_York")
    victim = next(it for it in events if it["pumpDateTime"].startswith("2026-03-04T12"))
    left = [it for it in events if it is not victim]
    clock = PumpClock(ZoneInfo("America/New_York"))
    wanted = TimeRange(clock.midnight(FIRST), clock.midnight(FIRST + 6 * DAY))
    found, reader = window_of(left, wanted, clock)
    (remark,) = reader.remarks
    assert "2026-03-04" in remark.text
    flowing = [it for it in found if not it.suspended]
    assert {clock.day(it.start) for it in flowing} == {
        FIRST + number * DAY for number in (0, 1, 3, 4, 5)
    }
