"""The login to Tandem Source: what is sent, what is kept, and what is said when it fails."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import traceback
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import requests
from joserfc.jwk import RSAKey

from tconnectsync.api.clients import TConnectApi
from tconnectsync.api.tandemsource.tokens import TandemLogin
from tconnectsync.errors import (
    ApiError,
    ConfigError,
    FirewallError,
    LoginError,
    NetworkError,
    TconnectsyncError,
)
from tconnectsync.simulators.loopback import Fault, LoopbackServer, Request, Response
from tests.support.clocks import NO_WAITING
from tests.support.settings import account
from tests.wire.fake_tandem_source import (
    AUTHORIZE,
    BLOCKED_PAGE,
    EMAIL,
    JWKS,
    LOGIN,
    NOW,
    PASSWORD,
    PUMPER,
    SSO,
    TOKEN,
    Bench,
    html,
    ok,
    redirect,
    serve,
)

US_CALLBACK = "https://sso.tandemdiabetes.com/auth/callback"
EU_CALLBACK = "https://source.eu.tandemdiabetes.com/authorize/callback"
STEPS = [SSO, LOGIN, AUTHORIZE, TOKEN, JWKS]
CREDENTIALS = "does not accept the e-mail address and password"
REGION = "does not belong to the US region, or the account belongs to the other region"
OUT = "out of order or under maintenance"
UNEXPECTED = "in a way that tconnectsync does not know"
FORGED = "cannot be trusted"
CLOCK = "Check the clock of this computer"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with serve(tmp_path / "cache") as bench:
        yield bench


def log_in(bench: Bench) -> TandemLogin:
    return bench.api.tandemsource.logins.current()


def failure(bench: Bench) -> LoginError:
    with pytest.raises(LoginError) as raised:
        log_in(bench)
    return raised.value


def test_a_login_leads_to_token_expiry_and_ids(bench: Bench) -> None:
    login = log_in(bench)
    assert {login.token.value} == bench.logins.tokens
    assert login.token.expires_at == NOW + timedelta(hours=8)
    assert login.pumper_id == bench.logins.pumper_id
    assert login.account_id == bench.logins.account_id
    assert bench.paths == STEPS


def test_nothing_is_sent_before_the_first_call(bench: Bench) -> None:
    assert bench.api.tandemsource
    assert bench.requests() == []


@pytest.mark.parametrize(
    ("region", "client_id", "callback"),
    [
        ("US", "0oa4wnbvtladeyVZX4h7", US_CALLBACK),
        ("eu", "1519e414-eeec-492e-8c5e-97bea4815a10", EU_CALLBACK),
    ],
)
def test_each_step_sends_what_is_known_to_work_and_nothing_else(
    tmp_path: Path, region: str, client_id: str, callback: str
) -> None:
    with serve(tmp_path, region.upper()) as bench:
        bench.client(region=region).tandemsource.logins.current()
        welcome, login, authorize, token, _ = bench.requests()
    assert "referer" not in welcome.headers
    assert json.loads(login.body) == {"username": EMAIL, "password": PASSWORD}
    assert login.headers["content-type"] == "application/json"
    assert login.headers["referer"] == f"{bench.server.url}/"
    assert authorize.headers["referer"] == f"{bench.server.url}/"
    verifier, code = token.form["code_verifier"], token.form["code"]
    digest = sha256(verifier.encode()).digest()
    assert len(verifier) == 86
    assert authorize.query == {
        "client_id": client_id,
        "response_type": "code",
        "scope": "openid profile email",
        "redirect_uri": callback,
        "code_challenge": urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    assert token.form == {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "code": code,
        "redirect_uri": callback,
        "code_verifier": verifier,
    }
    assert token.headers["content-type"] == "application/x-www-form-urlencoded"
    assert int(token.headers["content-length"]) == len(token.body)
    assert "authorization" not in token.headers


def test_cookies_of_the_login_are_taken_along_but_not_to_the_data(bench: Bench) -> None:
    bench.api.tandemsource.pumper()
    login, authorize = bench.requests(LOGIN)[0], bench.requests(AUTHORIZE)[0]
    assert set(login.cookies) == {"sso.visitor"}
    assert set(authorize.cookies) == {"sso.visitor", "accounts.session"}
    assert bench.requests(PUMPER)[0].cookies == {}


def test_one_browser_is_impersonated_throughout(bench: Bench) -> None:
    bench.api.tandemsource.pumper()
    agents = {request.headers["user-agent"] for request in bench.requests()}
    assert len(agents) == 1
    assert agents.pop().startswith("Mozilla/5.0 ")


def test_no_two_logins_share_a_verifier(bench: Bench) -> None:
    log_in(bench)
    bench.api.forget_logins()
    log_in(bench)
    assert len({request.form["code_verifier"] for request in bench.requests(TOKEN)}) == 2


def test_addresses_may_end_in_a_slash(bench: Bench) -> None:
    bench.client(slash="/").tandemsource.pumper()
    assert bench.paths == [*STEPS, f"{PUMPER}/{bench.logins.pumper_id}"]


def test_a_region_that_does_not_exist_is_said() -> None:
    with pytest.raises(ConfigError, match="TCONNECT_REGION is US or EU"):
        assert TConnectApi(account(EMAIL, PASSWORD, region="UK"), NO_WAITING).tandemsource


def test_the_login_may_lead_over_more_pages_of_the_login_service(bench: Bench) -> None:
    middle = f"{AUTHORIZE}/callback"
    bench.fail(AUTHORIZE, redirect("/accounts/api/connect/authorize/callback?step=2"))
    with pytest.raises(LoginError):  # Nothing is there, but it was followed.
        log_in(bench)
    assert bench.requests(middle)[0].query == {"step": "2"}
    assert bench.requests(middle)[0].headers["referer"] == f"{bench.server.url}/"
    assert "accounts.session" in bench.requests(middle)[0].cookies


# -- four causes, four sentences ---------------------------------------------------------------


def test_a_wrong_password_is_said_with_the_region_and_sent_once(bench: Bench) -> None:
    bench.api = bench.client(password="wrong")
    error = failure(bench)
    assert re.search(f"Tandem's US cloud {CREDENTIALS}.*TCONNECT_PASSWORD", str(error))
    assert "EU and US clouds know different accounts: TCONNECT_REGION or --region" in str(error)
    assert str(error).endswith("(HTTP 401)")
    assert (error.status, error.can_retry, error.fatal) == (401, False, True)
    assert bench.paths == [SSO, LOGIN]
    assert bench.waits == []


def test_a_wrong_password_is_not_sent_again_by_the_request_for_data(bench: Bench) -> None:
    bench.api = bench.client(password="wrong")
    with pytest.raises(LoginError):
        bench.api.tandemsource.pumper()
    assert len(bench.requests(LOGIN)) == 1


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"error": "account/locked"}, "It says: account/locked."),
        ({"error": f"{EMAIL} is locked"}, "password. Check"),
        ({"error": ["?"]}, "password. Check"),
        ([], "password. Check"),
    ],
)
def test_another_reason_is_said_if_it_is_not_personal(bench: Bench, body: Any, told: str) -> None:
    bench.fail(LOGIN, ok(body, 401))
    error = failure(bench)
    assert told in str(error)
    assert not error.can_retry


def test_a_wish_of_the_login_service_is_said(bench: Bench) -> None:
    bench.fail(LOGIN, ok({"status": "MFA_REQUIRED"}))
    error = failure(bench)
    assert "Log in at Tandem Source with a browser and do what it asks" in str(error)
    assert not error.can_retry
    assert bench.paths == [SSO, LOGIN]


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        (AUTHORIZE, ok({"error": "unauthorized_client"}, 400)),
        (AUTHORIZE, redirect(f"{US_CALLBACK}?error=invalid_client")),
        (AUTHORIZE, redirect("https://tdcservices.eu.tandemdiabetes.com/accounts/api/x")),
        (TOKEN, ok({"error": "invalid_client"}, 401)),
    ],
)
def test_the_wrong_region_is_said_where_it_shows(bench: Bench, path: str, answer: Response) -> None:
    bench.fail(path, answer)
    error = failure(bench)
    assert REGION in str(error)
    assert "set TCONNECT_REGION or --region to EU" in str(error)
    assert not error.can_retry
    assert bench.paths[-1] == path


def test_the_login_service_of_the_other_region_does_not_know_us(tmp_path: Path) -> None:
    with serve(tmp_path, "EU") as bench:
        bench.api = bench.client(region="US")
        assert REGION in str(failure(bench))


def test_a_token_of_the_other_region_is_said_to_be_that(bench: Bench) -> None:
    bench.logins.claims = {"iss": "https://tdcservices.eu.tandemdiabetes.com/accounts/api"}
    assert REGION in str(failure(bench))


@pytest.mark.parametrize("path", STEPS[1:])
@pytest.mark.parametrize(
    "answer",
    [
        html("<h1>500</h1>", 500),
        html("<h1>Bad gateway</h1>", 502),
        ok({"message": "try later"}, 503),
        ok({}, 429),
        html("<h1>We are down for scheduled maintenance</h1>"),
        html("<h1>Service unavailable</h1>", 404),
    ],
)
def test_an_outage_of_any_step_is_said_to_be_one(bench: Bench, path: str, answer: Response) -> None:
    bench.always(path, answer)
    error = failure(bench)
    assert OUT in str(error)
    assert error.can_retry
    assert error.status == (None if answer.status == 200 else answer.status)
    assert bench.paths[-1] == path


@pytest.mark.parametrize("status", [200, 404, 500, 503])
def test_the_first_page_is_visited_for_its_cookies_only(bench: Bench, status: int) -> None:
    bench.always(SSO, html("<h1>Down for maintenance</h1>", status))
    assert log_in(bench)


@pytest.mark.parametrize("path", STEPS[1:])
@pytest.mark.parametrize(
    "answer",
    [
        html("<html>Sign in</html>"),
        html("<html>?</html>", 404),
        ok([]),
        Response(b""),
        Response(b'{"status": "SUC', 200),
        Response(b"[" * 100_000),
        ok({"error": "invalid_grant"}, 400),
        redirect("/somewhere/else"),
    ],
)
def test_an_unexpected_answer_to_any_step_is_said_to_be_one(
    bench: Bench, path: str, answer: Response
) -> None:
    bench.always(path, answer)
    error = failure(bench)
    assert UNEXPECTED in str(error)
    assert "a newer tconnectsync is needed" in str(error)
    assert error.can_retry


@pytest.mark.parametrize(
    "location",
    [
        US_CALLBACK,
        f"{US_CALLBACK}?error=login_required",
        f"{US_CALLBACK}/other?code=1",
        f"{EU_CALLBACK.replace('.eu', '')}?code=1",
        "/",
    ],
)
def test_a_login_that_gives_no_code_is_said(bench: Bench, location: str) -> None:
    bench.fail(AUTHORIZE, redirect(location))
    assert UNEXPECTED in str(failure(bench))
    assert bench.requests(TOKEN) == []


def test_a_login_that_goes_round_in_circles_ends(bench: Bench) -> None:
    bench.always(AUTHORIZE, redirect(AUTHORIZE))
    assert UNEXPECTED in str(failure(bench))
    assert len(bench.requests(AUTHORIZE)) == 10


@pytest.mark.parametrize(
    "change",
    [
        {"access_token": None},
        {"access_token": ""},
        {"id_token": None},
        {"id_token": 1},
        {"expires_in": "soon"},
        {"expires_in": []},
        {"expires_in": 1e300},
        {"expires_at": {}},
        {"error": "odd"},
    ],
)
def test_tokens_of_another_form_are_said_not_crashed_on(
    bench: Bench, change: dict[str, Any]
) -> None:
    tokens = {"access_token": "a", "id_token": "b", "expires_in": 3600}
    bench.fail(TOKEN, ok(tokens | change))
    assert UNEXPECTED in str(failure(bench))


@pytest.mark.parametrize("path", STEPS)
def test_the_firewall_is_recognised_at_every_step_and_never_waited_for(
    bench: Bench, path: str
) -> None:
    bench.always(path, html(BLOCKED_PAGE, 403))
    with pytest.raises(FirewallError, match="blocks this address"):
        log_in(bench)
    assert bench.paths[-1] == path
    assert len(bench.requests(path)) == 1 or path == SSO
    assert bench.waits == []


# -- who it is ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://example.org"},
        {"iss": None},
        {"aud": None},
        {"aud": 5},
        {"aud": [5]},
        {"aud": {"a": "b"}},
        {"aud": "another", "iss": "https://example.org"},
        {"exp": None},
    ],
)
def test_a_token_made_by_somebody_else_or_for_no_one_is_refused(
    bench: Bench, claims: dict[str, Any]
) -> None:
    bench.logins.claims = claims
    error = failure(bench)
    assert FORGED in str(error)
    assert [*claims][-1] in str(error)
    assert not error.can_retry


@pytest.mark.parametrize("audience", ["0oa27ho9tpZE9Arjy4h7", ["another"], ["one", "two"]])
def test_a_token_for_another_program_of_the_right_service_is_used_with_a_warning(
    bench: Bench, caplog: pytest.LogCaptureFixture, audience: Any
) -> None:
    caplog.set_level(logging.WARNING, "tconnectsync")
    bench.logins.claims = {"aud": audience}
    assert log_in(bench).pumper_id == bench.logins.pumper_id
    assert caplog.text.count("made for another program") == 1


def test_a_token_for_another_program_still_has_to_be_signed(bench: Bench) -> None:
    name = key_set(bench)["keys"][0]["kid"]
    other = RSAKey.generate_key(2048, {"kid": name}).as_dict(private=False)
    bench.logins.claims = {"aud": "another"}
    bench.fail(JWKS, ok({"keys": [other]}))
    assert FORGED in str(failure(bench))


def account_of(bench: Bench, **said: Any) -> list[str]:
    """Let Tandem Source name the account's own pumper; return whose was asked for."""
    asked: list[str] = []

    def account(request: Request) -> Response | None:
        if not request.path.startswith(ACCOUNT):
            return None
        asked.append(request.path.removeprefix(ACCOUNT))
        assert request.headers["authorization"].removeprefix("Bearer ") in bench.logins.tokens
        if asked[-1] != bench.logins.pumper_id:
            return Response(b"{}", 404)
        return ok({"id": bench.logins.pumper_id, **said})

    bench.server.fault = account
    return asked


