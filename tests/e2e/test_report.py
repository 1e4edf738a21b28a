"""--report: the page has the person's insulin, and what Nightscout holds of it."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.simulators.history import PumpHistory, basal_insulin, bolus_insulin, midnight
from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tests.support.binary_log import binary_log
from tests.support.careportal import Pages
from tests.support.command import (
    CLOUDS,
    EMAIL,
    NEW_YORK,
    PASSWORD,
    SECRET,
    Cloud,
    Computer,
    Finished,
    computer,
    days,
    tandem_source,
)
from tests.support.people import PEOPLE, household, shared_computer

FIRST = date(2024, 6, 3)
DAY = timedelta(days=1)
LIFE = live(FIRST, 3)
WHOLE = ("--report", *days(FIRST, FIRST + 2 * DAY))
NAME = "tconnectsync-report.html"
SAME = 0.0051
"""U; the page shows hundredths."""


@pytest.fixture(scope="module", params=list(CLOUDS))
def any_cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    with CLOUDS[request.param](LIFE) as server:
        yield server


@pytest.fixture(scope="module")
def tandem() -> Iterator[SimulatedTandemSource]:
    with tandem_source(LIFE) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, tandem: SimulatedTandemSource, site: SmallNightscout) -> Computer:
    return computer(tmp_path, tandem, site.url, SECRET)


def page(home: Computer, name: str = NAME) -> str:
    return (home.folder / name).read_text("utf-8")


def shown(text: str) -> dict[date, tuple[float, float]]:
    """Return the basal and bolus insulin (U) that a page shows of each day."""
    pattern = r'id="day-([\d-]+)"[^>]* data-basal="([\d.]+)" data-bolus="([\d.]+)"'
    found = re.findall(pattern, text)
    return {date.fromisoformat(day): (float(basal), float(bolus)) for day, basal, bolus in found}


def differences(text: str) -> list[str]:
    return re.findall(r'data-difference="([^"]+)"', text)


def given(life: PumpHistory, start: datetime, end: datetime) -> tuple[float, float]:
    """Return the basal and bolus insulin (U) that a person was given."""
    return basal_insulin(life, start, end), bolus_insulin(life, start, end)


def check_totals(text: str, life: PumpHistory, midnights: list[datetime]) -> None:
    """Check a page against a person; ``midnights`` of the pump are by the person's own clock."""
    first = life.first_day
    assert shown(text) == {
        first + number * DAY: pytest.approx(given(life, start, end), abs=SAME)
        for number, (start, end) in enumerate(pairwise(midnights))
    }


def ordinary(life: PumpHistory) -> list[datetime]:
    return [midnight(life.first_day) + number * DAY for number in range(life.days + 1)]


def test_the_page_has_the_person_s_insulin_and_nightscout_the_same(
    tmp_path: Path, any_cloud: Cloud, site: SmallNightscout
) -> None:
    home = computer(tmp_path, any_cloud, site.url, SECRET)
    home.sync(*days(FIRST - DAY, FIRST + 3 * DAY))
    before = site.writes
    finished = home.run(*WHOLE)
    assert finished.code == 0, finished.errors
    assert finished.output == f"The report is in {home.folder / NAME}.\n"
    assert stat.S_IMODE((home.folder / NAME).stat().st_mode) == 0o600
    text = page(home)
    check_totals(text, LIFE, ordinary(LIFE))
    assert differences(text) == ["0.00"] * 3
    assert site.writes == before
    assert not any(personal in text for personal in (EMAIL, PASSWORD, SECRET, site.url, "90210042"))


def test_what_was_removed_or_edited_in_nightscout_is_the_difference(
    home: Computer, site: SmallNightscout
) -> None:
    home.sync(*days(FIRST - DAY, FIRST + 3 * DAY))
    pages = Pages(site.url, SECRET, site.insert)
    boluses = [it for it in pages.treatments() if it.get("insulin") and FIRST.day == _day(it)]
    removed, edited = boluses[0], boluses[1]
    pages.delete(removed)
    pages.save(edited, insulin="9.5")
    change = 9.5 - edited["insulin"] - removed["insulin"]
    home.run(*WHOLE)
    assert differences(page(home)) == ["0.00", "0.00", f"{change:.2f}"]


def _day(treatment: dict[str, object]) -> int:
    at = datetime.fromisoformat(str(treatment["created_at"]))
    return at.astimezone(ZoneInfo(NEW_YORK)).day


