"""The two formats of the files of an export: rows to text, and back.

CSV is that of RFC 4180 in UTF-8, with the names in the first line. JSON Lines have an object with
all names in each line.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from types import SimpleNamespace
from typing import Any, NamedTuple

from tconnectsync.export.columns import Kind, Value

DECIMALS = 6
"""Of a number; what is smaller is an error of calculation, not insulin."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""How a text begins that a spreadsheet would calculate."""
COMMON = 4
"""How many columns all kinds and versions begin with: both times, the pump, the key."""


class Row(NamedTuple):
    """A row of a file."""

    at: datetime
    """Its time, in UTC."""
    key: str
    pump: str
    """The pump that it is from; empty if that is not known."""
    line: str
    """Its text in the file, with the end of the line."""


class UnknownFileError(ValueError):
    """A file that this version does not write; the text says why, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class FileFormat:
    """One of the formats."""

    name: str
    """The end of the files' names."""
    line: Callable[[Sequence[str], Sequence[Value]], str]
    """Returns a line, from the names and the values."""
    heading: Callable[[Sequence[str]], str]
    """Returns the first line, from the names; empty if there is none."""
    parse: Callable[[str, Sequence[str]], Iterator[Row]]
    """Yields the rows of a text that should have columns of these names, with missing ones added.

    Raises :class:`UnknownFileError`."""
    values: Callable[[str], Sequence[Any]]
    """Returns the values of a line as they stand in it."""

    def row(self, kind: Kind, thing: object) -> Row:
        """Return the row of one thing of a kind."""
        values = [column.of(thing) for column in kind.columns]
        at, pump, key = values[0], values[2], values[3]
        if not isinstance(at, datetime):
            raise TypeError(f"{kind.name}: the first column is no time")
        return Row(at, str(key), str(pump or ""), self.line(kind.names, values))


def number_text(number: float) -> str:
    """Return a number without errors of calculation, exponents and needless zeros."""
    if isinstance(number, int):
        return str(number)
    text = f"{number:.{DECIMALS}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _time(instant: datetime) -> str:
    text = instant.isoformat()
    return text.replace("+00:00", "Z") if instant.tzinfo is UTC else text


def _writable(text: str) -> str:
    """Return a text without half characters, which no file can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _row(at: str, pump: str, key: str, line: str) -> Row:
    """Return a row that was read. Raises UnknownFileError."""
    try:
        return Row(datetime.fromisoformat(at).astimezone(UTC), key, pump, line)
    except (ValueError, OverflowError):
        raise UnknownFileError("another program has changed its times") from None


def _require_known(found: Sequence[str], names: Sequence[str]) -> None:
    """Raise UnknownFileError unless these are the names of this version or of an older one."""
    if list(found) == list(names[: len(found)]) and len(found) >= COMMON:
        return
    if list(found[: len(names)]) == list(names):
        raise UnknownFileError("it has more columns, of a newer version or added by somebody")
    if found and names[0] in found[0]:
        raise UnknownFileError("another program, such as a spreadsheet, has saved it its own way")
    raise UnknownFileError("it has other columns")


# -- CSV ---------------------------------------------------------------------------------------


def _csv_line(values: Iterable[str]) -> str:
    parts: list[str] = []
    csv.writer(SimpleNamespace(write=parts.append)).writerow(values)
    return parts[0]


def _csv_text(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _writable(f"'{value}" if value.startswith(FORMULA) else value)
    return _time(value) if isinstance(value, datetime) else number_text(value)


def _parse_csv(text: str, names: Sequence[str]) -> Iterator[Row]:
    lines = csv.reader(StringIO(text, newline=""), strict=True)
    try:
        first = next(lines, None)
        if first is None:
            return
        _require_known(first, names)
        missing = [""] * (len(names) - len(first))
        for values in lines:
            if len(values) != len(first):
                raise UnknownFileError(f"line {lines.line_num} has another number of columns")
            at, _, pump, key = values[:COMMON]
            yield _row(at, pump, key, _csv_line([*values, *missing]))
    except csv.Error as error:
        raise UnknownFileError(f"line {lines.line_num} is no CSV ({error})") from None


CSV = FileFormat(
    "csv",
    lambda names, values: _csv_line(map(_csv_text, values)),
    _csv_line,
    _parse_csv,
    lambda line: next(csv.reader(StringIO(line, newline=""))),
)

# -- JSON Lines --------------------------------------------------------------------------------


def _json_text(value: Value) -> str:
    if value is None or value == "":
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | datetime):
        text = _time(value) if isinstance(value, datetime) else _writable(value)
        return json.dumps(text, ensure_ascii=False)
    return number_text(value)


def _json_line(names: Sequence[str], values: Sequence[Value]) -> str:
    pairs = zip(names, values, strict=True)
    return "{" + ", ".join(f'"{name}": {_json_text(value)}' for name, value in pairs) + "}\n"


def _parse_jsonl(text: str, names: Sequence[str]) -> Iterator[Row]:
    # Not splitlines(), which also splits at characters that JSON allows in texts.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line:
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            raise UnknownFileError(f"line {number} is no JSON") from None
        if not isinstance(found, dict):
            raise UnknownFileError(f"line {number} is no object")
        _require_known(list(found), names)
        whole = f"{line}\n"
        if len(found) < len(names):
            added = "".join(f', "{name}": null' for name in names[len(found) :])
            whole = f"{line.rstrip().removesuffix('}')}{added}}}\n"
        at, _, pump, key = list(found.values())[:COMMON]
        yield _row(str(at), str(pump or ""), str(key), whole)


JSONL = FileFormat(
    "jsonl",
    _json_line,
    lambda names: "",
    _parse_jsonl,
    lambda line: list(json.loads(line).values()),
)

FORMATS = {each.name: each for each in (CSV, JSONL)}
