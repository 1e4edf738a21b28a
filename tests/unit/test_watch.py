"""What is recorded of runs and rounds, and which state each error and outcome leads to."""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tconnectsync import errors
from tconnectsync.config.settings import Configuration, LoopSettings, WatchSettings
from tconnectsync.domain.clock import TimeRange
from tconnectsync.errors import (
    ApiError,
    ClockContradictionError,
    ConfigError,
    FirewallError,
    IncompleteError,
    LogFileError,
    LoginError,
    MissingRightError,
    NetworkError,
    NightscoutAddressError,
    NightscoutError,
    NightscoutLoginError,
    PasswordRefusedError,
    ProxyLoginError,
    PumpChoiceError,
    Side,
    SiteDownError,
    TconnectsyncError,
    UnprovenWriteError,
    UnreachableError,
    UsageError,
)
from tconnectsync.sources.base import Remark
from tconnectsync.state.lock import TakenError
from tconnectsync.state.record import RecordFile, RunRecord, State
from tconnectsync.sync.loop.step import Next, Round
from tconnectsync.sync.run.outcome import Outcome
from tconnectsync.watch.messages import is_due
from tconnectsync.watch.states import URGENCY, state_after, state_of
from tconnectsync.watch.status import status_of
from tconnectsync.watch.watch import LONGEST_CYCLE, SINGLE_RUNS_EVERY, Watch
from tconnectsync.watch.words import TEXTS

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DAY = TimeRange(NOON - 24 * HOUR, NOON)

EXAMPLES: list[tuple[TconnectsyncError, State]] = [
    (TconnectsyncError("Not tried."), State.INCOMPLETE),
    (UsageError("No."), State.SETTINGS_WRONG),
    (ConfigError(["NS_URL is not set."], (), ["NS_URL"]), State.SETTINGS_WRONG),
    (IncompleteError(["A day."]), State.INCOMPLETE),
    (LogFileError("No log."), State.SETTINGS_WRONG),
    (NetworkError("Cut."), State.TANDEM_UNREACHABLE),
    (NetworkError("Cut.", side=Side.NIGHTSCOUT), State.NIGHTSCOUT_UNREACHABLE),
    (UnreachableError("No name.", side=Side.NIGHTSCOUT), State.NIGHTSCOUT_UNREACHABLE),
    (ApiError("In trouble", 503), State.TANDEM_UNREACHABLE),
    (ApiError("No settings of this pump."), State.INCOMPLETE),
    (ApiError("Refused", 403), State.INCOMPLETE),
    (ApiError("Another form.", changed=True), State.TANDEM_CHANGED),
    (LoginError("In trouble", 503), State.TANDEM_UNREACHABLE),
    (LoginError("Terms of use.", can_retry=False), State.LOGIN_REFUSED),
    (LoginError("Another page.", can_retry=True, changed=True), State.TANDEM_CHANGED),
    (PasswordRefusedError("Wrong."), State.LOGIN_REFUSED),
    (PumpChoiceError("Which?"), State.PUMP_OR_CLOCK),
    (ClockContradictionError("Five hours off.", can_retry=False), State.PUMP_OR_CLOCK),
    (ClockContradictionError("Five hours off.", can_retry=True), State.PUMP_OR_CLOCK),
    (FirewallError("Blocked."), State.BLOCKED),
    (NightscoutError("In trouble", 500), State.NIGHTSCOUT_UNREACHABLE),
    (NightscoutError("Refused", 400), State.NIGHTSCOUT_REFUSES),
    (NightscoutLoginError("Wrong", 401), State.NIGHTSCOUT_REFUSES),
    (ProxyLoginError("Wrong", 401), State.NIGHTSCOUT_REFUSES),
    (NightscoutAddressError("Another server.", 404), State.NIGHTSCOUT_UNREACHABLE),
    (SiteDownError("Stopped.", 503), State.NIGHTSCOUT_UNREACHABLE),
    (MissingRightError("No right.", "api:treatments:update"), State.NIGHTSCOUT_REFUSES),
    (UnprovenWriteError("Not stored.", []), State.NIGHTSCOUT_REFUSES),
]


@pytest.mark.parametrize(
    ("error", "state"), EXAMPLES, ids=lambda each: each if isinstance(each, State) else repr(each)
)
def test_every_error_has_a_state(error: TconnectsyncError, state: State) -> None:
    assert state_of(error) is state


