"""Whatever goes wrong, nothing that the program produces holds a secret or anything personal.

The whole program runs as a process at ``-v``, against servers that fail in every way and echo what
they were sent. Then everything is searched: both outputs, every file, the requests' addresses.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.simulators.history import PumpHistory
from tconnectsync.simulators.loopback import Fault, LoopbackServer, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tests.support.binary_log import binary_log
from tests.support.command import (
    CLOUDS,
    EMAIL,
    NEW_YORK,
    PASSWORD,
    SECRET,
    SERIAL,
    Cloud,
    Computer,
    Finished,
    computer,
)

pytestmark = pytest.mark.slow

NOW = datetime.now(ZoneInfo(NEW_YORK)).replace(tzinfo=None)
PROXY_PASSWORD = "hidden+from/all%20eyes"
SOURCES = ("tandem-source", "tconnect")
FEATURES = ("--features", "BASAL", "BOLUS", "PUMP_EVENTS", "PROFILES", "IOB", "CGM")

MODES = {
    "once": ("--days", "1", *FEATURES),
    "pretend": ("--pretend", "--days", "1", *FEATURES),
    "loop": ("--auto-update", *FEATURES),
    "check": ("--check-login",),
}


@cache
def in_every_form(secret: str) -> set[str]:
    """Return a secret as it is, in a URL, in JSON, HTML and Base64, and its hashes; all small."""
    forms = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}
    forms |= {json.dumps(secret)[1:-1], repr(json.dumps(secret))[2:-2], html.escape(secret)}
    forms |= {json.dumps(secret).replace("&", "\\u0026")[1:-1], quote(quote(secret, safe=""))}
    for name in ("md5", "sha1", "sha256"):
        forms.add(hashlib.new(name, secret.encode(), usedforsecurity=False).hexdigest())
    for before in range(3):
        coded = b64encode(bytes(before) + secret.encode()).decode()
        core = coded[(before * 8 + 5) // 6 : (before + len(secret)) * 8 // 6]
        forms |= {core} if len(core) > 7 else set()
    return {form.lower() for form in forms}


def leaks(text: str, secrets: Mapping[str, str]) -> list[str]:
    """Return which secrets are in a text, with what stands around them."""
    text = text.lower()
    return [
        f"{name}: {text[max(0, place - 60) : place + 80]!r}"
        for name, secret in secrets.items()
        for form in in_every_form(secret)
        if (place := text.find(form)) >= 0
    ]


# How servers misbehave


Answer = Callable[[Request], Response | Fault | None]


def echo(request: Request) -> str:
    """Return all that a client has sent, as careless servers show it in their errors."""
    forms = {**request.query, **(request.form if b"=" in request.body[:60] else {})}
    said = [*request.headers.values(), *forms.values(), request.body.decode("utf-8", "replace")]
    return " ".join([request.path, *said]).replace("\r", " ").replace("\n", " ")


def told(request: Request) -> dict[str, Any]:
    """Return what a payload says about the person."""
    return {
        "error": "Robin",
        "firstName": "Robin",
        "lastName": "Sample",
        "name": "Robin Sample",
        "dateOfBirth": "1990-01-01T00:00:00",
        "emailAddress": EMAIL,
        "serialNumber": SERIAL,
        "token": f"tandem-{'0123456789abcdef' * 2}",
        "message": echo(request),
        "headers": request.headers,
    }


def page(request: Request) -> Response:
    text = f'<p class="notice_error">{html.escape(echo(request))}</p><p>{echo(request)}</p>'
    return Response(f"<html><body>{text}</body></html>".encode(), 200, "text/html")


def error_page(request: Request) -> Response:
    return replace(page(request), status=500)


def refusal(request: Request) -> Response:
    return Response(json.dumps(told(request)).encode(), 401)


def bad_request(request: Request) -> Response:
    return Response(json.dumps(told(request)).encode(), 400)


def nonsense(request: Request) -> Response:
    """Answer with valid JSON of the wrong shape that holds personal data in all places."""
    wrong = [told(request), {**dict.fromkeys(("pumps", "events", "basal", "_id"), told(request))}]
    return Response(json.dumps(wrong if len(request.path) % 2 else wrong[1]).encode())


def broken(request: Request) -> Response:
    return Response(json.dumps({"pumps": [told(request)]}).encode()[:-5])


def redirect(request: Request) -> Response:
    query = f"token={quote(SECRET)}&email={quote(EMAIL)}&password={quote(PASSWORD)}"
    return Response(b"", 302, "text/html", [("Location", f"{ELSEWHERE}?{query}")])


def broken_headers(request: Request) -> Response:
    """Answer with header lines that are none, of which libraries like to warn."""
    return Response(b"{}", 200, headers=[("X-Note", f"hello\r\n{echo(request)}")])


def hang_up(request: Request) -> Fault:
    return Fault.CUT


ELSEWHERE = "/elsewhere"
FAULTS: dict[str, Answer] = {
    fault.__name__: fault
    for fault in (
        page,
        error_page,
        refusal,
        bad_request,
        nonsense,
        broken,
        redirect,
        broken_headers,
        hang_up,
    )
}


def is_login(request: Request) -> bool:
    return bool(re.search(r"login|oauth2|connect/|jwks|CookieCheck|callback", request.path))


def at_the_login(fault: Answer) -> Answer:
    """Fail as soon as something personal is sent, which is not with the first plain page."""
    return lambda request: fault(request) if request.method == "POST" else None


def after_the_login(fault: Answer) -> Answer:
    return lambda request: None if is_login(request) or request.path == "/" else fault(request)


CRASH = """
import json, urllib3
send = urllib3.PoolManager.urlopen
def crash(self, method, url, **options):
    answer = send(self, method, url, **options)
    if {where!r} in url and method == {method!r}:
        text = answer.data.decode(errors="replace")
        raise RuntimeError(
            f"{{url}} {{options['headers']}} {{options['body']}} {{answer.headers}}",
            text[:5000],
            json_of(text),
        )
    return answer
