"""What must not be shown is not shown."""

from __future__ import annotations

import hashlib
import logging
import sys

import pytest

from tconnectsync.redact import RedactingFormatter, make_redactor

SECRETS = {"PASSWORD": 'p"ss wörd/&', "EMAIL": "Someone@example.org", "SERIAL": "00123456"}
redact = make_redactor(SECRETS)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('login with p"ss wörd/& failed', "login with [PASSWORD] failed"),
        ("password=p%22ss%20w%C3%B6rd%2F%26&x=1", "password=[PASSWORD]&x=1"),
        ("password=p%22ss+w%C3%B6rd%2F%26&x=1", "password=[PASSWORD]&x=1"),
        (r'{"p": "p\"ss w\u00f6rd/&"}', '{"p": "[PASSWORD]"}'),
        ("SOMEONE@EXAMPLE.ORG", "[EMAIL]"),
        ("sn=00123456", "sn=[SERIAL]"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_secrets_are_found_in_every_dress(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_the_sha1_of_a_secret_is_as_secret() -> None:
    digest = hashlib.sha1(SECRETS["PASSWORD"].encode()).hexdigest()
    assert redact(f"api-secret: {digest}") == "api-secret: [PASSWORD]"


def test_a_short_secret_does_not_garble_words() -> None:
    assert make_redactor({"PASSWORD": "a"})("a cat and a") == "[PASSWORD] cat and [PASSWORD]"


def test_without_secrets_everything_is_shown() -> None:
    assert make_redactor({"PASSWORD": ""})("as it is") == "as it is"


def test_tracebacks_are_redacted_too() -> None:
    try:
        raise RuntimeError(f"failed for {SECRETS['EMAIL']}")
    except RuntimeError:
        info = sys.exc_info()
    record = logging.LogRecord("x", logging.ERROR, "x", 1, "Trouble with %s", ("00123456",), info)
    text = RedactingFormatter(redact).format(record)
    assert "Trouble with [SERIAL]" in text
    assert "failed for [EMAIL]" in text
    assert SECRETS["EMAIL"] not in text
