"""--import-log: a saved pump log gives what the cloud gives, and a wrong file is one sentence."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests

from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tests.support.binary_log import binary_log
from tests.support.command import EMAIL, PASSWORD, SECRET, Computer, computer, days
from tests.support.expected import logged, shown
from tests.support.real_nightscout import NightscoutSite

BERLIN = "Europe/Berlin"
FIRST = date(2024, 10, 26)
DAY = timedelta(days=1)
ALL_DAYS = days(FIRST, FIRST + 3 * DAY)
FEATURES = ("--features", "BASAL", "BOLUS", "PUMP_EVENTS", "CGM_ALERTS", "CGM")
AUTUMN = (datetime(2024, 10, 27, 3), datetime(2024, 10, 27, 2))
TIMEOUT = 300


@pytest.fixture(scope="module")
def tandem() -> Iterator[SimulatedTandemSource]:
    life = live(FIRST, 3)
    with SimulatedTandemSource(
        life,
        email=EMAIL,
        password=PASSWORD,
        zone=ZoneInfo(BERLIN),
        clock_changes=[AUTUMN],
        uploaded_until=life.activities[-1].end + timedelta(minutes=5),
    ) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, tandem: SimulatedTandemSource, site: SmallNightscout) -> Computer:
    return computer(tmp_path, tandem, site.url, SECRET, zone=BERLIN)


def records(tandem: SimulatedTandemSource) -> bytes:
    return binary_log(tandem.log_of_pump.entries)


def answer(tandem: SimulatedTandemSource) -> dict[str, Any]:
    """Return what the cloud says when it is asked for the whole log."""
    tandem.login.tokens.add("known")
    reply = requests.get(
        f"{tandem.source_url}/api/reports/bff/pump-logs/{tandem.assignment_id}",
        params={
            "pumperId": tandem.login.pumper_id,
            "startDate": f"{FIRST}T00:00:00Z",
            "endDate": f"{FIRST + 5 * DAY}T23:59:59Z",
        },
        headers={
            "Authorization": "Bearer known",
            "Origin": tandem.url,
            "Referer": f"{tandem.url}/",
        },
        timeout=TIMEOUT,
    )
    reply.raise_for_status()
    found: dict[str, Any] = reply.json()
    return found


def as_json(tandem: SimulatedTandemSource) -> bytes:
    return json.dumps(answer(tandem), indent=1).encode()


FORMS: dict[str, Callable[[SimulatedTandemSource], bytes]] = {
    "records": records,
    "base64": lambda tandem: b64encode(records(tandem)),
    "JSON": as_json,
}


def contents(site: SmallNightscout) -> list[str]:
    """Return what a site shows, without the names that the database gave."""
    documents = [*site.treatments, *site.entries]
    return sorted(
        json.dumps({name: value for name, value in d.items() if name != "_id"}, sort_keys=True)
        for d in documents
    )


@pytest.mark.parametrize("form", [records, as_json], ids=["records", "JSON"])
def test_a_saved_log_gives_the_same_documents_as_the_cloud(
    home: Computer, tandem: SimulatedTandemSource, site: SmallNightscout, form: Any
) -> None:
    file = home.folder / "pump.log"
    file.write_bytes(form(tandem))
    asked = len(tandem.log)
    imported = home.run("--import-log", str(file), *FEATURES)
    assert imported.code == 0, imported.errors
    assert len(tandem.log) == asked
    alerts = [fact for fact in shown(site.treatments) if fact.kind == "CGM Alert"]
    assert [fact for fact in shown(site.treatments) if fact not in alerts] == logged(
        tandem.history, tandem.clocks
    )

    before = contents(site)
    synced = home.run(*ALL_DAYS, *FEATURES)
    assert synced.counts == (0, 0, imported.counts.created)
    assert contents(site) == before
    with SmallNightscout(SECRET) as other:
        home.run(*ALL_DAYS, *FEATURES, NS_URL=other.url)
        assert contents(other) == before


def test_what_the_cloud_has_synced_is_not_changed_by_its_log(
    nightscout: NightscoutSite, tmp_path: Path, tandem: SimulatedTandemSource
) -> None:
    home = computer(tmp_path, tandem, nightscout.url, nightscout.secret, zone=BERLIN)
    synced = home.run(*ALL_DAYS, "--features", "BOLUS", "PUMP_EVENTS")
    before = repr(nightscout.treatments())
    file = tmp_path / "pump.log"
    for form in FORMS.values():
        file.write_bytes(form(tandem))
        imported = home.run("--import-log", str(file), "--features", "BOLUS", "PUMP_EVENTS")
        assert (imported.code, imported.counts) == (0, (0, 0, synced.counts.created))
    assert synced.counts.created > 0
    assert repr(nightscout.treatments()) == before


def test_only_the_days_that_are_asked_for_are_imported(
    home: Computer, tandem: SimulatedTandemSource, site: SmallNightscout
) -> None:
    file = home.folder / "pump.log"
    file.write_bytes(records(tandem))
    sunday = days(FIRST + DAY, FIRST + DAY)
    imported = home.run("--import-log", str(file), *sunday, *FEATURES)
    before = contents(site)
    synced = home.run(*sunday, *FEATURES)

    assert imported.counts == (len(before), 0, 0)
    assert synced.counts == (0, 0, len(before))
    boluses = [fact for fact in shown(site.treatments) if fact.kind == "Combo Bolus"]
    midnight = datetime(2024, 10, 27, tzinfo=ZoneInfo(BERLIN))
    assert boluses
    assert all(midnight <= fact.at < midnight + DAY for fact in boluses)


def test_pretending_imports_nothing(
    home: Computer, tandem: SimulatedTandemSource, site: SmallNightscout
) -> None:
    file = home.folder / "pump.log"
    file.write_bytes(records(tandem))
    run = home.run("--import-log", str(file), "--pretend")
    assert run.code == 0
    assert run.counts.created > 0
    assert site.writes == 0


# Wrong files

WRONG: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, "cannot be read: No such file or directory."),
    "empty": (b"", "is empty."),
    "another JSON": (b'{"pumps": []}', "JSON without events of a pump."),
    "a page": (b"<!DOCTYPE html><html></html>", "a web page."),
    "a letter": (b"Dear pump,\nplease deliver.\n", "some other text."),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "of another kind, or damaged."),
    "packed": (gzip.compress(b"26 bytes each", mtime=0), "unpack it first."),
}


@pytest.mark.parametrize(("content", "sentence"), WRONG.values(), ids=WRONG)
def test_a_file_that_is_no_log_is_one_sentence(
    home: Computer, site: SmallNightscout, content: bytes | None, sentence: str
) -> None:
    file = home.folder / "pump.log"
    if content is not None:
        file.write_bytes(content)
    check_refused(home, file, sentence)
    assert site.log == []


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_log_that_is_cut_short_is_refused_and_nothing_of_it_imported(
    home: Computer, tandem: SimulatedTandemSource, site: SmallNightscout, form: Any
) -> None:
    file = home.folder / "pump.log"
    file.write_bytes(form(tandem)[:-9])
    check_refused(home, file, "cut short")
    assert site.log == []


def test_a_folder_is_no_log(home: Computer) -> None:
    check_refused(home, home.folder, "seems to be a folder.")


def check_refused(home: Computer, file: Path, sentence: str) -> None:
    run = home.run("--import-log", str(file))
    assert (run.code, run.output) == (2, "")
    assert "Traceback" not in run.errors
    (line,) = [each for each in run.errors.splitlines() if each.startswith("tconnectsync: ")]
    assert sentence in line


WITH = {
    "--auto-update": "--import-log cannot be combined with --auto-update",
    "--days 3": "for a part of it, give --start-date and --end-date",
    "--start-date 2024-10-26": "--start-date and --end-date belong together",
}


@pytest.mark.parametrize(("line", "sentence"), WITH.items())
def test_what_makes_no_sense_with_a_file_is_wrong_use(
    home: Computer, tandem: SimulatedTandemSource, line: str, sentence: str
) -> None:
    file = home.folder / "pump.log"
    file.write_bytes(records(tandem))
    run = home.run("--import-log", str(file), *line.split())
    assert (run.code, run.output) == (2, "")
    assert sentence in run.errors


def test_a_log_holds_no_profiles(home: Computer, tandem: SimulatedTandemSource) -> None:
    file = home.folder / "pump.log"
    file.write_bytes(records(tandem))
    run = home.run("--import-log", str(file), "--features", "BOLUS", "PROFILES")
    assert run.code == 1
    assert "does not hold the pump's profiles. Leave out PROFILES." in run.errors
    assert run.counts.created > 0