ACCOUNT = "/api/pumpers/pumpers/"


@pytest.mark.parametrize("claim", ["tandem_pumper_id", "pumperId", "pumper_id"])
def test_where_the_proof_has_no_name_the_access_token_may(bench: Bench, claim: str) -> None:
    bench.logins.claims = {"pumperId": None}
    bench.logins.access_claims = {claim: bench.logins.pumper_id}
    asked = account_of(bench)
    assert log_in(bench).pumper_id == bench.logins.pumper_id
    assert asked == [bench.logins.pumper_id]


def test_another_claim_of_the_proof_may_name_somebody_too(bench: Bench) -> None:
    bench.logins.claims = {"pumperId": None, "pumper_id": bench.logins.pumper_id}
    account_of(bench)
    assert log_in(bench).pumper_id == bench.logins.pumper_id


@pytest.mark.parametrize("claim", ["someone-else", "../../x", "", 5, None])
def test_a_name_that_tandem_source_does_not_confirm_is_not_used(bench: Bench, claim: Any) -> None:
    bench.logins.claims = {"pumperId": None}
    bench.logins.access_claims = {"tandem_pumper_id": claim, "sub": "x"}
    asked = account_of(bench)
    assert "has no pump data of its own" in str(failure(bench))
    assert asked == ["someone-else"] * (claim == "someone-else")


