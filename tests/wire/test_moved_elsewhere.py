"""What stands in Nightscout where no run looks is found by its name before it is created again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tconnectsync.http import HttpClient
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.provenance import Document, created_at
from tconnectsync.nightscout.stored import stored_treatments
from tconnectsync.nightscout.treatments import Treatment
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.sync.plan import Plan, make_plan, moved_elsewhere
from tconnectsync.sync.run.apply import apply
from tests.support.clocks import NO_WAITING
from tests.support.command import SECRET
from tests.support.event_builders import at, basal, bolus, wanted

DAY = timedelta(days=1)


def api(site: SmallNightscout) -> NightscoutApi:
    return NightscoutApi(site.url, SECRET, HttpClient("Nightscout", NO_WAITING))


def looked_up(site: SmallNightscout, wants: list[Treatment]) -> tuple[list[Document], int]:
    """Return what is found elsewhere of what seems missing, and how many requests that took."""
    times = [want.at for want in wants]
    stored = stored_treatments(api(site).treatments(min(times) - DAY, max(times) + DAY))
    site.log.clear()
    found = moved_elsewhere(make_plan(wants, stored), stored, api(site).by_identifier)
    return found, len(site.log)


def filled(site: SmallNightscout, wants: list[Treatment]) -> list[Treatment]:
    apply(make_plan(wants, []), api(site))
    return wants


def basals(first: int, last: int) -> list[Treatment]:
    return wanted(*(basal(5 * number, 5) for number in range(first, last)))


def moved(site: SmallNightscout, want: Treatment, by: timedelta) -> None:
    (stored,) = [it for it in site.treatments if it["identifier"] == want.identifier]
    api(site).replace({**stored, "created_at": created_at(want.at + by)})


@pytest.mark.parametrize("days", [-5000, -3, 3, 4000])
def test_what_was_moved_by_days_is_found(site: SmallNightscout, days: int) -> None:
    wants = filled(site, basals(0, 30))
    moved(site, wants[7], days * DAY)
    found, requests = looked_up(site, wants)
    assert ([it["identifier"] for it in found], requests) == ([wants[7].identifier], 1)


def test_a_run_that_finds_everything_in_its_place_asks_nothing(site: SmallNightscout) -> None:
    assert looked_up(site, filled(site, basals(0, 30))) == ([], 0)


def test_what_goes_on_where_the_last_run_ended_is_not_looked_for(site: SmallNightscout) -> None:
    filled(site, basals(0, 30))
    assert looked_up(site, [*basals(0, 42), *wanted(bolus(170, 2))]) == ([], 0)


def test_the_last_bolus_is_found_although_it_was_the_newest_of_its_type(
    site: SmallNightscout,
) -> None:
    wants = filled(site, [*basals(0, 30), *wanted(bolus(60, 2))])
    moved(site, wants[-1], -40 * DAY)
    assert [it["insulin"] for it in looked_up(site, wants)[0]] == [2]


def test_an_empty_range_costs_one_request_however_long_it_is(site: SmallNightscout) -> None:
    assert looked_up(site, basals(0, 3000)) == ([], 1)


def test_a_range_that_a_wrong_date_put_elsewhere_is_found_as_a_whole(
    site: SmallNightscout,
) -> None:
    wants = filled(site, basals(0, 300))
    there = [it.at + 20 * DAY for it in wants]
    for want, then in zip(wants, there, strict=True):
        moved(site, want, then - want.at)
    found, requests = looked_up(site, wants)
    assert len(found) == 300
    assert requests <= 1 + 7


def test_a_gap_before_what_is_there_costs_ten_requests_at_the_most(site: SmallNightscout) -> None:
    filled(site, basals(3000, 3010))
    boluses = wanted(*(bolus(7 * number, 1) for number in range(50)))
    found, requests = looked_up(site, [*basals(0, 3010), *boluses])
    assert (found, requests) == ([], 10)
    asked = {name for e in site.log for name in e.request.lists["find[identifier][$in][]"]}
    assert {want.identifier for want in boluses} <= asked


def test_a_site_that_looks_at_everything_gives_only_what_was_asked_for(
    site: SmallNightscout,
) -> None:
    wants = filled(site, basals(0, 5))
    site.fault = lambda request: request.lists.clear()
    (name, other) = wants[0].identifier, "nobody's"
    assert [it["identifier"] for it in api(site).by_identifier([name, other])] == [name]


def test_a_hundred_names_travel_in_addresses_that_every_server_takes(
    site: SmallNightscout,
) -> None:
    wants = filled(site, basals(0, 100))
    site.log.clear()
    assert len(api(site).by_identifier([want.identifier for want in wants])) == 100
    assert len(site.log) == 3


# Removing


def test_a_treatment_is_removed_by_its_name_and_may_be_gone_already(site: SmallNightscout) -> None:
    filled(site, basals(0, 2))
    stored = site.treatments
    for _ in range(2):
        apply(Plan(remove=stored_treatments(stored[:1])), api(site))
        assert site.treatments == stored[1:]


def test_the_newest_that_is_not_edited_says_how_far_the_last_run_got(
    site: SmallNightscout,
) -> None:
    wants = filled(site, basals(0, 20))
    moved(site, wants[3], timedelta(days=2))
    assert api(site).newest("Temp Basal") == at(95)
