"""--check-login on Tandem Source: every fault has a sentence of its own, and nothing gets out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tconnectsync.check.run import State
from tconnectsync.domain.profiles import PumpSettings
from tconnectsync.simulators.history import midnight
from tconnectsync.simulators.loopback import Fault, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.tandemsource.cloud import SimulatedTandemSource
from tconnectsync.sources.tandemsource.settings import NOT_FOR_GUARDIANS
from tests.support.check_steps import (
    CHECK_FIRST_DAY,
    CLOCKS,
    NIGHTSCOUT,
    NOW,
    WALL_NOW,
    not_tried,
    only_failed,
)
from tests.support.command import EMAIL, NEW_YORK, PASSWORD, SECRET, computer
from tests.support.personal_data import OWNER, SET, leaked, revealing, told
from tests.support.world import FIRST, Answer, TandemWorld, World

LIFE = live(FIRST, 2)
TANDEM = ("Tandem login", "Account and pumps", "Pump's log", "Profiles")
EVERY_STEP = ("Settings", *TANDEM, *NIGHTSCOUT, *CLOCKS)
CLOCK = "Pump's clock and zone"

LOGIN = "/accounts/api/login"
PUMPER = "/api/reports/bff/pumper"
ACCOUNT = "/api/pumpers"
LOGS = "/api/reports/bff/pump-logs"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[TandemWorld]:
    with serve(tmp_path) as served:
        yield served


@contextmanager
def serve(folder: Path, clock_set_by: timedelta = timedelta(0)) -> Iterator[TandemWorld]:
    """Serve both sides; the pump's clock was set on the first evening."""
    evening = midnight(FIRST) + timedelta(hours=20)
    tandem = SimulatedTandemSource(
        LIFE,
        email=EMAIL,
        password=PASSWORD,
        zone=ZoneInfo(NEW_YORK),
        uploaded_until=WALL_NOW - timedelta(minutes=12),
        clock_changes=[(evening, evening + clock_set_by)] if clock_set_by else [],
    )
    with tandem, SmallNightscout(SECRET, now=lambda: NOW) as site:
        yield World(tandem, site, folder, now=NOW)


def page(text: str, status: int = 200) -> Response:
    return Response(f"<html><body>{text}</body></html>".encode(), status, "text/html")


def payload(content: object, status: int = 200) -> Response:
    return Response(json.dumps(content).encode(), status)


def another_pump(newest: str | None = None) -> dict[str, Any]:
    return {
        "assignmentId": "0d0f6ad0-5b1c-4a39-9a53-5f4f3d7a0317",
        "serialNumber": "1000317",
        "modelName": "Tandem Mobi",
        "maxDateOfEvents": newest,
        "lastUploadDate": f"{newest}Z" if newest else None,
        "settings": None,
    }


# All is well


def test_where_all_is_well_every_step_says_so_and_nothing_is_written(world: TandemWorld) -> None:
    results = world.check()

    assert {name: state for name, (state, _) in results.items()} == dict.fromkeys(
        EVERY_STEP, State.OK
    )
    assert world.site.writes == 0
    assert "US region" in results["Tandem login"][1]
    pump = results["Account and pumps"][1]
    assert pump.startswith("It is t:slim X2 Insulin Pump …0042, the one that PUMP_")
    assert "PUMP_SERIAL_NUMBER names. It last uploaded 12 minutes ago (2024-06-04 14:48)" in pump
    log = results["Pump's log"][1]
    assert re.match(r"\d+ entries from 2024-06-03 15:0\d to 2024-06-04 14:4\d by the pump's", log)
    assert re.search(r" [1-9]\d* basals, [1-9]\d* boluses, [1-9]\d* readings, ", log)
    assert "Not understood" not in log
    assert results["Profiles"][1] == "2 profiles with 12 segments in all."
    assert re.search(r"were \d minutes? old when .+, 12 minutes ago", results[CLOCK][1])


def test_without_a_serial_number_the_pump_in_use_is_named(world: TandemWorld) -> None:
    world.changes = {"PUMP_SERIAL_NUMBER": None}
    world.tandem.pumps = [another_pump("2024-05-01T10:00:00")]
    state, text = world.check()["Account and pumps"]
    assert state is State.OK
    assert "…0042" in text
    assert "the one in use; the account also has …0317." in text


