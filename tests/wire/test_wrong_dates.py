"""What is asked of Tandem Source where a pump's date was wrong, and what is said of it."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tconnectsync.api.clients import TConnectApi
from tconnectsync.domain.clock import TimeRange
from tconnectsync.errors import NetworkError
from tconnectsync.sources.tandemsource.clock.changes import CLOCK_CODES
from tconnectsync.sources.tandemsource.pumps.logdays import LogDays
from tconnectsync.sources.tandemsource.pumps.pumplog import PumpLog
from tconnectsync.sources.tandemsource.pumps.pumps import Pump
from tconnectsync.sources.tandemsource.pumps.wrongdates import remarks
from tconnectsync.sources.tandemsource.reader import USED
from tests.support.event_builders import NEW_YORK

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
NOW = NEW_YORK.instant(datetime(2026, 3, 20, 12))
WALL = datetime(2026, 3, 20, 12)
LOST = datetime(2008, 1, 1)
BASAL = 279
EPOCH = datetime(2008, 1, 1)
RATES = {"commandedRateSource": 1, "commandedRate": 800, "profileBasalRate": 800}


class Log:
    """A pump's log in the cloud: what was written when, by the pump's clock, and asked for."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.changes: list[dict[str, Any]] = []
        self.asked: list[tuple[date, date]] = []
        self.number = 1000

    def write(self, wall: datetime, code: int = BASAL, **properties: Any) -> None:
        self.number += 1
        self.events.append(
            {
                "eventCode": code,
                "sequenceGroup": 0,
                "sequenceNumber": self.number,
                "pumpDateTime": wall.isoformat(),
                "eventProperties": properties or RATES,
            }
        )
        if code in CLOCK_CODES:
            self.changes.append(self.events.pop())

    def run(self, first: datetime, last: datetime) -> None:
        """Write an entry every hour."""
        while first < last:
            self.write(first)
            first += HOUR

    def set_clock(self, before: datetime, after: datetime) -> None:
        days = {"datePrior": (before - EPOCH).days, "dateAfter": (after - EPOCH).days}
        self.write(datetime.combine(after.date(), before.time()), 14, **days)
        midnights = [datetime.combine(after.date(), datetime.min.time())] * 2
        prior = datetime.combine(after.date(), before.time()) - midnights[0]
        times = {
            "timePrior": int(prior.total_seconds()) * 1000,
            "timeAfter": int((after - midnights[1]).total_seconds()) * 1000,
        }
        self.write(after, 13, **times)

    def answer(self, first: date, last: date) -> dict[str, list[Any]]:
        self.asked.append((first, last))
        days = {(first + n * DAY).isoformat() for n in range((last - first).days + 1)}
        found = [event for event in self.events if event["pumpDateTime"][:10] in days]
        return {"events": found, "clockChanges": list(self.changes)}

    def days(
        self,
        first: date,
        last: date,
        newest: datetime | None,
        uploaded: datetime | None,
        oldest: datetime | None = None,
    ) -> LogDays:
        pump = Pump("log", "00870042", newest, uploaded, None, "t:slim X2", oldest)
        return LogDays(self.answer, pump, NEW_YORK, first, last)


TODAY = date(2026, 3, 20)
YESTERDAY = TODAY - DAY
WANTED = TimeRange(NOW - DAY, NOW)


def said(days: LogDays, wanted: TimeRange = WANTED) -> str:
    return " ".join(remark.text for remark in remarks(days, wanted, NOW))


def test_a_pump_with_a_right_clock_is_asked_once_and_nothing_is_said() -> None:
    log = Log()
    log.run(WALL - 3 * DAY, WALL)
    log.set_clock(WALL, WALL + HOUR)
    days = log.days(YESTERDAY, TODAY + DAY, WALL, NOW)
    assert said(days) == ""
    assert log.asked == [(YESTERDAY, TODAY + DAY)]


def test_after_a_reset_the_days_of_2008_are_asked_for_and_come_in_their_place() -> None:
    log = Log()
    log.run(WALL - 3 * DAY, WALL - 10 * HOUR)
    log.run(LOST, LOST + 4 * HOUR)
    log.set_clock(LOST + 4 * HOUR, WALL - 6 * HOUR)
    log.run(WALL - 6 * HOUR, WALL)
    days = log.days(YESTERDAY, TODAY, WALL - HOUR, NOW, LOST)
    assert log.asked == [(YESTERDAY, TODAY), (LOST.date(), LOST.date())]
    entries = days.placed(USED, NOW, Counter())[BASAL]
    moments = [entry.at for entry in entries]
    assert moments == sorted(moments)
    expected = [NOW - n * HOUR for n in range(1, 37)]
    assert set(moments) >= set(expected)
    assert said(days) == ""