def test_no_kind_of_error_is_forgotten() -> None:
    """A new class needs an example above, so that somebody thinks of its state."""
    ours = {
        each
        for name, each in inspect.getmembers(errors, inspect.isclass)
        if issubclass(each, TconnectsyncError) and not name.startswith("_")
    }
    assert ours == {type(error) for error, _ in EXAMPLES}


def test_every_state_has_words_and_a_rank() -> None:
    assert set(TEXTS) == set(URGENCY) == set(State)
    for state, (meaning, action) in TEXTS.items():
        assert not meaning.endswith(".")
        assert action.endswith(".") or state is State.OK


def outcome(*failed: TconnectsyncError, remarks: tuple[Remark, ...] = (), **done: int) -> Outcome:
    found = Outcome(**done, remarks=list(remarks))  # type: ignore[arg-type]
    for error in failed:
        found.failed(DAY, ["BASAL"], error)
    return found


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (outcome(), State.OK),
        (outcome(remarks=(Remark("Only mentioned.", missing=False),)), State.OK),
        (outcome(remarks=(Remark("New.", missing=False, changed=True),)), State.OK),
        (outcome(remarks=(Remark("A gap."),)), State.INCOMPLETE),
        (outcome(remarks=(Remark("A gap."), Remark("New.", changed=True))), State.TANDEM_CHANGED),
        (outcome(remarks=(Remark("2008.", pump_or_clock=True),)), State.PUMP_OR_CLOCK),
        (outcome(ApiError("Busy", 503)), State.TANDEM_UNREACHABLE),
        (outcome(TconnectsyncError("Not tried."), ApiError("Busy", 503)), State.TANDEM_UNREACHABLE),
        (outcome(ApiError("Busy", 503), PasswordRefusedError("Wrong.")), State.LOGIN_REFUSED),
    ],
)
def test_of_several_things_the_most_urgent_counts(found: Outcome, state: State) -> None:
    assert state_after(found)[0] is state


# The record


@dataclass
class Noted:
    """Takes records, and would send the messages that are due."""

    records: list[RunRecord] = field(default_factory=list)
    messages: list[State] = field(default_factory=list)
    after_minutes: float = 60.0
    starts: int = 0
    waits: int = 0
    fails: bool = False

    def started(self) -> None:
        self.starts += 1

    def waiting(self) -> None:
        self.waits += 1

    def recorded(self, record: RunRecord) -> None:
        self.records.append(record)

    def notified(self, record: RunRecord, *, ended: bool) -> State | None:
        if self.fails or not is_due(record, record.at, self.after_minutes, ended=ended):
            return record.notified
        self.messages.append(record.state)
        return record.state


class Desk:
    """A watch whose clock is set by hand, and which begins anew when asked."""

    def __init__(self, folder: Path, *, continuous: bool = False, **variables: str) -> None:
        self.now = NOON
        self.reporter = Noted()
        self.file = RecordFile([folder], "robin")
        self._configuration = Configuration(variables, {})
        self._continuous = continuous
        self.restart()

    def restart(self) -> None:
        self.watch = Watch(
            self.file,
            self._configuration.usable(WatchSettings),
            self._configuration.usable(LoopSettings),
            lambda: self.now,
            lambda text: text.replace("robin@example.org", "[EMAIL]"),
            self.reporter,
            continuous=self._continuous,
        )

    @property
    def record(self) -> RunRecord:
        found = self.file.load()
        assert found
        return found

    def round(
        self, minutes: float, *, pause: float = 300, exit_code: int | None = None, **what: object
    ) -> RunRecord:
        """Have a round of the loop so many minutes later."""
        self.now += minutes * MINUTE
        self.watch.after_round(Next(pause, exit_code, Round(**what)))  # type: ignore[arg-type]
        return self.record


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def loop(tmp_path: Path) -> Desk:
    return Desk(tmp_path, continuous=True)


def test_a_record_is_read_as_it_was_saved(tmp_path: Path) -> None:
    record = RunRecord(
        at=NOON,
        state=State.INCOMPLETE,
        since=NOON - HOUR,
        fresh_until=NOON + HOUR,
        cause="A gap.",
        person="robin",
        continuous=True,
        bad_since=NOON - HOUR,
        written={"Bolus": 2},
        newest_event=NOON,
        deferred=1,
        deferred_until=NOON + MINUTE,
        missing=("A gap.",),
        notified=State.BLOCKED,
    )
    file = RecordFile([tmp_path / "new"], "key")
    path = file.save(record)

    assert file.load() == record
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", '{"format": 1}', '{"format": 2, "at": 5}', "\x00", "[" * 9999]
)
def test_a_damaged_record_counts_as_none(tmp_path: Path, text: str) -> None:
    file = RecordFile([tmp_path], "key")
    file.paths[0].write_text(text)
    assert file.load() is None


