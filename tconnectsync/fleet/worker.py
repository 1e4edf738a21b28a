"""A worker: takes the steps of one queue, whose accounts all use the worker's address.

It also does its share of sweeping: what a killed worker was doing begins again, and an account
without a next step gets one.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psycopg
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from psycopg_pool import ConnectionPool

from tconnectsync.app import Host
from tconnectsync.fleet.database import CONNECTED, LOCKS, Pool, schedule
from tconnectsync.fleet.task import Steps
from tconnectsync.fleet.vault import Vault
from tconnectsync.redact import JointRedactor
from tconnectsync.stop import StopTogether

log = logging.getLogger(__name__)

SWEEPER = "*sweeper"
"""The queue of the sweeping, that every worker serves; no queue of accounts has such a name."""
AGAIN = 5.0
"""Seconds until the database is tried again."""
POLLED = 1.0
"""Seconds between two looks at what is due."""
OVER = 90.0
"""Seconds after which no request of a worker that has lost its lock is on its way any more."""
LONGEST_END = 10
"""Seconds for a step to end when the worker is asked to; then it is broken off."""
LOST = """
DELETE FROM procrastinate_jobs AS job
WHERE task_name IN ('step', 'sweep') AND status = 'doing' AND (
    SELECT max(at) FROM procrastinate_events WHERE job_id = job.id AND type = 'started'
) < clock_timestamp() - interval '2 minutes' AND NOT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND classid = %s AND objsubid = 2
    AND objid = (job.args ->> 'account')::int
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
"""
"""Removes the jobs that no worker does: their lock is free, and they neither begin nor end now."""
TOO_FAR = """
UPDATE procrastinate_jobs SET scheduled_at = now()
WHERE status = 'todo' AND task_name = 'step' AND scheduled_at > now() + interval '2 hours'
"""
"""Lets be due now what was scheduled before the database's clock was set back."""
WITHOUT_A_STEP = """
SELECT id, queue FROM fleet_account AS account
WHERE NOT paused AND NOT EXISTS (
    SELECT FROM procrastinate_jobs
    WHERE lock = 'account-' || account.id AND status IN ('todo', 'doing')
)
"""


def work(host: Host, vault: Vault, queue: str, concurrency: int, redactor: JointRedactor) -> int:
    """Take the steps of a queue until asked to stop; return the exit code."""
    check = ConnectionPool.check_connection
    with Pool(min_size=1, max_size=concurrency + 2, kwargs=CONNECTED, check=check) as pool:
        steps = Steps(host, vault, pool, redactor, StopTogether())
        asyncio.run(_work(steps, queue, concurrency))
    return 0


async def _work(steps: Steps, queue: str, concurrency: int) -> None:
    """Work until a signal comes; while the database is away, wait for it."""
    loop, working = asyncio.get_running_loop(), asyncio.current_task()
    loop.set_default_executor(ThreadPoolExecutor(concurrency))

    def end() -> None:
        steps.stop.ask()
        # A step that waits for an answer does not see it.
        signal.alarm(LONGEST_END)
        if working:
            working.cancel()

    for number in signal.SIGINT, signal.SIGTERM:
        loop.add_signal_handler(number, end)
    app = App(connector=PsycopgConnector(min_size=1, max_size=4))
    app.task(name="step")(steps.take)

    @app.periodic(cron="* * * * *")
    @app.task(name="sweep", queue=SWEEPER, queueing_lock="sweep", priority=1)
    def sweep_now(timestamp: int) -> None:
        sweep(steps.pool)

    with suppress(asyncio.CancelledError):
        while True:
            try:
                async with app.open_async():
                    await app.run_worker_async(
                        queues=[queue, SWEEPER],
                        concurrency=concurrency,
                        fetch_job_polling_interval=POLLED,
                        delete_jobs="always",
                        install_signal_handlers=False,
                    )
            except (psycopg.Error, ConnectorException) as error:
                log.warning("The database cannot be reached (%s).", type(error).__name__)
            await asyncio.sleep(AGAIN)


def sweep(pool: Pool) -> None:
    """Give each account that has no next step one, as after a worker was killed."""
    with pool.connection() as connection:
        connection.execute(LOST, [LOCKS])
        connection.execute(TOO_FAR)
        missing = connection.execute(WITHOUT_A_STEP).fetchall()
        for account in missing:
            schedule(connection, account.id, account.queue, OVER)
    if missing:
        log.warning(
            "Accounts without a next step, as after a worker was killed: %s. Each gets one now.",
            len(missing),
        )
