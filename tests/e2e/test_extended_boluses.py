"""An extended bolus on a Nightscout while it runs: its sum follows the pump."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.simulators.history import (
    BasalSegment,
    BolusRecord,
    ExtendedPart,
    PumpHistory,
    midnight,
)
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tests.support.command import NEW_YORK, SECRET, Computer, Counts, computer, days, tandem_source
from tests.support.expected import logged, shown
from tests.support.real_nightscout import Document, NightscoutSite
from tests.support.treatments import without_id

FIRST = date(2024, 6, 3)
MINUTE = timedelta(minutes=1)
ONLY_BOLUSES = ("--features", "BOLUS")


def clock(minutes: float) -> datetime:
    return midnight(FIRST) + minutes * MINUTE


def evening() -> PumpHistory:
    """Return an extended bolus that pauses and runs past midnight, and others in its midst."""
    begins = 1290
    part = ExtendedPart(
        clock(begins),
        clock(begins + 217),
        4.2,
        4.2,
        180,
        30,
        ((clock(begins + 61), clock(begins + 98)),),
    )
    return PumpHistory(
        FIRST,
        2,
        control_iq=True,
        basal=[BasalSegment(clock(0), 2 * 86_400, 0.8, "algorithm")],
        boluses=[
            BolusRecord(
                1, clock(begins - 3), clock(begins), 1.8, 1.8, "extended", carbs=60, extended=part
            ),
            BolusRecord(2, clock(begins + 40), clock(begins + 41), 0.6, 0.6, kind="automatic"),
            BolusRecord(3, clock(begins + 130), clock(begins + 131.5), 1.1, 1.1, carbs=9),
        ],
    )


def sync(home: Computer, command: tuple[str, ...]) -> Counts:
    finished = home.run(*command)
    assert finished.code == 0, finished.errors
    return finished.counts


def given_by(life: PumpHistory, moment: datetime) -> float:
    """Return what the pump had given of boluses; what is given at once counts when it ended."""
    total = 0.0
    for bolus in life.boluses:
        known = bolus.as_of(moment)
        if known and known.completed:
            total += known.insulin + (known.extended.insulin if known.extended else 0.0)
    return total


def shown_by(treatments: list[Document], moment: datetime) -> float:
    until = moment.replace(tzinfo=ZoneInfo(NEW_YORK))
    return sum(
        treatment.get("insulin") or 0.0
        for treatment in treatments
        if datetime.fromisoformat(treatment["created_at"]).astimezone(UTC) <= until
    )


@pytest.mark.parametrize("minutes", [10, 35, 60])
def test_at_each_upload_nightscout_shows_what_has_been_given(
    nightscout: NightscoutSite, tmp_path: Path, minutes: int
) -> None:
    follow_the_bolus(nightscout, tmp_path, minutes)


def follow_the_bolus(nightscout: NightscoutSite, tmp_path: Path, minutes: int) -> None:
    life = evening()
    command = *days(FIRST, FIRST + timedelta(days=1)), *ONLY_BOLUSES
    with tandem_source(life) as tandem:
        home = computer(tmp_path, tandem, nightscout.url, nightscout.secret)
        before: list[Document] = []
        for upload in range(1295, 1590, minutes):
            tandem.uploaded_until = clock(upload)
            counts = sync(home, command)
            after = nightscout.treatments()
            assert counts.updated == 0
            assert [treatment for treatment in after if treatment in before] == before
            # A piece lasts for eleven minutes, and what has no minimum age is there at once.
            for moment in range(1285, upload - 15, 3):
                off = shown_by(after, clock(moment)) - given_by(life, clock(moment))
                assert abs(off) <= 0.3, (moment, off)
            before = after
        tandem.uploaded_until = None
        sync(home, command)
        after = nightscout.treatments()
        assert sum(t.get("insulin") or 0 for t in after) == pytest.approx(7.7, abs=1e-9)
        everything = [fact for fact in logged(life, tandem.clocks) if fact.kind == "Combo Bolus"]
        assert shown(after) == everything
        assert sync(home, command)[:2] == (0, 0)
        assert nightscout.treatments() == after

        nightscout.empty()
        sync(home, command)
    assert without_id(after) == without_id(nightscout.treatments())


@pytest.mark.parametrize("end_in_log", ["progress", "none"])
def test_a_bolus_whose_end_never_comes_is_there_with_what_is_known(
    tmp_path: Path, end_in_log: str
) -> None:
    life = evening()
    (extended, *others) = life.boluses
    broken = replace(life, boluses=[replace(extended, end_in_log="progress"), *others[:1]])
    stopped = BolusRecord(
        5,
        clock(1600),
        clock(1602),
        2.5,
        2.5,
        carbs=20,
        end_in_log=end_in_log,  # type: ignore[arg-type]
    )
    broken = replace(broken, boluses=[*broken.boluses, stopped])
    with tandem_source(broken) as tandem, SmallNightscout(SECRET) as site:
        home = computer(tmp_path, tandem, site.url, SECRET)
        command = *days(FIRST, FIRST + timedelta(days=1)), *ONLY_BOLUSES
        first = home.run(*command)
        found = list(site.treatments)
        again = home.run(*command)
    # What is not known cannot be shown: then it is no success.
    assert first.code == again.code == (1 if end_in_log == "none" else 0)
    assert ("Insulin may be missing" in again.errors) is (end_in_log == "none")
    assert again.counts[:2] == (0, 0)
    later = sorted((t for t in found if "(part " in t["notes"]), key=lambda t: str(t["created_at"]))
    assert sum(t["insulin"] for t in later) == pytest.approx(4.2, abs=0.15)
    assert later[-1]["notes"].endswith("(End not reported: requested 4.2 units)")
    of_stopped = [t["insulin"] for t in found if t.get("carbs") == 20]
    assert of_stopped == ([2.5] if end_in_log == "progress" else [])
