"""Stands between an account and Tandem: what must not be sent now is not sent.

A password that was refused is not sent again until something about it changes. Logins are spread,
and after a block by the firewall all accounts of an address rest.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from math import ceil

from tconnectsync.api.answers import raise_if_blocked
from tconnectsync.api.session import AnyLogin
from tconnectsync.config.settings import TandemSettings
from tconnectsync.errors import FirewallError, PasswordRefusedError
from tconnectsync.exchange import Answer
from tconnectsync.state import pace, refused
from tconnectsync.state.pace import Pace
from tconnectsync.state.refused import Refusal, RefusedPasswords
from tconnectsync.state.shared import SharedFile

MINUTE, RESOLUTION = timedelta(minutes=1), timedelta.resolution


class LoginGuard:
    """Decides for one account whether a request or a login may be sent, and learns from answers.

    Args:
        account: whose requests.
        refused: the passwords that were refused.
        address: its logins and rests.
        now: returns the current instant, aware.
        insist: whether a person wants to know if a login works: then also a password is sent that
            was refused before.
    """

    def __init__(
        self,
        account: TandemSettings,
        refused: RefusedPasswords,
        address: Pace,
        now: Callable[[], datetime],
        *,
        insist: bool = False,
    ) -> None:
        self._account = account
        self._refused = refused
        self._address = address
        self._now = now
        self._insist = insist

    def before_request(self) -> None:
        """Let a request pass.

        Raises:
            FirewallError: the address rests after a block.
        """
        if until := self._address.rests_until():
            raise self._not_before(
                until, "Tandem's firewall has blocked this address, so all accounts wait."
            )

    def after_answer(self, answer: Answer) -> None:
        """Look at an answer, whatever its status.

        Raises:
            FirewallError: it is a page of the firewall.
        """
        try:
            raise_if_blocked(answer)
        except FirewallError as error:
            raise self._not_before(self._address.blocked(), str(error)) from None
        if "Authorization" in answer.sent and answer.status_code == 200:
            self._address.worked()

    def log_in(self, service: str, address: str, make: Callable[[], AnyLogin]) -> AnyLogin:
        """Return a new login, and remember whether the password was accepted.

        Args:
            service: names the login service.
            address: where it is.
            make: makes the login.

        Raises:
            PasswordRefusedError: the password is refused, or was refused before and is not sent.
            FirewallError: too many logins were sent from this address lately; nothing is sent.
            TconnectsyncError: what else ``make`` raises.
        """
        sent = self._sent(service, address)
        if not self._insist and (before := self._refused.find(sent)):
            raise self._still_refused(before)
        self.before_request()
        if until := self._address.count_login(insist=self._insist):
            raise self._not_before(
                until,
                "Many logins were sent to Tandem from this address in the last minutes, and its "
                "firewall blocks addresses that send too many. So this one waits.",
            )
        try:
            login = make()
        except PasswordRefusedError as error:
            self._address.worked()
            self._refused.remember(sent, error.locked_for)
            raise
        self._address.worked()
        self._refused.forget(sent)
        return login

    def forget(self, service: str, address: str) -> bool:
        """Let the password be sent again; return whether it was refused before."""
        return self._refused.forget(self._sent(service, address))

    def _sent(self, service: str, address: str) -> tuple[str, ...]:
        account = self._account
        return account.email.strip().lower(), account.password, service, account.region, address

    def _not_before(self, until: datetime, why: str) -> FirewallError:
        seconds = max((until - self._now()).total_seconds(), 1.0)
        return FirewallError(
            f"{why} Nothing is sent to Tandem before {self._clock(until)}. Nothing is lost: what "
            "is missing comes after that by itself.",
            wait=ceil(seconds),
        )

    def _still_refused(self, before: Refusal) -> PasswordRefusedError:
        advice = (
            "Correct TCONNECT_PASSWORD (or TCONNECT_EMAIL or the region), or run "
            "“tconnectsync --check-login” to try it once more."
        )
        if before.until:
            what = f"Tandem has locked the account until {self._clock(before.until)}"
        else:
            what = f"Tandem refused this password on {self._day(before.at)}"
        return PasswordRefusedError(
            f"{what}. It is not sent again, so that Tandem does not lock the account. No insulin "
            f"data arrives until then. {advice}"
        )

    def _day(self, at: datetime) -> str:
        return f"{at.astimezone(self._account.zone):%Y-%m-%d}"

    def _clock(self, at: datetime) -> str:
        # Rounded up, so that it is over at the time that is said.
        whole = (at + MINUTE - RESOLUTION).replace(second=0, microsecond=0)
        here, today = (each.astimezone(self._account.zone) for each in (whole, self._now()))
        return f"{here:%H:%M}" if here.date() == today.date() else f"{here:%Y-%m-%d %H:%M}"


def open_guard(
    account: TandemSettings,
    now: Callable[[], datetime],
    shared: Callable[[str], SharedFile] = lambda name: SharedFile(name, ()),
    *,
    insist: bool = False,
) -> LoginGuard:
    """Return the guard of an account; ``shared`` returns the file with a name.

    Unless it is given, nothing is shared or kept. See :class:`LoginGuard` for the rest.
    """
    passwords = RefusedPasswords(shared(refused.FILE_NAME), now)
    who = account.email.strip().lower()
    address = Pace(shared(pace.FILE_NAME), who, account.proxy, now)
    return LoginGuard(account, passwords, address, now, insist=insist)