def test_a_range_in_the_past_does_not_judge_the_clock(world: TandemWorld) -> None:
    results = world.check(until=NOW - timedelta(days=300))
    assert not_tried(results) == [CLOCK]
    state, text = results["Pump's log"]
    assert state is State.OK
    assert text.startswith("No entries for these days")
    assert "newest entry on Tandem Source: 2024-06-04 14:4" in text


# Settings


def test_a_region_that_does_not_exist_is_said_and_nothing_is_asked(world: TandemWorld) -> None:
    world.changes = {"TCONNECT_REGION": "Mars"}
    results = world.check()
    assert "TCONNECT_REGION is not usable" in only_failed(results, "Settings")
    assert not_tried(results) == ["Tandem", CLOCK]
    assert world.tandem.log == []


# Login


def logins_tried(world: TandemWorld) -> int:
    return [entry.request.path for entry in world.tandem.log].count(LOGIN)


def test_a_saved_login_is_no_proof_of_the_password(world: TandemWorld) -> None:
    world.check()
    world.changes = {"TCONNECT_PASSWORD": "quite wrong"}
    results = world.check()

    text = only_failed(results, "Tandem login")
    assert "Tandem's US cloud does not accept the e-mail address and password" in text
    assert "The region tried is US. Do not simply try again" in text
    assert not_tried(results) == [*TANDEM[1:], CLOCK]
    assert logins_tried(world) == 2


def test_the_login_of_a_check_serves_the_next_sync_and_a_failed_one_spoils_nothing(
    tmp_path: Path, world: TandemWorld
) -> None:
    def saved() -> list[dict[str, Any]]:
        return [
            json.loads(file.read_text())
            for file in (tmp_path / ".cache" / "tconnectsync").glob("tandem-source-*")
        ]

    world.check()
    (first,) = saved()
    world.check()
    (second,) = saved()
    assert {first["access_token"], second["access_token"]} == world.tandem.login.tokens
    assert logins_tried(world) == world.tandem.login.logins == 2

    world.fail(LOGIN, Response(b"", 503))
    world.check()
    assert saved() == [second]


def test_no_login_is_saved_where_none_shall_be(tmp_path: Path, world: TandemWorld) -> None:
    world.changes = {"CACHE_CREDENTIALS": "false"}
    world.check()
    assert not list((tmp_path / ".cache" / "tconnectsync").glob("tandem-source-*"))


def test_the_wrong_region_is_not_called_a_wrong_password(world: TandemWorld) -> None:
    world.changes = {"TCONNECT_REGION": "EU"}
    text = only_failed(world.check(), "Tandem login")
    assert "set TCONNECT_REGION or --region to US" in text
    assert "The region tried is EU." in text


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (payload({"error": "account/locked_out"}, 401), "The account is locked. Do not try again"),
        (payload({"status": "TERMS"}), "Log in at Tandem Source with a browser and do what it"),
        (page("Bad gateway", 502), "out of order or under maintenance. The account is not the"),
        (page("Welcome to our new site"), "It may show another page for a while"),
        (page("The request is blocked", 403), "firewall blocks this address for a while"),
        (Fault.DROP, "REQUESTS_PROXY, and that no firewall of its network"),
    ],
)
def test_what_goes_wrong_with_the_login_has_its_own_words(
    world: TandemWorld, answer: Response | Fault, sentence: str
) -> None:
    world.fail(LOGIN, answer)
    results = world.check()
    text = only_failed(results, "Tandem login")
    assert sentence in text
    assert ("too many failed logins" in text, "locked" in text) == (False, "locked" in sentence)
    assert not_tried(results) == [*TANDEM[1:], CLOCK]


def test_a_login_from_another_time_is_blamed_on_the_clock_and_no_lock(world: TandemWorld) -> None:
    world.tandem.login.claims = {"exp": 1}
    text = only_failed(world.check(), "Tandem login")
    assert "Check the clock of this computer" in text
    assert "locked" not in text


# Account and pumps


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Response(b"", 500), "could not give the list of pumps"),
        (page("Hello"), "sent a web page instead of the list of pumps"),
        (page("The request is blocked", 403), "firewall blocks this address"),
        (Response(b"{}", 401), "refuses the login that it gave a moment ago"),
    ],
)
def test_without_pumps_there_is_nothing_to_read(
    world: TandemWorld, answer: Response, sentence: str
) -> None:
    world.fail(PUMPER, answer)
    results = world.check()
    assert sentence in only_failed(results, "Account and pumps")
    assert not_tried(results) == [*TANDEM[2:], CLOCK]