def test_an_account_that_says_another_name_is_no_confirmation(bench: Bench) -> None:
    bench.logins.claims = {"pumperId": None}
    bench.logins.access_claims = {"tandem_pumper_id": bench.logins.pumper_id}
    account_of(bench, id="another")
    assert "has no pump data of its own" in str(failure(bench))


def test_a_token_for_several_programs_may_be_for_us(bench: Bench) -> None:
    bench.logins.claims = {"aud": ["another", "0oa4wnbvtladeyVZX4h7"]}
    assert log_in(bench)


@pytest.mark.parametrize(
    ("claim", "seconds", "is_valid"),
    [
        ("exp", -59, True),
        ("exp", -61, False),
        ("nbf", 59, True),
        ("nbf", 61, False),
        ("iat", 59, True),
        ("iat", 61, False),
    ],
)
def test_clocks_may_differ_by_a_minute(
    bench: Bench, claim: str, seconds: int, is_valid: bool
) -> None:
    bench.logins.claims = {claim: int(NOW.timestamp()) + seconds}
    if is_valid:
        assert log_in(bench)
    else:
        error = failure(bench)
        assert CLOCK in str(error)
        assert error.can_retry


def test_a_login_that_takes_minutes_is_no_wrong_clock(bench: Bench) -> None:
    def minutes_later(request: Request) -> None:
        if request.path == TOKEN:
            bench.now = bench.server_now = NOW + timedelta(minutes=3)

    bench.server.fault = minutes_later
    assert log_in(bench).token.expires_at == NOW + timedelta(hours=8, minutes=3)


