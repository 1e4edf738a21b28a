"""Reads two pages of t:connect's web site: the person's devices, and what a pump is set to.

Follows tconnect-api §5. The markup is sloppy, so rows and cells are looked for wherever
they stand; what they say is taken only as it is known, because people dose by it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time, timedelta
from urllib.parse import parse_qs, urlsplit

from bs4 import BeautifulSoup, Tag

from tconnectsync.api.tconnect.markup import parsed_page
from tconnectsync.domain.profiles import (
    LONGEST_DURATION,
    MGDL_PER_MMOL,
    SHORTEST_DURATION,
    BrokenProfile,
    Profile,
    PumpSettings,
    Segment,
    is_alert_level,
    is_possible,
)
from tconnectsync.domain.words import endings
from tconnectsync.errors import ApiError

_DEVICES, _SETTINGS = "list of devices", "pump settings"
_NOT_SEGMENTS = ("Start Time", "Calculated Total Daily Basal")
_ALERTS = {"Low Alert": "low_alert", "High Alert": "high_alert"}

_RATE, _CARBS = {"u/hr": 1.0}, {"g": 1.0}
_GLUCOSE = {"mg/dl": 1.0, "mmol/l": MGDL_PER_MMOL}

_CLOCK = re.compile(r"(0?[1-9]|1[0-2]):([0-5]\d) ?([AP])M", re.IGNORECASE)
_AMOUNT = re.compile(r"(?:1 ?u: ?)?(\d+(?:\.\d+)?) ?([a-z][a-z/]*)", re.IGNORECASE)
_MOST_LETTERS = 100
_DURATION = re.compile(r"Duration of Insulin: ?(\d{1,2}):([0-5]\d) ?hour")
_CARBS_OFF = re.compile(r"Carbohydrates: ?Off")


@dataclass(frozen=True, slots=True)
class Device:
    """A pump or meter of the person's account."""

    name: str
    model: str
    """Its model number, or name."""
    status: str
    """Whether it is in use and since when, in the site's words."""
    guid: str | None = field(repr=False)
    """Names its page of settings; ``None`` for one without, such as a meter."""


class _BrokenError(ApiError):
    """A part of the page cannot be used; the text says why."""


def read_devices(page: str) -> dict[str, Device]:
    """Return the devices of the account by serial number (docs/protocol/tconnect-api.md §5.1).

    Raises:
        ApiError: it is another page, or no device in it can be read.
    """
    devices = {}
    for box in _parse(page, _DEVICES).select("#content > div.box"):
        rows = map(_cells, box.find_all("tr"))
        facts = {_text(cells[0]): _text(cells[1]) for cells in rows if len(cells) == 2}
        if serial := facts.get("Serial #"):
            devices[serial] = Device(
                name=_text(box.select_one(".subTitle")),
                model=facts.get("Model #", ""),
                status=facts.get("Status", ""),
                guid=_guid(box),
            )
    if not devices:
        raise _unreadable(_DEVICES, "it shows no device with a serial number")
    return devices


def settings_guid(devices: Mapping[str, Device], serial: str) -> str:
    """Return what names the settings page of the pump with this serial number.

    Leading zeros do not matter.

    Raises:
        ApiError: the account has no such pump, or no settings of it. The text says the last
            digits of the pumps that it has.
    """
    pumps = {name.lstrip("0"): device.guid for name, device in devices.items() if device.guid}
    if guid := pumps.get(serial.lstrip("0")):
        return guid
    raise ApiError(
        "t:connect shows no settings for a pump with the serial number in PUMP_SERIAL_NUMBER. "
        f"The account's pumps end in: {endings(pumps) or 'none'}. Correct the number, or "
        "upload the pump once."
    )


def read_settings(page: str) -> PumpSettings:
    """Return a pump's profiles and alerts, glucose in mg/dL (docs/protocol/tconnect-api.md §5.2).

    A profile that cannot be used does not stop the others.

    Raises:
        ApiError: it is another page, none of its profiles can be used, or an alert is not
            understood.
    """
    sheet = _parse(page, _SETTINGS).select_one("#divXML > div")
    tables = sheet.find_all("table", recursive=False) if sheet else []
    profiles: list[Profile] = []
    broken: list[BrokenProfile] = []
    for table in tables:
        if all(_text(mark) != "Profile" for mark in table.select(".setting_bg")):
            continue
        try:
            profiles.append(_profile(table))
        except _BrokenError as error:
            place = len(profiles) + len(broken)
            broken.append(BrokenProfile(_name(table), str(error), _is_active(table), place))
    if sheet is None or not profiles:
        raise _unreadable(_SETTINGS, broken[0].why if broken else "it shows no profile")
    try:
        return PumpSettings(tuple(profiles), broken=tuple(broken), **_alert_levels(sheet))
    except _BrokenError as error:
        raise _unreadable(_SETTINGS, str(error)) from None


