"""A site is seldom empty: an older tconnectsync, other uploaders and people have been there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from tconnectsync.simulators.history import PumpHistory
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tests.support.command import NEW_YORK, SECRET, cloud, computer, days
from tests.support.expected import OURS, as_of, began_between, expected, shown
from tests.support.older_versions import written_by_1
from tests.support.real_nightscout import Document, NightscoutSite
from tests.support.treatments import by_id

FIRST = date(2024, 5, 6)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def a_day() -> PumpHistory:
    """Return a day with an extended bolus, exercise, a stop by the person, and the night after."""
    life = live(FIRST - DAY, 3, seed=7)
    day = began_between(life, datetime(2024, 5, 6), datetime(2024, 5, 7, 7))
    return replace(day, first_day=FIRST, days=2)


def through_the_api(site: NightscoutSite, documents: list[Document]) -> None:
    site.insert("treatments", documents)


def as_they_are(site: NightscoutSite, documents: list[Document]) -> None:
    site.insert_raw(documents)


Fill = Callable[[NightscoutSite, list[Document]], None]


@pytest.mark.parametrize("fill", [through_the_api, as_they_are])
def test_what_an_older_version_finished_is_adopted_and_nothing_is_doubled(
    nightscout: NightscoutSite, tmp_path: Path, fill: Fill
) -> None:
    life = a_day()
    old = written_by_1(life, NEW_YORK)
    fill(nightscout, old)
    before = nightscout.treatments()
    with cloud(life) as tconnect:
        home = computer(tmp_path, tconnect, nightscout.url, nightscout.secret)
        first = home.sync(*days(FIRST, FIRST + DAY))
        after = nightscout.treatments()
        second = home.sync(*days(FIRST, FIRST + DAY))

    assert first == (1, 0, len(old))
    assert [treatment for treatment in after if treatment in before] == before
    (new,) = [treatment for treatment in after if treatment not in before]
    assert new["notes"].endswith("(Extended part)")
    assert shown(after) == expected(life, NEW_YORK)
    assert second == (0, 0, len(old) + 1)


@pytest.mark.parametrize("fill", [through_the_api, as_they_are])
def test_what_an_older_version_left_unfinished_is_finished_in_place(
    nightscout: NightscoutSite, tmp_path: Path, fill: Fill
) -> None:
    life = a_day()
    (bolus,) = [bolus for bolus in life.boluses if bolus.extended]
    part = f"(: requested {bolus.requested_insulin:g} units) (Extended)"
    old = [
        document | {"notes": document["notes"].replace("(Extended)", part)}
        if str(document.get("notes")).endswith("(Extended)")
        else document
        for document in written_by_1(as_of(life, bolus.requested + 60 * MINUTE), NEW_YORK)
    ]
    assert part in str(old)
    fill(nightscout, old)
    before = by_id(nightscout.treatments())
    with cloud(life) as tconnect:
        home = computer(tmp_path, tconnect, nightscout.url, nightscout.secret)
        first = home.sync(*days(FIRST, FIRST + DAY))
        after = by_id(nightscout.treatments())
        second = home.sync(*days(FIRST, FIRST + DAY))

    changed = [after[name] for name, document in before.items() if after[name] != document]
    assert sorted(document["eventType"] for document in changed) == ["Combo Bolus", "Temp Basal"]
    everything = expected(life, NEW_YORK)
    assert first == (len(everything) - len(old), 2, len(old) - 2)
    assert shown(after.values()) == everything
    assert second == (0, 0, len(everything))


def test_a_sleep_that_an_older_version_saw_begin_is_finished_in_place(
    nightscout: NightscoutSite, tmp_path: Path
) -> None:
    life = a_day()
    (sleep,) = [activity for activity in life.activities if activity.kind == "sleep"]
    old = written_by_1(as_of(life, sleep.start + 60 * MINUTE), NEW_YORK)
    nightscout.insert("treatments", old)
    with cloud(life) as tconnect:
        home = computer(tmp_path, tconnect, nightscout.url, nightscout.secret)
        home.sync(*days(FIRST, FIRST + DAY))

    assert shown(nightscout.treatments()) == expected(life, NEW_YORK)


def test_a_night_that_an_older_version_wrote_in_pieces_is_not_shown_twice(tmp_path: Path) -> None:
    life = live(FIRST - 2 * DAY, 4)
    night = began_between(life, datetime(2024, 5, 6, 22), datetime(2024, 5, 7, 7))
    one_day = replace(night, first_day=FIRST, days=2)
    pieces = [
        document
        for piece in one_day.activities
        for document in written_by_1(PumpHistory(FIRST, 2, True, activities=[piece]), NEW_YORK)
    ]
    assert len(pieces) == 2
    with cloud(one_day) as tconnect, SmallNightscout(SECRET, keyed_by_identifier=False) as site:
        site.insert(pieces)
        computer(tmp_path, tconnect, site.url, SECRET).sync(*days(FIRST, FIRST + DAY))
        sleeps = [fact for fact in shown(site.treatments) if fact.kind == "Sleep"]

    asleep = sum(piece.duration_seconds for piece in one_day.activities) / 60
    assert sum(sleep.minutes for sleep in sleeps) == pytest.approx(asleep)


def test_what_others_entered_stays_even_at_the_instant_of_one_of_ours(
    nightscout: NightscoutSite, tmp_path: Path
) -> None:
    life = live(FIRST, 3)
    change = life.site_changes[0].at
    last_day = replace(
        began_between(life, change - 20 * MINUTE, change + 180 * MINUTE),
        first_day=FIRST + 2 * DAY,
        days=1,
    )
    everything = expected(last_day, NEW_YORK)
    theirs = [
        {
            "eventType": fact.kind,
            "created_at": fact.at.isoformat(),
            "enteredBy": "Mum" if number % 2 else "AndroidAPS",
            "notes": "not yours",
            "duration": 7,
        }
        for number, fact in enumerate(everything)
    ]
    assert {"Site Change", "Temp Basal", "Combo Bolus"} <= {fact.kind for fact in everything}
    nightscout.insert("treatments", theirs)
    before = nightscout.treatments()
    with cloud(last_day) as tconnect:
        home = computer(tmp_path, tconnect, nightscout.url, nightscout.secret)
        first = home.sync(*days(FIRST + 2 * DAY, FIRST + 2 * DAY))
        after = nightscout.treatments()
        second = home.sync(*days(FIRST + 2 * DAY, FIRST + 2 * DAY))

    assert first == (len(everything), 0, 0)
    assert by_id([t for t in after if t["enteredBy"] != OURS]) == by_id(before)
    assert shown(after) == everything
    assert second == (0, 0, len(everything))


def test_what_a_person_changed_afterwards_stays_changed(
    nightscout: NightscoutSite, tmp_path: Path
) -> None:
    life = a_day()
    with cloud(life) as tconnect:
        home = computer(tmp_path, tconnect, nightscout.url, nightscout.secret)
        home.sync(*days(FIRST, FIRST + DAY))
        stored = sorted(nightscout.treatments(), key=lambda treatment: treatment["created_at"])
        boluses = [t for t in stored if t["eventType"] == "Combo Bolus"]
        basals = [t for t in stored if t["eventType"] == "Temp Basal"]
        moved = datetime.fromisoformat(boluses[2]["created_at"]) + 12 * MINUTE
        nightscout.edit(boluses[0], insulin=boluses[0]["insulin"] + 1)
        nightscout.edit(boluses[1], notes="pasta, half of it")
        nightscout.edit(boluses[2], created_at=moved.isoformat())
        nightscout.edit(basals[5], duration=3)
        nightscout.edit(basals[6], absolute=0.1, rate=0.1)
        before = nightscout.treatments()
        assert len([treatment for treatment in before if treatment not in stored]) == 5
        counts = home.sync(*days(FIRST, FIRST + DAY))
        after = nightscout.treatments()

    assert counts == (0, 0, len(stored))
    assert repr(after) == repr(before)
