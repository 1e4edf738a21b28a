"""Tandem Source from end to end: everything once, at its true instant, however it is uploaded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.simulators.history import (
    BasalSegment,
    BolusRecord,
    ExtendedPart,
    PumpHistory,
    SuspensionRecord,
    basal_insulin,
    midnight,
)
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.account import Upload
from tconnectsync.simulators.tandemsource.account import pump as pump_of_account
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tests.support.command import (
    EMAIL,
    NEW_YORK,
    PASSWORD,
    SECRET,
    SERIAL,
    Computer,
    computer,
    days,
    tandem_source,
)
from tests.support.expected import began_between, delivered, insulin_shown, logged, shown
from tests.support.real_nightscout import Document, NightscoutSite, RealNightscout
from tests.support.treatments import without_id

FIRST = date(2024, 5, 6)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)

EVERY_FEATURE = (
    *("BASAL", "BOLUS", "PUMP_EVENTS", "PROFILES", "IOB"),
    *("CGM", "CGM_ALERTS", "DEVICE_STATUS"),
)

# Everything, once


def test_a_first_run_brings_everything_and_a_second_one_changes_nothing(
    nightscout: NightscoutSite, tmp_path: Path
) -> None:
    if not isinstance(nightscout, RealNightscout):
        pytest.skip("A site that is given loses its treatments only; this test needs more.")
    life = live(FIRST, 3)
    command = (*days(FIRST, FIRST + 3 * DAY), "--features", *EVERY_FEATURE)
    with tandem_source(life) as tandem:
        home = computer(tmp_path, tandem, nightscout.url, nightscout.secret)
        first = home.run(*command)
        arrived, dump = nightscout.contents(), nightscout.dump()
        second = home.run(*command)
        everything = logged(life, tandem.clocks)

    assert (first.code, second.code) == (0, 0), first.errors
    treatments = arrived["treatments"]
    facts = shown(treatments)
    assert [fact for fact in facts if fact.kind != "CGM Alert"] == everything
    assert insulin_shown(treatments) == pytest.approx(delivered(life), abs=0.005)
    readings = [(e["type"], e[e["type"]]) for e in reversed(arrived["entries"])]
    assert [mgdl for kind, mgdl in readings if kind == "sgv"] == [r.mgdl for r in life.readings]
    assert [mgdl for kind, mgdl in readings if kind == "mbg"] == [
        stick.mgdl for stick in life.finger_sticks
    ]
    for what in ("Profile record added", "Insulin on board", "Device status"):
        assert what in first.errors
        assert what not in second.errors

    documents = len(treatments) + len(readings)
    assert first.counts == (documents, 0, 0)
    assert second.counts == (0, 0, documents)
    assert repr(nightscout.dump()) == repr(dump)
    assert repr(nightscout.contents()) == repr(arrived)
    check_form(treatments)


def check_form(treatments: Sequence[Document]) -> None:
    """Insist on what every document carries."""
    names = [UUID(treatment["identifier"]) for treatment in treatments]
    assert len(set(names)) == len(names)
    seconds = {(t["eventType"], t["created_at"][:19]) for t in treatments}
    assert len(seconds) == len(treatments)
    for treatment in treatments:
        assert treatment["syncIdentifier"] == treatment["identifier"]
        assert re.fullmatch(r"\d+(,\d+)*", treatment["pump_event_id"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z", treatment["created_at"])
        assert treatment["utcOffset"] == -240
    kinds = Counter(treatment["eventType"] for treatment in treatments)
    assert (kinds["Insulin Change"], kinds["Site Change"], kinds["Note"]) == (1, 1, 1)
    assert kinds["CGM Alert"] > 0


# Growth and late data


def test_what_goes_on_grows_in_place_until_it_is_what_one_run_would_have_made(
    nightscout: NightscoutSite, tmp_path: Path
) -> None:
    life = live(FIRST - DAY, 3, seed=4)
    life = began_between(life, datetime(2024, 5, 6, 16), datetime(2024, 5, 7, 0, 30))
    life = replace(life, first_day=FIRST, days=2)
    (bolus,) = [bolus for bolus in life.boluses if bolus.extended]
    (exercise,) = [activity for activity in life.activities if activity.kind == "exercise"]
    (sleep,) = [activity for activity in life.activities if activity.kind == "sleep"]
    uploads = [
        exercise.start + 11 * MINUTE,
        bolus.requested + MINUTE,
        bolus.requested + 63 * MINUTE,
        sleep.start + 62 * MINUTE,
        sleep.end - 90 * MINUTE,
        None,
    ]
    # The first window, of seven days, ends in the night.
    command = days(FIRST - 6 * DAY, FIRST + DAY)
    with tandem_source(life) as tandem:
        everything = logged(life, tandem.clocks)
        home = computer(tmp_path, tandem, nightscout.url, nightscout.secret)
        before: list[Document] = []
        for moment in uploads:
            tandem.uploaded_until = moment
            counts = home.sync(*command)
            after = nightscout.treatments()
            running = set(shown(after)) - set(everything)
            assert {fact.kind for fact in running} <= {"Temp Basal", "Sleep", "Exercise"}
            assert len(running) <= 2
            if moment:
                check_insulin(life, after, moment)
            assert {t["_id"] for t in before} <= {t["_id"] for t in after}
            assert counts.created == len(after) - len(before)
            before = after
        assert shown(before) == everything

        nightscout.empty()
        home.sync(*command)
    assert without_id(before) == without_id(nightscout.treatments())


def check_insulin(life: PumpHistory, treatments: list[Document], moment: datetime) -> None:
    """Insist that basals reach up to an upload, or nearly, and boluses are those that ended."""
    start = midnight(life.first_day)
    insulin = insulin_shown(treatments)
    reached = basal_insulin(life, start, moment)
    assert basal_insulin(life, start, moment - 6 * MINUTE) <= insulin.basal + 0.005
    assert insulin.basal <= reached + 0.005
    ended = sum(
        bolus.insulin if bolus.completed and bolus.completed <= moment else 0
        for bolus in life.boluses
    )
    # Of an extended part that is running, all is there but the piece that is not over.
    so_far = [
        now.extended
        for bolus in life.boluses
        if (now := bolus.as_of(moment)) and now.extended and moment >= now.extended.start
    ]
    later = sum(part.insulin for part in so_far)
    missing = 0.25 + 0.13 if any(part.end is None for part in so_far) else 0
    assert -0.005 <= ended + later - insulin.bolus <= missing + 0.005


def test_a_bolus_whose_end_is_uploaded_late_is_not_lost(tmp_path: Path) -> None:
    life = live(FIRST, 1)
    late = life.boluses[2]
    with tandem_source(life) as tandem, SmallNightscout(SECRET) as site:
        home = computer(tmp_path, tandem, site.url, SECRET)
        tandem.hidden = {late}
        before = home.sync(*days(FIRST, FIRST + DAY)).created
        tandem.hidden = set()
        counts = home.sync(*days(FIRST, FIRST + DAY))

        assert counts == (1, 0, before)
        assert shown(site.treatments) == logged(life, tandem.clocks)


STOPPED = datetime(2024, 5, 12, 20, 30)
RESUMED = datetime(2024, 5, 14, 3, 10)
"""More than a day later; the first window, of seven days, ends in between."""


def long_stop() -> PumpHistory:
    """Return a person who stops the pump for 30 hours and 40 minutes."""
    return PumpHistory(
        first_day=FIRST,
        days=9,
        control_iq=True,
        basal=[
            BasalSegment(STOPPED - 150 * MINUTE, 150 * 60, 0.8, "algorithm"),
            BasalSegment(RESUMED, 120 * 60, 0.6, "profile"),
        ],
        suspensions=[SuspensionRecord(STOPPED, RESUMED, "manual")],
    )


@pytest.mark.parametrize(
    "first", [FIRST, FIRST + 7 * DAY, FIRST + 8 * DAY], ids=["inside", "begun before", "at its end"]
)
def test_a_stop_of_more_than_a_day_arrives_with_its_true_length(
    tmp_path: Path, first: date
) -> None:
    life = long_stop()
    with tandem_source(life) as tandem, SmallNightscout(SECRET) as site:
        home = computer(tmp_path, tandem, site.url, SECRET)
        # Nothing but the battery's entry says that the pump's log goes on after its last basal.
        home = replace(home, variables={**home.variables, "FETCH_ALL_EVENT_TYPES": "true"})
        home.sync(*days(first, FIRST + 9 * DAY))
        facts = shown(site.treatments)
        second = home.sync(*days(first, FIRST + 9 * DAY))
        everything = logged(life, tandem.clocks)

    assert (second.created, second.updated) == (0, 0)
    begun = midnight(first).replace(tzinfo=ZoneInfo(NEW_YORK))
    assert facts == [f for f in everything if f.at + f.minutes * MINUTE >= begun]
    (stop,) = [fact for fact in facts if fact.kind == "Temp Basal" and fact.minutes > 5]
    assert stop.minutes == (RESUMED - STOPPED) / MINUTE


def test_a_stop_that_still_lasts_grows_and_keeps_its_beginning(tmp_path: Path) -> None:
    with tandem_source(long_stop()) as tandem, SmallNightscout(SECRET) as site:
        home = computer(tmp_path, tandem, site.url, SECRET)
        for moment in (STOPPED + 150 * MINUTE, STOPPED + 26 * 60 * MINUTE, RESUMED + 9 * MINUTE):
            tandem.uploaded_until = moment
            home.sync(*days(date(2024, 5, 12), date(2024, 5, 14)))
            (stop,) = [t for t in site.treatments if t.get("duration", 0) > 5]
            end = STOPPED + stop["duration"] * MINUTE
            assert min(moment, RESUMED) - 6 * MINUTE < end <= min(moment, RESUMED)
            assert stop["created_at"] == "2024-05-13T00:30:00.000Z"


def test_boluses_that_end_in_the_range_are_whole_though_requested_before(tmp_path: Path) -> None:
    start = midnight(FIRST + DAY)

    def at(minutes: float) -> datetime:
        return start + minutes * MINUTE

    slow = ExtendedPart(at(-170), at(70), 3.0, 3.0, duration_minutes=240, immediate_percent=25)
    extended = BolusRecord(
        1002, at(-172), at(-170), 1.0, 1.0, kind="extended", carbs=40, extended=slow
    )
    over_midnight = BolusRecord(1004, at(-1), at(0.5), 2.4, 2.4, carbs=19, override=True)
    life = PumpHistory(FIRST, 2, control_iq=True, boluses=[extended, over_midnight])
    with tandem_source(life) as tandem, SmallNightscout(SECRET) as site:
        home = computer(tmp_path, tandem, site.url, SECRET)
        home.run(*days(FIRST + DAY, FIRST + DAY), "--features", "BOLUS")
        facts = shown(site.treatments)
        everything = logged(life, tandem.clocks)
    begun = start.replace(tzinfo=ZoneInfo(NEW_YORK))
    assert facts == [f for f in everything if f.at >= begun]
    found = [(f.text, f.insulin, f.carbs) for f in facts if f.kind == "Combo Bolus"]
    assert ("Standard Bolus (Override)", 2.4, 19) in found
    # 70 of 240 minutes lie in the range.
    later = [insulin for text, insulin, _ in found if text.startswith("Extended Bolus (part")]
    assert sum(later) == pytest.approx(3.0 * 70 / 240, abs=0.25)


# The pump's clock


BERLIN = "Europe/Berlin"
AUTUMN = date(2024, 10, 25)
JOURNEY = (
    (datetime(2024, 10, 25, 18), datetime(2024, 10, 25, 12)),
    (datetime(2024, 10, 26, 20), datetime(2024, 10, 27, 2)),
    (datetime(2024, 10, 27, 9), datetime(2024, 10, 27, 8)),
)
CLOCKS: dict[str, tuple[tuple[datetime, datetime], ...]] = {
    "set back in that night": ((datetime(2024, 10, 27, 3), datetime(2024, 10, 27, 2)),),
    "set back a day late": ((datetime(2024, 10, 28, 8), datetime(2024, 10, 28, 7)),),
    "never set back": (),
    "taken on a journey": JOURNEY,
}


@pytest.mark.parametrize("changes", CLOCKS.values(), ids=CLOCKS)
def test_however_the_clock_was_set_everything_stands_at_its_true_instant(
    tmp_path: Path, changes: tuple[tuple[datetime, datetime], ...]
) -> None:
    life = live(AUTUMN, 5)
    with (
        SimulatedTandemSource(
            life,
            email=EMAIL,
            password=PASSWORD,
            zone=ZoneInfo(BERLIN),
            clock_changes=changes,
            uploaded_until=life.activities[-1].end + 5 * MINUTE,
        ) as tandem,
        SmallNightscout(SECRET) as site,
    ):
        home = computer(tmp_path, tandem, site.url, SECRET, zone=BERLIN)
        abroad = replace(home, variables={**home.variables, "TZ": "Pacific/Auckland"})
        abroad.sync(*days(AUTUMN - DAY, AUTUMN + 6 * DAY))
        facts = shown(site.treatments)
        second = home.sync(*days(AUTUMN - DAY, AUTUMN + 6 * DAY))

        assert facts == logged(life, tandem.clocks)
        assert (second.created, second.updated) == (0, 0)


def test_a_pump_that_is_set_back_late_moves_nothing_that_was_synced_before(tmp_path: Path) -> None:
    life = live(AUTUMN, 5)
    with tandem_source(life, BERLIN) as early, SmallNightscout(SECRET) as site:
        early.uploaded_until = datetime(2024, 10, 28, 7, 40)
        computer(tmp_path, early, site.url, SECRET, zone=BERLIN).sync(
            *days(AUTUMN, AUTUMN + 6 * DAY)
        )
        before = shown(site.treatments)
        with SimulatedTandemSource(
            life,
            email=EMAIL,
            password=PASSWORD,
            zone=ZoneInfo(BERLIN),
            clock_changes=CLOCKS["set back a day late"],
        ) as late:
            home = computer(tmp_path, late, site.url, SECRET, zone=BERLIN)
            home.sync(*days(AUTUMN, AUTUMN + 6 * DAY))
            after = shown(site.treatments)
            everything = logged(life, late.clocks)

    assert len(before) > 800
    assert len(set(before) - set(after)) <= 2  # a basal and a sleep that were going on
    assert after == everything


# Which pump


OTHER = {"serialNumber": "80018001", "assignmentId": "5f1d0b1e-73aa-4c69-9d7e-0f8a2b7c4e11"}


def other_pump(tandem: SimulatedTandemSource, newest: datetime | None) -> dict[str, Any]:
    """Return another pump of the account, with an empty log that is said to reach to ``newest``."""
    upload = None
    if newest:
        uploaded = newest.replace(tzinfo=ZoneInfo(NEW_YORK)).astimezone(UTC)
        upload = Upload(uploaded, newest - 30 * DAY, newest, tandem.settings)
    return {**pump_of_account(upload, control_iq=True), **OTHER}


LONG_BEFORE, LONG_AFTER = midnight(FIRST) - 40 * DAY, midnight(FIRST) + 40 * DAY
CHOICES: dict[str, tuple[str | None, datetime | None, bool]] = {
    "the other is older": (None, LONG_BEFORE, True),
    "the other is newer": ("11111111", LONG_AFTER, True),
    "ours is named, the other is newer": (SERIAL, LONG_AFTER, True),
    "the other is named": ("80018001", LONG_AFTER, False),
    "the other is in the future": (None, datetime(2099, 1, 1), True),
    "the other has never uploaded": ("11111111", None, True),
}


@pytest.mark.parametrize(("serial", "newest", "is_ours"), CHOICES.values(), ids=CHOICES)
def test_all_pumps_are_read_unless_one_is_named(
    tmp_path: Path, serial: str | None, newest: datetime | None, is_ours: bool
) -> None:
    with tandem_source(live(FIRST, 1)) as tandem, SmallNightscout(SECRET) as site:
        tandem.pumps = [other_pump(tandem, newest)]
        home = computer(tmp_path, tandem, site.url, SECRET)
        run = home.run(*days(FIRST, FIRST), "--features", "BOLUS", PUMP_SERIAL_NUMBER=serial)
    assert run.code == 0, run.errors
    assert bool(site.treatments) == is_ours


def test_a_pump_that_was_replaced_is_warned_about(tmp_path: Path) -> None:
    now = datetime.now(ZoneInfo(NEW_YORK)).replace(tzinfo=None)
    with tandem_source(live(FIRST, 1)) as tandem, SmallNightscout(SECRET) as site:
        tandem.pumps = [other_pump(tandem, now)]
        run = computer(tmp_path, tandem, site.url, SECRET).run("--days", "1")
    assert run.code == 0
    assert "(…0042) has sent nothing since 2024-05-0" in run.errors
    assert "(…8001) is in use" in run.errors
    assert SERIAL not in run.errors


def test_a_serial_number_that_the_account_does_not_have_is_one_sentence(tmp_path: Path) -> None:
    with tandem_source(live(FIRST, 1)) as tandem, SmallNightscout(SECRET) as site:
        tandem.pumps = [other_pump(tandem, None)]
        home = computer(tmp_path, tandem, site.url, SECRET)
        run = home.run(*days(FIRST, FIRST), PUMP_SERIAL_NUMBER="12345678")
        asked = [
            entry.request.path for entry in tandem.log if "/api/reports/" in entry.request.path
        ]
        check = home.run("--check-login", PUMP_SERIAL_NUMBER="12345678")
    said = [line for line in run.errors.splitlines() if " INFO " not in line]
    assert (run.code, len(asked), len(said)) == (2, 1, 1)
    assert "The pumps that it has end in: …0042, …8001." in run.errors
    assert check.code == 2
    assert "The pumps that it has end in: …0042, …8001." in check.output
    assert not any(told in run.errors for told in ("Traceback", SERIAL, "12345678"))
    assert site.treatments == []


def test_the_pump_of_a_child_is_found_by_the_account_of_the_parent(tmp_path: Path) -> None:
    life = live(FIRST, 1)
    with tandem_source(life) as tandem, SmallNightscout(SECRET) as site:
        tandem.guardian = True
        home = computer(tmp_path, tandem, site.url, SECRET)
        home.sync(*days(FIRST, FIRST + DAY))
        assert shown(site.treatments) == logged(life, tandem.clocks)


def test_a_pump_that_has_never_uploaded_is_nothing_new(tmp_path: Path) -> None:
    with tandem_source(live(FIRST, 1)) as tandem, SmallNightscout(SECRET) as site:
        tandem.uploaded_until = midnight(FIRST) - DAY
        home = computer(tmp_path, tandem, site.url, SECRET)
        assert home.sync(*days(FIRST, FIRST)) == (0, 0, 0)
        profiles = home.run(*days(FIRST, FIRST), "--features", "PROFILES")
    assert profiles.code == 1
    assert "Traceback" not in profiles.errors


# The login


def cached(home: Computer) -> list[Path]:
    """Return the saved logins in the user's cache folder, where other files are too."""
    return list((home.folder / ".cache").rglob("tandem-source-*.json"))


