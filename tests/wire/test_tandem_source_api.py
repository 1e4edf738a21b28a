"""The data of Tandem Source: what is asked for, what is made of the answers, what can go wrong."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tconnectsync.api.clients import TConnectApi
from tconnectsync.clock import Clock
from tconnectsync.errors import ApiError, FirewallError, NetworkError
from tconnectsync.simulators.loopback import Fault, LoopbackServer, Request, Response
from tests.support.settings import account
from tests.wire.fake_tandem_source import (
    BLOCKED_PAGE,
    EMAIL,
    LOGIN,
    LOGS,
    PASSWORD,
    PUMPER,
    Bench,
    html,
    ok,
    serve,
)

PUMP = "00000000-0000-4000-8000-000000000003"
DAY = date(2024, 1, 1)
ZOD = {"success": False, "error": {"name": "ZodError", "message": "Unrecognized key: eventIds"}}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with serve(tmp_path) as bench:
        yield bench


def read_log(bench: Bench, first: date = DAY, last: date = DAY) -> dict[str, list[Any]]:
    return bench.api.tandemsource.pump_logs(PUMP, first, last)


def record(number: int, group: int = 0, pump: str = PUMP, code: int = 279) -> dict[str, Any]:
    return {
        "deviceAssignmentId": pump,
        "eventCode": code,
        "sequenceGroup": group,
        "sequenceNumber": number,
    }


def test_a_request_says_who_asks_and_from_where(bench: Bench) -> None:
    assert bench.api.tandemsource.pumper() == {"pumps": []}
    (request,) = bench.requests("/api")
    assert request.method == "GET"
    assert request.path == f"{PUMPER}/{bench.logins.pumper_id}"
    assert request.query == {}
    assert request.headers["authorization"].removeprefix("Bearer ") in bench.logins.tokens
    assert request.headers["origin"] == bench.server.url
    assert request.headers["referer"] == f"{bench.server.url}/"
    assert request.headers["accept"] == "application/json"


def test_a_source_below_a_path_names_its_host_only(bench: Bench) -> None:
    base = bench.server.url
    settings = account(
        EMAIL,
        PASSWORD,
        sso_url=base,
        accounts_url=f"{base}/accounts/api",
        source_url=f"{base}/prefix/",
    )
    TConnectApi(settings, Clock(now=lambda: bench.now)).tandemsource.pumper()
    (request,) = bench.requests("/prefix")
    assert request.path == f"/prefix{PUMPER}/{bench.logins.pumper_id}"
    assert request.headers["origin"] == base


def test_the_account_of_a_guardian_can_be_asked_for(bench: Bench) -> None:
    bench.data = lambda _: ok({"devices": [{"serialNumber": "1"}]})
    assert bench.api.tandemsource.account() == {"devices": [{"serialNumber": "1"}]}
    assert bench.paths[-1] == f"/api/pumpers/pumpers/{bench.logins.pumper_id}"


def test_a_log_is_asked_for_by_pump_days_and_codes(bench: Bench) -> None:
    bench.data = lambda _: ok({"events": [], "clockChanges": []})
    bench.api.tandemsource.pump_logs("a/b?c", DAY, date(2024, 1, 15), [229, 5, 28])
    (request,) = bench.requests("/api")
    assert request.path == f"{LOGS}/a%2Fb%3Fc"
    assert request.query == {
        "pumperId": bench.logins.pumper_id,
        "startDate": "2024-01-01T00:00:00Z",
        "endDate": "2024-01-15T23:59:59Z",
        "eventCodes": "229,5,28",
    }


def test_colons_and_commas_are_encoded_on_the_wire(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "urllib3")
    bench.data = lambda _: ok({})
    bench.api.tandemsource.pump_logs(PUMP, DAY, DAY, [229, 5])
    assert "startDate=2024-01-01T00%3A00%3A00Z" in caplog.text
    assert "eventCodes=229%2C5" in caplog.text


@pytest.mark.parametrize("codes", [None, [], iter(())])
def test_no_filter_is_sent_when_everything_is_wanted(bench: Bench, codes: Any) -> None:
    bench.data = lambda _: ok({})
    bench.api.tandemsource.pump_logs(PUMP, DAY, DAY, codes)
    assert "eventCodes" not in bench.requests(LOGS)[0].query


@pytest.mark.parametrize(
    ("first", "last", "starts"),
    [
        ("2024-01-01", "2024-01-01", ["2024-01-01"]),
        ("2024-01-01", "2024-01-28", ["2024-01-01"]),
        ("2024-01-01", "2024-01-29", ["2024-01-01", "2024-01-29"]),
        ("2024-01-01", "2024-02-25", ["2024-01-01", "2024-01-29"]),
        ("2024-01-01", "2024-03-01", ["2024-01-01", "2024-01-29", "2024-02-26"]),
        ("2024-03-01", "2024-01-01", ["2024-01-01", "2024-01-29", "2024-02-26"]),
    ],
)
def test_a_long_range_is_asked_for_in_windows_of_28_days_without_gap_or_overlap(
    bench: Bench, first: str, last: str, starts: list[str]
) -> None:
    bench.data = lambda _: ok({})
    assert read_log(bench, date.fromisoformat(first), date.fromisoformat(last)) == {
        "events": [],
        "clockChanges": [],
    }
    asked = [(r.query["startDate"][:10], r.query["endDate"][:10]) for r in bench.requests(LOGS)]
    assert [start for start, _ in asked] == starts
    nexts = [str(date.fromisoformat(end) + timedelta(days=1)) for _, end in asked]
    assert nexts[:-1] == starts[1:]
    assert asked[-1][1] == max(first, last)


def test_events_of_all_windows_come_together_and_each_once(bench: Bench) -> None:
    change = record(5, code=13)
    answers = [
        {"events": [record(1), record(2), record(2)], "clockChanges": [change, change]},
        {"events": [record(2), record(3)], "clockChanges": [change]},
    ]
    bench.data = lambda request: ok(answers[request.query["startDate"] > "2024-01-02"])
    log = read_log(bench, DAY, date(2024, 1, 29))
    assert log == {"events": [record(1), record(2), record(3)], "clockChanges": [change]}


def test_records_differ_by_pump_group_and_number(bench: Bench) -> None:
    events = [record(1), record(1, group=1), record(1, pump="other"), record(2)]
    bench.data = lambda _: ok({"events": events, "clockChanges": [record(1)]})
    assert read_log(bench) == {"events": events, "clockChanges": [record(1)]}


@pytest.mark.parametrize("broken", [{"eventCode": 3}, {"sequenceNumber": "1"}, {}, None, 5, []])
def test_what_cannot_be_taken_apart_is_passed_on_untouched(bench: Bench, broken: Any) -> None:
    bench.data = lambda _: ok({"events": [broken, broken]})
    assert read_log(bench)["events"] == [broken, broken]


@pytest.mark.parametrize(
    "payload", [{"events": [record(1)]}, {"events": [record(1)], "clockChanges": None}]
)
def test_a_missing_list_is_empty(bench: Bench, payload: dict[str, Any]) -> None:
    bench.data = lambda _: ok(payload)
    assert read_log(bench) == {"events": [record(1)], "clockChanges": []}


@pytest.mark.parametrize(
    "payload",
    [
        {"message": "Check input parameters."},
        {"error": {"code": 5}},
        {"data": {"events": []}},
        [],
        "text",
        None,
        {"events": {}},
        {"events": ""},
        {"clockChanges": 5},
    ],
)
def test_an_answer_of_another_form_is_never_an_empty_day(bench: Bench, payload: Any) -> None:
    bench.data = lambda _: ok(payload)
    with pytest.raises(ApiError, match="pump log"):
        read_log(bench)


@pytest.mark.parametrize("answer", [Response(b""), Response(b'{"events": [{'), html("<p>Hello")])
def test_what_is_no_json_is_said_and_may_pass(bench: Bench, answer: Response) -> None:
    bench.data = lambda _: answer
    with pytest.raises(ApiError, match=r"instead of the pump log\.") as raised:
        read_log(bench)
    assert raised.value.can_retry


@pytest.mark.parametrize("method", ["pumper", "account"])
def test_an_error_report_is_not_a_person_without_pumps(bench: Bench, method: str) -> None:
    bench.data = lambda _: ok({"message": "internal"})
    with pytest.raises(ApiError, match="an error report"):
        getattr(bench.api.tandemsource, method)()


def test_half_a_log_is_none(bench: Bench) -> None:
    def data(request: Request) -> Response:
        is_first = request.query["startDate"].startswith("2024-01-01")
        return ok({"events": [record(1)]}) if is_first else html("no", 404)

    bench.data = data
    with pytest.raises(ApiError):
        read_log(bench, DAY, date(2024, 1, 29))


def test_a_query_that_is_no_longer_understood_asks_for_an_update(bench: Bench) -> None:
    bench.data = lambda _: ok(ZOD, 400)
    with pytest.raises(ApiError, match="A newer tconnectsync is needed") as raised:
        read_log(bench)
    assert (raised.value.status, raised.value.can_retry, raised.value.divisible) == (
        400,
        False,
        False,
    )
    assert len(bench.requests(LOGS)) == 1


EXTRA = [81, 48]


def refusing_codes(request: Request) -> Response:
    """Answer like a service that takes no other codes than those of Tandem's web app."""
    if "81" in request.query.get("eventCodes", "").split(","):
        issues = [{"code": "invalid_enum_value", "path": ["eventCodes", 2], "message": "Invalid"}]
        return ok({"name": "ZodError", "issues": issues}, 400)
    return ok({"events": [], "clockChanges": []})