def test_a_saved_log_needs_no_cloud_and_no_nightscout(
    home: Computer, tandem: SimulatedTandemSource
) -> None:
    (home.folder / "pump.log").write_bytes(binary_log(tandem.log_of_pump.entries))
    asked = len(tandem.log)
    zone_alone = {"TIMEZONE_NAME": home.variables["TIMEZONE_NAME"]}
    finished = replace(home, variables=zone_alone).run("--report", "--import-log", "pump.log")
    assert finished.code == 0, finished.errors
    assert len(tandem.log) == asked
    text = page(home)
    found = shown(text)
    assert [found[day] for day in sorted(found)][:3] == [
        pytest.approx(given(LIFE, *(midnight(day), midnight(day) + DAY)), abs=SAME)
        for day in (FIRST, FIRST + DAY, FIRST + 2 * DAY)
    ]
    assert "No Nightscout site is set" in text
    assert differences(text) == []


def test_days_of_which_a_saved_log_holds_only_a_part_are_not_compared(
    home: Computer, tandem: SimulatedTandemSource
) -> None:
    home.sync(*days(FIRST - DAY, FIRST + 3 * DAY))
    entries = tandem.log_of_pump.entries
    (home.folder / "pump.log").write_bytes(binary_log(entries[len(entries) // 2 :]))
    finished = home.run("--report", "--import-log", "pump.log")
    assert finished.code == 0, finished.errors
    assert differences(page(home)) == ["0.00"]
    assert "Not compared, because it is not known for the whole day" in page(home)
    assert "Tue 4 Jun." in page(home)
    assert "No pump" not in page(home)


@pytest.mark.parametrize(
    ("first", "hour", "then"), [(date(2024, 11, 2), 2, 1), (date(2024, 3, 9), 2, 3)]
)
def test_days_of_25_and_23_hours_have_their_own_insulin(
    tmp_path: Path, site: SmallNightscout, first: date, hour: int, then: int
) -> None:
    life, change = live(first, 3), first + DAY
    at = midnight(change)
    clock_change = (at + timedelta(hours=hour), at + timedelta(hours=then))
    with SimulatedTandemSource(
        life,
        email=EMAIL,
        password=PASSWORD,
        zone=ZoneInfo(NEW_YORK),
        clock_changes=[clock_change],
    ) as tandem:
        home = computer(tmp_path, tandem, site.url, SECRET)
        home.sync(*days(first - DAY, first + 3 * DAY))
        finished = home.run("--report", *days(first, first + DAY))
    assert finished.code == 0, finished.errors
    shift = timedelta(hours=hour - then)
    check_totals(page(home), life, [at - DAY, at, at + DAY + shift])
    assert differences(page(home)) == ["0.00"] * 2
    assert "Mean per day over 2 days" in page(home)


def test_a_range_up_to_now_averages_whole_days_only(
    tmp_path: Path,
) -> None:
    now = datetime(2024, 6, 5, 15, 0, tzinfo=ZoneInfo(NEW_YORK))
    with tandem_source(LIFE) as tandem:
        tandem.login.now = lambda: now
        tandem.uploaded_until = now.replace(tzinfo=None)
        home = computer(tmp_path, tandem, "", "").without_nightscout()
        finished = replace(home, moment=now).run("--report", "--days", "2")
    assert finished.code == 0, finished.errors
    assert sorted(shown(page(home))) == [FIRST, FIRST + DAY, FIRST + 2 * DAY]
    assert "Mean per day over 2 days" in page(home)
    assert page(home).count("not in the mean") == 1


def test_what_cannot_be_read_is_said_on_the_screen_and_on_the_page(home: Computer) -> None:
    finished = home.run(*WHOLE, NS_URL="http://127.0.0.1:9", UNITS="mmol")
    assert finished.code == 1
    assert "Nightscout could not be asked, so nothing is compared." in finished.errors
    assert "Nightscout could not be asked, so nothing is compared." in page(home)
    assert "127.0.0.1" not in page(home)
    assert "mmol/L" in page(home)
    check_totals(page(home), LIFE, ordinary(LIFE))


def test_days_that_the_cloud_does_not_give_are_named(tmp_path: Path) -> None:
    life = live(FIRST, 9)
    with tandem_source(life) as tandem:

        def refuse_the_second_week(request: Request) -> Response | None:
            is_late = request.query.get("startDate", "") > "2024-06-05"
            is_log = "pump-logs" in request.path
            return Response(b"", 404) if is_log and is_late else None

        tandem.fault = refuse_the_second_week
        home = computer(tmp_path, tandem, "", "").without_nightscout()
        finished = home.run("--report", *days(FIRST, FIRST + 8 * DAY))
    assert finished.code == 1
    assert "could not be read" in finished.errors
    assert "could not be read" in page(home)
    assert "Mean per day over 7 days" in page(home)


def test_days_before_the_pump_s_data_are_named_and_end_with_1(home: Computer) -> None:
    finished = home.without_nightscout().run("--report", *days(FIRST - 3 * DAY, FIRST))
    assert finished.code == 1
    sentence = "There are no data for 2024-05-31 to 2024-06-02: the account's data begin later."
    assert sentence in finished.errors
    assert sentence.replace("'", "&#39;") in page(home)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--output", "."), 2, "is a folder. Name a file in it"),
        (("--output", "letter.txt"), 2, "is no report, so it is not replaced"),
        (("--output", "page.html"), 2, "is no report, so it is not replaced"),
        (("--output", "link.html"), 2, "letter.txt exists and is no report"),
        (("--output", "/dev/stdout"), 2, "is no ordinary file"),
        (("--output", "letter.txt/report.html"), 2, "is no folder"),
        (("--output", "/dev/null"), 2, "is no ordinary file"),
        (("--start-date", "2024-01-01", "--end-date", "2024-01-02"), 1, "There are no data"),
    ],
)
def test_what_cannot_be_written_is_one_sentence(
    home: Computer, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    (home.folder / "letter.txt").write_text("Dear pump")
    (home.folder / "page.html").write_text("<!DOCTYPE html><title>Holidays</title>")
    (home.folder / "link.html").symlink_to("letter.txt")
    chosen = arguments if "--start-date" in arguments else (*WHOLE[1:], *arguments)
    finished = home.without_nightscout().run("--report", "--quiet", *chosen)
    assert finished.code == code
    assert sentence in finished.errors
    assert finished.output == ""
    assert (home.folder / "letter.txt").read_text() == "Dear pump"
    assert "Holidays" in (home.folder / "page.html").read_text()
    assert (home.folder / "link.html").is_symlink()
    assert not (home.folder / NAME).exists()


def test_an_earlier_report_is_replaced_also_where_a_link_leads_to_it(tmp_path: Path) -> None:
    with tandem_source(live(FIRST, 1)) as tandem:
        home = computer(tmp_path, tandem, "", "").without_nightscout()
        (home.folder / NAME).symlink_to("share.html")
        for _ in range(2):
            finished = home.run("--report", *days(FIRST, FIRST))
            assert finished.code == 0, finished.errors
            assert (home.folder / NAME).is_symlink()
            assert shown(page(home, "share.html")).keys() == {FIRST}
            old = home.folder / "share.html"
            old.write_text(old.read_text("utf-8").replace(f"day-{FIRST}", "day-old"), "utf-8")


def test_the_unit_is_the_pump_s_unless_the_settings_say_another(tmp_path: Path) -> None:
    with tandem_source(live(FIRST, 1)) as tandem:
        home = computer(tmp_path, tandem, "", "").without_nightscout()
        one_day = ("--report", *days(FIRST, FIRST))
        for told, units, expected in (
            (None, "", "mg/dL"),
            ("mmol/L", "", "mmol/L"),
            ("mmol/L", "mg/dl", "mg/dL"),
            ("stone", "", "mg/dL"),
        ):
            tandem.pump.glucose_unit = told
            assert home.run(*one_day, UNITS=units).code == 0
            assert f"to 180 {expected}" in page(home) or f"to 10.0 {expected}" in page(home)


def test_wrong_units_are_one_sentence(home: Computer) -> None:
    finished = home.run(*WHOLE, UNITS="furlong")
    assert finished.code == 2
    assert "UNITS is not usable: write mg/dL or mmol/L" in finished.errors


def test_ctrl_c_leaves_the_old_page(home: Computer) -> None:
    old = '<!doctype html><meta name="generator" content="tconnectsync 1">the old page'
    (home.folder / NAME).write_text(old)
    finished = interrupted(home)
    assert finished.code != 0
    assert page(home) == old
    assert [it.name for it in home.folder.glob("*.new")] == []


def interrupted(home: Computer) -> Finished:
    """Run the command; Ctrl-C comes as soon as it waits for Tandem."""
    patch = (
        "import signal, urllib3\n"
        # What was started in the background may have been told not to hear it.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "send = urllib3.PoolManager.urlopen\n"
        "def interrupt(*given, **named):\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    return send(*given, **named)\n"
        "urllib3.PoolManager.urlopen = interrupt\n"
    )
    return replace(home.without_nightscout(), patch=patch).run(*WHOLE)


def test_each_of_several_people_has_a_page_of_their_own(tmp_path: Path) -> None:
    with household(tmp_path, FIRST, 1, "anna", "ben") as people:
        home = shared_computer(tmp_path)
        finished = home.run("--report", *days(FIRST, FIRST), "--accounts", PEOPLE)
        assert finished.code == 0, finished.errors
        texts = {name: page(home, f"tconnectsync-report-{name}.html") for name in people}
        for name, somebody in people.items():
            check_totals(texts[name], somebody.tandem.history, ordinary(somebody.tandem.history))
            others = [it for other, it in people.items() if other != name]
            told = [secret for it in others for secret in it.personal.values()]
            assert not any(secret in texts[name] for secret in told)
            assert somebody.site.writes == 0
