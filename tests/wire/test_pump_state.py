"""The state of the pump through days of hourly uploads: what is left, and how old it is."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from tconnectsync.simulators.history import BasalSegment, PumpHistory, SuspensionRecord, midnight
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.delivery import BasalMeter, insulin_left
from tests.support.virtual_home import Home, Make
from tests.support.world import FIRST

HOUR = timedelta(hours=1)
BEFORE_THE_RUN = timedelta(minutes=20)


def days_asked_for(home: Home) -> list[int]:
    """Return how many days each request for the log was for, since the last call."""
    found = []
    for each in home.tandem.log:
        query = each.request.query
        if "pump-logs" in each.request.path or "startDate" in query:
            first, last = (datetime.fromisoformat(query[n]) for n in ("startDate", "endDate"))
            found.append((last.date() - first.date()).days + 1)
    home.tandem.log.clear()
    return found


def test_what_is_left_follows_the_pump_from_upload_to_upload(make_home: Make) -> None:
    life = live(FIRST, 8, seed=3)
    meter = BasalMeter(life.basal)
    home = make_home("tandem-source", life)
    home.go_to(4.2)
    assert home.run().code == 0
    looked_back = days_asked_for(home)
    off: Counter[int] = Counter()
    unknown = 0
    for hour in range(72):
        home.go_to(4.2 + (hour + 1) / 24)
        assert home.run().code == 0
        looked_back += days_asked_for(home)[1:]
        newest = home.site.device_statuses[-1]
        clock = datetime.fromisoformat(newest["pump"]["clock"]).replace(tzinfo=None)
        uploaded = home.tandem.uploaded_until
        assert uploaded
        assert uploaded - clock < timedelta(minutes=5, seconds=1)
        if "reservoir" not in newest["pump"]:
            unknown += 1
            assert "reservoir_display_override" not in newest["pump"]
            continue
        off[insulin_left(life, meter, clock) - newest["pump"]["reservoir"]] += 1
    assert unknown <= 3
    assert set(off) <= {0, 1}
    assert len(looked_back) <= 2


def test_a_run_without_a_new_upload_asks_for_the_log_alone(
    make_home: Make,
) -> None:
    begins = midnight(FIRST)
    stop = SuspensionRecord(begins + 34 * HOUR, begins + 35 * HOUR, "manual")
    flow = [
        BasalSegment(begins, 34 * 3600, 0.9, "profile"),
        BasalSegment(begins + 35 * HOUR, 120 * 3600, 0.9, "profile"),
    ]
    life = PumpHistory(FIRST, 6, control_iq=True, basal=flow, suspensions=[stop])
    home = make_home("tandem-source", life)
    home.features = ("DEVICE_STATUS",)
    home.go_to(4.2)
    assert home.run().code == 0
    assert days_asked_for(home) == [4, 3]
    left = insulin_left(life, BasalMeter(flow), begins + timedelta(days=4.2))
    assert abs(home.site.device_statuses[-1]["pump"]["reservoir"] - left) <= 1
    home.go_to(4.3)
    assert home.run().code == 0
    assert days_asked_for(home) == [4]
    home.site.log.clear()
    assert home.run().code == 0
    assert len(days_asked_for(home)) == 1
    assert not [e for e in home.site.log if "devicestatus" in e.request.path]


def test_insulin_on_board_is_never_from_before_a_bolus_that_has_begun(make_home: Make) -> None:
    life = live(FIRST, 3, seed=3)
    bolus = next(b for b in life.boluses if b.insulin > 3 and b.completed)
    assert bolus.completed
    home = make_home("tandem-source", life)
    for moment in (
        bolus.requested - timedelta(minutes=1),
        bolus.requested + timedelta(seconds=20),
        bolus.completed + timedelta(seconds=1),
    ):
        day = (moment + BEFORE_THE_RUN - midnight(FIRST)) / timedelta(days=1)
        home.go_to(day)
        home.tandem.uploaded_until = moment
        assert home.run().code == 0
        newest = home.site.device_statuses[-1]
        if moment < bolus.requested:
            continue
        if moment < bolus.completed:
            assert "iob" not in newest["pump"]
        else:
            assert newest["pump"]["iob"]["iob"] > bolus.insulin - 0.3
