"""What is asked of the app's API, and what becomes of its answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tconnectsync.api.clients import TConnectApi
from tests.wire.fake_tconnect import COUNTER, TOKEN, Bench, ok


@pytest.mark.parametrize(
    ("call", "path", "query"),
    [
        (lambda api: api.android.last_event_uploaded(1111111), COUNTER, {"sn": "1111111"}),
        (lambda api: api.android.patient_info(), "/cloud/account/patient_info", {}),
        (
            lambda api: api.android.therapy_thresholds(),
            "/cloud/usersettings/api/therapythresholds",
            {"userId": "user-1"},
        ),
        (
            lambda api: api.android.user_profile(),
            "/cloud/usersettings/api/UserProfile",
            {"userId": "user-1"},
        ),
    ],
)
def test_calls_look_like_those_of_the_app(
    bench: Bench, call: Callable[[TConnectApi], Any], path: str, query: dict[str, str]
) -> None:
    assert call(bench.api) == {"faked": True}
    request = bench.requests()[-1]
    assert (request.method, request.path, request.query) == ("GET", path, query)
    assert request.headers["authorization"] == "Bearer app-token"
    assert request.headers["content-type"] == "application/json"
    dalvik = "Dalvik/2.1.0 (Linux; U; Android 12; Pixel 4a Build/SP2A.220305.012)"
    assert request.headers["user-agent"] == dalvik


def test_the_upload_counter_is_returned_as_it_came(bench: Bench) -> None:
    bench.fake.data = ok({"maxPumpEventIndex": 1, "processingStatus": 1})
    counter = bench.api.android.last_event_uploaded("123")
    assert counter == {"maxPumpEventIndex": 1, "processingStatus": 1}


def test_one_login_serves_all_calls(bench: Bench) -> None:
    bench.api.android.last_event_uploaded(123)
    bench.api.android.last_event_uploaded(123)
    bench.api.android.user_profile()
    assert len(bench.requests(TOKEN)) == 1
