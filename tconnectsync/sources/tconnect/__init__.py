"""t:connect: its payloads read as events."""
