"""A password that Tandem has refused is not sent again before something about it changes."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tconnectsync.app import open_refused, open_tandem
from tconnectsync.errors import PasswordRefusedError
from tconnectsync.simulators.loopback import Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tconnectsync.state.record import State
from tests.support.command import (
    EMAIL,
    SECRET,
    Computer,
    computer,
    tandem_source,
)
from tests.support.settings import account, host
from tests.support.virtual_home import DAY, Home, Make

LOGIN = "/accounts/api/login"
WRONG = "tr0ub4dor&3"
AGAIN = "It is not sent again, so that Tandem does not lock the account."


@pytest.fixture
def home(make_home: Make) -> Home:
    """Give a home on the second day of a pump's life, in which a wrong password is set."""
    home = make_home("tandem-source", live(date(2024, 6, 3), 3))
    home.features = ("BASAL", "BOLUS")
    home.go_to(1.5)
    home.changes = {"TCONNECT_PASSWORD": WRONG}
    return home


def sent(home: Home) -> int:
    """Return how often a password was sent to Tandem."""
    return sum(
        entry.request.path in (LOGIN, "/login.aspx")
        for entry in home.tandem.log
        if entry.request.method == "POST"
    )


def recorded(home: Home) -> str:
    """Return the state in the run record."""
    (file,) = (home.folder / ".cache" / "tconnectsync").glob("record-*.json")
    return str(json.loads(file.read_text())["state"])


@pytest.mark.parametrize("source", ["tandem-source", "tconnect"])
def test_no_later_run_sends_a_refused_password(source: str, make_home: Make) -> None:
    home = make_home(source, live(date(2024, 6, 3), 3))
    home.features = ("BASAL", "BOLUS")
    home.go_to(1.5)
    home.changes = {"TCONNECT_PASSWORD": WRONG}
    first = home.run()
    assert (first.code, sent(home)) == (2, 1)
    for arguments in (
        (),
        ("--days", "3"),
        ("--start-date", "2024-06-03", "--end-date", "2024-06-03"),
    ):
        home.wait(3600)
        later = home.run(*arguments)
        assert later.code == 2
        assert f"Tandem refused this password on 2024-06-04. {AGAIN}" in later.errors
        assert "--check-login" in later.errors
        assert "To repeat what failed" not in later.errors
    # t:connect's loop asks the service of the app first, which has a login of its own.
    home.run("--auto-update")
    asked = len(home.tandem.log)
    looped = home.run("--auto-update")
    assert (looped.code, sent(home), len(home.tandem.log)) == (2, 1, asked)
    assert AGAIN in looped.errors
    assert recorded(home) == State.LOGIN_REFUSED


@pytest.mark.parametrize(
    ("name", "value", "tries"),
    [
        ("TCONNECT_PASSWORD", "another", 2),
        ("TCONNECT_EMAIL", "other@example.org", 2),
        ("TCONNECT_EMAIL", EMAIL.upper(), 1),
        ("CACHE_CREDENTIALS", "false", 1),
    ],
)
def test_what_is_another_try_is_sent(home: Home, name: str, value: str, tries: int) -> None:
    home.run()
    assert home.run(**{name: value}).code == 2
    assert sent(home) == tries


def test_another_region_is_another_try(home: Home) -> None:
    home.run()
    # Where it is served is the same here, so that only the region differs.
    home.run(TCONNECT_REGION="EU")
    assert sent(home) == 2


def test_the_right_password_works_at_once_and_the_wrong_one_stays_known(home: Home) -> None:
    home.run()
    home.changes = {}
    assert home.run().code == 0
    assert home.run(TCONNECT_PASSWORD=WRONG, CACHE_CREDENTIALS="false").code == 2
    assert sent(home) == 2


def test_a_check_tries_it_all_the_same_and_clears_the_memory_when_it_works(home: Home) -> None:
    home.run()
    home.run("--check-login")
    assert sent(home) == 2
    assert AGAIN in home.run().errors
    assert isinstance(home.tandem, SimulatedTandemSource)
    # The person has set in their account what stands in the settings.
    home.tandem.login.accept(WRONG)
    assert AGAIN in home.run().errors
    home.run("--check-login")
    assert home.run().code == 0
    home.tandem.login.tokens.clear()
    assert home.run().code == 0
    assert sent(home) == 4


