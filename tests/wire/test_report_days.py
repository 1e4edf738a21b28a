"""The days of a report against what the pump did, whatever it did when the report begins."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from operator import attrgetter

import pytest

from tconnectsync.domain.clock import TimeRange
from tconnectsync.report.figures import make_report
from tconnectsync.report.model import Report
from tconnectsync.simulators.history import BasalSegment, PumpHistory, SiteChange, SuspensionRecord
from tconnectsync.simulators.loopback import Response
from tconnectsync.simulators.person import live
from tconnectsync.sync.run.window import date_range
from tests.support.accounts import history_of, off
from tests.support.command import CLOUDS, Cloud
from tests.support.world import FIRST, at, broken

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


def report(cloud: Cloud, first: int, last: int) -> Report:
    """Return the report of some days, counted from :data:`FIRST`."""
    history = history_of(cloud)
    begin, end = (FIRST + number * DAY for number in (first, last))
    return make_report(history, date_range(begin, end, history.clock, history.now()))


def suspended(life: PumpHistory, begin: datetime, end: datetime) -> PumpHistory:
    """Return a life in which the person stops the pump, but not the sensor, for some time."""
    quiet = off(life, begin, end)
    stops = sorted(
        [*quiet.suspensions, SuspensionRecord(begin, end, "manual")], key=attrgetter("start")
    )
    return replace(quiet, readings=life.readings, suspensions=stops)


@pytest.mark.parametrize("source", CLOUDS)
def test_a_report_that_begins_or_ends_within_a_suspension_says_how_long_it_was(source: str) -> None:
    begin, end = at(1, 9), at(5, 11)
    with CLOUDS[source](suspended(live(FIRST, 7), begin, end)) as cloud:
        for first, last in ((2, 2), (2, 3), (3, 5), (0, 1)):
            found = report(cloud, first, last)
            stood = {day.date: sum(map(_length, day.suspended), 0 * DAY) for day in found.days}
            for number in range(first, last + 1):
                within = min(end, at(number + 1, 0)) - max(begin, at(number, 0))
                # The newest reading says until when the pump is known to stand still.
                assert stood[FIRST + number * DAY] >= within - 10 * MINUTE, (first, last, number)


def _length(time_range: TimeRange) -> timedelta:
    return time_range.end - time_range.start


@pytest.mark.parametrize("source", CLOUDS)
def test_a_rate_of_zero_by_the_algorithm_right_after_a_stop_is_no_suspension(source: str) -> None:
    begin, end = at(1, 9), at(1, 9.5)
    every = [at(0, number / 12) for number in range(2 * 24 * 12)]
    life = replace(
        live(FIRST, 2),
        boluses=(),
        basal=[
            BasalSegment(it, 300, 0.0 if it == end else 1.0, "algorithm", suspended=it == end)
            for it in every
            if not begin <= it < end
        ],
        suspensions=[
            SuspensionRecord(begin, end, "site change"),
            SuspensionRecord(end, end + 5 * MINUTE, "control-iq"),
        ],
        site_changes=[SiteChange(begin, "cartridge"), SiteChange(end, "site")],
    )
    with CLOUDS[source](life) as cloud:
        (day,) = report(cloud, 1, 1).days
    assert list(map(_length, day.suspended)) == [end - begin]


@pytest.mark.parametrize("source", CLOUDS)
def test_days_of_which_the_cloud_has_nothing_are_said_to_be_missing(source: str) -> None:
    with CLOUDS[source](live(FIRST, 3)) as cloud:
        cloud.uploaded_until = at(1, 20)
        found = report(cloud, -2, 4)
    assert [day.has_data for day in found.days[::-1]] == [False] * 2 + [True] * 2 + [False] * 3
    said = " ".join(found.remarks)
    assert "There are no data" in said
    assert " for 2024-06-01 to 2024-06-02" in said
    assert "2024-06-05 to 2024-06-07" in said or "nothing after 2024-06-04 " in said


def test_what_t_connect_could_not_confirm_stands_on_the_page() -> None:
    with CLOUDS["tconnect"](replace(live(FIRST, 3), boluses=())) as cloud:
        cloud.fault = broken("therapytimeline2csv", Response(b"", 400))
        (remark,) = report(cloud, 0, 2).remarks
    assert "TherapyEvents has no bolus from 2024-06-03 to 2024-06-05, and" in remark
    assert "boluses may be missing. Tandem" in remark
