"""What stands in NS_URL and what answers there: each fault has a sentence of its own."""

from __future__ import annotations

import base64
import json
import re
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tconnectsync.errors import (
    NetworkError,
    NightscoutAddressError,
    NightscoutError,
    NightscoutLoginError,
    ProxyLoginError,
    SiteDownError,
    UnreachableError,
)
from tconnectsync.http import HttpClient
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.simulators.loopback import Fault, LoopbackServer, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tests.support.clocks import NO_WAITING
from tests.support.command import SECRET, free_port
from tests.support.tls import new_certificate, over_tls

NOON = datetime(2024, 3, 5, 12, 0, tzinfo=UTC)
BOLUS = {"eventType": "Bolus", "created_at": "2024-03-05T12:00:00.000Z", "insulin": 1}
Handle = Callable[[Request], Response | Fault]


class Waits(list[float]):
    """Takes the place of sleeping."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def client(url: str, secret: str = SECRET, **http: Any) -> NightscoutApi:
    clock = replace(NO_WAITING, sleep=http.pop("sleep", Waits()))
    return NightscoutApi(
        url, secret, HttpClient("Nightscout", clock, **{"given_in": "NS_URL", **http})
    )


def page(text: str, status: int = 200, **headers: str) -> Response:
    body = f"<!doctype html><html><head><title>{text}</title></head><body></body></html>"
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Response(body.encode(), status, "text/html", named)


class Below(LoopbackServer):
    """Serves a site below a path, as a reverse proxy does; elsewhere is another web server."""

    def __init__(self, site: SmallNightscout, path: str) -> None:
        self._site = site
        self._path = path
        super().__init__(self._pass_on)

    def _pass_on(self, request: Request) -> Response:
        if not request.path.startswith(f"{self._path}/"):
            return page("Somebody else's page", 404)
        path = request.path.removeprefix(self._path)
        return self._site.carry_out(
            Request(request.method, path, request.query, request.headers, request.body)
        )


# The address


ENDS = [
    *("/api", "/api/", "/api/v1", "/api/v1/", "/api/v1/treatments.json", "/api/v2", "/api/v3/x/y"),
    *("/report", "/report/", "/admin", "/profile", "/food", "/split", "/translations"),
    *("/clock", "/clock/bgclock", "/bgclock.html", "/colorclock", "/api-docs", "/api-docs.html"),
    *("/index.html", "/REPORT", "/report/api/v1"),
]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("path", ["", "/ns", "/api/ns", "/report/ns"])
def test_what_belongs_to_a_page_is_taken_off_where_the_site_is_at_the_shorter_address(
    site: SmallNightscout, path: str, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Below(site, path) as front:
        api = client(front.url + path + end)
        assert api.treatments(NOON, NOON + timedelta(hours=1)) == []
        api.create([BOLUS])
        assert len(api.treatments(NOON, NOON + timedelta(hours=1))) == 1
        assert api.site.url == front.url + path
        said = [each.getMessage() for each in caplog.records if "NS_URL" in each.getMessage()]
        assert len(said) == 1
        more = re.escape(end.rstrip("/"))
        assert re.search(f"Remove {more}/? from NS_URL", said[0])


@pytest.mark.parametrize("path", ["/report", "/api/v1", "/x/admin", "/clock", "/api"])
def test_a_site_that_lives_under_such_a_path_stays_there(
    site: SmallNightscout, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Below(site, path) as front:
        api = client(f"{front.url}{path}/")
        api.find_site()
        api.treatments(NOON, NOON)
        assert api.site.url == front.url + path
        assert caplog.records == []
        assert len(front.log) == 2


def test_the_login_of_a_proxy_goes_along_to_the_shorter_address(site: SmallNightscout) -> None:
    url = site.url.replace("://", "://robin:p%40ss@")
    api = client(f"{url}/report")
    api.find_site()
    assert api.site.url == url
    assert "robin" not in api.site.remark


def test_the_right_address_costs_no_further_request(site: SmallNightscout) -> None:
    for url in (site.url, f"{site.url}/"):
        api = client(url)
        api.find_site()
        api.treatments(NOON, NOON)
    assert len(site.log) == 2


@pytest.mark.parametrize("path", ["/elsewhere", "/report/x", "/api/v4", "/apis", "/reported"])
def test_what_is_no_page_of_nightscout_is_not_taken_off(site: SmallNightscout, path: str) -> None:
    with pytest.raises(NightscoutAddressError, match="There is no Nightscout at NS_URL"):
        client(site.url + path).treatments(NOON, NOON)
    assert len(site.log) == 2


def test_a_wrong_secret_at_a_page_s_address_is_a_wrong_secret(site: SmallNightscout) -> None:
    with pytest.raises(NightscoutLoginError):
        client(f"{site.url}/api/v1", "wrong").treatments(NOON, NOON)


def test_a_writing_that_is_not_found_is_the_careportal_s_as_ever(site: SmallNightscout) -> None:
    site.fault = lambda request: Response(b"Cannot POST", 404, "text/html")
    with pytest.raises(NightscoutError, match="Add careportal"):
        client(site.url).create([BOLUS])


# Nobody answers


def require_at_once(api: NightscoutApi, waits: Waits, sentence: str) -> None:
    with pytest.raises(UnreachableError, match=sentence) as caught:
        api.treatments(NOON, NOON)
    error = caught.value
    assert (error.fatal, error.can_retry, error.exit_code) == (True, True, 1)
    assert error.needs_a_person
    assert waits == []
    assert str(error).endswith("Check NS_URL.")


def test_a_name_that_does_not_exist_is_told_at_once() -> None:
    waits = Waits()
    api = client("http://my-site.invalid", sleep=waits)
    require_at_once(api, waits, r"\(my-site\.invalid\): no computer of this name is found")


def test_a_closed_port_is_told_at_once() -> None:
    port, waits = free_port(), Waits()
    api = client(f"http://127.0.0.1:{port}", sleep=waits)
    require_at_once(api, waits, f"nothing answers at port {port}")


def test_https_on_an_http_port_is_told_at_once(site: SmallNightscout) -> None:
    waits = Waits()
    api = client(site.url.replace("http:", "https:"), sleep=waits)
    require_at_once(api, waits, "does not speak https there. Write http://")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"hello\r\n"])
def test_https_on_a_port_that_answers_in_plain_text_is_told_at_once(answer: bytes) -> None:
    def talk(server: socket.socket) -> None:
        while True:
            try:
                with server.accept()[0] as one:
                    one.recv(1000)
                    one.sendall(answer)
            except OSError:
                return

    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=talk, args=(server,), daemon=True).start()
        waits = Waits()
        api = client(f"https://127.0.0.1:{server.getsockname()[1]}", sleep=waits)
        require_at_once(api, waits, "does not speak https there")
        server.shutdown(socket.SHUT_RDWR)


def test_http_on_an_https_port_is_told_at_once(tmp_path: Path) -> None:
    with over_tls(new_certificate(tmp_path)) as (url, asked):
        waits = Waits()
        api = client(url.replace("https:", "http:"), sleep=waits)
        require_at_once(api, waits, "it speaks https there. Write https://")
    assert asked == []


@pytest.mark.parametrize(
    "body",
    [
        b"<html><center>The plain HTTP request was sent to HTTPS port</center></html>",
        b"Client sent an HTTP request to an HTTPS server.\n",
        b"<p>You're speaking plain HTTP to an SSL-enabled server port.</p>",
    ],
)
def test_a_web_server_that_wants_https_says_so(body: bytes) -> None:
    with LoopbackServer(lambda request: Response(body, 400, "text/html")) as server:
        with pytest.raises(NightscoutAddressError, match="speaks https there"):
            client(server.url).treatments(NOON, NOON)
        assert len(server.log) == 1


def test_after_an_answer_a_closed_port_is_an_outage_that_may_pass(site: SmallNightscout) -> None:
    waits = Waits()
    api = client(site.url, sleep=waits)
    api.treatments(NOON, NOON)
    site.fault = lambda request: Fault.REFUSE
    with pytest.raises(NetworkError) as caught:
        api.treatments(NOON, NOON)
    assert not isinstance(caught.value, UnreachableError)
    assert waits == [1.0, 5.0]


def test_a_connection_that_is_cut_is_tried_again_also_at_the_beginning(
    site: SmallNightscout,
) -> None:
    left = [Fault.DROP]
    site.fault = lambda request: left.pop() if left else None
    assert client(site.url).treatments(NOON, NOON) == []


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://tandem.invalid", "no computer of this name is found"),
        (f"http://127.0.0.1:{free_port()}", "nothing answers at port"),
    ],
    ids=["unknown name", "closed port"],
)
def test_for_an_address_that_no_person_has_given_it_is_an_outage_in_the_same_words(
    url: str, sentence: str
) -> None:
    waits = Waits()
    http = HttpClient("Tandem's cloud", replace(NO_WAITING, sleep=waits))
    with pytest.raises(NetworkError, match=sentence) as caught:
        http.get(f"{url}/of-a-person?secret")
    assert (caught.value.fatal, caught.value.can_retry) == (False, True)
    assert "of-a-person" not in str(caught.value)
    assert "NS_URL" not in str(caught.value)
    assert waits == [1.0, 5.0]


# Somebody else answers


OTHERS: dict[str, tuple[Response, type[NightscoutError], str]] = {
    "welcome page": (page("Welcome to nginx!"), NightscoutAddressError, "another web server"),
    "forbidden": (page("403 Forbidden", 403), NightscoutAddressError, "another web server"),
    "no page": (page("404 Not Found", 404), NightscoutAddressError, "There is no Nightscout"),
    "nothing": (Response(b"", 200, "text/html"), NightscoutAddressError, "another web server"),
    "json": (Response(b'{"a": 1}', 404), NightscoutAddressError, "There is no Nightscout"),
    "redirect": (
        Response(b"", 302, headers=[("Location", "https://example.org/")]),
        NightscoutAddressError,
        "sends us to another address",
    ),
    "Heroku, none": (page("No such app", 404), SiteDownError, "stopped, just starting, or gone"),
    "Heroku, down": (page("Application error", 503), SiteDownError, "stopped, just starting"),
    "Render": (page("Service Suspended", 503), SiteDownError, "stopped, just starting"),
    "Azure": (
        page("Error 403 - This web app is stopped.", 403),
        SiteDownError,
        "stopped, just starting",
    ),
    "Railway": (
        Response(b'{"status":"error","code":404,"message":"Application not found"}', 404),
        SiteDownError,
        "stopped, just starting",
    ),
    "nginx, 502": (page("502 Bad Gateway", 502), SiteDownError, "stopped, just starting"),
    "nginx, 504": (page("504 Gateway Time-out", 504), SiteDownError, "stopped, just starting"),
    "Cloudflare asks": (
        page("Just a moment...", 403, cf_mitigated="challenge", Server="cloudflare"),
        SiteDownError,
        "takes tconnectsync for a robot",
    ),
    "Cloudflare refuses": (
        page("Attention Required! | Cloudflare", 403),
        SiteDownError,
        "takes tconnectsync for a robot",
    ),
    "Cloudflare, 1020": (
        Response(b"error code: 1020", 403, "text/plain", [("Server", "cloudflare")]),
        SiteDownError,
        "takes tconnectsync for a robot",
    ),
    "Cloudflare, rule": (
        page("Access denied | ns.example.org used Cloudflare to restrict access", 403, cf_ray="1"),
        SiteDownError,
        "takes tconnectsync for a robot",
    ),
    "Cloudflare, 503": (
        page("Just a moment...", 503, cf_ray="1"),
        SiteDownError,
        "takes tconnectsync for a robot",
    ),
    **{
        f"Cloudflare, {status}": (
            page(f"example.org | {status}", status, Server="cloudflare"),
            SiteDownError,
            "cannot reach it",
        )
        for status in (520, 521, 522, 523, 525, 526, 530)
    },
}


@pytest.mark.parametrize(("answer", "kind", "sentence"), OTHERS.values(), ids=OTHERS)
def test_what_answers_in_the_place_of_the_site_is_told_and_ends_the_run(
    answer: Response, kind: type[NightscoutError], sentence: str
) -> None:
    with LoopbackServer(lambda request: answer) as server:
        with pytest.raises(NightscoutError, match=sentence) as caught:
            client(server.url).treatments(NOON, NOON)
        error = caught.value
        assert type(error) is kind
        assert (error.fatal, error.can_retry, error.exit_code) == (True, True, 1)
        assert error.needs_a_person is (kind is NightscoutAddressError)
        assert len(server.log) <= 3
        assert "<" not in str(error)


def test_a_full_database_is_told_with_what_the_site_says(site: SmallNightscout) -> None:
    said = "you are over your space quota, using 514 MB of 512 MB"
    body = json.dumps({"status": 500, "message": "Mongo Error", "description": said}).encode()
    site.fault = lambda request: Response(body, 500) if request.method == "POST" else None
    with pytest.raises(NightscoutError, match="database of Nightscout is full") as caught:
        client(site.url).create([BOLUS])
    assert said in str(caught.value)
    assert (caught.value.fatal, caught.value.status) == (False, 500)


@pytest.mark.parametrize(
    "answer",
    [
        Response(json.dumps({"message": f"odd {SECRET} " + "x" * 5000}).encode(), 500),
        Response(
            f"<script>var a</script><b>odd</b> {SECRET} {'x ' * 5000}".encode(), 500, "text/html"
        ),
        Response(f"odd\x1b[31m {SECRET}\n".encode() + b"\xff" * 5000, 500, "text/plain"),
        Response(b"<" * 100_000 + b"<!--" * 10_000, 500, "text/html"),
    ],
)
def test_the_words_of_a_site_are_short_and_without_html_and_secrets(
    site: SmallNightscout, answer: Response
) -> None:
    site.fault = lambda request: answer
    with pytest.raises(NightscoutError) as caught:
        client(site.url).treatments(NOON, NOON)
    text = str(caught.value)
    assert SECRET not in text
    assert not {*"<>\x1b\n"} & {*text}
    assert len(text.partition("It says: ")[2]) < 220
    assert "var a" not in text
    assert text.isprintable()


def test_once_it_has_answered_an_odd_page_does_not_end_the_run(site: SmallNightscout) -> None:
    api = client(site.url)
    api.treatments(NOON, NOON)
    site.fault = lambda request: page("Hello")
    with pytest.raises(NightscoutError, match="did not answer with a list") as caught:
        api.treatments(NOON, NOON)
    assert not caught.value.fatal


def test_one_thing_that_a_site_does_not_have_says_nothing_of_its_address(
    site: SmallNightscout,
) -> None:
    site.fault = lambda request: page("none", 404) if "activity" in request.path else None
    api = client(site.url)
    with pytest.raises(NightscoutError) as caught:
        api.activities("tconnect_iob")
    assert not caught.value.fatal
    assert api.treatments(NOON, NOON) == []


# A proxy in front of the site


class Proxy(LoopbackServer):
    """Asks for a user and password before it lets anybody through to a site."""

    def __init__(self, site: SmallNightscout, user: str, password: str) -> None:
        self.expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self._site = site
        super().__init__(self._pass_on)

    def _pass_on(self, request: Request) -> Response:
        if request.headers.get("authorization") != self.expected:
            return page("401 Authorization Required", 401, WWW_Authenticate='Basic realm="x"')
        return self._site.carry_out(request)


@pytest.mark.parametrize(
    ("user", "password", "written"),
    [
        ("robin", "simple", "robin:simple"),
        ("robin", "p@ss/w:ö#?%", "robin:p%40ss%2Fw%3A%C3%B6%23%3F%25"),
        ("robin", "p@ss:word", "robin:p@ss:word"),
        ("robin", "", "robin"),
        ("", "only", ":only"),
    ],
)
def test_the_login_of_a_proxy_is_sent_beside_the_secret(
    site: SmallNightscout, user: str, password: str, written: str
) -> None:
    with Proxy(site, user, password) as proxy:
        api = client(proxy.url.replace("://", f"://{written}@"))
        api.create([BOLUS])
        assert len(api.treatments(NOON, NOON)) == 1
        assert all("api-secret" in entry.request.headers for entry in proxy.log)
        with pytest.raises(NightscoutLoginError, match="does not accept NS_SECRET") as caught:
            client(proxy.url.replace("://", f"://{written}@"), "wrong").treatments(NOON, NOON)
        assert not isinstance(caught.value, ProxyLoginError)


@pytest.mark.parametrize(
    ("login", "sentence"),
    [
        ("", "a proxy in front of it asks for a user and password"),
        ("robin:wrong-word@", "does not accept the user and password in NS_URL"),
    ],
)
def test_a_proxy_s_refusal_is_not_blamed_on_the_secret(
    site: SmallNightscout, login: str, sentence: str
) -> None:
    with Proxy(site, "robin", "right-word") as proxy:
        api = client(proxy.url.replace("://", f"://{login}"))
        for ask in (lambda: api.treatments(NOON, NOON), lambda: api.create([BOLUS])):
            with pytest.raises(ProxyLoginError, match=sentence) as caught:
                ask()
            assert caught.value.fatal
            assert not caught.value.can_retry
            assert "wrong-word" not in str(caught.value)
        assert len(proxy.log) == 2


def test_a_login_page_in_front_of_the_site_is_told_apart(site: SmallNightscout) -> None:
    site.fault = lambda request: page("Sign in", 401)
    with pytest.raises(ProxyLoginError, match="on a page of its own"):
        client(site.url).treatments(NOON, NOON)