def clock_time(text: str) -> time:
    """Return a time of the day given as ``6:30 AM``, ``Midnight`` or ``Noon``.

    Raises:
        ApiError: it is given in another way.
    """
    text = {"midnight": "12:00 AM", "noon": "12:00 PM"}.get(text.lower(), text)
    found = _CLOCK.fullmatch(text)
    if not found:
        raise _BrokenError("a segment begins at an unknown time")
    afternoon = found[3].upper() == "P"
    return time(int(found[1]) % 12 + 12 * afternoon, int(found[2]))


def _guid(box: Tag) -> str | None:
    link = box.select_one('a[href*="DeviceSettings.aspx" i]')
    try:
        query = parse_qs(urlsplit(str(link["href"])).query) if link else {}
    except ValueError:
        query = {}
    return query.get("guid", [None])[0]


def _profile(table: Tag) -> Profile:
    name, text = _name(table), _text(table)
    found = _DURATION.search(text)
    duration = timedelta(hours=int(found[1]), minutes=int(found[2])) if found else timedelta()
    if not name or not SHORTEST_DURATION <= duration <= LONGEST_DURATION:
        raise _BrokenError("a profile lacks its name or duration of insulin")
    rows = [[_text(cell) for cell in _cells(row)] for row in table.find_all("tr")]
    segments = [_segment(*row) for row in rows if len(row) == 5 and row[0] not in _NOT_SEGMENTS]
    starts = [segment.start for segment in segments]
    if starts[:1] != [time.min] or starts != sorted(set(starts)):
        raise _BrokenError("the segments of a profile do not follow one another")
    return Profile(
        name=name,
        segments=tuple(segments),
        insulin_duration=duration,
        carbs_enabled=not _CARBS_OFF.search(text),
        active=_is_active(table),
    )


def _name(table: Tag) -> str:
    """Return the name of a profile; empty if there is none that can be shown."""
    name = _text(table.select_one(".setting_title"))
    return name if len(name) <= _MOST_LETTERS and name.isprintable() else ""


def _is_active(table: Tag) -> bool:
    return "Active at the time of upload" in _text(table)


def _segment(start: str, rate: str, correction: str, carbs: str, target: str) -> Segment:
    return Segment(
        start=clock_time(start),
        basal_rate=_amount(rate, _RATE, "basal rate"),
        correction_factor=_amount(correction, _GLUCOSE, "correction factor"),
        carb_ratio=_amount(carbs, _CARBS, "carb ratio"),
        target=_amount(target, _GLUCOSE, "target"),
    )


def _alert_levels(sheet: Tag) -> dict[str, float]:
    """Return the levels of the alerts that are on, mg/dL, by their names in PumpSettings."""
    levels, group = {}, ""
    for cells in map(_cells, sheet.find_all("tr")):
        label = _text(cells[0]) if cells else ""
        if len(cells) == 1:
            group = label
        elif len(cells) == 2 and group == "CGM Alerts" and label in _ALERTS:
            words = list(cells[1].stripped_strings)
            if "On" in words:
                level = _squeeze(" ".join(words[words.index("On") + 1 :]))
                levels[_ALERTS[label]] = _amount(level, _GLUCOSE, label)
    return levels


def _amount(text: str, units: Mapping[str, float], what: str) -> float:
    """Return a number, turned into our unit by the factor of the unit it is given in."""
    found = _AMOUNT.match(text)
    if not found:
        raise _BrokenError(f"a {what} is not a number with a unit")
    factor = units.get(found[2].lower())
    if factor is None:
        raise _BrokenError(f"a {what} has the unknown unit “{found[2]}”")
    amount = float(found[1]) * factor
    can_be = is_alert_level(amount) if what in _ALERTS else is_possible(what, amount)
    if not can_be:
        raise _BrokenError(f"a {what} cannot be true")
    return amount


def _parse(page: str, what: str) -> BeautifulSoup:
    if "</html>" not in page.lower():
        raise _unreadable(what, "it is cut short, or no web page at all")
    soup = parsed_page(page)
    if soup is None:
        raise _unreadable(what, "it is damaged, or far too long")
    return soup


def _cells(row: Tag) -> list[Tag]:
    return row.find_all("td", recursive=False)


def _text(element: Tag | None) -> str:
    return _squeeze(element.get_text()) if element else ""


def _squeeze(text: str) -> str:
    return " ".join(text.split())


def _unreadable(what: str, why: str) -> ApiError:
    return ApiError(
        f"t:connect's page with the {what} cannot be used: {why}. Look at it in a browser: if it "
        "is all right there, it has changed and a newer tconnectsync is needed.",
        changed=True,
    )
