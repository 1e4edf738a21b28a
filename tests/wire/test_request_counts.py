"""How many requests a run makes: few for much, and no writes where nothing is new."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pytest

from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tests.support.command import SECRET, cloud, computer, days

FIRST = date(2024, 5, 6)
DAYS = 8


@pytest.mark.parametrize("keyed_by_identifier", [True, False], ids=["15.0.7", "0.12.8"])
def test_a_run_asks_nightscout_little_and_writes_only_what_is_new(
    tmp_path: Path, keyed_by_identifier: bool
) -> None:
    with (
        cloud(live(FIRST, DAYS)) as tconnect,
        SmallNightscout(SECRET, keyed_by_identifier=keyed_by_identifier) as site,
    ):
        home = computer(tmp_path, tconnect, site.url, SECRET)
        whole_range = days(FIRST, FIRST + timedelta(days=DAYS - 1))
        done = home.sync(*whole_range)
        first = Counter(entry.request.method for entry in site.log)
        written = site.writes
        site.log.clear()
        again = home.sync(*whole_range)
        second = Counter(entry.request.method for entry in site.log)

    everything = len(site.treatments)
    assert done.created == everything > 2000
    assert written == done.created + done.updated
    assert first.total() <= everything / 60 + 20
    assert (again.created, again.updated) == (0, 0)
    assert site.writes == written
    assert set(second) == {"GET"}
    assert second.total() <= everything / 300 + 20


def test_tandem_is_asked_once_for_each_thing_and_window(tmp_path: Path) -> None:
    with cloud(live(FIRST, DAYS)) as tconnect, SmallNightscout(SECRET) as site:
        home = computer(tmp_path, tconnect, site.url, SECRET)
        home.sync(*days(FIRST + timedelta(days=1), FIRST + timedelta(days=DAYS - 1)))
        paths = [entry.request.path for entry in tconnect.log]

    assert len([path for path in paths if "login" in path]) == 2
    for service in ("/therapytimeline/", "/TherapyEvents/", "/basalsuspension/"):
        assert len([path for path in paths if service in path]) == 1
    assert not [path for path in paths if "therapytimeline2csv" in path]
