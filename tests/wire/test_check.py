"""--check-login: every fault has a sentence of its own, and nothing personal gets out."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tconnectsync.check.results import Findings, carry_out
from tconnectsync.check.run import State
from tconnectsync.redact import Redactor
from tconnectsync.simulators.loopback import Fault, Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tconnectsync.simulators.pump import OLD_SERIAL_NUMBER
from tests.support.check_steps import (
    CHECK_FIRST_DAY,
    CLOCKS,
    NIGHTSCOUT,
    NOW,
    WALL_NOW,
    not_tried,
    only_failed,
)
from tests.support.command import SECRET, SERIAL, cloud, computer
from tests.support.personal_data import FAMILY, OWNER, SET, leaked, revealing, told
from tests.support.world import FIRST, Answer, TConnectWorld, World

TANDEM = (
    "Tandem login",
    "Basals and activities",
    "Boluses and readings",
    "Suspensions (ws2)",
    "CSV export (ws2)",
    "Pump's serial number",
    "Upload counter",
)
EVERY_STEP = ("Settings", *TANDEM, *NIGHTSCOUT, *CLOCKS)


@pytest.fixture(params=[True, False], ids=["15.0.7", "0.12.8"])
def any_world(request: pytest.FixtureRequest) -> Iterator[TConnectWorld]:
    yield from serve(request.param)


@pytest.fixture
def world() -> Iterator[TConnectWorld]:
    yield from serve(True)


def serve(keyed_by_identifier: bool) -> Iterator[TConnectWorld]:
    with (
        cloud(live(FIRST, 2)) as tconnect,
        SmallNightscout(SECRET, keyed_by_identifier=keyed_by_identifier, now=lambda: NOW) as site,
    ):
        tconnect.uploaded_until = WALL_NOW - timedelta(minutes=12)
        yield World(tconnect, site, now=NOW)


# All is well


def test_where_all_is_well_every_step_says_so_and_nothing_is_written(
    any_world: TConnectWorld,
) -> None:
    results = any_world.check()

    assert {name: state for name, (state, _) in results.items()} == dict.fromkeys(
        EVERY_STEP, State.OK
    )
    assert any_world.site.writes == 0
    assert "t:connect 7.17.2.3" in results["Tandem login"][1]
    assert re.search(r"\d+ basals, .+ 12 minutes ago", results["Basals and activities"][1])
    assert re.search(r"\d+ boluses, \d+ readings", results["Boluses and readings"][1])
    assert "create and update" in results["Nightscout secret"][1]
    assert "12 minutes old" in results["Pump's clock and zone"][1]


def test_a_check_logs_in_once_to_each_service(world: TConnectWorld) -> None:
    world.check()
    logins = [e.request.path for e in world.tandem.log if e.request.method == "POST"]
    # The web login takes the app's token, and the app has a login of its own.
    assert logins.count("/login.aspx") == 1
    assert logins.count("/cloud/oauth2/token") == 2


def test_the_age_of_our_newest_treatments_is_said(world: TConnectWorld) -> None:
    treatment = {"eventType": "Temp Basal", "enteredBy": "Pump (tconnectsync)"}
    world.site.insert([treatment | {"created_at": "2024-06-03T19:00:00.000Z"}])
    text = world.check()["Nightscout treatments"][1]
    assert "our newest Temp Basal is from a day ago, no Combo Bolus of ours yet" in text


def test_a_long_range_is_asked_for_in_pieces_as_a_sync_does(world: TConnectWorld) -> None:
    results = world.check(days=20, until=NOW - timedelta(hours=1))
    asked = [e.request.query for e in world.tandem.log if "therapytimeline/" in e.request.path]
    assert [query["endDate"] for query in asked] == ["05-22-2024", "05-29-2024", "06-04-2024"]
    assert results["Basals and activities"][0] is State.OK


def test_a_range_in_the_past_does_not_judge_the_clock(world: TConnectWorld) -> None:
    results = world.check(until=NOW - timedelta(days=300))
    assert not_tried(results) == ["Pump's clock and zone"]
    assert "nothing was uploaded for these days" in results["Boluses and readings"][1]


def test_a_pump_without_control_iq_is_no_failure() -> None:
    with (
        cloud(live(FIRST, 2, control_iq=False)) as tconnect,
        SmallNightscout(SECRET, now=lambda: NOW) as site,
    ):
        tconnect.uploaded_until = WALL_NOW
        results = World(tconnect, site, now=NOW).check()
    assert {state for state, _ in results.values()} == {State.OK}
    assert "CSV export" in results["Basals and activities"][1]


# Settings


def test_all_that_is_wrong_with_the_settings_is_said_and_the_rest_is_tried(
    world: TConnectWorld,
) -> None:
    world.changes = {"NS_URL": None, "TCONNECT_PASSWORD": "password", "SYNC_GAPS": "maybe"}
    results = world.check()

    text = only_failed(results, "Settings")
    for name in ("NS_URL is not set", "TCONNECT_PASSWORD is not set", "SYNC_GAPS is not usable"):
        assert name in text
    assert not_tried(results) == ["Tandem", "Nightscout", *CLOCKS]
    assert world.tandem.log == world.site.log == []


def test_t_connect_is_not_asked_without_a_serial_number(world: TConnectWorld) -> None:
    world.changes = {"PUMP_SERIAL_NUMBER": None}
    results = world.check()
    assert "PUMP_SERIAL_NUMBER is not set" in only_failed(results, "Settings")
    assert not_tried(results) == ["Tandem", "Pump's clock and zone"]
    assert world.tandem.log == []


def test_nightscout_is_tried_where_only_tandem_s_settings_are_wrong(world: TConnectWorld) -> None:
    world.changes = {"TCONNECT_EMAIL": None}
    results = world.check()
    only_failed(results, "Settings")
    assert all(results[step][0] is State.OK for step in NIGHTSCOUT)


# Tandem


def notice(text: str) -> Response:
    return Response(f'<div class="notice_error">{text}</div>'.encode(), 200, "text/html")


def test_a_wrong_password_is_tried_once_and_explained(world: TConnectWorld) -> None:
    world.changes = {"TCONNECT_PASSWORD": "quite wrong"}
    results = world.check()

    assert "Wrong e-mail address or password" in only_failed(results, "Tandem login")
    assert not_tried(results) == [*TANDEM[1:], "Pump's clock and zone"]
    posts = [e.request.path for e in world.tandem.log if e.request.method == "POST"]
    assert posts == ["/login.aspx"]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("Your account has been locked.", "The account is locked. Do not try again for half an"),
        ("Too many failed attempts.", "The account is locked."),
        ("Your account belongs to another region.", "belongs to another region than the web site"),
        ("Invalid username or password", "Wrong e-mail address or password"),
    ],
)
def test_what_the_login_page_says_leads_to_advice(
    world: TConnectWorld, said: str, sentence: str
) -> None:
    world.fail("/login.aspx", notice(said), "POST")
    text = only_failed(world.check(), "Tandem login")
    assert said in text
    assert sentence in text


def test_trouble_of_the_login_page_is_not_blamed_on_the_password(world: TConnectWorld) -> None:
    world.fail("/login.aspx", Response(b"", 503))
    text = only_failed(world.check(), "Tandem login")
    assert "t:connect has a fault" in text
    assert "Wrong" not in text


def test_no_way_to_tandem_is_a_matter_of_the_network(world: TConnectWorld) -> None:
    world.fail("/login.aspx", Fault.DROP)
    text = only_failed(world.check(), "Tandem login")
    assert "REQUESTS_PROXY" in text
    assert "firewall of its network" in text


BLOCKED = Response(b"<html><h3>Web Page Blocked!</h3> Attack ID: 2</html>", 403, "text/html")


@pytest.mark.parametrize(
    ("path", "step"),
    [
        ("/login.aspx", 0),
        ("/tconnect/controliq", 1),
        ("/tconnect/therapyevents", 2),
        ("/basalsuspension", 3),
        ("/therapytimeline2csv", 4),
        ("/myaccount", 5),
        ("/cloud/account", 6),
    ],
)
def test_a_firewall_block_ends_all_steps_of_tandem(
    world: TConnectWorld, path: str, step: int
) -> None:
    world.fail(path, BLOCKED)
    results = world.check()
    assert "firewall blocks this address" in only_failed(results, TANDEM[step])
    assert [name for name in not_tried(results) if name in TANDEM] == list(TANDEM[step + 1 :])
    assert world.tandem.log[-1].status == 403


def test_trouble_of_ws2_says_what_it_matters_to(world: TConnectWorld) -> None:
    world.fail("/basalsuspension", Response(b"", 404))
    text = only_failed(world.check(), "Suspensions (ws2)")
    assert "matters only to PUMP_EVENTS" in text

    world.fail("/therapytimeline2csv", Response(b"", 404))
    assert "matters only to IOB, CGM" in only_failed(world.check(), "CSV export (ws2)")


@pytest.mark.parametrize(
    ("path", "step"),
    [
        ("/tconnect/controliq", "Basals and activities"),
        ("/tconnect/therapyevents", "Boluses and readings"),
        ("/myaccount", "Pump's serial number"),
        ("/cloud/upload", "Upload counter"),
    ],
)
def test_one_service_in_trouble_does_not_stop_the_others(
    world: TConnectWorld, path: str, step: str
) -> None:
    world.fail(path, Response(b"", 500))
    results = world.check()
    assert "HTTP 500" in only_failed(results, step)
    assert set(not_tried(results)) <= {"Pump's clock and zone"}


def test_an_unknown_serial_number_comes_with_the_known_ones(world: TConnectWorld) -> None:
    world.changes = {"PUMP_SERIAL_NUMBER": "12345678"}
    results = world.check()
    only_failed(results, "Pump's serial number", "Upload counter")
    for step in ("Pump's serial number", "Upload counter"):
        assert f"…{SERIAL[-4:]}, …{str(OLD_SERIAL_NUMBER)[-4:]}" in results[step][1]
        assert SERIAL not in results[step][1]


def test_leading_zeros_of_the_serial_number_do_not_matter(world: TConnectWorld) -> None:
    world.changes = {"PUMP_SERIAL_NUMBER": f"00{SERIAL}"}
    assert {state for state, _ in world.check().values()} == {State.OK}


def test_an_answer_of_an_unexpected_form_is_one_failed_step(world: TConnectWorld) -> None:
    world.fail("/tconnect/therapyevents", Response(b'{"event": ["odd"]}'))
    text = only_failed(world.check(), "Boluses and readings")
    assert text.startswith("Nothing in it can be used. Not understood: unreadable bolus")


def test_a_defect_of_the_program_is_one_failed_step() -> None:
    def broken() -> str:
        raise AttributeError("no such thing")

    findings = Findings(Redactor())
    steps = [("Broken", broken), ("Other", lambda: "All is well.")]
    one, other = carry_out(steps, findings)
    assert (one.state, other.state) == (State.FAILED, State.OK)
    assert "should not have happened (AttributeError)" in one.text
    ((what, traceback),) = findings.answers
    assert what == "Broken: traceback"
    assert "no such thing" in str(traceback)


# Nightscout


READABLE_BY_ALL = Response(
    json.dumps(
        {"status": "ok", "version": "0.12.8", "careportalEnabled": True, "serverTimeEpoch": 0}
        | {"serverTimeEpoch": NOW.timestamp() * 1000}
    ).encode()
)


def test_a_wrong_secret_is_tried_once_where_nothing_is_public(any_world: TConnectWorld) -> None:
    any_world.changes = {"NS_SECRET": "quite another secret"}
    results = any_world.check()
    assert only_failed(results, "Nightscout").startswith("NS_SECRET is wrong.")
    assert not_tried(results) == [*NIGHTSCOUT[1:], "This computer's clock"]
    # What is right and yet may not ask for the status would be known to verifyauth.
    asked = [(entry.request.path, entry.status) for entry in any_world.site.log]
    assert asked == [("/api/v1/status.json", 401), ("/api/v1/verifyauth", 200)]


def test_a_wrong_secret_is_noticed_also_where_everybody_may_read(any_world: TConnectWorld) -> None:
    any_world.changes = {"NS_SECRET": "quite another secret"}
    any_world.fail_nightscout("status", READABLE_BY_ALL)
    results = any_world.check()
    assert only_failed(results, "Nightscout secret").startswith("NS_SECRET is wrong.")
    assert not_tried(results) == ["Nightscout treatments"]


def test_on_a_new_site_a_wrong_secret_is_not_sent_once_more_than_needed(
    world: TConnectWorld,
) -> None:
    world.changes = {"NS_SECRET": "quite another secret"}
    world.fail_nightscout("status", READABLE_BY_ALL)
    world.check()
    asked = [entry.request.path for entry in world.site.log]
    assert asked == ["/api/v1/status.json", "/api/v1/verifyauth"]


def rights(**said: object) -> Response:
    message = {"canRead": True, "canWrite": False, "isAdmin": False, "message": "UNAUTHORIZED"}
    message |= {"rolefound": "FOUND", "permissions": "ROLE", **said}
    return Response(json.dumps({"status": 200, "message": message}).encode())


def test_a_token_that_may_only_read_is_not_called_a_wrong_secret(world: TConnectWorld) -> None:
    def fault(request: Request) -> Response | None:
        if request.path.endswith("verifyauth"):
            return rights()
        return Response(b"{}", 401) if request.method == "POST" else None

    world.site.fault = fault
    text = only_failed(world.check(), "Nightscout secret")
    assert "access token that may only read" in text
    assert "api:treatments:update" in text


def test_of_a_token_that_may_create_is_said_what_else_it_needs(world: TConnectWorld) -> None:
    world.fail_nightscout("verifyauth", rights())
    state, text = world.check()["Nightscout secret"]
    assert state is State.OK
    assert "api:treatments:update, api:treatments:delete" in text


def test_a_site_without_verifyauth_is_judged_by_the_trial_write(world: TConnectWorld) -> None:
    world.fail_nightscout("verifyauth", Response(b"", 404))
    state, text = world.check()["Nightscout secret"]
    assert state is State.OK
    assert "It may create treatments." in text


def test_careportal_that_is_off_is_named(world: TConnectWorld) -> None:
    off = {"status": "ok", "version": "15.0.7", "careportalEnabled": False}
    world.fail_nightscout("status", Response(json.dumps(off).encode()))
    results = world.check()
    assert "Add careportal to ENABLE" in only_failed(results, "Nightscout careportal")
    assert not [entry for entry in world.site.log if entry.request.method == "POST"]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Response(b"<html>Welcome</html>", 200, "text/html"), "is not Nightscout"),
        (Response(b"", 404), "There is no Nightscout at NS_URL"),
        (Response(b"", 307, headers=[("Location", "https://x/")]), "sends us to another address"),
        (Response(b"", 503), "is in trouble"),
        (Fault.DROP, "Open NS_URL in a browser"),
    ],
)
def test_what_is_wrong_with_the_address_is_said(
    world: TConnectWorld, answer: Response | Fault, sentence: str
) -> None:
    world.fail_nightscout("status", answer)
    results = world.check()
    assert sentence in only_failed(results, "Nightscout")
    assert [name for name in not_tried(results) if name in NIGHTSCOUT] == list(NIGHTSCOUT[1:])


# Clocks


def test_a_computer_whose_clock_is_wrong_is_named_and_the_pump_is_not_blamed(
    world: TConnectWorld,
) -> None:
    world.now = NOW + timedelta(minutes=9)
    results = world.check()
    text = only_failed(results, "This computer's clock")
    assert "9 minutes ahead of Nightscout's" in text
    assert "12 minutes old" in results["Pump's clock and zone"][1]


def test_a_pump_whose_clock_is_fast_is_noticed(world: TConnectWorld) -> None:
    world.tandem.uploaded_until = WALL_NOW + timedelta(minutes=11)
    text = only_failed(world.check(), "Pump's clock and zone")
    assert re.search(r"lie (9|10|11) minutes in the future", text)


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Europe/Berlin"])
def test_a_zone_that_does_not_fit_is_noticed_and_the_fitting_one_named(
    world: TConnectWorld, zone: str
) -> None:
    world.changes = {"TIMEZONE_NAME": zone}
    text = only_failed(world.check(), "Pump's clock and zone")
    assert f"TIMEZONE_NAME ({zone}) is not the zone of the pump's clock" in text
    assert "UTC-4 would fit, for example America/New_York" in text


def test_in_the_evening_a_zone_far_in_the_west_is_noticed_too(world: TConnectWorld) -> None:
    # On the pump, it is already tomorrow.
    world.changes = {"TIMEZONE_NAME": "Pacific/Honolulu"}
    world.now = NOW - timedelta(hours=13)
    world.tandem.uploaded_until = WALL_NOW - timedelta(hours=13, minutes=12)
    text = only_failed(world.check(), "This computer's clock", "Pump's clock and zone")
    assert "behind Nightscout's" in text


def test_a_pump_that_has_not_uploaded_for_hours_is_noticed(world: TConnectWorld) -> None:
    world.tandem.uploaded_until = WALL_NOW - timedelta(hours=5)
    text = only_failed(world.check(), "Pump's clock and zone")
    assert "has not uploaded since: open Tandem's app" in text


# The report


DEVICES = {"old serial": str(OLD_SERIAL_NUMBER), "meter": "METER1234"}
"""What the list of devices says."""
PATHS = {
    "": "nothing is broken",
    "Tandem login": "/login.aspx",
    "Basals and activities": "/tconnect/controliq",
    "Boluses and readings": "/tconnect/therapyevents",
    "Suspensions (ws2)": "/basalsuspension",
    "CSV export (ws2)": "/therapytimeline2csv",
    "Pump's serial number": "/myaccount",
    "Upload counter": "/cloud/upload",
    "Nightscout": "/api/v1/status",
    "Nightscout secret": "/api/v1/verifyauth",
    "Nightscout treatments": "/api/v1/treatments",
}
"""The steps that ask a service, and where."""


@pytest.mark.parametrize("broken", PATHS)
def test_nothing_personal_reaches_screen_log_or_report(
    tmp_path: Path, world: TConnectWorld, broken: str
) -> None:
    # Under harmless keys, only that can be recognised which the program knows already.
    personal = {**SET, "guid": world.tandem.user_guid, "host": world.site.url[7:]}
    personal |= OWNER if broken != "Tandem login" else {}
    personal |= DEVICES if broken not in ("Tandem login", "Pump's serial number") else {}
    for server in (world.tandem, world.site):
        server.fault = revealing(server, PATHS[broken], personal)
    text = told(tmp_path, world, broken)

    personal |= {"family": FAMILY}
    personal |= {f"token {n}": token for n, token in enumerate(world.tandem.tokens)}
    assert leaked(text, personal) == []


def test_the_report_is_readable_by_its_owner_alone_also_where_it_was_not(
    tmp_path: Path, world: TConnectWorld
) -> None:
    file = tmp_path / "tconnectsync-check-output.log"
    file.write_text("from before")
    file.chmod(0o666)
    old = file.open(encoding="utf-8")

    home = computer(tmp_path, world.tandem, world.site.url, SECRET)
    home.run(*CHECK_FIRST_DAY)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "tconnectsync" in file.read_text(encoding="utf-8")
    with old:
        assert old.read() == "from before"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [file.name]


def test_it_is_said_when_the_names_to_hide_could_not_be_learned(
    tmp_path: Path, world: TConnectWorld
) -> None:
    home = computer(tmp_path, world.tandem, world.site.url, SECRET)
    run = home.run("--check-login")
    assert "Tandem did not send the names" not in run.output

    def refused(request: Request) -> Answer:
        private = ("/cloud/account", "/cloud/usersettings")
        return Response(b"{}", 403) if request.path.startswith(private) else None

    world.tandem.fault = refused
    run = home.run("--check-login")
    assert "Tandem did not send the names" in run.output
    assert re.search("Upload counter: +ok", run.output)


def test_the_report_holds_lines_versions_and_answers(tmp_path: Path, world: TConnectWorld) -> None:
    home = computer(tmp_path, world.tandem, world.site.url, SECRET)
    run = home.run(*CHECK_FIRST_DAY)
    report = (tmp_path / "tconnectsync-check-output.log").read_text(encoding="utf-8")

    assert run.code == 1, "the small Nightscout lives in 2024"
    lines = [line for line in run.output.splitlines() if line.partition(":")[0] in EVERY_STEP]
    assert len(lines) == len(EVERY_STEP)
    home_folder = f"{tmp_path}/"
    shown = [line.replace(f"{home_folder}.config", "~/.config") for line in lines]
    assert all(line.replace(home_folder, "") in report for line in shown)
    assert home_folder in run.output
    assert home_folder not in report
    assert re.search(r"tconnectsync \d.+\nPython 3\.\d+", report)
    for what in ("therapy timeline", "therapy events", "CSV export", "devices", "status"):
        assert f"{what} ===\n" in report
    assert '"serialNumber": "[SERIAL_NUMBER]"' in report
