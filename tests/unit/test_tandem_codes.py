"""Codes of the pump's log that carry insulin, carbs or glucose: none is passed over in silence."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from tconnectsync.clouds import TANDEM_SOURCE
from tconnectsync.domain.clock import TimeRange
from tconnectsync.domain.events import Bolus, ReadingKind
from tconnectsync.nightscout.provenance import edited
from tconnectsync.nightscout.treatments import treatments_of
from tconnectsync.sources.tandemsource.boluses.carbs import carbs
from tconnectsync.sources.tandemsource.log.logentries import Entry, Log
from tconnectsync.sources.tandemsource.reader import LogReader
from tconnectsync.sync.plan.glucose import without_glucose_kind
from tests.support.event_builders import at, planned, wanted
from tests.support.log_builders import delivered, entry, log, reader, request

SENSOR, FINGER, NOT_SAID = ReadingKind.SENSOR, ReadingKind.FINGER, ReadingKind.UNKNOWN


# -- doses of the next algorithm -------------------------------------------------------------------


def dose(minutes: float, units: float | None, code: int = 559) -> Entry:
    name = "syncdosesizedelivered" if code == 559 else "syncdosesizerequested"
    return entry(minutes, code, **{name: units})


def test_insulin_of_the_next_algorithm_is_said_loudly_with_its_amount_and_not_written() -> None:
    story = reader(log(dose(0, 0.2, 558), dose(5, 0.25), dose(10, 1.5)))
    assert story.boluses() == []
    assert story.basals() == []
    (remark,) = story.remarks
    assert "3 entries" in remark.text
    assert "1.75 U of insulin" in remark.text
    assert "newer version" in remark.text
    assert (remark.missing, remark.heals) == (True, False)


@pytest.mark.parametrize(
    "entries",
    [[dose(0, None)], [dose(0, 900)], [dose(0, 0.5, 558)], [dose(0, None, 558)]],
    ids=["unread", "impossible", "begun", "begun, unread"],
)
def test_a_dose_of_which_the_amount_is_not_known_is_missing_insulin_too(
    entries: list[Entry],
) -> None:
    story = reader(log(*entries))
    story.pump_events()
    (remark,) = story.remarks
    assert remark.missing


@pytest.mark.parametrize("code", [562, 563, 564, 565, 566])
def test_settings_of_the_next_algorithm_are_said_but_miss_no_insulin(code: int) -> None:
    story = reader(log(entry(0, code)))
    story.suspensions()
    story.pump_events()
    (remark,) = story.remarks
    assert not remark.missing
    assert str(code) in remark.text


def test_only_doses_of_the_range_itself_are_counted() -> None:
    whole = log(dose(-60, 5), dose(10, 1), dose(120, 7))
    story = LogReader(lambda skipped: whole, time_range=TimeRange(at(0), at(60)))
    story.boluses()
    (remark,) = story.remarks
    assert "1.00 U" in remark.text


# -- what else cannot be read ---------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 60])
def test_a_log_that_has_lost_something_says_so(code: int) -> None:
    story = reader(log(entry(0, code)))
    story.basals()
    (remark,) = story.remarks
    assert "may be missing" in remark.text


def periodic(minutes: float, status: int) -> Entry:
    return entry(minutes, 140, fmr=120, fmrstatus=status)


def test_glucose_of_basal_iq_is_a_warning_only_where_nothing_else_says_it() -> None:
    value = entry(1, 256, glucosevaluestatus=0, currentglucosedisplayvalue=120)
    for entries, warnings in [
        ([periodic(0, 1)], 1),
        ([periodic(0, 0), periodic(5, 4)], 0),
        ([periodic(0, 1), value], 0),
        ([entry(0, 151)], 1),
    ]:
        story = reader(log(*entries))
        story.readings()
        assert len(story.remarks) == warnings
        assert not any(remark.missing for remark in story.remarks)


def test_an_unknown_entry_that_may_be_about_insulin_is_a_warning() -> None:
    def fetch(skipped: Any) -> Log:
        skipped["possibly insulin, carbs or glucose in unknown pump log event 600 (dose)"] += 2
        skipped["unknown pump log event 999, without insulin, carbs or glucose"] += 5
        return {}

    story = LogReader(fetch)
    story.boluses()
    (remark,) = story.remarks
    assert "unknown pump log event 600 (dose)" in remark.text
    assert "999" not in remark.text


# -- carbs -----------------------------------------------------------------------------------------


def test_carbs_without_a_bolus_are_a_carb_correction_by_the_person() -> None:
    story = reader(log(entry(0, 48, carbs=15.0)))
    (want,) = wanted(*story.boluses())
    assert (want.at, want.body["eventType"], want.body["carbs"]) == (at(0), "Carb Correction", 15)
    assert not want.automatic
    assert "insulin" not in want.body
    (again,) = wanted(*story.boluses())
    assert planned([again], [{**want.body, "_id": "1"}]).create == []


def test_carbs_that_a_bolus_reports_are_not_reported_twice() -> None:
    asked = request(1, 7, 2.0, carbs=15)
    assert reader(log(entry(0, 48, carbs=15.0), *asked)).boluses() == []
    assert len(reader(log(entry(-5, 48, carbs=15.0), *asked)).boluses()) == 1
    assert len(reader(log(entry(0, 48, carbs=30.0), *asked)).boluses()) == 1


@pytest.mark.parametrize(("amount", "counted"), [(None, 1), (-3, 1), (5000, 1), (0, 0)])
def test_carbs_that_cannot_be_are_counted(amount: float | None, counted: int) -> None:
    skipped: Counter[str] = Counter()
    assert carbs(log(entry(0, 48, carbs=amount)), skipped) == []
    assert skipped.total() == counted


# -- where the glucose of a bolus came from --------------------------------------------------------


def noted(minutes: float, glucose: int, how: int | None, calibration: int = 0) -> Entry:
    return entry(minutes, 16, bg=glucose, bgentrytype=how, cgmcalibration=calibration)


def measured(minutes: float, glucose: int) -> Entry:
    return entry(minutes, 399, glucosevaluestatus=0, currentglucosedisplayvalue=glucose)


def kind_of(*before: Entry, **asked: Any) -> ReadingKind | None:
    story = log(*before, *request(0, 7, 1.0, glucose=131, **asked), delivered(2, 7, 1.0))
    (bolus,) = (it for it in reader(story).boluses() if isinstance(it, Bolus))
    return bolus.glucose_kind


@pytest.mark.parametrize(
    ("before", "kind"),
    [
        ([noted(-0.1, 131, 1)], SENSOR),
        ([noted(-0.1, 131, 0)], FINGER),
        ([noted(-0.1, 131, 1, calibration=1)], FINGER),
        ([noted(-1.9, 131, 0)], FINGER),
        ([noted(-2.1, 131, 0)], NOT_SAID),
        ([noted(-0.1, 140, 0)], NOT_SAID),
        ([noted(-1, 131, 0), noted(-0.1, 131, 1)], SENSOR),
        ([measured(-3, 131), noted(-0.1, 131, 0)], FINGER),
        ([measured(-3, 131)], SENSOR),
        ([measured(-11, 131)], NOT_SAID),
        ([measured(-8, 131), measured(-3, 140)], NOT_SAID),
        ([], NOT_SAID),
    ],
)
def test_the_pump_says_outright_where_the_glucose_came_from(
    before: list[Entry], kind: ReadingKind
) -> None:
    assert kind_of(*before) is kind


@pytest.mark.parametrize("options", [3, 6])
def test_an_automatic_bolus_never_has_a_finger_stick(options: int) -> None:
    assert kind_of(options=options) is SENSOR
    assert kind_of(noted(-0.1, 131, 0), options=options) is SENSOR
    assert kind_of(entry(0, 280, bolusid=7, bolussource=7)) is SENSOR
    assert kind_of(entry(-3000, 280, bolusid=7, bolussource=7)) is NOT_SAID


def test_glucose_without_a_known_source_is_shown_without_type() -> None:
    story = log(*request(0, 7, 1.0, glucose=131), delivered(2, 7, 1.0))
    found = reader(story)
    (bolus,) = found.with_glucose_kind(found.boluses(), [])
    (want,) = treatments_of(bolus, TANDEM_SOURCE.name)
    assert want.body["glucose"] == 131
    assert "glucoseType" not in want.body
    (quiet,) = without_glucose_kind([bolus])
    (plain,) = treatments_of(quiet, TANDEM_SOURCE.name)
    assert "glucose" not in plain.body
    assert plain.identifier == want.identifier


def test_a_finger_stick_that_was_none_is_corrected_once() -> None:
    story = log(*request(0, 7, 1.0, glucose=131), delivered(2, 7, 1.0))
    (bolus,) = (it for it in reader(story).boluses() if isinstance(it, Bolus))
    (before,) = treatments_of(replace(bolus, glucose_kind=FINGER), TANDEM_SOURCE.name)
    (after,) = treatments_of(bolus, TANDEM_SOURCE.name)
    stored = {**before.body, "_id": "1"}
    (update,) = planned([after], [stored]).update
    assert "glucoseType" not in update.after.body
    assert not edited(update.after.body)
    again = planned([after], [update.after.body])
    assert (again.create, again.update) == ([], [])
