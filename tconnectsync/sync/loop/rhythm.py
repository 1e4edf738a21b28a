"""How often the pump uploads, and when to look again.

All times are seconds of a clock that is never set, and which on some systems stands still while the
computer sleeps.
"""

from __future__ import annotations

from collections import deque

from tconnectsync.config.settings import LoopSettings

MINUTE_IN_SECONDS = 60.0
USUAL_GAP = 60 * MINUTE_IN_SECONDS
"""How often the phone app uploads, as long as nothing else has been observed."""
OVERDUE_AFTER = 1.5
"""An upload is overdue after this many times the usual gap."""
GAPS_NEEDED = 3
GAPS_KEPT = 10
FRUITLESS_POLLS = 3
"""With a fixed sleep no time is expected, so an upload is overdue after so many fruitless polls."""


class UploadRhythm:
    """Learns from the uploads that were seen when the next one is to be expected."""

    def __init__(self, settings: LoopSettings, started: float) -> None:
        self.gaps: deque[float] = deque(maxlen=GAPS_KEPT)
        self._settings = settings
        self._last = started
        self._has_seen_one = False
        self._fruitless = 0
        self._was_expected = False

    def uploaded(self, now: float) -> None:
        """Take note of an upload since the poll before."""
        if self._has_seen_one:
            gap, often = now - self._last, self._settings.unexpected_no_index_sleep_seconds
            if self._usual and not self._was_expected:
                # It may have been there for long: what was measured is how often we look. Looking
                # earlier from now on creeps up on the true time.
                gap = max(gap - often, often)
            self.gaps.append(gap)
        self._has_seen_one = True
        self._last = now
        self._fruitless = 0
        self._was_expected = False

    def not_uploaded(self, now: float) -> None:
        """Take note of a poll without an upload."""
        self._fruitless += 1
        self._was_expected = self._usual is not None and now >= self._last + self._usual

    def silence(self, now: float) -> float:
        """Return how long ago the last upload was, or the start if there was none."""
        return now - self._last

    def is_overdue(self, now: float) -> bool:
        """Return whether an upload should have been seen by now."""
        if self._settings.use_fixed_sleep:
            return self._fruitless >= FRUITLESS_POLLS
        return self.silence(now) >= OVERDUE_AFTER * (self._usual or USUAL_GAP)

    def is_silent(self, now: float) -> bool:
        """Return whether the time without an upload is an error, no matter what is usual."""
        return self.silence(now) >= self._settings.no_data_failure_minutes * MINUTE_IN_SECONDS

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
        if len(self.gaps) < GAPS_NEEDED:
            return None
        from statistics import median

        # The median: a night with the phone off is no rhythm.
        return median(self.gaps)
