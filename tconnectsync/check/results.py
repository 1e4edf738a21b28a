"""Steps of a check and what comes of them: each ends as one line, and none stops the others."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from tconnectsync.errors import TconnectsyncError
from tconnectsync.redact import Redactor

Step = tuple[str, Callable[[], str]]
"""What a step is called, and what carries it out and says what is well; it may raise."""


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
    """What the check exits with because of it, if it failed."""

    def __str__(self) -> str:
        return f"{self.step + ':':<24} {self.state.value}. {' '.join(self.text.split())}"


class StopError(TconnectsyncError):
    """A step failed and those that follow it depend on it."""

    fatal = True

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        self.exit_code = exit_code
        super().__init__(message)


class NotTriedError(TconnectsyncError):
    """A step cannot be carried out, which is nobody's fault; the text says why."""


@dataclass
class Findings:
    """What steps found out, for later steps and for the report."""

    redactor: Redactor
    answers: list[tuple[str, object]] = field(default_factory=list, repr=False)
    """The payloads as they came, with what they are."""
    asked_for_events: bool = False
    """Whether Tandem told the events of the range, be it that there are none."""
    newest: datetime | None = None
    """The last instant of which the pump's data know."""
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
    """Whether Tandem told the names of the account's owner, so that they could be hidden."""

    def keep(self, what: str, payload: object) -> None:
        """Keep a payload for the report, and learn what of it must not be shown."""
        self.redactor.learn_from(payload)
        self.answers.append((what, payload))


def carry_out(steps: Iterable[Step], findings: Findings) -> Iterator[Result]:
    """Carry out steps one after the other; after a fatal error the rest is not tried."""
    stopped_by = ""
    for name, action in steps:
        if stopped_by:
            yield Result(name, State.NOT_TRIED, f"It needs what failed before: {stopped_by}.")
            continue
        try:
            yield Result(name, State.OK, action())
        except NotTriedError as reason:
            yield Result(name, State.NOT_TRIED, str(reason))
        except TconnectsyncError as error:
            stopped_by = name if error.fatal else ""
            yield Result(name, State.FAILED, str(error), error.exit_code)
        except Exception as error:
            # Whatever else comes, the other steps can still tell what is wrong.
            findings.answers.append((f"{name}: traceback", traceback.format_exc()))
            text = f"This should not have happened ({type(error).__name__}). Please report it."
            yield Result(name, State.FAILED, text)
