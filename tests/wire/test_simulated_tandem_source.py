"""The simulated Tandem Source speaks like the real one, and is as strict (tandem-source-api §4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests

from tconnectsync.simulators.history import PumpHistory, basal_insulin, midnight
from tconnectsync.simulators.person import live
from tconnectsync.simulators.pump import SETTINGS
from tconnectsync.simulators.tandemsource.cloud import SimulatedPump, SimulatedTandemSource
from tconnectsync.simulators.tandemsource.pumps import PumpChange, change_pumps

FIRST = date(2024, 10, 25)
START = midnight(FIRST)
LIFE = live(FIRST, 6)
ZONE = ZoneInfo("Europe/Berlin")
AUTUMN = (datetime(2024, 10, 27, 3), datetime(2024, 10, 27, 2))
DAY = timedelta(days=1)
TIMEOUT = 300
DAYS = {"startDate": "2024-10-26T00:00:00Z", "endDate": "2024-10-28T23:59:59Z"}


def simulate(history: PumpHistory = LIFE, **options: Any) -> SimulatedTandemSource:
    return SimulatedTandemSource(
        history, email="robin@example.org", password="secret", zone=ZONE, **options
    )


@pytest.fixture
def cloud() -> Iterator[SimulatedTandemSource]:
    with simulate() as server:
        yield server


def ask(cloud: SimulatedTandemSource, path: str, **changed: str | None) -> requests.Response:
    """Ask with all the right headers, but for those changed (``None``: left out)."""
    cloud.login.tokens.add("known")
    headers: dict[str, str | None] = {
        "Authorization": "Bearer known",
        "Origin": "https://source.tandemdiabetes.com",
        "Referer": "https://source.tandemdiabetes.com/",
    }
    url = f"{cloud.source_url}/api/{path}"
    return requests.get(url, headers=headers | changed, timeout=TIMEOUT)


def person(cloud: SimulatedTandemSource) -> dict[str, Any]:
    found: dict[str, Any] = ask(cloud, f"reports/bff/pumper/{cloud.login.pumper_id}").json()
    return found


def pump(cloud: SimulatedTandemSource) -> dict[str, Any]:
    found: dict[str, Any] = person(cloud)["pumps"][0]
    return found


def ask_log(cloud: SimulatedTandemSource, **query: str) -> requests.Response:
    whole = {"pumperId": cloud.login.pumper_id, **DAYS, **query}
    parts = "&".join(f"{key}={value}" for key, value in whole.items())
    return ask(cloud, f"reports/bff/pump-logs/{cloud.assignment_id}?{parts}")


def log(cloud: SimulatedTandemSource, **query: str) -> dict[str, Any]:
    answer = ask_log(cloud, **query)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def numbers(answer: dict[str, Any]) -> set[int]:
    return {event["sequenceNumber"] for event in answer["events"]}


def wall(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["pumpDateTime"])


# -- who may ask -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header", [None, "Bearer unknown", "Basic known", "known"], ids=lambda header: str(header)
)
def test_without_a_known_token_nothing_is_said(
    cloud: SimulatedTandemSource, header: str | None
) -> None:
    path = f"reports/bff/pumper/{cloud.login.pumper_id}"
    assert ask(cloud, path, Authorization=header).status_code == 401


@pytest.mark.parametrize(
    "changed",
    [
        {"Origin": "https://tconnect.tandemdiabetes.com"},
        {"Origin": "https://source.eu.tandemdiabetes.com"},
        {"Origin": "https://source.tandemdiabetes.com/"},
        {"Origin": None},
        {"Referer": "https://source.tandemdiabetes.com"},
        {"Referer": None},
    ],
    ids=str,
)
def test_a_request_from_another_site_is_blocked_with_a_page(
    cloud: SimulatedTandemSource, changed: dict[str, str | None]
) -> None:
    answer = ask(cloud, f"reports/bff/pumper/{cloud.login.pumper_id}", **changed)
    assert answer.status_code == 403
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "The request is blocked" in answer.text


def test_the_simulations_own_address_is_as_good_as_the_real_one(
    cloud: SimulatedTandemSource,
) -> None:
    own = {"Origin": cloud.url, "Referer": f"{cloud.url}/"}
    assert ask(cloud, f"reports/bff/pumper/{cloud.login.pumper_id}", **own).ok


def test_in_europe_the_site_is_another() -> None:
    with simulate(region="EU") as cloud:
        path = f"reports/bff/pumper/{cloud.login.pumper_id}"
        site = "https://source.eu.tandemdiabetes.com"
        assert ask(cloud, path).status_code == 403
        assert ask(cloud, path, Origin=site, Referer=f"{site}/").ok


def test_the_login_page_is_there_without_a_token(cloud: SimulatedTandemSource) -> None:
    assert requests.get(f"{cloud.sso_url}/", timeout=TIMEOUT).ok
    answer = requests.post(f"{cloud.accounts_url}/login", json={}, timeout=TIMEOUT)
    assert answer.status_code in (400, 403)


@pytest.mark.parametrize("path", ["reports/bff/pumper/other", "reports/bff/other", "other"])
def test_what_is_not_there_is_not_found(cloud: SimulatedTandemSource, path: str) -> None:
    assert ask(cloud, path).status_code == 404


# -- the account -----------------------------------------------------------------------------------


def test_the_pump_is_listed_with_the_times_of_its_log(cloud: SimulatedTandemSource) -> None:
    found = pump(cloud)
    assert found["serialNumber"] == cloud.serial_number == "90210042"
    assert found["assignmentId"] == cloud.assignment_id
    last = cloud.log_of_pump.entries[-1].wall.isoformat()
    assert found["maxDateOfEvents"] == last
    assert found["availableDataRange"] == {"start": "2024-10-25T00:00:00", "end": last}


def test_the_upload_date_is_true_utc(cloud: SimulatedTandemSource) -> None:
    cloud.uploaded_until = START + timedelta(hours=12, minutes=30)
    assert pump(cloud)["lastUploadDate"] == "2024-10-25T10:30:00Z"
    # By the person's own clock, which is not set back in autumn.
    cloud.uploaded_until = START + 5 * DAY
    assert pump(cloud)["lastUploadDate"] == "2024-10-29T22:00:00Z"


def test_no_entry_lies_after_the_upload() -> None:
    with simulate(clock_changes=[AUTUMN]) as cloud:
        for hours in (6, 49, 50, 53, 80):
            cloud.uploaded_until = START + timedelta(hours=hours)
            found = pump(cloud)
            newest = datetime.fromisoformat(found["maxDateOfEvents"]).replace(tzinfo=ZONE)
            uploaded = datetime.fromisoformat(found["lastUploadDate"])
            assert newest.astimezone(UTC) <= uploaded


def test_a_clock_set_back_holds_the_newest_date_up() -> None:
    with simulate(clock_changes=[AUTUMN]) as cloud:
        dates = []
        for minutes in (-1, 30, 120):
            cloud.uploaded_until = AUTUMN[0] + timedelta(minutes=minutes)
            dates.append(datetime.fromisoformat(pump(cloud)["maxDateOfEvents"]))
        assert dates[0] <= dates[1] == AUTUMN[0] < dates[2] <= AUTUMN[0] + timedelta(hours=1)


def test_a_pump_that_never_uploaded_is_listed_without_dates(cloud: SimulatedTandemSource) -> None:
    cloud.uploaded_until = START - DAY
    found = pump(cloud)
    names = ("maxDateOfEvents", "lastUploadDate", "lastUploadClientType", "settings")
    assert [found[name] for name in names] == [None] * 4
    assert found["availableDataRange"] == {"start": None, "end": None}
    assert log(cloud) == {"events": [], "clockChanges": []}


def test_further_pumps_are_listed_and_their_logs_are_empty(cloud: SimulatedTandemSource) -> None:
    other = pump(cloud) | {"assignmentId": "other", "maxDateOfEvents": "2099-01-01T00:00:00"}
    cloud.pumps.append(other)
    assert [each["assignmentId"] for each in person(cloud)["pumps"]] == [
        cloud.assignment_id,
        "other",
    ]
    query = f"pumperId={cloud.login.pumper_id}&startDate=2024-10-26T00:00:00Z"
    path = f"reports/bff/pump-logs/{{}}?{query}&endDate=2024-10-26T23:59:59Z"
    assert ask(cloud, path.format("other")).json() == {"events": [], "clockChanges": []}
    assert ask(cloud, path.format("unknown")).status_code == 404


def test_each_pump_has_its_own_log_numbers_clock_and_uploads(cloud: SimulatedTandemSource) -> None:
    at, noon = START + timedelta(days=2, hours=15), START + timedelta(days=3, hours=12)
    first, second = change_pumps(LIFE, PumpChange(at), zone=ZONE, first_numbers=(7301, 3))
    slow = SimulatedPump(
        second.history,
        zone=ZONE,
        serial=second.serial_number,
        began=at + timedelta(minutes=1),
        first_number=3,
        clock_changes=[(noon, noon - timedelta(hours=2))],
    )
    cloud.pump = first
    cloud.pumps = [slow]
    first.uploaded_until, slow.uploaded_until = at - timedelta(hours=4), START + 4 * DAY
    old, new = person(cloud)["pumps"]
    assert old["serialNumber"] != new["serialNumber"]
    ends = [datetime.fromisoformat(it["availableDataRange"]["end"]) for it in (old, new)]
    assert timedelta(0) <= at - timedelta(hours=4) - ends[0] < timedelta(minutes=20)
    assert timedelta(0) <= START + 4 * DAY - timedelta(hours=2) - ends[1] < timedelta(minutes=20)
    start = datetime.fromisoformat(new["availableDataRange"]["start"])
    assert timedelta(0) < start - at <= timedelta(minutes=2)
    query = f"pumperId={cloud.login.pumper_id}&startDate=2024-10-27T00:00:00Z"
    logs = [
        ask(
            cloud,
            f"reports/bff/pump-logs/{it['assignmentId']}?{query}&endDate=2024-10-29T23:59:59Z",
        )
        for it in (old, new)
    ]
    for listed, answer in zip((old, new), logs, strict=True):
        events = answer.json()["events"]
        assert {it["deviceAssignmentId"] for it in events} == {listed["assignmentId"]}
    assert min(numbers(logs[1].json())) < 100 < 7301 <= min(numbers(logs[0].json()))
    assert not logs[0].json()["clockChanges"]
    assert logs[1].json()["clockChanges"]


@pytest.mark.parametrize("left_running", [False, True])
@pytest.mark.parametrize("hours", [3, 37, 62.5])
def test_a_person_who_changes_the_pump_goes_on_living_the_same_life(
    hours: float, left_running: bool
) -> None:
    change = PumpChange(START + timedelta(hours=hours), left_running=left_running)
    old, new = change_pumps(LIFE, change, zone=ZONE)
    boluses = [*old.history.boluses, *new.history.boluses]
    missed = [it for it in LIFE.boluses if it not in boluses]
    assert all(change.at <= it.requested < change.at + change.worn for it in missed)
    assert sorted(boluses, key=lambda it: it.requested) == [
        it for it in LIFE.boluses if it not in missed
    ]
    end = change.at + (change.in_drawer if left_running else timedelta(0))
    assert basal_insulin(old.history, START, LIFE.end) == basal_insulin(LIFE, START, end)
    worn = change.at + change.worn
    assert basal_insulin(new.history, START, LIFE.end) == pytest.approx(
        basal_insulin(LIFE, worn, LIFE.end)
    )
    assert all(it.at <= change.at + change.in_drawer for it in old.log_of_pump.entries)
    assert all(it.at > change.at for it in new.log_of_pump.entries)


def test_a_guardian_finds_the_pump_only_in_the_account(cloud: SimulatedTandemSource) -> None:
    cloud.guardian = True
    assert person(cloud)["pumps"] == []
    found = ask(cloud, f"pumpers/pumpers/{cloud.login.pumper_id}").json()
    assert found["account"]["role"] == "Guardian"
    (device,) = found["devices"]
    assert (device["serialNumber"], device["assignmentId"]) == (
        cloud.serial_number,
        cloud.assignment_id,
    )


def test_the_settings_are_those_that_the_old_cloud_shows(cloud: SimulatedTandemSource) -> None:
    details = pump(cloud)["settings"]["details"]
    profiles = details["profiles"]
    assert [each["name"] for each in profiles["profile"]] == [p.name for p in SETTINGS.profiles]
    assert profiles["numberOfProfiles"] == len(SETTINGS.profiles)
    active = profiles["profile"][profiles["activeIdp"]]
    assert (active["name"], active["insulinDuration"]) == ("Every day", 300)
    segments = active["timeDependentSegments"]
    assert [each["startTime"] for each in segments] == [0, 180, 390, 660, 960, 1320]
    first = {"basalRate": 700, "carbRatio": 8000, "isf": 40, "targetBg": 110}
    assert first.items() <= segments[0].items()
    alerts = {"highGlucoseAlertMgPerDl": 200, "lowGlucoseAlertMgPerDl": 80}
    assert alerts.items() <= details["cgmSettings"].items()


def test_changed_settings_have_another_hash(cloud: SimulatedTandemSource) -> None:
    before = pump(cloud)["settings"]
    cloud.settings = replace(SETTINGS, low_alert=70.0)
    after = pump(cloud)["settings"]
    assert after["settingsHash"] != before["settingsHash"]
    assert after["details"]["cgmSettings"]["lowGlucoseAlertMgPerDl"] == 70


# -- the log ---------------------------------------------------------------------------------------


def test_an_answer_holds_the_entries_of_the_days_asked_for(cloud: SimulatedTandemSource) -> None:
    entries = cloud.log_of_pump.entries
    expected = {e.number for e in entries if START + DAY <= e.wall < START + 4 * DAY}
    answer = log(cloud)
    first = min(expected)
    (early,) = numbers(answer) - expected
    assert expected < numbers(answer)
    assert early == max(e.number for e in entries if e.number < first)
    assert answer["clockChanges"] == []
    for event in answer["events"]:
        assert event["estimatedDateTime"] == f"{event['pumpDateTime']}Z"
        assert (event["deviceAssignmentId"], event["sequenceGroup"]) == (cloud.assignment_id, 0)


def test_entries_come_in_no_order_but_always_in_the_same(cloud: SimulatedTandemSource) -> None:
    order = [event["sequenceNumber"] for event in log(cloud)["events"]]
    assert order != sorted(order)
    assert order == [event["sequenceNumber"] for event in log(cloud)["events"]]


def test_two_windows_in_a_row_repeat_one_entry(cloud: SimulatedTandemSource) -> None:
    night = {"endDate": "2024-10-26T23:59:59Z"}, {"startDate": "2024-10-27T00:00:00Z"}
    first, second = (numbers(log(cloud, **query)) for query in night)
    assert len(first & second) == 1
    assert first | second == numbers(log(cloud))


def test_only_the_codes_asked_for_are_given_out(cloud: SimulatedTandemSource) -> None:
    found = Counter(event["eventCode"] for event in log(cloud, eventCodes="279%2C20")["events"])
    assert set(found) == {279, 20}
    everything = Counter(event["eventCode"] for event in log(cloud)["events"])
    assert found[20] >= everything[20]
    assert {27, 81, 999} <= set(everything)


@pytest.mark.parametrize(
    "query",
    [
        {"eventIds": "279"},
        {"eventCodes": ""},
        {"eventCodes": "279,basal"},
        {"startDate": "2024-10-26"},
        {"startDate": "2024-10-30T00:00:00Z"},
        {"endDate": "2024-11-24T23:59:59Z"},
    ],
    ids=str,
)
def test_a_query_that_the_service_does_not_understand_is_refused(
    cloud: SimulatedTandemSource, query: dict[str, str]
) -> None:
    answer = ask_log(cloud, **query)
    assert answer.status_code == 400
    assert answer.json()["name"] == "ZodError"


def test_four_weeks_are_not_too_long() -> None:
    with simulate(live(FIRST, 30)) as cloud:
        events = log(cloud, endDate="2024-11-22T23:59:59Z", eventCodes="90,81")["events"]
    assert len({wall(event).date() for event in events}) == 29


def test_the_log_of_another_person_is_not_given_out(cloud: SimulatedTandemSource) -> None:
    assert ask_log(cloud, pumperId="other").status_code == 403


def test_each_upload_adds_entries_and_changes_none(cloud: SimulatedTandemSource) -> None:
    known: dict[int, Any] = {}
    for hours in (26, 27, 40, 96):
        cloud.uploaded_until = START + timedelta(hours=hours)
        now = {event["sequenceNumber"]: event for event in log(cloud)["events"]}
        assert known.items() <= now.items()
        assert len(known) < len(now)
        assert max(wall(event) for event in now.values()) <= cloud.uploaded_until
        known = now


def test_what_is_running_at_the_upload_has_no_end_yet(cloud: SimulatedTandemSource) -> None:
    bolus = next(b for b in LIFE.boluses if b.extended and b.requested > START + DAY)
    assert bolus.completed
    cloud.uploaded_until = bolus.completed + timedelta(minutes=31)
    events = [
        event
        for event in log(cloud)["events"]
        if event["eventProperties"].get("bolusId") == bolus.request_id
    ]
    found = Counter(event["eventCode"] for event in events)
    assert found == {64: 1, 65: 1, 66: 1, 55: 1, 280: 9, 20: 1, 59: 1}


def test_a_record_can_be_held_back_and_delivered_later(cloud: SimulatedTandemSource) -> None:
    bolus = next(b for b in LIFE.boluses if b.requested > START + DAY)
    whole = numbers(log(cloud))
    cloud.hidden.add(bolus)
    missing = whole - numbers(log(cloud))
    assert missing == {e.number for e in cloud.log_of_pump.entries if e.record == bolus}
    cloud.hidden.clear()
    assert numbers(log(cloud)) == whole


def test_clock_changes_come_with_every_answer_once_they_are_uploaded() -> None:
    with simulate(clock_changes=[AUTUMN]) as cloud:
        cloud.uploaded_until = AUTUMN[0] - timedelta(seconds=1)
        assert log(cloud)["clockChanges"] == []
        cloud.uploaded_until = None
        later = {"startDate": "2024-11-10T00:00:00Z", "endDate": "2024-11-10T23:59:59Z"}
        changes = log(cloud, **later)["clockChanges"]
        assert [(c["eventCode"], c["pumpDateTime"]) for c in changes] == [
            (14, "2024-10-27T03:00:00"),
            (13, "2024-10-27T02:00:00"),
        ]
        in_range = [e for e in log(cloud)["events"] if e["eventCode"] in (13, 14)]
        assert sorted(e["sequenceNumber"] for e in in_range) == [
            c["sequenceNumber"] for c in changes
        ]


def test_the_repeated_hour_is_given_out_in_full_for_its_day() -> None:
    with simulate(clock_changes=[AUTUMN]) as cloud:
        day = {"startDate": "2024-10-27T00:00:00Z", "endDate": "2024-10-27T23:59:59Z"}
        events = [e for e in log(cloud, **day, eventCodes="279")["events"] if wall(e).day == 27]
        by_hour = Counter(wall(event).hour for event in events)
        assert by_hour[2] > 20 > by_hour[1]
        assert set(by_hour) == set(range(24))
