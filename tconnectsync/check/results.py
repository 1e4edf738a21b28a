"""Steps of a check and what comes of them: each ends as one line, and none stops the others."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import wraps
from typing import Any

import arrow

from tconnectsync.api.clients import TConnectApi
from tconnectsync.api.tandemsource.tokens import TokenCache
from tconnectsync.clock import Clock
from tconnectsync.config.settings import Settings
from tconnectsync.domain.clock import PumpClock, TimeRange
from tconnectsync.errors import TconnectsyncError
from tconnectsync.redact import Redactor

Step = tuple[str, Callable[[], str]]
"""The name of a step and its function, which returns a sentence about its success or raises."""


MOST_NAMED = 5
"""How many kinds of unknown data are named."""


class State(Enum):
    """How a step ended."""

    OK = "ok"
    FAILED = "failed"
    NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Result:
    """What came of a step, in words."""

    step: str
    state: State
    text: str
    exit_code: int = 1
    """The exit code of the check if this step failed."""
    details: tuple[str, ...] = ()
    """Sentences that are shown below it, one per line."""

    def __str__(self) -> str:
        said = f"{self.step + ':':<24} {self.state.value}. {' '.join(self.text.split())}"
        return "\n    ".join([said, *self.details])


class StopError(TconnectsyncError):
    """A step failed and those that follow it depend on it."""

    fatal = True

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        self.exit_code = exit_code
        super().__init__(message)


class NotTriedError(TconnectsyncError):
    """A step cannot be carried out, and that is no failure; the text says why."""


@dataclass
class Findings:
    """What steps found out, for later steps and for the report."""

    redactor: Redactor
    answers: list[tuple[str, object]] = field(default_factory=list, repr=False)
    """The payloads as they came, with what they are."""
    asked_for_events: bool = False
    """Whether the cloud returned the events of the range, possibly none."""
    newest: datetime | None = None
    """The newest instant that the pump's data show."""
    uploaded: datetime | None = None
    """When the pump last uploaded, if that is known."""
    disagreement: str = ""
    """Sentences about where the pump's record of its clock and its zone differ."""
    shows_wrong_date: bool = False
    """Whether the pump's clock is off by days."""
    gapless: bool = False
    """Whether there are data of a kind that comes all the time, so that a gap means something."""
    host_ahead_seconds: float | None = None
    """By how much this computer's clock is ahead of Nightscout's."""
    owner_known: bool = False
    """Whether the cloud returned the names of the account's owner, so that they are hidden."""

    def keep(self, what: str, payload: object) -> None:
        """Keep a payload for the report, and learn what of it must not be shown."""
        self.redactor.learn_from(payload)
        self.answers.append((what, payload))

    def record(
        self, client: object, keep: Callable[[str, Any], None] | None = None, **methods: str
    ) -> None:
        """Keep from now on what some methods of a client return.

        Args:
            client: whose methods.
            keep: does it instead of :meth:`keep`.
            methods: by the name of the method, what its answers are.
        """
        for method, what in methods.items():
            setattr(client, method, _recorded(getattr(client, method), what, keep or self.keep))


@dataclass(frozen=True)
class CheckRequest:
    """What is given to the steps that ask a cloud."""

    api: TConnectApi
    """The clients; they log in when they are first used and do not take a saved login."""
    tokens: TokenCache | None
    """Where the new login takes the place of a saved one, so that it is not one more."""
    settings: Settings
    """What cannot be read has its default, or is empty."""
    pump_clock: PumpClock
    clock: Clock
    """Stands still at the instant that everything is judged by."""
    time_range: TimeRange
    features: Collection[str]
    """Names of what is to be synced."""
    findings: Findings
    """Where to leave what is found."""


def _recorded(
    ask: Callable[..., Any], what: str, keep: Callable[[str, Any], None]
) -> Callable[..., Any]:
    @wraps(ask)
    def asked(*given: Any, **named: Any) -> Any:
        answer = ask(*given, **named)
        keep(what, answer)
        return answer

    return asked


def age_in_words(instant: datetime, now: datetime) -> str:
    """Return how long ago an instant was, such as ``12 minutes ago``."""
    return arrow.get(instant).humanize(arrow.get(now))


def in_words(skipped: Counter[str], *, nothing_found: bool) -> str:
    """Return a sentence about data that was not understood; empty if there is none.

    Raises:
        TconnectsyncError: there is nothing else.
    """
    if not skipped:
        return ""
    named = [f"{what} ({times} times)" for what, times in skipped.most_common(MOST_NAMED)]
    more = f" and {len(skipped) - MOST_NAMED} other kinds" if len(skipped) > MOST_NAMED else ""
    said = f" Not understood: {', '.join(named)}{more}."
    if nothing_found:
        raise TconnectsyncError(f"Nothing in it can be used.{said} A newer tconnectsync is needed.")
    return said


def carry_out(steps: Iterable[Step], findings: Findings) -> Iterator[Result]:
    """Carry out steps one after the other; after a fatal error the rest is not tried."""
    stopped_by = ""
    for name, action in steps:
        if stopped_by:
            yield Result(name, State.NOT_TRIED, f"This step needs one that failed: {stopped_by}.")
            continue
        try:
            yield Result(name, State.OK, action())
        except NotTriedError as reason:
            yield Result(name, State.NOT_TRIED, str(reason))
        except TconnectsyncError as error:
            stopped_by = name if error.fatal else ""
            yield Result(name, State.FAILED, str(error), error.exit_code)
        except Exception as error:
            # The other steps can still find what is wrong.
            findings.answers.append((f"{name}: traceback", traceback.format_exc()))
            text = f"This should not have happened ({type(error).__name__}). Please report it."
            yield Result(name, State.FAILED, text)