def json_of(text):
    try:
        return json.loads(text)
    except ValueError:
        return text
urllib3.PoolManager.urlopen = crash
"""
"""An error that was not thought of, with all that was said in its text."""

CRASHES = {
    "tandem-source": [
        ("api/login", "POST"),
        ("connect/token", "POST"),
        ("bff/pumper", "GET"),
        ("pump-logs", "GET"),
        ("/api/v1/", "GET"),
    ],
    "tconnect": [
        ("login.aspx", "POST"),
        ("oauth2/token", "POST"),
        ("therapytimeline", "GET"),
        ("/api/v1/", "POST"),
    ],
}


# What is searched


@dataclass
class Scene:
    """Both servers, and the computer between them."""

    source: str
    tandem: Cloud
    site: SmallNightscout
    home: Computer

    def run(self, *options: str, patch: str = "", **changes: str | None) -> Finished:
        """Run the command, and insist that nothing it produces holds what must not be shown."""
        asked = len(self.tandem.log), len(self.site.log)
        home = replace(self.home, haste=200, patch=patch)
        set_now: dict[str, Any] = {**LOOP, **changes}
        run = home.run("-v", *options, **set_now)
        assert run.code in (0, 1, 2)
        assert leaks(run.output + run.errors, self.personal) == []
        assert "urllib3" not in run.errors.replace("site-packages/urllib3", "")
        assert self.in_files() == []
        assert self.in_addresses(*asked) == []
        return run

    @property
    def personal(self) -> dict[str, str]:
        """What must not be shown, by what it is."""
        known = {
            "e-mail": EMAIL,
            "password": PASSWORD,
            "Nightscout secret": SECRET,
            "serial": SERIAL,
            "proxy password": PROXY_PASSWORD,
            "first name": "Robin",
            "last name": "Sample",
            "date of birth": "1990-01-01",
            "secret answer": "A simulated one",
        }
        if isinstance(self.tandem, SimulatedTandemSource):
            login = self.tandem.login
            ids = {"id of pumper": login.pumper_id, "id of account": login.account_id}
            ids |= {"id of assignment": self.tandem.assignment_id}
            tokens = login.tokens
        else:
            ids, tokens = {"id of user": self.tandem.user_guid}, self.tandem.tokens
        return known | ids | {f"token {number}": token for number, token in enumerate(tokens)}

    def in_files(self) -> list[str]:
        """Return every leak in a file; the saved login may hold its token and the ids."""
        found = []
        for path in self.home.folder.rglob("*"):
            if path.is_file() and path.name not in LOGS:
                saved_login = path.name.startswith("tandem-source-")
                allowed = ("token", "id of") if saved_login else ()
                secrets = {n: s for n, s in self.personal.items() if not n.startswith(allowed)}
                text = path.read_bytes().decode("utf-8", "replace")
                found += [f"{path.name}: {leak}" for leak in leaks(text, secrets)]
        return found

    def in_addresses(self, *since: int) -> list[str]:
        """Return every leak in an address asked for; Tandem's API has ids in them, and the serial.

        Where a server itself has sent us is its own affair.
        """
        ours = {n: s for n, s in self.personal.items() if not n.startswith(("id of", "serial"))}
        return [
            f"{server.url}{leak}"
            for server, secrets, first in (
                (self.tandem, ours, since[0]),
                (self.site, self.personal, since[1]),
            )
            for entry in server.log[first:]
            if entry.request.path != ELSEWHERE
            for leak in leaks(f"{entry.request.path}?{entry.request.query}", secrets)
        ]


LOGS = ("good.log", "bad.log")
LOOP = {
    "AUTOUPDATE_MAX_LOOP_INVOCATIONS": "3",
    "AUTOUPDATE_API_FAILURE_MINUTES": "600",
    "ENABLE_TESTING_MODES": "true",
}


@pytest.fixture(scope="module")
def life() -> PumpHistory:
    return live(NOW.date() - timedelta(days=1), 2)


@contextmanager
def scene_of(source: str, life: PumpHistory, folder: Path) -> Iterator[Scene]:
    server = CLOUDS[source](life)
    server.uploaded_until = NOW - timedelta(hours=1)
    with server as tandem, SmallNightscout(SECRET) as site:
        yield Scene(source, tandem, site, computer(folder, tandem, site.url, SECRET))


@pytest.fixture
def scenes(life: PumpHistory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Scene]]:
    """Give one scene for each source."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(scene_of(source, life, tmp_path_factory.mktemp("home")))
            for source in SOURCES
        ]


