"""How the report writes dates, amounts, glucose and lengths of time."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from tconnectsync.domain.clock import HOUR, MINUTE
from tconnectsync.domain.events import IN_PROGRESS
from tconnectsync.domain.profiles import MGDL_PER_MMOL


def long_date(day: date) -> str:
    """Return a date such as ``Sunday, 1 March 2026``."""
    return f"{day:%A}, {day.day} {day:%B} {day.year}"


def short_date(day: date, *, with_year: bool = False) -> str:
    """Return a date such as ``Sun 1 Mar``."""
    return f"{day:%a} {day.day} {day:%b}" + (f" {day.year}" if with_year else "")


def dates(first: date, last: date) -> str:
    """Return the range of two dates, both included."""
    if first == last:
        return long_date(first)
    begin = f"{first.day} {first:%B}" + (f" {first.year}" if first.year != last.year else "")
    return f"{begin} to {last.day} {last:%B} {last.year}"


def moment(at: datetime, *, with_year: bool = False) -> str:
    """Return a date and a time of the pump's clock, such as ``Sun 1 Mar, 07:05``."""
    return f"{short_date(at.date(), with_year=with_year)}, {at:%H:%M}"


def amount(value: float) -> str:
    """Return an amount with up to two digits after the point, and no more than it needs."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def grams(value: float) -> str:
    """Return an amount of carbohydrates."""
    return f"{value:.1f}".rstrip("0").rstrip(".") + " g"


def delivered(insulin: float, requested: float | None, incomplete: str) -> str:
    """Return how much of a bolus was delivered, and of how much if that was not all."""
    if incomplete == IN_PROGRESS:
        return f"{amount(insulin)} U so far"
    if incomplete and requested is not None and amount(requested) != amount(insulin):
        return f"{amount(insulin)} of {amount(requested)} U"
    return f"{amount(insulin)} U" + (" (incomplete)" if incomplete else "")


def percent(share: float) -> str:
    """Return a share, 0..1, in %."""
    if 0 < share < 0.005:
        return "<1 %"
    if 0.995 <= share < 1:
        return ">99 %"
    return f"{100 * share:.0f} %"


def duration(span: timedelta) -> str:
    """Return a length of time such as ``2 h 5 min``."""
    hours, rest = divmod(round(span / MINUTE), 60)
    return " ".join(f"{n} {unit}" for n, unit in ((hours, "h"), (rest, "min")) if n) or "0 min"


def days_and_hours(span: timedelta) -> str:
    """Return a length of time of some days, such as ``2 d 5 h``."""
    days, hours = divmod(round(span / HOUR), 24)
    return " ".join(f"{n} {unit}" for n, unit in ((days, "d"), (hours, "h")) if n) or "0 h"


def glucose_text(mgdl: float, *, mmol: bool) -> str:
    """Return a glucose value in the unit that is shown, without the unit."""
    return f"{mgdl / MGDL_PER_MMOL:.1f}" if mmol else f"{mgdl:.0f}"


def glucose_unit(*, mmol: bool) -> str:
    """Return the name of the unit in which glucose is shown."""
    return "mmol/L" if mmol else "mg/dL"
