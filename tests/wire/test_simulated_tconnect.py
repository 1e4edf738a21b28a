"""The simulated t:connect speaks like the real one, and is as strict (tconnect-api §1–4, §6)."""

from __future__ import annotations

import csv
import json
import re
from base64 import b64encode
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests

from tconnectsync.api.clients import TConnectApi
from tconnectsync.errors import ApiError, LoginError
from tconnectsync.simulators.history import BasalSegment, BolusRecord, PumpHistory, SuspensionRecord
from tconnectsync.simulators.person import live
from tconnectsync.simulators.pump import SERIAL_NUMBER
from tconnectsync.simulators.tconnect.cloud import SimulatedTConnect
from tconnectsync.simulators.tconnect.export import BOLUS_COLUMNS
from tconnectsync.simulators.tconnect.payloads import pacific_epoch
from tests.support.clocks import NO_WAITING
from tests.support.settings import account

EMAIL = "Robin@example.org"
PASSWORD = 'pass"word\\'
FIRST = date(2024, 5, 1)
MIDNIGHT = datetime(2024, 5, 1)
LIFE = live(FIRST, 28)
NUMBER = (int, float)
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}
TIMEOUT = 300


@pytest.fixture
def cloud() -> Iterator[SimulatedTConnect]:
    with SimulatedTConnect(LIFE, email=EMAIL, password=PASSWORD) as server:
        yield server


@pytest.fixture
def cloud_without_control_iq() -> Iterator[SimulatedTConnect]:
    history = live(FIRST, 7, control_iq=False)
    with SimulatedTConnect(history, email=EMAIL, password=PASSWORD) as server:
        yield server


def api_of(cloud: SimulatedTConnect, password: str = PASSWORD) -> TConnectApi:
    url = cloud.url
    settings = account(EMAIL, password, web_url=url, services_url=url, ws2_url=url)
    return TConnectApi(settings, NO_WAITING)


def timeline(cloud: SimulatedTConnect, first: date, last: date) -> dict[str, Any]:
    return api_of(cloud).controliq.therapy_timeline(first, last)


def boluses(cloud: SimulatedTConnect, first: date, last: date) -> list[dict[str, Any]]:
    events = api_of(cloud).controliq.therapy_events(first, last)["event"]
    return [event for event in events if event["type"] == "Bolus"]


def controliq(cloud: SimulatedTConnect, path: str, **changed: str | None) -> requests.Response:
    """Ask controliq with all the right headers, but for those changed (``None``: left out)."""
    cloud.tokens.add("app-known")
    headers: dict[str, str | None] = {
        **BROWSER,
        "Authorization": "Bearer app-known",
        "Origin": "https://tconnect.tandemdiabetes.com",
        "Referer": "https://tconnect.tandemdiabetes.com/",
    }
    return requests.get(f"{cloud.url}/{path}", headers=headers | changed, timeout=TIMEOUT)


def ws2(cloud: SimulatedTConnect, path: str) -> requests.Response:
    return requests.get(f"{cloud.url}/{path}", headers=BROWSER, timeout=TIMEOUT)


def wall_clock(epoch: int) -> datetime:
    """Decode as docs/protocol/tconnect-api.md §6 says: the clock that Los Angeles shows."""
    return datetime.fromtimestamp(epoch, ZoneInfo("America/Los_Angeles")).replace(tzinfo=None)


def assert_shape(payload: dict[str, Any], shape: dict[str, Any]) -> None:
    assert set(payload) == set(shape)
    for name, kind in shape.items():
        assert isinstance(payload[name], kind), f"{name} is {payload[name]!r}"


# -- logins ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("token_cookies", [True, False])
def test_the_real_client_logs_in_with_and_without_token_cookies(token_cookies: bool) -> None:
    with SimulatedTConnect(
        LIFE, email=EMAIL, password=PASSWORD, token_cookies=token_cookies
    ) as cloud:
        api = api_of(cloud)
        assert api.controliq.user_guid == cloud.user_guid
        assert api.controliq.therapy_timeline(FIRST, FIRST)["basal"]
        paths = [(entry.request.method, entry.request.path) for entry in cloud.log]
    assert paths[:4] == [
        ("GET", "/login.aspx"),
        ("POST", "/login.aspx"),
        ("POST", "/CookieCheck.aspx"),
        ("GET", "/"),
    ]
    assert (("POST", "/cloud/oauth2/token") in paths) == (not token_cookies)


