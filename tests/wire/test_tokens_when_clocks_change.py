"""Logins in the nights in which the pump's zone sets its clocks: a token lasts eight hours in them.

Eight hours on a wall clock are seven or nine there.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.api.clients import TConnectApi
from tconnectsync.clock import Clock
from tests.wire import fake_tandem_source, fake_tconnect
from tests.wire.fake_tconnect import CONTROLIQ, LOGIN, TOKEN

NEW_YORK = ZoneInfo("America/New_York")
NIGHTS = {
    "spring": datetime(2024, 3, 9, 22, 0, tzinfo=NEW_YORK),
    "autumn": datetime(2024, 11, 2, 22, 0, tzinfo=NEW_YORK),
}
LIFE = timedelta(hours=8)
STILL_GOOD, TOO_OLD = timedelta(hours=7, minutes=54, seconds=59), timedelta(hours=7, minutes=55)
in_each_night = pytest.mark.parametrize("evening", NIGHTS.values(), ids=NIGHTS)


@in_each_night
def test_a_token_of_tandem_source_lasts_as_long_as_on_any_day(
    tmp_path: Path, evening: datetime
) -> None:
    with fake_tandem_source.serve(tmp_path) as bench:
        account = replace(bench.api.account, zone=NEW_YORK)
        started = evening.astimezone(UTC)

        def ask(api: TConnectApi, later: timedelta) -> int:
            bench.now = bench.server_now = started + later
            api.tandemsource.pumper()
            return bench.logins.logins

        def new_process() -> TConnectApi:
            return TConnectApi(account, Clock(now=lambda: bench.now), tmp_path)

        api = new_process()
        assert ask(api, timedelta(0)) == 1
        assert api.tandemsource.logins.current().token.expires_at == started + LIFE
        assert [ask(api, STILL_GOOD), ask(new_process(), STILL_GOOD)] == [1, 1]
        assert [ask(api, TOO_OLD), ask(new_process(), TOO_OLD)] == [2, 2]


@in_each_night
def test_tokens_of_tconnect_last_as_long_as_on_any_day(evening: datetime) -> None:
    with fake_tconnect.serve() as bench:
        started = evening.astimezone(UTC)
        expiry = (started + LIFE).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        bench.fake.cookies["accessTokenExpiresAt"] = expiry
        bench.fake.token = fake_tconnect.ok({"accessToken": "t", "accessTokenExpiresAt": expiry})
        account = replace(bench.api.account, zone=NEW_YORK)
        api = TConnectApi(account, Clock(now=lambda: bench.now))
        logins = []
        for later in (timedelta(0), STILL_GOOD, TOO_OLD):
            bench.now = started + later
            api.controliq.therapy_timeline()
            api.android.patient_info()
            logins.append((len(bench.requests(LOGIN, "POST")), len(bench.requests(TOKEN))))
    assert logins == [(1, 1), (1, 1), (2, 2)]


@in_each_night
def test_today_is_the_pump_s_calendar_day(evening: datetime) -> None:
    with fake_tconnect.serve() as bench:
        account = replace(bench.api.account, zone=NEW_YORK)
        # On the pump it is late in the evening; in UTC it is tomorrow already.
        bench.now = evening.astimezone(UTC)
        TConnectApi(account, Clock(now=lambda: bench.now)).controliq.therapy_timeline()
        (request,) = bench.requests(CONTROLIQ)
    assert request.query["startDate"] == request.query["endDate"] == f"{evening:%m-%d-%Y}"


def test_the_clock_of_a_computer_shows_utc() -> None:
    now = Clock().now()
    assert now.tzinfo is UTC
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)
