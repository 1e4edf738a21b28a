"""What goes over the wire to Tandem: logins, requests, tries again, and payloads as they came."""

from __future__ import annotations

import re
from datetime import date
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tconnectsync.errors import ApiError, FirewallError, LoginError, PasswordRefusedError
from tconnectsync.simulators.loopback import Request, Response
from tests.acceptance.cases import cases, exception, files, load, text
from tests.wire.fake_tconnect import GUID, LOGIN, TOKEN, Bench, html, ok

LOGINS = "login.cases.json"
CONTROLIQ = "controliq_requests.cases.json"
EXPORT = "ws2_timeline.cases.json"


def replay(bench: Bench, exchange: list[dict[str, Any]]) -> None:
    """Answer every request with what the exchange has for its method and path."""

    def answer(request: Request) -> Response | None:
        for step in exchange:
            wanted = step["request"]
            if (wanted["method"], urlsplit(wanted["url"]).path) == (request.method, request.path):
                return recorded(step["response"])
        return None

    bench.server.fault = answer


def recorded(answer: dict[str, Any]) -> Response:
    cookies = answer.get("set_cookies", {})
    headers = [("Set-Cookie", f"{name}={value}; path=/") for name, value in cookies.items()]
    if "location" in answer:
        headers.append(("Location", answer["location"]))
    page = text(answer["body_file"]) if "body_file" in answer else ""
    return Response(page.encode(), answer["status"], "text/html", headers)


LOGIN_CASES = [case for case in cases(LOGINS) if "exchange" in case.values[0]]


@pytest.mark.parametrize("case", LOGIN_CASES)
def test_a_login_goes_as_recorded(bench: Bench, case: dict[str, Any]) -> None:
    replay(bench, case["exchange"])
    logins = bench.client(email=case["email"], password=case["password"]).controliq.logins
    expected = case["expected"]
    if "raises" in expected:
        with pytest.raises(LoginError) as raised:
            logins.current()
        assert str(raised.value) == expected["message_matches"]
    else:
        login = logins.current()
        assert login.user_guid == expected["userGuid"]
        assert login.token.value == expected["accessToken"]
        expires_at = login.token.expires_at
        assert expires_at
        assert expires_at.isoformat(timespec="milliseconds") == expected[
            "accessTokenExpiresAt"
        ].replace("Z", "+00:00")
    assert len(bench.requests()) == len(case["exchange"])
    for request, step in zip(bench.requests(), case["exchange"], strict=True):
        compare(request, step["request"], bench.server.url)


def compare(request: Request, wanted: dict[str, Any], base: str) -> None:
    url = urlsplit(wanted["url"])
    assert (request.method, request.path) == (wanted["method"], url.path)
    assert list(request.query.items()) == parse_qsl(url.query)
    assert request.headers["user-agent"].startswith("Mozilla/5.0")
    assert request.body.decode() == wanted.get("body_urlencoded", "")
    for name, value in wanted["headers"].items():
        if name == "Cookie":
            assert request.cookies == dict(pair.split("=", 1) for pair in value.split("; "))
        else:
            sent = request.headers[name.lower()]
            assert sent.replace(base, "https://tconnect.tandemdiabetes.com") == value


@pytest.mark.parametrize("case", [c for c in LOGIN_CASES if "raises" in c.values[0]["expected"]])
def test_nothing_is_kept_of_a_failed_login(bench: Bench, case: dict[str, Any]) -> None:
    replay(bench, case["exchange"])
    for _ in range(2):
        with pytest.raises(LoginError) as error:
            _ = bench.api.controliq.user_guid
    # A password that was refused is not even sent again.
    is_refusal = isinstance(error.value, PasswordRefusedError)
    assert len(bench.requests(LOGIN, "POST")) == (1 if is_refusal else 2)


@pytest.mark.parametrize("case", [c for c in cases(LOGINS) if "page_file" in c.values[0]])
def test_the_login_form_is_filled_in_as_recorded(bench: Bench, case: dict[str, Any]) -> None:
    bench.fake.login_page = html(text(case["page_file"]))
    bench.client(email=case["email"], password=case["password"]).controliq.logins.current()
    (form,) = bench.requests(LOGIN, "POST")
    assert form.form == load(case["expected"]["form_file"])


def test_the_login_page_s_version_is_read(bench: Bench) -> None:
    bench.fake.login_page = html(text("synthetic/login_page_with_version.html"))
    assert bench.api.controliq.software_version == "t:connect 7.17.2.3"


def test_the_firewall_s_page_is_recognised(bench: Bench) -> None:
    bench.fake.login_page = html(text("synthetic/waf_blocked.html"))
    with pytest.raises(FirewallError):
        bench.api.controliq.logins.current()