def test_a_wrong_password_is_refused_by_the_form_and_by_the_app(cloud: SimulatedTConnect) -> None:
    api = api_of(cloud, password="wrong")
    with pytest.raises(LoginError, match="does not know this e-mail address") as form_error:
        api.controliq.therapy_timeline(FIRST, FIRST)
    with pytest.raises(LoginError) as app_error:
        api.android.last_event_uploaded(SERIAL_NUMBER)
    assert (form_error.value.status, app_error.value.status) == (None, 400)


def form_of(cloud: SimulatedTConnect) -> dict[str, str]:
    """Fill the login form in as a browser does."""
    page = requests.get(
        f"{cloud.url}/login.aspx?ReturnUrl=%2f", headers=BROWSER, timeout=TIMEOUT
    ).text
    fields = dict(re.findall(r'id="(__\w+)" value="([^"]*)"', page))
    for name, text in (("EmailAddress", EMAIL), ("Password", PASSWORD)):
        state = {"enabled": True, "emptyMessage": "", "validationText": text}
        state |= {"valueAsString": text, "lastSetTextBoxValue": text}
        fields[f"ctl00$ContentBody$LoginControl$txtLogin{name}"] = text
        fields[f"txtLogin{name}_ClientState"] = json.dumps(state)
    return fields | {"__EVENTTARGET": "ctl00$ContentBody$LoginControl$linkLogin"}


def send_form(cloud: SimulatedTConnect, form: dict[str, str], **headers: str) -> requests.Response:
    url = f"{cloud.url}/login.aspx?ReturnUrl=%2f"
    sent = {**BROWSER, "Referer": url, **headers}
    return requests.post(url, data=form, headers=sent, allow_redirects=False, timeout=TIMEOUT)


def test_the_form_is_accepted_as_it_should_be(cloud: SimulatedTConnect) -> None:
    answer = send_form(cloud, form_of(cloud))
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/CookieCheck.aspx?ReturnUrl=%2F"
    assert answer.cookies["UserGUID"] == cloud.user_guid


@pytest.mark.parametrize("name", ["__VIEWSTATE", "__EVENTTARGET", "txtLoginPassword_ClientState"])
def test_a_form_with_a_wrong_or_missing_field_is_an_error(
    cloud: SimulatedTConnect, name: str
) -> None:
    form = form_of(cloud)
    assert send_form(cloud, form | {name: "wrong"}).status_code == 500
    del form[name]
    assert send_form(cloud, form).status_code == 500


def test_a_form_from_another_page_or_program_is_refused(cloud: SimulatedTConnect) -> None:
    form = form_of(cloud)
    assert send_form(cloud, form, Referer="https://example.org/").status_code == 500
    assert send_form(cloud, form, **{"User-Agent": "python"}).status_code == 403


def test_the_pages_behind_the_login_need_its_cookie(cloud: SimulatedTConnect) -> None:
    answer = requests.post(
        f"{cloud.url}/CookieCheck.aspx?ReturnUrl=%2F", headers=BROWSER, timeout=TIMEOUT
    )
    assert answer.url.endswith("/login.aspx?ReturnUrl=%2f")


def test_a_token_needs_the_apps_own_credentials_and_the_whole_form(
    cloud: SimulatedTConnect,
) -> None:
    url = f"{cloud.url}/cloud/oauth2/token"
    form = {"username": EMAIL, "password": PASSWORD, "grant_type": "password", "scope": "x"}
    api_of(cloud).android.patient_info()
    accepted = next(e.request.headers for e in cloud.log if e.request.path.endswith("token"))
    app = {"Authorization": accepted["authorization"]}
    stranger = {"Authorization": "Basic " + b64encode(b"some:body").decode()}
    assert requests.post(url, data=form, headers=app, timeout=TIMEOUT).status_code == 400
    assert requests.post(url, data=form, headers=stranger, timeout=TIMEOUT).status_code == 401


def test_an_expired_token_makes_the_client_log_in_again(cloud: SimulatedTConnect) -> None:
    api = api_of(cloud)
    api.controliq.therapy_timeline(FIRST, FIRST)
    cloud.tokens.clear()
    assert api.controliq.therapy_timeline(FIRST, FIRST)["basal"]
    assert [entry.status for entry in cloud.log].count(401) == 1


# -- controliq -------------------------------------------------------------------------------------


