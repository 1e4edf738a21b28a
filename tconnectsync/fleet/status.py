"""Who is not well: for people, for programs, and for Prometheus."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg

from tconnectsync.fleet.database import Connection, connect
from tconnectsync.state.states import State
from tconnectsync.watch.metrics import labels
from tconnectsync.watch.status import is_fresh, sentences
from tconnectsync.watch.words import meaning

log = logging.getLogger(__name__)

PAUSED = "paused"
WORKER = "Check that its worker runs: tconnectsync-fleet worker --queue {}"
METRICS = """\
# HELP tconnectsync_fleet_accounts Accounts by queue and state.
# TYPE tconnectsync_fleet_accounts gauge
{}
# HELP tconnectsync_fleet_not_ok Accounts that are not well, by name.
# TYPE tconnectsync_fleet_not_ok gauge
{}
# HELP tconnectsync_fleet_late_seconds For how long the oldest step of a queue has been due.
# TYPE tconnectsync_fleet_late_seconds gauge
{}
"""
LATE = """
SELECT queue_name, extract(epoch FROM max(now() - scheduled_at)) AS seconds
FROM procrastinate_jobs WHERE status = 'todo' AND task_name = 'step' GROUP BY queue_name
"""


def statuses(
    connection: Connection, now: datetime, name: str | None = None
) -> list[dict[str, Any]]:
    """Return what is known of each account, or of one, as ``--status --json`` shows it.

    On top of that it has the ``queue``; the state of one that is paused is so.
    """
    query = (
        "SELECT name, queue, paused, record FROM fleet_account "
        "WHERE %(name)s::text IS NULL OR name = %(name)s ORDER BY name"
    )
    return [_status(row, now) for row in connection.execute(query, {"name": name})]


def _status(row: Any, now: datetime) -> dict[str, Any]:
    record = row.record or {"state": State.NEVER_RUN}
    fresh = "at" in record and is_fresh(record, now)
    if row.paused:
        record, text = {**record, "state": PAUSED}, "paused, so nothing is synced."
    elif "at" not in record:
        text = f"{meaning(State.NEVER_RUN)}. {WORKER.format(row.queue)}"
    elif fresh:
        text = sentences(record, now, fresh)
    else:
        text = f"Nothing has run since {record['at']}. {WORKER.format(row.queue)}"
    return {
        **{name: value for name, value in record.items() if name not in ("format", "notified")},
        "person": row.name,
        "queue": row.queue,
        "ok": row.paused or (fresh and record["state"] == State.OK),
        "fresh": fresh,
        "text": f"{row.name}: {text}",
    }


def metrics(connection: Connection, now: datetime) -> str:
    """Return what Prometheus reads: numbers by queue and state, and the names of the unwell."""
    found = statuses(connection, now)
    counts = Counter((each["queue"], _state(each)) for each in found)
    late = [
        ({"queue": row.queue_name}, max(row.seconds or 0, 0)) for row in connection.execute(LATE)
    ]
    return METRICS.format(
        _lines("accounts", [({"queue": q, "state": s}, n) for (q, s), n in sorted(counts.items())]),
        _lines(
            "not_ok",
            [
                ({"person": it["person"], "queue": it["queue"], "state": _state(it)}, 1)
                for it in found
                if not it["ok"]
            ],
        ),
        _lines("late_seconds", late),
    )


def _state(status: dict[str, Any]) -> str:
    is_stale = not status["fresh"] and status["state"] not in (PAUSED, State.NEVER_RUN)
    return "nothing-runs" if is_stale else status["state"]


def _lines(name: str, values: Sequence[tuple[dict[str, str], float]]) -> str:
    return "\n".join(f"tconnectsync_fleet_{name}{labels(of)} {value:.0f}" for of, value in values)


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
