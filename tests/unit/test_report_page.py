"""The page of a report: whole, self-contained, and true to the figures it is made of."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st

from tconnectsync.domain.clock import DAY, TimeRange
from tconnectsync.domain.events import (
    IN_PROGRESS,
    Bolus,
    CarbEntry,
    Piece,
    PumpEvent,
    PumpEventKind,
    ReadingKind,
    UserMode,
    UserModeKind,
)
from tconnectsync.report import page
from tconnectsync.report.drawing.labels import Box, place
from tconnectsync.report.drawing.svgpaths import steps
from tconnectsync.report.model import BANDS, Compared, Day, Report, Totals, Worn
from tconnectsync.report.page import render
from tests.support.report_builders import (
    FIRST,
    basal,
    bolus,
    day,
    glucose,
    readings,
    report,
    when,
)

AUTUMN, SPRING = date(2026, 10, 25), date(2026, 3, 29)
NASTY = '<script>alert("x")</script> & "quoted"'
HALF_WIDTH = 400
"""Units of a picture in half a day."""


def drawn(*days: Day, **known: object) -> BeautifulSoup:
    return BeautifulSoup(render(report(*days, **known)), "html.parser")


def titles(soup: BeautifulSoup, css: str) -> list[str]:
    return [it.get_text() for it in soup.select(f".half path.{css} > title")]


def texts(soup: BeautifulSoup, css: str = ".half") -> list[str]:
    return [it.get_text() for it in soup.select(f"{css} text")]


def paths(soup: BeautifulSoup, css: str) -> list[str]:
    return [str(it["d"]) for it in soup.select(f".half path.{css}")]


def numbers(path: str) -> list[float]:
    return [float(it) for it in re.findall(r"-?\d+\.?\d*", path)]


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    text = render(report(day(boluses=[bolus(when(8), 2.0)]), glucose=glucose()))
    soup = BeautifulSoup(text, "html.parser")
    assert text.startswith("<!DOCTYPE html>\n")
    policy = soup.select_one('meta[http-equiv="Content-Security-Policy"]')
    assert policy
    assert str(policy["content"]).startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert not soup.select("script, img, iframe, object, link:not([href^='data:'])")
    assert {str(it["href"])[:1] for it in soup.select("a")} == {"#"}
    assert set(re.findall(r"url\([^)]*\)|@import|https?://", text)) <= {
        f"url(#{it['id']})" for it in soup.select(".patterns [id]")
    }
    assert all(not re.search(r"\son\w+=|\sstyle=", str(it)[:200]) for it in soup.find_all())


def test_what_a_person_or_a_cloud_named_is_shown_and_never_read_as_html() -> None:
    known = day(
        modes=[UserMode("m", UserModeKind.OTHER, when(9), timedelta(hours=1), NASTY, False)],
        events=[PumpEvent("a", when(8), PumpEventKind.ALARM, NASTY, True)],
        boluses=[bolus(when(10), 1.0, requested=2.0, incomplete=NASTY)],
    )
    soup = drawn(known, person=NASTY, pumps=[NASTY], alarms={NASTY: 2}, remarks=[NASTY])
    assert not soup.select("script")
    for place_of_text in ("title", "h1", ".about", "#alarms th", "#remarks li", ".day li"):
        assert any(NASTY in it.get_text() for it in soup.select(place_of_text)), place_of_text
    assert f"08:00 {NASTY}" in titles(soup, "alarm")


def test_half_a_character_does_not_keep_the_page_from_being_written() -> None:
    assert "<h1>Insulin and glucose of An?na</h1>" in render(report(person="An\ud800na"))


def test_the_totals_are_those_of_the_report() -> None:
    first = day(FIRST, totals=Totals(18.254, 21.006, 3.5, 140), boluses=[bolus(when(8), 21.0)])
    second = day(FIRST + DAY, totals=Totals(17.5, 20, 0, 95.4), basals=[basal(when(24), 5, 0.7)])
    soup = drawn(second, first, average=Totals(17.877, 20.503, 1.75, 117.7), averaged_days=2)
    for part, basal_total, bolus_total, automatic, carbs in (
        ("#day-2026-03-02", "18.25", "21.01", "3.50", "140"),
        ("#day-2026-03-03", "17.50", "20.00", "0.00", "95"),
        ("main", "17.88", "20.50", "1.75", "118"),
    ):
        element = soup.select_one(part)
        assert element
        shown = [it.get_text() for it in element.select("dl.figures")[0].select("dd")]
        shown = shown[1:] if part == "main" else shown
        expected = [f"{basal_total} U", f"{bolus_total} U", f"{automatic} U", f"{carbs} g"]
        assert shown[:4] == expected
        attributes = [element[f"data-{it}"] for it in ("basal", "bolus", "automatic")]
        assert attributes == [basal_total, bolus_total, automatic]
    rows = [[it.get_text() for it in row.select("th, td")] for row in soup.select("#totals tr")]
    assert rows[1] == ["Tue 3 Mar", "17.50", "20.00", "0.00", "37.50", "95"]
    assert rows[-1] == ["Mean of 2", "17.88", "20.50", "1.75", "38.38", "118"]
    assert [it["id"] for it in soup.select(".day")] == ["day-2026-03-03", "day-2026-03-02"]


def test_a_day_without_data_says_so_and_has_no_zeros() -> None:
    soup = drawn(day(is_whole=False))
    assert "There are no data of this day." in soup.select_one(".day").get_text()  # type: ignore[union-attr]
    assert not soup.select(".day svg, .day dl")
    assert [it.get_text() for it in soup.select("#totals td")] == ["–"] * 5


def test_an_incomplete_day_is_marked() -> None:
    soup = drawn(day(is_whole=False, basals=[basal(when(3), 2, 1.0)]), averaged_days=1)
    assert "not complete" in soup.select_one(".day h3").get_text()  # type: ignore[union-attr]
    totals = soup.select_one("#totals")
    assert totals
    assert "Mon 2 Mar not in the mean" in totals.get_text()


def test_no_line_is_drawn_over_more_than_15_minutes_without_a_reading() -> None:
    near = [*readings(when(1), 100, 110), *readings(when(1) + timedelta(minutes=20), 120)]
    assert paths(drawn(day(readings=near)), "trace")[0].count("M") == 1
    far = [*readings(when(1), 100, 110), *readings(when(1) + timedelta(minutes=21), 120, 130)]
    soup = drawn(day(readings=far))
    assert paths(soup, "trace")[0].count("M") == 2
    alone = drawn(day(readings=readings(when(1), 100)))
    assert not paths(alone, "trace")
    assert paths(alone, "dot.ok")[0].count("M") == 1


def test_a_value_that_was_entered_is_no_part_of_the_line() -> None:
    entered = readings(when(1.01), 400, kind=ReadingKind.FINGER)
    soup = drawn(day(readings=[*readings(when(1), 100), *entered, *readings(when(1.1), 110)]))
    assert paths(soup, "trace")[0].count("L") == 1
    assert titles(soup, "finger") == ["01:00 400 mg/dL, entered"]


@pytest.mark.parametrize(("of", "hours"), [(AUTUMN, 25), (SPRING, 23), (FIRST, 24)])
def test_a_day_is_as_long_as_on_the_pump(of: date, hours: int) -> None:
    first, last = bolus(when(0.5, of), 1.0), bolus(when(hours - 0.5, of), 2.0)
    soup = drawn(day(of, boluses=[first, last]))
    bars = [numbers(it) for it in paths(soup, "dose")]
    middles = [(bar[0] + bar[2]) / 2 for bar in bars]
    per_hour = 2 * HALF_WIDTH / hours
    assert middles == pytest.approx([per_hour / 2, HALF_WIDTH - per_hour / 2], abs=0.11)
    assert titles(soup, "dose") == ["00:30 Bolus 1 U", "23:30 Bolus 2 U"]
    ticks = sum(it.count("M") for css in ("hour", "hours") for it in paths(soup, css))
    assert ticks == hours
    change = {25: ["clock back 1 h"], 23: ["clock forward 1 h"], 24: []}[hours]
    assert [it for it in texts(soup) if it.startswith("clock")] == change


def test_a_bolus_shows_what_was_given_and_of_how_much() -> None:
    boluses = [
        bolus(when(2), 5.25, carbs=45),
        bolus(when(4), 2.2, requested=6.5, incomplete="User Aborted"),
        bolus(when(6), 1.0, requested=3.0, incomplete=IN_PROGRESS, completed=None),
        bolus(when(8), 0.85, automatic=True),
    ]
    soup = drawn(day(boluses=boluses, carbs=[CarbEntry("c", when(10), 15.5)]))
    shown = set(texts(soup))
    assert {"5.25 U", "2.2 of 6.5 U", "1 U so far", "0.85", "45 g", "15.5 g"} <= shown
    assert len(paths(soup, "asked")) == 2
    assert titles(soup, "auto") == ["08:00 Automatic bolus 0.85 U"]
    assert titles(soup, "eaten") == ["02:00 45 g", "10:00 15.5 g, without a bolus"]


def pieces(start: float, hours: float, each: float, number: int) -> list[Bolus]:
    whole = Piece(1, when(start), "whole", when(start + hours), each * number)
    times = [when(start + hours * (index + 0.5) / number) for index in range(number)]
    return [bolus(it, each, piece=whole, automatic=True, completed=it) for it in times]


def test_an_extended_bolus_is_as_long_as_it_ran_in_pieces_or_whole() -> None:
    whole = bolus(when(6), 3.0, whole_since=when(3), completed=when(6), automatic=True)
    for boluses in (pieces(3, 3, 0.25, 12), [whole]):
        soup = drawn(day(boluses=boluses))
        left, _, right, *_ = numbers(paths(soup, "later")[0])
        assert [left, right] == pytest.approx([3 / 12 * HALF_WIDTH, 6 / 12 * HALF_WIDTH])
        assert titles(soup, "later") == ["03:00 extended part, 3 U over 3 h"]
        assert not paths(soup, "auto")
        assert len(soup.select(".day li")) == 1


def test_an_extended_part_never_ends_before_it_begins() -> None:
    early = bolus(when(6), 3.0, whole_since=when(7), completed=when(6), automatic=True)
    assert titles(drawn(day(boluses=[early])), "later") == ["07:00 extended part, 3 U over 0 min"]


def test_what_is_not_known_of_basal_is_hatched_and_not_joined() -> None:
    known = [basal(when(0), 4, 0.8), basal(when(6), 6, 1.0)]
    soup = drawn(day(basals=known, gaps=[TimeRange(when(4), when(6))]))
    assert paths(soup, "basal")[0].count("M") == 2
    assert titles(soup, "unknown") == ["04:00 to 06:00 not known"]


def test_steps_that_touch_are_one_area() -> None:
    assert steps([(0, 10, 5), (10, 20, 5), (20, 30, 2)], 9) == "M0 9V5H20V2H30V9Z"
    assert steps([(0, 10, 5), (12, 20, 5)], 9) == "M0 9V5H10V9ZM12 9V5H20V9Z"
    assert steps([], 9) == ""


def test_the_profile_is_that_of_the_basals_and_else_the_one_of_now() -> None:
    told = [basal(when(2), 3, 0.5)]
    now = ((0, 1.0), (4 * 3600, 2.0))
    without = paths(drawn(day(basals=told), profile=now), "profile")[0]
    known = [basal(when(2), 3, 0.5, profile_rate=0.7)]
    path = paths(drawn(day(basals=known), profile=now), "profile")[0]
    places = [float(it) / HALF_WIDTH * 12 for it in re.findall(r"H([\d.]+)", path)]
    assert places == pytest.approx([2, 5, 12], abs=0.01)
    places = [float(it) / HALF_WIDTH * 12 for it in re.findall(r"H([\d.]+)", without)]
    assert places == pytest.approx([4, 12], abs=0.01)


def test_the_profile_of_a_long_stop_is_not_the_rate_that_it_began_with() -> None:
    stop = replace(basal(when(1), 9, 0.0, profile_rate=0.7), suspended=True)
    path = paths(drawn(day(basals=[stop]), profile=((0, 1.0), (4 * 3600, 2.0))), "profile")[0]
    places = [float(it) / HALF_WIDTH * 12 for it in re.findall(r"H([\d.]+)", path)]
    assert places == pytest.approx([1, 3.5, 4, 12], abs=0.01)


def test_what_has_no_room_for_its_label_is_in_the_list() -> None:
    boluses = [bolus(when(8 + index / 60), 1 + index / 100) for index in range(40)]
    soup = drawn(day(boluses=boluses))
    assert len([it for it in texts(soup) if it.endswith(" U")]) < 40
    listed = [it.get_text() for it in soup.select(".day li")]
    assert listed == [f"08:{it:02} Bolus {1 + it / 100:g} U" for it in range(40)]


boxes = st.builds(
    lambda x, y, width: Box(x, y, x + width, y + 10),
    st.floats(-20, 420),
    st.floats(-30, 90),
    st.floats(1, 60),
)


@given(st.lists(boxes, max_size=25), st.lists(boxes, max_size=5))
@settings(max_examples=60, deadline=None)
def test_labels_never_lie_over_another_nor_outside_their_frame(
    wanted: list[Box], taken: list[Box]
) -> None:
    frame = Box(0, 0, 400, 100)
    moves = [(aside, -up) for up in (0, 12, 24) for aside in (0, 15, -15)]
    found = [it for it in place(wanted, moves, frame, taken) if it]
    for index, box in enumerate(found):
        assert not any(map(box.meets, [*found[:index], *taken]))
        assert box.left >= -0.02
        assert box.right <= 400.02
    alone = Box(10, 20, 30, 30)
    assert place([alone], moves, frame, []) == [alone]


def full_report(**known: object) -> Report:
    shares = dict(zip((it.name for it in BANDS), (0.01, 0.04, 0.7, 0.2, 0.05), strict=True))
    whole = day(
        modes=[UserMode("m", UserModeKind.SLEEP, when(-1), timedelta(hours=8), "Sleep", True)],
        events=[PumpEvent("s", when(15), PumpEventKind.SITE_CHANGE, "Cannula filled", False)],
        readings=readings(when(0), *[65, 120, 120, 200] * 30),
        suspended=[TimeRange(when(14), when(14.5))],
    )
    figures = glucose(shares=shares, mean=153.2)
    return report(whole, **{"glucose": figures, "alarms": {"Occlusion": 1}, **known})


def test_glucose_is_shown_in_the_unit_of_the_report() -> None:
    soup = BeautifulSoup(render(full_report()), "html.parser")
    assert [it.get_text() for it in soup.select(".bands small")] == [
        "above 250",
        "above 180 to 250",
        "70 to 180",
        "54 to below 70",
        "below 54",
    ]
    assert [it.get_text() for it in soup.select(".bands td:nth-of-type(1)")] == [
        *("5 %", "20 %", "70 %", "4 %", "1 %")
    ]
    assert "153 mg/dL" in soup.select_one("#time-in-range").get_text()  # type: ignore[union-attr]
    assert "126 mg/dL" in soup.select_one(".day .figures").get_text()  # type: ignore[union-attr]
    soup = BeautifulSoup(render(full_report(mmol=True)), "html.parser")
    assert {"mmol/L", "3.0", "3.9", "10.0", "13.9", "20.0"} <= set(texts(soup, ".axis"))
    assert "mg/dL" not in soup.select_one("#time-in-range").get_text()  # type: ignore[union-attr]
    assert "8.5 mmol/L" in soup.select_one("#time-in-range").get_text()  # type: ignore[union-attr]


def test_every_picture_says_in_words_what_it_shows() -> None:
    soup = BeautifulSoup(render(full_report()), "html.parser")
    pictures = soup.select('svg[role="img"]')
    assert len(pictures) == 4
    for it in pictures:
        names = str(it["aria-labelledby"]).split()
        described = [soup.select_one(f'[id="{name}"]') for name in names]
        assert len(names) == 2
        assert all(each and each.get_text().strip() for each in described)
    assert all(it.get("aria-hidden") == "true" for it in soup.select("svg:not([role])"))
    levels = [int(it.name[1]) for it in soup.select("h1, h2, h3, h4")]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [it["id"] for it in soup.select("[id]")]
    assert len(ids) == len(set(ids))


def test_what_reaches_over_midnight_says_on_which_day_it_began() -> None:
    soup = BeautifulSoup(render(full_report()), "html.parser")
    listed = [it.get_text() for it in soup.select(".day li")]
    assert listed[0] == "Sun 1 Mar, 23:00 Sleep, 8 h"
    assert "14:00 No delivery for 30 min" in listed


def test_nightscout_is_compared_or_it_is_said_why_not() -> None:
    held = [Compared(FIRST + DAY, 20, 10, 20, 9.6), Compared(FIRST, 20, 10, 20, 10.001)]
    soup = drawn(compared=held, why_not_compared="")
    compared = soup.select_one("#compared")
    assert compared
    assert "On 1 of 2 days the insulin differs." in compared.get_text()
    rows = compared.select("tbody tr")
    assert [it["data-difference"] for it in rows] == ["-0.40", "0.00"]
    assert [it.select("td")[-1].get_text() for it in rows] == ["−0.40", "0.00"]
    said = drawn(why_not_compared="No site is set.").select_one("#compared")
    assert said
    assert "No site is set." in said.get_text()
    assert not said.select("table")


def test_how_long_things_lasted_counts_those_that_have_ended() -> None:
    known = [
        Worn("Site", when(0), when(60)),
        Worn("Site", when(60), when(140)),
        Worn("Site", when(140), None),
    ]
    soup = drawn(worn=known)
    row = [it.get_text() for it in soup.select("#worn tbody tr > *")]
    assert row == ["Site", "2", "2 d 22 h", "2 d 12 h", "3 d 8 h"]
    assert "still in use" in [it.get_text() for it in soup.select("#worn li")][-1]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, such as ``#0b5394``, as WCAG defines it."""

    def light(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * it for it in colour[1:])
        parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [it / 12.92 if it <= 0.04045 else ((it + 0.055) / 1.055) ** 2.4 for it in parts]
        return sum(it * by for it, by in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))

    dark, bright = sorted((light(one), light(other)))
    return (bright + 0.05) / (dark + 0.05)


