"""Shows people and their monitors how syncing is going: run record, status, pings, messages."""
