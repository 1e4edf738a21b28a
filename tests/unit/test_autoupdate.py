"""The loop of --auto-update, on a clock that only its waiting moves. Times are minutes."""

from __future__ import annotations

import logging
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tconnectsync.clock import Clock
from tconnectsync.config.settings import Configuration, LoopSettings
from tconnectsync.domain.clock import TimeRange
from tconnectsync.errors import (
    ApiError,
    ConfigError,
    FirewallError,
    LoginError,
    NetworkError,
    NightscoutError,
    NightscoutLoginError,
    TconnectsyncError,
)
from tconnectsync.sync.loop.loop import Rounds, run_alone
from tconnectsync.sync.loop.step import Actions, LoopState, step
from tconnectsync.sync.run.outcome import Failure, Outcome

DEFAULTS = LoopSettings(
    default_sleep_seconds=300,
    max_sleep_seconds=1500,
    unexpected_no_index_sleep_seconds=60,
    use_fixed_sleep=False,
    no_data_failure_minutes=180,
    failure_minutes=75,
    api_failure_minutes=45,
    restart_on_failure=False,
    max_loop_invocations=-1,
    threads=1,
)
RESTARTING = replace(DEFAULTS, restart_on_failure=True)
PATIENT = replace(DEFAULTS, api_failure_minutes=0)
HOUR, DAY = 60, 24 * 60
DOWN = NetworkError("Nightscout (ns.example.org): the connection failed or was cut.")
MONDAY = datetime(2024, 6, 3, tzinfo=UTC)
SOME_RANGE = TimeRange(MONDAY, MONDAY + timedelta(days=1))


class Stopped(BaseException):
    """A person has pressed Ctrl-C."""


class World:
    """A pump that uploads at given times, and the services in between.

    ``index_at`` is what the counter shows at a time; ``new_at`` how many documents a cycle would
    create then; ``poll_fault`` and ``cycle_fault`` what goes wrong then. The computer sleeps during
    ``asleep`` (from, to), on a system whose clock goes on meanwhile.
    """

    def __init__(self, uploads: Iterable[float] = (), settings: LoopSettings = DEFAULTS) -> None:
        self.uploads = sorted(uploads)
        self.settings = settings
        self.pretend = False
        self.jitter = 0.0
        self.index_at: Callable[[float], int | None] = self._uploaded_by
        self.new_at: Callable[[float], int] = lambda now: self._uploaded_by(now) - self.synced
        self.poll_fault: Callable[[float], TconnectsyncError | None] = lambda now: None
        self.cycle_fault: Callable[[float], Exception | Outcome | None] = lambda now: None
        self.asleep = (inf, inf)
        self.synced = 0
        self.seconds = 0.0
        self.polls: list[float] = []
        self.cycles: list[float] = []
        self.logins: list[float] = []

    @property
    def now(self) -> float:
        return self.seconds / 60

    @property
    def waits(self) -> list[float]:
        """The time from each poll to the next."""
        return [round(later - earlier, 6) for earlier, later in pairwise(self.polls)]

    def run(self, until: float) -> int | None:
        """Run the loop; return its exit code, or nothing if it was still going at that time."""

        def wait(seconds: float) -> None:
            assert seconds >= 0
            self.seconds += seconds
            if self.asleep[0] <= self.now < self.asleep[1]:
                self.seconds = self.asleep[1] * 60
            if self.now >= until:
                raise Stopped

        try:
            clock = self.clock(wait)
            rounds = Rounds(self.settings, self.actions, clock, pretend=self.pretend)
            return run_alone(rounds.turn, clock)
        except Stopped:
            return None

    def clock(self, sleep: Callable[[float], None]) -> Clock:
        return Clock(monotonic=lambda: self.seconds, sleep=sleep, jitter=lambda: self.jitter)

    @property
    def actions(self) -> Actions:
        """What the loop can do for this person."""
        return Actions(self._latest_index, self._run_cycle, lambda: self.logins.append(self.now))

    def delays(self) -> list[float]:
        """Return how long after each upload the next cycle ran."""
        return [min(c for c in self.cycles if c >= upload) - upload for upload in self.uploads]

    def _uploaded_by(self, now: float) -> int:
        return bisect(self.uploads, now + 1e-9) + 1

    def _latest_index(self) -> int | None:
        self.polls.append(self.now)
        if fault := self.poll_fault(self.now):
            raise fault
        return self.index_at(self.now)

    def _run_cycle(self) -> Outcome:
        self.cycles.append(self.now)
        fault = self.cycle_fault(self.now)
        if isinstance(fault, Outcome):
            return fault
        if fault:
            raise fault
        new = self.new_at(self.now)
        self.synced += new
        return Outcome(created=new, kept=self.synced)


