"""Every file of the cases is checked, and the table of exceptions names only what is there.

A file is checked when a test names it, by itself or in a pattern, or when cases that a test names
do. An expectation is checked together with its payload.
"""

from __future__ import annotations

import ast
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

from tests.acceptance.cases import FOLDER, folder, load, text
from tests.acceptance.exceptions import EXCEPTIONS

MODULES = [path for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__)]
EXPECTATION = ".expected.json"


FILES = sorted(
    path.relative_to(FOLDER).as_posix() for path in folder().rglob("*.*") if path.name != "INDEX.md"
)


@cache
def literals() -> set[str]:
    """Return the texts that the tests consist of, names of files and patterns among them."""
    nodes = [node for path in MODULES for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    return {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def checked() -> set[str]:
    patterns = [literal for literal in literals() if "." in literal]
    named = {name for name in FILES if any(fnmatch(name, p) for p in patterns)}
    lists = [name for name in named if name.endswith((".cases.json", ".case.json"))]
    named |= {name for name in FILES if any(f'"{name}"' in text(each) for each in lists)}
    return named


def test_every_file_is_checked() -> None:
    known = checked()
    stems = {name.split(".")[0] for name in known}
    assert [
        name
        for name in FILES
        if name not in known and not (name.endswith(EXPECTATION) and name.split(".")[0] in stems)
    ] == []


@pytest.mark.parametrize(("name", "case"), EXCEPTIONS, ids="#".join)
def test_every_exception_exists_and_is_asserted(name: str, case: str) -> None:
    assert (FOLDER / name).is_file()
    if case and isinstance(load(name), list):
        assert case in {each["case"] for each in load(name)}
    elif case:
        assert case in load(name)
    assert {name, case or name} <= literals()
