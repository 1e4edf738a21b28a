"""Laws that hold for every story and every order in which it becomes known."""

from __future__ import annotations

import dataclasses
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tconnectsync.domain.events import Basal, Bolus, Event
from tconnectsync.nightscout.provenance import instant
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log, entries_of
from tconnectsync.sources.tconnect.periods import SUSPENSIONS
from tests.support.event_builders import (
    Site,
    basal,
    bolus,
    both_parts,
    planned,
    sleep,
    suspension,
    wanted,
)
from tests.support.log_builders import (
    ABORTED,
    COMPLETED,
    EXERCISING,
    NORMAL,
    NOTHING,
    SLEEPING,
    START_EXERCISE,
    START_SLEEP,
    STOP_ALL,
    delivered,
    entry,
    log,
    mode,
    part,
    rate,
    request,
    resumed,
    slowly_delivered,
    suspended,
    wanted_of,
)

UNITS = st.integers(1, 2500).map(lambda hundredths: hundredths / 100)
MINUTES = st.integers(0, 600)
FACTS = (
    "eventType",
    "duration",
    "insulin",
    "carbs",
    "absolute",
    "reason",
    "notes",
    "pump_event_id",
)


@st.composite
def boluses(draw: st.DrawFn) -> list[Bolus]:
    """A bolus; of an extended one both parts."""
    later = draw(UNITS) if draw(st.booleans()) else None
    key, carbs = str(draw(st.integers(0, 40))), draw(st.integers(0, 90))
    now = bolus(draw(MINUTES), draw(UNITS), key=key, carbs=carbs, extended=later is not None)
    return [now] if later is None else both_parts(now, 700, later)


@st.composite
def basals(draw: st.DrawFn) -> list[Event]:
    """Segments that follow one another without overlap."""
    lengths = draw(st.lists(st.integers(1, 90), max_size=12))
    starts = [sum(lengths[:index]) for index in range(len(lengths))]
    rates = draw(st.lists(UNITS, min_size=len(lengths), max_size=len(lengths)))
    return [basal(*each) for each in zip(starts, lengths, rates, strict=True)]


@st.composite
def stories(draw: st.DrawFn) -> list[Event]:
    events: list[Event] = [*draw(basals())]
    given = draw(st.lists(boluses(), max_size=8, unique_by=lambda parts: parts[0].key))
    events += [part for parts in given for part in parts]
    events += [sleep(start, 30) for start in draw(st.sets(MINUTES, max_size=3))]
    reasons = st.sampled_from(sorted(SUSPENSIONS))
    events += [
        suspension(start, reason)
        for start, reason in draw(st.sets(st.tuples(MINUTES, reasons), max_size=5))
    ]
    return events


def facts(site: Site) -> Counter[tuple[object, ...]]:
    """What a site says, without the names of its documents and the milliseconds between them."""
    found: Counter[tuple[object, ...]] = Counter()
    for document in site.stored:
        moment = instant(document)
        assert moment
        found[(moment.replace(microsecond=0), *(document.get(name) for name in FACTS))] += 1
    return found


def synced(*looks: list[Event]) -> Site:
    site = Site()
    for events in looks:
        site.carry_out(planned(wanted(*events), site.stored))
    return site


@given(stories())
def test_planning_twice_changes_nothing(story: list[Event]) -> None:
    site = synced(story)
    plan = planned(wanted(*story), site.stored)
    assert (plan.create, plan.update) == ([], [])
    assert plan.kept == len(site.stored)


@settings(max_examples=200)
@given(stories(), st.data())
def test_any_order_of_arrival_ends_in_the_same_documents(
    story: list[Event], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(story))
    cut = data.draw(st.integers(0, len(story)))
    first, second = shuffled[:cut], shuffled[cut:]
    assert facts(synced(first, second)) == facts(synced(second, first)) == facts(synced(story))


@given(stories(), st.integers(0, 600))
def test_looking_while_it_happens_ends_in_the_same_documents(story: list[Event], now: int) -> None:
    assert facts(synced([e for e in (seen(e, now) for e in story) if e], story)) == facts(
        synced(story)
    )


def seen(event: Event, now: int) -> Event | None:
    """Return what was known of an event ``now`` minutes after noon."""
    moment = basal(now, 0).start
    if event.begins >= moment:
        return None
    if isinstance(event, Basal) and event.ends > moment:
        return dataclasses.replace(event, duration=moment - event.start, running=True)
    if isinstance(event, Bolus) and event.whole_since and event.ends > moment:
        return None
    return event