def test_the_newest_of_two_records_counts(tmp_path: Path) -> None:
    """The first folder may have been full, or writable only for a while."""
    one, two = tmp_path / "one", tmp_path / "two"
    both = RecordFile([one, two], "key")
    RecordFile([one], "key").save(RunRecord(NOON, State.OK, NOON, NOON))
    RecordFile([two], "key").save(RunRecord(NOON + HOUR, State.BLOCKED, NOON, NOON))
    assert (both.load() or 0).state is State.BLOCKED  # type: ignore[union-attr]


def test_people_have_records_of_their_own(tmp_path: Path) -> None:
    files = [RecordFile([tmp_path], f"/home/robin/people/{name}.env") for name in ("anna", "bo")]
    for number, file in enumerate(files):
        file.save(RunRecord(NOON, State.OK, NOON, NOON, deferred=number))
    assert [file.load().deferred for file in files] == [0, 1]  # type: ignore[union-attr]
    assert "robin" not in "".join(path.name for path in tmp_path.iterdir())


def test_the_state_keeps_its_beginning_until_it_changes(desk: Desk) -> None:
    desk.watch.after_error(ApiError("Busy", 503))
    desk.now += HOUR
    desk.watch.after_error(ApiError("Busy", 503))
    assert (desk.record.since, desk.record.bad_since, desk.record.at) == (NOON, NOON, NOON + HOUR)

    desk.now += HOUR
    desk.watch.after_error(FirewallError("Blocked."))
    assert (desk.record.since, desk.record.bad_since) == (NOON + 2 * HOUR, NOON)

    desk.now += HOUR
    desk.watch.after_run(outcome(created=1))
    assert (desk.record.state, desk.record.bad_since) == (State.OK, None)
    assert desk.record.last_ok == desk.now


def test_what_was_written_what_waits_and_what_is_missing_stand_in_the_record(desk: Desk) -> None:
    found = outcome(ApiError("The log of robin@example.org …0042 is cut.", None), created=3)
    found.written.update({"Bolus": 1, "Temp Basal": 2})
    found.note_newest("Bolus", NOON - HOUR)
    found.deferred["x"] = 7 * MINUTE
    desk.watch.after_run(found)

    record = desk.record
    assert record.written == {"Bolus": 1, "Temp Basal": 2}
    assert record.newest_event == NOON - HOUR
    assert (record.deferred, record.deferred_until) == (1, NOON + 7 * MINUTE)
    assert record.missing == ("BASAL from 2024-05-05 to 2024-05-06: The log of [EMAIL] is cut.",)
    assert record.cause == "The log of [EMAIL] is cut."


def test_wrong_settings_are_named_without_their_values(desk: Desk) -> None:
    error = ConfigError(['NS_URL is "https://x" (line 3 of /home/robin/.env).'], (), ["NS_URL"])
    desk.watch.after_error(error)
    assert desk.record.cause == "Missing or not usable: NS_URL."
    assert "https" not in desk.file.paths[0].read_text()


def test_a_crash_and_a_broken_off_run_are_recorded(desk: Desk) -> None:
    for error in (ZeroDivisionError("robin"), KeyboardInterrupt()):
        with pytest.raises(type(error)), desk.watch.recording_errors():
            raise error
        assert desk.record.state is State.INCOMPLETE
        assert "robin" not in desk.file.paths[0].read_text()
        desk.file.paths[0].unlink()
        desk.restart()


def test_a_run_that_leaves_the_work_to_another_one_leaves_the_record_alone(desk: Desk) -> None:
    with pytest.raises(TakenError), desk.watch.recording_errors():
        raise TakenError("Another tconnectsync is syncing this site")
    assert desk.file.load() is None


def test_a_loop_that_is_asked_to_end_leaves_its_record(loop: Desk) -> None:
    loop.round(0, outcome=outcome(created=1))
    with pytest.raises(KeyboardInterrupt), loop.watch.recording_errors():
        raise KeyboardInterrupt
    assert loop.record.state is State.OK


