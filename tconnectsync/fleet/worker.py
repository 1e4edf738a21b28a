"""A worker: takes the steps of one queue, whose accounts all use the worker's address.

It also does its share of sweeping: what a killed worker was doing begins anew, and an account
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
from procrastinate.jobs import Status

from tconnectsync.app import Host
from tconnectsync.fleet.database import LOCKS, OWN_QUEUE, STEP, SWEEP, pool_of, schedule
from tconnectsync.fleet.task import Steps
from tconnectsync.fleet.vault import Vault
from tconnectsync.redact import JointRedactor
from tconnectsync.stop import StopTogether

log = logging.getLogger(__name__)

AGAIN = 5.0
"""Seconds until the database is tried again."""
POLLED = 1.0
"""Seconds between two looks at what is due."""
FORGOTTEN = """
SELECT id FROM procrastinate_jobs AS job
WHERE status = 'doing' AND task_name IN ('step', 'sweep')
AND NOT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND classid = %s AND objsubid = 2
    AND objid = (job.args ->> 'account')::int
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
) AND (
    id = ANY(%s) OR (
        SELECT max(at) FROM procrastinate_events WHERE job_id = job.id AND type = 'started'
    ) < now() - interval '5 minutes'
)
"""
"""Jobs that nobody does: their lock is free, and their worker is silent or has lost them."""
WITHOUT_A_STEP = """
SELECT id, queue, due FROM fleet_account AS account
WHERE NOT paused AND NOT EXISTS (
    SELECT FROM procrastinate_jobs
    WHERE lock = 'account-' || account.id AND status IN ('todo', 'doing')
)
"""


def work(host: Host, vault: Vault, queue: str, concurrency: int, redactor: JointRedactor) -> int:
    """Take the steps of a queue until asked to stop; return the exit code.

    While the database is away, it is waited for.
    """
    stop = StopTogether()
    while not stop.is_asked:
        try:
            with pool_of(2 * concurrency) as pool:
                asyncio.run(_work(Steps(host, vault, pool, redactor, stop), queue, concurrency))
        except (psycopg.Error, ConnectorException) as error:
            log.warning("The database cannot be reached (%s).", type(error).__name__)
        if not stop.is_asked:
            host.clock.sleep(AGAIN)
    return 0


async def _work(steps: Steps, queue: str, concurrency: int) -> None:
    loop, working = asyncio.get_running_loop(), asyncio.current_task()
    loop.set_default_executor(ThreadPoolExecutor(concurrency))

    def end() -> None:
        steps.stop.ask()
        if working:
            working.cancel()

    for number in signal.SIGINT, signal.SIGTERM:
        loop.add_signal_handler(number, end)
    app = App(connector=PsycopgConnector(min_size=1, max_size=4))
    app.task(name=STEP)(steps.take)

    @app.periodic(cron="* * * * *")
    @app.task(name=SWEEP, queue=OWN_QUEUE, queueing_lock=SWEEP, priority=1)
    async def sweep_now(timestamp: int) -> None:
        await sweep(app, steps)

    with suppress(asyncio.CancelledError):
        async with app.open_async():
            await app.run_worker_async(
                queues=[queue, OWN_QUEUE],
                concurrency=concurrency,
                fetch_job_polling_interval=POLLED,
                delete_jobs="always",
                install_signal_handlers=False,
            )


async def sweep(app: App, steps: Steps) -> int:
    """Revive what nobody does any more; return for how many accounts a step was missing."""
    silent = [job.id for job in await app.job_manager.get_stalled_jobs()]
    with steps.pool.connection() as connection:
        for job in connection.execute(FORGOTTEN, [LOCKS, silent]).fetchall():
            await app.job_manager.finish_job_by_id_async(job.id, Status.FAILED, delete_job=True)
        missing, now = connection.execute(WITHOUT_A_STEP).fetchall(), steps.host.clock.now()
        for account in missing:
            schedule(connection, account.id, account.queue, max(account.due or now, now))
    if missing:
        log.warning("Steps of %s accounts that nobody was doing were scheduled anew.", len(missing))
    return len(missing)