def test_controliq_wants_token_origin_referer_and_its_parameters_in_order(
    cloud: SimulatedTConnect,
) -> None:
    path = f"tconnect/controliq/api/therapytimeline/users/{cloud.user_guid}"
    good = f"{path}?startDate=05-01-2024&endDate=05-02-2024"
    assert controliq(cloud, good).status_code == 200
    for header in ("Authorization", "Origin", "Referer"):
        assert controliq(cloud, good, **{header: None}).status_code == 401
    swapped = controliq(cloud, f"{path}?endDate=05-02-2024&startDate=05-01-2024")
    assert swapped.status_code == 403
    assert swapped.text.startswith("<html>")
    assert controliq(cloud, f"{path}?startDate=2024-05-01&endDate=2024-05-02").status_code == 400
    stranger = good.replace(cloud.user_guid, "00000000-0000-0000-0000-000000000000")
    assert controliq(cloud, stranger).status_code == 403


def test_the_therapy_timeline_has_the_shape_of_the_protocol(cloud: SimulatedTConnect) -> None:
    payload = timeline(cloud, FIRST, FIRST + timedelta(days=6))
    lists = ["events", "suspensionDeliveryEvents", "softwareUpdates", "pumpFeatures"]
    assert_shape(payload, {"basal": dict} | dict.fromkeys(lists, list))
    kinds = ["profileRates", "tempDeliveryEvents", "algorithmDeliveryEvents"]
    assert_shape(payload["basal"], dict.fromkeys([*kinds, "profileDeliveryEvents"], list))
    for kind in ("temp", "algorithm", "profile"):
        deliveries = payload["basal"][f"{kind}DeliveryEvents"]
        assert deliveries
        for delivery in deliveries:
            assert_shape(delivery, {"y": NUMBER, "duration": int, "x": int})
    for event in payload["events"]:
        numbers = {"duration": int, "eventType": int, "x": int}
        assert_shape(event, numbers | {"continuation": type(None), "timeZoneId": str})
    assert {event["eventType"] for event in payload["events"]} == {1, 2}
    for suspension in payload["suspensionDeliveryEvents"]:
        assert_shape(
            suspension, {"suspendReason": str, "continuation": (str, type(None)), "x": int}
        )
    reasons = {s["suspendReason"] for s in payload["suspensionDeliveryEvents"]}
    assert reasons == {"control-iq", "manual"}


def test_days_are_those_of_the_pumps_calendar_both_ends_inclusive(
    cloud: SimulatedTConnect,
) -> None:
    second, third = FIRST + timedelta(days=1), FIRST + timedelta(days=2)
    basal = timeline(cloud, second, third)["basal"]["algorithmDeliveryEvents"]
    served = [wall_clock(segment["x"]) for segment in basal]
    lived = [s.start for s in LIFE.basal if s.start.date() in (second, third)]
    assert set(served) <= set(lived)
    assert served[0] == lived[0]
    assert served[-1] == lived[-1]
    assert [s["y"] for s in basal if not s["y"]] == [
        0 for s in LIFE.basal if s.suspended and s.start in set(lived)
    ]


def test_a_wall_clock_is_encoded_as_if_it_were_los_angeles_time() -> None:
    assert pacific_epoch(datetime(2021, 3, 16)) == 1615878000
    assert pacific_epoch(datetime(2021, 12, 4, 16, 18, 10)) == 1638663490
    assert pacific_epoch(datetime(2021, 11, 7, 1, 30)) == 1636273800
    assert pacific_epoch(datetime(2021, 11, 7, 1, 30, fold=1)) == 1636277400