def key_set(bench: Bench) -> dict[str, Any]:
    answer = bench.logins.respond(_get_jwks(bench), bench.server.url)
    assert answer
    keys: dict[str, Any] = json.loads(answer.body)
    return keys


def _get_jwks(bench: Bench) -> Any:
    log_in(bench)
    bench.api.forget_logins()
    return bench.requests(JWKS)[0]


def test_a_signature_by_another_key_is_refused(bench: Bench) -> None:
    name = key_set(bench)["keys"][0]["kid"]
    other = RSAKey.generate_key(2048, {"kid": name}).as_dict(private=False)
    bench.fail(JWKS, ok({"keys": [other]}))
    error = failure(bench)
    assert FORGED in str(error)
    assert not error.can_retry


@pytest.mark.parametrize("keys", [[], None, {}, [1], [{"kid": None}], [{"kid": "x", "kty": "EC"}]])
def test_a_key_that_is_missing_is_said_not_crashed_on(bench: Bench, keys: Any) -> None:
    bench.fail(JWKS, ok({"keys": keys}))
    assert FORGED in str(failure(bench))


@pytest.mark.parametrize("change", [{"n": "!"}, {"n": 1}, {"e": None}])
def test_a_damaged_key_is_said_not_crashed_on(bench: Bench, change: dict[str, Any]) -> None:
    key = key_set(bench)["keys"][0]
    bench.fail(JWKS, ok({"keys": [key | change]}))
    assert FORGED in str(failure(bench))


