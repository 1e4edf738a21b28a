-- What the fleet keeps besides the jobs, which Procrastinate keeps in tables of its own. A change is
-- another file, fleet_2.sql: tconnectsync-fleet migrate carries each out once, in order.

CREATE TABLE fleet_account (
    id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL UNIQUE,
    queue text NOT NULL,
    paused boolean NOT NULL DEFAULT false,
    settings bytea NOT NULL,               -- encrypted
    memory bytea,                          -- encrypted: logins, what is missing, the loop's state
    record json                            -- the run record, without personal data
);

CREATE TABLE fleet_address (
    queue text PRIMARY KEY,
    pace json NOT NULL DEFAULT '{}'        -- logins and rests, as state/pace.py keeps them
);

-- Without these, taking one of many steps that are due takes a second where there are 10,000.
CREATE INDEX fleet_job_lock ON procrastinate_jobs (lock);
CREATE INDEX fleet_job_due ON procrastinate_jobs (queue_name, scheduled_at) WHERE status = 'todo';
