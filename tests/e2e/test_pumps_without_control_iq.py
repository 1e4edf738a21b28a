"""A pump without Control-IQ on Tandem Source: its basal arrives whole, or not at all and named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from tconnectsync.simulators.history import PumpHistory, basal_insulin, bolus_insulin, midnight
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tests.support.command import SECRET, computer, days, tandem_source
from tests.support.expected import insulin_shown
from tests.support.real_nightscout import NightscoutSite

FIRST = date(2024, 5, 6)
DAY = timedelta(days=1)
LOGS = "/pump-logs/"


def alone(history: PumpHistory) -> SimulatedTandemSource:
    return tandem_source(history)


def not_filtering(history: PumpHistory) -> SimulatedTandemSource:
    cloud = tandem_source(history)
    cloud.filters = False
    return cloud


def assert_all_of_it(site: list[dict[str, object]], life: PumpHistory, until: datetime) -> None:
    insulin = insulin_shown(site)
    start = midnight(life.first_day)
    assert insulin.basal == pytest.approx(basal_insulin(life, start, until), abs=0.01)
    assert insulin.bolus == pytest.approx(bolus_insulin(life, start, until), abs=0.01)


@pytest.mark.parametrize("kind", [alone, not_filtering])
def test_all_of_its_insulin_arrives_once(
    nightscout: NightscoutSite,
    tmp_path: Path,
    kind: Callable[[PumpHistory], SimulatedTandemSource],
) -> None:
    life = live(FIRST, 4, control_iq=False)
    command = days(FIRST, FIRST + 4 * DAY)
    with kind(life) as tandem:
        home = computer(tmp_path, tandem, nightscout.url, nightscout.secret)
        first = home.run(*command)
        newest = tandem.log_of_pump.entries[-1].at
        second = home.run(*command)
    assert (first.code, second.code) == (0, 0), first.errors
    assert first.counts.created > 30
    assert (second.counts.created, second.counts.updated) == (0, 0)
    assert_all_of_it(nightscout.contents()["treatments"], life, newest)


def test_day_by_day_and_while_it_goes_on_the_same_arrives(tmp_path: Path) -> None:
    life = live(FIRST, 4, control_iq=False)
    with tandem_source(life) as tandem, SmallNightscout(SECRET) as site:
        home = computer(tmp_path, tandem, site.url, SECRET)
        for number in range(3):
            day = FIRST + number * DAY
            for hours in (9, 14.2, 23.9):
                until = midnight(day) + timedelta(hours=hours)
                tandem.uploaded_until = until
                assert home.run(*days(day - DAY, day)).code == 0
        newest = max(e.at for e in tandem.log_of_pump.entries if e.at <= until)
        assert_all_of_it(site.treatments, life, newest)
        assert home.run(*days(FIRST, FIRST + 4 * DAY)).counts.created == 0


def test_a_pump_that_says_its_algorithm_costs_no_request_more(tmp_path: Path) -> None:
    life = live(FIRST, 3, control_iq=False)
    with tandem_source(life) as tandem, SmallNightscout(SECRET) as site:
        home = computer(tmp_path, tandem, site.url, SECRET)
        assert home.run(*days(FIRST + DAY, FIRST + 2 * DAY)).code == 0
        asked = [e.request.query for e in tandem.log if LOGS in e.request.path]
    assert ["eventCodes" in query for query in asked] == [False]


def test_where_the_cloud_gives_out_parts_only_there_is_no_basal(tmp_path: Path) -> None:
    life = live(FIRST, 3, control_iq=False)
    with tandem_source(life) as tandem, SmallNightscout(SECRET) as site:
        tandem.strict = True
        home = computer(tmp_path, tandem, site.url, SECRET)
        home.run(*days(FIRST, FIRST + 3 * DAY))
        newest = tandem.log_of_pump.entries[-1].at
        treatments = site.treatments
    kinds = {each["reason"] for each in treatments if each["eventType"] == "Temp Basal"}
    assert kinds == {"Suspended"}
    start = midnight(FIRST)
    assert insulin_shown(treatments).bolus == pytest.approx(
        bolus_insulin(life, start, newest), abs=0.01
    )


def test_a_day_with_a_hole_in_its_log_has_no_basal_and_the_others_have_theirs(
    tmp_path: Path,
) -> None:
    life = live(FIRST, 4, control_iq=False)
    second = midnight(FIRST + DAY), midnight(FIRST + 2 * DAY)
    with tandem_source(life) as tandem, SmallNightscout(SECRET) as site:
        hole = next(
            entry.record
            for entry in tandem.log_of_pump.entries
            if entry.code == 399 and entry.at > second[0] + 12 * timedelta(hours=1)
        )
        assert hole
        tandem.hidden = {hole}
        home = computer(tmp_path, tandem, site.url, SECRET)
        home.run(*days(FIRST, FIRST + 4 * DAY))
        newest = tandem.log_of_pump.entries[-1].at
        shown = insulin_shown(site.treatments).basal
    truth = basal_insulin(life, midnight(FIRST), newest) - basal_insulin(life, *second)
    assert shown == pytest.approx(truth, abs=0.01)


def test_rates_of_control_iq_are_not_asked_for_twice(tmp_path: Path) -> None:
    with tandem_source(live(FIRST, 3)) as tandem, SmallNightscout(SECRET) as site:
        home = computer(tmp_path, tandem, site.url, SECRET)
        assert home.run(*days(FIRST, FIRST + 2 * DAY)).code == 0
        asked = [e.request.query for e in tandem.log if LOGS in e.request.path]
    assert ["eventCodes" in query for query in asked] == [True]


def test_a_cloud_that_refuses_other_codes_is_asked_for_them_once(tmp_path: Path) -> None:
    with tandem_source(live(FIRST, 2)) as tandem, SmallNightscout(SECRET) as site:
        tandem.strict = True
        home = computer(tmp_path, tandem, site.url, SECRET)
        home = replace(home, variables={**home.variables, "CACHE_CREDENTIALS": "true"})
        counts = []
        for _ in range(2):
            before = len(tandem.log)
            assert home.run(*days(FIRST, FIRST + DAY)).code == 0
            counts.append(sum(LOGS in e.request.path for e in tandem.log[before:]))
    assert counts == [2, 1]