def test_a_round_with_nothing_to_do_moves_the_record_on(loop: Desk) -> None:
    loop.round(0, outcome=outcome(created=1))
    record = loop.round(5)
    assert (record.state, record.at, record.since) == (State.OK, NOON + 5 * MINUTE, NOON)
    assert record.written == {}


def test_after_a_fault_the_loop_is_as_well_as_its_last_cycle(loop: Desk) -> None:
    loop.round(0, outcome=outcome(remarks=(Remark("A gap."),)))
    assert loop.round(5, error=ApiError("Busy", 503)).state is State.TANDEM_UNREACHABLE
    record = loop.round(5)
    assert (record.state, record.missing) == (State.INCOMPLETE, ("A gap.",))


def test_a_cycle_in_which_everything_failed_says_what_is_missing(loop: Desk) -> None:
    found = outcome(ApiError("Busy", 503))
    record = loop.round(0, outcome=found, error=found.failures[0].error)
    assert record.state is State.TANDEM_UNREACHABLE
    assert record.missing[0].startswith("BASAL from 2024-05-05")


def test_silence_of_the_pump_is_a_state_of_its_own_in_the_loop(loop: Desk) -> None:
    loop.round(0, outcome=outcome(created=1))
    record = loop.round(200, silent_minutes=200)
    assert record.state is State.NOT_UPLOADING
    assert "3 hours and 20 minutes" in record.cause
    assert loop.round(5, outcome=outcome(created=1)).state is State.OK


def test_single_runs_notice_that_nothing_new_comes(desk: Desk) -> None:
    """A cloud that does not say when the pump has uploaded shows it by what is new."""
    desk.watch.after_run(outcome(created=1))
    desk.now += 179 * MINUTE
    desk.watch.after_run(outcome())
    states = [desk.record.state]
    desk.now += MINUTE
    desk.restart()
    desk.watch.after_run(outcome())
    states.append(desk.record.state)
    desk.watch.after_run(outcome(created=1))
    states.append(desk.record.state)
    assert states == [State.OK, State.NOT_UPLOADING, State.OK]


def test_what_the_cloud_says_of_the_last_upload_counts_before_what_is_new(desk: Desk) -> None:
    """Old data may be new to Nightscout, and a pump that does nothing uploads all the same."""
    found = outcome(created=1)
    found.last_upload = NOON - 4 * HOUR
    desk.watch.after_run(found)
    assert (desk.record.state, desk.record.last_upload) == (State.NOT_UPLOADING, NOON - 4 * HOUR)


def test_silence_hides_nothing_worse(desk: Desk) -> None:
    found = outcome(PasswordRefusedError("Wrong."))
    found.last_upload = NOON - 4 * HOUR
    desk.watch.after_run(found)
    assert desk.record.state is State.LOGIN_REFUSED


def test_uploads_without_anything_new_are_said(loop: Desk) -> None:
    record = loop.round(0, outcome=outcome(), has_uploaded=True, nothing_new_minutes=80.0)
    assert record.state is State.INCOMPLETE
    assert "TIMEZONE_NAME" in record.cause
    assert loop.round(5).state is State.INCOMPLETE


def test_a_wrong_date_of_the_past_hides_nothing_newer(desk: Desk) -> None:
    found = outcome(created=2)
    found.note_newest("Bolus", NOON - HOUR)
    found.note_newest("Temp Basal", NOON + 90 * HOUR)
    desk.watch.after_run(found)
    assert desk.record.newest_event == NOON - HOUR


def test_when_the_next_run_is_due_follows_from_the_way_of_running(tmp_path: Path) -> None:
    single, loop = Desk(tmp_path / "a"), Desk(tmp_path / "b", continuous=True)
    single.watch.after_run(outcome())
    assert single.record.fresh_until == NOON + SINGLE_RUNS_EVERY
    assert loop.round(0).fresh_until == NOON + 2 * 25 * MINUTE + LONGEST_CYCLE
    assert loop.round(0, pause=3600).fresh_until == NOON + 2 * HOUR + LONGEST_CYCLE

    daily = Desk(tmp_path / "c", STATUS_MAX_AGE_MINUTES="1500")
    daily.watch.after_run(outcome())
    assert daily.record.fresh_until == NOON + 1500 * MINUTE


