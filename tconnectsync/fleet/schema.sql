-- What the fleet keeps besides the jobs, which Procrastinate keeps in tables of its own.

CREATE TABLE IF NOT EXISTS fleet_migration (
    name text PRIMARY KEY
);

CREATE TABLE IF NOT EXISTS fleet_account (
    id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL UNIQUE,
    queue text NOT NULL,
    paused boolean NOT NULL DEFAULT false,
    waits boolean NOT NULL DEFAULT false,  -- until somebody changes the settings
    marks text[] NOT NULL,                 -- keyed hashes of the account and the site
    settings bytea NOT NULL,               -- encrypted
    memory bytea,                          -- encrypted: logins, what is missing, the loop's state
    record jsonb,                          -- the run record, without personal data
    due timestamptz                        -- when the next step is to be done
);

CREATE INDEX IF NOT EXISTS fleet_account_marks ON fleet_account USING gin (marks);

CREATE TABLE IF NOT EXISTS fleet_address (
    queue text PRIMARY KEY,
    pace jsonb NOT NULL DEFAULT '{}'       -- logins and rests, as state/pace.py keeps them
);
