"""The Nightscout client in this process, without its waiting, and treatments for it to write."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tconnectsync.http import HttpClient
from tconnectsync.nightscout.api import NightscoutApi
from tconnectsync.nightscout.provenance import ENTERED_BY, Document
from tconnectsync.nightscout.wire import TREATMENTS, batches
from tconnectsync.simulators.loopback import LoopbackServer
from tests.support.clocks import NO_WAITING
from tests.support.command import SECRET

NOON = datetime(2024, 3, 5, 12, 0, tzinfo=UTC)


class Waits(list[float]):
    """Takes the place of sleeping."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def client(server: LoopbackServer, secret: str = SECRET, **http: Any) -> NightscoutApi:
    """Return a client of a site."""
    clock = replace(NO_WAITING, sleep=http.pop("sleep", Waits()))
    return NightscoutApi(server.url, secret, HttpClient("Nightscout", clock, **http))


def create(
    nightscout: NightscoutApi, documents: Iterable[Document], collection: str = TREATMENTS
) -> None:
    """Store documents batch by batch."""
    for batch in batches(documents, lambda document: document):
        nightscout.create(batch, collection)


def treatment(minute: float, **fields: Any) -> dict[str, Any]:
    """Return a treatment some minutes after :data:`NOON`."""
    at = NOON + timedelta(minutes=minute)
    return {
        "eventType": "Temp Basal",
        "created_at": f"{at:%Y-%m-%dT%H:%M:%S}.000Z",
        "enteredBy": ENTERED_BY,
        "identifier": f"id-{minute}",
        **fields,
    }
