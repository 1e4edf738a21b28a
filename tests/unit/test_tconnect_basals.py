"""Basal segments of t:connect's timeline and CSV export."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.domain.clock import PumpClock
from tconnectsync.domain.events import Basal
from tconnectsync.sources.tconnect.basals import begins_suspended, csv_basals, timeline_basals
from tests.support.event_builders import NEW_YORK

MIDNIGHT = int(datetime(2024, 3, 5, tzinfo=ZoneInfo("America/Los_Angeles")).timestamp())
"""Midnight of the pump's 5 March 2024 as t:connect encodes it."""
UNKNOWN = datetime.min.replace(tzinfo=UTC)
ALGORITHM, MANUAL = "algorithmDelivery", "manual suspension"
BY_CONTROL_IQ = "algorithmDelivery (control-iq suspension)"


def x(hours: float) -> int:
    return MIDNIGHT + round(hours * 3600)


def at(hours: float) -> datetime:
    return NEW_YORK.instant(datetime(2024, 3, 5)) + timedelta(hours=hours)


def entry(hours: float, minutes: float, rate: float = 0.8) -> dict[str, Any]:
    return {"x": x(hours), "duration": round(minutes * 60), "y": rate}


def halt(hours: float, reason: str = "manual", continuation: str | None = None) -> dict[str, Any]:
    return {"x": x(hours), "suspendReason": reason, "continuation": continuation}


def timeline(
    *halts: dict[str, Any], algorithm: Any = (), profile: Any = (), temp: Any = ()
) -> dict[str, Any]:
    return {
        "basal": {
            "algorithmDeliveryEvents": list(algorithm),
            "profileDeliveryEvents": list(profile),
            "tempDeliveryEvents": list(temp),
        },
        "suspensionDeliveryEvents": list(halts),
    }


def read(payload: dict[str, Any], known_until: datetime = UNKNOWN) -> list[Basal]:
    return timeline_basals(payload, NEW_YORK, lambda: known_until, Counter())


def spans(basals: list[Basal]) -> list[tuple[datetime, float, float, str]]:
    return [(b.start, b.duration / timedelta(minutes=1), b.rate, b.reason) for b in basals]


def test_the_three_kinds_of_delivery_come_in_time_order() -> None:
    basals = read(
        timeline(
            algorithm=[entry(2, 60, 1.2)], profile=[entry(1, 60, 0.9)], temp=[entry(0, 60, 0.5)]
        )
    )
    assert spans(basals) == [
        (at(0), 60, 0.5, "tempDelivery"),
        (at(1), 60, 0.9, "profileDelivery"),
        (at(2), 60, 1.2, ALGORITHM),
    ]
    assert [b.running for b in basals] == [False, False, True]


def test_a_control_iq_suspension_belongs_to_the_basal_entry_of_the_same_second() -> None:
    basals = read(timeline(halt(1, "control-iq"), algorithm=[entry(0, 60), entry(1, 30, 0)]))
    assert spans(basals) == [(at(0), 60, 0.8, ALGORITHM), (at(1), 30, 0, BY_CONTROL_IQ)]


def test_two_suspensions_in_one_gap_follow_each_other() -> None:
    basals = read(timeline(halt(1), halt(2), algorithm=[entry(0, 60), entry(3, 60)]))
    assert spans(basals) == [
        (at(0), 60, 0.8, ALGORITHM),
        (at(1), 60, 0, MANUAL),
        (at(2), 60, 0, MANUAL),
        (at(3), 60, 0.8, ALGORITHM),
    ]


def test_a_suspension_before_the_first_basal_entry_ends_with_it() -> None:
    basals = read(timeline(halt(0), algorithm=[entry(2, 60)]))
    assert spans(basals)[0] == (at(0), 120, 0, MANUAL)


@pytest.mark.parametrize("hours", [23, 24, 25, 100])
def test_a_suspension_longer_than_a_day_keeps_its_length(hours: int) -> None:
    basals = read(timeline(halt(1), algorithm=[entry(0, 60), entry(1 + hours, 60)]))
    assert spans(basals)[1] == (at(1), hours * 60, 0, MANUAL)


def test_a_suspension_carried_over_midnight_is_no_new_one() -> None:
    basals = read(
        timeline(
            halt(22), halt(24, continuation="previous"), algorithm=[entry(21, 60), entry(26, 5)]
        )
    )
    assert spans(basals)[1] == (at(22), 240, 0, MANUAL)
    assert len(basals) == 3


def test_a_suspension_whose_beginning_is_unknown_shows_day_by_day() -> None:
    halts = [halt(hours, continuation="previous") for hours in (0, 24, 48)]
    basals = read(timeline(*halts, algorithm=[entry(60, 60)]))
    assert spans(basals)[:3] == [
        (at(0), 1440, 0, MANUAL),
        (at(24), 1440, 0, MANUAL),
        (at(48), 720, 0, MANUAL),
    ]
    later = read(timeline(*halts[1:], algorithm=[entry(60, 60)]))
    assert [basal.key for basal in later] == [basal.key for basal in basals[1:]]


