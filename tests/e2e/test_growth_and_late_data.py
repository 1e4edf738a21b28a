"""What goes on while the pump uploads grows in place; what comes late is not lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.simulators.history import BasalSegment, CgmReading, PumpHistory, SuspensionRecord
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tests.support.command import NEW_YORK, SECRET, cloud, computer, days
from tests.support.expected import Fact, as_of, began_between, expected, shown
from tests.support.real_nightscout import NightscoutSite
from tests.support.treatments import by_id, without_id

FIRST = date(2024, 5, 6)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def evening_and_night() -> PumpHistory:
    """Return a life with exercise, an extended bolus and a night, but without the day before."""
    life = live(FIRST - DAY, 3, seed=4)
    evening = began_between(life, datetime(2024, 5, 6, 16), datetime(2024, 5, 7, 8))
    return replace(evening, first_day=FIRST, days=2)


def ids(treatments: list[dict[str, Any]], kind: str) -> set[str]:
    return {treatment["_id"] for treatment in treatments if treatment["eventType"] == kind}


def test_what_goes_on_grows_in_place_until_it_is_what_one_run_would_have_made(
    nightscout: NightscoutSite, tmp_path: Path
) -> None:
    life = evening_and_night()
    (bolus,) = [bolus for bolus in life.boluses if bolus.extended]
    (exercise,) = [activity for activity in life.activities if activity.kind == "exercise"]
    (sleep,) = [activity for activity in life.activities if activity.kind == "sleep"]
    uploads = [
        exercise.start + 10 * MINUTE,
        exercise.start + 25 * MINUTE,
        bolus.requested + MINUTE,
        bolus.requested + 60 * MINUTE,
        sleep.start + 90 * MINUTE,
        sleep.start + 300 * MINUTE,
        None,
    ]
    with cloud(life) as tconnect:
        home = computer(tmp_path, tconnect, nightscout.url, nightscout.secret)
        before: list[dict[str, Any]] = []
        for moment in uploads:
            tconnect.uploaded_until = moment
            counts = home.sync(*days(FIRST, FIRST + DAY))
            after = nightscout.treatments()
            assert shown(after) == expected(as_of(life, moment) if moment else life, NEW_YORK)
            assert counts.updated == changed(before, after)
            assert {t["_id"] for t in before} <= {t["_id"] for t in after}
            assert counts.created == len(after) - len(before)
            before = after
        assert len(ids(before, "Sleep")) == len(ids(before, "Exercise")) == 1

        nightscout.empty()
        home.sync(*days(FIRST, FIRST + DAY))
    assert without_id(before) == without_id(nightscout.treatments())


def changed(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> int:
    """Count the treatments that are there before and after, but not the same."""
    now = by_id(after)
    return sum(now[treatment["_id"]] != treatment for treatment in before)


def test_a_late_bolus_between_two_old_ones_is_not_lost(
    nightscout: NightscoutSite, tmp_path: Path
) -> None:
    life = live(FIRST, 1)
    late = life.boluses[2]
    with cloud(life) as tconnect:
        home = computer(tmp_path, tconnect, nightscout.url, nightscout.secret)
        tconnect.hidden = {late}
        home.sync(*days(FIRST, FIRST))
        before = nightscout.treatments()
        tconnect.hidden = set()
        counts = home.sync(*days(FIRST, FIRST))
        after = nightscout.treatments()

    assert counts == (1, 0, len(before))
    (new,) = [treatment for treatment in after if treatment not in before]
    assert (new["eventType"], new["insulin"]) == ("Combo Bolus", late.insulin)
    assert [treatment for treatment in after if treatment in before] == before
    assert shown(after) == expected(life, NEW_YORK)


STOPPED = datetime(2024, 5, 12, 20, 30)
RESUMED = datetime(2024, 5, 14, 3, 10)
"""More than a day later; the first window, of seven days, ends in between."""


def long_stop() -> PumpHistory:
    """Return nine days of a person who stops the pump for 30 hours and 40 minutes."""
    start = datetime.combine(FIRST, datetime.min.time())
    six_hours = [start + timedelta(hours=6 * number) for number in range(9 * 4)]
    flows = [at for at in six_hours if not STOPPED - 6 * 60 * MINUTE <= at < RESUMED]
    segments = [(at, at + timedelta(hours=6)) for at in flows]
    segments += [(datetime(2024, 5, 12, 18), STOPPED), (RESUMED, datetime(2024, 5, 14, 6))]
    return PumpHistory(
        first_day=FIRST,
        days=9,
        control_iq=True,
        basal=[
            BasalSegment(begin, int((end - begin).total_seconds()), 0.8, "algorithm")
            for begin, end in sorted(segments)
        ],
        suspensions=[SuspensionRecord(STOPPED, RESUMED, "manual")],
        readings=[CgmReading(start + timedelta(hours=hour), 120) for hour in range(9 * 24)],
    )


@pytest.mark.parametrize(
    "first", [FIRST, FIRST + 7 * DAY], ids=["across windows", "begun before the range"]
)
def test_a_stop_of_more_than_a_day_arrives_with_its_true_length(
    nightscout: NightscoutSite, tmp_path: Path, first: date
) -> None:
    life = long_stop()
    with cloud(life) as tconnect:
        home = computer(tmp_path, tconnect, nightscout.url, nightscout.secret)
        home.sync(*days(first, FIRST + 8 * DAY))
        stored = nightscout.treatments()
        second = home.sync(*days(first, FIRST + 8 * DAY))

    assert stop_in(stored) == [stop(RESUMED)]
    if first == FIRST:
        assert shown(stored) == expected(life, NEW_YORK)
    assert (second.created, second.updated) == (0, 0)
    assert nightscout.treatments() == stored


def test_a_stop_that_still_lasts_grows_and_keeps_its_beginning(
    nightscout: NightscoutSite, tmp_path: Path
) -> None:
    ids = set()
    with cloud(long_stop()) as tconnect:
        home = computer(tmp_path, tconnect, nightscout.url, nightscout.secret)
        for hour in (datetime(2024, 5, 12, 23), datetime(2024, 5, 13, 22), RESUMED + 9 * MINUTE):
            tconnect.uploaded_until = hour
            home.sync(*days(date(2024, 5, 12), date(2024, 5, 14)))
            stored = nightscout.treatments()
            assert stop_in(stored) == [stop(min(hour, RESUMED))]
            ids |= {t["_id"] for t in stored if t.get("reason") == "manual suspension"}
    assert len(ids) == 1


def test_pretending_over_several_windows_counts_as_the_run_does(tmp_path: Path) -> None:
    with cloud(long_stop()) as tconnect, SmallNightscout(SECRET) as site:
        home = computer(tmp_path, tconnect, site.url, SECRET)
        pretended = home.sync(*days(FIRST, FIRST + 8 * DAY), "--pretend")
        assert site.writes == 0
        done = home.sync(*days(FIRST, FIRST + 8 * DAY))

    assert done.updated == 1
    assert pretended == done


def stop(until: datetime) -> Fact:
    """Return the one basal of zero, as known when it had lasted until then."""
    at = STOPPED.replace(tzinfo=ZoneInfo(NEW_YORK)).astimezone(UTC)
    return Fact("Temp Basal", at, "manual suspension", (until - STOPPED) / MINUTE)


def stop_in(treatments: list[dict[str, Any]]) -> list[Fact]:
    """Return the basals of zero among treatments."""
    return [fact for fact in shown(treatments) if fact.text == "manual suspension"]
