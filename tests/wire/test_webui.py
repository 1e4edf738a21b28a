"""The pages of t:connect's web site: how they are asked for, and what becomes of the answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
import requests

from tconnectsync.api.clients import TConnectApi
from tconnectsync.domain.profiles import PumpSettings
from tconnectsync.errors import ApiError, FirewallError
from tconnectsync.simulators.loopback import Fault, Response
from tconnectsync.simulators.person import live
from tconnectsync.simulators.pump import OLD_SERIAL_NUMBER, OLD_SETTINGS, SERIAL_NUMBER, SETTINGS
from tconnectsync.simulators.tconnect.cloud import SimulatedTConnect
from tconnectsync.simulators.tconnect.pages import GUIDS, device_settings, my_devices
from tconnectsync.sources.tconnect.pages import read_devices, read_settings, settings_guid
from tests.support.clocks import NO_WAITING
from tests.support.settings import account
from tests.wire.fake_tconnect import BLOCKED_PAGE, EMAIL, LOGIN, PASSWORD, Bench, html, serve

PAGES = "/myaccount"
DEVICES, SETTINGS_PAGE = f"{PAGES}/my_devices.aspx", f"{PAGES}/DeviceSettings.aspx"
TO_LOGIN = Response(
    status=302,
    content_type="text/html",
    headers=[("Location", f"{LOGIN}?ReturnUrl=%2fmyaccount%2fmy_devices.aspx")],
)
ASKS_FOR_LOGIN = pytest.mark.parametrize(
    "answer", [TO_LOGIN, Response(status=401)], ids=["login page", "401"]
)


@pytest.fixture
def bench() -> Iterator[Bench]:
    with serve() as bench:
        bench.fake.pages[DEVICES] = html(my_devices())
        bench.fake.pages[SETTINGS_PAGE] = html(device_settings(SETTINGS, "mg/dL"))
        yield bench


def test_the_pages_come_as_they_are(bench: Bench) -> None:
    assert bench.api.webui.my_devices() == my_devices()
    assert bench.api.webui.device_settings("g-1") == device_settings(SETTINGS, "mg/dL")


def test_the_pages_are_asked_for_by_a_browser_with_the_login_s_cookies(bench: Bench) -> None:
    bench.api.webui.my_devices()
    bench.api.webui.device_settings("g&1=2/ä")
    devices, settings = bench.requests(PAGES)
    assert (devices.method, devices.path, devices.query) == ("GET", DEVICES, {})
    assert (settings.path, settings.query) == (SETTINGS_PAGE, {"guid": "g&1=2/ä"})
    for request in (devices, settings):
        assert request.cookies == bench.fake.cookies
        assert request.headers["user-agent"] == bench.requests(LOGIN)[0].headers["user-agent"]


def test_the_pages_share_their_login_with_controliq(bench: Bench) -> None:
    bench.api.controliq.therapy_timeline()
    bench.api.webui.my_devices()
    assert len(bench.requests(LOGIN, "POST")) == 1


@ASKS_FOR_LOGIN
def test_a_session_that_is_over_leads_to_one_new_login(bench: Bench, answer: Response) -> None:
    bench.api.webui.my_devices()
    bench.fake.cookies["UserGUID"] = "another"
    bench.fail(PAGES, answer)
    assert bench.api.webui.my_devices() == my_devices()
    assert len(bench.requests(LOGIN, "POST")) == 2
    _, refused, repeated = bench.requests(PAGES)
    assert refused.cookies["UserGUID"] != "another"
    assert repeated.cookies == bench.fake.cookies
    assert bench.waits == []


@ASKS_FOR_LOGIN
def test_a_new_login_that_is_not_accepted_is_not_followed_by_another(
    bench: Bench, answer: Response
) -> None:
    bench.fake.pages[DEVICES] = answer
    with pytest.raises(ApiError) as raised:
        bench.api.webui.my_devices()
    assert raised.value.status == 401
    assert len(bench.requests(PAGES)) == 2
    assert len(bench.requests(LOGIN, "POST")) == 2


def test_a_cookie_set_by_a_page_is_kept_until_the_next_login(bench: Bench) -> None:
    cookie = ("Set-Cookie", "session=s-1; path=/")
    bench.fail(PAGES, Response(headers=[cookie]), Response(status=401))
    bench.api.webui.my_devices()
    bench.api.webui.my_devices()
    _, refused, repeated = bench.requests(PAGES)
    assert refused.cookies == {**bench.fake.cookies, "session": "s-1"}
    assert repeated.cookies == bench.fake.cookies


def test_an_error_of_the_server_is_followed_by_one_more_try(bench: Bench) -> None:
    bench.fail(PAGES, Response(status=500))
    assert bench.api.webui.my_devices() == my_devices()
    assert bench.waits == [1.0]
    assert len(bench.requests(LOGIN, "POST")) == 1


def test_a_second_error_of_the_server_is_reported(bench: Bench) -> None:
    bench.fail(PAGES, Response(status=500), Response(status=500))
    with pytest.raises(ApiError, match="could not give the list of devices") as raised:
        bench.api.webui.my_devices()
    assert (raised.value.status, raised.value.can_retry) == (500, True)
    assert len(bench.requests(PAGES)) == 2


def test_a_login_form_that_met_an_error_is_still_not_sent_again(bench: Bench) -> None:
    bench.fake.rejection = Response(status=500)
    with pytest.raises(ApiError):
        bench.api.webui.my_devices()
    assert len(bench.requests(LOGIN, "POST")) == 1


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_reported_without_saying_whose_pump_it_was(bench: Bench, status: int) -> None:
    bench.fail(PAGES, Response(status=status))
    with pytest.raises(ApiError, match="pump settings") as raised:
        bench.api.webui.device_settings("secret-guid")
    assert raised.value.status == status
    assert "secret-guid" not in str(raised.value)
    assert len(bench.requests(PAGES)) == 1


def test_a_cut_connection_is_tried_again(bench: Bench) -> None:
    bench.fail(PAGES, Fault.CUT, Fault.DROP)
    assert bench.api.webui.my_devices() == my_devices()
    assert bench.waits == [1.0, 5.0]


def test_the_firewall_s_page_is_recognised(bench: Bench) -> None:
    bench.fail(PAGES, html(BLOCKED_PAGE))
    with pytest.raises(FirewallError):
        bench.api.webui.my_devices()
    assert len(bench.requests(PAGES)) == 1


def test_a_login_page_in_the_place_of_a_page_is_no_pump(bench: Bench) -> None:
    bench.fake.pages[DEVICES] = bench.fake.pages[SETTINGS_PAGE] = bench.fake.login_page
    with pytest.raises(ApiError, match="shows no device"):
        read_devices(bench.api.webui.my_devices())
    with pytest.raises(ApiError, match="shows no profile"):
        read_settings(bench.api.webui.device_settings("g-1"))


@pytest.fixture
def cloud() -> Iterator[SimulatedTConnect]:
    history = live(date(2024, 5, 1), 1)
    with SimulatedTConnect(history, email=EMAIL, password=PASSWORD) as server:
        yield server


def settings_of(cloud: SimulatedTConnect, serial: int) -> PumpSettings:
    settings = account(EMAIL, PASSWORD, web_url=cloud.url, services_url=cloud.url)
    webui = TConnectApi(settings, NO_WAITING).webui
    guid = settings_guid(read_devices(webui.my_devices()), str(serial))
    return read_settings(webui.device_settings(guid))


def test_of_several_pumps_the_right_one_is_read(cloud: SimulatedTConnect) -> None:
    assert settings_of(cloud, SERIAL_NUMBER) == SETTINGS
    assert settings_of(cloud, OLD_SERIAL_NUMBER) == OLD_SETTINGS


def test_a_changed_profile_shows_at_once(cloud: SimulatedTConnect) -> None:
    changed = PumpSettings(SETTINGS.profiles[:1], low_alert=75.0)
    cloud.account_pages.settings = changed
    assert settings_of(cloud, SERIAL_NUMBER) == changed


def test_the_simulated_site_can_show_mmol(cloud: SimulatedTConnect) -> None:
    cloud.account_pages.unit = "mmol/L"
    assert settings_of(cloud, SERIAL_NUMBER).low_alert == 4.4 * 18.0182


def ask(cloud: SimulatedTConnect, path: str, **cookies: str) -> requests.Response:
    headers = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}
    url = f"{cloud.url}{path}"
    return requests.get(url, headers=headers, cookies=cookies, allow_redirects=False, timeout=300)


@pytest.mark.parametrize("page", [DEVICES, f"{SETTINGS_PAGE}?guid={GUIDS[SERIAL_NUMBER]}"])
def test_the_simulated_site_sends_strangers_to_the_login(
    cloud: SimulatedTConnect, page: str
) -> None:
    for cookies in ({}, {"UserGUID": "somebody"}):
        answer = ask(cloud, page, **cookies)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith(LOGIN)


@pytest.mark.parametrize(
    "page", ["other.aspx", "DeviceSettings.aspx", "DeviceSettings.aspx?guid=1"]
)
def test_the_simulated_site_has_no_other_pages(cloud: SimulatedTConnect, page: str) -> None:
    assert ask(cloud, f"{PAGES}/{page}", UserGUID=cloud.user_guid).status_code == 404