COMMON_SHAPE: dict[str, Any] = {
    "type": str,
    "eventDateTime": str,
    "requestDateTime": str,
    "description": str,
    "sourceRecId": int,
    "eventTypeId": int,
    "indexId": int,
    "uploadId": int,
    "interactive": int,
    "tempRateId": int,
    "tempRateCompleted": int,
    "tempRateActivated": int,
}
DEVICE_SHAPE = {"deviceType": str, "serialNumber": str}
BOLUS_SHAPE = COMMON_SHAPE | {
    "actualTotalBolusRequested": NUMBER,
    "bolusRequestOptions": str,
    "bolusType": str,
    "carbSize": NUMBER,
    "correctionBolusSize": NUMBER,
    "correctionFactor": NUMBER,
    "declinedCorrection": int,
    "duration": int,
    "eventHistoryReportDetails": str,
    "eventHistoryReportEventDesc": str,
    "foodBolusSize": NUMBER,
    "isQuickBolus": int,
    "note": dict,
    "standard": dict,
    "standardPercent": NUMBER,
    "targetBG": int,
    "userOverride": int,
}
OPTIONAL_IN_BOLUS = {"bg": int, "iob": NUMBER, "bolex": dict}
STANDARD_SHAPE = {
    "insulinDelivered": dict,
    "foodDelivered": NUMBER,
    "correctionDelivered": NUMBER,
    "insulinRequested": NUMBER,
    "completionStatusId": int,
    "completionStatusDesc": str,
    "bolusIsComplete": int,
    "bolusRequestId": NUMBER,
    "bolusCompletionId": NUMBER,
}
NOTE_SHAPE = {
    "id": int,
    "indexId": str,
    "eventTypeId": int,
    "sourceRecordId": int,
    "eventId": int,
    "active": bool,
}
RUNNING_BOLEX_SHAPE = {
    "size": NUMBER,
    "bolexStartDateTime": str,
    "iob": NUMBER,
    "completionStatusId": NUMBER,
    "extendedBolusIsComplete": int,
    "insulinRequested": NUMBER,
    "bolexCompletionId": NUMBER,
}
BOLEX_SHAPE = RUNNING_BOLEX_SHAPE | {"insulinDelivered": dict, "completionStatusDesc": str}


def test_boluses_have_the_shape_of_the_protocol(cloud: SimulatedTConnect) -> None:
    served = boluses(cloud, FIRST, FIRST + timedelta(days=13))
    for bolus in served:
        here = {name: kind for name, kind in OPTIONAL_IN_BOLUS.items() if name in bolus}
        assert_shape(bolus, BOLUS_SHAPE | here)
        assert_shape(bolus["standard"], STANDARD_SHAPE)
        assert_shape(bolus["note"], NOTE_SHAPE)
        delivered = bolus["standard"]["insulinDelivered"]
        assert_shape(delivered, {"value": NUMBER, "completionDateTime": str})
        if "bolex" in bolus:
            assert_shape(bolus["bolex"], BOLEX_SHAPE)
    options = {bolus["bolusRequestOptions"] for bolus in served}
    assert options == {"Standard", "Standard/Correction", "Automatic Bolus/Correction", "Extended"}
    assert {"bg" in bolus for bolus in served} == {True, False}
    aborted = [b for b in served if b["standard"]["completionStatusDesc"] == "User Aborted"]
    assert [b["standard"]["bolusIsComplete"] for b in aborted] == [0, 0]


def test_an_extended_bolus_is_described_as_tconnect_does(cloud: SimulatedTConnect) -> None:
    lived = next(bolus for bolus in LIFE.boluses if bolus.extended)
    part = lived.extended
    assert part is not None
    assert part.end is not None
    day = lived.requested.date()
    bolus = next(b for b in boluses(cloud, day, day) if "bolex" in b)
    assert bolus["description"] == f"Extended {part.immediate_percent}.00%/0.00"
    assert bolus["duration"] == 120
    assert "&#37; Extended 120 mins" in bolus["eventHistoryReportEventDesc"]
    assert bolus["standard"]["insulinDelivered"]["value"] == lived.insulin
    assert bolus["bolex"]["insulinDelivered"] == {
        "value": part.insulin,
        "completionDateTime": part.end.isoformat(),
    }
    assert bolus["actualTotalBolusRequested"] == lived.delivered


def test_other_therapy_events_have_the_shape_of_the_protocol(cloud: SimulatedTConnect) -> None:
    events = api_of(cloud).controliq.therapy_events(FIRST, FIRST + timedelta(days=11))["event"]
    by_type = {event["type"]: event for event in events}
    assert set(by_type) == {"Bolus", "CGM", "BG", "Basal"}
    egv = by_type["CGM"]["egv"]
    assert_shape(by_type["CGM"], COMMON_SHAPE | DEVICE_SHAPE | {"eventID": int, "egv": dict})
    levels = ["hypo", "belowTarget", "withinTarget", "aboveTarget", "hyper"]
    assert_shape(egv, dict.fromkeys(["estimatedGlucoseValue", *levels], int))
    assert sum(egv[level] for level in levels) == 1
    bg = {"bg": int, "cgmCalibration": int, "iob": NUMBER, "note": dict}
    assert_shape(by_type["BG"], COMMON_SHAPE | DEVICE_SHAPE | bg)
    basal = {"basalRate": dict, "displayInHistory": int, "note": dict, "noteDate": dict}
    assert_shape(by_type["Basal"], COMMON_SHAPE | basal)
    assert_shape(by_type["Basal"]["basalRate"], {"value": NUMBER, "percent": int, "duration": int})
    assert by_type["CGM"]["requestDateTime"] == "0001-01-01T00:00:00"


