"""Changing to or from a cloud that is neither t:connect nor Tandem Source."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from tconnectsync.clouds import TANDEM_SOURCE, TCONNECT
from tconnectsync.domain.events import CarbEntry, PumpEvent, PumpEventKind
from tconnectsync.nightscout.provenance import CLOUD, Document, checksum, cloud_of, edited
from tconnectsync.nightscout.treatments import Treatment
from tests.support.event_builders import (
    Site,
    at,
    basal,
    bodies,
    bolus,
    both_parts,
    planned,
    sleep,
    suspension,
    wanted,
)

CARELINK = "carelink"
CHANGES = [
    (TCONNECT.name, CARELINK),
    (TANDEM_SOURCE.name, CARELINK),
    (CARELINK, TCONNECT.name),
    (CARELINK, TANDEM_SOURCE.name),
    (CARELINK, "another"),
]


def day(cloud: str, late: float = 0) -> list[Treatment]:
    """Return what a cloud says of one day, its own names for things included.

    ``late`` is by how many seconds its times differ from those of others.
    """
    minutes = late / 60
    events: list[Any] = [
        *(basal(start + minutes, 30, rate=1 + start / 100) for start in range(0, 240, 30)),
        bolus(10 + minutes, 3.5, carbs=40),
        bolus(90 + minutes, 1.25),
        *both_parts(bolus(120 + minutes, 2, extended=True), 180 + minutes, 2),
        sleep(30 + minutes, 90),
        suspension(200 + minutes),
    ]
    if cloud != TCONNECT.name:
        events += [
            CarbEntry("carbs", at(60 + minutes), 12),
            *(
                PumpEvent(kind.name, at(20 * number + minutes), kind, kind.value, automatic=True)
                for number, kind in enumerate(PumpEventKind)
                if kind is not PumpEventKind.SUSPENSION
            ),
        ]
    if cloud == TANDEM_SOURCE.name:
        # Only this cloud hands the pump's log out.
        events = [
            replace(event, key=f"entry {number}", log_ids=(number,))
            for number, event in enumerate(events, 1000)
        ]
    return wanted(*events, cloud=cloud)


def synced(site: Site, treatments: list[Treatment]) -> list[Document]:
    """Sync once, check that a second time changes nothing, and return what is new."""
    plan = planned(treatments, site.stored)
    assert not plan.doubts
    site.carry_out(plan)
    again = planned(treatments, site.stored)
    assert (again.create, again.update, again.remove) == ([], [], [])
    return bodies(plan.create)


def insulin(documents: list[Document]) -> float:
    return float(sum(document.get("insulin", 0) for document in documents))


def basal_insulin(documents: list[Document]) -> float:
    basals = [document for document in documents if document["eventType"] == "Temp Basal"]
    return float(sum(each["absolute"] * each["duration"] / 60 for each in basals))


@pytest.mark.parametrize("late", [0, 1, 7, 50, -7])
@pytest.mark.parametrize(("first", "then"), CHANGES)
def test_nothing_stands_twice_after_a_change_of_the_cloud(
    first: str, then: str, late: float
) -> None:
    site = Site()
    synced(site, day(first))
    before = list(site.stored)
    new = synced(site, day(then, late))
    kinds = Counter(document["eventType"] for document in before)
    assert {document["eventType"] for document in new} & set(kinds) <= {"Basal Suspension"}
    assert insulin(site.stored) == insulin(before) == insulin([it.body for it in day(then)])
    assert basal_insulin(site.stored) == pytest.approx(basal_insulin(before), rel=0.01)


@pytest.mark.parametrize("late", [0, 7])
@pytest.mark.parametrize(("first", "then"), CHANGES)
def test_the_new_cloud_goes_on_where_the_other_ended(first: str, then: str, late: float) -> None:
    site = Site()
    half = [treatment for treatment in day(first) if treatment.at < at(100)]
    synced(site, half)
    synced(site, day(then, late))
    (whole,) = {insulin([it.body for it in day(cloud)]) for cloud in (first, then)}
    assert insulin(site.stored) == whole
    assert basal_insulin(site.stored) == pytest.approx(
        basal_insulin([it.body for it in day(then)]), rel=0.01
    )


@pytest.mark.parametrize("cloud", [TCONNECT.name, TANDEM_SOURCE.name, CARELINK])
def test_one_cloud_alone_has_no_possible_duplicates(cloud: str) -> None:
    """Two boluses of one cloud within two minutes are two boluses."""
    site = Site()
    synced(site, wanted(bolus(0, 1), bolus(0.5, 1), cloud=cloud))
    synced(site, wanted(bolus(0, 1), bolus(0.5, 1), bolus(1, 1), cloud=cloud))
    assert insulin(site.stored) == 3


def test_what_a_person_edited_stands_for_the_event_of_every_cloud() -> None:
    site = Site()
    synced(site, wanted(bolus(0, 3), cloud=CARELINK))
    (name,) = site.documents
    site.documents[name] |= {"insulin": 2.0}
    for cloud in (CARELINK, TCONNECT.name):
        synced(site, wanted(bolus(0, 3), cloud=cloud))
    assert [document["insulin"] for document in site.stored] == [2.0]


def test_only_a_further_cloud_is_named_and_its_name_is_covered_by_the_checksum() -> None:
    (third,) = wanted(bolus(0, 1), cloud=CARELINK)
    assert third.body[CLOUD] == cloud_of(third.body) == CARELINK
    assert not edited(third.body)
    assert edited({**third.body, CLOUD: "another"})
    (known,) = wanted(bolus(0, 1), cloud=TCONNECT.name)
    assert CLOUD not in known.body
    assert known.body["checksum"] == checksum(known.body) != third.body["checksum"]


def test_the_same_key_in_two_clouds_names_two_events() -> None:
    identifiers = {
        treatment.identifier
        for cloud in (TCONNECT.name, CARELINK, "another")
        for treatment in wanted(bolus(0, 1), cloud=cloud)
    }
    assert len(identifiers) == 3


def test_a_bolus_that_one_cloud_saw_begin_and_end_is_known_to_another() -> None:
    site = Site()
    synced(site, wanted(bolus(0, 1, running=True), cloud=CARELINK))
    synced(site, wanted(bolus(0, 3), cloud=CARELINK))
    assert synced(site, wanted(bolus(0, 3), cloud=TANDEM_SOURCE.name)) == []
    assert [document["insulin"] for document in site.stored] == [3]