def test_keys_of_other_kinds_do_not_matter(bench: Bench) -> None:
    keys = [{"kid": "x", "kty": "new"}, *key_set(bench)["keys"]]
    bench.fail(JWKS, ok({"keys": keys}))
    assert log_in(bench)


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_a_token_that_is_not_signed_is_refused(bench: Bench, algorithm: str) -> None:
    header = {"alg": algorithm, "kid": key_set(bench)["keys"][0]["kid"]}
    parts = [json.dumps(part).encode() for part in (header, {"pumperId": "x"})]
    token = ".".join(urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."
    bench.fail(TOKEN, ok({"access_token": "a", "id_token": token, "expires_in": 3600}))
    error = failure(bench)
    assert FORGED in str(error)
    assert token not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("token", ["x", "a.b.c", "...", "\u00e9"])
def test_what_is_no_token_is_said_not_crashed_on(bench: Bench, token: str) -> None:
    bench.fail(TOKEN, ok({"access_token": "a", "id_token": token, "expires_in": 3600}))
    assert FORGED in str(failure(bench))


@pytest.mark.parametrize("pumper", [None, "", 5])
def test_an_account_without_pumps_is_said(bench: Bench, pumper: Any) -> None:
    bench.logins.claims = {"pumperId": pumper}
    assert "has no pump data of its own" in str(failure(bench))


def test_an_account_without_account_id_is_welcome(bench: Bench) -> None:
    bench.logins.claims = {"accountId": None}
    assert log_in(bench).account_id == ""


# -- retries and disturbances ------------------------------------------------------------------


def test_a_cut_connection_during_the_login_is_tried_again(bench: Bench) -> None:
    bench.fail(AUTHORIZE, Fault.DROP)
    log_in(bench)
    assert bench.waits == [1]


def test_an_overloaded_login_service_is_waited_for(bench: Bench) -> None:
    bench.fail(LOGIN, html("busy", 503), html("busy", 503))
    log_in(bench)
    assert bench.waits == [2, 10]


def test_credentials_that_broke_the_service_are_not_sent_again(bench: Bench) -> None:
    bench.fail(LOGIN, html("oops", 500))
    assert failure(bench).status == 500
    assert len(bench.requests(LOGIN)) == 1


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.CUT, html("busy", 503)])
def test_a_code_is_exchanged_once(bench: Bench, fault: Response | Fault) -> None:
    bench.fail(TOKEN, fault)
    with pytest.raises(TconnectsyncError) as raised:
        log_in(bench)
    assert raised.value.can_retry
    assert len(bench.requests(TOKEN)) == 1