def test_entries_of_a_wrong_date_do_not_appear_on_the_days_that_it_showed() -> None:
    log = Log()
    log.run(WALL - 10 * DAY, WALL - DAY)
    log.set_clock(WALL - DAY, WALL - 4 * DAY)
    log.run(WALL - 4 * DAY, WALL - 4 * DAY + 12 * HOUR)
    log.set_clock(WALL - 4 * DAY + 12 * HOUR, WALL - 12 * HOUR)
    log.run(WALL - 12 * HOUR, WALL)
    then = TODAY - 4 * DAY
    days = log.days(then - DAY, then + DAY, WALL - HOUR, NOW)
    moments = [entry.at for entry in days.placed(USED, NOW, Counter())[BASAL]]
    assert len(moments) == len(set(moments)) == 72
    assert max(moments) < NEW_YORK.midnight(then + 2 * DAY)


def test_a_placeholder_for_the_newest_entry_is_no_wrong_date() -> None:
    log = Log()
    log.run(WALL - 3 * DAY, WALL)
    days = log.days(YESTERDAY, TODAY, datetime(2038, 1, 19), NOW)
    assert said(days) == ""
    assert len(days.placed(USED, NOW, Counter())[BASAL]) == 36


@pytest.mark.parametrize("ahead", [3 * DAY, 31 * DAY, 366 * DAY], ids=str)
def test_a_clock_that_went_ahead_without_a_record_is_said_at_once(ahead: timedelta) -> None:
    log = Log()
    log.run(WALL - 3 * DAY, WALL - 3 * HOUR)
    log.run(WALL - 3 * HOUR + ahead, WALL + ahead)
    days = log.days(YESTERDAY, TODAY, WALL - HOUR + ahead, NOW)
    assert "days" in said(days)
    assert "ahead" in said(days)
    assert remarks(days, WANTED, NOW)[0].missing
    assert remarks(days, WANTED, NOW)[0].heals


def test_a_battery_that_was_empty_is_said_at_once() -> None:
    log = Log()
    log.run(WALL - 3 * DAY, WALL - 3 * HOUR)
    log.run(LOST, LOST + 3 * HOUR)
    days = log.days(YESTERDAY, TODAY, WALL - 4 * HOUR, NOW, LOST)
    assert "shows a date in 2008" in said(days)
    assert max(e.at for e in days.placed(USED, NOW, Counter())[BASAL]) == NOW - 4 * HOUR


def test_a_log_that_begins_in_2008_because_a_clock_was_lost_long_ago_is_no_news() -> None:
    log = Log()
    log.run(LOST, LOST + 3 * HOUR)
    log.run(WALL - 3 * DAY, WALL)
    assert said(log.days(YESTERDAY, TODAY, WALL - HOUR, NOW, LOST)) == ""


@pytest.mark.parametrize(
    "shown", [WALL - 3 * DAY, WALL - 30 * DAY, WALL - 365 * DAY, datetime(2020, 1, 1)], ids=str
)
def test_a_date_that_fell_back_without_a_record_is_said_when_nothing_new_comes(
    shown: datetime,
) -> None:
    log = Log()
    newest = WALL - 2 * DAY
    log.run(WALL - 40 * DAY, newest + HOUR)
    log.run(shown - 2 * DAY, shown)
    oldest = min(shown - 2 * DAY, WALL - 40 * DAY)
    (remark,) = remarks(log.days(YESTERDAY, TODAY, newest, NOW, oldest), WANTED, NOW)
    assert "shows a wrong date" in remark.text
    assert (remark.missing, remark.heals) == (True, True)


def test_uploads_of_a_pump_that_was_not_in_use_are_mentioned_and_no_failure() -> None:
    log = Log()
    log.run(WALL - 10 * DAY, WALL - 3 * DAY)
    (remark,) = remarks(log.days(YESTERDAY, TODAY, WALL - 3 * DAY, NOW), WANTED, NOW)
    assert "If it was in use since" in remark.text
    assert (remark.missing, remark.heals) == (False, False)


def test_a_newest_entry_of_2008_is_a_wrong_date() -> None:
    log = Log()
    log.run(LOST, LOST + 5 * HOUR)
    (remark,) = remarks(log.days(YESTERDAY, TODAY, LOST + 4 * HOUR, NOW), WANTED, NOW)
    assert "shows a wrong date" in remark.text
    assert (remark.missing, remark.heals) == (True, True)


