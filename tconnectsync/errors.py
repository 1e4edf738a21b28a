"""Everything that can go wrong, as one small tree.

The text of an error is a sentence for the person who reads it: what happened, what it means, what
to do. Each class knows the exit code it leads to and whether trying again later can help.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from typing import Any, Self


class Side(Enum):
    """The two sides that the program stands between."""

    TANDEM = "Tandem"
    NIGHTSCOUT = "Nightscout"


class TconnectsyncError(Exception):
    """The root: anything we raise on purpose."""

    exit_code: int = 1
    """What the program exits with when this error ends it."""

    can_retry: bool = False
    """Whether the same call may succeed later although nothing is changed."""

    fatal: bool = False
    """Whether continuing with the next feature or window is pointless or harmful."""

    needs_a_person: bool = False
    """Whether the same command fails until a person has changed a setting."""

    shorter_may_help: bool = False
    """Whether one bad day may be the reason: the cloud answered, but with nothing usable."""

    @property
    def is_repeatable(self) -> bool:
        """Whether the same command may later do what it could not do now.

        It cannot where a person or a newer version has to change something first.
        """
        return self.can_retry and not self.needs_a_person

    def reworded(self, text: str) -> Self:
        """Return an error of the same kind with another text."""
        other = type(self).__new__(type(self), text)
        other.__dict__.update(self.__dict__)
        return other


class UsageError(TconnectsyncError):
    """The command line asks for something impossible."""

    exit_code = 2


class ConfigError(TconnectsyncError):
    """The configuration is incomplete or wrong; carries every problem found, not just the first."""

    exit_code = 2

    def __init__(
        self, problems: Sequence[str], advice: Sequence[str] = (), variables: Sequence[str] = ()
    ) -> None:
        self.problems = tuple(problems)
        self.variables = tuple(variables)
        """The variables that have to be corrected, as far as there are some."""
        self.advice = tuple(advice)
        """Sentences about all of them, such as which file was read."""
        super().__init__("\n".join(self.problems))


class IncompleteError(TconnectsyncError):
    """Part of what the pump did could not be read or understood; the rest has been given."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        """A sentence for each thing that is missing."""
        super().__init__("\n".join(self.problems))


class LogFileError(TconnectsyncError):
    """A file that is to be imported holds no pump log, or one that is damaged or cut short."""

    exit_code = 2


class NetworkError(TconnectsyncError):
    """No usable answer: no connection, cut in the middle, or too slow; ``side`` says from where."""

    def __init__(
        self,
        message: str,
        *,
        can_retry: bool = True,
        fatal: bool = False,
        side: Side = Side.TANDEM,
    ) -> None:
        self.side = side
        self.can_retry = can_retry
        self.fatal = fatal or self.fatal
        super().__init__(message)


class UnreachableError(NetworkError):
    """The service cannot be reached at the address that a person has given.

    It ends a run at once. A loop waits: names are not found while a computer starts.
    """

    fatal = True
    needs_a_person = True


class _AnswerError(TconnectsyncError):
    """A service answered, but not with what was asked for.

    ``status`` is the HTTP status code, or ``None`` when the answer was 200 but unusable.
    ``can_retry`` follows from it unless it is given: trouble on the server's side passes, a refusal
    does not.
    """

    def __init__(
        self, message: str, status: int | None = None, *, can_retry: bool | None = None
    ) -> None:
        self.status = status
        if can_retry is None:
            can_retry = status is not None and (status == 429 or status >= 500)
        self.can_retry = can_retry
        if status is not None:
            stop = "." if message.endswith(".") else ""
            message = f"{message.removesuffix('.')} (HTTP {status}){stop}"
        super().__init__(message)

    @property
    def is_repeatable(self) -> bool:
        """See :attr:`TconnectsyncError.is_repeatable`; a refusal may be lifted again."""
        is_refusal = self.status is not None and not self.fatal
        return (self.can_retry or is_refusal) and not self.needs_a_person


class ApiError(_AnswerError):
    """Tandem's cloud answered with something else than the data asked for.

    ``divisible`` says whether it may help to ask for a shorter range, ``changed`` whether the
    answer has a form that this version does not know.
    """

    def __init__(
        self,
        message: str,
        status: int | None = None,
        *,
        can_retry: bool | None = None,
        divisible: bool = True,
        changed: bool = False,
    ) -> None:
        self.divisible = divisible
        self.changed = changed
        self.shorter_may_help = divisible and status in (None, 500)
        super().__init__(message, status, can_retry=can_retry)


class LoginError(ApiError):
    """The login was refused or could not be completed.

    ``can_retry`` separates trouble, which passes, from wrong credentials, which lock people out.
    """

    fatal = True


class PasswordRefusedError(LoginError):
    """Tandem does not accept the e-mail address and password, or has locked the account.

    ``locked_for`` says for how long, if Tandem does.
    """

    exit_code = 2
    needs_a_person = True

    def __init__(
        self, message: str, status: int | None = None, *, locked_for: timedelta | None = None
    ) -> None:
        self.locked_for = locked_for
        super().__init__(message, status, can_retry=False)


class PumpChoiceError(ApiError):
    """A person has to say which pump of the account is meant before anything can be written."""

    exit_code = 2
    fatal = True

    def __init__(self, message: str) -> None:
        super().__init__(message, can_retry=False, divisible=False)


class ClockContradictionError(TconnectsyncError):
    """The pump's data contradict its clock's zone, so what would be written has wrong times.

    ``can_retry`` says whether the next upload of the pump may show that all is well.
    """

    exit_code = 2
    fatal = True
    needs_a_person = True

    def __init__(self, message: str, *, can_retry: bool) -> None:
        self.can_retry = can_retry
        super().__init__(message)


class FirewallError(ApiError):
    """Nothing may be sent to Tandem for a while: its firewall blocks this address, or soon would.

    Asking again soon prolongs a block. ``wait`` says for how many seconds, if that is known.
    """

    fatal = True

    def __init__(self, message: str, *, wait: float | None = None) -> None:
        self.wait = wait
        super().__init__(message, can_retry=True)


class NightscoutError(_AnswerError):
    """Nightscout refused a request or answered something unusable."""


class NightscoutLoginError(NightscoutError):
    """Nightscout does not accept the secret; every further try slows the whole site down."""

    fatal = True


class ProxyLoginError(NightscoutLoginError):
    """What stands in front of Nightscout asks for a login of its own; the secret may be right."""


class NightscoutAddressError(NightscoutError):
    """What answers at NS_URL is not Nightscout. Ends a run at once; a loop waits."""

    fatal = True
    needs_a_person = True

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message, status, can_retry=True)


class SiteDownError(NightscoutError):
    """Another server answers instead of the site: its host, or a proxy in front of it."""

    fatal = True

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message, status, can_retry=True)


class MissingRightError(NightscoutError):
    """Nightscout knows the access token, but its role lacks a right; the rest may go on.

    ``right`` is the line that the role needs, such as ``api:treatments:update``.
    """

    needs_a_person = True

    def __init__(self, message: str, right: str) -> None:
        self.right = right
        super().__init__(message)
        self.status = 401


class UnprovenWriteError(NightscoutError):
    """Nightscout took a write but does not show that all of it was stored.

    ``missing`` are the documents that were also not found afterwards.
    """

    def __init__(
        self, message: str, missing: Sequence[Mapping[str, Any]], status: int | None = None
    ) -> None:
        self.missing = tuple(missing)
        super().__init__(message, status, can_retry=True)


def code_of_all(codes: Iterable[int]) -> int:
    """Return the exit code for several people: that of all if it is the same, else 1."""
    found = set(codes)
    return found.pop() if len(found) == 1 else 1
