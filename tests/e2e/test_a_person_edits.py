"""A person's edit wins, whatever field: in the dialog, on the chart, in the reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tconnectsync.simulators.history import PumpHistory, between, midnight
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tests.support.careportal import Pages
from tests.support.command import (
    CLOUDS,
    NEW_YORK,
    SECRET,
    Cloud,
    Computer,
    computer,
    days,
    tandem_source,
)
from tests.support.older_versions import written_by_1, written_by_3
from tests.support.real_nightscout import Document, NightscoutSite
from tests.support.treatments import by_id, doubled

FIRST = date(2024, 5, 6)
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
WHOLE = days(FIRST, FIRST + 3 * DAY)
Make = Callable[[PumpHistory], Cloud]
BOTH = pytest.mark.parametrize("make", CLOUDS.values(), ids=CLOUDS)

FIELDS: list[dict[str, Any]] = [
    {},
    {"eventType": "Meal Bolus"},
    {"eventType": "Note"},
    {"glucose": "7.4", "glucoseType": "Finger"},
    {"carbs": "55"},
    {"carbs": ""},
    {"protein": "12"},
    {"fat": "9"},
    {"insulin": "9.5"},
    {"insulin": ""},
    {"duration": "17"},
    {"duration": ""},
    {"percent": "30"},
    {"absolute": "3.5"},
    {"absolute": ""},
    {"profile": "Sport"},
    {"notes": "half of it"},
    {"notes": ""},
    {"enteredBy": "Mum"},
    {"enteredBy": ""},
]
"""What a person may change in the dialog; nothing at all is a change, too: the seconds go."""
MOVES = [7 * MINUTE, -3 * 60 * MINUTE, DAY, -10 * DAY, 12 * DAY]


@dataclass(frozen=True)
class Place:
    """A site, and the pages with which a person changes it."""

    url: str
    secret: str
    pages: Pages


@pytest.fixture(params=["small old", "small new", "real"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "real":
        site: NightscoutSite = request.getfixturevalue("nightscout")
        yield Place(site.url, site.secret, Pages(site.url, site.secret, site.insert_raw))
        return
    with SmallNightscout(SECRET, keyed_by_identifier=request.param == "small new") as small:
        yield Place(small.url, SECRET, Pages(small.url, SECRET, small.insert))


def some_days(number: int = 4) -> PumpHistory:
    """Return days with the basal of their first and last hours alone, where it is edited."""
    life = live(FIRST, number)
    begin, end, hours = midnight(FIRST), life.end, timedelta(hours=3)
    basal = [*between(life.basal, begin, begin + hours), *between(life.basal, end - hours, end)]
    return replace(life, readings=(), basal=basal)


def at(treatment: Document) -> datetime:
    return datetime.fromisoformat(treatment["created_at"]).astimezone(UTC)


def edited_all_over(pages: Pages) -> list[Document]:
    """Edit every field of a bolus and of a basal, each of another one; return what they were."""
    stored = pages.treatments()
    before = []
    for kind in ("Combo Bolus", "Temp Basal"):
        of_kind = [it for it in stored if it["eventType"] == kind]
        assert len(of_kind) > len(FIELDS) + len(MOVES)
        for treatment, changes in zip(of_kind, FIELDS, strict=False):
            pages.save(treatment, **changes)
            before.append(treatment)
        for treatment, move in zip(of_kind[::-1], MOVES, strict=False):
            pages.save(treatment, at(treatment) + move)
            before.append(treatment)
    assert len({treatment["_id"] for treatment in before}) == 2 * len([*FIELDS, *MOVES])
    return before


def stays(home: Computer, pages: Pages) -> None:
    """Insist that runs change nothing of what is there."""
    before = pages.treatments()
    for _ in range(2):
        assert home.sync(*WHOLE)[:2] == (0, 0)
        assert repr(pages.treatments()) == repr(before)


@BOTH
def test_every_field_that_a_person_edits_stays_edited(
    place: Place, tmp_path: Path, make: Make
) -> None:
    with make(some_days()) as tandem:
        home = computer(tmp_path, tandem, place.url, place.secret)
        home.sync(*WHOLE)
        before = edited_all_over(place.pages)
        now = by_id(place.pages.treatments())
        assert all(now[treatment["_id"]] != treatment for treatment in before)
        stays(home, place.pages)


def test_every_field_of_an_older_version_that_a_person_edits_stays_edited(
    place: Place, tmp_path: Path
) -> None:
    with tandem_source(some_days()) as tandem:
        home = computer(tmp_path, tandem, place.url, place.secret)
        log = tandem.log_of_pump.entries
        place.pages.add(written_by_3(log, NEW_YORK, datetime(2024, 5, 10)))
        home.sync(*WHOLE)
        # Older versions left no name by which to find what was moved by days.
        near = [move for move in MOVES if abs(move) < DAY]
        stored = place.pages.treatments()
        for kind in ("Combo Bolus", "Temp Basal"):
            of_kind = [it for it in stored if it["eventType"] == kind and "checksum" not in it]
            for treatment, changes in zip(of_kind[2:], FIELDS, strict=False):
                place.pages.save(treatment, **changes)
            for treatment, move in zip(of_kind[-2::-1], near, strict=False):
                place.pages.save(treatment, at(treatment) + move)
        stays(home, place.pages)


def test_what_1_0_wrote_and_a_person_edited_stays_edited(place: Place, tmp_path: Path) -> None:
    life = some_days()
    with CLOUDS["tconnect"](life) as tandem:
        home = computer(tmp_path, tandem, place.url, place.secret)
        place.pages.add(written_by_1(life, NEW_YORK))
        home.sync(*WHOLE)
        # 1.0 left nothing but its name, type and time: one of the last two and the first must stay.
        kept = [it for it in FIELDS if not {"enteredBy", "eventType"} & it.keys()]
        stored = place.pages.treatments()
        for kind in ("Combo Bolus", "Temp Basal"):
            of_kind = [it for it in stored if it["eventType"] == kind and "checksum" not in it]
            for treatment, changes in zip(of_kind[2:], kept, strict=False):
                place.pages.save(treatment, **changes)
            place.pages.save(of_kind[-2], eventType="Note")
        stays(home, place.pages)


@BOTH
def test_what_is_dragged_on_the_chart_stays_where_it_is_and_copies_stay_two(
    place: Place, tmp_path: Path, make: Make
) -> None:
    with make(some_days(1)) as tandem:
        home = computer(tmp_path, tandem, place.url, place.secret)
        home.sync(*WHOLE)
        boluses = [it for it in place.pages.treatments() if it["eventType"] == "Combo Bolus"]
        with_carbs = [it for it in boluses if it.get("carbs")]
        for number, bolus in enumerate(with_carbs[:3]):
            moved = at(bolus) + (number - 1) * timedelta(minutes=13, milliseconds=371)
            place.pages.drag_insulin(bolus, moved)
        place.pages.drag(boluses[-1], at(boluses[-1]) - timedelta(minutes=41, milliseconds=1))
        assert len(doubled(place.pages.treatments())) == 3
        stays(home, place.pages)


@BOTH
def test_what_a_person_deletes_is_written_again(place: Place, tmp_path: Path, make: Make) -> None:
    with make(some_days(1)) as tandem:
        home = computer(tmp_path, tandem, place.url, place.secret)
        home.sync(*WHOLE)
        stored = place.pages.treatments()
        for treatment in stored[10:13]:
            place.pages.delete(treatment)
        assert home.sync(*WHOLE)[:2] == (3, 0)
        assert len(place.pages.treatments()) == len(stored)
        stays(home, place.pages)