def test_of_days_that_a_wrong_date_does_not_touch_nothing_has_to_be_asked_again() -> None:
    log = Log()
    log.run(WALL - 3 * DAY, WALL - 2 * DAY)
    log.run(WALL - 5 * DAY, WALL - 4 * DAY)
    long_ago = TimeRange(NOW - 200 * DAY, NOW - 199 * DAY)
    days = log.days(YESTERDAY - 200 * DAY, TODAY - 199 * DAY, WALL - 2 * DAY - HOUR, NOW)
    (remark,) = remarks(days, long_ago, NOW)
    assert (remark.missing, remark.heals) == (True, False)


def test_nothing_is_said_of_a_pump_that_went_into_a_drawer_long_ago() -> None:
    log = Log()
    days = log.days(YESTERDAY, TODAY, WALL - 300 * DAY, NOW - 290 * DAY)
    assert said(days) == ""


def test_a_date_that_was_set_back_by_mistake_is_not_taken_for_one_put_right() -> None:
    """Both have one change on record; only what was written since differs."""
    by_mistake, put_right = Log(), Log()
    by_mistake.run(WALL - 5 * DAY, WALL - 6 * HOUR)
    by_mistake.set_clock(WALL - 6 * HOUR, WALL - 3 * DAY - 6 * HOUR)
    by_mistake.run(WALL - 3 * DAY - 6 * HOUR, WALL - 3 * DAY)
    put_right.run(WALL - 12 * HOUR, WALL - 6 * HOUR)
    put_right.set_clock(WALL - 6 * HOUR, WALL - 3 * DAY - 6 * HOUR)
    put_right.run(WALL - 3 * DAY - 6 * HOUR, WALL)
    wrong = by_mistake.days(YESTERDAY, TODAY, WALL - 7 * HOUR, NOW)
    right = put_right.days(YESTERDAY, TODAY, WALL - HOUR, NOW)
    assert "3 days behind" in said(wrong)
    assert said(right) == ""
    for each in (wrong, right):
        moments = [entry.at for entry in each.placed(USED, NOW, Counter())[BASAL]]
        assert {NOW - n * HOUR for n in range(1, 25)} <= set(moments)
        assert len(moments) == len(set(moments))


def test_a_run_says_what_is_wrong_when_the_log_has_been_read() -> None:
    log = Log()
    log.run(WALL - 5 * DAY, WALL - 3 * DAY)
    log.run(WALL - 6 * DAY, WALL - 4 * DAY)
    api = SimpleNamespace(
        tandemsource=SimpleNamespace(
            pump_logs=lambda _, first, last, codes, extra: log.answer(first, last)
        )
    )
    pump = Pump("log", "00870042", WALL - 3 * DAY - HOUR, NOW, None, "t:slim X2")
    one = PumpLog(
        cast(TConnectApi, api),
        NEW_YORK,
        pump,
        used=USED,
        codes=None,
        ignore_zero_basals=False,
        now=lambda: NOW,
        say=lambda sentence: None,
    )
    reader = one.read(WANTED)
    assert reader.remarks == []
    assert reader.basals() == []
    assert [remark.missing for remark in reader.remarks] == [True]


def test_a_question_about_the_clock_that_fails_holds_nothing_back() -> None:
    log = Log()
    log.run(WALL - 3 * DAY, WALL)
    told: list[str] = []

    def pump_logs(_: str, first: date, last: date, codes: Any, extra: Any) -> dict[str, list[Any]]:
        if log.asked:
            raise NetworkError("Tandem Source did not answer.")
        return log.answer(first, last)

    pump = Pump("log", "00870042", datetime(2038, 1, 19), NOW, None, "t:slim X2")
    api = SimpleNamespace(tandemsource=SimpleNamespace(pump_logs=pump_logs))
    one = PumpLog(
        cast(TConnectApi, api),
        NEW_YORK,
        pump,
        used=USED,
        codes=None,
        ignore_zero_basals=False,
        now=lambda: NOW,
        say=told.append,
    )
    assert len(one.read(WANTED).basals()) > 20
    assert any(
        "could not be checked. Tandem Source did not answer." in sentence for sentence in told
    )


def test_what_lies_days_ahead_and_what_has_lost_its_date_is_counted() -> None:
    log = Log()
    log.run(WALL - DAY, WALL - 3 * HOUR)
    log.run(WALL - 40 * HOUR, WALL - 37 * HOUR)
    log.run(WALL + 2 * DAY, WALL + 2 * DAY + 2 * HOUR)
    skipped: Counter[str] = Counter()
    log.days(YESTERDAY - DAY, TODAY + 3 * DAY, WALL - 4 * HOUR, NOW).placed(USED, NOW, skipped)
    assert skipped == {"pump log entry from the future": 2}
    log.events = log.events[:-2]
    skipped.clear()
    log.days(YESTERDAY - DAY, TODAY + DAY, WALL - 4 * HOUR, NOW).placed(USED, NOW, skipped)
    assert skipped == {"pump log entry from after the pump lost its date": 3}
