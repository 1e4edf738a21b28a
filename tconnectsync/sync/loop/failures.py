"""What goes wrong in the loop: how long to wait after it, when to give up, how often to log it.

All times are seconds of a clock that is never set.
"""

from __future__ import annotations

import logging
from collections import Counter
from datetime import timedelta
from math import inf

from tconnectsync.config.settings import LoopSettings
from tconnectsync.domain.words import span_in_words, wait_in_words
from tconnectsync.errors import FirewallError, NightscoutLoginError, TconnectsyncError
from tconnectsync.sync.loop.rhythm import MINUTE_IN_SECONDS
from tconnectsync.sync.run.outcome import Outcome

log = logging.getLogger(__name__)

LONG_WAIT = 30 * MINUTE_IN_SECONDS
"""After refusals that further tries would only prolong."""
FIRST_BACK_OFF = 30.0
FAILURES_UNTIL_ERROR = 3
"""After fewer failures in a row, no person is needed: most faults pass soon."""


class GaveUp(Exception):  # noqa: N818
    """Continuing makes no sense; the log says why.

    The exit code says to a supervisor whether to start the loop again: 1 yes, 2 only after a person
    has changed something.
    """

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code


def give_up_if_set(settings: LoopSettings) -> None:
    """Give up where a restart is expected to help (AUTOUPDATE_RESTART_ON_FAILURE).

    Raises:
        GaveUp: it is set.
    """
    if settings.restart_on_failure:
        log.error("Giving up, so that it is started again (AUTOUPDATE_RESTART_ON_FAILURE).")
        raise GaveUp(1)


class ThrottledLog:
    """Logs each message the 1st, 2nd, 4th, 8th … time only."""

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()

    def log(self, level: int, message: str, *arguments: object) -> None:
        """Log a message, unless this time is one to leave out."""
        self._times[message] += 1
        if self._times[message].bit_count() == 1:
            log.log(level, message, *arguments)

    def reset(self, *messages: str) -> None:
        """Count some messages from the beginning again."""
        for message in messages:
            self._times.pop(message, None)


class NothingNew:
    """Uploads in a row that brought nothing new to Nightscout: some setting may be wrong."""

    def __init__(self, settings: LoopSettings) -> None:
        self._settings = settings
        self._since: float | None = None
        self.log = ThrottledLog()
        self.minutes: float | None = None
        """For how long it has been so, if that is too long."""

    def over(self) -> None:
        """Take note that a cycle has found something new."""
        self._since = self.minutes = None
        self.log = ThrottledLog()

    def again(self, now: float) -> bool:
        """Report one more such upload; return whether to look for it again after a new login.

        That is so for the first one: its data may not be ready yet. Many logins would look like an
        attack.

        Raises:
            GaveUp: it has been so for ``failure_minutes``, and a restart is to help.
        """
        is_first = self._since is None
        self._since = now if self._since is None else self._since
        minutes = (now - self._since) / MINUTE_IN_SECONDS
        if minutes >= self._settings.failure_minutes:
            self.minutes = minutes
            self.log.log(
                logging.ERROR,
                "The pump uploads, but for %s none of its data has been new to Nightscout. "
                "Insulin may be missing there: compare the two, and check TIMEZONE_NAME.",
                span_in_words(timedelta(minutes=minutes)),
            )
            give_up_if_set(self._settings)
            return False
        self.log.log(
            logging.WARNING,
            "The pump has uploaded, but none of its data is new to Nightscout. No insulin is "
            "missing if the pump has given none since the upload before.",
        )
        return is_first


class Failures:
    """What failed in a row. Waits grow, by up to a quarter more for a ``jitter`` of 0..1."""

    def __init__(self, settings: LoopSettings) -> None:
        self._settings = settings
        self._rounds = 0
        self._since = 0.0
        self._partial = 0
        self._was_accepted = False

    def over(self) -> None:
        """Take note that a round has worked."""
        if self._rounds:
            log.info("The connection works again.")
        self.forget()

    def forget(self) -> None:
        """Count the rounds that fail from the beginning again."""
        self._rounds = 0

    def after_cycle(self, outcome: Outcome, jitter: float) -> float:
        """Return how long to wait before trying again what failed in a cycle; else infinity.

        Meanwhile, what could be synced continues in its own rhythm.

        Raises:
            TconnectsyncError: nothing could be synced, or trying further would do harm.
        """
        if outcome.ended_by:
            raise outcome.ended_by
        done = outcome.created + outcome.updated + outcome.kept
        if outcome.failures and not (done or outcome.others or outcome.deferred):
            raise outcome.failures[0].error
        self._was_accepted = True
        if not outcome.failures:
            self._partial = 0
            return inf
        self._partial += 1
        wait = _back_off(self._partial, self._settings.max_sleep_seconds, jitter)
        reasons = [(" ".join(each.features), str(each.error)) for each in outcome.failures]
        level = _level(self._partial)
        for names, reason in dict.fromkeys(reasons):
            log.log(level, "%s failed. %s", names, reason)
        until = wait_in_words(wait)
        log.log(level, "The rest is done. Trying again in %s at the latest.", until)
        return wait

    def after_error(self, error: TconnectsyncError, now: float, jitter: float) -> float:
        """Return how long to wait after a round in which nothing could be done.

        Raises:
            GaveUp: further tries would not help or do harm, or nothing has worked for too long.
        """
        text = f"{str(error).removesuffix('.')}."
        if isinstance(error, NightscoutLoginError) and self._was_accepted:
            # A site that starts or moves may refuse for a moment what is right.
            self._was_accepted = False
            self.forget()
            log.error(
                "%s NS_SECRET worked until now, so this may pass: trying once more in 30 minutes.",
                text,
            )
            return LONG_WAIT
        if error.fatal and not error.can_retry:
            log.error("%s Giving up, because trying again would not help.", text)
            raise GaveUp(2)
        if isinstance(error, FirewallError):
            # Ending would only mean that a restart asks again too soon.
            self.forget()
            wait = LONG_WAIT if error.wait is None else error.wait * (1 + 0.1 * jitter)
            log.error("%s Trying again in %.0f minutes.", text, wait / MINUTE_IN_SECONDS)
            return wait
        self._since = self._since if self._rounds else now
        self._rounds += 1
        minutes, limit = (now - self._since) / MINUTE_IN_SECONDS, self._settings.api_failure_minutes
        if 0 < limit <= minutes:
            log.error(
                "%s Giving up, because nothing has worked for %s (AUTOUPDATE_API_FAILURE_MINUTES).",
                text,
                span_in_words(timedelta(minutes=minutes)),
            )
            raise GaveUp(1)
        wait = _back_off(self._rounds, self._settings.default_sleep_seconds, jitter)
        log.log(_level(self._rounds), "%s Trying again in %s.", text, wait_in_words(wait))
        return wait


def _level(times: int) -> int:
    return logging.INFO if times < FAILURES_UNTIL_ERROR else logging.ERROR


def _back_off(times: int, longest: float, jitter: float) -> float:
    """Return how long to wait after failing so many times in a row."""
    doubled = FIRST_BACK_OFF * 2.0 ** min(times - 1, 16)
    return min(doubled, max(longest, FIRST_BACK_OFF)) * (1 + 0.25 * jitter)