def test_a_failed_login_leaves_nothing_behind(bench: Bench) -> None:
    bench.fail(JWKS, html("no", 404))
    failure(bench)
    assert log_in(bench)
    assert [set(request.cookies) for request in bench.requests(LOGIN)] == [{"sso.visitor"}] * 2


@pytest.mark.parametrize("path", STEPS)
@pytest.mark.parametrize("status", [302, 307])
def test_no_other_host_is_ever_visited(bench: Bench, path: str, status: int) -> None:
    with LoopbackServer(lambda _: html("hello")) as stranger:
        location = [("Location", f"{stranger.url}/")]
        bench.always(path, Response(b"", status, "text/html", location))
        if path == SSO:
            log_in(bench)
        else:
            assert UNEXPECTED in str(failure(bench))
        assert stranger.log == []


# -- a login is kept ---------------------------------------------------------------------------


def saved_file(bench: Bench) -> Path:
    (file,) = bench.folder.iterdir()
    return file


def test_the_next_start_needs_no_login(bench: Bench) -> None:
    bench.api.tandemsource.pumper()
    second = bench.client(password="not even needed")
    assert second.tandemsource.pumper() == {"pumps": []}
    assert bench.logins.logins == 1
    assert bench.paths[len(STEPS) :] == [f"{PUMPER}/{bench.logins.pumper_id}"] * 2


def test_a_saved_login_is_private_and_holds_no_more_than_needed(bench: Bench) -> None:
    login = log_in(bench)
    file = saved_file(bench)
    assert file.stat().st_mode & 0o777 == 0o600
    assert bench.folder.stat().st_mode & 0o777 == 0o700
    assert "someone" not in file.name
    assert json.loads(file.read_text()) == {
        "version": 1,
        "pumper_id": bench.logins.pumper_id,
        "account_id": bench.logins.account_id,
        "access_token": login.token.value,
        "expires_at": "2026-11-02T20:00:00+00:00",
    }


def test_nothing_is_saved_unless_wanted(bench: Bench) -> None:
    bench.client(is_cached=False).tandemsource.pumper()
    bench.client(is_cached=False).tandemsource.pumper()
    assert bench.logins.logins == 2
    assert not bench.folder.exists()


