"""What a request may ask of the pump's log, read as strictly as Tandem Source does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

LONGEST = timedelta(days=28)
"""The service gives out no more than about four weeks at once."""

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_KEYS = ("pumperId", "startDate", "endDate", "eventCodes")


@dataclass(frozen=True, slots=True)
class LogQuery:
    """A range of the pump's wall clock (naive, both ends included), and which codes are wanted."""

    first: datetime
    last: datetime
    codes: frozenset[int] | None
    """``None``: all."""

    def wants(self, code: int) -> bool:
        """Tell whether entries of this code were asked for."""
        return self.codes is None or code in self.codes


class QueryError(Exception):
    """The service does not take the query; the message says why."""


def read_query(query: Mapping[str, str]) -> LogQuery:
    """Read the query of a request for the log (tandem-source-api §4.2).

    Raises:
        QueryError: a key is unknown or missing, a value unreadable, or the range too long.
    """
    if unknown := sorted(set(query) - set(_KEYS)):
        raise QueryError(f"Unrecognized key(s) in object: {', '.join(unknown)}")
    first, last = _time(query, "startDate"), _time(query, "endDate")
    if not first <= last <= first + LONGEST:
        raise QueryError("Check input parameters: startDate, endDate")
    return LogQuery(first, last, _codes(query.get("eventCodes")))


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