def asked(bench: Bench) -> list[str]:
    return [request.query["eventCodes"] for request in bench.requests(LOGS)]


def test_codes_that_the_web_app_does_not_ask_for_are_asked_for_besides(bench: Bench) -> None:
    bench.data = lambda _: ok({"events": []})
    bench.api.tandemsource.pump_logs(PUMP, DAY, DAY, [279, 5], EXTRA)
    assert asked(bench) == ["5,48,81,279"]


def test_a_cloud_that_refuses_them_is_asked_without_them_from_then_on(bench: Bench) -> None:
    bench.data = refusing_codes
    for client in (bench.api, bench.api, bench.client()):
        client.tandemsource.pump_logs(PUMP, DAY, DAY, [5, 279], EXTRA)
    assert asked(bench) == ["5,48,81,279", "5,279", "5,279", "5,279"]


def test_after_a_month_they_are_tried_once_more(bench: Bench) -> None:
    bench.data = refusing_codes
    bench.api.tandemsource.pump_logs(PUMP, DAY, DAY, [5], EXTRA)
    bench.now = bench.server_now = bench.now + timedelta(days=31)
    bench.client().tandemsource.pump_logs(PUMP, DAY, DAY, [5], EXTRA)
    assert asked(bench) == ["5,48,81", "5", "5,48,81", "5"]


