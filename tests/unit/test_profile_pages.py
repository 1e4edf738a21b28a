"""Devices, profiles and alerts out of t:connect's web pages, and what is not taken for them."""

from __future__ import annotations

from contextlib import suppress
from datetime import time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tconnectsync.domain.profiles import Profile, PumpSettings, Segment
from tconnectsync.errors import ApiError
from tconnectsync.simulators.pump import SETTINGS
from tconnectsync.simulators.tconnect.pages import device_settings, my_devices
from tconnectsync.sources.tconnect.pages import (
    clock_time,
    read_devices,
    read_settings,
    settings_guid,
)

MIDNIGHT = ("Midnight", "0.800 u/hr", "1u:30 mg/dL", "1u:6.0 g", "110 mg/dL")
NOON = ("Noon", "1.250 u/hr", "1u:40 mg/dL", "1u:7.5 g", "120 mg/dL")
DURATION = "<strong>Duration of Insulin:</strong> 5:30 hours | <strong>Carbohydrates:</strong> On |"
ON, OFF = '<div class="status_on">On</div>', '<div class="status_off">Off</div>'


def tr(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def profile(*rows: tuple[str, ...], title: str = "A", end: str = DURATION) -> str:
    head = f'<div class="setting_title">{title}</div><span class="setting_bg">Profile</span>'
    segments = "".join(tr(f"<strong>{row[0]}</strong>", *row[1:]) for row in rows)
    total = tr("<strong>Calculated Total Daily Basal</strong>", "24.6 units", " ", " ", " ")
    return f"<table>{tr(head, '')}{segments}{total}{tr(end)}</table>"


def sheet(*profiles: str, alerts: str = "") -> str:
    """Return a settings page; ``alerts`` are the rows of the alerts' table."""
    left = f'<table class="settingstable">{alerts}</table>'
    settings = f"<table>{tr('Settings')}{tr('Alerts', 'Pump Settings')}{tr(left, '')}</table>"
    content = f'<div id="divXML"><div>{"".join(profiles)}{settings}</div></div>'
    return f"<html><body>{content}</body></html>"


def alerts(**values: str) -> str:
    """Return the group of the glucose alerts, with ``Low`` and ``High`` as given."""
    group = tr("<strong>CGM Alerts</strong>")
    return group + "".join(tr(f"<strong>{name} Alert</strong>", values[name]) for name in values)


def device(serial: str, link: str = "", model: str = "001002717") -> str:
    rows = tr("<strong>Model #</strong>", model) + tr("<strong>Serial #</strong>", serial)
    return f'<div class="box"><div class="subTitle">Pump</div>{link}<table>{rows}</table></div>'


def devices(*boxes: str) -> str:
    return f'<html><body><div id="content">{"".join(boxes)}</div></body></html>'


def view(href: str) -> str:
    return f'<a href="{href}"><span>View Settings</span></a>'


def test_a_profile_is_read_with_its_segments() -> None:
    settings = read_settings(sheet(profile(MIDNIGHT, NOON)))
    assert settings.profiles == (
        Profile(
            name="A",
            segments=(
                Segment(time(0), 0.8, 30, 6, 110),
                Segment(time(12), 1.25, 40, 7.5, 120),
            ),
            insulin_duration=timedelta(hours=5, minutes=30),
            carbs_enabled=True,
            active=False,
        ),
    )


def test_the_profile_in_use_is_distinguished_from_the_others() -> None:
    active = profile(MIDNIGHT, title="B").replace("<td></td>", "<td>Active at the time of upload")
    profiles = read_settings(sheet(profile(MIDNIGHT), active, profile(MIDNIGHT))).profiles
    assert [each.active for each in profiles] == [False, True, False]


def test_a_profile_without_carbohydrates_says_so() -> None:
    (found,) = read_settings(sheet(profile(MIDNIGHT, end=DURATION.replace("On", "Off")))).profiles
    assert not found.carbs_enabled


def test_mmol_becomes_mgdl_without_rounding() -> None:
    row = ("Midnight", "0.8 u/hr", "1u:1.7 mmol/L", "1u:6.0 g", "6.1 mmol/L")
    (segment,) = read_settings(sheet(profile(row))).profiles[0].segments
    assert (segment.correction_factor, segment.target) == (1.7 * 18.0182, 6.1 * 18.0182)


@pytest.mark.parametrize(
    ("position", "value", "unit"),
    [(1, "0.8 mL/hr", "mL/hr"), (2, "1u:30 mg", "mg"), (3, "1u:6.0 oz", "oz"), (4, "6 g/L", "g/L")],
)
def test_an_unknown_unit_is_named(position: int, value: str, unit: str) -> None:
    row = (*MIDNIGHT[:position], value, *MIDNIGHT[position + 1 :])
    with pytest.raises(ApiError, match=f"“{unit}”"):
        read_settings(sheet(profile(row)))


@pytest.mark.parametrize("position", [1, 2, 3, 4])
@pytest.mark.parametrize("value", ["", "–", "unset", "-5 g", "1,5 g", "1.2.3 g", "7"])
def test_what_is_no_amount_is_not_guessed(position: int, value: str) -> None:
    row = (*MIDNIGHT[:position], value, *MIDNIGHT[position + 1 :])
    with pytest.raises(ApiError, match="not a number with a unit"):
        read_settings(sheet(profile(row)))


@pytest.mark.parametrize("unit", ["mg/dL", "mmol/L"])
def test_what_is_not_set_on_the_pump_is_nothing_and_the_rest_is_read(unit: str) -> None:
    row = ("Midnight", "0.8 u/hr", f"1u:0 {unit}", "1u:0.0 g", f"0.0 {unit}")
    (found,) = read_settings(sheet(profile(row))).profiles
    assert found.segments == (Segment(time(0), 0.8, 0, 0, 0),)


@pytest.mark.parametrize(
    ("position", "value"),
    [
        (1, "15.01 u/hr"),
        (2, "1u:0.9 mg/dL"),
        (2, "1u:1000 mg/dL"),
        (2, "1u:56 mmol/L"),
        (3, "1u:0.09 g"),
        (3, "1u:999.1 g"),
        (4, "19 mg/dL"),
        (4, "1.0 mmol/L"),
        (4, "601 mg/dL"),
    ],
)
def test_what_cannot_be_true_of_a_segment_is_refused(position: int, value: str) -> None:
    row = (*MIDNIGHT[:position], value, *MIDNIGHT[position + 1 :])
    with pytest.raises(ApiError, match="cannot be true"):
        read_settings(sheet(profile(row)))


@pytest.mark.parametrize("level", ["0 mg/dL", "19 mg/dL", "601 mg/dL", "1.0 mmol/L"])
def test_an_alert_that_is_on_has_a_level_that_can_be_true(level: str) -> None:
    with pytest.raises(ApiError, match="High Alert cannot be true"):
        read_settings(sheet(profile(MIDNIGHT), alerts=alerts(High=f"{ON}{level}")))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Midnight", time(0, 0)),
        ("12:00 AM", time(0, 0)),
        ("12:30 AM", time(0, 30)),
        ("06:05 am", time(6, 5)),
        ("Noon", time(12, 0)),
        ("12:59 PM", time(12, 59)),
        ("1:00 PM", time(13, 0)),
        ("11:30 PM", time(23, 30)),
    ],
)
def test_the_twelve_hour_clock_is_read(text: str, moment: time) -> None:
    assert clock_time(text) == moment


