"""``--check-login``: every service tried step by step, and a report without personal data."""
