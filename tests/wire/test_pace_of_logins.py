"""Logins are spread over time, and after a block by the firewall all accounts rest."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tconnectsync.api.clients import TConnectApi
from tconnectsync.app import Host, open_tandem
from tconnectsync.clock import Clock
from tconnectsync.config.settings import TandemSettings
from tconnectsync.errors import FirewallError, PasswordRefusedError, TconnectsyncError
from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tconnectsync.state.pace import MOST_LOGINS, REST, SPAN, TRIAL
from tconnectsync.state.record import State
from tests.support.command import EMAIL, PASSWORD, SECRET, computer, tandem_source
from tests.support.settings import account, host
from tests.support.virtual_home import Home, Make

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
LOGIN = "/accounts/api/login"
SECOND = timedelta(seconds=1)
BLOCKED = Response(b"<html><h2>The request is blocked.</h2></html>", 403, "text/html")


@dataclass
class Desk:
    """Several accounts at one cloud, which knows one person, on a clock that the test sets."""

    folder: Path | None
    tandem: SimulatedTandemSource
    now: datetime = NOON
    host: Host = field(init=False)

    def __post_init__(self) -> None:
        clock = Clock(now=lambda: self.now, sleep=lambda seconds: None, jitter=lambda: 0.0)
        self.host = host(self.folder, clock)
        self.tandem.login.now = lambda: self.now

    def settings(self, number: int, **changes: str) -> TandemSettings:
        """Return the settings of an account; all but number 0 are unknown to the cloud."""
        return account(
            f"{number}.{EMAIL}" if number else EMAIL,
            PASSWORD,
            cache_credentials=False,
            sso_url=self.tandem.sso_url,
            accounts_url=self.tandem.accounts_url,
            source_url=self.tandem.source_url,
            **changes,
        )

    def api(self, number: int = 0, *, insist: bool = False, **changes: str) -> TConnectApi:
        """Return the clients of an account, as another run makes them."""
        return open_tandem(self.settings(number, **changes), self.host, insist=insist)

    def ask(self, api: TConnectApi) -> type[TconnectsyncError] | None:
        """Ask for the pumps; return what kind of error came."""
        try:
            api.tandemsource.pumper()
        except TconnectsyncError as error:
            return type(error)
        return None

    @property
    def sent(self) -> int:
        """How many passwords were sent."""
        return sum(entry.request.path == LOGIN for entry in self.tandem.log)


@pytest.fixture(params=[True, False], ids=["kept in a file", "kept nowhere"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """Give accounts on a computer with or without a folder for files."""
    with tandem_source(live(date(2026, 11, 1), 1)) as tandem:
        yield Desk(tmp_path if request.param else None, tandem)


# The budget


def test_an_account_that_has_the_address_to_itself_is_never_hindered(desk: Desk) -> None:
    for _ in range(MOST_LOGINS + 5):
        assert desk.ask(desk.api()) is None


def test_the_accounts_of_an_address_share_a_budget_and_hear_when_there_is_room(desk: Desk) -> None:
    for number in range(1, MOST_LOGINS + 1):
        assert desk.ask(desk.api(number)) is PasswordRefusedError
        desk.now += SECOND
    with pytest.raises(FirewallError) as error:
        desk.api().tandemsource.pumper()
    assert desk.sent == MOST_LOGINS
    assert error.value.can_retry
    room = NOON + SPAN
    assert error.value.wait == (room - desk.now).total_seconds()
    assert f"before {room:%H:%M}" in str(error.value)
    desk.now = room
    assert desk.ask(desk.api()) is None
    assert desk.ask(desk.api(99)) is FirewallError


def test_a_check_is_never_hindered_but_counts(desk: Desk) -> None:
    for number in range(1, MOST_LOGINS + 1):
        desk.ask(desk.api(number, insist=True))
    assert desk.ask(desk.api()) is FirewallError
    assert desk.ask(desk.api(insist=True)) is None


def test_many_threads_together_keep_to_the_budget(desk: Desk) -> None:
    apis = [desk.api(number) for number in range(1, MOST_LOGINS + 11)]
    threads = [threading.Thread(target=desk.ask, args=(api,)) for api in apis]
    for each in threads:
        each.start()
    for each in threads:
        each.join(timeout=300)
    assert desk.sent == MOST_LOGINS


# The rest after a block


def block(desk: Desk, *paths: str) -> None:
    """Let the firewall block what is asked for."""

    def fault(request: Request) -> Response | None:
        return BLOCKED if not paths or request.path in paths else None

    desk.tandem.fault = fault


def test_a_block_rests_all_accounts_of_the_address_without_a_request(desk: Desk) -> None:
    has_logged_in, other = desk.api(), desk.api(1)
    assert desk.ask(has_logged_in) is None
    block(desk)
    assert desk.ask(other) is FirewallError
    desk.tandem.fault = None
    asked = len(desk.tandem.log)
    desk.now += REST - SECOND
    for api in (has_logged_in, other, desk.api(), desk.api(insist=True)):
        with pytest.raises(FirewallError, match="before 12:30") as error:
            api.tandemsource.pumper()
        assert error.value.wait == 1
    assert len(desk.tandem.log) == asked


def test_accounts_behind_a_proxy_have_another_address(desk: Desk) -> None:
    block(desk)
    assert desk.ask(desk.api()) is FirewallError
    desk.tandem.fault = None
    # The simulated cloud stands for the proxy, too: what counts is that it is asked.
    asked = len(desk.tandem.log)
    desk.ask(desk.api(proxy=desk.tandem.url))
    assert len(desk.tandem.log) > asked


def test_after_the_rest_one_tries_first_and_the_others_follow_when_it_has_worked(
    desk: Desk,
) -> None:
    block(desk)
    first, second = desk.api(), desk.api()
    assert desk.ask(first) is FirewallError
    desk.now += REST
    meanwhile: list[type[TconnectsyncError] | None] = []

    def fault(request: Request) -> None:
        if request.path == LOGIN and not meanwhile:
            meanwhile.append(desk.ask(second))

    desk.tandem.fault = fault
    assert desk.ask(first) is None
    assert meanwhile == [FirewallError]
    assert desk.ask(second) is None


def test_a_first_try_that_is_blocked_again_begins_another_rest(desk: Desk) -> None:
    # What is harmless gets through; the login does not.
    block(desk, LOGIN)
    for round_ in range(3):
        assert desk.ask(desk.api()) is FirewallError
        assert desk.sent == round_ + 1
        assert desk.ask(desk.api()) is FirewallError
        assert desk.sent == round_ + 1
        desk.now += REST
    desk.tandem.fault = None
    assert desk.ask(desk.api()) is None


def test_a_first_try_that_never_ends_does_not_stop_the_others_for_long(desk: Desk) -> None:
    block(desk)
    desk.ask(desk.api())
    desk.now += REST
    desk.tandem.fault = lambda request: Response(b"", 500)
    assert desk.ask(desk.api()) is not FirewallError
    desk.tandem.fault = None
    assert desk.ask(desk.api()) is FirewallError
    desk.now += TRIAL
    assert desk.ask(desk.api()) is None


def test_a_first_try_whose_password_is_refused_lets_the_others_go_on_and_rests_again(
    desk: Desk,
) -> None:
    block(desk)
    first, second = desk.api(1), desk.api()
    assert desk.ask(second) is FirewallError
    desk.now += REST
    desk.tandem.fault = None
    assert desk.ask(first) is PasswordRefusedError
    assert desk.ask(second) is None
    block(desk)
    assert desk.ask(second) is FirewallError
    before = len(desk.tandem.log)
    assert desk.ask(first) in (FirewallError, PasswordRefusedError)
    assert len(desk.tandem.log) == before


def test_who_tried_first_after_a_rest_keeps_the_next_one(desk: Desk) -> None:
    block(desk)
    first, second = desk.api(), desk.api()
    assert desk.ask(second) is FirewallError
    desk.now += REST
    desk.tandem.fault = lambda request: Response(b"", 500)
    assert desk.ask(first) is not FirewallError
    desk.now += TRIAL
    block(desk)
    assert desk.ask(second) is FirewallError
    before = len(desk.tandem.log)
    assert desk.ask(first) is FirewallError
    assert len(desk.tandem.log) == before


def test_a_time_from_a_clock_that_was_wrong_stops_nothing(desk: Desk) -> None:
    block(desk)
    desk.now = NOON + timedelta(days=400)
    assert desk.ask(desk.api()) is FirewallError
    desk.tandem.fault = None
    desk.now = NOON
    assert desk.ask(desk.api()) is None


def test_nothing_personal_is_kept(tmp_path: Path) -> None:
    with tandem_source(live(date(2026, 11, 1), 1)) as tandem:
        desk = Desk(tmp_path, tandem)
        desk.ask(desk.api())
        proxy = tandem.url.replace("//", "//someone:secret@")
        desk.ask(desk.api(proxy=proxy))
    (file,) = (tmp_path / ".cache" / "tconnectsync").glob("tandem-addresses.json")
    for secret in (EMAIL, EMAIL.partition("@")[0], PASSWORD, "someone", "secret"):
        assert secret not in file.read_text()


# Runs


def recorded(home: Home) -> str:
    """Return the state in the run record."""
    (file,) = (home.folder / ".cache" / "tconnectsync").glob("record-*.json")
    return str(json.loads(file.read_text())["state"])


@pytest.mark.parametrize("source", ["tandem-source", "tconnect"])
def test_a_run_in_the_rest_ends_with_the_time_and_without_a_request(
    source: str, make_home: Make
) -> None:
    home = make_home(source, live(date(2024, 6, 3), 3))
    home.features = ("BASAL", "BOLUS")
    home.go_to(1.5)
    page = Response(b"<html><h3>Web Page Blocked!</h3>Attack ID: 1</html>", 200, "text/html")
    home.tandem.fault = lambda request: page
    assert home.run().code == 1
    home.tandem.fault = None
    asked = len(home.tandem.log)
    home.wait(20 * 60)
    later = home.run()
    assert (later.code, len(home.tandem.log)) == (1, asked)
    assert "Nothing is sent to Tandem before 12:3" in later.errors
    assert recorded(home) == State.BLOCKED
    home.wait(11 * 60)
    assert home.run().code == 0


def test_the_loop_goes_on_after_the_rest_that_is_left(make_home: Make) -> None:
    home = make_home("tandem-source", live(date(2024, 6, 3), 3))
    home.features = ("BASAL", "BOLUS")
    home.go_to(1.5)
    home.tandem.fault = lambda request: BLOCKED
    assert home.run().code == 1
    home.tandem.fault = None
    home.wait(20 * 60)
    ran = home.auto_update(1.53)
    assert re.search("Trying again in 1[01] minutes", ran.errors)
    assert home.site.treatments


def test_processes_share_what_they_know_of_a_block(tmp_path: Path) -> None:
    with (
        tandem_source(live(date(2024, 6, 3), 1)) as tandem,
        SmallNightscout(SECRET) as site,
    ):
        here = computer(tmp_path, tandem, site.url, SECRET)
        tandem.fault = lambda request: BLOCKED
        assert here.run().code == 1
        asked = len(tandem.log)
        other = replace(here, variables={**here.variables, "TCONNECT_EMAIL": "other@example.org"})
        assert [other.run().code, here.run("--check-login").code] == [1, 1]
        assert len(tandem.log) == asked
