"""What the code and the pages of docs/ refer to exists."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PROTOCOL = DOCS / "protocol"
PAGES = sorted(DOCS.rglob("*.md"))
MODULES = sorted((ROOT / "tconnectsync").rglob("*.py"))

_SECTION = r"\d+[a-z]?(?:\.\d+)*"
_REFERENCE = re.compile(
    rf"(?P<marked>docs/protocol/)?(?P<page>\b[a-z][a-z-]+)(?:\.md)? "
    rf"(?P<sections>§{_SECTION}(?:(?:, | and | to |–)§?{_SECTION}\b)*)"
)
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]\n]*\]\((?P<target>[^)\s]+)\)")


def references(source: str) -> Iterator[tuple[str, str]]:
    """Yield the page and the section of each reference in docstrings and comments.

    Only references that name a page count; one may name several of its sections, such as
    ``tandem-event-log §1–2, §5.1``.
    """
    text = re.sub(r"\s*\n\s*#?:?\s*", " ", source)
    for found in _REFERENCE.finditer(text):
        if found["marked"] or (PROTOCOL / f"{found['page']}.md").exists():
            for section in re.findall(_SECTION, found["sections"]):
                yield found["page"], section


@cache
def headings(page: Path) -> tuple[str, ...]:
    without_code = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
    return tuple(re.findall(r"^#+ (.+)$", without_code, re.MULTILINE))


@cache
def numbers(page: Path) -> list[str]:
    found = (re.match(rf"({_SECTION})\.? ", heading) for heading in headings(page))
    return [match[1] for match in found if match]


@cache
def anchors(page: Path) -> set[str]:
    """Return what a link can name behind ``#``, as GitHub makes it of the headings."""
    found: Counter[str] = Counter()
    anchors = set()
    for heading in headings(page):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")
        anchors.add(f"{anchor}-{found[anchor]}" if found[anchor] else anchor)
        found[anchor] += 1
    return anchors


def has(page: str, section: str) -> bool:
    path = PROTOCOL / f"{page}.md"
    return path.exists() and section in numbers(path)


def leads_somewhere(link: str, page: Path) -> bool:
    path, _, anchor = link.partition("#")
    if re.match(r"[a-z]+:", path):
        return True
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def test_references_are_recognised() -> None:
    text = (
        '"""See docs/protocol/tandem-event-log.md §7–9,\n    §5.1 '
        'and tandem-source-api §2b (x).\n"""  # §3'
    )
    assert list(references(text)) == [
        *[("tandem-event-log", section) for section in ("7", "9", "5.1")],
        ("tandem-source-api", "2b"),
    ]
    assert list(references("# docs/protocol/no-such.md §4.2")) == [("no-such", "4.2")]


def test_what_the_code_refers_to_exists() -> None:
    broken = [
        f"{module.relative_to(ROOT)}: {page} §{section}"
        for module in MODULES
        for page, section in references(module.read_text("utf-8"))
        if not has(page, section)
    ]
    assert not broken


def test_links_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {found['target']}"
        for page in PAGES
        for found in _LINK.finditer(_CODE.sub("", page.read_text("utf-8")))
        if not leads_somewhere(found["target"], page)
    ]
    assert not broken


def test_no_section_number_is_given_twice() -> None:
    assert not [page.name for page in PAGES if len({*numbers(page)}) != len(numbers(page))]


def test_the_contents_page_names_every_page() -> None:
    contents = (PROTOCOL / "README.md").read_text("utf-8")
    pages = {page.name for page in PROTOCOL.glob("*.md")} - {"README.md"}
    assert not [page for page in pages if f"({page})" not in contents]
