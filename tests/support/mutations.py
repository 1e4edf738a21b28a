"""Payloads with something wrong in them: what a cloud may send on its worst day.

A payload is changed in a few places, and only there: the rest stays as real as it was. Strategies
shrink to the smallest change that does the harm.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

LONG_RUN = "FUZZ_EXAMPLES"
"""The variable that asks for many more cases, and other ones each time."""


def fuzz(examples: int) -> settings:
    """Return settings for a number of cases, the same ones each time; none may take long."""
    return settings(
        max_examples=int(os.environ.get(LONG_RUN, examples)),
        derandomize=LONG_RUN not in os.environ,
        deadline=timedelta(seconds=60),
        database=None,
        suppress_health_check=list(HealthCheck),
    )


DEEP = 100
"""Levels of nesting: as many as a database takes; what is much deeper is no JSON to Python."""


def nested(levels: int, innermost: Any = None) -> Any:
    """Return lists and objects in one another."""
    for level in range(levels):
        innermost = [innermost] if level % 2 else {"x": innermost}
    return innermost


NUMBERS = (
    *(0, 1, -1, 2, 19, 601, 80.01, 15.01, 999.5, 0.1, -0.0, 1e-320, 1e9, 1e300, -1e300),
    *(float("nan"), float("inf"), float("-inf")),
    *(2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**63, -(2**63), 10**30, 10**400, -(10**400)),
)
TIMES = (
    *("0001-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z"),
    *("2007-12-31T23:59:59", "2024-02-30T10:00:00", "2024-03-10T02:30:00", "2024-11-03T01:30:00"),
    *("2024-06-04", "2024-06-04T25:00:00", "2024-06-04T10:00:60", "2024-W23-2T10:00:00"),
    *("2099-01-01T00:00:00", "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59.999999"),
    *("/Date(0-0000)/", "/Date(-1-0000)/", "/Date(99999999999999999999)/", "/Date(1e5)/"),
)
TEXTS = (
    *("", " ", "\0", "null", "undefined", "NaN", "Infinity", "1e400", "-5", "0x10", "1_000", "1,5"),
    *(
        "\u0661\u0662",
        "\u00b2",
        "\ud800",
        "\udfff\ud800",
        "\U0001f489",
        "\u202e",
        "\r\n",
        "a\nb: c",
    ),
    *("<script>alert(1)</script>", "</html>", "{{7*7}}", "%s%n", "../../etc/passwd", "'; --"),
    *("x" * 20_000, "9" * 5000, "0" * 3000 + "1", "\u0130" * 50),
)
NESTINGS: tuple[Any, ...] = (
    [],
    {},
    [[]],
    [{}],
    [None],
    {"": None},
    {"value": {}},
    nested(DEEP),
    [[]] * 1000,
)

scalars = st.one_of(
    st.sampled_from((None, True, False)),
    st.sampled_from(NUMBERS),
    st.sampled_from(TIMES),
    st.sampled_from(TEXTS),
    st.integers(),
    st.floats(),
    st.text(st.characters(), max_size=20),
)
hostile = st.one_of(scalars, st.sampled_from(NESTINGS), st.lists(scalars, max_size=3))
"""Values that have no business where they are put."""


Path = tuple[str | int, ...]


def mutated(payload: Any, most: int = 6) -> st.SearchStrategy[Any]:
    """Return JSON values that are ``payload`` with up to ``most`` things wrong with it.

    Every kind of field is as likely to be hit as any other, however often it occurs. What is wrong
    with it can be wrong in one place or wherever it occurs.
    """
    change = st.tuples(
        st.sampled_from(fields_of(payload)), st.integers(-1, 50), st.sampled_from(_ODD), hostile
    )
    return st.lists(change, min_size=1, max_size=most).map(
        lambda changes: _with_changes(payload, changes)
    )


def fields_of(payload: Any) -> list[list[Path]]:
    """Return where each kind of field occurs; of the items of a list, each has the same fields."""
    fields: dict[Path, list[Path]] = {}
    for path in _paths(payload, ()):
        kind = tuple("" if isinstance(step, int) else step for step in path)
        fields.setdefault(kind, []).append(path)
    return list(fields.values())


def with_value(payload: Any, places: list[Path], value: Any) -> Any:
    """Return a copy of a payload with a value in some places."""
    return _with_changes(payload, [(places, -1, lambda old, new: new, value)])


BAD: tuple[Any, ...] = (10**400, float("inf"), -5, 1000, "\ud800" + "x" * 500, [[]], "")
"""What is put in the place of each field in turn."""


def each_spoiled(payload: Any) -> Iterator[Any]:
    """Yield payloads in which one kind of field has a bad value wherever it occurs, or once."""
    for places in fields_of(payload):
        for number, bad in enumerate(BAD):
            yield with_value(payload, places if number % 2 else places[:1], bad)


def _paths(value: Any, path: Path) -> Iterator[Path]:
    yield path
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _paths(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _paths(each, (*path, index))


_Odd = Callable[[Any, Any], Any]
_GONE = object()
_ODD: tuple[_Odd, ...] = (
    *[lambda value, other: other] * 8,
    lambda value, other: _GONE,
    lambda value, other: [value],
    lambda value, other: {"value": value},
    lambda value, other: value.replace("T", " ") if isinstance(value, str) else str(value),
    lambda value, other: value * 2 if isinstance(value, str | list) else -value,
    lambda value, other: value[::-1],
    lambda value, other: value[: len(value) // 2],
    lambda value, other: [*value, *value[:1] * 50],
    lambda value, other: [*value, other],
    lambda value, other: {**value, "odd": other},
    lambda value, other: {name.swapcase(): each for name, each in value.items()},
    lambda value, other: dict.fromkeys(value, other),
)
"""What can be done to a value; where that makes no sense, another takes its place."""

_Change = tuple[list[Path], int, _Odd, Any]


def _with_changes(payload: Any, changes: list[_Change]) -> Any:
    for paths, which, odd, other in changes:
        for path in paths if which < 0 else [paths[which % len(paths)]]:
            changed = _changed(payload, path, odd, other)
            payload = None if changed is _GONE else changed
    return payload


def _changed(value: Any, path: Path, odd: _Odd, other: Any) -> Any:
    """Return a copy with something else at a place; as it is, where there is no such place."""
    if not path:
        try:
            return odd(value, other)
        except (AttributeError, TypeError):
            return other
    step, rest = path[0], path[1:]
    if isinstance(value, dict) and step in value:
        changed = {**value, step: _changed(value[step], rest, odd, other)}
        return {name: each for name, each in changed.items() if each is not _GONE}
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        items = [*value[:step], _changed(value[step], rest, odd, other), *value[step + 1 :]]
        return [each for each in items if each is not _GONE]
    return value


def mutated_text(text: str, most: int = 6) -> st.SearchStrategy[str]:
    """Return texts that are ``text`` with up to ``most`` things wrong with it."""

    @st.composite
    def changed(draw: st.DrawFn) -> str:
        found = text
        for _ in range(draw(st.integers(1, most))):
            first, second = draw(st.integers(0, len(found))), draw(st.integers(0, len(found)))
            start, end = min(first, second), max(first, second)
            found = draw(st.sampled_from(_IN_TEXT))(draw, found, start, end)
        return found

    return changed()


_odd_letters = st.one_of(st.sampled_from(list("\"'<>&,;:(){}[]\\/=\n\r\t\0 -.")), st.characters())

_InText = Callable[[st.DrawFn, str, int, int], str]
_IN_TEXT: tuple[_InText, ...] = (
    lambda draw, text, start, end: text[:end],
    lambda draw, text, start, end: text[start:],
    lambda draw, text, start, end: text[:start] + text[min(end, start + 200) :],
    lambda draw, text, start, end: text[:end] + text[start:],
    lambda draw, text, start, end: text[:start] + draw(st.sampled_from(TEXTS)) + text[start:],
    lambda draw, text, start, end: text[:start] + draw(_odd_letters) + text[start + 1 :],
    lambda draw, text, start, end: text[:start] + _next_number(draw, text[start:]),
    lambda draw, text, start, end: text[:start] + _next_number(draw, text[start:]),
    lambda draw, text, start, end: text[:start] + _next_line_twice(text[start:]),
)


def _next_number(draw: st.DrawFn, text: str) -> str:
    """Put something else in the place of the next number."""
    told = json.dumps(draw(st.sampled_from(NUMBERS)))
    return re.sub(r"\d+(\.\d+)?", lambda found: told, text, count=1)


def _next_line_twice(text: str) -> str:
    line, end, rest = text.partition("\n")
    return f"{line}{end}{line}{end}{rest}"


def mutated_bytes(data: bytes, most: int = 6) -> st.SearchStrategy[bytes]:
    """Return bytes that are ``data`` with up to ``most`` things wrong with them."""

    @st.composite
    def changed(draw: st.DrawFn) -> bytes:
        found = data
        for _ in range(draw(st.integers(1, most))):
            start, end = sorted((draw(_places(found)), draw(_places(found))))
            found = draw(
                st.sampled_from(
                    (
                        found[:end],
                        found[:start] + found[end:],
                        found[:end] + found[start:],
                        found[:start] + draw(st.binary(max_size=30)) + found[start:],
                        found[:start] + draw(st.binary(max_size=30)) + found[start + 30 :],
                        found[:start] + b"\xff" * 26 + found[start + 26 :],
                        found[:start] + bytes(26) + found[start + 26 :],
                    )
                )
            )
        return found

    return changed()


def _places(data: bytes) -> st.SearchStrategy[int]:
    return st.integers(0, len(data))