def test_a_range_beside_the_loop_does_not_hide_that_the_loop_stops(tmp_path: Path) -> None:
    loop = Desk(tmp_path, continuous=True)
    until = loop.round(0, outcome=outcome()).fresh_until
    single = Desk(tmp_path)
    single.now += 10 * MINUTE
    single.watch.after_run(outcome(), asked_for=True)
    assert (single.record.fresh_until, single.record.continuous) == (until, True)
    assert single.reporter.records == []


def test_a_loop_that_waits_for_somebody_still_lives(loop: Desk) -> None:
    loop.round(0, error=PasswordRefusedError("Wrong."), exit_code=2)
    loop.now += 2 * HOUR
    loop.watch.waiting()
    assert (loop.record.at, loop.record.since) == (NOON + 2 * HOUR, NOON)
    assert loop.record.fresh_until > loop.now
    assert loop.reporter.waits == 1


def test_where_nothing_can_be_saved_the_run_goes_on_with_few_warnings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    desk = Desk(tmp_path / "file", continuous=True)
    for _ in range(7):
        desk.now += HOUR
        desk.watch.after_round(Next(300, None, Round(error=ApiError("Busy", 503))))
    assert desk.reporter.messages == [State.TANDEM_UNREACHABLE]
    assert [it.levelname for it in caplog.records if "--status" in it.message] == ["WARNING"] * 4


# Messages


def test_a_message_comes_once_after_the_fault_has_lasted_and_once_when_it_is_over(
    loop: Desk,
) -> None:
    for minutes in (0, 30, 29, 1, 30, 30):
        loop.round(minutes, error=ApiError("Busy", 503))
    loop.round(5, outcome=outcome(created=1))
    loop.round(5)
    assert loop.reporter.messages == [State.TANDEM_UNREACHABLE, State.OK]


def test_a_short_fault_is_no_message(loop: Desk) -> None:
    loop.round(0, error=ApiError("Busy", 503))
    loop.round(59, error=ApiError("Busy", 503))
    loop.round(5)
    assert loop.reporter.messages == []


def test_restarts_and_single_runs_repeat_no_message(desk: Desk) -> None:
    for _ in range(6):
        desk.watch.after_error(PasswordRefusedError("Wrong."))
        desk.now += 30 * MINUTE
        desk.restart()
    assert desk.reporter.messages == [State.LOGIN_REFUSED]
    assert desk.record.notified is State.LOGIN_REFUSED


def test_another_fault_is_another_message_after_it_has_lasted(loop: Desk) -> None:
    for minutes in (0, 60):
        loop.round(minutes, error=ApiError("Busy", 503))
    for minutes in (10, 59, 1):
        loop.round(minutes, error=FirewallError("Blocked."))
    assert loop.reporter.messages == [State.TANDEM_UNREACHABLE, State.BLOCKED]


def test_faults_that_alternate_are_a_message_too(loop: Desk) -> None:
    """None of them lasts, but nothing is synced all the time."""
    for _ in range(4):
        loop.round(10, error=ApiError("Busy", 503))
        loop.round(10, error=FirewallError("Blocked."))
    assert len(loop.reporter.messages) == 1


def test_a_loop_that_ends_says_so_at_once(loop: Desk) -> None:
    """Nothing would come later that could say it."""
    loop.round(0, error=PasswordRefusedError("Wrong."), exit_code=2)
    assert loop.reporter.messages == [State.LOGIN_REFUSED]


def test_wrong_settings_of_a_loop_are_said_at_once(loop: Desk) -> None:
    with pytest.raises(ConfigError), loop.watch.recording_errors():
        raise ConfigError(["NS_URL is not set."], (), ["NS_URL"])
    assert loop.reporter.messages == [State.SETTINGS_WRONG]


def test_a_message_that_cannot_be_sent_is_tried_again(loop: Desk) -> None:
    loop.reporter.fails = True
    for minutes in (0, 60):
        loop.round(minutes, error=ApiError("Busy", 503))
    loop.reporter.fails = False
    loop.round(5, error=ApiError("Busy", 503))
    assert loop.reporter.messages == [State.TANDEM_UNREACHABLE]


def test_without_a_wait_a_message_comes_at_once(loop: Desk) -> None:
    loop.reporter.after_minutes = 0
    loop.round(0, error=ApiError("Busy", 503))
    assert loop.reporter.messages == [State.TANDEM_UNREACHABLE]


# What is beside the usual: clocks that are set, runs by hand, other users


