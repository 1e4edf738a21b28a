"""The pages of t:connect's web site that show a person's devices and pump settings.

See docs/protocol/tconnect-api.md §5.

They are built like the real ones: tables in tables, rows in rows, cells outside of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from html import escape
from typing import Literal
from uuid import NAMESPACE_OID, uuid5

from tconnectsync.domain.profiles import MGDL_PER_MMOL, Profile, PumpSettings, Segment
from tconnectsync.simulators.pump import OLD_SERIAL_NUMBER, OLD_SETTINGS, SERIAL_NUMBER, SETTINGS

Unit = Literal["mg/dL", "mmol/L"]

GUIDS = {
    serial: str(uuid5(NAMESPACE_OID, str(serial))) for serial in (SERIAL_NUMBER, OLD_SERIAL_NUMBER)
}
"""What the site calls the pumps, by serial number."""


@dataclass
class AccountPages:
    """The pages about one person's devices: a pump, the pump before it, and a meter."""

    settings: PumpSettings = SETTINGS
    """What the pump is set to, mg/dL; replace it to change a profile."""
    unit: Unit = "mg/dL"
    """The unit in which the pages show glucose."""

    def page(self, name: str, guid: str | None) -> str | None:
        """Return the page of this name, ``None`` if there is none; ``guid`` names a pump."""
        match name:
            case "my_devices.aspx":
                return my_devices()
            case "DeviceSettings.aspx" if guid == GUIDS[SERIAL_NUMBER]:
                return device_settings(self.settings, self.unit)
            case "DeviceSettings.aspx" if guid == GUIDS[OLD_SERIAL_NUMBER]:
                return device_settings(OLD_SETTINGS, self.unit)
        return None


def my_devices() -> str:
    """Return the page with all devices."""
    pumps = "".join(
        _box("t:slim X2<sup>™</sup> Insulin Pump", "001002717", serial, guid)
        for serial, guid in GUIDS.items()
    )
    meter = _box("Sample Meter", "METER 1", "METER1234")
    return _page(f'<div class="title">My Devices</div>{pumps}{meter}')


def device_settings(settings: PumpSettings, unit: Unit) -> str:
    """Return a pump's page of settings, with glucose in this unit."""
    profiles = "".join(_profile(profile, unit) for profile in settings.profiles)
    upload = '<div id="header">Settings Uploaded: <span id="lblUploadDate">May 01, 2024</span>'
    # A table outside of what matters, as the real page has it for the hours of upload.
    hours = '<table summary="combobox"><tr><td><input value="3:18 pm" /></td></tr></table></div>'
    return _page(
        f'{upload}{hours}<div class="RadAjaxPanel"><div id="divXML">\n'
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<div class="top-margin-10">{profiles}{_other_settings(settings, unit)}</div></div></div>'
    )


def _page(content: str) -> str:
    return (
        '\n<html xmlns="http://www.w3.org/1999/xhtml">\n<head></head>\n<body>\n<form id="form1">'
        f'<div id="content">{content}</div></form>\n</body>\n</html>\n'
    )


def _box(name: str, model: str, serial: int | str, guid: str = "") -> str:
    href = f"DeviceSettings.aspx?guid={guid}"
    link = f'<a href="{href}" class="buttonSmall"><span>View Settings</span></a>' if guid else ""
    status = '<span id="lblDeviceStatus" class="status_activated">Activated</span>\n—\n\nMay 1 2024'
    facts = {"Status": status, "Model #": model, "Serial #": serial}
    rows = "".join(
        f'<tr><td style="padding: 8px"><strong>{label}</strong></td><td>\n{value}\n</td></tr>'
        for label, value in facts.items()
    )
    return (
        '<div class="box"><div class="deactivate_div">'
        f'<a href="DeactivateDevice.aspx?guid={guid}">Deactivate</a></div>'
        f'<div class="subTitle">\n<!-- name -->\n{name}\n</div>'
        f'<div class="device_imagebox"><img src="device.png">{link}</div>'
        f'<div><table class="boxtable"><tbody>{rows}</tbody></table></div></div>\n'
    )


