"""The pages for people (README, CONTRIBUTING, docs) and the blocks of code in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
    if path.name != "CHANGELOG.md"
)
"""All of them, from the top of the checkout."""

_BLOCK = re.compile(
    r"(?:^ *<!-- not run: (?P<reason>[^>]+?) -->\n)?"
    r"^(?P<indent> *)```(?P<kind>\w*)(?: (?P<file>\S+))?\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One block of code on a page."""

    page: str
    line: int
    """Where it begins."""
    kind: str
    """What stands behind its first marks, such as ``sh``."""
    file: str
    """The file whose text it shows, if it says so."""
    text: str
    reason: str
    """Why it cannot be run by a test; empty where it can."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@cache
def text_of(name: str) -> str:
    """Return the text of a page."""
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def blocks(name: str) -> list[Block]:
    """Return the blocks of code of a page, in order."""
    whole = text_of(name)
    return [
        Block(
            name,
            whole.count("\n", 0, found.start("kind")) + 1,
            found["kind"],
            found["file"] or "",
            dedent(found["text"]),
            found["reason"] or "",
        )
        for found in _BLOCK.finditer(whole)
    ]


def prose(name: str) -> str:
    """Return the text of a page without the blocks."""
    return _BLOCK.sub("", text_of(name))