@pytest.fixture
def scene(scenes: list[Scene]) -> Scene:
    """Give a scene with Tandem Source."""
    return scenes[0]


def in_each(scenes: Iterable[Scene], play: Callable[[Scene], object]) -> None:
    """Play in all scenes at once."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(play, scenes))


def test_nothing_is_shown_when_all_is_well(scenes: list[Scene]) -> None:
    def play(scene: Scene) -> None:
        for mode in MODES.values():
            run = scene.run(*mode)
            assert run.code == 0, run.errors
            assert "DEBUG" in run.errors

    in_each(scenes, play)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_nothing_is_shown_when_servers_misbehave(scenes: list[Scene], fault: Answer) -> None:
    modes = [*MODES.values()]
    number = [*FAULTS].index(fault.__name__)
    modes = modes[number % 4 :] + modes[: number % 4]

    def play(scene: Scene) -> None:
        scene.tandem.fault = at_the_login(fault)
        scene.run(*modes[0])
        scene.tandem.fault = after_the_login(fault)
        scene.run(*modes[1])
        scene.tandem.fault, scene.site.fault = None, fault
        scene.run(*modes[2])

    in_each(scenes, play)


def test_nothing_is_shown_when_the_program_itself_fails(scenes: list[Scene]) -> None:
    def play(scene: Scene) -> None:
        for where, method in CRASHES[scene.source]:
            patch = CRASH.format(where=where, method=method)
            run = scene.run(*MODES["once"], patch=patch, CACHE_CREDENTIALS="false")
            assert (run.code, "RuntimeError" in run.errors) == (1, True), run.errors
            assert "Please report it" in run.errors
        scene.run(*MODES["check"], patch=patch)

    in_each(scenes, play)


def test_nothing_is_shown_of_wrong_credentials(scenes: list[Scene]) -> None:
    wrong = {"TCONNECT_PASSWORD": "quite another password", "CACHE_CREDENTIALS": "false"}

    def play(scene: Scene) -> None:
        for mode, changes in (
            ("loop", wrong),
            ("once", wrong),
            ("once", {"NS_SECRET": "quite another secret"}),
        ):
            run = scene.run(*MODES[mode], **changes)
            assert run.code in (1, 2)
            assert "quite another" not in run.output + run.errors

    in_each(scenes, play)


def test_nothing_is_shown_when_a_connection_is_not_possible(scenes: list[Scene]) -> None:
    def play(scene: Scene) -> None:
        variables = scene.home.variables
        secure = {n: v.replace("http:", "https:") for n, v in variables.items() if "_URL" in n}
        scene.run(*MODES["once"], **{n: v for n, v in secure.items() if n.startswith("NS_")})
        scene.run(*MODES["once"], **{n: v for n, v in secure.items() if n.startswith("T")})
        with LoopbackServer(page) as proxy:
            for address in (proxy.url, "http://127.0.0.1:9"):
                login = f"http://robin:{quote(PROXY_PASSWORD, safe='')}@"
                given = address.replace("http://", login)
                run = scene.run(*MODES["once"], REQUESTS_PROXY=given, CACHE_CREDENTIALS="false")
                assert run.code == 1
                scene.run(*MODES["check"], REQUESTS_PROXY=given)
            assert proxy.log

    in_each(scenes, play)


def test_nothing_of_a_saved_log_is_shown(scene: Scene) -> None:
    assert isinstance(scene.tandem, SimulatedTandemSource)
    good, bad = (scene.home.folder / name for name in LOGS)
    good.write_bytes(binary_log(scene.tandem.log_of_pump.entries))
    request = Request("GET", "/", {}, {"api-secret": SECRET}, EMAIL.encode())
    bad.write_text(json.dumps({"events": [told(request), 1], "clockChanges": told(request)}))
    assert scene.run("--import-log", str(good)).code == 0
    assert scene.run("--import-log", str(bad)).code == 2


def test_only_the_user_can_read_what_is_written_whatever_the_umask(scene: Scene) -> None:
    careless = ("sh", "-c", 'umask 000; exec "$0" "$@"', sys.executable, "-m", "tconnectsync")
    scene.home.run(*MODES["once"], command=careless)
    scene.home.run(*MODES["check"], command=careless)
    written = [path for path in scene.home.folder.rglob("*") if path.is_file()]
    assert len(written) >= 2
    for path in written:
        assert path.stat().st_mode & 0o777 == 0o600, path
    (cache,) = {path.parent for path in written if path.name.startswith("tandem-source-")}
    assert cache.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="This system has no /proc.")
def test_nothing_is_shown_in_the_list_of_processes(scene: Scene) -> None:
    seen: list[str] = []
    pids: list[int] = []

    def look(request: Request) -> None:
        if pids:
            children = Path(f"/proc/{pids[0]}/task/{pids[0]}/children").read_text().split()
            lists = [Path(f"/proc/{pid}/cmdline") for pid in (pids[0], *children)]
            seen.extend(path.read_bytes().decode() for path in lists)

    scene.tandem.fault = scene.site.fault = look
    process = subprocess.Popen(
        [sys.executable, "-m", "tconnectsync", *MODES["once"]],
        env=scene.home.environment | LOOP,
        cwd=scene.home.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    pids.append(process.pid)
    assert process.wait(timeout=300) == 0
    assert any("tconnectsync" in line for line in seen)
    assert leaks("\n".join(seen), scene.personal) == []