def test_an_unknown_serial_number_comes_with_the_known_ones(world: TandemWorld) -> None:
    world.changes = {"PUMP_SERIAL_NUMBER": "12345678"}
    world.tandem.pumps = [another_pump()]
    results = world.check()
    text = only_failed(results, "Account and pumps")
    assert "…0042, …0317" in text
    assert "12345678" not in text
    assert not_tried(results) == [*TANDEM[2:], CLOCK]


def test_an_account_without_any_pump_is_said(world: TandemWorld) -> None:
    world.fail("/api/", payload({"firstName": "Robin", "pumps": []}))
    assert "shows no pump for this account" in only_failed(world.check(), "Account and pumps")


def test_a_pump_that_was_replaced_is_noticed_and_read_all_the_same(world: TandemWorld) -> None:
    world.changes = {"PUMP_SERIAL_NUMBER": "1000317"}
    world.tandem.pumps = [another_pump("2024-05-01T10:00:00")]
    results = world.check()
    text = only_failed(results, "Account and pumps", "Profiles", CLOCK)
    assert "(…0317) has sent nothing since 2024-05-01" in text
    assert "(…0042) is in use" in text
    assert results["Pump's log"][1].startswith("No entries for these days")


def test_a_pump_that_has_never_uploaded_is_said(world: TandemWorld) -> None:
    world.tandem.uploaded_until = midnight(FIRST) - timedelta(days=1)
    results = world.check()
    text = only_failed(results, "Account and pumps")
    assert text.startswith("The pump t:slim X2 Insulin Pump …0042 has")
    assert "has never uploaded. Connect it to Tandem's app" in text
    assert not_tried(results) == [*TANDEM[2:], CLOCK]


def test_a_guardian_s_account_works_but_for_profiles(world: TandemWorld) -> None:
    world.tandem.guardian = True
    results = world.check()
    assert not_tried(results) == ["Profiles"]
    assert results["Profiles"][1] == NOT_FOR_GUARDIANS
    assert {state for state, _ in results.values()} == {State.OK, State.NOT_TRIED}
    assert "The time of its last upload is unknown" in results["Account and pumps"][1]
    assert re.search(r"newest data are 1\d minutes old", results[CLOCK][1])


def test_a_guardian_who_wants_profiles_reads_in_a_check_as_in_a_sync(world: TandemWorld) -> None:
    world.tandem.guardian = True
    world.features = ("BOLUS", "PROFILES")
    assert only_failed(world.check(), "Profiles") == NOT_FOR_GUARDIANS


@pytest.mark.parametrize("in_use", [True, False])
def test_a_broken_profile_is_named_and_fails_the_step_only_if_it_is_in_use(
    world: TandemWorld, in_use: bool
) -> None:
    def spoilt(request: Request) -> Response | None:
        if PUMPER not in request.path:
            return None
        payload = json.loads(world.tandem.carry_out(request).body)
        told = payload["pumps"][0]["settings"]["details"]["profiles"]
        for profile in told["profile"]:
            if (profile["idp"] == told["activeIdp"]) is in_use:
                profile["timeDependentSegments"][0]["basalRate"] = 99_000
        return Response(json.dumps(payload).encode())

    world.tandem.fault = spoilt
    results = world.check()
    state, text = results["Profiles"]
    assert "cannot be used: a basal rate is not a number that can be true" in text
    assert state is (State.FAILED if in_use else State.OK)


def test_a_guardian_has_to_say_which_of_several_pumps(world: TandemWorld) -> None:
    world.tandem.guardian = True
    world.tandem.pumps = [another_pump()]
    world.changes = {"PUMP_SERIAL_NUMBER": None}
    text = only_failed(world.check(), "Account and pumps")
    assert "Set PUMP_SERIAL_NUMBER to one of these: …0042, …0317." in text


# The pump's log


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (payload({"name": "ZodError"}, 400), "A newer tconnectsync is needed"),
        (Response(b"", 500), "could not give the pump log"),
        (payload({"events": [{"eventCode": 20}]}), "Nothing in it can be used. Not understood: "),
    ],
)
def test_a_log_that_cannot_be_had_does_not_stop_the_other_steps(
    world: TandemWorld, answer: Response, sentence: str
) -> None:
    world.fail(LOGS, answer)
    results = world.check()
    assert sentence in only_failed(results, "Pump's log")
    assert not_tried(results) == [CLOCK]


