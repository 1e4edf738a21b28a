"""After every run and every round: the run record, and whatever follows from it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tconnectsync.config.settings import LoopSettings, WatchSettings
from tconnectsync.domain.clock import MINUTE
from tconnectsync.domain.words import span_in_words
from tconnectsync.errors import ConfigError, TconnectsyncError
from tconnectsync.state.lock import TakenError
from tconnectsync.state.record import RecordFile, RunRecord, State
from tconnectsync.sync.loop.failures import ThrottledLog
from tconnectsync.sync.run.outcome import Outcome
from tconnectsync.watch.states import state_after, state_of, what_is_missing
from tconnectsync.watch.status import SOON
from tconnectsync.watch.words import action

if TYPE_CHECKING:
    from tconnectsync.sync.loop.step import Next

log = logging.getLogger(__name__)

SINGLE_RUNS_EVERY = timedelta(minutes=180)
"""A single run should be followed by another one in this time, unless a setting says otherwise."""
LONGEST_CYCLE = timedelta(minutes=15)
"""How long the loop may take for a cycle, besides its waits."""
WAITING_SAID_AFTER = timedelta(minutes=5)
"""How often the record says that the loop lives while it waits for a person."""
MOST_MISSING = 20
"""Sentences about what is missing; more of them say nothing new."""

STOPPED = "The run was stopped before its end."
CRASHED = (
    "An error that tconnectsync does not know ended the run. Start it by hand, and report the "
    "lines that it shows."
)
_ENDING = re.compile(r" ?…\d+")
"""The end of a serial number, by which people know a pump on the screen."""


class Reporter(Protocol):
    """What reports a run besides its record."""

    def started(self) -> None:
        """A run or the loop begins."""

    def waiting(self) -> None:
        """The loop waits for a person to correct something."""

    def recorded(self, record: RunRecord) -> None:
        """A run or a round has ended, and its record is saved."""

    def notified(self, record: RunRecord, *, ended: bool) -> State | None:
        """Send a message if one is due; return the state of the last message.

        ``ended`` says that no other round follows.
        """
        ...


class Verdict(NamedTuple):
    """What the last cycle has led to; it holds until the next one."""

    state: State = State.OK
    cause: str = ""
    missing: tuple[str, ...] = ()
    deferred: int = 0
    deferred_until: datetime | None = None


class Watch:
    """Keeps the run record of one person. Several threads may use it.

    Args:
        file: where the record is kept.
        settings: when it is too old.
        loop: when the loop looks again, and how long the pump may be silent.
        now: returns the current instant, aware.
        redact: removes secrets and personal data from a text.
        reporter: reports every record.
        person: the name of the person's settings; empty where there is one only.
        continuous: whether the loop runs, not a single run.
        keep: whether anything is recorded and reported.
    """

    def __init__(
        self,
        file: RecordFile,
        settings: WatchSettings,
        loop: LoopSettings,
        now: Callable[[], datetime],
        redact: Callable[[str], str],
        reporter: Reporter,
        *,
        person: str = "",
        continuous: bool = False,
        keep: bool = True,
    ) -> None:
        self._file = file
        self._settings = settings
        self._loop = loop
        self._now = now
        self._redact = redact
        self._reporter = reporter
        self._person = person
        self._continuous = continuous
        self._keeps = keep
        self._before: RunRecord | None = None
        """The last record of this process; it is needed where none can be saved."""
        self._verdict = Verdict()
        self._lock = Lock()
        self._lines = ThrottledLog()

    @property
    def memory(self) -> list[Any]:
        """What the last cycle has led to, as JSON, for a process that takes the next step."""
        until = self._verdict.deferred_until
        return [*self._verdict[:-1], until and until.isoformat()]

    def recall(self, memory: Sequence[Any]) -> None:
        """Know what another process remembers, as far as it can be read."""
        with suppress(ValueError, TypeError):
            state, cause, missing, deferred, until = memory
            at = datetime.fromisoformat(until) if until else None
            self._verdict = Verdict(State(state), cause, tuple(missing), deferred, at)

    def started(self) -> None:
        """Take note that a run or the loop begins."""
        if self._keeps:
            self._reporter.started()

    @contextmanager
    def recording_errors(self, *, asked_for: bool = False) -> Iterator[None]:
        """Record whatever ends the block early; a run that leaves the work to another one is none.

        That a loop is asked to end is nothing to record. ``asked_for`` says that a person sits
        there, who asked for some days.
        """
        ended = self._continuous
        try:
            yield
        except TakenError:
            raise
        except TconnectsyncError as error:
            # Those of the command line say nothing about other runs.
            if not (asked_for and state_of(error) is State.SETTINGS_WRONG):
                self.after_error(error, asked_for=asked_for, ended=ended)
            raise
        except Exception:
            crash = Verdict(State.INCOMPLETE, CRASHED, (CRASHED,))
            self._keep(crash, asked_for=asked_for, ended=ended)
            raise
        except BaseException:
            if not self._continuous:
                self._keep(Verdict(State.INCOMPLETE, STOPPED, (STOPPED,)), asked_for=asked_for)
            raise

    def waiting(self) -> None:
        """Take note that the loop lives, but waits for a person to correct something."""
        if self._keeps:
            self._reporter.waiting()
        with self._lock:
            last, now = self._last(), self._now()
            if self._keeps and last and now - last.at > WAITING_SAID_AFTER:
                fresh_until = now + self._longest_gap(WAITING_SAID_AFTER)
                record = last._replace(at=now, fresh_until=fresh_until)
                # The message may have failed when the loop began to wait.
                notified = self._reporter.notified(record, ended=True)
                self._before = record._replace(notified=notified)
                self._save(self._before)

    def after_run(self, outcome: Outcome, *, asked_for: bool = False) -> None:
        """Record a run that came to its end; ``asked_for``: one for days that a person chose."""
        before = self._last()
        self._keep(self._judged(outcome), outcome, asked_for=asked_for)
        record = self._before
        if record and record.state is State.NOT_UPLOADING and not asked_for:
            # A job that runs every few minutes has to report it once.
            is_known = before is not None and before.state is State.NOT_UPLOADING
            level = logging.INFO if is_known else logging.WARNING
            log.log(level, "%s %s", record.cause, record.action)

    def after_round(self, following: Next) -> None:
        """Record a round of the loop; one that had nothing to do leaves the state as it was."""
        done = following.round
        pause = timedelta(seconds=following.pause)
        ended = following.exit_code is not None
        if done.outcome:
            self._verdict = self._judged(done.outcome)
            if done.nothing_new_minutes is not None and self._verdict.state is State.OK:
                span = span_in_words(done.nothing_new_minutes * MINUTE)
                text = (
                    f"The pump uploads, but for {span} none of its data has been new to "
                    "Nightscout. Compare the two, and check TIMEZONE_NAME."
                )
                self._verdict = self._verdict._replace(
                    state=State.INCOMPLETE, cause=text, missing=(text,)
                )
        failed = [each.error for each in done.outcome.failures] if done.outcome else []
        if done.error and done.error not in failed:
            self.after_error(done.error, pause=pause, ended=ended)
            return
        silent = None if done.silent_minutes is None else done.silent_minutes * MINUTE
        self._keep(self._verdict, done.outcome, pause=pause, ended=ended, silent=silent)

    def after_error(
        self,
        error: TconnectsyncError,
        *,
        asked_for: bool = False,
        pause: timedelta = timedelta(0),
        ended: bool = False,
    ) -> None:
        """Record a run or a round of the loop that an error ended.

        After ``pause`` another round follows, unless the loop has ``ended`` with it.
        """
        text = self._clean(_cause(error))
        verdict = Verdict(state_of(error), text, (text,))
        self._keep(verdict, pause=pause, ended=ended, asked_for=asked_for)

    def _judged(self, outcome: Outcome) -> Verdict:
        state, cause = state_after(outcome)
        missing = tuple(dict.fromkeys(map(self._clean, what_is_missing(outcome))))
        if len(missing) > MOST_MISSING:
            more = f"And {len(missing) - MOST_MISSING} more of the kind."
            missing = (*missing[:MOST_MISSING], more)
        until = None if outcome.more_in is None else self._now() + outcome.more_in
        return Verdict(state, self._clean(cause), missing, len(outcome.deferred), until)

    def _clean(self, text: str) -> str:
        return _ENDING.sub("", self._redact(text))

    def _keep(
        self,
        verdict: Verdict,
        outcome: Outcome | None = None,
        *,
        pause: timedelta = timedelta(0),
        ended: bool = False,
        silent: timedelta | None = None,
        asked_for: bool = False,
    ) -> None:
        if not self._keeps:
            return
        with self._lock:
            before = self._last()
            if asked_for and not before and verdict.state is State.OK:
                return  # Some days only: nothing is known of all others.
            known = self._known(before, outcome, asked_for=asked_for)
            verdict = self._unless_silent(verdict, known["last_upload"], silent)
            record = self._record(verdict, before, pause)._replace(**known)
            if asked_for and before:
                record = _beside(before, record)
            self._before = record
            is_saved = self._save(record)
            if asked_for:
                return
            self._reporter.recorded(record)
            if not is_saved and not self._continuous:
                return  # Every run would send the same again.
            notified = self._reporter.notified(record, ended=ended)
            if notified is not record.notified:
                self._before = record._replace(notified=notified)
                self._save(self._before)

    def _last(self) -> RunRecord | None:
        """Return the last record, that of another process too.

        What it says of the future was written before this computer's clock was set back; it would
        hold up messages until then.
        """
        try:
            saved = self._file.load()
        except OSError:
            saved = None
        now, records = self._now(), [each for each in (saved, self._before) if each]
        last = max(records, key=lambda each: min(each.at, now), default=None)
        return last._replace(**_until(now, last)) if last else None

    def _known(
        self, before: RunRecord | None, outcome: Outcome | None, *, asked_for: bool
    ) -> dict[str, Any]:
        """Return what is known of the data, with what earlier runs have found."""
        now = self._now()
        newest = [before.newest_event] if before and before.newest_event else []
        newest += outcome.newest.values() if outcome else []
        # What a wrong date has put into the future would hide everything after it.
        newest = [at for at in newest if at <= now + SOON]
        upload = before.last_upload if before else None
        if outcome and not asked_for:
            has_news = outcome.created + outcome.updated > 0
            upload = outcome.last_upload or (now if has_news else upload)
        return {
            "newest_event": max(newest, default=None),
            "last_upload": upload,
            "written": dict(outcome.written) if outcome else {},
        }

    def _unless_silent(
        self, verdict: Verdict, last_upload: datetime | None, silent: timedelta | None
    ) -> Verdict:
        """Return the verdict, or that the phone does not upload, if nothing worse is known."""
        if silent is None and last_upload:
            span, limit = self._now() - last_upload, self._loop.no_data_failure_minutes * MINUTE
            silent = span if limit and span >= limit else None
        if silent is None or verdict.state not in (State.OK, State.INCOMPLETE):
            return verdict
        text = f"The pump has uploaded nothing for {span_in_words(silent)}."
        return verdict._replace(
            state=State.NOT_UPLOADING, cause=text, missing=(text, *verdict.missing)
        )

    def _record(self, verdict: Verdict, before: RunRecord | None, pause: timedelta) -> RunRecord:
        now, is_ok = self._now(), verdict.state is State.OK
        is_same = before is not None and before.state is verdict.state
        bad_since = (before.bad_since if before else None) or now
        return RunRecord(
            at=now,
            state=verdict.state,
            since=before.since if before and is_same else now,
            fresh_until=now + self._longest_gap(pause),
            cause=verdict.cause,
            action=action(verdict.state),
            person=self._person,
            continuous=self._continuous,
            bad_since=None if is_ok else bad_since,
            last_ok=now if is_ok else before.last_ok if before else None,
            deferred=verdict.deferred,
            deferred_until=verdict.deferred_until,
            missing=verdict.missing,
            notified=before.notified if before else None,
        )

    def _longest_gap(self, pause: timedelta) -> timedelta:
        """Return in which time the next run or round should have ended."""
        if self._settings.status_max_age_minutes:
            return self._settings.status_max_age_minutes * MINUTE
        if not self._continuous:
            return SINGLE_RUNS_EVERY
        usual = max(self._loop.max_sleep_seconds, self._loop.default_sleep_seconds)
        return 2 * max(pause, timedelta(seconds=usual)) + LONGEST_CYCLE

    def _save(self, record: RunRecord) -> bool:
        try:
            self._file.save(record)
        except OSError as error:
            self._lines.log(
                logging.WARNING,
                "How this run went cannot be saved (%s), so --status cannot show it.",
                error.strerror or error,
            )
            return False
        return True


def _until(now: datetime, record: RunRecord) -> dict[str, Any]:
    """Return the instants of a record that are past, so that none is later than now."""
    names = ("at", "since", "bad_since", "last_ok", "last_upload")
    found = {name: at for name in names if (at := getattr(record, name)) and at > now}
    if record.at > now + SOON:
        found["fresh_until"] = record.at
    return dict.fromkeys(found, now)


def _beside(before: RunRecord, record: RunRecord) -> RunRecord:
    """Return the record of a run over some days that a person chose.

    It says nothing of the planned runs: neither that they take place, nor that what they could not
    bring is there.
    """
    if record.state is State.OK:
        return before._replace(written=record.written, newest_event=record.newest_event)
    return record._replace(
        at=before.at, fresh_until=before.fresh_until, continuous=before.continuous
    )


def _cause(error: TconnectsyncError) -> str:
    """Return why a run has ended, without values of settings and names of folders."""
    if isinstance(error, ConfigError):
        names = ", ".join(dict.fromkeys(filter(None, error.variables)))
        return f"Missing or not usable: {names or 'the file with the settings'}."
    return str(error)
