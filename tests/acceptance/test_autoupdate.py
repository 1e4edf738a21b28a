"""The loop of --auto-update: the polls, waits and log lines recorded.

Times are those of a clock that only waiting moves. Where a case sets nothing, it means the defaults
of the older program, not ours.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, fields
from typing import Any

import pytest

from tconnectsync.clock import Clock
from tconnectsync.config.settings import LoopSettings
from tconnectsync.sync.loop.step import Actions, LoopState, step
from tconnectsync.sync.run.outcome import Outcome
from tests.acceptance.cases import cases, exception, load

RECORDED = "autoupdate.cases.json"
UNLIMITED = 0
"""Fault tolerance is ours; no case has a fault."""


@dataclass
class Course:
    """What a loop did."""

    exit_code: int = -1
    loop_invocations: int = 0
    last_event_index: int | None = None
    sync_calls: int = 0
    updates_timed: int = 0
    log_classes: list[list[str]] = field(default_factory=list)
    sleeps_seconds: list[float] = field(default_factory=list)
    new_logins: int = 0


def settings_of(case: dict[str, Any]) -> LoopSettings:
    values = {
        "AUTOUPDATE_API_FAILURE_MINUTES": UNLIMITED,
        "AUTOUPDATE_THREADS": 1,
        **load("config_defaults.expected.json"),
        **case["settings"],
    }
    names = {each.name: f"AUTOUPDATE_{each.name.upper()}" for each in fields(LoopSettings)}
    return LoopSettings(**{name: values[variable] for name, variable in names.items()})


SENTENCES = {
    "AutoupdateNoIndexChangeWarning": "An upload of the pump is overdue;",
    "AutoupdateNoEventIndexesDetectedError": "The pump has uploaded nothing for ",
    "AutoupdateFailureWarning": "The pump has uploaded, but none of its data is new ",
    "AutoupdateFailureError": "The pump uploads, but for ",
}
"""How we say what the recorded program called by the names of its errors."""


def follow(case: dict[str, Any], caplog: pytest.LogCaptureFixture) -> Course:
    """Step through what the case says, and return what the loop did.

    The recorded program also slept after its last round, ours ends. So the pauses are taken from
    the steps.
    """
    course = Course()
    polls = [each for each in case["max_pump_event_index_per_poll"] if isinstance(each, int)]
    added = list(case["items_added_per_sync"])
    answers = iter(polls)

    def run_cycle() -> Outcome:
        course.sync_calls += 1
        return Outcome(created=added.pop(0) if added else 0)

    def force_login() -> None:
        course.new_logins += 1

    settings = settings_of(case)
    state = LoopState(settings, 0.0, pretend=case["pretend"])
    clock = Clock(monotonic=lambda: sum(course.sleeps_seconds), jitter=lambda: 0.0)
    actions = Actions(lambda: next(answers, polls[-1]), run_cycle, force_login)
    with caplog.at_level(logging.WARNING, "tconnectsync"):
        while len(course.sleeps_seconds) != settings.max_loop_invocations:
            following = step(state, actions, clock)
            if following.exit_code is not None:
                course.exit_code = following.exit_code
                break
            course.sleeps_seconds.append(following.pause)
        else:
            course.exit_code = 0
    course.last_event_index = state.index
    course.updates_timed = len(state.rhythm.gaps)
    course.loop_invocations = len(course.sleeps_seconds)
    course.log_classes = [
        [record.levelname.lower(), name]
        for record in caplog.records
        for name, begin in SENTENCES.items()
        if record.getMessage().startswith(begin)
    ]
    return course


def check(case: dict[str, Any], course: Course) -> None:
    wanted = {name: value for name, value in case["expected"].items() if name != "note"}
    new_logins = len(wanted.pop("api_client_recreated_with", []))
    assert {name: getattr(course, name) for name in wanted} == wanted
    assert course.new_logins == new_logins


@pytest.mark.parametrize("case", cases(RECORDED))
def test_the_loop_polls_waits_and_warns_as_recorded(
    case: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    check(case, follow(case, caplog))


def test_pretending_plans_every_cycle(caplog: pytest.LogCaptureFixture) -> None:
    case = exception("autoupdate.cases.json", "process_time_range_never_called_with_pretend")
    course = follow(case, caplog)
    assert course.sync_calls == 1
    case["expected"]["sync_calls"] = 1
    check(case, course)