def test_summary_and_pump_features_have_the_shape_of_the_protocol(
    cloud: SimulatedTConnect,
) -> None:
    base, guid = "tconnect/controliq/api", cloud.user_guid
    days = "startDate=05-01-2024&endDate=05-02-2024"
    summary = controliq(cloud, f"{base}/summary/users/{guid}?{days}").json()
    assert all(isinstance(value, int) for value in summary.values())
    assert len(summary) == 12
    assert summary["totalDays"] == 2
    features = controliq(cloud, f"{base}/pumpfeatures/users/{guid}").json()
    assert_shape(features[0], {"serialNumber": str, "features": dict})
    since = features[0]["features"]["controlIQ"]
    assert_shape(since, {"feature": int, "dateTimeFirstDetected": str, "unixTimestamp": int})


def test_days_outside_the_history_are_empty(cloud: SimulatedTConnect) -> None:
    before = FIRST - timedelta(days=30)
    api = api_of(cloud)
    assert not api.controliq.therapy_timeline(before, before)["events"]
    assert api.controliq.therapy_events(before, before) == {"event": []}
    path = f"therapytimeline2csv/{cloud.user_guid}/04-01-2024/04-01-2024?format=csv"
    assert ws2(cloud, path).content == b""


# -- android ---------------------------------------------------------------------------------------


def test_the_app_service_has_the_shapes_of_the_protocol(cloud: SimulatedTConnect) -> None:
    android = api_of(cloud).android
    counter = android.last_event_uploaded(SERIAL_NUMBER)
    assert_shape(counter, {"maxPumpEventIndex": int, "processingStatus": int})
    texts = ["firstName", "lastName", "birthDate", "emailAddress", "secretQuestion"]
    shape: dict[str, Any] = dict.fromkeys([*texts, "secretAnswer"], str)
    assert_shape(android.patient_info(), shape | {"secretQuestionId": int})
    limits = ["targetBGHigh", "targetBGLow", "hypoThreshold", "hyperThreshold"]
    changes = ["siteChangeThreshold", "cartridgeChangeThreshold", "tubingChangeThreshold"]
    assert_shape(android.therapy_thresholds(), dict.fromkeys([*limits, *changes], int))
    profile = ["userID", "dateOfBirth", "patientFullName", "caregiverFullName"]
    shape = dict.fromkeys([*profile, "caregiverDateOfBirth"], str)
    numbers = ["targetBgHigh", "targetBgLow", "hypoThreshold", "hyperThreshold", "age"]
    shape |= dict.fromkeys(numbers, int)
    shape |= dict.fromkeys(["hasCGM", "hasBASALIQ", "hasControlIQ"], bool)
    assert_shape(android.user_profile(), shape)


def test_the_app_service_wants_its_own_token_program_and_pump(cloud: SimulatedTConnect) -> None:
    cloud.tokens |= {"app-known", "web-known"}
    url = f"{cloud.url}/cloud/upload/getlasteventuploaded"
    good = {
        "Authorization": "Bearer app-known",
        "Content-Type": "application/json",
        "User-Agent": "Dalvik/2.1.0 (Linux; U; Android 12; Pixel 4a Build/SP2A.220305.012)",
    }

    def status(serial: int, name: str = "Authorization", value: str = "") -> int:
        headers = good | ({name: value} if value else {})
        return requests.get(f"{url}?sn={serial}", headers=headers, timeout=TIMEOUT).status_code

    assert status(SERIAL_NUMBER) == 200
    assert status(1) == 404
    assert status(SERIAL_NUMBER, "Authorization", "Bearer web-known") == 401
    assert status(SERIAL_NUMBER, "Authorization", "Bearer expired") == 401
    assert status(SERIAL_NUMBER, "User-Agent", "Mozilla/5.0") == 403
    assert status(SERIAL_NUMBER, "Content-Type", "text/plain") == 415


# -- tconnectws2 -----------------------------------------------------------------------------------


def export(cloud: SimulatedTConnect, first: str, last: str) -> str:
    answer = ws2(cloud, f"therapytimeline2csv/{cloud.user_guid}/{first}/{last}?format=csv")
    assert answer.status_code == 200
    return answer.text