@pytest.mark.parametrize("text", ["", "6:00", "0:30 AM", "13:00 PM", "6:60 AM", "6 AM", "6:00 XM"])
def test_a_time_that_is_none_is_not_guessed(text: str) -> None:
    with pytest.raises(ApiError, match="unknown time"):
        clock_time(text)


@pytest.mark.parametrize("rows", [(), (NOON,), (MIDNIGHT, MIDNIGHT), (MIDNIGHT, NOON, MIDNIGHT)])
def test_a_day_with_gaps_or_overlaps_is_refused(rows: tuple[tuple[str, ...], ...]) -> None:
    with pytest.raises(ApiError, match="do not follow one another"):
        read_settings(sheet(profile(*rows)))


@pytest.mark.parametrize(
    "broken",
    [
        profile(MIDNIGHT, title=""),
        profile(MIDNIGHT, title="x" * 101),
        profile(MIDNIGHT, end=""),
        profile(MIDNIGHT, end="5 hours"),
        profile(MIDNIGHT, end=DURATION.replace("5:30", "0:59")),
        profile(MIDNIGHT, end=DURATION.replace("5:30", "24:01")),
    ],
)
def test_a_profile_without_name_or_duration_is_left_out_alone(broken: str) -> None:
    with pytest.raises(ApiError, match="lacks its name or duration"):
        read_settings(sheet(broken))
    whole = read_settings(sheet(profile(MIDNIGHT)))
    for place, both in enumerate(([broken, profile(MIDNIGHT)], [profile(MIDNIGHT), broken])):
        found = read_settings(sheet(*both))
        assert found.profiles == whole.profiles
        (missing,) = found.broken
        assert (missing.name, missing.active, missing.place) in (
            ("A", False, place),
            ("", False, place),
        )
        assert "lacks its name or duration" in missing.why


