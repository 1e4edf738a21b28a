"""``NOTIFY_URLS``: one message when syncing has stopped, and one when it is well again.

Nothing is ever written to Nightscout for it: a treatment there would snooze its alarms.
"""

from __future__ import annotations

import logging
import re
from datetime import datetime, timedelta, tzinfo
from functools import cache, partial
from importlib.util import find_spec

from tconnectsync.domain.clock import MINUTE
from tconnectsync.domain.words import span_in_words
from tconnectsync.state.record import RunRecord, State
from tconnectsync.watch.limited import Limited
from tconnectsync.watch.words import meaning

log = logging.getLogger(__name__)

WHAT = "The message to NOTIFY_URLS"
WITHOUT_APPRISE = (
    "NOTIFY_URLS is set, but no message can be sent without apprise. Run: pip install apprise"
)
NOT_UNDERSTOOD = (
    "NOTIFY_URLS: apprise does not understand address {}, so no message will be sent there."
)


def is_due(record: RunRecord, now: datetime, after_minutes: float, *, ended: bool) -> bool:
    """Return whether a message is to be sent.

    One is due once for each change of state, after it has lasted, and at once when all is well
    again. States that alternate count as one until the first message. ``ended`` says that no other
    round follows, so that there is nothing to wait for.
    """
    last = record.notified or State.OK
    if record.state is last or record.state is State.OK:
        return record.state is not last
    is_first = last is State.OK
    since = (record.bad_since or record.since) if is_first else record.since
    return ended or now - since >= after_minutes * MINUTE


def text_of(record: RunRecord, now: datetime, zone: tzinfo) -> tuple[str, str]:
    """Return the title and the text of a message: the state, since when, and what to do."""
    who = f"tconnectsync ({record.person})" if record.person else "tconnectsync"
    if record.state is State.OK:
        title = f"{who}: all is well again"
        return title, f"{meaning(State.OK)} since {_time(record.since, now, zone)}."
    said = [f"{meaning(record.state)}, since {_time(record.since, now, zone)}."]
    said += [record.cause] if record.cause else []
    if record.last_ok:
        said.append(f"All was well at {_time(record.last_ok, now, zone)} for the last time.")
    said.append(record.action)
    return f"{who}: {meaning(record.state)}", "\n".join(filter(None, said))


@cache
def why_not_sent(urls: str) -> str:
    """Return why no message will reach some of the addresses, as far as that can be known now."""
    if not has_apprise():
        return WITHOUT_APPRISE

    def look() -> str:
        from apprise import Apprise

        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        numbers = [n for n, url in enumerate(addresses(urls), 1) if not Apprise().add(url)]
        return " ".join(map(NOT_UNDERSTOOD.format, numbers))

    return Limited(look, "The look at NOTIFY_URLS").result()


def send(urls: str, title: str, text: str) -> str:
    """Send a message; return what has gone wrong, nothing if it has reached one of the addresses.

    All are tried at the same time.
    """
    if not has_apprise():
        return WITHOUT_APPRISE
    results: dict[int, str] = {}

    def send_all() -> str:
        ones = [
            Limited(partial(_send, number, url, title, text, results), WHAT)
            for number, url in enumerate(addresses(urls), 1)
        ]
        return " ".join(filter(None, [one.result() for one in ones]))

    problem = Limited(send_all, WHAT).result()
    if "" not in results.values():
        return problem
    if problem:
        log.warning(problem)
    return ""


def addresses(urls: str) -> list[str]:
    """Return the single addresses of NOTIFY_URLS."""
    return [each for each in re.split(r"[\s,]+(?=[\w+.-]+://)", urls.strip().strip(",")) if each]


def has_apprise() -> bool:
    """Return whether the package that sends messages is installed."""
    return find_spec("apprise") is not None


def _send(number: int, url: str, title: str, text: str, results: dict[int, str]) -> str:
    """Send a message to the ``number``-th address, and note what has gone wrong."""
    from apprise import Apprise

    # What it logs holds addresses.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    one = Apprise()
    if not one.add(url):
        results[number] = NOT_UNDERSTOOD.format(number)
    elif one.notify(body=text, title=title):
        results[number] = ""
    else:
        results[number] = f"{WHAT} could not be sent to address {number}."
    return results[number]


def _time(at: datetime, now: datetime, zone: tzinfo) -> str:
    ago = max(now - at, timedelta(0))
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M} ({span_in_words(ago)} ago)"
