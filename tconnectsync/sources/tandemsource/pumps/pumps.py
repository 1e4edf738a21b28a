"""The pumps of a Tandem account, and of which time the cloud holds the log of each.

See docs/protocol/tandem-source-api.md §4.1 and §4.3, tandem-source-processing §10.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from tconnectsync.config.values import glucose_unit
from tconnectsync.domain import words
from tconnectsync.domain.clock import DAY, LONG_AGO, SECOND, PumpClock, TimeRange
from tconnectsync.domain.limits import AHEAD, PUMP_EPOCH
from tconnectsync.errors import ApiError, PumpChoiceError
from tconnectsync.sources.tandemsource.clock.changes import FIRST_SOLD
from tconnectsync.sources.tandemsource.log.records import plainly_named

AUTOMATIC = "11111111"
"""The serial number that stands for the pump in use."""
SILENT = timedelta(days=3)
"""A pump that has sent nothing for this long may no longer be in use."""
MARGIN = DAY
"""How far a pump's clock may be wrong before its log counts for another range."""
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
    oldest: datetime | None = None
    """When its oldest event was, by its own clock (naive)."""
    algorithm: str = field(default="", repr=False)
    """What doses its insulin, such as ``Control-IQ``; empty if that is unknown."""
    mmol: bool | None = field(default=None, repr=False)
    """Whether it shows glucose in mmol/L, not in mg/dL; ``None`` if that is unknown."""

    @property
    def lacks_control_iq(self) -> bool:
        """Whether it is known to have another algorithm, or none."""
        return bool(self.algorithm) and "controliq" not in "".join(
            filter(str.isalpha, self.algorithm.lower())
        )


def read_pumps(pumper: object, clock: PumpClock) -> list[Pump]:
    """Return the pumps of an account in their order; what names no pump is left out.

    Args:
        pumper: the answer of ``bff/pumper`` or, for guardians, of ``pumpers/pumpers``.
        clock: gives the pump's wall time where a time comes with a zone of its own.
    """
    account = plainly_named(pumper)
    items = account.get("pumps") or account.get("devices")
    items = items if isinstance(items, list) else []
    found = (_pump(plainly_named(item), clock) for item in items)
    return [pump for pump in found if pump.assignment_id and pump.serial]


def configured(pumps: Sequence[Pump], serial: str) -> list[Pump]:
    """Return the pumps that may be read: all, or only those that the configuration names.

    It may be listed several times if it was assigned again.

    Args:
        pumps: those of the account.
        serial: the configured serial number, leading zeros or not, or several with commas between
            them; empty or :data:`AUTOMATIC` for all pumps.

    Raises:
        ApiError: the account has no pump.
        PumpChoiceError: it has none with this serial number, or with one of these.
    """
    if not pumps:
        raise ApiError(
            "Tandem Source shows no pump for this account. Check that TCONNECT_EMAIL is the "
            "account that the pump uploads to, that TCONNECT_REGION (US or EU) is right, and that "
            "the pump was uploaded at least once.",
            divisible=False,
        )
    if is_automatic(serial):
        return list(pumps)
    numbers = {number.strip().lstrip("0") for number in serial.split(",")}
    meant = [pump for pump in pumps if pump.serial.lstrip("0") in numbers]
    if len({pump.serial.lstrip("0") for pump in meant}) < len(numbers):
        raise PumpChoiceError(
            "The account has no pump with the serial number in PUMP_SERIAL_NUMBER. The pumps that "
            f"it has end in: {endings(pumps)}. Correct the number, or remove it if all of them are "
            "one person's."
        )
    return meant


def is_automatic(serial: str) -> bool:
    """Return whether no pump is named."""
    return serial in ("", AUTOMATIC)


def newest_first(pumps: Sequence[Pump], clock: PumpClock, now: datetime) -> list[Pump]:
    """Return the pumps, the one with the newest event that can be true first.

    Of a pump with a wrong date the upload counts, if others have not uploaded for days.
    """
    uploads = sorted(pump.uploaded or LONG_AGO for pump in pumps)
    has_lead = (
        len(uploads) > 1 and uploads[-1] - uploads[-2] > SILENT and uploads[-1] <= now + AHEAD
    )

    def recency(pump: Pump) -> tuple[datetime, datetime]:
        uploaded, newest = pump.uploaded or LONG_AGO, newest_event(pump, clock, now)
        if not newest and pump.newest and has_lead and uploaded == uploads[-1]:
            newest = uploaded
        return newest or LONG_AGO, uploaded

    return sorted(pumps, key=recency, reverse=True)


def may_be_in_use(pump: Pump, pumps: Sequence[Pump], clock: PumpClock, now: datetime) -> bool:
    """Return whether a pump may be in use: no other has a newer event, or its date is wrong."""

    def newest(each: Pump) -> datetime | None:
        return newest_event(each, clock, max(now, each.uploaded or now))

    own = newest(pump)
    others = [at for each in pumps if (at := newest(each))]
    return own is None or own >= max(others)


