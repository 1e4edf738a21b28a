"""The step of a check that logs in, as both of Tandem's clouds have it."""

from __future__ import annotations

from collections.abc import Callable

from tconnectsync.api.locked import LOCKED
from tconnectsync.api.session import AnyLogin, LoginKeeper
from tconnectsync.check.results import Findings, StopError
from tconnectsync.errors import LoginError, NetworkError, TconnectsyncError

WAIT = (
    "The account is locked. Do not try again for half an hour; if it stays locked, use “Forgot "
    "password” on Tandem's web site."
)


def log_in(
    logins: LoginKeeper[AnyLogin], advice: Callable[[LoginError], str], findings: Findings
) -> AnyLogin:
    """Return a login, after learning its token to hide it.

    Args:
        logins: makes it.
        advice: says what to do about a failed one.
        findings: knows what is to be hidden.

    Raises:
        StopError: it failed; with the reason and what to do.
    """
    try:
        login = logins.current()
    except LoginError as error:
        raise StopError(f"{str(error).removesuffix('.')}. {advice(error)}") from error
    except NetworkError as error:
        raise StopError(
            f"{error} Check the connection of this computer and REQUESTS_PROXY, and that no "
            "firewall of its network blocks Tandem."
        ) from error
    except TconnectsyncError as error:
        raise StopError(str(error)) from error
    findings.redactor.learn("TOKEN", login.token.value)
    return login


def is_locked(error: LoginError) -> bool:
    """Return whether the account is locked, going by what the service said."""
    return LOCKED.search(str(error).lower()) is not None
