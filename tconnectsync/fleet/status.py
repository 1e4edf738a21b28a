"""Who is not well: for people, for programs, and for Prometheus."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg

from tconnectsync.fleet.database import Connection, connect
from tconnectsync.state.states import State
from tconnectsync.watch.metrics import text_of
from tconnectsync.watch.status import is_fresh, sentences
from tconnectsync.watch.words import meaning

log = logging.getLogger(__name__)

PAUSED, SILENT = "paused", "nothing-runs"
WORKER = "Check that its worker runs: tconnectsync-fleet worker --queue {}"
HELP = {
    "fleet_accounts": "Accounts by queue and state.",
    "fleet_not_ok": "Accounts that are not well, by name.",
    "fleet_late_seconds": "For how long the oldest step of a queue has been due.",
}
ALL = "SELECT * FROM fleet_account WHERE %(name)s::text IS NULL OR name = %(name)s ORDER BY name"
LATE = """
SELECT queue_name, extract(epoch FROM max(greatest(now() - scheduled_at, interval '0'))) AS late
FROM procrastinate_jobs WHERE status = 'todo' AND task_name = 'step' GROUP BY queue_name
"""


def statuses(
    connection: Connection, now: datetime, name: str | None = None
) -> list[dict[str, Any]]:
    """Return what is known of each account, or of one, as ``tconnectsync --status --json`` has it.

    On top of that there are its ``queue``, and the states ``paused`` and ``nothing-runs``.
    """
    return [_status(row, now) for row in connection.execute(ALL, {"name": name})]


def _status(row: Any, now: datetime) -> dict[str, Any]:
    record = {"state": State.NEVER_RUN, **(row.record or {})}
    fresh = "at" in record and is_fresh(record, now)
    if row.paused:
        record["state"], text = PAUSED, "paused, so nothing is synced."
    elif fresh:
        text = sentences(record, now, fresh)
    elif "at" in record:
        record["state"] = SILENT
        text = f"Nothing has run since {record['at']}. {WORKER.format(row.queue)}"
    else:
        text = f"{meaning(State.NEVER_RUN)}. {WORKER.format(row.queue)}"
    is_ok = record["state"] in (PAUSED, State.OK)
    found = {**record, "person": row.name, "queue": row.queue, "ok": is_ok, "fresh": fresh}
    return {**found, "text": f"{row.name}: {text}"}


def metrics(connection: Connection, now: datetime) -> str:
    """Return what Prometheus reads: numbers by queue and state, and the names of the unwell."""
    found = statuses(connection, now)
    counts = Counter((each["queue"], str(each["state"])) for each in found)
    unwell = [
        ({name: str(each[name]) for name in ("person", "queue", "state")}, 1.0)
        for each in found
        if not each["ok"]
    ]
    late = [({"queue": row.queue_name}, float(row.late)) for row in connection.execute(LATE)]
    numbers = [({"queue": q, "state": s}, float(n)) for (q, s), n in sorted(counts.items())]
    return text_of(HELP, dict(zip(HELP, (numbers, unwell, late), strict=True)))


def serve_metrics(address: tuple[str, int], now: Callable[[], datetime]) -> ThreadingHTTPServer:
    """Return a server that answers what Prometheus asks, anew each time."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = 200, ""
            try:
                with connect() as connection:
                    text = metrics(connection, now())
            except psycopg.Error as error:
                log.warning("The database cannot be asked (%s).", type(error).__name__)
                status = 503
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return ThreadingHTTPServer(address, Handler)