def silence(pump: Pump, pumps: Sequence[Pump], clock: PumpClock, now: datetime) -> str:
    """Return a warning if a pump has been silent while another one is active, else nothing."""
    active = newest_first(pumps, clock, now)[0]
    last = newest_event(pump, clock, now) or pump.uploaded
    other = newest_event(active, clock, now) or active.uploaded
    if (last and now - last <= SILENT) or not other or now - other > SILENT:
        return ""
    since = f"has sent nothing since {clock.day(last)}" if last else "has never sent anything"
    return (
        f"The pump with the serial number in PUMP_SERIAL_NUMBER ({ending(pump)}) {since}, but "
        f"another one of the account ({ending(active)}) is in use. If that is your pump now, "
        "change PUMP_SERIAL_NUMBER."
    )


def has_data(pump: Pump) -> bool:
    """Return whether the pump has uploaded, as far as the cloud knows."""
    return pump.newest is not None or pump.uploaded is not None


def first_instant(pump: Pump, clock: PumpClock) -> datetime | None:
    """Return the first instant of a pump's log, ``None`` if it is not known.

    A clock that is ahead of its own uploads now may have been so from the beginning.
    """
    if pump.oldest is None:
        return None
    first = clock.instant(pump.oldest)
    if pump.newest and pump.uploaded:
        ahead = clock.instant(pump.newest) - pump.uploaded
        first -= min(max(ahead, timedelta(0)), first - LONG_AGO - AHEAD)
    return first


def last_instant(pump: Pump, clock: PumpClock, now: datetime) -> datetime | None:
    """Return the last instant of a pump's log, ``None`` if it is not known.

    Nothing is in the log that happened after the upload.
    """
    if pump.newest is None:
        return None
    return min(clock.instant(pump.newest), pump.uploaded or now, now)


def touches(pump: Pump, time_range: TimeRange, clock: PumpClock, now: datetime) -> bool:
    """Return whether a pump's log may hold something of a range or of the day around it.

    A pump of unknown times is read. An upload after the newest event counts as new data, because
    the pump's clock, which dates that event, may be behind.
    """
    first, last = first_instant(pump, clock), last_instant(pump, clock, now)
    last = max(filter(None, (last, pump.uploaded)), default=None)
    is_later = first is not None and first > time_range.end + MARGIN
    is_earlier = last is not None and last < time_range.start - MARGIN
    return not is_later and not is_earlier


def upload_mark(pump: Pump) -> int | None:
    """Return a number that changes as soon as the pump has uploaded.

    It grows with each upload, even if the pump's clock was set back. It is ``None`` where the cloud
    knows of no upload: the pump never has, or the account is a guardian's, which has no such times.
    """
    if pump.uploaded is None and pump.newest is None:
        return None
    return _seconds(pump.uploaded) * PLACES + _seconds(pump.newest)


def ending(pump: Pump) -> str:
    """Return the end of a pump's serial number, by which people know it."""
    return words.ending(pump.serial)


def endings(pumps: Iterable[Pump]) -> str:
    """Return the ends of the serial numbers of some pumps."""
    return words.endings(pump.serial for pump in pumps)


def named(pump: Pump) -> str:
    """Return what people call a pump, such as ``t:slim X2 …0042``."""
    return f"{pump.model} {ending(pump)}".strip()


def mark(pump: Pump) -> str:
    """Return a name that a pump keeps from run to run and that says nothing about it."""
    return sha256(pump.assignment_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _pump(item: Mapping[str, Any], clock: PumpClock) -> Pump:
    covered = plainly_named(item.get("availabledatarange"))
    newest = _time(item.get("maxdateofevents")) or _time(covered.get("end"))
    uploaded = _time(item.get("lastuploaddate"))
    if uploaded:
        zone = uploaded.tzinfo or UTC
        uploaded = uploaded.replace(tzinfo=zone).astimezone(UTC)
    return Pump(
        assignment_id=_text(item.get("assignmentid")),
        serial=_text(item.get("serialnumber")),
        newest=_without_zone(newest, clock),
        uploaded=uploaded,
        settings=plainly_named(item.get("settings")).get("details"),
        model=_text(item.get("modelname")) or _text(item.get("modelnumber")),
        oldest=_without_zone(_time(covered.get("start")), clock),
        algorithm=_text(item.get("algorithm")),
        mmol=_shows_mmol(_text(item.get("glucoseunit"))),
    )


def _shows_mmol(unit: str) -> bool | None:
    """Return whether a unit of glucose is mmol/L; its spelling has not been seen yet."""
    try:
        return glucose_unit(unit) == "mmol/L"
    except ValueError:
        return None


def newest_event(pump: Pump, clock: PumpClock, now: datetime) -> datetime | None:
    """Return the instant of a pump's newest event, ``None`` if it has none that can be."""
    at = clock.instant(pump.newest) if pump.newest else None
    return at if at and at <= now + AHEAD and at.year >= FIRST_SOLD else None


def _seconds(moment: datetime | None) -> int:
    return 0 if moment is None else (moment - datetime.min.replace(tzinfo=moment.tzinfo)) // SECOND


def _time(text: object) -> datetime | None:
    """Return a time, with the zone that it came with or none; ``None`` if there is no such time."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    # Near the ends of the calendar, a time does not exist in every zone.
    return moment if moment and PUMP_EPOCH.year <= moment.year < 9999 else None


def _without_zone(moment: datetime | None, clock: PumpClock) -> datetime | None:
    if moment is None or moment.tzinfo is None:
        return moment
    return clock.here(moment).replace(tzinfo=None)


def _text(value: object) -> str:
    return str(value).strip() if isinstance(value, str | int) else ""
