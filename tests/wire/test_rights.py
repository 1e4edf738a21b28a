"""Who may do what: the small Nightscout row by row, and what a run makes of a right that lacks.

The rows are those of docs/protocol/nightscout-api.md §7.3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from tconnectsync.check.run import State
from tconnectsync.errors import MissingRightError, NightscoutError, NightscoutLoginError
from tconnectsync.nightscout.wire import ENTRIES
from tconnectsync.simulators.history import ActivityRecord, BasalSegment, BolusRecord, PumpHistory
from tconnectsync.simulators.loopback import Request, Response
from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tests.support.check_steps import NOW as CHECKED_AT
from tests.support.check_steps import WALL_NOW
from tests.support.command import SECRET, cloud, days
from tests.support.nightscout_client import NOON, client, treatment
from tests.support.virtual_home import DAY, Home, Make, check, sparse
from tests.support.world import FIRST, TConnectWorld, World, at

TOKEN = "uploader-0123456789abcdef"
OWN_ROLE = (
    "api:treatments:read,create,update api:entries:read,create api:profile:read,create "
    "api:devicestatus:read,create"
)
COLUMNS: tuple[tuple[str, str, Any], ...] = (
    ("GET", "status.json", None),
    ("GET", "treatments.json", None),
    ("POST", "treatments.json", [{"eventType": "Note", "created_at": "2024-03-05T12:00:00Z"}]),
    ("PUT", "treatments.json", {"eventType": "Note", "created_at": "2024-03-05T12:00:00Z"}),
    ("POST", "devicestatus.json", {"device": "x", "created_at": "2024-03-05T12:00:00Z"}),
    ("POST", "profile.json", {"startDate": "2024-03-05T12:00:00Z"}),
    ("POST", "entries.json", [{"type": "sgv", "date": 1709640000000, "sgv": 100}]),
    ("POST", "activity.json", {"created_at": "2024-03-05T12:00:00Z"}),
)
ROWS = {
    "nobody": (None, "", "– – – – – – – –", "y y – – – – – –"),
    "secret": (SECRET, "", "y y y y y y y y", "y y y y y y y y"),
    "wrong secret": ("another secret", "", "– – – – – – – –", "– – – – – – – –"),
    "readable": (TOKEN, "readable", "y y – – – – – –", "y y – – – – – –"),
    "careportal": (TOKEN, "careportal", "– – – – – – – –", "y y y – – – – –"),
    "both": (TOKEN, "careportal readable", "y y y – – – – –", "y y y – – – – –"),
    "own role": (TOKEN, OWN_ROLE, "– y y y y y y –", "y y y y y y y –"),
}


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("default", ["denied", "readable"])
def test_each_row_of_the_table_of_rights(row: str, default: str) -> None:
    who, roles, denied, readable = ROWS[row]
    headers = {"api-secret": hashlib.sha1(who.encode()).hexdigest()} if who else {}
    with SmallNightscout(SECRET, tokens={TOKEN: roles}, default_roles=default) as site:
        answers = [
            requests.request(
                method, f"{site.url}/api/v1/{path}", json=body, headers=headers, timeout=300
            ).status_code
            for method, path, body in COLUMNS
        ]
        said = requests.get(f"{site.url}/api/v1/verifyauth", headers=headers, timeout=300).json()
    marks = " ".join({200: "y", 401: "–"}[status] for status in answers)
    assert marks == (denied if default == "denied" else readable)
    assert said["message"]["rolefound"] == ("FOUND" if who == TOKEN else "NOTFOUND")
    assert said["message"]["isAdmin"] is (who == SECRET)


@pytest.mark.parametrize(
    ("default", "read", "written"), [("denied", 401, 401), ("readable", 200, 401)]
)
@pytest.mark.parametrize("who", ["another secret", TOKEN])
def test_the_oldest_kind_takes_no_token_and_a_wrong_secret_for_none(
    who: str, default: str, read: int, written: int
) -> None:
    headers = {"api-secret": hashlib.sha1(who.encode()).hexdigest()}
    with SmallNightscout(
        SECRET, keyed_by_identifier=False, token=TOKEN, default_roles=default
    ) as site:
        url = f"{site.url}/api/v1/"
        got = requests.get(f"{url}treatments.json", headers=headers, timeout=300)
        put = requests.post(f"{url}treatments.json", headers=headers, json=[{}], timeout=300)
        said = requests.get(f"{url}verifyauth", headers=headers, timeout=300).json()
    assert (got.status_code, put.status_code) == (read, written)
    assert said["message"] == "UNAUTHORIZED"


# What the client makes of a refusal


def asked(site: SmallNightscout, name: str) -> int:
    return sum(entry.request.path.endswith(name) for entry in site.log)


def test_a_missing_right_is_named_and_the_site_is_asked_about_the_token_once() -> None:
    with SmallNightscout(SECRET, tokens={TOKEN: "careportal readable"}) as site:
        api = client(site, TOKEN)
        api.create([treatment(0)])
        (stored,) = api.treatments(NOON, NOON)
        tries: dict[str, Callable[[], object]] = {
            "api:treatments:update": lambda: api.replace({**stored, "duration": 5}),
            "api:entries:create": lambda: api.create([{"type": "sgv", "date": 1}], ENTRIES),
            "api:activity:create": lambda: api.add({"activityType": "x"}, "activity"),
            "api:activity:delete": lambda: api.remove_activity({"_id": "1" * 24}),
            "api:profile:create": lambda: api.add({"startDate": "x"}, "profile"),
            "api:devicestatus:create": lambda: api.add({"device": "x"}, "devicestatus"),
        }
        for needed, attempt in tries.items():
            with pytest.raises(MissingRightError, match=f"Add {needed} to the role") as caught:
                attempt()
            assert (caught.value.right, caught.value.fatal) == (needed, False)
        assert asked(site, "verifyauth") == 1


@pytest.mark.parametrize("keyed", [True, False], ids=["15.0.7", "0.12.8"])
def test_a_wrong_secret_is_no_missing_right_also_where_everybody_may_read(keyed: bool) -> None:
    with SmallNightscout(SECRET, keyed_by_identifier=keyed, default_roles="readable") as site:
        api = client(site, "another secret")
        with pytest.raises(NightscoutLoginError, match="does not accept NS_SECRET"):
            api.create([treatment(0)])
        assert asked(site, "verifyauth") == 1


def test_a_token_that_may_not_read_one_thing_is_not_wrong() -> None:
    with SmallNightscout(SECRET, tokens={TOKEN: "api:treatments:*"}) as site:
        api = client(site, TOKEN)
        with pytest.raises(MissingRightError, match="api:status:read"):
            api.status()
        api.treatments(NOON, NOON)
        for needed, read in {
            "entries": lambda: api.entries(NOON, NOON),
            "activity": lambda: api.activities("x"),
            "profile": api.profile,
            "devicestatus": api.device_status,
        }.items():
            with pytest.raises(MissingRightError, match=f"api:{needed}:read"):
                read()


def test_another_run_asks_anew_whether_the_secret_is_known() -> None:
    with SmallNightscout(SECRET, tokens={TOKEN: "careportal readable"}) as site:
        api = client(site, TOKEN)
        for _ in range(2):
            with pytest.raises(MissingRightError):
                api.replace(treatment(0))
            api.new_run()
        assert asked(site, "verifyauth") == 2


@pytest.mark.parametrize(
    ("read", "wrote", "expected"),
    [
        (False, False, NightscoutLoginError),
        (True, False, NightscoutLoginError),
        (True, True, MissingRightError),
    ],
)
def test_where_a_site_does_not_say_what_it_accepted_before_decides(
    read: bool, wrote: bool, expected: type[NightscoutError]
) -> None:
    refused = Response(b'{"message": "Unauthorized"}', 401)

    def fault(request: Request) -> Response | None:
        if request.path.endswith("verifyauth"):
            return Response(b"", 404)
        return refused if request.method == "PUT" else None

    with SmallNightscout(SECRET) as site:
        site.fault = fault
        api = client(site, SECRET)
        if read:
            api.treatments(NOON, NOON)
        if wrote:
            api.create([treatment(0)])
        with pytest.raises(expected):
            api.replace(treatment(0, _id="1" * 24))


@pytest.mark.parametrize(
    "answer",
    [
        Response(b"", 401, headers=[("WWW-Authenticate", 'Basic realm="home"')]),
        Response(b"<html>Log in</html>", 401, "text/html"),
    ],
)
def test_a_refusal_by_a_proxy_is_not_blamed_on_the_secret(answer: Response) -> None:
    with SmallNightscout(SECRET) as site:
        site.fault = lambda request: answer
        with pytest.raises(NightscoutError) as caught:
            client(site, SECRET).create([treatment(0)])
        assert caught.value.fatal
        assert "says nothing about NS_SECRET" in str(caught.value)
        assert len(site.log) == 1


# What a run makes of it


def night() -> PumpHistory:
    """Return two days with basals, boluses, and a sleep that goes on over midnight."""
    return PumpHistory(
        FIRST,
        3,
        True,
        basal=[BasalSegment(at(0, 6 * n), 6 * 3600, 0.5 + n / 10, "algorithm") for n in range(8)],
        boluses=[BolusRecord(n, at(0, 8 * n + 1), at(0, 8 * n + 1.1), 2, 2) for n in range(6)],
        activities=[ActivityRecord(at(0, 22), 8 * 3600, "sleep")],
    )


@pytest.fixture
def worlds() -> Iterator[Callable[..., TConnectWorld]]:
    with ExitStack() as stack:

        def make(roles: str, *, default: str = "denied") -> TConnectWorld:
            site = SmallNightscout(SECRET, tokens={TOKEN: roles}, default_roles=default)
            stack.enter_context(site)
            return World(stack.enter_context(cloud(night())), site)

        yield make


def failed(outcome: Any) -> set[str]:
    return {name for failure in outcome.failures for name in failure.features}


def test_a_growing_sleep_that_may_not_be_updated_stops_nothing_else(
    worlds: Callable[..., TConnectWorld],
) -> None:
    world = worlds("careportal", default="readable")
    world.tandem.uploaded_until = at(1, 0)
    until = datetime(2024, 6, 4, 4, tzinfo=UTC)
    first = world.sync(0, 0, NS_SECRET=TOKEN, now=until)
    assert not first.failures
    world.tandem.uploaded_until = None
    second = world.sync(0, 1, NS_SECRET=TOKEN)
    kinds = [document["eventType"] for document in world.site.treatments]
    assert failed(second) <= {"PUMP_EVENTS", "BASAL"}
    assert "PUMP_EVENTS" in failed(second)
    assert kinds.count("Combo Bolus") == 6
    assert all("api:treatments:update" in str(failure.error) for failure in second.failures)
    assert any("1 Sleep" in str(failure.error) for failure in second.failures)
    assert second.ended_by is None
    repaired = world.sync(0, 1)
    assert (repaired.failures, repaired.created) == ([], 0)
    assert world.sync(0, 1).updated == 0


def test_the_run_of_a_wrong_secret_on_a_readable_old_site_ends_at_the_first_write() -> None:
    with (
        SmallNightscout(SECRET, keyed_by_identifier=False, default_roles="readable") as site,
        cloud(night()) as tconnect,
    ):
        outcome = World(tconnect, site).sync(0, 1, NS_SECRET="another secret")
        assert isinstance(outcome.ended_by, NightscoutLoginError)
        assert [e.status for e in site.log if e.request.method != "GET"] == [401]
        assert site.treatments == []


# A whole command


@pytest.mark.parametrize(
    ("lacking", "feature"),
    [
        ("profile:create", "PROFILES"),
        ("profile:read", "PROFILES"),
        ("activity:read", "IOB"),
        ("activity:create", "IOB"),
        ("devicestatus:read", "DEVICE_STATUS"),
        ("devicestatus:create", "DEVICE_STATUS"),
        ("entries:read", "CGM"),
        ("entries:create", "CGM"),
        ("status:read", "PROFILES"),
    ],
)
def test_what_one_feature_lacks_takes_no_other_down(
    make_home: Make, lacking: str, feature: str
) -> None:
    home = token_home(make_home, lacking)
    home.go_to(1.5)
    ran = home.run(*days(FIRST, FIRST + DAY))
    assert ran.code == 1
    assert f"{feature} from " in ran.errors
    assert f"api:{lacking}" in ran.errors
    assert ran.errors.count(" failed. ") == 1
    site = home.site
    held = {
        "PROFILES": site.profiles,
        "IOB": site.activity,
        "DEVICE_STATUS": site.device_statuses,
        "CGM": site.entries,
        "BOLUS": site.treatments,
    }
    assert {name for name, documents in held.items() if not documents} == {feature}
    home.changes["NS_SECRET"] = SECRET
    home.go_to(1.6)
    assert home.run().code == 0
    check(home)


def test_a_secret_is_never_blamed_for_entries_that_may_not_be_read(make_home: Make) -> None:
    home = token_home(make_home, "entries:read")
    for day in (1.5, 1.6):
        home.go_to(day)
        ran = home.run()
        assert ran.code == 1
        assert "api:entries:read" in ran.errors
        assert "does not accept NS_SECRET" not in ran.errors


def test_a_token_good_for_nothing_that_is_asked_first_is_not_called_wrong() -> None:
    with SmallNightscout(SECRET, tokens={TOKEN: "api:treatments:*"}) as site:
        with pytest.raises(MissingRightError):
            client(site, TOKEN).activities("x")
        with pytest.raises(MissingRightError):
            client(site, TOKEN).device_status()


def token_home(make_home: Make, lacking: str) -> Home:
    home = make_home("tandem-source", sparse(live(FIRST, 3)))
    verbs = ("read", "create", "update", "delete")
    collections = ("treatments", "entries", "activity", "profile", "devicestatus", "status")
    every = {f"{collection}:{verb}" for collection in collections for verb in verbs}
    roles = " ".join(sorted(f"api:{each}" for each in every - {lacking}))
    home.site.give_token(TOKEN, roles)
    home.changes["NS_SECRET"] = TOKEN
    return home


def test_without_the_status_the_units_are_those_of_the_profile_in_force(make_home: Make) -> None:
    home = token_home(make_home, "status:read")
    profile = {"startDate": "2024-01-01T00:00:00.000Z", "defaultProfile": "Old"}
    home.site.insert([{**profile, "store": {"Old": {"units": "mmol/l"}}}], "profile")
    home.go_to(1.5)
    assert home.run().code == 0
    newest = home.site.profiles[-1]
    entry = newest["store"][newest["defaultProfile"]]
    assert entry["units"] == "mmol"
    assert float(entry["sens"][0]["value"]) < 10


# --check-login


@pytest.fixture
def checked_worlds() -> Iterator[Callable[..., World[Any]]]:
    with ExitStack() as stack:

        def make(roles: str, *features: str, default: str = "denied") -> World[Any]:
            site = SmallNightscout(
                SECRET, tokens={TOKEN: roles}, default_roles=default, now=lambda: CHECKED_AT
            )
            tconnect = stack.enter_context(cloud(live(FIRST, 2)))
            tconnect.uploaded_until = WALL_NOW - timedelta(minutes=12)
            changes: dict[str, str | None] = {"NS_SECRET": TOKEN}
            stack.enter_context(site)
            return World(tconnect, site, None, features, CHECKED_AT, changes)

        yield make


def test_a_token_that_may_not_read_the_status_is_not_called_wrong(
    checked_worlds: Callable[..., World[Any]],
) -> None:
    world = checked_worlds("api:treatments:*")
    results = world.check()
    assert "api:status:read" in results["Nightscout"][1]
    assert results["Nightscout secret"][0] is State.OK
    assert results["Nightscout treatments"][0] is State.OK
    assert world.site.writes == 0


@pytest.mark.parametrize(
    ("roles", "default", "said"),
    [
        ("readable", "denied", "may only read"),
        ("careportal", "denied", "may not even read treatments"),
        ("", "readable", "may only read"),
    ],
)
def test_of_a_token_that_may_not_write_is_said_what_it_needs(
    checked_worlds: Callable[..., World[Any]], roles: str, default: str, said: str
) -> None:
    world = checked_worlds(roles, default=default)
    state, text = world.check()["Nightscout secret"]
    assert (state, said in text) == (State.FAILED, True)
    assert "api:treatments:create" in text
    assert world.site.writes == 0


def test_what_the_features_chosen_may_not_do_is_said_without_writing(
    checked_worlds: Callable[..., World[Any]],
) -> None:
    world = checked_worlds(OWN_ROLE, "BASAL", "CGM", "IOB", "PROFILES")
    state, text = world.check()["Nightscout secret"]
    assert state is State.FAILED
    assert "lacks api:activity:read." in text
    for untried in ("treatments:update", "entries:create", "activity:delete", "profile:update"):
        assert f"api:{untried}" in text
    writes = [e.request for e in world.site.log if e.request.method != "GET"]
    assert [(w.method, w.path, w.body) for w in writes] == [("POST", "/api/v1/treatments", b"[]")]
    assert world.site.writes == 0
    assert checked_worlds(OWN_ROLE, "BASAL", "CGM").check()["Nightscout secret"][0] is State.OK