def _profile(profile: Profile, unit: Unit) -> str:
    active = "<strong>Active at the time of upload</strong>" if profile.active else ""
    headings = ("Start Time", "Basal\n Rate", "Correction\n Factor", "Carb\n Ratio", "Target\n BG")
    columns = "".join(
        f'<td class="settings_bg_sub borderbottom"><strong>{heading}</strong></td>'
        for heading in headings
    )
    minutes = int(profile.insulin_duration.total_seconds()) // 60
    return (
        '<table width="100%" class="settingstable">'
        '<tr><td colspan="3" class="settings_bg borderbottom"><div class="setting_title">'
        f'{escape(profile.name)}</div><span class="setting_bg"> Profile</span></td>'
        f'<td colspan="2" class="settings_bg borderbottom">{active}</td></tr>'
        f"<tr>{columns}</tr>{''.join(_segment(segment, unit) for segment in profile.segments)}"
        f"{_row('Calculated Total Daily Basal', f'{_daily_basal(profile):.2f} units', '', '', '')}"
        '<tr><td colspan="5"><strong>Duration of Insulin:</strong> '
        f"{minutes // 60}:{minutes % 60:02} hours\n<span>|</span>\n"
        f"<strong>Carbohydrates:</strong>\n{_switch(profile.carbs_enabled)}\n<span>|</span></td>"
        "</tr></table>\n"
    )


def _segment(segment: Segment, unit: Unit) -> str:
    return _row(
        _clock(segment.start),
        f"{segment.basal_rate:.3f} u/hr",
        f"1u:{_glucose(segment.correction_factor, unit)}",
        f"1u:{segment.carb_ratio:.1f} g",
        _glucose(segment.target, unit),
    )


def _daily_basal(profile: Profile) -> float:
    """Return the U of a day at the profile's rates."""
    starts = [segment.start.hour + segment.start.minute / 60 for segment in profile.segments]
    ends = [*starts[1:], 24.0]
    hours = (end - start for start, end in zip(starts, ends, strict=True))
    return sum(s.basal_rate * each for s, each in zip(profile.segments, hours, strict=True))


def _other_settings(settings: PumpSettings, unit: Unit) -> str:
    """Return the table of alerts on the left and pump settings on the right."""
    low, high = _glucose(settings.low_alert, unit), _glucose(settings.high_alert, unit)
    reminder = '<div class="settings-detail">3<xml:text> </xml:text>days</div>'
    left = (
        _row("Alert: Low Insulin", "35 u")
        + _group("Reminders")
        + _row("Low BG", _switch(False))
        + _row("Site Change Reminder", _switch(True) + reminder)
        + _row("Missed Meal Bolus: Reminder 1", "<div> – </div>")
        + _group("CGM\n Alerts")
        + _row("High Alert", f"{_switch(True)}{high} 1 hr")
        + _row("Low Alert", f"{_switch(True)}{low} 30 mins")
    )
    right = (
        _row("Max Bolus", "25 u")
        + '<td class="dottedBottom"><br /><br /></td><td class="dottedBottom" />'
        + _group("Control-IQ\n Settings")
        + f"<tr>{_row('Control IQ', _switch(True))}</tr>"
        + f"<tr>{_row('Weight', '150 lbs')}</tr>"
    )
    nested = '<table width="100%" class="settingstable border-0">'
    return (
        '<table width="100%" class="settingstable"><tr><td colspan="2" class="settings_bg_green">'
        '<div class="setting_title"><img src="icon.png" /> Settings</div></td></tr>'
        "<tr><td><strong>Alerts</strong></td><td><strong>Pump Settings</strong></td></tr>"
        f"<tr><td>{nested}{left}</table></td><td>{nested}{right}</td></tr></table>"
    )


def _row(label: str, *cells: str) -> str:
    others = "".join(f'<td align="right" class="dottedBottom">{cell}</td>' for cell in cells)
    return f'<tr><td class="dottedBottom"><strong>{label}</strong></td>{others}</tr>\n'


def _group(name: str) -> str:
    return f'<tr><td colspan="2" class="settings_bg_sub"><strong>{name}</strong></td></tr>\n'


def _switch(on: bool) -> str:
    return '<div class="status_on">On</div>' if on else '<div class="status_off">Off</div>'


def _glucose(mgdl: float, unit: Unit) -> str:
    return f"{mgdl:.0f} mg/dL" if unit == "mg/dL" else f"{mgdl / MGDL_PER_MMOL:.1f} mmol/L"


def _clock(moment: time) -> str:
    name = {time(0): "Midnight", time(12): "Noon"}.get(moment)
    half = "PM" if moment.hour >= 12 else "AM"
    return name or f"{moment.hour % 12 or 12}:{moment.minute:02} {half}"