def section(text: str, header: str) -> list[str]:
    """Return the lines below a header."""
    found = next(part for part in text.split("\n\n") if part.startswith(header))
    return found.strip().splitlines()[1:]


def test_the_export_has_the_sections_of_the_protocol(cloud: SimulatedTConnect) -> None:
    text = export(cloud, "05-01-2024", "05-02-2024")
    parts = text.split("\n\n")
    assert len(parts) == 4
    assert len(parts[0].splitlines()) == 5
    assert re.search(r"\nReport Generated On, \d+/\d+/\d{4} \d+:\d\d:\d\d [AP]M$", parts[0])
    readings = section(text, "DeviceType,SerialNumber,Description,EventDateTime,Readings (CGM")
    device = f'"t:slim X2 Insulin Pump","{SERIAL_NUMBER}"'
    pattern = rf'{device},"(EGV|BG)","2024-05-0[12]T\d\d:\d\d:\d\d","\d+",'
    assert all(re.fullmatch(pattern, line) for line in readings)
    assert len(readings) == 2 * 288 + 1
    iob = section(text, "Type,EventID,EventDateTime,IOB")
    assert all(
        re.fullmatch(r'"IOB","81","2024-05-0[12]T\d\d:00:00","\d+\.\d\d"', line) for line in iob
    )
    assert len(iob) == 48


def test_bolus_rows_have_a_value_more_than_the_header_has_names(cloud: SimulatedTConnect) -> None:
    names = BOLUS_COLUMNS.split(",")
    assert len(names) == 41
    lines = section(export(cloud, "05-01-2024", "05-14-2024"), BOLUS_COLUMNS)
    rows = list(csv.reader(lines))
    assert len(rows) == len([b for b in LIFE.boluses if b.requested < MIDNIGHT + timedelta(14)])
    for line, row in zip(lines, rows, strict=True):
        assert line.endswith(',"",')
        assert '""' not in line[:-4]
        assert len(row) == 41 + 2  # the unlabelled value, and what follows the last comma
        assert row[names.index("IsQuickBolus") + 1] == "0"
        assert row[names.index("EventHistoryReportDetails")].endswith(("Bolus", "mins"))
    extended = [dict(zip(names, row, strict=False)) for row in rows if "Extended" in row[1]]
    assert extended
    for bolus in extended:
        parts = float(bolus["InsulinDelivered"]) + float(bolus["BolexInsulinDelivered"])
        assert parts == pytest.approx(float(bolus["ActualTotalBolusRequested"]))
        assert bolus["BolexCompletionStatusDesc"] == "Completed"
        assert bolus["ExtendedBolusIsComplete"] == "1"


def test_the_real_client_reads_the_same_boluses_from_both_apis(cloud: SimulatedTConnect) -> None:
    rows = api_of(cloud).ws2.therapy_timeline_csv(FIRST, FIRST)["bolusData"]
    events = boluses(cloud, FIRST, FIRST)
    assert [row["RequestDateTime"] for row in rows] == [e["requestDateTime"] for e in events]
    assert [float(row["InsulinDelivered"]) for row in rows] == [
        event["standard"]["insulinDelivered"]["value"] for event in events
    ]


def test_site_changes_alarms_and_stops_by_hand_are_basal_suspensions(
    cloud: SimulatedTConnect,
) -> None:
    payload = api_of(cloud).ws2.basal_suspension(FIRST, FIRST + timedelta(days=13))
    served = [
        (wall_clock(int(re.findall(r"^/Date\((\d+)000-0000\)/$", e["EventDateTime"])[0])), e)
        for e in payload["BasalSuspension"]
    ]
    end = MIDNIGHT + timedelta(days=14)
    for reason, moments in {
        "manual": [s.start for s in LIFE.suspensions if s.reason == "manual"],
        "alarm": [s.start for s in LIFE.suspensions if s.reason == "alarm"],
        "site-cart": [change.at for change in LIFE.site_changes],
    }.items():
        times = [at for at, entry in served if entry["SuspendReason"] == reason]
        assert times == [moment for moment in moments if moment < end]
    changes = api_of(cloud).ws2.basal_suspension(
        FIRST, FIRST + timedelta(days=13), site_changes_only=True
    )
    assert {e["SuspendReason"] for e in changes["BasalSuspension"]} == {"site-cart"}