def every(minutes: float, *, until: float, first: float = 17) -> list[float]:
    return [first + number * minutes for number in range(int((until - first) / minutes))]


def failed(*features: str, kept: int = 0) -> Outcome:
    return Outcome(
        kept=kept, failures=[Failure(SOME_RANGE, features, TconnectsyncError("It did not work."))]
    )


OVERDUE = "An upload of the pump is overdue; the last one was seen "
SILENT = "The pump has uploaded nothing for "
NOTHING_NEW = "The pump has uploaded, but none of its data is new to Nightscout."
STILL_NOTHING_NEW = "The pump uploads, but for "
WORRIES = (OVERDUE, SILENT, NOTHING_NEW, STILL_NOTHING_NEW)


@contextmanager
def lines(caplog: pytest.LogCaptureFixture, *begin: str) -> Iterator[list[logging.LogRecord]]:
    """Collect the log's lines that begin with one of some texts."""
    found: list[logging.LogRecord] = []
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "tconnectsync"):
        yield found
    found += [record for record in caplog.records if record.getMessage().startswith(begin)]


# When to poll


def test_an_hourly_upload_is_synced_within_minutes_and_with_few_polls() -> None:
    world = World(every(HOUR, until=3 * DAY))
    world.run(until=3 * DAY)
    assert max(world.delays()) <= 5
    assert max(world.delays()[20:]) <= 2
    assert len([poll for poll in world.polls if poll > DAY]) <= 5 * 48


def test_uploads_every_five_minutes_are_synced_within_a_minute_or_two() -> None:
    world = World(every(5, until=DAY, first=4.5))
    world.run(until=DAY)
    assert len(world.cycles) >= len(world.uploads) - 1
    assert max(world.delays()[30:]) <= 2


def test_uploads_that_become_more_frequent_are_noticed() -> None:
    world = World([*every(HOUR, until=DAY), *every(5, until=3 * DAY, first=DAY)])
    world.run(until=3 * DAY)
    last_day = [cycle for cycle in world.cycles if cycle > 2 * DAY]
    assert len(last_day) > 200


@given(st.lists(st.floats(0.5, 600), min_size=1, max_size=60))
def test_no_upload_waits_longer_than_the_longest_sleep(gaps: list[float]) -> None:
    world = World(accumulate(gaps))
    world.run(until=sum(gaps) + 30)
    assert max(world.delays()) <= 25 + 1e-6
    assert min(world.waits) >= 1 - 1e-6


def test_a_night_without_uploads_does_not_change_the_rhythm() -> None:
    evening, morning = every(HOUR, until=12 * HOUR), every(HOUR, until=DAY, first=20 * HOUR)
    world = World([*evening, *morning])
    world.run(until=DAY)
    assert max(world.delays()[-len(morning) :]) <= 5


def test_hourly_uploads_that_come_a_little_early_or_late_are_no_reason_to_warn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(base + (-9, 4, 8, -2)[n % 4] for n, base in enumerate(every(HOUR, until=DAY)))
    with lines(caplog, *WORRIES) as found:
        world.run(until=DAY)
    assert found == []


def test_a_fixed_sleep_takes_no_notice_of_the_rhythm() -> None:
    world = World(every(7, until=2 * DAY, first=2), replace(DEFAULTS, use_fixed_sleep=True))
    world.run(until=DAY)
    assert set(world.waits) == {5}


@pytest.mark.parametrize("index", [7, None], ids=["counter", "no counter"])
def test_the_longest_sleep_bounds_every_other_one(index: int | None) -> None:
    bounded = replace(DEFAULTS, max_sleep_seconds=120, unexpected_no_index_sleep_seconds=600)
    world = World(settings=bounded)
    world.index_at = lambda now: index
    world.run(until=DAY)
    assert set(world.waits) == {2}


