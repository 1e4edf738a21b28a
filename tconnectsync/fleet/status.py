"""Who is not well: for people, for programs, and for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from wsgiref.simple_server import make_server

from tconnectsync.fleet.database import Connection, connect
from tconnectsync.state.states import State
from tconnectsync.watch.metrics import Values, text_of
from tconnectsync.watch.status import is_fresh, sentences
from tconnectsync.watch.words import meaning

HELP = {
    "fleet_accounts": "Accounts by queue and state.",
    "fleet_not_ok": "Accounts that are not well, by name.",
    "fleet_late_seconds": "For how long the oldest step of a queue has been due.",
}
LATE = """
SELECT queue_name AS queue, extract(epoch FROM greatest(now() - min(scheduled_at), '0')) AS late
FROM procrastinate_jobs WHERE status = 'todo' AND task_name = 'step' GROUP BY queue_name
"""


def statuses(connection: Connection, now: datetime) -> list[dict[str, Any]]:
    """Return what is known of each account, as ``tconnectsync --status --json`` has it.

    On top of that there are its ``queue``, and the states ``paused`` and ``nothing-runs``.
    """
    query = "SELECT name, queue, paused, record FROM fleet_account ORDER BY name"
    return [_status(row, now) for row in connection.execute(query)]


def _status(row: Any, now: datetime) -> dict[str, Any]:
    record = {"state": State.NEVER_RUN, **(row.record or {})}
    runs, fresh = f"tconnectsync-fleet worker --queue {row.queue}", False
    if row.paused:
        record["state"], text = "paused", "paused, so nothing is synced."
    elif "at" in record:
        fresh = is_fresh(record, now)
        text = sentences(record, now, fresh, runs)
        record["state"] = record["state"] if fresh else "nothing-runs"
    else:
        text = f"{meaning(State.NEVER_RUN)}. Check that {runs} runs."
    ok = record["state"] in ("paused", State.OK)
    found = {"person": row.name, "queue": row.queue, "ok": ok, "fresh": fresh}
    return {**record, **found, "text": f"{row.name}: {text}"}


def metrics(connection: Connection, now: datetime) -> str:
    """Return what Prometheus reads: numbers by queue and state, and the names of the unwell."""
    found = statuses(connection, now)
    counts = Counter((each["queue"], str(each["state"])) for each in found)
    unwell = [each for each in found if not each["ok"]]
    values: tuple[Values, Values, Values] = (
        [({"queue": queue, "state": state}, n) for (queue, state), n in counts.items()],
        [({name: str(it[name]) for name in ("person", "queue", "state")}, 1) for it in unwell],
        [({"queue": row.queue}, float(row.late)) for row in connection.execute(LATE)],
    )
    return text_of(HELP, dict(zip(HELP, values, strict=True)))


def serve_metrics(host: str, port: int, now: Callable[[], datetime]) -> None:
    """Answer each request of Prometheus with new figures, without end."""

    def answer(environment: object, start: Callable[..., object]) -> Iterable[bytes]:
        with connect() as connection:
            text = metrics(connection, now())
        start("200 OK", [("Content-Type", "text/plain; version=0.0.4; charset=utf-8")])
        return [text.encode()]

    make_server(host, port, answer).serve_forever()