def test_a_broken_profile_in_use_is_said_and_no_other_takes_its_place() -> None:
    active = profile(NOON, title="B").replace("<td></td>", "<td>Active at the time of upload")
    found = read_settings(sheet(active, profile(MIDNIGHT)))
    assert [(each.name, each.active) for each in found.profiles] == [("A", False)]
    assert [(each.name, each.active) for each in found.broken] == [("B", True)]


@pytest.mark.parametrize(
    ("rows", "low", "high"),
    [
        (alerts(Low=f"{ON}80 mg/dL 30 mins", High=f"{ON}200 mg/dL 1 hr"), 80, 200),
        (alerts(Low=f"{ON}<b>4.4 mmol/L</b>", High=f"{OFF}"), 4.4 * 18.0182, 180),
        (alerts(Low=f"{OFF}80 mg/dL", High=f"{ON}11.1&nbsp;mmol/L"), 70, 11.1 * 18.0182),
        (alerts(Low="80 mg/dL", High="<div> – </div>"), 70, 180),
        (alerts(High=f"{ON} 200 mg/dL"), 70, 200),
        (alerts(), 70, 180),
        ("", 70, 180),
        # The same label in another group means something else.
        (tr("Reminders") + tr("Low Alert", f"{ON}55 mg/dL"), 70, 180),
    ],
)
def test_alerts_are_taken_when_on_and_else_have_their_defaults(
    rows: str, low: float, high: float
) -> None:
    settings = read_settings(sheet(profile(MIDNIGHT), alerts=rows))
    assert (settings.low_alert, settings.high_alert) == (low, high)


@pytest.mark.parametrize(
    ("value", "problem"), [("80 mg", "“mg”"), ("", "not a number"), ("30 mins", "“mins”")]
)
def test_an_alert_that_is_on_is_not_guessed(value: str, problem: str) -> None:
    with pytest.raises(ApiError, match=f"Low Alert.*{problem}"):
        read_settings(sheet(profile(MIDNIGHT), alerts=alerts(Low=f"{ON}{value}")))


def test_devices_are_found_by_their_serial_numbers() -> None:
    link = view("/MyAccount/DeviceSettings.aspx?x=1&amp;guid=g-1")
    found = read_devices(
        devices(device("00123456", link), device("METER1", model="VERIO"), device(""))
    )
    assert {serial: (it.name, it.model, it.guid) for serial, it in found.items()} == {
        "00123456": ("Pump", "001002717", "g-1"),
        "METER1": ("Pump", "VERIO", None),
    }


@pytest.mark.parametrize("serial", ["123456", "00123456"])
def test_a_pump_is_found_with_and_without_leading_zeros(serial: str) -> None:
    found = read_devices(devices(device("00123456", view("DeviceSettings.aspx?guid=g-1"))))
    assert settings_guid(found, serial) == "g-1"


