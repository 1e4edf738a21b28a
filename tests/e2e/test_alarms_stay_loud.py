"""Alarms of a real Nightscout go on while a sync writes what the pump did by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tconnectsync.simulators.history import (
    BasalSegment,
    BolusRecord,
    CgmReading,
    PumpHistory,
    SuspensionRecord,
)
from tests.support.command import Counts, computer, tandem_source
from tests.support.fast_process import soon
from tests.support.real_nightscout import RealNightscout

pytestmark = pytest.mark.slow

MINUTE = timedelta(minutes=1)
FEATURES = ("BASAL", "BOLUS", "PUMP_EVENTS", "CGM_ALERTS", "PROFILES", "IOB", "DEVICE_STATUS")
SOUNDS, SNOOZES = "EMITTING ALARM", "SNOOZING ALARM"


def night(end: datetime) -> PumpHistory:
    """Return what a pump did by itself before ``end``, against a low that was not noticed."""

    def ago(minutes: float) -> datetime:
        return end - minutes * MINUTE

    return PumpHistory(
        first_day=ago(26 * 60).date(),
        days=3,
        control_iq=True,
        basal=[
            BasalSegment(ago(26 * 60), 25 * 3600, 0.8, "profile"),
            BasalSegment(ago(60), 52 * 60, 0.4, "algorithm"),
            BasalSegment(ago(8), 60 * 60, 0.1, "algorithm"),
        ],
        boluses=[
            BolusRecord(1, ago(90), ago(89), 3.0, 3.0, carbs=24),
            BolusRecord(2, ago(6), ago(5), 0.4, 0.4, kind="automatic"),
        ],
        suspensions=[SuspensionRecord(ago(4), ago(3), "alarm")],
        readings=[CgmReading(ago(minutes), 60 + minutes) for minutes in range(115, 0, -5)],
    )


@pytest.fixture
def site(real_nightscout_installed: None) -> Iterator[RealNightscout]:
    """A site that rings when glucose leaves its bounds."""
    del real_nightscout_installed
    with RealNightscout({"ALARM_TYPES": "simple"}) as nightscout:
        yield nightscout


def heard(site: RealNightscout) -> Counter[str]:
    """Return how often the alarm has sounded and been snoozed so far."""
    log = site.log.read_text()
    assert log.count(SOUNDS) <= log.count("Urgent LOW")
    return Counter({what: log.count(what) for what in (SOUNDS, SNOOZES)})


def rings(site: RealNightscout) -> bool:
    """Report an urgent low to Nightscout, and return whether its alarm sounds or is snoozed."""
    before = heard(site)
    now = datetime.now(UTC)
    reading = {"type": "sgv", "sgv": 42, "date": round(now.timestamp() * 1000)}
    site.insert("entries", [reading | {"dateString": now.isoformat()}])
    soon(lambda: heard(site) - before)
    new = heard(site) - before
    assert len(new) == 1
    return SOUNDS in new


def youngest(site: RealNightscout) -> timedelta:
    """Return the age of the newest treatment."""
    newest = max(datetime.fromisoformat(each["created_at"]) for each in site.treatments())
    return datetime.now(UTC) - newest


def test_an_urgent_low_goes_on_ringing_while_the_pump_s_own_acts_are_synced(
    site: RealNightscout, tmp_path: Path
) -> None:
    # In UTC, where no hour is skipped or repeated.
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    assert rings(site)
    with tandem_source(night(now), "UTC") as tandem:
        home = computer(tmp_path, tandem, site.url, site.secret, zone="UTC")

        def sync(**changes: str) -> Counts:
            finished = home.run("--features", *FEATURES, **changes)
            assert finished.code == 0, finished.errors
            return finished.counts

        tandem.uploaded_until = now - 12 * MINUTE
        assert sync().created > 3
        assert rings(site)

        tandem.uploaded_until = now - MINUTE
        counts = sync()
        # By the minute of the hour, the pump has noted one or two basals of that age.
        assert 1 <= counts.created + counts.updated <= 2, "The basal of a quarter of an hour ago."
        assert rings(site)
        assert youngest(site) > 10 * MINUTE

        assert sync(ALARM_SAFE_MINUTES="0").created >= 3
        assert youngest(site) < 10 * MINUTE
        assert not rings(site)