def test_what_is_refused_for_another_reason_is_not_remembered(bench: Bench) -> None:
    bench.data = lambda _: ok({"name": "ZodError", "issues": [{"path": ["startDate"]}]}, 400)
    for _ in range(2):
        with pytest.raises(ApiError, match="It says: startDate"):
            bench.api.tandemsource.pump_logs(PUMP, DAY, DAY, [5], EXTRA)
    assert asked(bench) == ["5,48,81", "5,48,81"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"codes": 7, "until": "2099-01-01"}'])
def test_a_damaged_memory_of_refusals_is_none(bench: Bench, content: str) -> None:
    (bench.folder / "tandem-refused-codes.json").write_text(content)
    bench.data = lambda _: ok({"events": []})
    bench.client().tandemsource.pump_logs(PUMP, DAY, DAY, [5], EXTRA)
    assert asked(bench) == ["5,48,81"]


@pytest.mark.parametrize(
    ("status", "text", "can_retry", "requests"),
    [
        (302, "refused to give the pump log", False, 1),
        (400, "refused to give the pump log", False, 1),
        (403, "refused to give the pump log", False, 1),
        (404, "has no pump log", False, 1),
        (429, "could not give the pump log", True, 3),
        (500, "could not give the pump log", True, 2),
        (503, "could not give the pump log", True, 3),
    ],
)
def test_a_failure_says_its_status(
    bench: Bench, status: int, text: str, can_retry: bool, requests: int
) -> None:
    bench.data = lambda _: ok({"message": "no"}, status)
    with pytest.raises(ApiError, match=rf"{text}.*\(HTTP {status}\)$") as raised:
        read_log(bench)
    assert raised.value.can_retry is can_retry
    assert raised.value.divisible
    assert len(bench.requests(LOGS)) == requests
    assert bench.logins.logins == 1


