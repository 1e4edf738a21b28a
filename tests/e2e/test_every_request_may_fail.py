"""Whichever request of a run fails, and however: the next run leaves all as if nothing had been.

The table of what comes of each is printed by `python -m tests.support.failing_requests`.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from tests.support.failing_requests import (
    EVERY_FEATURE,
    EVERY_WAY,
    UNPROVEN,
    Result,
    Trouble,
    quiet_days,
    quieter_days,
    real_sites,
    results,
    small_sites,
    stage,
)
from tests.support.real_nightscout import NightscoutSite, RealNightscout

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SOURCES = sorted(EVERY_FEATURE)
TRANSIENT = ("dropped", "reset", "429", "502")
"""What a further try makes good. ("late" is too: but where a machine is slow, more is late.)"""
EARLIER = datetime(2024, 5, 6, 23, 42)
"""An upload in the midst of a sleep and of a basal."""
WRITES = ("Nightscout POST", "Nightscout PUT", "Nightscout DELETE")
IN_BATCHES = ("Nightscout POST /api/v1/treatments", "Nightscout POST /api/v1/entries.json")
"""Where one request has many documents, and a second one the rest of :func:`quiet_days`."""
SENT_ONCE = {
    "POST /accounts/api/connect/token",
    "POST /api/v1/profile",
    "POST /api/v1/activity",
    "POST /api/v1/devicestatus",
}
"""What is posted there twice would be there twice, or is refused the second time."""


def all_well(found: list[Result]) -> bool:
    """Insist that nothing is wrong, and that something was tried."""
    assert found
    wrong = [str(result) for result in found if result.wrong]
    assert not wrong, "\n".join(wrong)
    return True


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("source", SOURCES)
def test_nothing_is_lost_or_doubled_whichever_request_of_a_first_run_fails(
    source: str, lasting: bool, tmp_path: Path
) -> None:
    ways = [(way, lasts) for way, lasts in EVERY_WAY if lasts is lasting]
    found = results(source, ways, tmp_path / "few", small_sites({}), quieter_days())
    batched = results(
        source, ways, tmp_path / "many", small_sites({}), quiet_days(), IN_BATCHES.__contains__
    )
    assert all_well(found)
    assert all_well(batched)
    assert len(batched) == 2 * len([result for result in found if result.place in IN_BATCHES])
    if not lasting:
        tried_once = {
            r.place for r in (*found, *batched) if r.code == 1 and r.trouble.way in TRANSIENT
        }
        assert {place.partition(" ")[2] for place in tried_once} <= SENT_ONCE


@pytest.mark.parametrize("keyed", [True, False], ids=["15.0.7", "0.12.8"])
@pytest.mark.parametrize("source", SOURCES)
def test_nor_is_anything_whatever_a_site_answers_to_a_write(
    source: str, keyed: bool, tmp_path: Path
) -> None:
    empty = small_sites({}, keyed_by_identifier=keyed)
    with stage(source, tmp_path / "before", empty, quieter_days(), EARLIER) as scene:
        before = scene.undisturbed
    sites = small_sites(before, keyed_by_identifier=keyed)
    ways = [*((way, False) for way in UNPROVEN), ("nothing", True), ("done, 204", True)]
    found = results(
        source, ways, tmp_path, sites, quieter_days(), lambda place: place.startswith(WRITES)
    )
    assert all_well(found)
    stored = [r for r in found if r.trouble.way in ("done, nothing", "done, 204")]
    assert {result.code for result in stored} == {0}


HALF_DONE = [
    *((way, False) for way in ("reset", "late", "killed before", "killed after")),
    *((way, True) for way in ("refused", "reset")),
]
"""Ways in which a write may be done without our knowing, and those that end a run."""


@pytest.mark.parametrize("source", SOURCES)
def test_nor_is_anything_when_a_write_of_a_later_run_to_an_old_nightscout_fails(
    source: str, tmp_path: Path
) -> None:
    empty = small_sites({}, keyed_by_identifier=False)
    with stage(source, tmp_path / "before", empty, quieter_days(), EARLIER) as scene:
        before = scene.undisturbed
    sites = small_sites(before, keyed_by_identifier=False)
    found = results(
        source, HALF_DONE, tmp_path, sites, quieter_days(), lambda place: place.startswith(WRITES)
    )
    assert all_well(found)
    assert {result.place.split()[1] for result in found} == {"POST", "PUT", "DELETE"}


SAMPLE = {
    "treatments": ("killed before", "killed after", "reset"),
    "entries.json": ("killed after",),
    "profile": ("killed before", "killed after", "502"),
    "activity": ("killed before", "killed after", "late"),
    "devicestatus": ("killed after", "reset"),
}
"""For the last write to each: how it fails."""


def test_nor_is_anything_in_a_real_nightscout(nightscout: NightscoutSite, tmp_path: Path) -> None:
    if not isinstance(nightscout, RealNightscout):
        pytest.skip("A site that is given loses its treatments only; this test empties it.")
    with stage("tandem-source", tmp_path, real_sites(nightscout), quiet_days()) as scene:
        last = {place: number for number, place in enumerate(scene.places, 1)}
        found = [
            scene.meet(Trouble(last[f"Nightscout POST /api/v1/{name}"], way, lasting=False))
            for name, ways in SAMPLE.items()
            for way in ways
        ]
    assert all_well(found)
