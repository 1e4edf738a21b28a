"""Both clouds without the wire: payloads of a simulated life, to be damaged, and their sources.

Nightscout is a notebook here, which holds what would be written to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

from tconnectsync.api.answers import shaped
from tconnectsync.api.clients import TConnectApi
from tconnectsync.api.tconnect.ws2csv import parse_timeline
from tconnectsync.domain.clock import TimeRange
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.profiles import ProfileStyle
from tconnectsync.nightscout.provenance import Document
from tconnectsync.nightscout.wire import ENTRIES, TREATMENTS
from tconnectsync.simulators.history import PumpHistory, midnight
from tconnectsync.simulators.person import live
from tconnectsync.simulators.pump import SERIAL_NUMBER, SETTINGS
from tconnectsync.simulators.tandemsource.account import Upload, account, person, pump
from tconnectsync.simulators.tandemsource.clock import Clocks
from tconnectsync.simulators.tandemsource.cloud import as_served
from tconnectsync.simulators.tandemsource.entries import LogEntry
from tconnectsync.simulators.tandemsource.log import pump_log
from tconnectsync.simulators.tconnect.export import timeline_csv
from tconnectsync.simulators.tconnect.pages import AccountPages
from tconnectsync.simulators.tconnect.payloads import (
    basal_suspensions,
    therapy_events,
    therapy_timeline,
)
from tconnectsync.simulators.tconnect.view import View
from tconnectsync.sources.base import Reader, Source
from tconnectsync.sources.tandemsource.source import TandemSource
from tconnectsync.sources.tconnect.source import TConnectSource
from tconnectsync.sync.features import FEATURES
from tconnectsync.sync.run.cycle import Cycle
from tconnectsync.sync.run.outcome import Outcome
from tconnectsync.sync.run.sync_device_status import store_device_status
from tconnectsync.sync.run.sync_iob import sync_iob
from tconnectsync.sync.run.sync_profiles import store_profiles
from tests.support.event_builders import NEW_YORK

FIRST = date(2024, 6, 3)
UPLOADED = datetime(2024, 6, 5, 15, 0, tzinfo=UTC)
NOW = UPLOADED + timedelta(days=2)
"""So late that the age of the uploaded data says nothing about the zone."""
DAYS = TimeRange(NEW_YORK.midnight(FIRST), NOW)
STYLE = ProfileStyle("America/New_York", mmol=False, targets="segments", carbs_hr="20", delay="20")


EACH = 4
"""How much of each kind is kept: then most of what is damaged matters."""


@cache
def life(*, control_iq: bool = True) -> PumpHistory:
    """Return two days of a person's life with a pump."""
    return live(FIRST, 2, control_iq=control_iq)


@cache
def tconnect_payloads(*, control_iq: bool = True) -> dict[str, Any]:
    """Return some of what t:connect says of them, by what is asked for."""
    history = life(control_iq=control_iq)
    view = View(history, FIRST, FIRST + timedelta(days=1), history.end, frozenset())
    pages = AccountPages()
    devices = pages.page("my_devices.aspx", None) or ""
    guid = devices.partition("guid=")[2].partition('"')[0]
    timeline, events = therapy_timeline(view), therapy_events(view)["event"]
    basals = {name: found[:EACH] for name, found in timeline["basal"].items()}
    return {
        "timeline": {**timeline, "basal": basals, "events": _few(timeline["events"], "eventType")},
        "events": {"event": _few(events, "type", "bolusRequestOptions", "description")},
        "suspensions": {
            "BasalSuspension": _few(
                basal_suspensions(view, only_changes=False)["BasalSuspension"], "SuspendReason"
            )
        },
        "csv": _few_rows(timeline_csv(view)),
        "devices": devices,
        "settings": pages.page("DeviceSettings.aspx", guid) or "",
        "counter": {"maxPumpEventIndex": 12345, "processingStatus": 1},
    }


@cache
def log_entries() -> Sequence[LogEntry]:
    """Return the pump's own log of them, with the clock set back by an hour in between."""
    history = life()
    set_at = midnight(FIRST) + timedelta(hours=30)
    clocks = Clocks(
        midnight(history.first_day),
        ZoneInfo("America/New_York"),
        [(set_at, set_at - timedelta(hours=1))],
    )
    return pump_log(history, clocks).entries


@cache
def tandem_payloads() -> dict[str, Any]:
    """Return some of what Tandem Source says of them."""
    entries = log_entries()
    events = [as_served(entry) for entry in entries]
    upload = Upload(UPLOADED, entries[0].wall, entries[-1].wall, SETTINGS)
    pumps = [pump(upload, control_iq=True)]
    return {
        "pumper": person(pumps),
        "account": account(pumps, guardian=False),
        "log": {
            "events": _few(events, "eventCode"),
            "clockChanges": [event for event in events if event["eventCode"] in (13, 14)],
        },
    }


