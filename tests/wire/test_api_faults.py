"""What controliq and the app's API do to us on bad days, and what we make of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tconnectsync.api.clients import TConnectApi
from tconnectsync.errors import ApiError, FirewallError, LoginError, NetworkError
from tconnectsync.simulators.loopback import Fault, Response
from tests.wire.fake_tconnect import (
    BLOCKED_PAGE,
    COUNTER,
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


@dataclass(frozen=True)
class Service:
    """One of the two services that need a login."""

    call: Callable[[TConnectApi], Any]
    path: str
    login: str


CONTROLIQ = Service(lambda api: api.controliq.therapy_timeline(), "/tconnect", LOGIN)
ANDROID = Service(lambda api: api.android.last_event_uploaded(123), COUNTER, TOKEN)

both = pytest.mark.parametrize("service", [CONTROLIQ, ANDROID], ids=["controliq", "android"])


@both
def test_a_refused_token_leads_to_one_new_login_and_one_repeat(
    bench: Bench, service: Service
) -> None:
    bench.fail(service.path, Response(status=401))
    assert service.call(bench.api) == {"faked": True}
    assert len(bench.requests(service.login, "POST")) == 2
    assert len(bench.requests(service.path)) == 2
    assert bench.waits == []


@both
def test_the_new_login_is_used_from_then_on(bench: Bench, service: Service) -> None:
    bench.fail(service.path, Response(status=401))
    service.call(bench.api)
    service.call(bench.api)
    assert len(bench.requests(service.login, "POST")) == 2


@both
def test_a_token_refused_as_soon_as_it_is_given_ends_the_run_but_may_work_later(
    bench: Bench, service: Service
) -> None:
    bench.fail(service.path, Response(status=401), Response(status=401))
    with pytest.raises(LoginError, match=r"refuses the login.* \(HTTP 401\)$") as raised:
        service.call(bench.api)
    assert raised.value.status == 401
    assert raised.value.fatal
    assert raised.value.can_retry
    assert len(bench.requests(service.login, "POST")) == 2
    assert len(bench.requests(service.path)) == 2


@both
def test_being_sent_to_the_login_page_counts_as_a_refused_token(
    bench: Bench, service: Service
) -> None:
    to_login = Response(status=302, headers=[("Location", "/login.aspx?ReturnUrl=%2f")])
    bench.fail(service.path, to_login)
    assert service.call(bench.api) == {"faked": True}
    bench.fail(service.path, to_login, to_login)
    with pytest.raises(LoginError) as raised:
        service.call(bench.api)
    assert raised.value.status == 401


@both
def test_a_login_refused_while_renewing_is_a_login_error(bench: Bench, service: Service) -> None:
    service.call(bench.api)
    bench.fake.rejection = html("...")
    bench.fake.token = Response(b"{}", 401)
    bench.fail(service.path, Response(status=401))
    with pytest.raises(LoginError):
        service.call(bench.api)
    assert len(bench.requests(service.login, "POST")) == 2


@both
def test_one_server_error_is_passed_over(bench: Bench, service: Service) -> None:
    bench.fail(service.path, Response(b'{"messages":["An error occurred."]}', 500))
    assert service.call(bench.api) == {"faked": True}
    assert bench.waits == [1]


@both
def test_two_server_errors_are_an_error_that_says_its_status(
    bench: Bench, service: Service
) -> None:
    bench.fail(service.path, Response(status=500), Response(status=500))
    with pytest.raises(ApiError, match=r" \(HTTP 500\)$") as raised:
        service.call(bench.api)
    assert raised.value.can_retry
    assert len(bench.requests(service.path)) == 2


@both
def test_a_busy_service_is_given_the_time_it_asks_for(bench: Bench, service: Service) -> None:
    bench.fail(service.path, Response(status=429, headers=[("Retry-After", "7")]))
    assert service.call(bench.api) == {"faked": True}
    assert bench.waits == [7]


@both
@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_disturbed_service_is_tried_again_with_longer_waits(
    bench: Bench, service: Service, status: int
) -> None:
    bench.fail(service.path, *[Response(status=status)] * 3)
    with pytest.raises(ApiError, match=rf"may work again later \(HTTP {status}\)$"):
        service.call(bench.api)
    assert bench.waits == [2, 10]


@both
@pytest.mark.parametrize("fault", [Fault.DROP, Fault.CUT])
def test_a_lost_connection_is_made_again(bench: Bench, service: Service, fault: Fault) -> None:
    bench.fail(service.path, fault, fault)
    assert service.call(bench.api) == {"faked": True}
    assert bench.waits == [1, 5]


@both
def test_a_service_that_stays_away_is_a_network_error_without_personal_data(
    bench: Bench, service: Service
) -> None:
    bench.fail(service.path, *[Fault.DROP] * 3)
    with pytest.raises(NetworkError) as raised:
        service.call(bench.api)
    for secret in (GUID, EMAIL, PASSWORD, "web-token", "app-token"):
        assert secret not in str(raised.value)


@both
def test_a_service_that_does_not_answer_is_not_waited_for_without_end(
    bench: Bench, service: Service
) -> None:
    api = bench.client(read_timeout=0.2)
    bench.fail(service.path, Response(delay=1.0))
    assert service.call(api) == {"faked": True}
    assert bench.waits == [1]


@both
@pytest.mark.parametrize(
    ("answer", "came"),
    [
        (html("<html><body>Maintenance</body></html>"), "a web page"),
        (html(LOGIN_PAGE), "a web page"),
        (Response(b""), "an empty answer"),
        (Response(b'{"basal": {"temp'), "cut short"),
        (Response(b"\xff\xfe\xfa"), "damaged"),
    ],
)
def test_something_else_than_the_data_is_an_error_that_says_what_came(
    bench: Bench, service: Service, answer: Response, came: str
) -> None:
    bench.fail(service.path, answer)
    with pytest.raises(ApiError, match=came) as raised:
        service.call(bench.api)
    assert raised.value.status is None
    assert raised.value.can_retry
    assert len(bench.requests(service.path)) == 1


@both
@pytest.mark.parametrize("payload", [[], None, "text", 1])
def test_json_of_another_form_than_the_data_is_an_error(
    bench: Bench, service: Service, payload: Any
) -> None:
    bench.fail(service.path, ok(payload))
    with pytest.raises(ApiError, match="an unknown form") as raised:
        service.call(bench.api)
    assert not raised.value.can_retry


def test_an_object_where_the_list_of_pumps_was_due_is_an_error(bench: Bench) -> None:
    with pytest.raises(ApiError, match="an unknown form"):
        bench.api.controliq.pump_features()


@both
def test_an_account_without_control_iq_is_known_by_its_status(
    bench: Bench, service: Service
) -> None:
    bench.fail(service.path, Response(status=404))
    with pytest.raises(ApiError, match=r"has no .* \(HTTP 404\)$") as raised:
        service.call(bench.api)
    assert raised.value.status == 404
    assert not raised.value.can_retry


@both
@pytest.mark.parametrize("status", [200, 403, 503])
def test_the_firewall_is_recognised_on_the_services_too(
    bench: Bench, service: Service, status: int
) -> None:
    bench.fail(service.path, html(BLOCKED_PAGE, status))
    with pytest.raises(FirewallError):
        service.call(bench.api)
    assert len(bench.requests(service.path)) == 1
    assert bench.waits == []


def test_a_note_about_the_firewall_is_not_the_firewall(bench: Bench) -> None:
    payload = {"event": [{"note": "Web Page Blocked! Attack ID: 1"}]}
    bench.fake.data = ok(payload)
    assert bench.api.controliq.therapy_events() == payload