@given(stories())
def test_no_two_documents_of_a_type_share_an_instant(story: list[Event]) -> None:
    site = synced(story[::2], story)
    slots = [(document["eventType"], document["created_at"]) for document in site.stored]
    assert len(slots) == len(set(slots))


@given(stories())
def test_insulin_in_is_insulin_out(story: list[Event]) -> None:
    site = synced(story)
    given_as_bolus = sum(event.insulin for event in story if isinstance(event, Bolus))
    given_as_basal = sum(
        event.rate * (event.duration / timedelta(hours=1))
        for event in story
        if isinstance(event, Basal)
    )
    shown_as_bolus = sum(document.get("insulin", 0.0) for document in site.stored)
    shown_as_basal = sum(
        document["absolute"] * document["duration"] / 60
        for document in site.stored
        if document["eventType"] == "Temp Basal"
    )
    assert shown_as_bolus == pytest.approx(given_as_bolus, abs=0.005)
    assert shown_as_basal == pytest.approx(given_as_basal, abs=0.005)


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """The log of a pump that notes its rate now and then, and whatever else happens to it."""
    entries: list[Entry] = []
    minute, halted, state = 0.0, False, NORMAL
    happenings = st.sampled_from(["rate", "rate", "halt", "bolus", "long bolus", "mode", "fill"])
    for number, what in enumerate(draw(st.lists(happenings, max_size=40))):
        minute += draw(st.sampled_from([0, 0.5, 1, 5, 5.5, 6, 6.5, 90]))
        milliunits = draw(st.integers(0, 9999))
        match what:
            case "rate":
                entries.append(rate(minute, 0, NOTHING) if halted else rate(minute, milliunits))
            case "halt":
                entries.append(resumed(minute) if halted else suspended(minute))
                halted = not halted
            case "mode":
                entries.append(_change_of_mode(minute, state))
                state = entries[-1].values["currentusermode"]
            case "fill":
                entries += [entry(minute, 33, insulinvolume=180), entry(minute, 63)]
            case _:
                entries += request(minute, number, milliunits / 1000, options=int("long" in what))
                end = slowly_delivered if what == "long bolus" else delivered
                minute += draw(st.sampled_from([0, 1, 30]))
                status = draw(st.sampled_from([ABORTED, COMPLETED]))
                entries.append(end(minute, number, milliunits / 1000, status=status))
    return log(*entries)


def _change_of_mode(minute: float, state: int) -> Entry:
    changes = {
        NORMAL: (START_SLEEP, SLEEPING),
        SLEEPING: (START_EXERCISE, EXERCISING),
        EXERCISING: (STOP_ALL, NORMAL),
    }
    action, after = changes[state]
    return mode(minute, action, state, after)


def looked_at(*looks: Log) -> Site:
    site = Site()
    for each in looks:
        site.carry_out(planned(wanted_of(each), site.stored))
    return site


@given(logs())
def test_planning_a_log_twice_changes_nothing(story: Log) -> None:
    site = looked_at(story)
    plan = planned(wanted_of(story), site.stored)
    assert (plan.create, plan.update) == ([], [])
    assert plan.kept == len(site.stored)


@settings(max_examples=200, deadline=None)
@given(logs(), st.lists(st.integers(0, 600), max_size=4), st.data())
def test_looks_at_a_growing_log_end_in_the_same_documents_in_any_order(
    story: Log, ends: list[int], data: st.DataObject
) -> None:
    looks = data.draw(st.permutations([story, *(part(story, 0, end) for end in ends)]))
    assert facts(looked_at(*looks)) == facts(looked_at(story))


@given(logs())
def test_the_insulin_of_a_log_is_shown_to_the_milliunit(story: Log) -> None:
    site = looked_at(story)
    shown = sum(document.get("insulin", 0.0) for document in site.stored)
    noted = sum(each.values["insulindelivered"] for each in entries_of(story, 20, 21))
    assert shown == pytest.approx(noted, abs=1e-6)
    rates = [document for document in site.stored if document["eventType"] == "Temp Basal"]
    commanded = {each.at: each.values["commandedrate"] / 1000 for each in entries_of(story, 279)}
    for document in rates:
        moment = instant(document)
        assert moment
        assert document["absolute"] in (0, commanded.get(moment))