@pytest.mark.parametrize("duration", [1e12, 4294967295, 1e15])
def test_a_basal_of_absurd_length_is_counted_and_the_others_stay(duration: float) -> None:
    skipped: Counter[str] = Counter()
    payload = timeline(algorithm=[entry(0, 60), {**entry(1, 1), "duration": duration}])
    assert len(timeline_basals(payload, NEW_YORK, lambda: UNKNOWN, skipped)) == 1
    assert skipped == {"unreadable basal entry": 1}


def test_suspensions_reported_twice_count_once() -> None:
    basals = read(timeline(halt(1), halt(1), algorithm=[entry(0, 60), entry(2, 60)]))
    assert spans(basals)[1:2] == [(at(1), 60, 0, MANUAL)]
    assert len(basals) == 3


def test_a_suspension_that_still_goes_on_lasts_as_long_as_anything_is_known() -> None:
    payload = timeline(halt(1), algorithm=[entry(0, 60)])
    assert spans(read(payload, known_until=at(2.5)))[1] == (at(1), 90, 0, MANUAL)
    assert read(payload, known_until=at(2.5))[1].running


def test_a_suspension_of_which_nothing_more_is_known_waits() -> None:
    assert spans(read(timeline(halt(1), algorithm=[entry(0, 60)]))) == [(at(0), 60, 0.8, ALGORITHM)]


def test_how_long_a_suspension_lasts_is_only_asked_when_one_goes_on() -> None:
    def must_not_be_asked() -> datetime:
        raise AssertionError

    payload = timeline(halt(1), algorithm=[entry(0, 60), entry(2, 60)])
    assert len(timeline_basals(payload, NEW_YORK, must_not_be_asked, Counter())) == 3


def test_a_basal_entry_of_no_length_does_not_break_anything() -> None:
    assert spans(read(timeline(algorithm=[entry(0, 60), entry(1, 0), entry(1, 30)]))) == [
        (at(0), 60, 0.8, ALGORITHM),
        (at(1), 30, 0.8, ALGORITHM),
    ]


def test_a_broken_basal_entry_is_counted_and_the_others_stay() -> None:
    skipped: Counter[str] = Counter()
    broken = [{"x": x(1)}, {"x": "?", "duration": 1, "y": 1}, {"x": x(2), "duration": 60, "y": -1}]
    payload = timeline(algorithm=[entry(0, 60), *broken])
    assert len(timeline_basals(payload, NEW_YORK, lambda: UNKNOWN, skipped)) == 1
    assert skipped == {"unreadable basal entry": 3}


def test_an_empty_answer_has_no_basals() -> None:
    assert read({}) == []
    assert read({"basal": None, "suspensionDeliveryEvents": None}) == []


def test_a_timeline_that_opens_inside_a_suspension_is_noticed() -> None:
    carried = halt(0, continuation="previous")
    assert begins_suspended(timeline(carried, algorithm=[entry(2, 60)]), NEW_YORK)
    assert not begins_suspended(timeline(carried, algorithm=[entry(0, 60, 0)]), NEW_YORK)
    assert not begins_suspended(timeline(halt(0), algorithm=[entry(2, 60)]), NEW_YORK)
    assert not begins_suspended({}, NEW_YORK)


def test_the_wall_clock_is_the_pump_s_whatever_its_zone() -> None:
    berlin = PumpClock(ZoneInfo("Europe/Berlin"))
    (basal,) = timeline_basals(
        timeline(algorithm=[entry(6, 5)]), berlin, lambda: UNKNOWN, Counter()
    )
    assert basal.start.isoformat() == "2024-03-05T06:00:00+01:00"


def row(time: str, rate: str) -> dict[str, str]:
    return {"Type": "Basal", "EventDateTime": time, "BasalRate": rate}


def test_a_csv_rate_lasts_until_the_next_row_also_over_a_day() -> None:
    rows = [
        row("2024-03-06T02:00:00", "1.100"),
        row("2024-03-05T00:00:00", "0.800"),
        row("2024-03-05T01:00:00", "1.000"),
    ]
    basals = csv_basals(rows, NEW_YORK, at(27), Counter())
    assert spans(basals) == [
        (at(0), 60, 0.8, "Unknown"),
        (at(1), 1500, 1.0, "Unknown"),
        (at(26), 60, 1.1, "Unknown"),
    ]
    assert [b.running for b in basals] == [False, False, True]


def test_a_csv_rate_whose_end_is_unknown_waits() -> None:
    assert csv_basals([row("2024-03-05T00:00:00", "0.8")], NEW_YORK, UNKNOWN, Counter()) == []


def test_a_csv_row_without_a_rate_is_counted() -> None:
    skipped: Counter[str] = Counter()
    assert (
        csv_basals([row("2024-03-05T00:00:00", ""), row("", "1")], NEW_YORK, at(5), skipped) == []
    )
    assert skipped == {"unreadable basal row": 2}
