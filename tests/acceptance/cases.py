"""Reads the acceptance cases, which lie beside the checkout, and compares documents with theirs.

Each module asks for its cases when it is collected; without the folder all of them are skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tconnectsync.nightscout.provenance import Document, instant
from tests.acceptance.exceptions import EXCEPTIONS

FOLDER = Path(__file__).parents[3] / "shared" / "cases" / "tconnect"

JOINED = {
    "therapy_events_bolus_mixed.json": (
        "therapy_events_bolus_automatic_correction.json",
        "therapy_events_bolus_standard.json",
        "therapy_events_bolus_extended_complete.json",
    )
}
"""Payloads that a case names but the folder lacks, and those that hold the same events."""

NOT_COMPARED = ("_id", "identifier", "syncIdentifier", "checksum", "utcOffset")


def folder() -> Path:
    """Return the folder of the cases; without it, skip the module or test that asks."""
    if not FOLDER.is_dir():
        pytest.skip("The acceptance cases are not beside this checkout.", allow_module_level=True)
    return FOLDER


@cache
def text(name: str) -> str:
    """Return a text file, its line ends as they are."""
    return (folder() / name).read_bytes().decode()


def load(name: str) -> Any:
    """Return a JSON file, or what stands for one that is not there."""
    if name in JOINED and not (folder() / name).exists():
        return {"event": [event for part in JOINED[name] for event in load(part)["event"]]}
    return json.loads(text(name))


def expected(name: str) -> Any:
    """Return what is expected of a payload; nothing in particular for one without that."""
    result = Path(name).with_suffix(".expected.json").as_posix()
    return load(result) if (folder() / result).exists() else {}


def files(*patterns: str) -> list[str]:
    """Return the names of the payloads we are to agree with, those that fit a pattern."""
    found = {path.relative_to(folder()).as_posix() for path in folder().rglob("*.*")}
    return sorted(
        name
        for name in found
        if any(fnmatch(name, pattern) for pattern in patterns)
        and not name.endswith(".expected.json")
        and not is_different(name)
    )


def cases(name: str, **only: str) -> list[Any]:
    """Return the cases of a file that we are to agree with, for a parametrized test.

    ``only`` names fields and the value that a case must have there.
    """
    return [
        pytest.param(case, id=case["case"])
        for case in load(name)
        if not is_different(name, case["case"])
        and all(case[field] == value for field, value in only.items())
    ]


def is_different(name: str, case: str = "") -> bool:
    """Return whether we do something else on purpose."""
    return (name, case) in EXCEPTIONS


def exception(name: str, case: str = "") -> Any:
    """Return a payload or case of the table of exceptions."""
    assert (name, case) in EXCEPTIONS
    if not case:
        return load(name) if name.endswith("json") else text(name)
    return next(each for each in load(name) if each["case"] == case)


def comparable(documents: Iterable[Mapping[str, Any]]) -> list[Document]:
    """Return documents in time order and in a form in which equal ones are equal.

    Instants are compared, not their texts; no carbs and no insulin are the same as 0; durations
    are alike to a millionth of a minute.
    """
    return sorted(
        map(_comparable, documents), key=lambda it: (it["created_at"], it["eventType"], str(it))
    )


def _comparable(document: Mapping[str, Any]) -> Document:
    same = {name: value for name, value in document.items() if name not in NOT_COMPARED}
    same["created_at"] = instant(document)
    for name in ("carbs", "insulin"):
        if not same.get(name):
            same.pop(name, None)
    if same.get("duration") is not None:
        same["duration"] = round(same["duration"], 6)
    return same
