"""A plan is carried out whole, in the order of worth; what fails, fails alone."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from tconnectsync.errors import MissingRightError, NightscoutLoginError
from tconnectsync.nightscout.provenance import Document, created_at
from tconnectsync.nightscout.stored import stored_treatments
from tconnectsync.nightscout.treatments import Treatment
from tconnectsync.simulators.loopback import Fault, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.sync.plan import Plan, Update
from tconnectsync.sync.plan.slots import slots
from tconnectsync.sync.run.apply import Applied, apply
from tests.support.event_builders import desired, updating
from tests.support.nightscout_client import NOON, client, treatment

REFUSED = Response(b'{"status": 403, "message": "Forbidden"}', 403)


def document(kind: str, minute: int, **fields: Any) -> Document:
    named = {"identifier": f"{kind} {minute}", **fields}
    return treatment(minute, eventType=kind, **named)


def of(kind: str, minute: int, **fields: Any) -> Treatment:
    return desired(document(kind, minute, **fields))


def reading(minute: int) -> Document:
    at = NOON + timedelta(minutes=minute)
    return {"type": "sgv", "sgv": 90, "date": round(at.timestamp() * 1000), "dateString": str(at)}


def moving(site: SmallNightscout, kind: str, start: int, end: int) -> Update:
    """Store a treatment and return an update that moves it."""
    site.insert([document(kind, start)])
    (stored,) = [d for d in site.treatments if d["identifier"] == f"{kind} {start}"]
    return updating(stored, {**stored, "created_at": document(kind, end)["created_at"]})


def writes(site: SmallNightscout) -> list[tuple[str, list[str]]]:
    """Return the writes in their order, with the kinds of what was in each."""
    found = []
    for entry in site.log:
        if entry.request.method != "GET":
            body = json.loads(entry.request.body)
            documents = body if isinstance(body, list) else [body]
            kinds = [str(d.get("eventType") or d["type"]) for d in documents]
            found.append((entry.request.method, kinds))
    return found


def refuse(site: SmallNightscout, method: str, kind: str, answer: Response | Fault) -> None:
    """Refuse every write with a kind of document in it."""

    def fault(request: Request) -> Response | Fault | None:
        is_meant = request.method == method and f'"{kind}"' in request.body.decode()
        return answer if is_meant else None

    site.fault = fault


def refused(applied: Applied) -> list[tuple[set[str], bool]]:
    return [({it.kind for it in each.records}, each.throughout) for each in applied.refused()]


def test_basals_and_boluses_come_first_and_what_is_new_after_the_updates(
    site: SmallNightscout,
) -> None:
    update = [moving(site, kind, 0, 5) for kind in ("Sleep", "Combo Bolus", "Temp Basal")]
    create = [of(kind, 9) for kind in ("Alarm", "Sleep", "Combo Bolus", "Temp Basal")]
    applied = apply(Plan(create, update, entries=[reading(0)]), client(site))
    assert writes(site) == [
        ("PUT", ["Temp Basal"]),
        ("POST", ["Temp Basal"]),
        ("PUT", ["Combo Bolus"]),
        ("POST", ["Combo Bolus"]),
        ("PUT", ["Sleep"]),
        ("POST", ["Alarm", "Sleep"]),
        ("POST", ["sgv"]),
    ]
    assert (applied.created, applied.updated, refused(applied)) == (5, 3, [])


def test_without_updates_all_that_is_new_travels_together(site: SmallNightscout) -> None:
    create = [of(kind, 9) for kind in ("Sleep", "Combo Bolus", "Temp Basal")]
    apply(Plan(create), client(site))
    assert writes(site) == [("POST", ["Temp Basal", "Combo Bolus", "Sleep"])]


@pytest.mark.parametrize(
    "answer", [REFUSED, Response(b"{}", 500), Fault.DROP, Response(b"[]")], ids=str
)
def test_a_refused_update_fails_alone_and_its_instant_counts_as_taken(
    site: SmallNightscout, answer: Response | Fault
) -> None:
    update = [moving(site, "Temp Basal", 0, 60), moving(site, "Sleep", 1, 61)]
    new = of("Temp Basal", 0, identifier="new")
    refuse(site, "PUT", "Temp Basal", answer)
    applied = apply(Plan([new, of("Combo Bolus", 3)], update), client(site))
    assert refused(applied) == [({"Temp Basal"}, False)]
    assert (applied.created, applied.updated, applied.ended_by) == (2, 1, None)
    times = {d["identifier"]: d["created_at"] for d in site.treatments}
    assert times["Temp Basal 0"] == "2024-03-05T12:00:00.000Z"
    assert times["new"] == "2024-03-05T12:00:00.001Z"
    assert times["Sleep 1"] == "2024-03-05T13:01:00.000Z"


def test_an_update_that_relied_on_a_refused_one_goes_beside_it(site: SmallNightscout) -> None:
    first, second = moving(site, "Temp Basal", 60, 120), moving(site, "Temp Basal", 0, 60)
    refuse(site, "PUT", "Temp Basal 60", REFUSED)
    applied = apply(Plan([], [second, first], taken=frozenset()), client(site))
    assert applied.updated == 1
    assert len(slots(stored_treatments(site.treatments))) == 2
    assert "2024-03-05T13:00:00.001Z" in {d["created_at"] for d in site.treatments}


def test_a_right_that_lacks_is_not_tried_for_hundreds_of_updates(site: SmallNightscout) -> None:
    update = [moving(site, "Temp Basal", n, n + 1000) for n in range(50)]
    refuse(site, "PUT", "Temp Basal", Response(b'{"message": "Unauthorized"}', 401))
    applied = apply(Plan([of("Temp Basal", 500)], update), client(site))
    (failure,) = applied.refused()
    assert len(failure.records) == 50
    assert isinstance(failure.error, MissingRightError)
    assert "Add api:treatments:update to the role" in str(failure.error)
    assert str(failure.error).endswith("Not written: 50 Temp Basal.")
    assert len([kind for kind in writes(site) if kind[0] == "PUT"]) == 3
    assert applied.created == 1


def test_a_kind_that_is_refused_stops_itself_and_no_other(site: SmallNightscout) -> None:
    basals = [of("Temp Basal", n) for n in range(150)]
    boluses = [of("Combo Bolus", n) for n in range(70)]
    refuse(site, "POST", "Temp Basal", REFUSED)
    applied = apply(Plan(basals + boluses, entries=[reading(0)]), client(site))
    # The second batch of basals, which is not sent, has boluses in it.
    assert refused(applied) == [({"Temp Basal"}, True)]
    assert applied.created == 70 + 1


def test_what_came_before_a_refusal_is_counted(site: SmallNightscout) -> None:
    seen: list[Request] = []

    def second(request: Request) -> Response | None:
        seen.append(request)
        return REFUSED if len(seen) == 2 else None

    site.fault = second
    applied = apply(Plan([of("Temp Basal", n) for n in range(350)]), client(site))
    assert applied.created == len(site.treatments) == 100
    assert len(seen) == 2
    assert refused(applied) == [({"Temp Basal"}, False)]
    assert sum(len(each.records) for each in applied.refused()) == 250


def test_an_unproven_batch_does_not_stop_the_next_one(site: SmallNightscout) -> None:
    seen: list[Request] = []

    def first(request: Request) -> Response | None:
        seen.append(request)
        return Response(b"[]") if len(seen) == 1 else None

    site.fault = first
    applied = apply(Plan([of("Temp Basal", n) for n in range(150)]), client(site))
    assert applied.created == len(site.treatments) == 50
    (failure,) = applied.refused()
    assert "has stored 100 Temp Basal." in str(failure.error)


def test_a_wrong_secret_ends_it_all(site: SmallNightscout) -> None:
    create = [of("Temp Basal", 0), of("Combo Bolus", 1)]
    applied = apply(Plan(create, entries=[reading(0)]), client(site, "wrong"))
    assert isinstance(applied.ended_by, NightscoutLoginError)
    assert len(writes(site)) == 1
    assert applied.created == 0


def test_a_time_that_was_not_to_be_changed_stays(site: SmallNightscout) -> None:
    site.insert([document("Temp Basal", 0, duration=5)])
    (stored,) = site.treatments
    update = updating(stored, {**stored, "duration": 10})
    apply(Plan([], [update], taken=frozenset(slots([update.stored]))), client(site))
    assert [d["created_at"] for d in site.treatments] == [created_at(NOON)[:19] + ".000Z"]
