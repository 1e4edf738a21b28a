"""Reads the text of the CSV export of tconnectws2 (docs/protocol/tconnect-api.md §4.1).

The export is several tables in one text, separated by blank lines and preceded by a report head. A
text that was cut short must not be taken for a day without events, so its end is checked closely.
"""

from __future__ import annotations

import csv
import io
import logging
from collections import Counter
from collections.abc import Iterator

from tconnectsync.api.answers import unusable

log = logging.getLogger(__name__)

Row = dict[str, str]
"""A row, keyed by the names in its table's header."""

Timeline = dict[str, list[Row]]
"""The four lists of :data:`LISTS`, each empty when its table is absent."""

LISTS = ("readingData", "iobData", "basalData", "bolusData")
WITH_INSULIN = ("basalData", "bolusData")
"""Those that say how much insulin was given."""

UNLABELLED = "DeclinedCorrection"
"""Our name for the bolus value that the export forgets to name."""

_BY_TYPE = {"IOB": "iobData", "Basal": "basalData", "Bolus": "bolusData"}
_EXTRA_FIELDS = {"readingData": 1, "bolusData": 2}
"""Fields of a complete row beyond its header: the unlabelled value, a comma at the end."""

_LAST_HEAD_LINE = "Report Generated On,"
_HEAD_LINES = ("Tandem Diabetes Care", "Patient Name", "Report Generated On")
_DAMAGED = ["damaged"]

_Table = list[list[str]]


def parse_timeline(text: str) -> Timeline:
    """Return the rows of an export; all values are texts, as they came.

    The last five columns of boluses are put under their right names: the export leaves out the
    name of the value before them. Damaged rows in the middle are left out, with a warning.

    Raises:
        ApiError: the text is something else, or was cut short.
    """
    timeline: Timeline = {name: [] for name in LISTS}
    tables = _tables(text)
    if not tables:
        return timeline
    is_export = any("EventDateTime" in table[0] or _is_head(table) for table in tables)
    if not is_export or _is_cut(text, tables[-1]):
        raise unusable(text, "CSV export", divisible=False)
    damaged: Counter[str] = Counter()
    for header, *rows in tables:
        name = _list_name(header, rows)
        if name is None:
            continue
        if "EventDateTime" not in header:
            raise unusable(text, "CSV export", divisible=False)
        whole = [row for row in rows if len(row) >= len(header)]
        damaged[name] += len(rows) - len(whole)
        timeline[name] += [_as_dict(header, row) for row in whole]
    if count := damaged.total():
        what = f"Left out: damaged rows of t:connect's CSV export ({count})."
        if any(damaged[name] for name in WITH_INSULIN):
            log.warning(
                "%s Insulin may be missing in Nightscout because of that: compare the day with "
                "the pump's own history.",
                what,
            )
        else:
            log.info("%s No insulin is missing because of that.", what)
    return timeline


def _tables(text: str) -> list[_Table]:
    tables: list[_Table] = [[]]
    for record in _records(text):
        if any(cell.strip() for cell in record) or len(record) > 1:
            tables[-1].append(record)
        elif tables[-1]:
            tables.append([])
    return [[[name.strip() for name in header], *rows] for header, *rows in filter(None, tables)]


def _records(text: str) -> Iterator[list[str]]:
    """Yield the records; one with wrong quoting becomes a record that is too short."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        try:
            record = next(reader, None)
        except csv.Error:
            record = _DAMAGED
        if record is None:
            return
        yield record


def _is_head(table: _Table) -> bool:
    return any(row[0].startswith(_HEAD_LINES) for row in table)


def _list_name(header: list[str], rows: _Table) -> str | None:
    """Say which list a table belongs to; readings come from several kinds of devices."""
    if any(name.startswith("Readings") for name in header):
        return "readingData"
    kind = rows[0][0] if rows else ""
    return next((name for start, name in _BY_TYPE.items() if kind.startswith(start)), None)


def _is_cut(text: str, table: _Table) -> bool:
    """Return whether the text ends too early, judged by its last table."""
    if _is_head(table):
        _, last_line, rest = text.partition(_LAST_HEAD_LINE)
        return not last_line or not ("\n" in rest or rest.endswith(("AM", "PM")))
    header, *rows = table
    name = _list_name(header, rows)
    if text.endswith("\n"):
        return name is not None and bool(rows) and len(rows[-1]) < len(header)
    # Without a line end, only a row with its last quote or comma is surely complete.
    extra = _EXTRA_FIELDS.get(name or "", 0)
    if name is None or not rows or not text.endswith("," if extra else '"'):
        return True
    return len(rows[-1]) < len(header) + extra


def _as_dict(header: list[str], row: list[str]) -> Row:
    surplus = row[len(header) :]
    # A single empty surplus field is only the comma at the line's end.
    if "IsQuickBolus" in header and (len(surplus) > 1 or any(surplus)):
        after = header.index("IsQuickBolus") + 1
        header = [*header[:after], UNLABELLED, *header[after:]]
    return dict(zip(header, row, strict=False))
