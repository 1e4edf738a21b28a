"""What an answer to a login says about a locked account."""

from __future__ import annotations

import re
from datetime import timedelta

from tconnectsync.api.answers import text_of
from tconnectsync.exchange import Answer
from tconnectsync.state.refused import LONGEST_LOCK

LOCKED = re.compile("(?<![bc])lock|disabled|suspended|attempts")
"""Words of an answer about a locked account, but not about a clock or a block."""
_SPAN = re.compile(r"\b(\d{1,4}) ?(second|minute|hour)s?\b")


def locked_for(answer: Answer) -> timedelta | None:
    """Return for how long an account is locked, if the answer says so and for how long."""
    text = text_of(answer).lower()
    if not LOCKED.search(text):
        return None
    seconds = answer.headers.get("Retry-After", "").strip()
    if seconds.isascii() and seconds.isdigit():
        span = timedelta(seconds=min(int(seconds), LONGEST_LOCK.total_seconds() + 1))
    elif found := _SPAN.search(text):
        span = timedelta(**{f"{found[2]}s": int(found[1])})
    else:
        return None
    return span if timedelta(0) < span <= LONGEST_LOCK else None
