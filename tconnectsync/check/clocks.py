"""Whether the clocks agree: this computer's, Nightscout's and the pump's with its zone."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from tconnectsync.check.results import Findings, NotTriedError
from tconnectsync.domain.offsets import TOLERANCE, fitting_offset, offset_in_words
from tconnectsync.domain.words import span_in_words
from tconnectsync.errors import TconnectsyncError

LONGEST_SILENCE = timedelta(hours=3)
"""A longer time without an upload is worth mentioning; the app uploads at least every hour."""

USUAL_DELAY = timedelta(minutes=65)
"""The greatest age of the newest data when everything works."""

SHORT_DELAY = timedelta(minutes=15)
"""Their greatest age when they are uploaded; the pump writes an entry every 5 minutes."""


def this_computers_clock(findings: Findings) -> str:
    """Compare this computer's clock with Nightscout's.

    Raises:
        TconnectsyncError: they differ by minutes.
        NotTriedError: Nightscout did not send its time.
    """
    if findings.host_ahead_seconds is None:
        raise NotTriedError("Nightscout did not send its time.")
    ahead = timedelta(seconds=findings.host_ahead_seconds)
    if abs(ahead) < TOLERANCE:
        return "It agrees with Nightscout's."
    raise TconnectsyncError(
        f"It is {span_in_words(abs(ahead))} {'ahead of' if ahead > timedelta(0) else 'behind'} "
        "Nightscout's. Let this computer set its clock from the network (NTP); if its "
        "clock is right, the Nightscout server's is wrong."
    )


def pumps_clock(findings: Findings, now: datetime, zone: ZoneInfo) -> str:
    """Judge by the newest data whether the pump's clock and zone can be right.

    The data are compared with the time of their upload if that is known, else with the present.
    ``now`` is this computer's time; Nightscout's is trusted more where the two differ.

    Raises:
        TconnectsyncError: the data lie in the future, are older than an upload explains, or the
            pump's own record of its clock says that it does not have the time of its zone.
        NotTriedError: the pump shows a wrong date.
    """
    if findings.shows_wrong_date:
        raise NotTriedError("The pump shows a wrong date, as said above.")
    newest = findings.newest
    if newest is None:
        raise TconnectsyncError(
            "Tandem has nothing newer. Open Tandem's app on the phone and see whether it uploads; "
            "or check days with data: --start-date and --end-date."
        )
    if findings.disagreement and newest.utcoffset() != newest.astimezone(zone).utcoffset():
        raise TconnectsyncError(findings.disagreement)
    present = now - timedelta(seconds=findings.host_ahead_seconds or 0)
    if findings.uploaded:
        return _by_upload(newest, findings.uploaded, present, zone, gapless=findings.gapless)
    return _by_present(newest, present, zone, gapless=findings.gapless)


def _by_present(newest: datetime, present: datetime, zone: ZoneInfo, *, gapless: bool) -> str:
    age = present - newest
    fitting = _fitting(newest, age, zone, USUAL_DELAY)
    if age < -TOLERANCE:
        raise _too_late(-age, "in the future", zone, fitting)
    if age > LONGEST_SILENCE and gapless:
        raise TconnectsyncError(
            f"The newest data are {span_in_words(age)} old. Either the pump has not uploaded "
            f"since: open Tandem's app on the phone. Or it has, and {_wrong(zone)}.{fitting}"
        )
    return f"With {zone.key} the newest data are {span_in_words(max(age, timedelta(0)))} old."


def _by_upload(
    newest: datetime, uploaded: datetime, present: datetime, zone: ZoneInfo, *, gapless: bool
) -> str:
    age, silence = uploaded - newest, present - uploaded
    fitting = _fitting(newest, age, zone, SHORT_DELAY)
    if age < -TOLERANCE:
        raise _too_late(-age, "after their own upload", zone, fitting)
    if gapless and (age > LONGEST_SILENCE or fitting):
        raise TconnectsyncError(
            f"The newest data were {span_in_words(age)} old already when they were uploaded. "
            "Either the phone had been away from the pump: check again after the next upload. Or "
            f"{_wrong(zone)}.{fitting}"
        )
    if silence > LONGEST_SILENCE:
        raise TconnectsyncError(
            f"The pump last uploaded {span_in_words(silence)} ago. Open Tandem's app on the phone "
            "and see whether it uploads."
        )
    old, ago = (span_in_words(max(span, timedelta(0))) for span in (age, silence))
    return f"With {zone.key} the newest data were {old} old when they were uploaded, {ago} ago."


def _too_late(by: timedelta, where: str, zone: ZoneInfo, fitting: str) -> TconnectsyncError:
    return TconnectsyncError(
        f"The newest data lie {span_in_words(by)} {where}. {_wrong(zone)}, or the pump's clock is "
        f"wrong by that much or more: compare it with a watch.{fitting}"
    )


def _wrong(zone: ZoneInfo) -> str:
    return f"TIMEZONE_NAME ({zone.key}) is not the zone of the pump's clock"


def _fitting(newest: datetime, age: timedelta, zone: ZoneInfo, delay: timedelta) -> str:
    """Name another offset that makes the data no older than ``delay``, if just one does."""
    here = newest.astimezone(zone)
    offset = fitting_offset(here, age, delay)
    return "" if offset is None else f" {offset_in_words(offset, here.replace(tzinfo=None))}."