def test_unknown_kinds_are_named_with_how_often_they_came(world: TandemWorld) -> None:
    def event(code: int, number: int) -> dict[str, Any]:
        time = (WALL_NOW - timedelta(minutes=13)).isoformat()
        head = {"eventCode": code, "sequenceNumber": number, "pumpDateTime": time}
        return {**head, "sequenceGroup": 0, "eventProperties": {}}

    events = [event(279, 1), event(256, 2), *(event(3000, n) for n in (3, 4)), event(2, 5)]
    world.fail(LOGS, payload({"events": events}))
    results = world.check()
    state, text = results["Pump's log"]
    assert state is State.OK
    assert text.startswith("3 entries from 2024-06-04 14:47")
    assert "1 basals, 0 boluses, 1 readings, 1 others." in text
    unknown = "unknown pump log event 3000, without insulin, carbs or glucose (2 times)"
    assert f"Not understood: {unknown}." in text


@pytest.mark.parametrize(("everything", "named"), [("false", True), ("true", False)])
def test_the_log_is_asked_for_as_a_sync_does(
    world: TandemWorld, everything: str, named: bool
) -> None:
    world.changes = {"FETCH_ALL_EVENT_TYPES": everything}
    world.check()
    (asked,) = [e.request.query for e in world.tandem.log if e.request.path.startswith(LOGS)]
    assert ("eventCodes" in asked) is named
    assert (asked["startDate"][:10], asked["endDate"][:10]) == ("2024-06-02", "2024-06-05")


def doses(*units: float) -> Response:
    """Return a log with insulin that was given by Tandem's next algorithm."""
    time = (WALL_NOW - timedelta(minutes=13)).isoformat()
    events = [
        {
            "eventCode": 559,
            "sequenceGroup": 0,
            "sequenceNumber": number,
            "pumpDateTime": time,
            "eventProperties": {"syncDoseSizeDelivered": amount},
        }
        for number, amount in enumerate(units, 1)
    ]
    return payload({"events": events})


def test_insulin_that_cannot_be_shown_is_not_well(world: TandemWorld) -> None:
    world.fail(LOGS, doses(0.25, 1.5))
    sentence = only_failed(world.check(), "Pump's log")
    assert "1.75 U of insulin" in sentence
    assert "newer version" in sentence


# Profiles


def test_a_pump_without_uploaded_settings_is_said(world: TandemWorld) -> None:
    world.tandem.settings = PumpSettings(())
    assert "they show no profile" in only_failed(world.check(), "Profiles")


def test_profiles_of_which_none_is_in_use_are_said(world: TandemWorld) -> None:
    world.tandem.settings = PumpSettings(world.tandem.settings.profiles[1:])
    text = only_failed(world.check(), "Profiles")
    assert text.startswith("1 profile, but which one is in use is not known.")


# Clocks


@pytest.mark.parametrize(
    ("zone", "sentence"),
    [
        ("America/Los_Angeles", "after their own upload"),
        ("America/Chicago", "after their own upload"),
        ("America/Halifax", "old already when they were uploaded"),
        ("Europe/Berlin", "old already when they were uploaded"),
    ],
)
def test_a_zone_that_does_not_fit_is_noticed_and_the_fitting_one_named(
    world: TandemWorld, zone: str, sentence: str
) -> None:
    world.changes = {"TIMEZONE_NAME": zone}
    text = only_failed(world.check(), CLOCK)
    assert sentence in text
    assert f"TIMEZONE_NAME ({zone}) is not the zone of the pump's clock" in text
    assert "UTC-4 would fit, for example America/New_York" in text


def test_a_pump_whose_clock_was_set_to_another_hour_is_noticed(tmp_path: Path) -> None:
    with serve(tmp_path, timedelta(hours=1)) as world:
        text = only_failed(world.check(), CLOCK)
    assert f"the pump's clock is 1 hour ahead of TIMEZONE_NAME ({NEW_YORK})" in text
    assert "Set the pump's clock" in text


