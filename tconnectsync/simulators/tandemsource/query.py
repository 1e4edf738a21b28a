"""What a request may ask of the pump's log, read as strictly as Tandem Source does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

LONGEST = timedelta(days=28)
"""The service gives out no more than about four weeks at once."""

WEB_APP = frozenset(
    (
        *(229, 5, 28, 4, 26, 562, 563, 566, 99, 279, 3, 16, 59, 21, 55, 20, 280, 64, 65, 66, 61),
        *(33, 371, 171, 369, 460, 172, 370, 461, 372, 480, 399, 256, 213, 406, 477, 394, 212, 404),
        *(214, 405, 486, 447, 313, 60, 14, 69, 57, 6, 90, 230, 140, 12, 11, 53, 559, 558, 565, 564),
        *(13, 63, 203, 307, 191),
    )
)
"""The codes that Tandem's web app asks for (tandem-source-api §4.2)."""

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_KEYS = ("pumperId", "startDate", "endDate", "eventCodes")


@dataclass(frozen=True, slots=True)
class LogQuery:
    """A range of the pump's wall clock (naive, both ends included), and the codes asked for."""

    first: datetime
    last: datetime
    codes: frozenset[int] | None
    """``None``: all."""

    def asks_for(self, code: int) -> bool:
        """Return whether entries of this code were asked for."""
        return self.codes is None or code in self.codes


class QueryError(Exception):
    """The service does not take the query; the message says why."""


def read_query(query: Mapping[str, str], *, strict: bool = False) -> LogQuery:
    """Read the query of a request for the log (tandem-source-api §4.2).

    With ``strict`` there must be codes, and no others than those of Tandem's web app.

    Raises:
        QueryError: a key is unknown or missing, a value unreadable, or the range too long.
    """
    if unknown := sorted(set(query) - set(_KEYS)):
        raise QueryError(f"Unrecognized key(s) in object: {', '.join(unknown)}")
    first, last = _time(query, "startDate"), _time(query, "endDate")
    if not first <= last <= first + LONGEST:
        raise QueryError("Check input parameters: startDate, endDate")
    codes = _codes(query.get("eventCodes"))
    if strict and (codes is None or codes.difference(WEB_APP)):
        raise QueryError("Invalid enum value: eventCodes")
    return LogQuery(first, last, codes)


def _time(query: Mapping[str, str], key: str) -> datetime:
    try:
        return datetime.strptime(query.get(key, ""), _TIME)
    except ValueError:
        raise QueryError(f"Invalid datetime: {key}") from None


def _codes(text: str | None) -> frozenset[int] | None:
    if text is None:
        return None
    try:
        return frozenset(int(code) for code in text.split(","))
    except ValueError:
        raise QueryError("Expected number: eventCodes") from None
