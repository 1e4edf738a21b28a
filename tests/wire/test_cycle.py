"""A whole cycle between the simulated t:connect and the small Nightscout, faults included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta

import pytest

from tconnectsync.domain.clock import TimeRange
from tconnectsync.errors import LoginError, NightscoutError, NightscoutLoginError
from tconnectsync.simulators.history import (
    BasalSegment,
    BolusRecord,
    CgmReading,
    PumpHistory,
    SuspensionRecord,
)
from tconnectsync.simulators.loopback import Fault, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.sources.base import Reader
from tests.support.careportal import Pages
from tests.support.command import PASSWORD, SECRET, cloud
from tests.support.event_builders import NEW_YORK
from tests.support.virtual_home import sparse
from tests.support.world import EVERYTHING, FIRST, TConnectWorld, World, at, broken


@pytest.fixture(scope="module")
def life() -> PumpHistory:
    return sparse(live(FIRST, 22))


@pytest.fixture
def make_world() -> Iterator[Callable[[PumpHistory], TConnectWorld]]:
    with ExitStack() as stack:

        def make(history: PumpHistory) -> TConnectWorld:
            nightscout = stack.enter_context(SmallNightscout(SECRET))
            return World(
                stack.enter_context(cloud(history)), nightscout, changes={"ALARM_SAFE_MINUTES": "0"}
            )

        yield make


@pytest.fixture
def world(make_world: Callable[[PumpHistory], TConnectWorld], life: PumpHistory) -> TConnectWorld:
    return make_world(life)


def test_everything_arrives_and_a_second_run_changes_nothing(
    world: TConnectWorld,
) -> None:
    first = world.sync(0, 2)
    assert first.created == len(world.site.treatments) > 250
    second = world.sync(0, 2)
    assert (second.created, second.updated, second.kept) == (0, 0, first.created)
    assert not first.failures
    assert not second.failures


def test_an_overlapping_run_changes_nothing_that_is_there(world: TConnectWorld) -> None:
    world.sync(0, 3)
    before = world.site.treatments
    outcome = world.sync(2, 5)
    assert outcome.updated == 0
    assert [d for d in world.site.treatments if d in before] == before


@pytest.mark.parametrize(
    ("part", "feature", "arrives"),
    [
        ("basalsuspension", "PUMP_EVENTS", {"Temp Basal", "Combo Bolus", "Sleep"}),
        ("therapytimeline/", "BASAL", {"Combo Bolus", "Basal Suspension"}),
    ],
)
@pytest.mark.parametrize(
    "answer", [Response(b"<html>", 500), Response(b"<html>oops</html>"), Fault.DROP]
)
def test_what_fails_does_not_stop_the_rest(
    world: TConnectWorld, part: str, feature: str, arrives: set[str], answer: Response | Fault
) -> None:
    world.tandem.fault = broken(part, answer)
    outcome = world.sync(0, 2)
    assert feature in {name for failure in outcome.failures for name in failure.features}
    assert arrives <= world.kinds()
    world.tandem.fault = None
    assert not world.sync(0, 2).failures
    assert world.sync(0, 2).created == 0


def test_a_failed_answer_that_two_features_need_is_asked_for_once(
    world: TConnectWorld,
) -> None:
    world.tandem.fault = broken("therapytimeline/", Response(b"", 403))
    outcome = world.sync(0, 0)
    assert world.asked("therapytimeline/") == 1
    assert len(outcome.failures) == 2


def test_pretending_says_what_a_real_run_does_and_writes_nothing(
    world: TConnectWorld,
) -> None:
    pretended = world.sync(0, 20, pretend=True)
    assert world.site.treatments == []
    assert not [e for e in world.site.log if e.request.method != "GET"]
    real = world.sync(0, 20)
    assert (pretended.created, pretended.updated) == (real.created, real.updated)


def test_without_therapy_events_the_csv_export_brings_the_boluses(
    world: TConnectWorld,
) -> None:
    world.tandem.fault = broken("TherapyEvents", Response(b"", 403))
    assert not world.sync(0, 2, "BOLUS").failures
    from_csv = [(d["created_at"], d["insulin"]) for d in world.site.treatments]
    world.tandem.fault = None
    outcome = world.sync(0, 2, "BOLUS")
    assert (outcome.created, outcome.updated) == (0, 0)
    assert len(from_csv) > 10


def test_the_csv_export_is_left_alone_when_it_is_not_needed(
    world: TConnectWorld,
) -> None:
    world.sync(1, 3)
    assert world.asked("therapytimeline2csv") == 0


def test_a_day_without_a_bolus_does_not_fail_when_the_csv_export_is_down(
    make_world: Callable[[PumpHistory], TConnectWorld],
) -> None:
    quiet = PumpHistory(FIRST, 1, True, basal=(BasalSegment(at(0, 0), 86_400, 0.8, "algorithm"),))
    world = make_world(quiet)
    world.tandem.fault = broken("therapytimeline2csv", Response(b"", 500))
    assert not world.sync(0, 0, "BOLUS").failures
    assert world.asked("therapytimeline2csv") == 2


def test_pumps_without_control_iq_are_read_from_the_csv_export(
    make_world: Callable[[PumpHistory], TConnectWorld],
) -> None:
    world = make_world(live(FIRST, 4, control_iq=False))
    outcome = world.sync(0, 3)
    assert not outcome.failures
    basals = [d for d in world.site.treatments if d["eventType"] == "Temp Basal"]
    assert {d["reason"] for d in basals} == {"Unknown"}
    again = world.sync(0, 3)
    assert (again.created, again.updated) == (0, 0)


def test_a_window_that_fails_is_reported_and_the_others_are_done(
    world: TConnectWorld,
) -> None:
    def second_week(request: Request) -> Response | None:
        # A window is asked for from a day before its beginning.
        asked = f"{request.path}?{request.query}"
        starts = ("/06-09-2024/06-1", "'startDate': '06-09-2024'")
        return Response(b"", 403) if any(start in asked for start in starts) else None

    world.tandem.fault = second_week
    outcome = world.sync(0, 20)
    assert {NEW_YORK.day(failure.window.start) for failure in outcome.failures} == {
        date(2024, 6, 10)
    }
    days = {document["created_at"][:10] for document in world.site.treatments}
    assert {"2024-06-05", "2024-06-20"} <= days
    assert "2024-06-13" not in days
    world.tandem.fault = None
    assert not world.sync(7, 13).failures
    assert world.sync(0, 20).created == 0


def test_one_bad_day_costs_only_that_day(world: TConnectWorld) -> None:
    """Tandem has trouble with the 7th: every answer that holds it is spoilt."""

    def spoilt(request: Request) -> Response | None:
        if "therapytimeline/" not in request.path:
            return None
        first, last = (request.query[name] for name in ("startDate", "endDate"))
        return Response(b"<html>", 500) if first <= "06-07-2024" <= last else None

    world.tandem.fault = spoilt
    outcome = world.sync(0, 13, "BASAL")
    # A day is asked for with its neighbours.
    assert {NEW_YORK.day(failure.window.start).day for failure in outcome.failures} == {6, 7, 8}
    basals = {document["created_at"][:10] for document in world.site.treatments}
    assert {"2024-06-04", "2024-06-05", "2024-06-10", "2024-06-16"} <= basals
    world.tandem.fault = None
    assert not world.sync(0, 13, "BASAL").failures
    again = world.sync(0, 13, "BASAL")
    assert (again.created, again.updated) == (0, 0)


def test_after_an_outage_what_failed_is_still_to_be_caught_up(
    world: TConnectWorld,
) -> None:
    """The first of two windows fails; the second waits, so that the hole stays the newest."""
    world.tandem.fault = broken("therapytimeline/", Response(b"", 503))
    outcome = world.sync(0, 13, "BASAL", "BOLUS", in_order=True)
    assert {name for failure in outcome.failures for name in failure.features} == {"BASAL"}
    days = {d["created_at"][:10] for d in world.site.treatments}
    assert "2024-06-14" in days
    failed, waiting = (failure.window for failure in outcome.failures)
    assert (NEW_YORK.day(failed.start), failed.end) == (FIRST, waiting.start)
    assert NEW_YORK.day(waiting.end) == FIRST + timedelta(days=14)


@pytest.mark.parametrize("part", ["therapytimeline/", "TherapyEvents", "basalsuspension"])
def test_an_error_report_with_status_200_does_not_mean_that_nothing_happened(
    world: TConnectWorld, part: str
) -> None:
    report = Response(b'{"messages":["An error occurred. Try it again."]}')
    world.tandem.fault = broken(part, report)
    outcome = world.sync(1, 1)
    if part == "TherapyEvents":
        assert world.asked("therapytimeline2csv") > 0
    else:
        assert outcome.failures


def test_a_refusal_is_not_asked_for_again_in_pieces(world: TConnectWorld) -> None:
    world.tandem.fault = broken("therapytimeline/", Response(b"", 403))
    assert len(world.sync(0, 6, "BASAL").failures) == 1
    assert world.asked("therapytimeline/") == 1


def test_a_failed_read_of_nightscout_never_means_that_it_is_empty(
    world: TConnectWorld,
) -> None:
    world.sync(0, 0)
    before = world.site.treatments
    world.site.fault = lambda request: Response(b"") if request.method == "GET" else None
    outcome = world.sync(0, 0)
    (failure,) = outcome.failures
    assert isinstance(failure.error, NightscoutError)
    assert world.site.treatments == before


def test_an_error_that_is_kept_keeps_no_payload(world: TConnectWorld) -> None:
    world.tandem.fault = broken("therapytimeline", Response(b"{"))
    kept = [failure.error for failure in world.sync(0, 2).failures]
    assert kept
    assert not [error for error in kept if error.__traceback__ or error.__context__]


@pytest.mark.parametrize(("secret", "password"), [("wrong", PASSWORD), (SECRET, "wrong")])
def test_wrong_credentials_end_the_run_at_once(
    world: TConnectWorld, secret: str, password: str
) -> None:
    outcome = world.sync(0, 20, NS_SECRET=secret, TCONNECT_PASSWORD=password)
    (failure,) = outcome.failures
    assert failure.window == TimeRange(NEW_YORK.instant(at(0, 0)), NEW_YORK.instant(at(21, 0)))
    assert world.site.treatments == []
    assert isinstance(failure.error, LoginError if secret == SECRET else NightscoutLoginError)
    assert outcome.ended_by is failure.error
    refused = [e for e in (*world.site.log, *world.tandem.log) if e.status == 401]
    logins = [e for e in world.tandem.log if e.request.path == "/login.aspx"]
    assert len(refused) <= 1
    assert len(logins) == 2


def test_a_login_that_cannot_be_reached_is_not_tried_for_each_part_again(
    world: TConnectWorld,
) -> None:
    world.tandem.fault = broken("login.aspx", Fault.DROP)
    outcome = world.sync(0, 20)
    assert [failure.features for failure in outcome.failures] == [EVERYTHING]
    assert outcome.ended_by
    assert outcome.ended_by.can_retry
    assert world.asked("login.aspx") == 3
    world.tandem.fault = None
    assert not world.sync(0, 20).failures


def test_what_is_synced_once_is_not_to_be_repeated_because_a_window_failed(
    world: TConnectWorld,
) -> None:
    world.site.fault = broken("treatments", Response(b"", 400))
    outcome = world.sync(0, 0, at_the_end={"PROFILES": lambda reader: ["Done."]})
    assert [failure.features for failure in outcome.failures] == [EVERYTHING]
    assert outcome.others == ["Done."]


def test_what_is_left_out_by_what_is_synced_once_is_counted_too(
    world: TConnectWorld,
) -> None:
    def reading(reader: Reader) -> list[str]:
        reader.skipped["odd row"] += 2
        return []

    assert world.sync(0, 8, at_the_end={"IOB": reading}).skipped == {"odd row": 2}


def test_where_going_on_is_pointless_all_that_is_left_is_to_be_repeated(
    world: TConnectWorld,
) -> None:
    def refused(reader: Reader) -> list[str]:
        raise LoginError("No.", 401)

    once = {"IOB": lambda reader: ["Done."], "PROFILES": refused, "DEVICE_STATUS": refused}
    outcome = world.sync(0, 0, at_the_end=once)
    assert [failure.features for failure in outcome.failures] == [("PROFILES", "DEVICE_STATUS")]
    assert outcome.others == ["Done."]
    world.tandem.fault = broken("login.aspx", Response(b"", 503))
    outcome = world.sync(0, 0, at_the_end=once)
    assert [failure.features for failure in outcome.failures] == [(*EVERYTHING, *once)]


def test_what_lies_in_the_future_waits(world: TConnectWorld) -> None:
    now = NEW_YORK.instant(at(1, 12))
    # On a site without anything, such a clock would end the run.
    world.sync(0, 0, now=now)
    world.sync(0, 2, now=now)
    newest = max(document["created_at"] for document in world.site.treatments)
    assert newest <= now.astimezone(UTC).isoformat()
    assert newest[:13] == now.astimezone(UTC).isoformat()[:10] + "T15"


def test_unknown_kinds_are_counted_and_the_rest_arrives(world: TConnectWorld) -> None:
    real = world.tandem.answer

    def with_strangers(request: Request) -> Response | None:
        if "TherapyEvents" not in request.path:
            return None
        world.tandem.fault = None
        answer = real(request)
        assert isinstance(answer, Response)
        return Response(answer.body.replace(b'"CGM"', b'"Dance"'))

    world.tandem.fault = with_strangers
    outcome = world.sync(0, 0)
    assert outcome.skipped["therapy event of unknown type 'Dance'"] > 40
    assert not outcome.failures
    assert "Combo Bolus" in world.kinds()


def suspended(start: datetime, end: datetime | None, readings_until: datetime) -> PumpHistory:
    """Return a pump that delivers 0.8 U/h but for one suspension by the person."""
    segments = [BasalSegment(at(0, 0), int((start - at(0, 0)).total_seconds()), 0.8, "algorithm")]
    if end:
        segments.append(BasalSegment(end, 3600, 0.8, "algorithm"))
    count = int((readings_until - at(0, 0)) / timedelta(minutes=5))
    readings = tuple(CgmReading(at(0, index / 12), 110) for index in range(count + 1))
    bolus = BolusRecord(1, at(0, 1), at(0, 1.05), 2.0, 2.0)
    return PumpHistory(
        FIRST,
        10,
        True,
        basal=tuple(segments),
        boluses=(bolus,),
        suspensions=(SuspensionRecord(start, end, "manual"),),
        readings=readings,
    )


def zero_basals(world: TConnectWorld) -> list[tuple[str, float]]:
    return [
        (document["created_at"], document["duration"])
        for document in world.site.treatments
        if document.get("absolute") == 0
    ]


def test_a_suspension_that_goes_on_shows_as_zero_and_grows(
    make_world: Callable[[PumpHistory], TConnectWorld],
) -> None:
    world = make_world(suspended(at(0, 20), at(2, 8), readings_until=at(9, 0)))
    world.tandem.uploaded_until = at(0, 22)
    world.sync(0, 0, "BASAL", now=NEW_YORK.instant(at(0, 22)))
    assert zero_basals(world) == [("2024-06-04T00:00:00.000Z", 120)]
    world.tandem.uploaded_until = at(1, 8)
    world.sync(1, 1, "BASAL", now=NEW_YORK.instant(at(1, 8)))
    assert zero_basals(world) == [("2024-06-04T00:00:00.000Z", 720)]
    world.tandem.uploaded_until = None
    world.sync(2, 2, "BASAL")
    assert zero_basals(world) == [("2024-06-04T00:00:00.000Z", 36 * 60)]


def test_a_range_that_begins_days_inside_a_suspension_finds_its_beginning(
    make_world: Callable[[PumpHistory], TConnectWorld],
) -> None:
    world = make_world(suspended(at(0, 20), at(6, 8), readings_until=at(9, 0)))
    world.sync(5, 6, "BASAL")
    whole = [("2024-06-04T00:00:00.000Z", (5 * 24 + 12) * 60)]
    assert zero_basals(world) == whole
    world.sync(0, 9, "BASAL")
    assert zero_basals(world) == whole
    assert world.sync(0, 9, "BASAL").updated == 0


def test_pretending_finds_what_a_person_has_moved_by_days_as_a_real_run_does(
    world: TConnectWorld,
) -> None:
    world.sync(0, 5)
    pages = Pages(world.site.url, SECRET, world.site.insert)
    moved = [it for it in pages.treatments() if it["eventType"] == "Combo Bolus"][::4]
    for number, treatment in enumerate(moved):
        was = datetime.fromisoformat(treatment["created_at"]).astimezone(UTC)
        pages.save(treatment, was + timedelta(days=20 * (-1) ** number))
    before = world.site.treatments
    for pretend in (True, False):
        outcome = world.sync(0, 5, pretend=pretend)
        assert (outcome.created, outcome.updated) == (0, 0)
        assert world.site.treatments == before
