"""The pumps of a Tandem account, and which of them is meant.

Contract tandem-source-api §4.1 and §4.3, tandem-source-processing §10.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from tconnectsync.domain.clock import PumpClock
from tconnectsync.domain.logclock import FIRST_SOLD
from tconnectsync.errors import ApiError
from tconnectsync.sources.tandemsource.names import plainly_named

AUTOMATIC = "11111111"
"""The serial number that stands for the pump in use."""
AHEAD = timedelta(days=1)
"""How far a pump's clock may be ahead; a later date is none."""
SILENT = timedelta(days=3)
FIRST_YEAR = 2008
"""Pumps count their time from there; anything older stands for "none"."""
LONG_AGO = datetime.min.replace(tzinfo=UTC)
SECOND = timedelta(seconds=1)
PLACES = 10**12
"""More than there are seconds up to the year 9999."""


@dataclass(frozen=True)
class Pump:
    """A pump that is or was on the account."""

    assignment_id: str = field(repr=False)
    """Names its log."""
    serial: str = field(repr=False)
    newest: datetime | None
    """When its newest event was, by its own clock (naive)."""
    uploaded: datetime | None
    """When it last uploaded (aware, UTC)."""
    settings: object | None = field(repr=False)
    """What it was set to then, as it came; ``None`` if that is unknown."""
    model: str
    oldest: datetime | None = field(default=None, repr=False)
    """When its oldest event was, by its own clock (naive)."""


def read_pumps(pumper: object, clock: PumpClock) -> list[Pump]:
    """Return the pumps of an account in their order; what names no pump is left out.

    Args:
        pumper: the answer of ``bff/pumper`` or, for guardians, of ``pumpers/pumpers``.
        clock: tells the wall clock of the pump where a time comes with a zone of its own.
    """
    account = plainly_named(pumper)
    items = account.get("pumps") or account.get("devices")
    found = (_pump(plainly_named(item), clock) for item in _list(items))
    return [pump for pump in found if pump.assignment_id and pump.serial]


def choose(pumps: Sequence[Pump], serial: str, clock: PumpClock, now: datetime) -> tuple[Pump, str]:
    """Return the pump to read, and a warning; the warning is empty if all is well.

    Args:
        pumps: those of the account.
        serial: the configured serial number, leading zeros or not; empty or
            :data:`AUTOMATIC` for the pump in use, which is the one with the newest event.
        clock: the pump's clock.
        now: the current instant.

    Raises:
        ApiError: the account has no pump, or none with this serial number.
    """
    if not pumps:
        raise ApiError(
            "Tandem Source shows no pump for this account. Check that TCONNECT_EMAIL is the "
            "account that the pump uploads to, that TCONNECT_REGION (US or EU) is right, and that "
            "the pump was uploaded at least once."
        )

    def recency(pump: Pump) -> tuple[datetime, datetime]:
        return _newest(pump, clock, now) or LONG_AGO, pump.uploaded or LONG_AGO

    def in_use() -> Pump:
        """Return the pump with the newest event, or one with a wrong date that alone uploads."""
        found, latest = max(pumps, key=recency), max(pumps, key=lambda each: recency(each)[::-1])
        has_wrong_date = latest.newest and not _newest(latest, clock, now)
        lead = (latest.uploaded or LONG_AGO) - (found.uploaded or LONG_AGO)
        return latest if has_wrong_date and lead > SILENT and _was(latest.uploaded, now) else found

    if serial in ("", AUTOMATIC):
        return in_use(), ""
    meant = [pump for pump in pumps if _number(pump.serial) == _number(serial)]
    if not meant:
        raise ApiError(
            "The account has no pump with the serial number in PUMP_SERIAL_NUMBER. The pumps that "
            f"it has end in: {', '.join(ending(pump) for pump in pumps)}. Correct the number, or "
            f"set it to {AUTOMATIC} to sync the pump in use."
        )
    chosen = max(meant, key=recency)
    return chosen, _silence(chosen, in_use(), clock, now)


def upload_mark(pump: Pump) -> int | None:
    """Return a number that is another one as soon as the pump has uploaded.

    It grows with each upload, even if the pump's clock was set back. It is ``None`` where the cloud
    tells of no upload: the pump never has, or the account is a guardian's, where it never tells.
    """
    if pump.uploaded is None and pump.newest is None:
        return None
    return _seconds(pump.uploaded) * PLACES + _seconds(pump.newest)


def ending(pump: Pump) -> str:
    """Return the end of a pump's serial number, by which people know it."""
    return f"…{pump.serial[-4:]}"


def named(pump: Pump) -> str:
    """Return what people call a pump, such as ``t:slim X2 …0042``."""
    return f"{pump.model} {ending(pump)}".strip()


def mark(pump: Pump) -> str:
    """Return a name that a pump keeps from run to run and that says nothing about it."""
    return sha256(pump.assignment_id.encode()).hexdigest()[:16]


def _pump(item: Mapping[str, Any], clock: PumpClock) -> Pump:
    newest, uploaded = _time(item.get("maxdateofevents")), _time(item.get("lastuploaddate"))
    available = plainly_named(item.get("availabledatarange"))
    return Pump(
        assignment_id=_text(item.get("assignmentid")),
        serial=_text(item.get("serialnumber")),
        newest=_without_zone(newest, clock),
        uploaded=_in_utc(uploaded),
        settings=plainly_named(item.get("settings")).get("details"),
        model=_text(item.get("modelname")) or _text(item.get("modelnumber")),
        oldest=_without_zone(_time(available.get("start")), clock),
    )


def _silence(pump: Pump, active: Pump, clock: PumpClock, now: datetime) -> str:
    """Return a warning if a pump has been silent while another one is active, else nothing."""
    last = _last_sign(pump, clock, now)
    other = _last_sign(active, clock, now)
    if (last and now - last <= SILENT) or not other or now - other > SILENT:
        return ""
    since = f"has sent nothing since {clock.day(last)}" if last else "has never sent anything"
    return (
        f"The pump with the serial number in PUMP_SERIAL_NUMBER ({ending(pump)}) {since}, but "
        f"another one of the account ({ending(active)}) is in use. If that is your pump now, "
        "change PUMP_SERIAL_NUMBER."
    )


def _last_sign(pump: Pump, clock: PumpClock, now: datetime) -> datetime | None:
    return _newest(pump, clock, now) or pump.uploaded


def _newest(pump: Pump, clock: PumpClock, now: datetime) -> datetime | None:
    """Return the instant of a pump's newest event, ``None`` if it has none that can be."""
    at = clock.instant(pump.newest) if pump.newest else None
    return at if at and at <= now + AHEAD and at.year >= FIRST_SOLD else None


def _was(at: datetime | None, now: datetime) -> bool:
    return at is not None and at <= now + AHEAD


def _number(serial: str) -> str:
    return serial.strip().lstrip("0")


def _seconds(moment: datetime | None) -> int:
    return 0 if moment is None else (moment - datetime.min.replace(tzinfo=moment.tzinfo)) // SECOND


def _time(text: object) -> datetime | None:
    """Return a time, with the zone that it came with or none; ``None`` if there is no such time."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    # Near the ends of the calendar, a time does not exist in every zone.
    return moment if moment and FIRST_YEAR <= moment.year < 9999 else None


def _without_zone(moment: datetime | None, clock: PumpClock) -> datetime | None:
    if moment is None or moment.tzinfo is None:
        return moment
    return clock.here(moment).replace(tzinfo=None)


def _in_utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(value: object) -> str:
    return str(value).strip() if isinstance(value, str | int) else ""


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
