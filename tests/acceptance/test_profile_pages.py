"""The two web pages: devices, profiles and alerts are read as recorded, after at most one login."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from tconnectsync.errors import ApiError
from tconnectsync.simulators.loopback import Response
from tconnectsync.sources.tconnect.pages import (
    clock_time,
    read_devices,
    read_settings,
    settings_guid,
)
from tests.acceptance.cases import cases, expected, load, text
from tests.acceptance.profiles import profile
from tests.wire.fake_tconnect import LOGIN, Bench, html

MMOL = "synthetic/device_settings_mmol.html"


def compare_devices(page: str, wanted: dict[str, Any]) -> None:
    found = read_devices(page)
    assert list(found) == list(wanted)
    for serial, device in found.items():
        fields = wanted[serial]
        assert (device.name, device.model) == (fields["name"], fields["model_number"])
        # How many spaces stand between two words says nothing.
        assert device.status == " ".join(fields["status"].split())
        assert device.guid == fields["guid"]


def test_pumps_and_meters_are_read() -> None:
    compare_devices(text("my_devices.html"), expected("my_devices.html"))


def test_only_pumps_have_settings() -> None:
    found = read_devices(text("my_devices.html"))
    assert settings_guid(found, "10000002") == expected("my_devices.html")["10000002"]["guid"]
    with pytest.raises(ApiError, match="…0001, …0002, …0003"):
        settings_guid(found, "ABCDEFGH")


@pytest.mark.parametrize(
    ("page", "result"),
    [
        ("device_settings_mgdl.html", "device_settings_mgdl.expected.json"),
        ("device_settings_mgdl.html", "process/pump_profiles_A_active_A_parsed.json"),
        (
            "synthetic/device_settings_AB_active_B.html",
            "process/pump_profiles_AB_active_B_parsed.json",
        ),
    ],
)
def test_profiles_and_alerts_are_read(page: str, result: str) -> None:
    found, wanted = read_settings(text(page)), load(result)
    assert found.profiles == tuple(map(profile, wanted["profiles"]))
    assert found.low_alert == wanted["settings"]["low_bg_threshold"]
    assert found.high_alert == wanted["settings"]["high_bg_threshold"]


def test_mmol_is_converted_in_profiles_and_alerts() -> None:
    found, wanted = read_settings(text(MMOL)), expected(MMOL)
    assert found.profiles == tuple(map(profile, wanted["profiles"]))
    alerts = wanted["thresholds_expected_of_new_code_mgdl"]
    assert found.low_alert == pytest.approx(alerts["low"])
    assert found.high_alert == pytest.approx(alerts["high"])


@pytest.mark.parametrize(
    "case", load("profile_time_conversion.cases.json"), ids=lambda case: str(case["tandem"])
)
def test_segments_begin_when_the_twelve_hour_clock_says(case: dict[str, Any]) -> None:
    start = clock_time(case["tandem"])
    assert f"{start:%H:%M}" == case["nightscout_time"]
    assert start.hour * 3600 + start.minute * 60 == case["nightscout_timeAsSeconds"]


@pytest.mark.parametrize("case", cases("webui_relogin.cases.json"))
def test_being_sent_to_the_login_page_leads_to_one_new_login(
    bench: Bench, case: dict[str, Any]
) -> None:
    answers = [recorded(step) for step in case["exchange"] if "my_devices" in step_path(step)]
    bench.fail("/myaccount/my_devices.aspx", *answers)
    first, second = case["expected"].values()
    with pytest.raises(ApiError):
        bench.api.webui.my_devices()
    assert len(bench.requests("/myaccount")) == first["attempts"]
    assert len(bench.requests(LOGIN, "POST")) == 1 + first["relogins"]
    compare_devices(bench.api.webui.my_devices(), load(second["result_file"]))
    logins = 1 + first["relogins"] + second["relogins"]
    assert len(bench.requests(LOGIN, "POST")) == logins
    assert len(bench.requests("/myaccount")) == len(answers)


def step_path(step: dict[str, Any]) -> str:
    return urlsplit(str(step["url"])).path


def recorded(step: dict[str, Any]) -> Response:
    answer = html(text(step["body_file"]), step["status"])
    if step["location"]:
        location = urlsplit(step["location"])
        answer.headers.append(("Location", f"{location.path}?{location.query}"))
    return answer