def test_texts_in_pictures_can_be_read_in_both_themes() -> None:
    css = Path(page.__file__).with_name("templates").joinpath("report.css").read_text("utf-8")
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w+)", it)) for it in css.split("@media", 2)[:2])
    for theme in (light, dark):
        for text in ("ink", "soft", "link", "dose", "auto", "carbs"):
            for behind in ("paper", "card"):
                assert contrast(theme[text], theme[behind]) >= 4.5, (text, behind)
        for behind in ("sleep", "exercise", "suspended", "band", "basal"):
            assert contrast(theme["ink"], theme[behind]) >= 4.5, behind
        for mark in ("trace", "low", "high", "basal-edge", "profile", "suspended-edge", "unknown"):
            assert contrast(theme[mark], theme["paper"]) >= 3, mark


def busy_day() -> Day:
    alarms = [(10, "Occlusion of the tubing, a long text"), (10.2, "Pump reset"), (23.8, "Empty")]
    kinds = [(9.8, PumpEventKind.CARTRIDGE), (9.9, PumpEventKind.SITE_CHANGE)]
    stops = [(13.0, 13.9), (14.0, 14.1), (14.3, 14.4), (23.6, 24.5), (11.8, 12.2)]
    return day(
        boluses=[
            *(bolus(when(7 + it * 0.12), 1.25 + it, carbs=10 * it) for it in range(8)),
            *(bolus(when(it * 1.02), 0.4 + it / 7, automatic=True) for it in range(23)),
            bolus(when(11.95), 2.25, requested=6.5, incomplete="User Aborted"),
            *pieces(18, 7, 0.25, 12),
        ],
        events=[
            *(PumpEvent(text, when(at), PumpEventKind.ALARM, text, True) for at, text in alarms),
            *(PumpEvent(kind.name, when(at), kind, "Filled", False) for at, kind in kinds),
        ],
        modes=[
            UserMode("a", UserModeKind.SLEEP, when(-1), timedelta(hours=2), "", True),
            UserMode("b", UserModeKind.EXERCISE, when(1.1), timedelta(minutes=20), "", False),
            UserMode("c", UserModeKind.EXERCISE, when(1.6), timedelta(minutes=20), "", False),
        ],
        suspended=[TimeRange(when(start), when(end)) for start, end in stops],
    )


def test_no_words_of_a_full_day_lie_over_others_nor_outside_the_picture() -> None:
    soup = drawn(busy_day())
    for half in soup.select(".half"):
        _, top, width, _ = map(float, str(half["viewbox"]).split())
        found: list[tuple[Box, str]] = []
        for it in half.select("text"):
            words, across = it.get_text(), 6.4 * len(it.get_text())
            x, y, css = float(str(it["x"])), float(str(it["y"])), str(it.get("class"))
            left = x - across / 2 if "mid" in css else x - across if "end" in css else x
            box = Box(left, y - 9, left + across, y + 2)
            assert box.left >= -1, words
            assert box.right <= width + 1, words
            assert box.top >= top, words
            for other, name in found:
                assert not box.meets(other), (words, name)
            found.append((box, words))
        assert len(found) >= 20
