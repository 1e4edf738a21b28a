"""All messages about the pump's clock.

Times are those of the pump's zone, as people read them on a screen.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from tconnectsync.domain.clock import DAY
from tconnectsync.domain.words import days_in_words
from tconnectsync.sources.tandemsource.clock.changes import ClockChange
from tconnectsync.sources.tandemsource.clock.hypotheses import FRESH
from tconnectsync.sources.tandemsource.clock.logclock import LogClock


def disagreement(clock: LogClock) -> str:
    """Say where pump, record and zone differ; empty if nowhere."""
    name = f"TIMEZONE_NAME ({clock.zone_name})"
    said = []
    if clock.ahead and not clock.shows_wrong_date:
        side = "ahead of" if clock.ahead > timedelta(0) else "behind"
        said.append(
            "According to its log and its last upload, the pump's clock is "
            f"{days_in_words(clock.ahead)} {side} {name}. Treatments are written at the times of "
            "the log. Set the pump's clock, or TIMEZONE_NAME if you have moved."
        )
    if clock.lacks_a_change:
        said.append(
            "The pump's clock was changed at least once without an entry in its log. For those "
            f"days the times of {name} are used; compare them with what you remember."
        )
    if clock.lag is not None and -DAY < clock.lag < -FRESH:
        said.append(
            f"The pump's newest entry lies {days_in_words(clock.lag)} after its own upload. {name} "
            "is not the zone of the pump's clock, or that clock is fast: compare it with a watch."
        )
    return " ".join(said)


def set_wrong(ahead: timedelta, change: ClockChange | None) -> str:
    """Say that somebody has set the clock to a wrong date, and what to do."""
    side = "ahead" if ahead > timedelta(0) else "behind"
    when = f": it was set to {change.after:%Y-%m-%d %H:%M} by mistake" if change else ""
    return (
        f"The pump's clock is {days_in_words(ahead)} {side}{when}. Treatments are shown at their "
        "true time as far as the log shows it, but only to within some minutes. Set the date "
        "and the time on the pump; the next sync after its upload then brings these days "
        "exactly."
    )


def uploaded_ahead(ahead: timedelta, newest: datetime, uploaded: datetime, since: datetime) -> str:
    """Say that the newest entry has a date long after its upload."""
    return (
        f"The pump's clock is {days_in_words(ahead)} ahead: its newest entry is of "
        f"{_time(newest)}, but was uploaded on {_time(uploaded)}. {_until_set(since)}"
    )


def lost_its_date(year: int, since: datetime) -> str:
    """Say that the clock shows a date in a year before the pump was made."""
    return (
        f"The pump's clock shows a date in {year}, as after an empty battery. {_until_set(since)}"
    )


def nothing_new(newest: datetime, uploaded: datetime, since: datetime, *, is_sure: bool) -> str:
    """Say that an upload brought nothing new, so that the date is wrong or may be wrong."""
    said = f"The pump uploaded on {_time(uploaded)}, but its newest entry is of {_time(newest)}"
    if not is_sure:
        return (
            f"{said}. If it was in use since, its clock shows a wrong date: look at the date on "
            "the pump, and set it if it is wrong."
        )
    return f"{said}: its clock shows a wrong date, as after an empty battery. {_until_set(since)}"


def left_undated(count: int) -> str:
    """Say that the last entries of a saved log cannot be placed in time."""
    return (
        f"The pump lost its date before the end of this log. The times of its last {count} "
        "entries are unknown, so they are left out. Set the date and the time on the pump, then "
        "save its log once more and import that."
    )


def _until_set(since: datetime) -> str:
    return (
        "Until it is corrected, insulin given meanwhile is missing or appears on "
        "a wrong day. Set the date and the time on the pump; the next sync after its upload "
        "then moves these days to their true dates. For days older than CATCH_UP_DAYS, sync "
        f"again with --start-date {since:%Y-%m-%d}."
    )


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