def test_for_an_unknown_pump_only_the_ends_of_the_known_numbers_are_shown() -> None:
    link = view("DeviceSettings.aspx?guid=secret-guid")
    found = read_devices(devices(device("10000317", link), device("METER1234")))
    with pytest.raises(ApiError, match=r"PUMP_SERIAL_NUMBER.*…0317\.") as raised:
        settings_guid(found, "90210042")
    for secret in ("10000317", "90210042", "secret-guid", "234"):
        assert secret not in str(raised.value)
    assert "secret-guid" not in repr(found)


@pytest.mark.parametrize("link", ["", view("DeviceSettings.aspx"), view("Other.aspx?guid=g-1")])
def test_a_device_without_a_settings_page_has_no_profiles(link: str) -> None:
    found = read_devices(devices(device("90210042", link)))
    with pytest.raises(ApiError, match="end in: none"):
        settings_guid(found, "90210042")


@pytest.mark.parametrize(
    "page",
    [
        "",
        "[]",
        "Service unavailable",
        "<html></html>",
        '<html><body><form action="./login.aspx" id="form1"></form></body></html>',
        '<html><body><div id="content">An error has occurred.</div></body></html>',
        '<html><body><div id="content"><div class="box"></div></div></body></html>',
        '<html><body><div id="divXML"></div></body></html>',
        '<html><body><div id="divXML"><div><table></table></div></div></body></html>',
        "<html><![broken</html>",
    ],
)
def test_another_page_is_named_as_such(page: str) -> None:
    with pytest.raises(ApiError, match="list of devices cannot be used"):
        read_devices(page)
    with pytest.raises(ApiError, match="pump settings cannot be used"):
        read_settings(page)


TENTHS = st.integers(10, 1500).map(lambda tenths: tenths / 10)
NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=0x17F, exclude_categories=["C", "Z"]))


@st.composite
def a_profile(draw: st.DrawFn) -> Profile:
    starts = draw(st.sets(st.integers(1, 1439), max_size=15))
    segments = tuple(
        Segment(
            time(minute // 60, minute % 60),
            basal_rate=draw(st.integers(0, 15000)) / 1000,
            correction_factor=draw(st.integers(1, 600)),
            carb_ratio=draw(TENTHS),
            target=draw(st.integers(70, 250)),
        )
        for minute in sorted(starts | {0})
    )
    duration = timedelta(minutes=draw(st.integers(120, 480)))
    on = st.booleans()
    return Profile(draw(NAMES.filter(bool)), segments, duration, draw(on), draw(on))


LEVELS = st.integers(55, 400).map(float)
ANY_SETTINGS = st.builds(
    PumpSettings, st.lists(a_profile(), min_size=1, max_size=3).map(tuple), LEVELS, LEVELS
)


@given(ANY_SETTINGS)
def test_whatever_a_pump_is_set_to_is_read_back(settings: PumpSettings) -> None:
    assert read_settings(device_settings(settings, "mg/dL")) == settings


@given(ANY_SETTINGS)
def test_in_mmol_a_value_is_off_by_half_a_tenth_at_most(settings: PumpSettings) -> None:
    found = read_settings(device_settings(settings, "mmol/L"))

    def glucose(of: PumpSettings) -> list[float]:
        segments = [segment for profile in of.profiles for segment in profile.segments]
        values = [value for each in segments for value in (each.correction_factor, each.target)]
        return [of.low_alert, of.high_alert, *values]

    assert glucose(found) == pytest.approx(glucose(settings), rel=0, abs=0.0501 * 18.0182)


PAGE = device_settings(SETTINGS, "mg/dL")
END = PAGE.index("</html>")


@given(st.integers(0, END))
def test_a_page_that_was_cut_short_is_not_believed(length: int) -> None:
    with pytest.raises(ApiError, match="cut short"):
        read_settings(PAGE[:length])


@given(st.integers(0, END), st.integers(0, 3000))
def test_a_page_with_a_hole_is_refused_in_words_or_read(start: int, length: int) -> None:
    with suppress(ApiError):
        assert read_settings(PAGE[:start] + PAGE[start + length :]).profiles


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_a_list_of_devices_with_a_hole_is_refused_in_words_or_read(start: int, length: int) -> None:
    page = my_devices()
    with suppress(ApiError):
        assert read_devices(page[:start] + page[start + length :])
