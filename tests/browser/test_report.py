"""The report of simulated people, as a browser shows and prints it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.app import open_history
from tconnectsync.cli.demo import DAYS, FILE, FIRST_DAY
from tconnectsync.report.figures import make_report
from tconnectsync.report.page import render
from tconnectsync.simulators.history import PumpHistory, basal_insulin, bolus_insulin, midnight
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.sync.run.window import date_range
from tests.browser.conftest import Demo, Open
from tests.support.browser import Watched, asked_of_the_network
from tests.support.command import SECRET, tandem_source
from tests.support.world import FIRST, World, at

DAY = timedelta(days=1)
LIFE = live(FIRST_DAY, DAYS)
WIDTHS_AND_THEMES = pytest.mark.parametrize(
    ("width", "dark"), [(390, True), (1400, False)], ids=["phone, dark", "desk, light"]
)
PRINTABLE = 700
"""The width of A4, less its margins, in CSS pixels."""

BOXES = """(section) => [...section.querySelectorAll(".picture svg[role=img]")].map((svg) => {
  const {width, height} = svg.getBoundingClientRect();
  const shapes = [...svg.querySelectorAll("path, rect, circle, line, text")];
  return [width, height, shapes.filter((it) => it.getBoundingClientRect().width > 0).length];
})"""


@pytest.fixture(scope="module")
def page(demo: Demo) -> Path:
    """Give the report that the demo has written."""
    return demo.folder / FILE


@pytest.fixture(scope="module")
def hard_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a report that is not easily drawn: in mmol/L, with gaps, long texts and odd letters."""
    life = live(FIRST, 5, seed=3)
    life = replace(life, readings=[it for it in life.readings if not at(1, 3) < it.at < at(1, 9)])
    with SmallNightscout(SECRET) as site, tandem_source(life) as tandem:
        tandem.uploaded_until = at(3, 15.5)
        world = World(tandem, site, now=at(5, 0).replace(tzinfo=ZoneInfo("America/New_York")))
        tandem.login.now = world.clock.now
        history = open_history(world.host.configuration().completed(), world.host)
        days = date_range(FIRST, FIRST + 4 * DAY, history.clock, history.now())
        report = make_report(
            history,
            days,
            pumps=["t:slim X2 Insulin Pump …0042"] * 2,
            mmol=True,
            person="<Jörg & Co>",
        )
    remarks = ["A word that cannot be broken: " + "4711" * 40, "<script>alert(1)</script>"]
    file = tmp_path_factory.mktemp("hard") / "report.html"
    file.write_text(render(replace(report, remarks=[*report.remarks, *remarks])), "utf-8")
    return file


def sums(history: PumpHistory, day: date) -> dict[str, float]:
    """Return what a simulated person did on a day, as the page names it."""
    start, end = midnight(day), midnight(day + DAY)
    boluses = [it for it in history.boluses if start <= it.requested < end]
    automatic = replace(history, boluses=[it for it in history.boluses if it.kind == "automatic"])
    return {
        "basal": basal_insulin(history, start, end),
        "bolus": bolus_insulin(history, start, end),
        "automatic": bolus_insulin(automatic, start, end),
        "carbs": sum(it.carbs for it in boluses),
        "readings": sum(start <= it.at < end for it in [*history.readings, *history.finger_sticks]),
    }


def open_lists(watched: Watched) -> None:
    watched.page.evaluate("document.querySelectorAll('details').forEach((it) => it.open = true)")


def test_every_day_is_drawn_and_its_totals_are_those_of_the_events(
    page: Path, open_page: Open
) -> None:
    shown = open_page(page.as_uri()).page
    sections = shown.locator("section.day").all()
    days = [FIRST_DAY + number * DAY for number in reversed(range(DAYS))]
    assert [it.get_attribute("id") for it in sections] == [f"day-{day}" for day in days]
    for section, day in zip(sections, days, strict=True):
        boxes = section.evaluate(BOXES)
        assert len(boxes) == 2
        assert all(width > 100 and height > 100 and shapes > 20 for width, height, shapes in boxes)
        for name, amount in sums(LIFE, day).items():
            said = section.get_attribute(f"data-{name}")
            assert float(said or "nan") == pytest.approx(amount, abs=0.0051), (day, name)
            if name in ("basal", "bolus", "automatic"):
                assert f"{amount:.2f} U" in section.inner_text()
    differences = shown.locator("#compared tr[data-difference]").all()
    assert [float(it.get_attribute("data-difference") or "nan") for it in differences] == [0] * DAYS


@WIDTHS_AND_THEMES
def test_nothing_lies_outside_its_frame_and_everybody_can_read_it(
    page: Path, hard_page: Path, open_page: Open, width: int, *, dark: bool
) -> None:
    for file in (page, hard_page):
        watched = open_page(file.as_uri(), width=width, dark=dark)
        assert watched.layout_problems == []
        open_lists(watched)
        assert watched.layout_problems == watched.violations() == watched.complaints == []
        assert watched.requests == [file.as_uri()]


def test_days_without_data_say_so(hard_page: Path, open_page: Open) -> None:
    shown = open_page(hard_page.as_uri()).page
    is_empty = [it.locator(".no-data").count() for it in shown.locator("section.day").all()]
    assert is_empty == [1, 0, 0, 0, 0]
    assert "<Jörg & Co>" in shown.inner_text("body")
    assert "mmol/L" in shown.inner_text("#day-2024-06-03")


def test_it_asks_the_network_for_nothing(page: Path) -> None:
    assert page.stat().st_mode & 0o777 == 0o600
    assert asked_of_the_network(page) == []


def test_it_is_printed_on_few_pages_with_whole_numbers(page: Path, open_page: Open) -> None:
    watched = open_page(page.as_uri())
    pages = {
        paper: watched.page.pdf(format=paper).count(b"/Type /Page\n") for paper in ("A4", "Letter")
    }
    assert pages == {"A4": 4, "Letter": 4}
    watched.on_paper(PRINTABLE)
    assert watched.layout_problems == []