@pytest.mark.parametrize(
    "answer",
    [
        Response(b"<html>The request is blocked.</html>", 403, "text/html"),
        Response(b"<html>Down for maintenance</html>", 200, "text/html"),
        Response(b"", 503),
        Response(b'{"error": "unauthorized_client"}', 400),
        Response(b'{"status": "TERMS"}', 200),
        Response(b"<html>Prove that you are human.</html>", 401, "text/html"),
        Response(b'{"error": "account/mfa_required"}', 401),
    ],
    ids=["firewall", "maintenance", "outage", "region", "terms", "captcha", "second factor"],
)
def test_nothing_else_that_goes_wrong_counts_as_a_refusal(home: Home, answer: Response) -> None:
    home.tandem.fault = lambda it: answer if it.path == LOGIN else None
    home.changes = {}
    assert home.run().code == 1
    home.tandem.fault = None
    home.wait(3600)
    assert home.run().code == 0


def test_a_locked_account_is_left_alone_for_as_long_as_tandem_says(home: Home) -> None:
    text = {"error": "account/locked_out", "message": "Try again in 45 minutes."}
    locked = Response(json.dumps(text).encode(), 423)
    home.tandem.fault = lambda it: locked if it.path == LOGIN else None
    home.changes = {}
    assert home.run().code == 2
    home.tandem.fault = None
    home.wait(44 * 60)
    later = home.run()
    assert (later.code, sent(home)) == (2, 1)
    assert "Tandem has locked the account until 12:45" in later.errors
    home.wait(2 * 60)
    assert home.run().code == 0


def test_a_lock_of_an_hour_does_not_last_longer_where_the_clock_was_wrong(home: Home) -> None:
    text = {"error": "account/locked_out", "message": "Try again in 45 minutes."}
    locked = Response(json.dumps(text).encode(), 423)
    home.tandem.fault = lambda it: locked if it.path == LOGIN else None
    home.changes = {}
    now, home.now = home.now, home.now + 300 * DAY
    assert home.run().code == 2
    home.tandem.fault = None
    home.now = now
    assert home.run().code == 0


def test_neither_password_nor_address_can_be_read_from_what_is_remembered(home: Home) -> None:
    home.run()
    (file,) = (home.folder / ".cache" / "tconnectsync").glob("tandem-refused-*.json")
    text = file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert set(json.loads(text)) == {"salt", "refused"}
    for secret in (WRONG, EMAIL, EMAIL.partition("@")[0], home.tandem.url, "Tandem Source"):
        assert secret.lower() not in text.lower()


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{", '{"refused": 1, "salt": "00"}', '{"refused": {}}'),
        *('{"refused": {"a": 1}, "salt": 1}', '{"refused": {"a": 1}, "salt": "zz"}'),
    ],
)
def test_a_damaged_memory_counts_as_none(home: Home, text: str) -> None:
    home.run()
    (file,) = (home.folder / ".cache" / "tconnectsync").glob("tandem-refused-*.json")
    file.write_text(text)
    assert home.run().code == 2
    assert sent(home) == 2
    assert home.run().code == 2
    assert sent(home) == 2
    file.write_text(text)
    home.changes = {}
    assert home.run().code == 0


def test_where_nothing_can_be_kept_nothing_breaks_and_this_process_still_knows(
    tmp_path: Path,
) -> None:
    with tandem_source(live(date(2024, 6, 3), 1)) as tandem:
        settings = account(
            EMAIL,
            WRONG,
            sso_url=tandem.sso_url,
            accounts_url=tandem.accounts_url,
            source_url=tandem.source_url,
        )
        nowhere, somewhere = host(), host(tmp_path)
        for _ in range(2):
            with pytest.raises(PasswordRefusedError):
                open_tandem(settings, nowhere).tandemsource.pumper()
        assert [entry.request.path for entry in tandem.log].count(LOGIN) == 1
        with pytest.raises(PasswordRefusedError):
            open_tandem(settings, nowhere, insist=True).tandemsource.pumper()
        assert [entry.request.path for entry in tandem.log].count(LOGIN) == 2
    assert (open_refused(nowhere).can_remember, open_refused(somewhere).can_remember) == (
        False,
        True,
    )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[tuple[Computer, SimulatedTandemSource]]:
    """Give a computer on which the installed command runs as processes of their own."""
    with (
        tandem_source(live(date(2024, 6, 3), 1)) as tandem,
        SmallNightscout(SECRET) as site,
    ):
        yield computer(tmp_path, tandem, site.url, SECRET), tandem


def test_processes_share_what_they_know(desk: tuple[Computer, SimulatedTandemSource]) -> None:
    here, tandem = desk
    runs = [here.run(TCONNECT_PASSWORD=WRONG) for _ in range(3)]
    assert [run.code for run in runs] == [2, 2, 2]
    assert AGAIN in runs[-1].errors
    assert [entry.request.path for entry in tandem.log].count(LOGIN) == 1
    assert here.run("--check-login", TCONNECT_PASSWORD=WRONG).code != 0
    assert [entry.request.path for entry in tandem.log].count(LOGIN) == 2
