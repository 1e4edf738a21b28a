"""A person edits treatments while the program goes on: each edit stays, and nothing is doubled."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tconnectsync.simulators.person import live
from tests.support.careportal import Pages
from tests.support.command import CLOUDS, SECRET
from tests.support.real_nightscout import Document
from tests.support.treatments import by_id, doubled
from tests.support.virtual_home import DAY, Home, Make, at, undisturbed
from tests.support.world import FIRST

CHANGES: list[dict[str, Any]] = [
    {},
    {"eventType": "Meal Bolus"},
    {"eventType": "Announcement"},
    {"enteredBy": "Mum"},
    {"enteredBy": ""},
    {"notes": "edited"},
    {"insulin": "1.25"},
    {"carbs": "12"},
    {"duration": "3"},
    {"absolute": "0.5"},
    {"glucose": "5.5", "glucoseType": "Finger"},
]
MOVES = [timedelta(minutes=-9), timedelta(hours=5), timedelta(days=-3), timedelta(days=-40)]


def is_ours(treatment: Document) -> bool:
    return "checksum" in treatment


def at_of(treatment: Document) -> datetime:
    return datetime.fromisoformat(treatment["created_at"]).astimezone(UTC)


def edit_something(home: Home, pages: Pages, chance: random.Random) -> list[str]:
    """Edit some treatments, the newest ones above all; return their names in the database.

    Only the newest of all is not moved by days: where it stood, all that is missing is new.
    """
    stored = [it for it in pages.treatments() if is_ours(it)]
    newest = {it["eventType"]: it for it in stored}
    some = {it["_id"]: it for it in (*newest.values(), *chance.sample(stored, 3))}
    chosen = chance.sample(list(some.values()), 4)
    for treatment in chosen[:2]:
        pages.save(treatment, **chance.choice(CHANGES))
    is_last = chosen[2]["created_at"] == max(it["created_at"] for it in stored)
    pages.save(chosen[2], at_of(chosen[2]) + chance.choice(MOVES[:2] if is_last else MOVES))
    some_time = timedelta(minutes=31, milliseconds=chance.randrange(1, 999))
    pages.drag(chosen[3], at_of(chosen[3]) - some_time)
    return [treatment["_id"] for treatment in chosen]


@pytest.mark.parametrize("seed", [1, 13])
@pytest.mark.parametrize("keyed_by_identifier", [True, False], ids=["15.0.7", "0.12.8"])
@pytest.mark.parametrize("source", CLOUDS)
def test_runs_of_days_with_a_person_in_between(
    make_home: Make, source: str, keyed_by_identifier: bool, seed: int
) -> None:
    home = make_home(
        source,
        replace(live(FIRST, 4), readings=()),
        keyed_by_identifier=keyed_by_identifier,
    )
    home.features = ("BASAL", "BOLUS", "PUMP_EVENTS")
    pages = Pages(home.site.url, SECRET, home.site.insert)
    chance = random.Random(seed)
    left: dict[str, Document] = {}
    home.go_to(0.6)
    while home.now < at(3):
        assert home.run().code == 0
        stands = by_id(pages.treatments())
        assert {name: stands.get(name) for name in left} == left
        names = edit_something(home, pages, chance)
        stands = by_id(pages.treatments())
        left |= {name: stands[name] for name in [*left, *names]}
        home.go_to((home.now - at(0)) / DAY + chance.choice([0.05, 0.2, 0.4]))
    for _ in range(2):
        home.run()
    stands = by_id(pages.treatments())
    assert {name: stands.get(name) for name in left} == left
    assert doubled(stands.values()) == {}
    assert len(stands) == undisturbed(home).total()
