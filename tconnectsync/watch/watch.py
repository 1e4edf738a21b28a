"""After every run and every round: the run record, and whatever follows from it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from tconnectsync.errors import TconnectsyncError
from tconnectsync.state.record import RecordFile, RunRecord, State
from tconnectsync.sync.loop.step import Round
from tconnectsync.sync.run.outcome import Outcome
from tconnectsync.watch.states import state_of

log = logging.getLogger(__name__)


class Watch:
    """Keeps the run record of one person.

    Args:
        file: where it is kept.
        now: returns the current instant, aware.
        redact: removes secrets and personal data from a text.
        person: the name of the person's settings; empty where there is one only.
        continuous: whether the loop runs, not a single run.
    """

    def __init__(
        self,
        file: RecordFile,
        now: Callable[[], datetime],
        redact: Callable[[str], str],
        *,
        person: str = "",
        continuous: bool = False,
    ) -> None:
        self._file = file
        self._now = now
        self._redact = redact
        self._person = person
        self._continuous = continuous

    def after_run(self, outcome: Outcome) -> None:
        """Record a run or a round of the loop that came to its end."""
        worst = next((each.error for each in outcome.failures), None)
        missing = [str(each.error) for each in outcome.failures]
        missing += [each.text for each in outcome.remarks if each.missing]
        state = State.OK if outcome.is_complete else State.INCOMPLETE
        if any(each.changed for each in outcome.remarks):
            state = State.TANDEM_CHANGED
        self._keep(
            state_of(worst) if worst else state,
            missing,
            written=dict(outcome.written),
            newest_event=max(outcome.newest.values(), default=None),
            deferred=len(outcome.deferred),
        )

    def after_round(self, done: Round) -> None:
        """Record a round of the loop; one that had nothing to do leaves the state as it was."""
        if done.error:
            self.after_error(done.error)
        elif done.outcome:
            self.after_run(done.outcome)
        elif done.silent_minutes is not None:
            text = f"The pump has uploaded nothing for {done.silent_minutes:.0f} minutes."
            self._keep(State.NOT_UPLOADING, [text])

    def after_error(self, error: TconnectsyncError) -> None:
        """Record a run or a round of the loop that an error ended."""
        self._keep(state_of(error), [str(error)])

    def _keep(self, state: State, missing: list[str], **what: object) -> None:
        now = self._now()
        try:
            before = self._file.load()
        except OSError:
            before = None
        texts = tuple(dict.fromkeys(map(self._redact, missing)))
        last_ok = now if state is State.OK else before.last_ok if before else None
        record = RunRecord(
            at=now,
            state=state,
            since=before.since if before and before.state is state else now,
            cause=texts[0] if texts else "",
            person=self._person,
            continuous=self._continuous,
            last_ok=last_ok,
            missing=texts,
            **what,  # type: ignore[arg-type]
        )
        try:
            self._file.save(record)
        except OSError as error:
            log.debug("The run record cannot be saved (%s).", error.strerror)
