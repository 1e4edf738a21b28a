"""The checks of pages find what they look for: a page with one defect of each kind."""

from __future__ import annotations

from pathlib import Path

from tests.browser.conftest import Open
from tests.support.browser import asked_of_the_network

BAD = """<!doctype html><html lang="en"><title>A bad page</title>
<style>
  p { color: #ccc; background: #fff }
  .wide { width: 900px }
  .cut { width: 40px; overflow: hidden; white-space: nowrap }
</style>
<main><h1>Bad</h1><p>Too faint to be read.</p><div class="wide">Too wide</div>
<div style="width: 30px; overflow-wrap: anywhere">26.13</div>
<div class="cut">Longer than its box</div>
<svg width="100" height="40">
  <rect class="out" x="92" y="0" width="12" height="9"/>
  <text x="0" y="20" font-size="4">tiny</text><text x="9" y="38">one</text>
  <text x="19" y="38">two</text><path class="line" d="M-9 20H30"/></svg>
<img src="https://example.org/one.png" alt=""></main>
<script>console.error("a complaint")</script></html>"""


def test_every_defect_of_a_bad_page_is_found(open_page: Open, tmp_path: Path) -> None:
    file = tmp_path / "bad.html"
    file.write_text(BAD, "utf-8")
    bad = open_page(file.as_uri(), width=390)
    found = "\n".join(bad.layout_problems)
    for problem in (
        "the page is",
        'class="wide"> "Too wide" lies outside the window',
        'class="cut"> "Longer than its box" is cut',
        'class="out"> "" leaves its picture',
        '"26.13" is broken over 2 lines',
        '"tiny" is too small to be read',
        '"two" covers <text class=""> "one"',
    ):
        assert problem in found
    assert 'class="line"' not in found
    assert [problem.partition(":")[0] for problem in bad.violations()] == ["color-contrast"]
    assert "a complaint" in bad.complaints
    assert bad.requests == [file.as_uri(), "https://example.org/one.png"]
    assert asked_of_the_network(file) == ["https://example.org/one.png"]