def test_one_login_serves_all_runs_until_its_token_is_refused(tmp_path: Path) -> None:
    boluses = (*days(FIRST, FIRST), "--features", "BOLUS")
    with tandem_source(live(FIRST, 1)) as tandem, SmallNightscout(SECRET) as site:
        home = computer(tmp_path, tandem, site.url, SECRET)
        assert [home.run(*boluses).code for _ in range(2)] == [0, 0]
        assert tandem.login.logins == 1
        (file,) = cached(home)
        assert file.stat().st_mode & 0o777 == 0o600
        assert not any(told in file.read_text() for told in (EMAIL, PASSWORD))

        tandem.login.tokens.clear()
        refused = home.run(*boluses)
        assert (refused.code, tandem.login.logins) == (0, 2)
        assert home.run(*boluses).code == 0
        assert tandem.login.logins == 2

        elsewhere = home.run(*boluses, CACHE_CREDENTIALS="false")
        assert (elsewhere.code, tandem.login.logins) == (0, 3)


def test_no_token_is_kept_where_that_is_not_wanted(tmp_path: Path) -> None:
    with tandem_source(live(FIRST, 1)) as tandem, SmallNightscout(SECRET) as site:
        home = computer(tmp_path, tandem, site.url, SECRET)
        run = home.run(*days(FIRST, FIRST), CACHE_CREDENTIALS="false")
    assert (run.code, cached(home), tandem.login.logins) == (0, [], 1)


def test_an_account_in_europe_is_found_there_and_nowhere_else(tmp_path: Path) -> None:
    europe = SimulatedTandemSource(
        live(FIRST, 1), email=EMAIL, password=PASSWORD, zone=ZoneInfo(BERLIN), region="EU"
    )
    boluses = (*days(FIRST, FIRST), "--features", "BOLUS")
    with europe as tandem, SmallNightscout(SECRET) as site:
        home = computer(tmp_path, tandem, site.url, SECRET, zone=BERLIN)
        wrong = home.run(*boluses)
        right = home.run(*boluses, "--region", "EU")
        by_setting = home.run(*boluses, TCONNECT_REGION="eu")
    assert wrong.code == 1
    assert "TCONNECT_REGION" in wrong.errors
    assert "Traceback" not in wrong.errors
    assert (right.code, right.counts) == (0, (len(site.treatments), 0, 0))
    assert by_setting.counts == (0, 0, len(site.treatments))
    assert tandem.login.logins == 1
