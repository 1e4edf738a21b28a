"""What ``--demo --serve`` shows in a browser."""

from __future__ import annotations

import re
import signal

import pytest
import requests

from tests.browser.conftest import Demo, Open

WIDTHS_AND_THEMES = pytest.mark.parametrize(
    ("width", "dark"), [(390, False), (1400, True)], ids=["phone", "desk"]
)


@WIDTHS_AND_THEMES
def test_the_small_nightscout_shows_its_treatments_by_day(
    demo: Demo, open_page: Open, width: int, *, dark: bool
) -> None:
    site = open_page(demo.url, width=width, dark=dark)
    days = site.page.locator("section h2").all_inner_texts()
    assert days[:3] == ["Wednesday, 5 June 2024", "Tuesday, 4 June 2024", "Monday, 3 June 2024"]
    query = "find[created_at][$gte]=2024-01-01&count=10000"
    treatments = requests.get(f"{demo.url}api/v1/treatments.json?{query}", timeout=300).json()
    assert site.page.locator("tbody tr").count() == len(treatments) > 500
    assert site.violations() == []
    site.page.locator("summary").first.click()
    assert site.layout_problems == site.complaints == []
    assert site.requests == [demo.url]


def test_what_the_page_links_to_can_be_opened(demo: Demo, open_page: Open) -> None:
    links = open_page(demo.url).page.locator("a").all()
    addresses = {link.inner_text(): link.evaluate("it => it.href") for link in links}
    found = {text: open_page(address).page for text, address in addresses.items()}
    shown = found["The newest 100 treatments as the API shows them"].inner_text("body")
    assert shown.count('"eventType"') == 100
    assert "Combo Bolus" in shown
    assert '"status": "ok"' in found["What the API says of the site"].inner_text("body")


def test_ctrl_c_ends_it_at_once(demo: Demo) -> None:
    """The last test of its file: nothing is served afterwards."""
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(timeout=300) == 0
    assert demo.process.stdout is not None
    assert not re.search("Traceback|Error", demo.process.stdout.read())
