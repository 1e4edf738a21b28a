"""Short ways to write down what a pump did, for tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from tconnectsync.clouds import TANDEM_SOURCE, TCONNECT
from tconnectsync.domain.clock import PumpClock
from tconnectsync.domain.events import Basal, Bolus, PumpEvent, Split, UserMode, UserModeKind
from tconnectsync.nightscout.provenance import Document, instant
from tconnectsync.nightscout.stored import StoredTreatment, stored_treatments
from tconnectsync.nightscout.treatments import Treatment, treatments_of
from tconnectsync.sources.tconnect.periods import SUSPENSIONS
from tconnectsync.sync.plan import Plan, Update, make_plan

NEW_YORK = PumpClock(ZoneInfo("America/New_York"))
NOON = datetime(2024, 3, 5, 12, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    """Return an instant some minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def basal(start: float, minutes: float, rate: float = 0.8, *, running: bool = False) -> Basal:
    """Return a segment that begins ``start`` minutes after noon."""
    return Basal(
        key=f"basal {start}",
        start=at(start),
        duration=timedelta(minutes=minutes),
        rate=rate,
        reason="algorithmDelivery",
        running=running,
    )


def bolus(
    start: float,
    insulin: float,
    *,
    key: str = "",
    carbs: float = 0.0,
    requested: float | None = None,
    incomplete: str = "",
    running: bool = False,
    extended: bool = False,
) -> Bolus:
    """Return a bolus requested ``start`` minutes after noon that takes two minutes.

    Of an ``extended`` one it is the immediate part.
    """
    return Bolus(
        key=key or f"bolus {start}",
        requested_at=at(start),
        completed=None if running else at(start + 2),
        insulin=insulin,
        requested=requested or insulin,
        carbs=carbs,
        description="Extended 50.00%/0.00" if extended else "Standard",
        incomplete="in progress" if running else incomplete,
        override=False,
        label="Extended" if extended else "",
        planned=Split(2 * insulin, 50.0, timedelta(hours=2)) if extended else None,
    )


def both_parts(now: Bolus, end: float, insulin: float, incomplete: str = "") -> list[Bolus]:
    """Return both parts of an extended bolus as t:connect reports them once it has ended."""
    later = Bolus(
        key=f"{now.key} extended",
        requested_at=now.requested_at,
        completed=at(end),
        insulin=insulin,
        requested=insulin,
        carbs=0,
        description=now.description,
        incomplete=incomplete,
        override=False,
        automatic=True,
        label="Extended part",
        whole_since=now.requested_at,
    )
    return [now, later]


def sleep(start: float, minutes: float) -> UserMode:
    """Return a sleep that begins ``start`` minutes after noon."""
    return UserMode(
        key=f"sleep {start}",
        kind=UserModeKind.SLEEP,
        start=at(start),
        duration=timedelta(minutes=minutes),
        text="Sleep",
        automatic=True,
    )


def suspension(start: float, reason: str = "manual") -> PumpEvent:
    """Return what t:connect calls a suspension for some reason, ``start`` minutes after noon."""
    return PumpEvent(f"{reason} {start}", at(start), *SUSPENSIONS[reason])


def wanted(*events: Any, cloud: str | None = None) -> list[Treatment]:
    """Return the documents for some events; only Tandem Source hands log numbers out."""
    if cloud is None:
        numbered = any(getattr(event, "log_ids", ()) for event in events)
        cloud = TANDEM_SOURCE.name if numbered else TCONNECT.name
    return [want for event in events for want in treatments_of(event, cloud)]


def planned(
    treatments: Iterable[Treatment],
    stored: Iterable[Document],
    newer_than: Mapping[str, datetime | None] | None = None,
) -> Plan:
    """Return the plan for some treatments on a site that holds some documents."""
    return make_plan(treatments, stored_treatments(stored), newer_than)


def bodies(treatments: Iterable[Treatment | StoredTreatment]) -> list[Document]:
    """Return what is sent or stored of some treatments."""
    return [treatment.body for treatment in treatments]


def desired(document: Document) -> Treatment:
    """Return a treatment of which this is the document."""
    moment = instant(document)
    assert moment
    return Treatment(
        moment, document["eventType"], document["identifier"], body=document, growing=False
    )


def updating(before: Document, after: Document) -> Update:
    """Return an update from one document to another."""
    (stored,) = stored_treatments([before])
    return Update(stored, desired(after))


class Site:
    """What a Nightscout site holds, for plans carried out in memory."""

    def __init__(self, *documents: Document) -> None:
        self.documents: dict[str, Document] = {}
        self._numbers = count()
        self.store(*documents)

    def store(self, *documents: Document) -> None:
        """Insert documents; each gets an ``_id`` and ``created_at`` in UTC, as a server does."""
        for document in documents:
            number = f"{next(self._numbers):024x}"
            self.documents[number] = {"_id": number, **_normalised(document)}

    def carry_out(self, plan: Plan) -> None:
        """Do what a plan says."""
        for update in plan.update:
            self.documents[update.after.body["_id"]] = _normalised(update.after.body)
        self.store(*bodies(plan.create))
        for removed in plan.remove:
            del self.documents[removed.body["_id"]]

    @property
    def stored(self) -> list[Document]:
        """Everything the site holds."""
        return list(self.documents.values())


def _normalised(document: Document) -> Document:
    moment = instant(document)
    assert moment
    utc = moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {**document, "created_at": utc}