def run(bench: Bench, family: str, case: dict[str, Any]) -> None:
    """Make the call of a case, meet its answers, and compare what came and what was asked."""
    paths = [attempt["path"] for attempt in case["attempts"]]
    answers = [
        ok(attempt["json"]) if "json" in attempt else Response(status=attempt["status"])
        for attempt in case["attempts"]
    ]
    start = "/" + urlsplit(paths[0]).path
    bench.fail(start, *answers)
    api = bench.client(email="email", password="password")
    arguments = [
        date.fromisoformat(value) if kind == "date" else value
        for value, kind in zip(case["args"], case["arg_types"], strict=True)
    ]
    call = getattr(getattr(api, family), case["call"])
    if "expect_error" in case:
        with pytest.raises(ApiError) as raised:
            call(*arguments)
        assert raised.value.status == case["attempts"][-1]["status"]
    else:
        assert call(*arguments) == case["expected"]
    asked = [(r.path, list(r.query.items())) for r in bench.requests(start)]
    assert asked == [(f"/{urlsplit(p).path}", parse_qsl(urlsplit(p).query)) for p in paths]
    logins = bench.requests(LOGIN if family == "controliq" else TOKEN, "POST")
    assert len(logins) == 1 + len(case["relogins_with"])


@pytest.mark.parametrize("case", cases(CONTROLIQ))
def test_controliq_is_asked_as_recorded(bench: Bench, case: dict[str, Any]) -> None:
    run(bench, "controliq", case)


@pytest.mark.parametrize(
    "name",
    [
        "therapy_timeline_fails_after_two_http_401s",
        "therapy_timeline_fails_after_two_http_500s",
        "therapy_timeline_triggers_relogin_after_single_http_401",
        "therapy_timeline_works_after_single_http_500",
    ],
)
def test_days_given_as_text_are_sent_as_t_connect_wants_them(bench: Bench, name: str) -> None:
    case = exception(CONTROLIQ, name)
    attempts = [
        {**attempt, "path": re.sub(r"(\d{4})-(\d\d)-(\d\d)(?=&|$)", r"\2-\3-\1", attempt["path"])}
        for attempt in case["attempts"]
    ]
    run(bench, "controliq", {**case, "attempts": attempts})


@pytest.mark.parametrize("case", cases("android_requests.cases.json"))
def test_the_upload_counter_is_asked_as_recorded(bench: Bench, case: dict[str, Any]) -> None:
    run(bench, "android", case)


@pytest.mark.parametrize("case", [c for c in cases(EXPORT) if "requests" in c.values[0]])
def test_the_export_is_asked_for_as_recorded(bench: Bench, case: dict[str, Any]) -> None:
    ask_for_export(bench, case)
    increment = case["sleep_increment_seconds_production"]
    assert bench.waits == [n * increment for n in case["sleeps_in_units_of_increment"]]


def ask_for_export(bench: Bench, case: dict[str, Any]) -> None:
    bench.fail("/therapytimeline2csv", *(recorded(request) for request in case["requests"]))
    start, end, expect = case["call"]["start"], case["call"]["end"], case["expect"]
    if "raises" in expect:
        with pytest.raises(ApiError) as raised:
            bench.api.ws2.therapy_timeline_csv(start, end)
        assert raised.value.status == expect["status"]
    else:
        rows = bench.api.ws2.therapy_timeline_csv(start, end)
        wanted = load(expect["result_file"])
        assert {name: len(each) for name, each in rows.items()} == {
            name: len(each) for name, each in wanted.items()
        }
        assert rows["readingData"] == wanted["readingData"]
    # The recordings were made without a login and have None for the user.
    paths = [f"/{r['path']}".replace("None", GUID) for r in case["requests"]]
    asked = bench.requests("/therapytimeline2csv")
    assert [f"{r.path}?format={r.query['format']}" for r in asked] == paths


def test_after_the_last_try_there_is_no_wait(bench: Bench) -> None:
    ask_for_export(bench, exception(EXPORT, "therapy_timeline_csv_fails_after_three_retries"))
    assert bench.waits == [60, 120]


@pytest.mark.parametrize("name", files("basalsuspension_*.jsonp"))
def test_suspensions_come_out_of_their_wrapping_unchanged(bench: Bench, name: str) -> None:
    bench.fake.data = Response(text(name).encode(), content_type="text/javascript")
    days = ("2021-12-04", "2021-12-05")
    assert bench.api.ws2.basal_suspension(*days) == load(name.removesuffix("p"))
    (request,) = bench.requests("/basalsuspension")
    assert request.path == f"/basalsuspension/{GUID}/12-04-2021/12-05-2021/"


def test_account_data_and_counter_come_as_they_are(bench: Bench) -> None:
    bench.fake.token = ok(load("synthetic/oauth_token_response.json"))
    android, controliq = bench.api.android, bench.api.controliq
    for call, name in (
        (lambda: android.last_event_uploaded(11111111), "getlasteventuploaded.json"),
        (android.patient_info, "synthetic/android_patient_info.json"),
        (android.therapy_thresholds, "synthetic/android_therapythresholds.json"),
        (android.user_profile, "synthetic/android_user_profile.json"),
        (controliq.dashboard_summary, "synthetic/controliq_summary.json"),
        (controliq.pump_features, "synthetic/controliq_pumpfeatures.json"),
    ):
        bench.fake.data = ok(load(name))
        assert call() == load(name)
    user = "00000000-0000-0000-0000-0000000000aa"
    assert [r.query.get("userId") for r in bench.requests("/cloud/usersettings")] == [user] * 2