def _few(items: Sequence[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    """Return the first items of each kind, by what stands under these names."""
    seen: Counter[str] = Counter()
    kept = []
    for item in items:
        kind = str([item.get(name) for name in names])
        seen[kind] += 1
        if seen[kind] <= EACH:
            kept.append(item)
    return kept


def _few_rows(text: str) -> str:
    """Return an export with the first rows of each table."""
    tables = text.split("\n\n")
    return "\n\n".join("\n".join(table.split("\n")[: 2 * EACH]) for table in tables)


def tconnect_source(payloads: dict[str, Any]) -> TConnectSource:
    """Return t:connect as a source that answers with these payloads."""
    api = SimpleNamespace(
        controliq=SimpleNamespace(
            therapy_timeline=lambda *_: shaped(payloads["timeline"], "timeline", dict),
            therapy_events=lambda *_: shaped(payloads["events"], "events", dict),
        ),
        ws2=SimpleNamespace(
            therapy_timeline_csv=lambda *_, **__: parse_timeline(payloads["csv"]),
            basal_suspension=lambda *_: shaped(payloads["suspensions"], "suspensions", dict),
        ),
        android=SimpleNamespace(
            last_event_uploaded=lambda *_: shaped(payloads["counter"], "counter", dict)
        ),
        webui=SimpleNamespace(
            my_devices=lambda: payloads["devices"],
            device_settings=lambda guid: payloads["settings"],
        ),
    )
    return TConnectSource(cast(TConnectApi, api), NEW_YORK, str(SERIAL_NUMBER))


def tandem_source(payloads: dict[str, Any]) -> TandemSource:
    """Return Tandem Source as a source that answers with these payloads."""
    source = SimpleNamespace(
        pumper=lambda: shaped(payloads["pumper"], "pumps", dict),
        account=lambda: shaped(payloads["account"], "account", dict),
        pump_logs=lambda *_: _log(payloads["log"]),
    )
    return TandemSource(
        cast(TConnectApi, SimpleNamespace(tandemsource=source)),
        NEW_YORK,
        "",
        everything=True,
        readings=True,
        ignore_zero_basals=False,
        now=lambda: NOW,
    )


def _log(payload: Any) -> dict[str, list[Any]]:
    from tconnectsync.api.tandemsource.logs import MergedAnswers

    log = MergedAnswers()
    log.add(shaped(payload, "log", dict))
    return log.as_payload()


@dataclass
class Notebook:
    """A Nightscout that holds nothing but notes what it is given."""

    treatments_written: list[Document] = field(default_factory=list)
    entries_written: list[Document] = field(default_factory=list)
    others_written: list[Document] = field(default_factory=list)

    def treatments(self, start: datetime, end: datetime) -> list[Document]:
        return []

    entries = treatments

    def by_identifier(self, identifiers: Sequence[str], *bounds: datetime) -> list[Document]:
        return []

    def new_run(self) -> None:
        pass

    def newest(self, kind: str) -> None:
        return None

    def create(self, documents: Sequence[Document], collection: str = TREATMENTS) -> None:
        is_entries = collection == ENTRIES
        (self.entries_written if is_entries else self.treatments_written).extend(documents)

    def activities(self, kind: str) -> list[Document]:
        return []

    def profile(self) -> None:
        return None

    def device_status(self) -> None:
        return None

    def add(self, record: Document, collection: str) -> None:
        self.others_written.append(record)


def sync(
    source: Source, *, profiles: bool = True, nightscout: NightscoutApi | None = None
) -> tuple[Notebook, Outcome]:
    """Run a whole cycle with every feature; return what would be written, and how it went.

    The ``profiles`` are most of the work, where they are on web pages. With a ``nightscout`` of its
    own, nothing is noted.
    """
    notebook = Notebook()
    nightscout = nightscout or cast(NightscoutApi, notebook)
    at_the_end: dict[str, Callable[[Reader], list[str]]] = {
        "IOB": lambda reader: sync_iob(reader.insulin_on_board(), nightscout, pretend=False),
        "DEVICE_STATUS": lambda reader: store_device_status(
            reader.device_status, nightscout, pretend=False
        ),
    }
    if profiles:
        at_the_end["PROFILES"] = lambda reader: store_profiles(
            source.pump_settings(), nightscout, STYLE, mode="add", now=NOW, pretend=False
        )
    cycle = Cycle(
        source=source,
        nightscout=nightscout,
        clock=NEW_YORK,
        features=[name for name, feature in FEATURES.items() if feature.parts],
        now=lambda: NOW,
        pretend=False,
        fill_gaps=True,
        on_plan=lambda window, plan: None,
        at_the_end=at_the_end,
    )
    return notebook, cycle.run(DAYS)
