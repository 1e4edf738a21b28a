"""A wrong NS_URL ends a run at once and in plain words; one of a page of the site works."""

from __future__ import annotations

import base64
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from tconnectsync.simulators.history import PumpHistory
from tconnectsync.simulators.loopback import LoopbackServer, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tests.support.command import SECRET, Computer, computer, days, free_port, tandem_source
from tests.support.fast_process import ends_when_asked, running, said, soon
from tests.support.real_nightscout import NightscoutSite

FIRST = date(2024, 6, 3)
RANGE = (*days(FIRST, FIRST), "--features", "BOLUS")
PASSWORD = "correct-horse"


@pytest.fixture(scope="module")
def life() -> PumpHistory:
    return live(FIRST, 1)


@pytest.fixture
def tandem(life: PumpHistory) -> Iterator[SimulatedTandemSource]:
    with tandem_source(life) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, tandem: SimulatedTandemSource, site: SmallNightscout) -> Computer:
    return computer(tmp_path, tandem, site.url, SECRET)


def files_about_sites(home: Computer) -> set[str]:
    return {path.name for path in home.folder.rglob("site-*")}


@pytest.mark.parametrize("end", ["/api/v1", "/api/v1/entries.json", "/report/", "/#/", "/admin#x"])
def test_the_address_of_a_page_leads_to_the_real_site_and_to_the_same_files(
    nightscout: NightscoutSite, tmp_path: Path, tandem: SimulatedTandemSource, end: str
) -> None:
    home = computer(tmp_path, tandem, nightscout.url, nightscout.secret)
    assert home.run(*RANGE).code == 0
    files = files_about_sites(home)
    assert files
    again = home.run(*RANGE, NS_URL=nightscout.url + end)
    assert again.code == 0, again.errors
    assert again.counts[:2] == (0, 0)
    assert files_about_sites(home) == files
    is_of_a_page = not end.startswith("/#")
    assert again.errors.count("Without it, it is one, and that address") == is_of_a_page
    assert again.errors.count("Write NS_URL without it") == ("#" in end)
    checked = home.run("--check-login", *RANGE[:4], NS_URL=nightscout.url + end)
    assert "Nightscout treatments:   ok" in checked.output


def test_a_site_under_a_path_that_is_named_like_a_page_keeps_its_files(
    home: Computer, site: SmallNightscout
) -> None:
    def below(request: Request) -> Response:
        path = request.path.removeprefix("/report")
        if path == request.path:
            return Response(b"<html>Somebody else</html>", 404, "text/html")
        return site.carry_out(
            Request(request.method, path, request.query, request.headers, request.body)
        )

    with LoopbackServer(below) as front:
        run = home.run(*RANGE, NS_URL=f"{front.url}/report")
        assert run.code == 0, run.errors
        assert "Set NS_URL" not in run.errors
        files = files_about_sites(home)
        assert home.run(*RANGE, NS_URL=f"{front.url}/report/api/v1").code == 0
        assert files_about_sites(home) == files


def wrong(case: str, site: SmallNightscout) -> tuple[str, str]:
    """Return an address and what is said of it."""
    return {
        "name": ("http://no-such-site.invalid", "no computer of this name is found"),
        "port": (f"http://127.0.0.1:{free_port()}", "nothing answers at port"),
        "https": (site.url.replace("http:", "https:"), "does not speak https there"),
        "path": (f"{site.url}/elsewhere", "There is no Nightscout at NS_URL"),
        "below a page": (f"{site.url}/elsewhere/report", "There is no Nightscout at NS_URL"),
    }[case]


NO_PATIENCE = """
def wait(seconds):
    raise AssertionError("It waits.")
clock = Clock(sleep=wait)
"""


@pytest.mark.parametrize("options", [RANGE, ("--features", "BOLUS")], ids=["range", "last days"])
@pytest.mark.parametrize("case", ["name", "port", "https", "path", "below a page"])
def test_a_wrong_address_ends_a_run_at_once(
    home: Computer, site: SmallNightscout, case: str, options: tuple[str, ...]
) -> None:
    url, sentence = wrong(case, site)
    run = replace(home, patch=NO_PATIENCE).run(*options, NS_URL=url)
    assert run.code == 1
    assert run.errors.count(sentence) == 1
    assert "Trying again" not in run.errors
    assert "Traceback" not in run.errors
    assert "Going back" not in run.errors
    assert len(site.log) <= 3


@pytest.mark.parametrize("case", ["name", "port", "path"])
def test_a_check_says_the_same_of_a_wrong_address(
    home: Computer, site: SmallNightscout, case: str
) -> None:
    url, sentence = wrong(case, site)
    run = home.run("--check-login", *RANGE[:4], NS_URL=url)
    assert run.code == 1
    (line,) = [line for line in run.output.splitlines() if line.startswith("Nightscout:")]
    assert "failed" in line
    assert sentence in line


def test_what_cannot_be_an_address_is_a_matter_of_the_configuration(home: Computer) -> None:
    run = home.run(*RANGE, NS_URL=f"https://robin:{PASSWORD}#1@my-site.example.org")
    assert run.code == 2
    assert "NS_URL is not usable" in run.errors
    assert PASSWORD not in run.errors


def test_a_loop_waits_for_a_site_that_is_not_there_yet(
    home: Computer, site: SmallNightscout
) -> None:
    site.refuse()
    with running(home, "--days", "3") as process:
        soon(lambda: said(home).count("nothing answers at port") >= 2)
        assert process.poll() is None
        site.reopen()
        soon(lambda: "The connection works again" in said(home))
        ends_when_asked(home, process, signal.SIGTERM)


@pytest.mark.parametrize("password", [PASSWORD, "wrong-battery", None])
def test_only_a_proxy_in_front_of_the_site_gets_its_login(
    home: Computer, site: SmallNightscout, password: str | None
) -> None:
    expected = "Basic " + base64.b64encode(f"robin:{PASSWORD}".encode()).decode()

    def guard(request: Request) -> Response:
        if request.headers.get("authorization") == expected:
            return site.carry_out(request)
        asked = [("WWW-Authenticate", 'Basic realm="Nightscout"')]
        return Response(b"<html>401</html>", 401, "text/html", asked)

    with LoopbackServer(guard) as proxy:
        login = f"robin:{password}@" if password else ""
        url = proxy.url.replace("://", f"://{login}")
        run = home.run("-v", *RANGE, NS_URL=url)
        check = home.run("-v", "--check-login", *RANGE[:4], NS_URL=url)
    is_right = password == PASSWORD
    assert (run.code, check.code) == ((0, 0) if is_right else (1, 1)), check.output
    assert bool(site.treatments) is is_right
    for text in (run.output, run.errors, check.output, check.errors, report_of(home)):
        assert not password or password not in text
        assert base64.b64encode(f"robin:{password}".encode()).decode() not in text
    if not is_right:
        refused = "does not accept the user and password in NS_URL"
        sentence = refused if password else "a proxy in front of it asks for a user and password"
        assert sentence in run.errors
        assert sentence in check.output
        assert "does not accept NS_SECRET" not in run.errors


def report_of(home: Computer) -> str:
    return (home.folder / "tconnectsync-check-output.log").read_text(encoding="utf-8")