def test_suspensions_are_jsonp_with_a_slash_before_the_question_mark(
    cloud: SimulatedTConnect,
) -> None:
    path = f"basalsuspension/{cloud.user_guid}/05-01-2024/05-02-2024"
    assert re.fullmatch(r"cb\(\{.*\}\)", ws2(cloud, f"{path}/?callback=cb").text)
    assert ws2(cloud, f"{path}?callback=cb").status_code == 404
    basal_iq = f"basaliqtech/{cloud.user_guid}/05-01-2024/05-02-2024?callback=cb"
    assert re.fullmatch(r"cb\(.*\)", ws2(cloud, basal_iq).text)
    assert ws2(cloud, path.replace(cloud.user_guid, "someone") + "/?callback=cb").status_code == 403


def test_a_stop_over_midnights_is_carried_over_at_each_of_them() -> None:
    stop = SuspensionRecord(
        MIDNIGHT + timedelta(hours=20), MIDNIGHT + timedelta(days=2, hours=1), "manual"
    )
    history = PumpHistory(FIRST, 4, True, suspensions=[stop])
    midnights = [MIDNIGHT + timedelta(days=1), MIDNIGHT + timedelta(days=2)]
    with SimulatedTConnect(history, email=EMAIL, password=PASSWORD) as cloud:
        suspensions = timeline(cloud, FIRST, FIRST + timedelta(3))["suspensionDeliveryEvents"]
        carried = [s for s in suspensions if s["continuation"] == "previous"]
        assert [wall_clock(s["x"]) for s in carried] == midnights
        assert [wall_clock(s["x"]) for s in suspensions if not s["continuation"]] == [stop.start]
        entries = api_of(cloud).ws2.basal_suspension(FIRST, FIRST + timedelta(3))
        previous = [e for e in entries["BasalSuspension"] if e["SuspendReason"] == "previous"]
        assert [e["Continuation"] for e in previous] == ["continuation"] * 2
        cloud.uploaded_until = midnights[0] + timedelta(hours=2)
        suspensions = timeline(cloud, FIRST, FIRST + timedelta(3))["suspensionDeliveryEvents"]
        assert len(suspensions) == 2


# -- without Control-IQ ----------------------------------------------------------------------------


def test_without_control_iq_there_is_no_timeline_but_there_are_boluses(
    cloud_without_control_iq: SimulatedTConnect,
) -> None:
    with pytest.raises(ApiError) as error:
        timeline(cloud_without_control_iq, FIRST, FIRST)
    assert error.value.status == 404
    assert len(boluses(cloud_without_control_iq, FIRST, FIRST)) >= 3


def test_only_without_control_iq_the_export_has_the_basal_rates(
    cloud_without_control_iq: SimulatedTConnect, cloud: SimulatedTConnect
) -> None:
    header = "Type,EventDateTime,BasalRate"
    assert header not in export(cloud, "05-01-2024", "05-02-2024")
    rows = list(
        csv.reader(section(export(cloud_without_control_iq, "05-01-2024", "05-07-2024"), header))
    )
    history = cloud_without_control_iq.history
    assert [(row[1], float(row[2])) for row in rows if float(row[2])] == [
        (segment.start.isoformat(), segment.rate) for segment in history.basal
    ]
    stops = [row[1] for row in rows if not float(row[2])]
    assert stops == [suspension.start.isoformat() for suspension in history.suspensions]


# -- what was uploaded when ------------------------------------------------------------------------


def last_basal(cloud: SimulatedTConnect) -> tuple[datetime, int]:
    basal = timeline(cloud, FIRST, FIRST + timedelta(days=1))["basal"]
    segments = [s for kind in basal.values() for s in kind]
    newest = max(segments, key=lambda segment: int(segment["x"]))
    return wall_clock(newest["x"]), newest["duration"]


def test_a_running_basal_segment_grows_with_each_upload(cloud: SimulatedTConnect) -> None:
    segment: BasalSegment = LIFE.basal[150]
    seen = []
    for seconds in (60, 200, segment.duration_seconds):
        cloud.uploaded_until = segment.start + timedelta(seconds=seconds)
        seen.append(last_basal(cloud))
    assert seen == [
        (segment.start, 60),
        (segment.start, 200),
        (segment.start, segment.duration_seconds),
    ]


def test_sleep_grows_while_it_lasts(cloud: SimulatedTConnect) -> None:
    night = next(activity for activity in LIFE.activities if activity.kind == "sleep")
    seen = []
    for hours in (1, 2, 12):
        cloud.uploaded_until = night.start + timedelta(hours=hours)
        events = timeline(cloud, FIRST, FIRST)["events"]
        seen += [e["duration"] for e in events if wall_clock(e["x"]) == night.start]
    assert seen == [3600, 7200, night.duration_seconds]