def test_a_passing_failure_is_not_noticed(bench: Bench) -> None:
    bench.data = lambda _: ok({"events": [record(1)]})
    bench.fail(f"{LOGS}/{PUMP}", html("oops", 500))
    assert read_log(bench)["events"] == [record(1)]


@pytest.mark.parametrize("status", [200, 403])
def test_the_firewall_is_recognised_at_once(bench: Bench, status: int) -> None:
    bench.data = lambda _: html(BLOCKED_PAGE, status)
    with pytest.raises(FirewallError):
        read_log(bench)
    assert len(bench.requests(LOGS)) == 1


def test_a_login_that_ends_in_the_middle_of_a_range_costs_one_more(bench: Bench) -> None:
    def data(request: Request) -> Response:
        if request.query["startDate"].startswith("2024-01-01"):
            bench.logins.tokens.clear()
        return ok({"events": [record(int(request.query["startDate"][8:10]))]})

    bench.data = data
    assert read_log(bench, DAY, date(2024, 1, 29))["events"] == [record(1), record(29)]
    assert bench.logins.logins == 2
    assert len(bench.requests(LOGS)) == 3


def test_a_slow_answer_is_waited_for_twice_as_long_as_by_others(bench: Bench) -> None:
    api = bench.client(read_timeout=0.3)
    api.tandemsource.logins.current()
    bench.data = lambda _: Response(b"{}", delay=0.4)
    assert api.tandemsource.pumper() == {}
    bench.data = lambda _: Response(b"{}", delay=0.8)
    with pytest.raises(NetworkError, match="did not answer in time"):
        api.tandemsource.pumper()


def test_a_token_is_never_carried_to_another_host(bench: Bench) -> None:
    with LoopbackServer(lambda _: ok({"pumps": []})) as stranger:
        location = [("Location", f"{stranger.url}/")]
        bench.data = lambda _: Response(b"", 307, "text/html", location)
        with pytest.raises(ApiError):
            bench.api.tandemsource.pumper()
        assert stranger.log == []


@pytest.mark.parametrize("fault", [Fault.DROP, ok({"message": EMAIL}, 403), ok(ZOD, 400)])
def test_nothing_personal_shows_in_what_goes_wrong(
    bench: Bench, fault: Response | Fault, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "tconnectsync")
    login = bench.api.tandemsource.logins.current()
    bench.always(f"{LOGS}/{PUMP}", fault)
    with pytest.raises((ApiError, NetworkError)) as raised:
        read_log(bench)
    shown = json.dumps([str(raised.value), caplog.text])
    for secret in (EMAIL, PASSWORD, PUMP, login.pumper_id, login.account_id, login.token.value):
        assert secret not in shown
    assert len(bench.requests(LOGIN)) == 1
