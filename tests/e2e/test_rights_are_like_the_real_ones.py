"""Who may do what on the oldest Nightscout, small and real alike, and what a run makes of it there.

The rows of the newest kind are in `tests/wire/test_rights.py`: the real one takes no token in the
header, which is the only place where we put it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pytest
import requests

from tconnectsync.simulators.nightscout.site import SmallNightscout
from tconnectsync.simulators.person import live
from tests.support.command import SECRET, cloud, computer, days
from tests.support.expected import began_between
from tests.support.real_nightscout import RealNightscout

FIRST = date(2024, 5, 6)
NOTE = {"eventType": "Note", "created_at": "2024-03-05T12:00:00.000Z"}

Site = SmallNightscout | RealNightscout
Open = tuple[Site, str]


@pytest.fixture(params=["small", "real"])
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "real":
        request.getfixturevalue("real_nightscout_installed")
    return str(request.param)


@pytest.fixture
def readable(kind: str) -> Iterator[Open]:
    """Give a site that everybody may read, and its secret."""
    with ExitStack() as stack:
        if kind == "small":
            small = SmallNightscout(SECRET, keyed_by_identifier=False, default_roles="readable")
            yield stack.enter_context(small), SECRET
        else:
            real = stack.enter_context(RealNightscout({"AUTH_DEFAULT_ROLES": "readable"}))
            yield real, real.secret


def ask(site: Site, method: str, path: str, secret: str | None, **options: object) -> object:
    headers = {"api-secret": hashlib.sha1(secret.encode()).hexdigest()} if secret else {}
    url = f"{site.url}/api/v1/{path}"
    answer = requests.request(method, url, headers=headers, timeout=300, **options)  # type: ignore[arg-type]
    return answer.json()["message"] if path == "verifyauth" else answer.status_code


@pytest.mark.parametrize("who", [None, "quite another secret"])
def test_a_wrong_secret_is_as_good_as_none_and_reads_what_everybody_may(
    readable: Open, who: str | None
) -> None:
    site, secret = readable
    reads = ("status.json", "treatments.json", "entries.json", "profile.json", "devicestatus.json")
    assert {ask(site, "GET", path, who) for path in reads} == {200}
    for path in ("treatments.json", "devicestatus.json", "profile.json", "activity.json"):
        assert ask(site, "POST", path, who, json=NOTE) == 401
    assert ask(site, "PUT", "treatments.json", who, json=NOTE) == 401
    assert ask(site, "GET", "verifyauth", who) == "UNAUTHORIZED"
    assert ask(site, "GET", "verifyauth", secret) == "OK"
    assert ask(site, "POST", "treatments.json", secret, json=NOTE) == 200


def test_a_run_with_a_wrong_secret_names_it_and_writes_nothing(
    readable: Open, tmp_path: Path
) -> None:
    site, secret = readable
    life = began_between(live(FIRST, 1), datetime(2024, 5, 6, 8), datetime(2024, 5, 6, 11))
    with cloud(replace(life, first_day=FIRST)) as tandem:
        wrong = computer(tmp_path, tandem, site.url, "quite another secret")
        ran = wrong.run(*days(FIRST, FIRST))
        assert ran.code == 1
        assert "does not accept NS_SECRET" in ran.errors
        assert ask(site, "GET", "treatments.json?find[created_at][$gte]=2024", secret) == 200
        right = computer(tmp_path, tandem, site.url, secret)
        again = right.run(*days(FIRST, FIRST))
    assert again.code == 0
    assert again.counts.created > 10
    assert again.counts.updated == 0


def test_several_identifiers_are_found_at_once(readable: Open) -> None:
    site, secret = readable
    headers = {"api-secret": hashlib.sha1(secret.encode()).hexdigest()}
    url = f"{site.url}/api/v1/treatments"
    documents = [
        {**NOTE, "eventType": f"Note {n}", "identifier": f"d395006f-3a21-57af-a955-2728{n:08d}"}
        for n in range(60)
    ]
    requests.post(url, json=documents, headers=headers, timeout=300).raise_for_status()
    names = [str(document["identifier"]) for document in documents[:40]]
    query: dict[str, str | list[str]] = {
        "find[identifier][$in][]": names,
        "find[created_at][$gte]": "2024-01-01T00:00:00.000Z",
        "count": "1000",
    }
    answer = requests.get(url, params=query, headers=headers, timeout=300)
    assert sorted(document["identifier"] for document in answer.json()) == names


@pytest.mark.parametrize(
    ("body", "status", "stored"), [("[]", 200, []), ("[null]", 500, []), ("{}", 200, [""])]
)
def test_odd_writes_of_treatments_do_what_they_do(
    readable: Open, body: str, status: int, stored: list[str]
) -> None:
    site, secret = readable
    headers = {
        "api-secret": hashlib.sha1(secret.encode()).hexdigest(),
        "Content-Type": "application/json",
        "Accept": "application/json",
    }
    url = f"{site.url}/api/v1/treatments"
    answer = requests.post(url, data=body, headers=headers, timeout=300)
    assert answer.status_code == status
    found = requests.get(url, headers=headers, timeout=300).json()
    assert [document.get("eventType", "") for document in found] == stored
    put = requests.put(url, data="{}", headers=headers, timeout=300).json()
    assert put["n"] == 1
    assert put["ok"] == 1
