"""The loop of ``--auto-update``: when to ask for uploads, when to sync, when to give up.

Follows tconnect-processing §12. Asking is cheap, syncing is not, so a cycle runs when the
pump's upload counter has moved. The loop knows neither payloads nor HTTP; time, waiting and chance
are passed in. All times are seconds of a clock that is never set, and which on some systems stands
still while the computer sleeps.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from statistics import median

from tconnectsync.clock import Clock
from tconnectsync.config.settings import LoopSettings
from tconnectsync.errors import FirewallError, NightscoutLoginError, TconnectsyncError
from tconnectsync.sync.run.outcome import Failure, Outcome

log = logging.getLogger(__name__)

MINUTE = 60.0
LONG_WAIT = 30 * MINUTE
"""After refusals that further tries would only prolong."""
FIRST_BACK_OFF = 30.0
USUAL_GAP = 60 * MINUTE
"""How often the phone app uploads, as long as nothing else has been observed."""
LATE = 1.5
"""An upload is overdue after this many times the usual gap."""
GAPS_NEEDED = 3
GAPS_KEPT = 10
FRUITLESS_POLLS = 3
"""With a fixed sleep no time is expected, so an upload is overdue after so many fruitless polls."""
FAILURES_UNTIL_ERROR = 3
"""A fault that passes by itself soon is worth a warning only."""


class UploadRhythm:
    """How often the pump uploads, learnt from when its counter moved, and when to look again."""

    def __init__(self, settings: LoopSettings, started: float) -> None:
        self.gaps: deque[float] = deque(maxlen=GAPS_KEPT)
        self._settings = settings
        self._last = started
        self._any = False
        self._fruitless = 0
        self._was_awaited = False

    def uploaded(self, now: float) -> None:
        """Take note of an upload since the poll before."""
        if self._any:
            gap, often = now - self._last, self._settings.unexpected_no_index_sleep_seconds
            if self._usual and not self._was_awaited:
                # It may have been there for long: what was measured is how often we look. Looking
                # earlier from now on creeps up on the true time.
                gap = max(gap - often, often)
            self.gaps.append(gap)
        self._any = True
        self._last = now
        self._fruitless = 0
        self._was_awaited = False

    def nothing(self, now: float) -> None:
        """Take note of a poll without an upload."""
        self._fruitless += 1
        self._was_awaited = self._usual is not None and now >= self._last + self._usual

    def silence(self, now: float) -> float:
        """Return how long the last upload, or the beginning, is ago."""
        return now - self._last

    def is_overdue(self, now: float) -> bool:
        """Tell whether an upload should have been seen by now."""
        if self._settings.use_fixed_sleep:
            return self._fruitless >= FRUITLESS_POLLS
        return self.silence(now) >= LATE * (self._usual or USUAL_GAP)

    def is_silent(self, now: float) -> bool:
        """Tell whether so long without an upload is an error, no matter what is usual."""
        return self.silence(now) >= self._settings.no_data_failure_minutes * MINUTE

    def pause(self, now: float) -> float:
        """Return how long to wait for the next poll."""
        settings = self._settings
        if self.is_silent(now):
            return settings.default_sleep_seconds
        if self.is_overdue(now):
            return settings.unexpected_no_index_sleep_seconds
        if settings.use_fixed_sleep or self._usual is None:
            return settings.default_sleep_seconds
        left = self._last + self._usual - now
        return max(left, settings.unexpected_no_index_sleep_seconds)

    @property
    def _usual(self) -> float | None:
        # The median: a night with the phone off is no rhythm.
        return median(self.gaps) if len(self.gaps) >= GAPS_NEEDED else None


class _Occasions:
    """Counts how often something happens in a row, and says when it is worth a line in the log."""

    def __init__(self) -> None:
        self.count = 0

    def worth_a_line(self) -> bool:
        """Count once more; true the 1st, 2nd, 4th, 8th … time."""
        self.count += 1
        return self.count & (self.count - 1) == 0

    def over(self) -> None:
        """Begin anew."""
        self.count = 0


class _GaveUp(Exception):  # noqa: N818
    """Going on makes no sense; the log says why.

    The exit code tells what started the loop whether to start it again.
    """

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code


class Loop:
    """Polls, syncs and waits until there is a reason to end.

    Args:
        settings: when to wait how long, and when to give up.
        latest_index: asks for the pump's upload counter; ``None`` if the cloud does not tell.
        run_cycle: syncs up to now, what failed or waited in earlier cycles included. Notes what
            fails in the outcome; raises the error after which going on would be pointless.
        log_in_anew: makes the next request to the cloud begin with a new login.
        pretend: whether nothing is written; then what a cycle finds new says nothing about uploads.
        clock: measures, and waits.
    """

    def __init__(
        self,
        settings: LoopSettings,
        *,
        latest_index: Callable[[], int | None],
        run_cycle: Callable[[], Outcome],
        force_login: Callable[[], None],
        pretend: bool,
        clock: Clock,
    ) -> None:
        self.index: int | None = None
        self.rhythm = UploadRhythm(settings, clock.monotonic())
        self._settings = settings
        self._latest_index = latest_index
        self._run_cycle = run_cycle
        self._log_in_anew = force_login
        self._pretend = pretend
        self._clock = clock.monotonic
        self._wait = clock.sleep
        self._jitter = clock.jitter
        self._repeat_at = inf
        self._accepted = False
        self._partly_failed = 0
        self._failed = 0
        self._failing_since = clock.monotonic()
        self._dry_since = clock.monotonic()
        self._dry = _Occasions()
        self._dry_for_long = _Occasions()
        self._overdue = _Occasions()
        self._silent = _Occasions()
        self._unknown = _Occasions()

    def run(self) -> int:
        """Go round and return the exit code.

        It is 0 when the limit of rounds is reached, 1 when giving up is better, 2 when nothing will
        work before somebody has changed something: wrong credentials, which lock people out.
        What the callables raise besides errors of ours ends the loop too: a wish to stop comes so.
        """
        rounds = 0
        while True:
            try:
                pause = self._round()
            except _GaveUp as end:
                return end.exit_code
            asked = self._clock()
            self._wait(pause)
            if self._clock() - asked > pause + MINUTE:
                # The computer has slept. What failed before says nothing about now.
                self._failed = 0
            rounds += 1
            if rounds == self._settings.max_loop_invocations:
                return 0

    def _round(self) -> float:
        """Poll once, sync if that is due, and return how long to wait."""
        try:
            pause = self._poll(self._clock())
        except TconnectsyncError as error:
            return self._trouble(error)
        if self._failed:
            log.info("The connection works again.")
            self._failed = 0
        settings = self._settings
        longest = inf if settings.use_fixed_sleep else settings.max_sleep_seconds
        return min(pause, longest, max(self._repeat_at - self._clock(), 0.0))

    def _poll(self, now: float) -> float:
        index = self._latest_index()
        uploaded = index is not None and index != self.index
        if index is None and self._unknown.worth_a_line():
            log.warning(
                "Tandem does not tell whether this pump has uploaded, so every poll syncs. For a "
                "guardian's account that is normal; otherwise check PUMP_SERIAL_NUMBER."
            )
        repeats = now >= self._repeat_at
        if uploaded or index is None or repeats:
            news = self._sync()
            if news:
                self._something_new()
            elif index is not None and self.index is not None and index > self.index:
                self._nothing_new(now)
            uploaded = uploaded or (index is None and news and not repeats)
        if uploaded:
            self._uploaded(now, index)
        else:
            self._nothing_uploaded(now, told=index is not None)
        if index is None:
            # Each poll costs a cycle, so none comes early.
            return self._settings.default_sleep_seconds
        return self.rhythm.pause(self._clock())

    def _sync(self) -> bool:
        """Run a cycle and tell whether it found something new.

        Raises:
            TconnectsyncError: nothing could be synced, or trying further would do harm.
        """
        outcome = self._run_cycle()
        failures = outcome.failures
        done = outcome.created + outcome.updated + outcome.kept + len(outcome.others)
        if failures and not done + len(outcome.waiting):
            raise TconnectsyncError(failures[0].reason)
        self._accepted = True
        self._repeat_at = inf
        if failures:
            self._repeat_soon(failures)
        else:
            self._partly_failed = 0
        if outcome.more_in is not None:
            # Once for all that waits: the next upload may be an hour away.
            due = self._clock() + outcome.more_in.total_seconds()
            self._repeat_at = min(self._repeat_at, due)
        return outcome.created + outcome.updated + len(outcome.others) > 0

    def _repeat_soon(self, failures: Sequence[Failure]) -> None:
        """Plan another cycle; what could be synced goes on in its own rhythm meanwhile."""
        self._partly_failed += 1
        wait = self._back_off(self._partly_failed, self._settings.max_sleep_seconds)
        self._repeat_at = self._clock() + wait
        for what, reason in dict.fromkeys((" ".join(f.features), f.reason) for f in failures):
            log.warning("%s failed. %s", what, reason)
        log.warning("The rest is done. Trying again in %.0f s at the latest.", wait)

    def _something_new(self) -> None:
        self._dry.over()
        self._dry_for_long.over()

    def _nothing_new(self, now: float) -> None:
        """The counter has moved, but the cycle found nothing."""
        if self._pretend or self._repeat_at < inf:
            return
        first = self._dry.count == 0
        self._dry_since = now if first else self._dry_since
        minutes = (now - self._dry_since) / MINUTE
        if minutes >= self._settings.failure_minutes:
            if self._dry_for_long.worth_a_line():
                log.error(
                    "AutoupdateFailureError: The pump uploads, but for %.0f minutes nothing of it "
                    "has been new to Nightscout. Compare the two, and check TIMEZONE_NAME.",
                    minutes,
                )
            self._give_up_if_wanted()
            return
        if self._dry.worth_a_line():
            log.warning(
                "AutoupdateFailureWarning: The pump has uploaded, but nothing of it is new to "
                "Nightscout."
            )
        if first:
            # What has come in may not be ready yet. Not each time: many logins look like an attack.
            log.info("Looking again in a moment, after a new login.")
            self._log_in_anew()
            self._repeat_at = self._clock() + self._settings.default_sleep_seconds

    def _uploaded(self, now: float, index: int | None) -> None:
        """The counter has moved, or (``None``) is unknown and there was something new."""
        # One that has become smaller is that of a pump that was replaced or reset.
        self.index = index
        self.rhythm.uploaded(now)
        self._overdue.over()
        self._silent.over()

    def _nothing_uploaded(self, now: float, *, told: bool) -> None:
        """The counter has not moved, or (not ``told``) is unknown and there was nothing new."""
        self.rhythm.nothing(now)
        minutes = self.rhythm.silence(now) / MINUTE
        if self.rhythm.is_silent(now):
            if self._silent.worth_a_line():
                log.error(
                    "AutoupdateNoEventIndexesDetectedError: The pump has uploaded nothing for %.0f "
                    "minutes. Check that the phone has a connection and Tandem's app runs. "
                    "With a new pump, PUMP_SERIAL_NUMBER has to be changed.",
                    minutes,
                )
            self._give_up_if_wanted()
        elif told and self.rhythm.is_overdue(now) and self._overdue.worth_a_line():
            log.warning(
                "AutoupdateNoIndexChangeWarning: An upload of the pump is overdue; the last one "
                "was seen %.0f minutes ago.",
                minutes,
            )

    def _give_up_if_wanted(self) -> None:
        if self._settings.restart_on_failure:
            log.error("Ending, so that it can be started anew (AUTOUPDATE_RESTART_ON_FAILURE).")
            raise _GaveUp(1)

    def _trouble(self, error: TconnectsyncError) -> float:
        """Return how long to wait after a round in which nothing could be done."""
        if isinstance(error, NightscoutLoginError) and self._accepted:
            # A site that starts or moves may refuse for a moment what is right.
            self._accepted = False
            self._failed = 0
            log.error(
                "%s NS_SECRET worked until now, so this may pass: trying once more in 30 minutes.",
                _sentence(error),
            )
            return LONG_WAIT
        if error.fatal and not error.can_retry:
            log.error("%s Ending, because trying again would not help.", _sentence(error))
            raise _GaveUp(2)
        if isinstance(error, FirewallError):
            # Ending would only mean that a restart asks again too soon.
            self._failed = 0
            log.error("%s Going on in 30 minutes.", _sentence(error))
            return LONG_WAIT
        now, limit = self._clock(), self._settings.api_failure_minutes
        self._failing_since = self._failing_since if self._failed else now
        self._failed += 1
        if 0 < limit <= (now - self._failing_since) / MINUTE:
            log.error(
                "%s Ending, because nothing has worked for %.0f minutes "
                "(AUTOUPDATE_API_FAILURE_MINUTES).",
                _sentence(error),
                (now - self._failing_since) / MINUTE,
            )
            raise _GaveUp(1)
        wait = self._back_off(self._failed, self._settings.default_sleep_seconds)
        level = logging.WARNING if self._failed < FAILURES_UNTIL_ERROR else logging.ERROR
        log.log(level, "%s Trying again in %.0f s.", _sentence(error), wait)
        return wait

    def _back_off(self, times: int, longest: float) -> float:
        """Return how long to wait after failing so many times in a row."""
        doubled = FIRST_BACK_OFF * 2.0 ** min(times - 1, 16)
        return min(doubled, max(longest, FIRST_BACK_OFF)) * (1 + 0.25 * self._jitter())


def _sentence(error: TconnectsyncError) -> str:
    return f"{str(error).removesuffix('.')}."