@pytest.mark.parametrize(
    "other", [{"email": "other@example.org"}, {"region": "EU"}], ids=["person", "region"]
)
def test_no_one_gets_the_login_of_somebody_else(bench: Bench, other: dict[str, Any]) -> None:
    log_in(bench)
    with pytest.raises(LoginError):
        bench.client(**other).tandemsource.pumper()


@pytest.mark.parametrize(
    ("left", "logins"),
    [
        (timedelta(minutes=5, seconds=1), 1),
        (timedelta(minutes=5), 2),
        (timedelta(seconds=1), 2),
        (timedelta(hours=-20), 2),
    ],
)
@pytest.mark.parametrize("is_new_process", [False, True])
def test_a_login_is_renewed_when_five_minutes_are_left(
    bench: Bench, left: timedelta, logins: int, is_new_process: bool
) -> None:
    bench.api.tandemsource.pumper()
    bench.now = bench.server_now = NOW + timedelta(hours=8) - left
    (bench.client() if is_new_process else bench.api).tandemsource.pumper()
    assert bench.logins.logins == logins
    bench.client().tandemsource.pumper()
    assert bench.logins.logins == logins


@pytest.mark.parametrize("is_new_process", [False, True])
def test_a_refused_login_is_dropped_and_made_anew_once(bench: Bench, is_new_process: bool) -> None:
    bench.api.tandemsource.pumper()
    bench.logins.tokens.clear()
    api = bench.client() if is_new_process else bench.api
    assert api.tandemsource.pumper() == {"pumps": []}
    assert bench.logins.logins == 2
    assert bench.client().tandemsource.pumper() == {"pumps": []}
    assert bench.logins.logins == 2


def test_a_login_that_is_never_accepted_ends(bench: Bench) -> None:
    log_in(bench)
    bench.data = lambda _: ok({}, 401)
    with pytest.raises(LoginError, match="refuses the login") as raised:
        bench.client().tandemsource.pumper()
    assert raised.value.can_retry
    assert bench.logins.logins == 2


def test_a_refused_login_is_not_kept_when_the_new_one_fails(bench: Bench) -> None:
    bench.api.tandemsource.pumper()
    bench.logins.tokens.clear()
    bench.always(LOGIN, html("down", 500))
    with pytest.raises(LoginError):
        bench.client().tandemsource.pumper()
    assert list(bench.folder.iterdir()) == []


@pytest.mark.parametrize("is_used", [False, True])
def test_forgetting_logins_forgets_the_saved_one_too(bench: Bench, is_used: bool) -> None:
    log_in(bench)
    api = bench.client()
    if is_used:
        api.tandemsource.pumper()
    api.forget_logins()
    api.tandemsource.pumper()
    assert bench.logins.logins == 2


def test_a_token_of_unknown_life_is_used_but_not_saved(bench: Bench) -> None:
    bench.logins.token_life = timedelta(0)
    bench.logins.claims = {"exp": int(NOW.timestamp()) + 60}
    bench.api.tandemsource.pumper()
    bench.api.tandemsource.pumper()
    assert bench.logins.logins == 1
    bench.client().tandemsource.pumper()
    assert bench.logins.logins == 2


def test_a_folder_that_cannot_be_written_is_said_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.folder.write_text("a file in its place")
    bench.api.tandemsource.pumper()
    bench.logins.tokens.clear()
    bench.api.tandemsource.pumper()
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "CACHE_CREDENTIALS=false" in warnings[0].getMessage()
    assert bench.logins.logins == 2


# -- secrecy -----------------------------------------------------------------------------------


def secrets_of(bench: Bench) -> set[str]:
    known = {EMAIL, PASSWORD, bench.logins.pumper_id, bench.logins.account_id}
    for request in bench.requests(TOKEN):
        known |= {request.form["code"], request.form["code_verifier"]}
    for request in bench.requests(AUTHORIZE):
        known |= {request.query["code_challenge"], *request.cookies.values()}
    if bench.folder.is_dir():
        known |= {json.loads(file.read_text())["access_token"] for file in bench.folder.iterdir()}
    return known | bench.logins.tokens