def test_a_bolus_in_delivery_has_no_completion_and_grows(cloud: SimulatedTConnect) -> None:
    lived = next(bolus for bolus in LIFE.boluses if bolus.insulin > 4 and not bolus.extended)
    assert lived.completed is not None
    cloud.uploaded_until = lived.requested + (lived.completed - lived.requested) / 2
    bolus = boluses(cloud, FIRST, LIFE.end.date())[-1]
    assert bolus["requestDateTime"] == lived.requested.isoformat()
    assert_shape(bolus["standard"]["insulinDelivered"], {"value": NUMBER})
    assert 0 < bolus["standard"]["insulinDelivered"]["value"] < lived.insulin
    assert bolus["standard"]["bolusIsComplete"] == 0
    assert "completionStatusDesc" not in bolus["standard"]
    assert bolus["standard"]["insulinRequested"] == lived.requested_insulin
    cloud.uploaded_until = lived.completed
    finished = boluses(cloud, FIRST, LIFE.end.date())[-1]["standard"]
    assert finished["insulinDelivered"]["value"] == lived.insulin
    assert finished["completionStatusDesc"] == "Completed"


def test_an_extended_part_is_served_as_running_and_then_as_complete(
    cloud: SimulatedTConnect,
) -> None:
    lived = next(bolus for bolus in LIFE.boluses if bolus.extended)
    part = lived.extended
    assert part is not None
    assert part.end is not None
    day = lived.requested.date()

    def served_at(moment: datetime) -> dict[str, Any]:
        cloud.uploaded_until = moment
        return next(b for b in boluses(cloud, day, day) if "bolex" in b)

    before = served_at(lived.requested + timedelta(seconds=5))
    assert "bolexStartDateTime" not in before["bolex"]
    running = served_at(part.start + timedelta(hours=1))
    assert_shape(running["bolex"], RUNNING_BOLEX_SHAPE)
    assert running["bolex"]["extendedBolusIsComplete"] == 0
    assert running["standard"]["bolusIsComplete"] == 1
    rows = api_of(cloud).ws2.therapy_timeline_csv(day, day)["bolusData"]
    row = next(row for row in rows if row["BolusRequestOptions"] == "Extended")
    assert row["BolexStartDateTime"] == part.start.isoformat()
    assert (row["BolexCompletionDateTime"], row["ExtendedBolusIsComplete"]) == ("", "0")
    assert served_at(part.end)["bolex"]["extendedBolusIsComplete"] == 1


def test_nothing_after_the_last_upload_is_served(cloud: SimulatedTConnect) -> None:
    noon = MIDNIGHT + timedelta(days=3, hours=12)
    cloud.uploaded_until = noon
    api, last = api_of(cloud), LIFE.end.date()
    events = api.controliq.therapy_events(FIRST, last)["event"]
    assert max(event["eventDateTime"] for event in events) <= noon.isoformat()
    assert last_basal(cloud)[0] < noon
    rows = api.ws2.therapy_timeline_csv(FIRST, last)
    newest = max(row["EventDateTime"] for rows_of_kind in rows.values() for row in rows_of_kind)
    assert noon - timedelta(minutes=5) <= datetime.fromisoformat(newest) <= noon


def test_the_upload_counter_grows_with_each_upload(cloud: SimulatedTConnect) -> None:
    android = api_of(cloud).android
    counts = []
    for minutes in (0, 1, 60, 600):
        cloud.uploaded_until = MIDNIGHT + timedelta(days=2, minutes=minutes)
        counts.append(android.last_event_uploaded(SERIAL_NUMBER)["maxPumpEventIndex"])
    cloud.uploaded_until = None
    counts.append(android.last_event_uploaded(SERIAL_NUMBER)["maxPumpEventIndex"])
    assert counts == sorted(set(counts))


def test_a_record_can_be_held_back_and_delivered_later(cloud: SimulatedTConnect) -> None:
    late: BolusRecord = LIFE.boluses[1]
    cloud.hidden.add(late)
    without = boluses(cloud, FIRST, FIRST)
    counter = cloud.upload_counter
    cloud.hidden.remove(late)
    complete = boluses(cloud, FIRST, FIRST)
    assert [b["requestDateTime"] for b in complete if b not in without] == [
        late.requested.isoformat()
    ]
    assert complete.index(next(b for b in complete if b not in without)) == 1
    assert cloud.upload_counter > counter
