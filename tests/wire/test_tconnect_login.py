"""The form login, its cookies, and the app's login behind it."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest

from tconnectsync.errors import ApiError, FirewallError, LoginError, NetworkError
from tconnectsync.simulators.loopback import Fault, Response
from tests.wire.fake_tconnect import (
    BLOCKED_PAGE,
    EMAIL,
    GUID,
    LOGIN,
    LOGIN_PAGE,
    PASSWORD,
    TOKEN,
    Bench,
    html,
    ok,
)

CONTROL = "ctl00$ContentBody$LoginControl$"


def log_in(bench: Bench) -> None:
    bench.api.controliq.logins.current()


def test_a_login_leads_to_user_token_and_expiry(bench: Bench) -> None:
    login = bench.api.controliq.logins.current()
    assert login.user_guid == GUID
    assert login.token.value == "web-token"
    assert login.token.expires_at == datetime(2021, 5, 4, 20, 0, 0, 381000, UTC)
    steps = [(request.method, request.path) for request in bench.requests()]
    assert steps == [
        ("GET", LOGIN),
        ("POST", LOGIN),
        ("POST", "/CookieCheck.aspx"),
        ("GET", "/"),
    ]


def test_nothing_is_sent_before_the_first_call(bench: Bench) -> None:
    assert bench.api.controliq
    assert bench.api.android
    assert bench.requests() == []


def test_the_form_holds_its_ten_fields_in_order(bench: Bench) -> None:
    log_in(bench)
    form = bench.requests(LOGIN, "POST")[0]
    assert parse_qsl(form.body.decode(), keep_blank_values=True) == [
        ("__LASTFOCUS", ""),
        ("__EVENTTARGET", f"{CONTROL}linkLogin"),
        ("__EVENTARGUMENT", ""),
        ("__VIEWSTATE", "state/+="),
        ("__VIEWSTATEGENERATOR", "gen"),
        ("__EVENTVALIDATION", "valid"),
        (f"{CONTROL}txtLoginEmailAddress", EMAIL),
        (
            "txtLoginEmailAddress_ClientState",
            '{"enabled":true,"emptyMessage":"","validationText":"someone@example.org",'
            '"valueAsString":"someone@example.org","lastSetTextBoxValue":"someone@example.org"}',
        ),
        (f"{CONTROL}txtLoginPassword", PASSWORD),
        (
            "txtLoginPassword_ClientState",
            '{"enabled":true,"emptyMessage":"","validationText":"correct horse",'
            '"valueAsString":"correct horse","lastSetTextBoxValue":"correct horse"}',
        ),
    ]
    assert form.headers["content-type"] == "application/x-www-form-urlencoded"
    assert form.headers["referer"] == f"{bench.server.url}/login.aspx?ReturnUrl=%2f"
    assert form.query == {"ReturnUrl": "/"}


def test_a_password_with_quotes_and_backslashes_does_not_break_the_login(bench: Bench) -> None:
    password = 'a"b\\c {é} & 100%'
    bench.client(password=password).controliq.logins.current()
    form = bench.requests(LOGIN, "POST")[0].form
    state = json.loads(form["txtLoginPassword_ClientState"])
    assert form[f"{CONTROL}txtLoginPassword"] == password
    assert {state[name] for name in ("validationText", "valueAsString", "lastSetTextBoxValue")} == {
        password
    }


def test_the_cookies_are_taken_along_to_where_the_login_leads(bench: Bench) -> None:
    log_in(bench)
    check, home = bench.requests("/CookieCheck.aspx") + bench.requests("/")[-1:]
    assert check.body == b""
    assert check.query == {"ReturnUrl": "/"}
    assert check.cookies == bench.fake.cookies
    assert home.cookies == bench.fake.cookies


def test_one_browser_is_impersonated_for_the_whole_run(bench: Bench) -> None:
    log_in(bench)
    bench.api.controliq.therapy_timeline()
    bench.api.ws2.basaliqtech()
    agents = {request.headers["user-agent"] for request in bench.requests()}
    assert len(agents) == 1
    assert agents.pop().startswith("Mozilla/5.0 ")
    bench.client(jitter=0.99).controliq.logins.current()
    assert len({request.headers["user-agent"] for request in bench.requests(LOGIN)}) == 2


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_addresses_may_end_in_a_slash_and_hold_a_path(bench: Bench, slash: str) -> None:
    bench.fake.pages["/prefix/login.aspx"] = html(LOGIN_PAGE)
    api = bench.client(base=f"{bench.server.url}/prefix{slash}")
    with pytest.raises(LoginError):
        api.controliq.logins.current()
    assert [request.path for request in bench.requests()] == ["/prefix/login.aspx"] * 2


def test_the_software_version_is_kept(bench: Bench) -> None:
    page = LOGIN_PAGE.replace("</body>", '<i id="footer_version"> t:connect 7.17.2.3 </i></body>')
    bench.fake.login_page = html(page)
    assert bench.api.controliq.software_version == "t:connect 7.17.2.3"


def test_a_page_without_version_is_tolerated(bench: Bench) -> None:
    assert bench.api.controliq.software_version is None


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("<html><body>...</body></html>", "Check your login credentials."),
        ('<div class="notice_error"> </div>', "Check your login credentials."),
        (
            '<div class="notice_error" id="literalMessage">\n The password is\n wrong. </div>',
            "The password is wrong.",
        ),
    ],
)
def test_wrong_credentials_are_said_in_the_words_of_the_site_and_not_tried_again(
    bench: Bench, page: str, message: str
) -> None:
    bench.fake.rejection = html(page)
    with pytest.raises(LoginError) as raised:
        log_in(bench)
    assert str(raised.value) == f"Error logging in to t:connect: {message}"
    assert raised.value.status is None
    assert len(bench.requests(LOGIN, "POST")) == 1
    assert bench.waits == []


def test_a_failing_login_service_is_said_with_its_status_and_not_tried_again(bench: Bench) -> None:
    bench.fake.rejection = html("...", 500)
    with pytest.raises(LoginError) as raised:
        log_in(bench)
    assert str(raised.value) == "Error logging in to t:connect (HTTP 500)"
    assert len(bench.requests(LOGIN, "POST")) == 1


def test_a_login_page_that_cannot_be_had_is_a_failed_login(bench: Bench) -> None:
    bench.fake.login_page = html("Service Unavailable", 503)
    with pytest.raises(LoginError, match=r"^Error logging in to t:connect \(HTTP 503\)$"):
        log_in(bench)
    assert bench.waits == [2, 10]


@pytest.mark.parametrize("field", ["__VIEWSTATE", "__VIEWSTATEGENERATOR", "__EVENTVALIDATION"])
def test_a_login_page_without_its_hidden_fields_is_said_not_crashed_on(
    bench: Bench, field: str
) -> None:
    bench.fake.login_page = html(LOGIN_PAGE.replace(f'id="{field}"', ""))
    with pytest.raises(LoginError, match=f"the login page lacks the field {field}"):
        log_in(bench)
    assert bench.requests(LOGIN, "POST") == []


def test_a_login_without_user_guid_is_said_not_crashed_on(bench: Bench) -> None:
    del bench.fake.cookies["UserGUID"]
    with pytest.raises(LoginError, match="did not say which user"):
        log_in(bench)


def test_a_login_that_leads_nowhere_is_said(bench: Bench) -> None:
    bench.fake.location = None
    with pytest.raises(LoginError, match="did not say which page comes next"):
        log_in(bench)


def test_cookies_that_are_not_accepted_fail_with_the_status(bench: Bench) -> None:
    bench.fake.pages["/"] = html("no", 403)
    with pytest.raises(ApiError, match=r"cookies could not be retrieved.* \(HTTP 403\)$"):
        log_in(bench)


def test_a_failed_login_leaves_nothing_behind(bench: Bench) -> None:
    bench.fail("/CookieCheck.aspx", Response(status=403))
    with pytest.raises(ApiError):
        log_in(bench)
    log_in(bench)
    forms = bench.requests(LOGIN, "POST")
    assert len(forms) == 2
    assert forms[1].cookies == {}


@pytest.mark.parametrize("missing", ["accessToken", "accessTokenExpiresAt"])
def test_a_login_without_token_cookies_takes_the_token_of_the_app(
    bench: Bench, missing: str
) -> None:
    del bench.fake.cookies[missing]
    bench.api.controliq.therapy_timeline()
    assert bench.requests("/tconnect")[0].headers["authorization"] == "Bearer app-token"
    assert bench.api.controliq.user_guid == GUID
    assert len(bench.requests(TOKEN)) == 1


def test_the_app_login_sends_what_the_app_sends(bench: Bench) -> None:
    bench.api.android.patient_info()
    request = bench.requests(TOKEN)[0]
    assert request.method == "POST"
    assert request.form == {
        "username": EMAIL,
        "password": PASSWORD,
        "grant_type": "password",
        "scope": "cloud.account cloud.upload cloud.accepttcpp cloud.email cloud.password",
    }
    content_type = "application/x-www-form-urlencoded; charset=UTF-8"
    assert request.headers["content-type"] == content_type
    assert not request.headers["user-agent"].startswith("Dalvik")
    kind, credentials = request.headers["authorization"].split()
    client_id, _, secret = b64decode(credentials).decode().partition(":")
    assert (kind, client_id) == ("Basic", "C2331CD6-D450-495E-9C19-67215230C85C")
    assert len(secret) == 30


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, "Check TCONNECT_EMAIL"),
        (401, "Check TCONNECT_EMAIL"),
        (403, "Check TCONNECT_EMAIL"),
        (418, "failed"),
    ],
)
def test_a_refused_app_login_says_its_status(bench: Bench, status: int, text: str) -> None:
    bench.fake.token = Response(b"{}", status)
    with pytest.raises(LoginError, match=rf"{text}.* \(HTTP {status}\)$") as raised:
        bench.api.android.patient_info()
    assert raised.value.status == status
    assert len(bench.requests()) == 1


@pytest.mark.parametrize(
    "answer",
    [ok({}), ok({"accessToken": None}), ok([]), Response(b""), html("<html>Hello</html>")],
)
def test_an_app_login_without_token_is_said_not_crashed_on(bench: Bench, answer: Response) -> None:
    bench.fake.token = answer
    with pytest.raises(LoginError):
        bench.api.android.patient_info()


def test_an_app_login_without_user_still_gives_the_upload_counter(bench: Bench) -> None:
    bench.fake.token = ok({"accessToken": "app-token", "user": None})
    assert bench.api.android.last_event_uploaded(123) == {"faked": True}
    with pytest.raises(ApiError, match="did not say which user"):
        bench.api.android.user_profile()


@pytest.mark.parametrize("status", [200, 403, 503])
def test_the_firewall_is_recognised_at_once_and_never_waited_for(bench: Bench, status: int) -> None:
    bench.fake.login_page = html(BLOCKED_PAGE, status)
    with pytest.raises(FirewallError, match="blocks this address"):
        log_in(bench)
    assert len(bench.requests()) == 1
    assert bench.waits == []


def test_the_firewall_is_recognised_without_any_markup(bench: Bench) -> None:
    bench.fake.login_page = html("Attack ID: 20000051")
    with pytest.raises(FirewallError):
        log_in(bench)


def test_a_login_page_that_mentions_the_firewall_is_still_a_login_page(bench: Bench) -> None:
    bench.fake.login_page = html(LOGIN_PAGE.replace("</form>", "</form>Web Page Blocked!"))
    assert bench.api.controliq.user_guid == GUID


@pytest.mark.parametrize(
    ("left", "logins"),
    [
        (timedelta(minutes=5, milliseconds=1), 1),
        (timedelta(days=3, seconds=10), 1),
        (timedelta(minutes=5), 2),
        (timedelta(minutes=4, seconds=59), 2),
        (timedelta(0), 2),
        (timedelta(days=-1, minutes=30), 2),
    ],
)
def test_a_token_with_five_minutes_or_less_left_is_renewed(
    bench: Bench, left: timedelta, logins: int
) -> None:
    log_in(bench)
    bench.api.android.patient_info()
    bench.now = datetime(2021, 5, 4, 20, 0, 0, 381000, UTC) - left
    bench.api.controliq.therapy_timeline()
    bench.api.android.patient_info()
    assert len(bench.requests(LOGIN, "POST")) == logins
    assert len(bench.requests(TOKEN)) == logins


def test_a_token_that_is_given_expired_is_used_until_it_is_refused_and_said_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.now += timedelta(days=1)
    for _ in range(3):
        bench.api.controliq.therapy_timeline()
    assert len(bench.requests(LOGIN, "POST")) == 1
    bench.fail("/tconnect", Response(status=401))
    bench.api.controliq.therapy_timeline()
    assert len(bench.requests(LOGIN, "POST")) == 2
    assert caplog.text.count("Check the clock of this computer") == 1


def test_once_the_clock_is_right_a_token_is_renewed_in_time_again(bench: Bench) -> None:
    bench.now += timedelta(days=1)
    bench.api.android.patient_info()
    bench.now -= timedelta(days=1)
    bench.fail("/cloud/account", Response(status=401))
    bench.api.android.patient_info()
    assert len(bench.requests(TOKEN)) == 2
    bench.now += timedelta(hours=8)
    bench.api.android.patient_info()
    assert len(bench.requests(TOKEN)) == 3


@pytest.mark.parametrize("expiry", ["soon", ""])
def test_a_token_of_unknown_expiry_is_kept(bench: Bench, expiry: str) -> None:
    bench.fake.token = ok({"accessToken": "app-token", "accessTokenExpiresAt": expiry})
    bench.api.android.patient_info()
    bench.now += timedelta(days=30)
    bench.api.android.patient_info()
    assert len(bench.requests(TOKEN)) == 1


def test_no_secret_shows_in_a_repr(bench: Bench) -> None:
    log_in(bench)
    bench.api.android.patient_info()
    api = bench.api
    things = [
        api,
        api.account,
        api.controliq,
        api.controliq.logins,
        api.controliq.logins.current(),
        api.android,
        api.android.logins.current(),
        api.ws2,
    ]
    for secret in (EMAIL, PASSWORD, GUID, "web-token", "app-token", "user-1"):
        assert secret not in repr(things)


def test_a_dropped_connection_during_the_login_is_tried_again(bench: Bench) -> None:
    bench.fail(LOGIN, Fault.DROP)
    log_in(bench)
    assert bench.waits == [1]


def test_no_secret_shows_in_the_error_of_a_login_that_cannot_be_reached(bench: Bench) -> None:
    bench.fail(LOGIN, Fault.DROP, Fault.DROP, Fault.DROP)
    with pytest.raises(NetworkError) as raised:
        log_in(bench)
    assert EMAIL not in str(raised.value)
    assert PASSWORD not in str(raised.value)