def assert_silent(text: str, bench: Bench) -> None:
    assert not [secret for secret in secrets_of(bench) if secret in text]
    assert "eyJ" not in text


def test_no_secret_shows_in_a_log_or_a_repr(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bench.api.tandemsource.pumper()
    bench.client().tandemsource.pumper()
    bench.logins.tokens.add("refused")
    bench.fail(PUMPER, html("no", 401))
    api = bench.api
    things = [
        api,
        api.account,
        api.tandemsource,
        api.tandemsource.logins,
        api.tandemsource.logins.current(),
        vars(api),
        vars(api.tandemsource),
        vars(api.tandemsource.logins),
    ]
    assert_silent(repr(things), bench)
    # What urllib3 says of each request is not shown by the program.
    own = [record for record in caplog.records if not record.name.startswith("urllib3")]
    assert own
    assert_silent(" ".join(record.getMessage() for record in own), bench)


@pytest.mark.parametrize("path", STEPS)
@pytest.mark.parametrize(
    "fault",
    [Fault.DROP, html(f"{EMAIL} {PASSWORD}", 400), ok({"error": EMAIL}, 401), html("", 503)],
)
def test_no_secret_shows_in_what_goes_wrong(
    bench: Bench, path: str, fault: Response | Fault, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "tconnectsync")
    bench.always(path, fault)
    try:
        log_in(bench)
    except (NetworkError, ApiError) as error:
        assert_silent("".join(traceback.format_exception(error)), bench)
    own = [record for record in caplog.records if record.name.startswith("tconnectsync")]
    assert_silent(" ".join(record.getMessage() for record in own), bench)


# -- the program and the simulated service -----------------------------------------------------


def test_what_only_a_login_needs_is_not_loaded_at_the_start() -> None:
    slow = {"authlib", "joserfc", "cryptography"}
    code = f"import sys, tconnectsync.api.clients; print({slow} & {{*sys.modules}})"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=300, check=True
    )
    assert shown.stdout.strip() == b"set()"


def exchange(bench: Bench, **changes: str) -> int:
    """Repeat the exchange of the login with other fields; return the status."""
    form = bench.requests(TOKEN)[0].form | changes
    return requests.post(f"{bench.server.url}{TOKEN}", data=form, timeout=300).status_code


def authorize(bench: Bench, headers: dict[str, str], **changes: str) -> requests.Response:
    """Repeat the request for a code of the login with other headers and fields."""
    last = bench.requests(AUTHORIZE)[0]
    kept = {name: last.headers[name] for name in ("user-agent", "referer", "cookie")}
    return requests.get(
        f"{bench.server.url}{AUTHORIZE}",
        params=last.query | changes,
        headers=kept | headers,
        allow_redirects=False,
        timeout=300,
    )


def test_the_simulated_service_takes_a_code_once_and_with_its_verifier_only(bench: Bench) -> None:
    log_in(bench)
    assert exchange(bench) == 400
    for changes in ({}, {"code_verifier": "x"}, {"client_id": "x"}, {"redirect_uri": "x"}):
        code = authorize(bench, {}).headers["Location"].partition("code=")[2]
        assert exchange(bench, code=code, **changes) == (400 if changes else 200)
        assert exchange(bench, code=code) == 400


def test_the_simulated_service_gives_a_code_to_our_web_app_only(bench: Bench) -> None:
    log_in(bench)
    assert authorize(bench, {}).headers["Location"].startswith(f"{US_CALLBACK}?code=")
    assert authorize(bench, {"cookie": ""}).headers["Location"] == f"{bench.server.url}/"
    assert authorize(bench, {"referer": "https://example.org/"}).status_code == 403
    assert authorize(bench, {"user-agent": "python-requests"}).status_code == 403
    for field in ("client_id", "redirect_uri", "scope", "code_challenge", "response_type", "state"):
        assert authorize(bench, {}, **{field: "x"}).status_code == 400
