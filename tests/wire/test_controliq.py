"""What is asked of controliq, and what becomes of its answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.api.clients import TConnectApi
from tconnectsync.clock import Clock
from tests.wire.fake_tconnect import CONTROLIQ, GUID, LOGIN, Bench, ok


def test_the_timeline_is_asked_for_with_start_before_end(bench: Bench) -> None:
    start, end = date(2021, 4, 1), date(2021, 4, 2)
    assert bench.api.controliq.therapy_timeline(start, end) == {"faked": True}
    request = bench.requests("/tconnect")[0]
    assert request.path == f"{CONTROLIQ}/therapytimeline/users/{GUID}"
    assert list(request.query.items()) == [("startDate", "04-01-2021"), ("endDate", "04-02-2021")]


def test_the_summary_is_asked_for_with_start_before_end(bench: Bench) -> None:
    assert bench.api.controliq.dashboard_summary("2021-04-01", "04-02-2021") == {"faked": True}
    request = bench.requests("/tconnect")[0]
    assert request.path == f"{CONTROLIQ}/summary/users/{GUID}"
    assert list(request.query.items()) == [("startDate", "04-01-2021"), ("endDate", "04-02-2021")]


def test_therapy_events_have_their_days_in_the_path(bench: Bench) -> None:
    bench.fake.data = ok({"event": []})
    assert bench.api.controliq.therapy_events("2021-04-01", "2021-04-02") == {"event": []}
    request = bench.requests("/tconnect")[0]
    path = "/tconnect/therapyevents/api/TherapyEvents/04-01-2021/04-02-2021/false"
    assert (request.path, request.query) == (path, {"userId": GUID})


def test_pump_features_are_a_list(bench: Bench) -> None:
    bench.fake.data = ok([{"serialNumber": "123"}])
    assert bench.api.controliq.pump_features() == [{"serialNumber": "123"}]
    request = bench.requests("/tconnect")[0]
    assert (request.path, request.query) == (f"{CONTROLIQ}/pumpfeatures/users/{GUID}", {})


def test_requests_carry_the_token_and_come_from_the_web_site(bench: Bench) -> None:
    bench.api.controliq.therapy_timeline()
    request = bench.requests("/tconnect")[0]
    assert request.method == "GET"
    assert request.body == b""
    assert request.headers["authorization"] == "Bearer web-token"
    assert request.headers["origin"] == "https://tconnect.tandemdiabetes.com"
    assert request.headers["referer"] == "https://tconnect.tandemdiabetes.com/"
    assert request.headers["user-agent"].startswith("Mozilla/5.0 ")


def test_today_is_the_day_in_the_pump_s_zone(bench: Bench) -> None:
    account = replace(bench.api.account, zone=ZoneInfo("Asia/Tokyo"))
    bench.now = datetime(2021, 5, 4, 15, 30, tzinfo=UTC)
    TConnectApi(account, Clock(now=lambda: bench.now)).controliq.therapy_timeline()
    assert bench.requests("/tconnect")[0].query == {
        "startDate": "05-05-2021",
        "endDate": "05-05-2021",
    }


def test_one_login_serves_all_calls(bench: Bench) -> None:
    bench.api.controliq.therapy_timeline()
    bench.api.controliq.therapy_events()
    bench.api.controliq.dashboard_summary()
    assert bench.api.controliq.user_guid == GUID
    assert len(bench.requests(LOGIN, "POST")) == 1


def test_a_day_that_is_none_is_refused_before_anything_is_asked(bench: Bench) -> None:
    with pytest.raises(ValueError, match="not a calendar day"):
        bench.api.controliq.therapy_events("yesterday")
    assert bench.requests("/tconnect") == []


def test_an_unusual_user_guid_cannot_change_the_path(bench: Bench) -> None:
    bench.fake.cookies["UserGUID"] = "a/../b?c"
    bench.api.controliq.therapy_timeline()
    (request,) = bench.requests("/tconnect")
    assert request.path == f"{CONTROLIQ}/therapytimeline/users/a%2F..%2Fb%3Fc"