def said(desk: Desk) -> tuple[bool, str]:
    """Return what --status says: whether all is well, and the sentence."""
    found = status_of([str(path) for path in desk.file.paths], "the settings", desk.now)
    return found["ok"], found["text"]


def test_a_record_from_the_future_is_not_ok(loop: Desk) -> None:
    """The clock was far ahead for a while; nothing may run any more, and yet it would be well."""
    loop.round(0, outcome=outcome())
    loop.now -= timedelta(days=400)
    is_ok, text = said(loop)
    assert not is_ok
    assert text.startswith("This computer's clock was 400 days ahead")
    loop.round(5, outcome=outcome())
    assert said(loop)[0]


def test_a_clock_that_was_ahead_holds_up_no_message(loop: Desk) -> None:
    loop.round(0, error=ApiError("Busy", 503))
    loop.now -= timedelta(days=400)
    for minutes in (5, 61):
        loop.round(minutes, error=ApiError("Busy", 503))
    assert loop.reporter.messages == [State.TANDEM_UNREACHABLE]
    assert max(filter(None, (loop.record.since, loop.record.bad_since))) <= loop.now


def test_a_clock_that_was_ahead_hides_no_silence(desk: Desk) -> None:
    desk.watch.after_run(outcome(created=1))
    desk.now -= timedelta(days=400)
    desk.watch.after_run(outcome())
    desk.now += 20 * HOUR
    desk.watch.after_run(outcome())
    assert desk.record.state is State.NOT_UPLOADING


def test_an_old_record_elsewhere_does_not_come_back(tmp_path: Path) -> None:
    """It may be of a time in which the clock was ahead."""
    places = [tmp_path / "one", tmp_path / "two"]
    RecordFile(places[1:], "key").save(RunRecord(NOON + 99 * HOUR, State.OK, NOON, NOON))
    both = RecordFile(places, "key")
    both.save(RunRecord(NOON, State.BLOCKED, NOON, NOON))
    assert (both.load() or 0).state is State.BLOCKED  # type: ignore[union-attr]


def test_some_days_that_go_well_do_not_say_that_all_is_well(desk: Desk) -> None:
    desk.watch.after_run(outcome(ApiError("Busy", 503)))
    before = desk.record
    desk.now += 10 * MINUTE
    desk.watch.after_run(outcome(created=3), asked_for=True)
    assert desk.record == before
    assert not said(desk)[0]


def test_some_days_do_not_say_that_the_planned_runs_take_place(desk: Desk) -> None:
    desk.watch.after_run(outcome())
    desk.now += 26 * HOUR
    desk.watch.after_run(outcome(), asked_for=True)
    is_ok, text = said(desk)
    assert not is_ok
    assert text.startswith("Nothing has run since the last run 26 hours ago.")


def test_some_days_alone_say_nothing_of_all_others(desk: Desk) -> None:
    desk.watch.after_run(outcome(), asked_for=True)
    assert desk.file.load() is None
    desk.watch.after_run(outcome(ApiError("Busy", 503)), asked_for=True)
    assert desk.record.state is State.TANDEM_UNREACHABLE


def test_a_loop_that_waits_tries_a_message_again(loop: Desk) -> None:
    loop.reporter.fails = True
    loop.round(0, error=PasswordRefusedError("Wrong."), exit_code=2)
    loop.reporter.fails = False
    for _ in range(30):
        loop.now += MINUTE
        loop.watch.waiting()
    assert loop.reporter.messages == [State.LOGIN_REFUSED]


@pytest.mark.skipif(os.name != "posix", reason="there are no such owners here")
def test_what_others_may_have_written_is_not_believed(desk: Desk) -> None:
    desk.watch.after_run(outcome())
    desk.file.paths[0].chmod(0o666)
    assert not said(desk)[0]
    assert desk.file.load() is None


def test_whose_site_is_named_in_a_file_has_a_record_of_his_own() -> None:
    """As with systemd's credentials: otherwise one person's ok would hide another's fault."""
    keys = {
        Configuration(dict(given)).key
        for given in (
            {"NS_URL_FILE": "/run/credentials/anna/site"},
            {"NS_URL_FILE": "/run/credentials/ben/site", "NS_URL": ""},
            {"NS_URL": "https://a.example.org", "NS_URL_FILE": "/run/credentials/ben/site"},
        )
    }
    assert len(keys - {""}) == 3
