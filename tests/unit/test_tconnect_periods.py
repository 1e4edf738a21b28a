"""User modes and suspensions of t:connect."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.domain.events import UserModeKind
from tconnectsync.sources.tconnect.periods import basal_suspensions, timeline_modes
from tests.support.event_builders import NEW_YORK, wanted

MIDNIGHT = int(datetime(2024, 3, 5, tzinfo=ZoneInfo("America/Los_Angeles")).timestamp())


def entry(hours: float, minutes: float, kind: Any = 1) -> dict[str, Any]:
    return {
        "x": MIDNIGHT + round(hours * 3600),
        "duration": round(minutes * 60),
        "eventType": kind,
        "continuation": None,
        "timeZoneId": "America/Los_Angeles",
    }


def activities(*entries: dict[str, Any]) -> list[tuple[UserModeKind, int, float]]:
    found = timeline_modes({"events": list(entries)}, NEW_YORK, Counter())
    return [(a.kind, a.start.hour, a.duration / timedelta(minutes=1)) for a in found]


def test_a_night_reported_in_pieces_is_one_sleep() -> None:
    pieces = (entry(0, 120), entry(2, 180), entry(5, 60))
    assert activities(*reversed(pieces)) == [(UserModeKind.SLEEP, 0, 360)]


def test_sleep_mode_day_and_night_is_a_sleep_a_day_whatever_the_range() -> None:
    pieces = [entry(24 * day, 1440) for day in range(4)]
    whole = activities(*pieces)
    assert whole == [(UserModeKind.SLEEP, 0, 1440)] * 4
    assert activities(*pieces[2:]) == whole[2:]


def test_two_naps_with_a_pause_stay_two() -> None:
    assert activities(entry(1, 30), entry(2, 30)) == [
        (UserModeKind.SLEEP, 1, 30),
        (UserModeKind.SLEEP, 2, 30),
    ]


def test_sleep_and_exercise_are_not_put_together() -> None:
    assert activities(entry(0, 60, 1), entry(1, 60, 2), entry(2, 60, 1)) == [
        (UserModeKind.SLEEP, 0, 60),
        (UserModeKind.EXERCISE, 1, 60),
        (UserModeKind.SLEEP, 2, 60),
    ]


def test_an_activity_longer_than_a_day_keeps_its_length() -> None:
    assert activities(entry(0, 1500, 2)) == [(UserModeKind.EXERCISE, 0, 1500)]


def test_a_grown_sleep_is_the_same_event() -> None:
    short, long = (
        timeline_modes({"events": [entry(0, minutes)]}, NEW_YORK, Counter())[0]
        for minutes in (60, 70)
    )
    assert short.key == long.key


def test_every_kind_has_its_nightscout_type() -> None:
    found = timeline_modes(
        {"events": [entry(kind, 5, kind) for kind in (1, 2, 3, 4)]}, NEW_YORK, Counter()
    )
    assert [(w.body["eventType"], w.body["notes"]) for w in wanted(*found)] == [
        ("Sleep", "Sleep"),
        ("Exercise", "Exercise"),
        ("Activity", "AutoBolus"),
        ("Activity", "CarbOnly"),
    ]


@pytest.mark.parametrize("kind", [5, 0, "1", None, [1]])
def test_unknown_activities_are_counted_and_skipped(kind: Any) -> None:
    skipped: Counter[str] = Counter()
    payload = {"events": [entry(0, 5, kind), entry(1, 5)]}
    assert len(timeline_modes(payload, NEW_YORK, skipped)) == 1
    assert sum(skipped.values()) == 1


def suspended(reason: Any, seconds: int = 0) -> dict[str, Any]:
    milliseconds = (MIDNIGHT + seconds) * 1000
    return {"EventDateTime": f"/Date({milliseconds}-0000)/", "SuspendReason": reason}


def texts(*entries: dict[str, Any]) -> list[str]:
    found = basal_suspensions({"BasalSuspension": list(entries)}, NEW_YORK, Counter())
    return [suspension.text for suspension in found]


def test_site_changes_alarms_and_user_suspensions_come_in_time_order() -> None:
    assert texts(suspended("manual", 9), suspended("alarm", 5), suspended("site-cart")) == [
        "Site/Cartridge Change",
        "Empty Cartridge/Pump Shutdown",
        "User Suspended",
    ]


def test_cartridge_and_site_changed_one_after_the_other_are_two_events() -> None:
    assert len(texts(suspended("site-cart", 0), suspended("site-cart", 240))) == 2


def test_rate_changes_and_carried_over_suspensions_are_no_interruptions() -> None:
    skipped: Counter[str] = Counter()
    entries = [suspended(r) for r in ("temp-profile", "basal-profile", "previous")]
    entries.append({"EventDateTime": "/Date(0-0000)/"})
    assert basal_suspensions({"BasalSuspension": entries}, NEW_YORK, skipped) == []
    assert skipped == {}


def test_unknown_and_broken_suspensions_are_counted_and_skipped() -> None:
    skipped: Counter[str] = Counter()
    entries = [suspended("boredom"), {"SuspendReason": "manual"}, suspended("alarm")]
    found = basal_suspensions({"BasalSuspension": entries}, NEW_YORK, skipped)
    assert [suspension.text for suspension in found] == ["Empty Cartridge/Pump Shutdown"]
    assert skipped == {
        "suspension for unknown reason 'boredom'": 1,
        "unreadable suspension": 1,
    }