@pytest.mark.parametrize(
    "name",
    [
        "AUTOUPDATE_DEFAULT_SLEEP_SECONDS",
        "AUTOUPDATE_MAX_SLEEP_SECONDS",
        "AUTOUPDATE_UNEXPECTED_NO_INDEX_SLEEP_SECONDS",
    ],
)
def test_asking_with_hardly_a_pause_is_refused(name: str) -> None:
    assert Configuration({name: "10"}, {}).values[name] == 10.0
    for value in ("0", "9.9"):
        with pytest.raises(ConfigError, match=f"{name} is not usable.* 10 or more"):
            Configuration({name: value}, {}).group(LoopSettings)


def test_a_rhythm_that_is_faster_than_we_look_makes_nothing_overdue_too_soon(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seldom = replace(DEFAULTS, unexpected_no_index_sleep_seconds=600)
    world = World(every(7, until=6 * HOUR), seldom)
    with lines(caplog, OVERDUE) as found:
        world.run(until=7 * HOUR)
    assert "seen 20 minutes ago" in found[0].getMessage()


def test_an_overdue_upload_is_asked_for_more_often_for_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(every(HOUR, until=8 * HOUR))
    with lines(caplog, OVERDUE) as found:
        world.run(until=2 * DAY)
    assert 1 in world.waits[-1000:]
    assert set(world.waits[-100:]) == {5}
    assert 1 <= len(found) <= 8


@pytest.mark.parametrize(("rounds", "polls"), [(1, [0]), (3, [0, 5, 10])])
def test_the_number_of_rounds_can_be_limited(rounds: int, polls: list[float]) -> None:
    world = World(settings=replace(DEFAULTS, max_loop_invocations=rounds))
    assert world.run(until=DAY) == 0
    assert world.polls == polls
    assert world.now == polls[-1], "it ends right after the last round"


def test_a_request_to_stop_ends_the_waiting() -> None:
    world = World(every(HOUR, until=DAY))
    assert world.run(until=30) is None
    assert world.polls[-1] < 30


# What the counter shows


def test_only_a_counter_that_has_moved_leads_to_a_cycle() -> None:
    world = World([30, 50])
    world.run(until=2 * HOUR)
    assert world.cycles == [0, 30, 50]


def test_a_counter_of_zero_is_a_counter() -> None:
    world = World()
    world.index_at = lambda now: 0
    world.run(until=HOUR)
    assert world.cycles == [0]


def test_a_counter_that_goes_down_is_that_of_another_pump_and_leads_to_a_cycle(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.index_at = lambda now: 5000 if now < 30 else 3
    with lines(caplog, *WORRIES) as found:
        world.run(until=HOUR)
    assert world.cycles == [0, 30]
    assert found == []


def test_without_a_counter_every_poll_syncs_and_never_more_often_than_usual(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(every(HOUR, until=DAY))
    world.index_at = lambda now: None
    with lines(caplog, "The cloud does not say") as found:
        world.run(until=DAY)
    assert world.cycles == world.polls
    assert max(world.delays()) <= 25
    assert min(world.waits) == 5
    assert 1 <= len(found) <= 10


def test_without_a_counter_pretending_syncs_no_more_often_than_usual() -> None:
    world = World()
    world.pretend = True
    world.index_at = lambda now: None
    world.new_at = lambda now: 5
    world.run(until=6 * HOUR)
    assert set(world.waits) == {5}


def test_a_counter_that_is_missing_for_a_while_changes_nothing_else() -> None:
    world = World([40])
    world.index_at = lambda now: None if 10 <= now < 20 else world._uploaded_by(now)
    world.run(until=HOUR)
    assert world.cycles == [0, 10, 15, 40]


def test_silence_for_long_is_an_error_also_without_a_counter(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(settings=RESTARTING)
    world.index_at = lambda now: None
    with lines(caplog, SILENT) as found:
        assert world.run(until=DAY) == 1
    assert (len(found), world.now) == (1, 180)


# Nothing uploaded, and nothing new: two different things


def test_a_phone_that_is_off_for_a_day_is_reported_and_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World([30, DAY])
    with lines(caplog, SILENT) as found:
        assert world.run(until=DAY + HOUR) is None
    assert 1 <= len(found) <= 9
    assert found[0].levelno == logging.ERROR
    assert (
        "nothing for 3 hours. What it has delivered since is not in Nightscout."
        in found[0].getMessage()
    )
    assert world.delays()[-1] <= 5


def test_a_phone_that_is_off_for_hours_can_end_the_loop() -> None:
    world = World([30], RESTARTING)
    assert world.run(until=DAY) == 1
    assert world.now == pytest.approx(30 + 180, abs=5)


def test_waiting_for_an_upload_is_not_taken_for_uploads_without_anything_new(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World([30, 30 + 170], RESTARTING)
    with lines(caplog, NOTHING_NEW, STILL_NOTHING_NEW) as found:
        assert world.run(until=4 * HOUR) is None
    assert found == []


def test_what_tandem_has_not_ready_at_once_is_looked_for_again_after_a_new_login() -> None:
    world = World([30])
    world.new_at = lambda now: 5 if now == 35 else 0
    world.run(until=3 * HOUR)
    assert world.cycles == [0, 30, 35]
    assert world.logins == [30]


def test_uploads_without_anything_new_are_an_error_after_a_while_and_need_no_more_logins(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(every(HOUR, until=6 * HOUR, first=30))
    world.new_at = lambda now: 0
    with lines(caplog, NOTHING_NEW, STILL_NOTHING_NEW) as found:
        assert world.run(until=6 * HOUR) is None
    assert [record.levelno for record in found] == [30, 30, 40, 40]
    assert found[0].getMessage().startswith(NOTHING_NEW)
    assert found[2].getMessage().startswith(STILL_NOTHING_NEW)
    assert "for 2 hours none" in found[2].getMessage()
    assert len(world.logins) == 1


def test_uploads_without_anything_new_can_end_the_loop() -> None:
    world = World(every(HOUR, until=6 * HOUR, first=30), RESTARTING)
    world.new_at = lambda now: 0
    assert world.run(until=6 * HOUR) == 1
    assert world.now == pytest.approx(30 + 2 * HOUR, abs=5)


def test_something_new_in_between_ends_the_time_without(caplog: pytest.LogCaptureFixture) -> None:
    world = World(every(HOUR, until=10 * HOUR, first=30))
    world.new_at = lambda now: int(int(now / HOUR) % 2)
    with lines(caplog, STILL_NOTHING_NEW) as found:
        world.run(until=10 * HOUR)
    assert found == []


def test_a_basal_that_has_only_grown_is_something_new(caplog: pytest.LogCaptureFixture) -> None:
    world = World(every(HOUR, until=10 * HOUR))
    world.cycle_fault = lambda now: Outcome(updated=1)
    with lines(caplog, NOTHING_NEW, STILL_NOTHING_NEW) as found:
        world.run(until=10 * HOUR)
    assert found == []


def test_pretending_plans_every_cycle_and_expects_nothing_new(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(every(HOUR, until=6 * HOUR), RESTARTING)
    world.pretend = True
    world.new_at = lambda now: 0
    with lines(caplog, NOTHING_NEW, STILL_NOTHING_NEW) as found:
        assert world.run(until=6 * HOUR) is None
    assert len(world.cycles) == 1 + len(world.uploads)
    assert found == []


# What waits until it silences no alarm


def leaving(*deferred: float, created: int = 0) -> Outcome:
    """Return what comes of a cycle after which treatments wait for so many minutes."""
    minutes = {str(number): timedelta(minutes=each) for number, each in enumerate(deferred)}
    return Outcome(created=created, kept=9, deferred=minutes)


def test_a_cycle_follows_when_all_that_waits_is_old_enough_and_none_after_it() -> None:
    world = World([30])
    world.cycle_fault = lambda now: leaving(3, 8, created=5) if now == 30 else None
    world.run(until=2 * HOUR)
    assert world.cycles == [0, 30, 38]


def test_what_follows_an_upload_is_no_upload_and_no_reason_to_worry(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(every(HOUR, until=DAY))

    def cycle(now: float) -> Outcome:
        new = world.new_at(now)
        world.synced += new
        return leaving(10, created=5) if new else Outcome(created=2, kept=9)

    world.cycle_fault = cycle
    with lines(caplog, *WORRIES) as found:
        world.run(until=world.uploads[-1] + 30)
    assert (found, world.logins) == ([], [])
    assert max(world.delays()) <= 5
    assert max(world.delays()[20:]) <= 2
    assert len(world.cycles) == 2 * (1 + len(world.uploads))


def test_a_counter_that_moved_for_what_only_waits_yet_is_no_reason_for_a_new_login(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World([30])
    world.cycle_fault = lambda now: leaving(9) if now == 30 else None
    with lines(caplog, *WORRIES) as found:
        world.run(until=2 * HOUR)
    assert world.cycles == [0, 30, 39]
    assert (found, world.logins) == ([], [])


def test_without_a_counter_what_has_waited_is_not_taken_for_an_upload() -> None:
    world = World(settings=RESTARTING)
    world.index_at = lambda now: None
    world.new_at = lambda now: int(now == 8)
    world.cycle_fault = lambda now: leaving(8 - now, created=int(now == 0)) if now < 8 else None
    assert world.run(until=DAY) == 1
    assert 8 in world.cycles
    assert world.now == 180 + 3


def test_what_waits_is_not_forgotten_when_the_cycle_after_it_fails() -> None:
    world = World([30])
    faults: dict[float, Exception | Outcome] = {30: leaving(8, created=5), 38: DOWN}
    world.cycle_fault = faults.get
    world.run(until=2 * HOUR)
    assert world.cycles == [0, 30, 38, 38.5]


def test_a_feature_that_failed_is_repeated_in_its_own_time_though_others_wait() -> None:
    world = World([30])
    failure = Failure(SOME_RANGE, ("BOLUS",), TconnectsyncError("It did not work."))
    waits = replace(leaving(8), failures=[failure])
    world.cycle_fault = lambda now: {30.0: waits, 30.5: leaving(7.5)}.get(now)
    world.run(until=2 * HOUR)
    assert world.cycles == [0, 30, 30.5, 38]


# What goes wrong


def during(
    begin: float, end: float, error: TconnectsyncError
) -> Callable[[float], TconnectsyncError | None]:
    return lambda now: error if begin <= now < end else None


TROUBLE = [
    DOWN,
    ApiError("Tandem's cloud could not give the upload counter", 503),
    ApiError("Tandem's cloud refused to give the upload counter", 403),
    LoginError("The login of the t:connect app failed", 500),
    LoginError("Tandem's cloud does not accept its own login", 401, can_retry=True),
    NightscoutError("Nightscout is in trouble; the next run tries again", 502),
]


@pytest.mark.parametrize("where", ["poll_fault", "cycle_fault"])
@pytest.mark.parametrize("error", TROUBLE, ids=lambda error: type(error).__name__)
def test_trouble_is_waited_out_and_then_caught_up_with(
    error: TconnectsyncError, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World([60])
    setattr(world, where, during(50, 90, error))
    with lines(caplog, str(error).removesuffix(".")) as found:
        assert world.run(until=2 * HOUR) is None
    assert world.synced == 2
    assert world.delays()[0] <= 35
    assert [record.levelno for record in found[:3]] == [20, 20, 40]
    assert found[0].getMessage().endswith("Trying again in 30 s.")


def test_the_waits_grow_up_to_the_default_sleep_and_are_never_quite_the_same() -> None:
    world = World(settings=PATIENT)
    world.poll_fault = lambda now: DOWN
    world.run(until=HOUR)
    assert world.waits[:6] == [0.5, 1, 2, 4, 5, 5]
    world = World(settings=PATIENT)
    world.poll_fault = lambda now: DOWN
    world.jitter = 1.0
    world.run(until=HOUR)
    assert world.waits[:2] == [0.625, 1.25]


@pytest.mark.parametrize("where", ["poll_fault", "cycle_fault"])
def test_trouble_without_a_break_ends_the_loop_after_the_time_allowed(where: str) -> None:
    world = World()
    setattr(world, where, lambda now: DOWN)
    assert world.run(until=DAY) == 1
    assert 45 <= world.now <= 50


def test_trouble_never_ends_the_loop_where_no_limit_is_set() -> None:
    world = World([30], PATIENT)
    world.poll_fault = during(10, 3 * DAY, DOWN)
    assert world.run(until=4 * DAY) is None
    assert world.synced == 2


def test_the_time_that_the_computer_sleeps_is_no_time_of_trouble() -> None:
    world = World([30])
    world.poll_fault = during(100, 500, DOWN)
    world.asleep = (101, 490)
    assert world.run(until=10 * HOUR) is None
    assert [poll for poll in world.polls if 100 < poll <= 490] == [100.5, 490]


def test_trouble_that_comes_and_goes_never_ends_the_loop() -> None:
    world = World(every(HOUR, until=2 * DAY))
    world.poll_fault = lambda now: DOWN if now % 50 < 40 else None
    assert world.run(until=2 * DAY) is None


@pytest.mark.parametrize("where", ["poll_fault", "cycle_fault"])
@pytest.mark.parametrize(
    "error",
    [
        LoginError("The login of the t:connect app was refused", 401),
        NightscoutLoginError("Nightscout does not accept NS_SECRET for this.", 401),
    ],
    ids=["Tandem", "Nightscout"],
)
def test_wrong_credentials_end_the_loop_at_once_and_for_good(
    error: TconnectsyncError, where: str
) -> None:
    world = World(settings=PATIENT)
    setattr(world, where, lambda now: error)
    assert world.run(until=DAY) == 2
    assert (world.now, len(world.polls)) == (0, 1)


@pytest.mark.parametrize("created", [0, 5])
def test_what_ended_a_cycle_is_judged_by_its_kind(created: int) -> None:
    refused = LoginError("The login of the t:connect app was refused", 401)
    failure = Failure(SOME_RANGE, ("BASAL",), refused)
    world = World(settings=PATIENT)
    world.cycle_fault = lambda now: Outcome(created=created, failures=[failure])
    assert world.run(until=DAY) == 2
    assert world.cycles == [0]


def test_an_error_in_all_of_a_cycle_keeps_its_kind() -> None:
    blocked = FirewallError("Tandem's firewall blocks this address.")
    world = World(settings=PATIENT)
    world.cycle_fault = lambda now: Outcome(failures=[Failure(SOME_RANGE, ("BASAL",), blocked)])
    world.run(until=HOUR)
    assert world.cycles == [0, 30]


REFUSED = NightscoutLoginError("Nightscout does not accept NS_SECRET for treatments", 401)


def test_a_secret_that_is_refused_once_after_it_was_accepted_does_not_end_the_loop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World([60, 200])
    world.cycle_fault = lambda now: REFUSED if now in (60, 200) else None
    with lines(caplog, "Nightscout does not accept NS_SECRET") as found:
        assert world.run(until=5 * HOUR) is None
    assert world.cycles == [0, 60, 90, 200, 230]
    assert [poll for poll in world.polls if 60 < poll < 90 or 200 < poll < 230] == []
    assert world.synced == 3
    assert found[0].getMessage().endswith("trying once more in 30 minutes.")


@pytest.mark.parametrize(
    "between", [[], [DOWN], [failed("BASAL")]], ids=["at once", "unreachable", "nothing done"]
)
def test_a_secret_that_is_refused_again_before_anything_has_worked_ends_the_loop(
    between: list[Exception | Outcome],
) -> None:
    world = World([60])
    comes = [None, REFUSED, *between, REFUSED]
    world.cycle_fault = lambda now: comes.pop(0)
    assert world.run(until=DAY) == 2
    assert comes == []
    assert 90 <= world.now < 91


def test_a_password_that_is_refused_ends_the_loop_also_after_it_was_accepted() -> None:
    world = World([60])
    world.poll_fault = during(50, 55, LoginError("The login of the t:connect app was refused", 401))
    assert world.run(until=5 * HOUR) == 2
    assert world.now == 50


@pytest.mark.parametrize("where", ["poll_fault", "cycle_fault"])
def test_a_firewall_block_is_given_half_an_hour_each_time(where: str) -> None:
    world = World([60])
    setattr(world, where, during(0, 100, FirewallError("Tandem's firewall blocks this address.")))
    assert world.run(until=4 * HOUR) is None
    assert [poll for poll in world.polls if poll < 125] == [0, 30, 60, 90, 120]
    assert world.synced == 2


def test_a_cycle_that_could_do_nothing_counts_as_trouble() -> None:
    world = World()
    world.cycle_fault = lambda now: failed("BASAL", "BOLUS")
    assert world.run(until=DAY) == 1
    assert 45 <= world.now <= 50


def test_what_failed_is_tried_again_though_the_counter_has_not_moved(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World([30])
    world.cycle_fault = lambda now: failed("BOLUS", kept=9) if 30 <= now < 32 else None
    with lines(caplog, "BOLUS failed. It did not work.") as found:
        world.run(until=2 * HOUR)
    assert world.cycles == [0, 30, 30.5, 31.5, 33.5]
    assert len(found) == 3


def test_a_feature_that_never_works_neither_ends_the_loop_nor_holds_the_others_up() -> None:
    world = World(every(5, until=DAY, first=4.5))
    world.cycle_fault = lambda now: failed("PUMP_EVENTS", kept=300)
    assert world.run(until=DAY) is None
    assert max(world.delays()[30:]) <= 2


def test_a_feature_that_never_works_is_tried_less_and_less_often() -> None:
    world = World()
    world.cycle_fault = lambda now: failed("PUMP_EVENTS", kept=300)
    world.run(until=5 * HOUR)
    assert world.cycles[:5] == [0, 0.5, 1.5, 3.5, 7.5]
    assert {round(b - a, 6) for a, b in pairwise(world.cycles[-5:])} == {25}


@given(
    st.lists(st.floats(1, 200), min_size=1, max_size=20),
    st.lists(st.tuples(st.floats(0, 2000), st.floats(1, 300)), max_size=5),
    st.sampled_from(["poll_fault", "cycle_fault"]),
)
def test_whatever_goes_wrong_everything_uploaded_arrives_in_the_end(
    gaps: list[float], outages: Sequence[tuple[float, float]], where: str
) -> None:
    world = World(accumulate(gaps), PATIENT)

    def fault(now: float) -> TconnectsyncError | None:
        return DOWN if any(begin <= now < begin + length for begin, length in outages) else None

    setattr(world, where, fault)
    end = max([sum(gaps), *(begin + length for begin, length in outages)])
    world.run(until=end + 31)
    assert world.synced == len(world.uploads) + 1


# One step, as a process that serves several people would use it


def impatient(seconds: float) -> None:
    raise AssertionError("A step sleeps.")


def take_turns(worlds: Sequence[World], until: float) -> list[int | None]:
    """Step for several people on one clock; return their exit codes, as :meth:`World.run` does.

    No step may sleep; time passes only between them.
    """
    states = [LoopState(world.settings, 0.0, pretend=False) for world in worlds]
    codes: list[int | None] = [None for _ in worlds]
    due = [0.0 for _ in worlds]
    while min(due) < until * 60:
        who = due.index(min(due))
        world = worlds[who]
        world.seconds = due[who]
        following = step(states[who], world.actions, world.clock(impatient))
        codes[who] = following.exit_code
        due[who] = inf if following.exit_code is not None else due[who] + following.pause
    return codes


def some_people() -> list[World]:
    """Return a person without trouble, one whose Nightscout is down for hours, and others."""
    troubled = World(every(HOUR, until=DAY), PATIENT)
    troubled.cycle_fault = during(100, 400, DOWN)
    refused = World(every(HOUR, until=DAY))
    refused.poll_fault = during(300, DAY, LoginError("The login was refused", 401))
    without_counter = World(every(HOUR, until=DAY))
    without_counter.index_at = lambda now: None
    nothing_new = World(every(HOUR, until=DAY))
    nothing_new.new_at = lambda now: 0
    return [World(every(30, until=DAY)), troubled, refused, without_counter, nothing_new]


def test_the_steps_for_one_person_do_not_depend_on_the_others() -> None:
    together, alone = some_people(), some_people()
    codes = take_turns(together, DAY)
    assert codes == [None, None, 2, None, None]
    assert codes == [world.run(until=DAY) for world in alone]
    for world, other in zip(together, alone, strict=True):
        assert len(world.polls) > 9
        assert (world.polls, world.cycles) == (other.polls, other.cycles)
        assert world.logins == other.logins


def test_what_is_logged_for_one_person_does_not_keep_it_from_being_logged_for_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with lines(caplog, SILENT) as found:
        take_turns([World(), World()], until=181)
    assert len(found) == 2