def test_a_pump_whose_clock_is_fast_by_minutes_is_noticed(tmp_path: Path) -> None:
    with serve(tmp_path, timedelta(minutes=9)) as world:
        text = only_failed(world.check(), CLOCK)
    assert re.search(r"lie [4-9] minutes after their own upload", text)
    assert "compare it with a watch" in text


def test_a_pump_that_has_not_uploaded_for_hours_is_noticed_and_the_zone_is_not_blamed(
    world: TandemWorld,
) -> None:
    world.tandem.uploaded_until = WALL_NOW - timedelta(hours=5)
    text = only_failed(world.check(), CLOCK)
    assert text.startswith("The pump last uploaded 5 hours ago. Open Tandem's app")
    assert "TIMEZONE_NAME" not in text


# The report


PRIVATE = {
    **{what: OWNER[what] for what in ("first name", "last name", "birth date")},
    "middle name": "Quillon",
    "pump before": "1000317",
    "its assignment": "assignment-of-before",
}
"""What the account says about its owner and the pumps."""
IDS = {"pumper": "pumper-of-robin", "account": "account-of-robin"}
"""What the login says, looking like ordinary words."""
PROFILE = "Quentin's school"
"""What a profile is called: personal, but not looked for elsewhere, because most are not."""


def private(tandem: SimulatedTandemSource) -> None:
    """Give the account more that is personal, under keys and in forms that do not show it."""
    tandem.login.pumper_id, tandem.login.account_id = IDS.values()
    tandem.pumps = [{**another_pump(), "assignmentId": PRIVATE["its assignment"]}]
    profiles = tandem.settings.profiles
    tandem.settings = PumpSettings((replace(profiles[0], name=PROFILE), *profiles[1:]))


def with_whole_name(tell: Callable[[Request], Answer]) -> Callable[[Request], Answer]:
    """Return a fault that answers as ``tell`` does, but with the middle name in its place."""

    def fault(request: Request) -> Answer:
        answer = tell(request)
        if not isinstance(answer, Response):
            return answer
        whole = answer.body.replace(b'"Robin Sample"', b'"Robin Quillon Sample"')
        return replace(answer, body=whole)

    return fault


@pytest.mark.parametrize(
    ("broken", "path"),
    [
        ("", "nothing is broken"),
        ("Tandem login", LOGIN),
        ("Tandem login", "/accounts/api/connect/authorize"),
        ("Tandem login", "/accounts/api/connect/token"),
        ("Account and pumps", PUMPER),
        ("Account and pumps", ACCOUNT),
        ("Pump's log", LOGS),
    ],
)
def test_nothing_personal_reaches_screen_log_or_report(
    tmp_path: Path, world: TandemWorld, broken: str, path: str
) -> None:
    tandem, site = world.tandem, world.site
    private(tandem)
    tandem.guardian = path == ACCOUNT
    # Under harmless keys, only that can be recognised which the program knows already.
    personal = {**SET, "assignment": tandem.assignment_id, "host": site.url[7:]}
    personal |= IDS if broken != "Tandem login" else {}
    personal |= PRIVATE if broken in ("", "Pump's log") else {}
    tandem.fault = with_whole_name(revealing(tandem, path, personal))
    site.fault = revealing(site, path, personal)
    text = told(tmp_path, world, broken)

    personal |= {f"token {n}": token for n, token in enumerate(tandem.login.tokens)}
    personal |= {"profile": PROFILE}
    assert leaked(text, personal) == []


def test_the_report_holds_the_answers_without_names_and_ids(
    tmp_path: Path, world: TandemWorld
) -> None:
    run = computer(tmp_path, world.tandem, world.site.url, SECRET).run(*CHECK_FIRST_DAY)
    report = (tmp_path / "tconnectsync-check-output.log").read_text(encoding="utf-8")

    assert "Tandem did not send the names" not in run.output
    lines = [line for line in run.output.splitlines() if line.partition(":")[0] in EVERY_STEP]
    assert [line.partition(":")[0] for line in lines] == list(EVERY_STEP)
    # Of the settings, the report leaves out the folders.
    assert all(line in report for line in lines if not line.startswith("Settings:"))
    for what in ("account and pumps", "pump's log", "Nightscout status"):
        assert f"=== {what} ===\n" in report
    for shown in ('"name": "[NAME]"', '"serialNumber": "[SERIAL_NUMBER]"', '"basalRate": 700'):
        assert shown in report
