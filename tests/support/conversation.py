"""--setup on a pseudo-terminal: a person who reads the questions and types the answers."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO

import pexpect

from tests.support.command import Computer

COUNTRY = "In which country"
EMAIL = "E-mail address"
PASSWORD = "Its password"
SITE = "Address of the Nightscout site"
SECRET = "API secret of the site"
ZONE = "Time zone that"
FEATURES = "Which of these"
UNIT = "so that systemd can run it"
WRITE = "Write the settings to"
WHAT_NOW = "What now"
QUESTIONS = (COUNTRY, EMAIL, PASSWORD, SITE, SECRET, ZONE, FEATURES, WRITE)
"""The questions that everybody is asked, in their order."""


class Conversation:
    """What is said on the terminal of a running ``--setup``."""

    def __init__(self, child: pexpect.spawn[str], heard: StringIO) -> None:
        self.child = child
        self._heard = heard

    def answer(self, question: str, text: str) -> None:
        """Wait for a question and type the answer."""
        self.hear(question)
        self.child.sendline(text)

    def hear(self, question: str) -> None:
        """Wait until a question stands there, up to the colon after which the answer is typed."""
        self.child.expect_exact(question)
        self.child.expect(r": $")

    def press_until_it_ends(self, press: Callable[[], object]) -> int:
        """Do what ends it, and again if nothing happens for seconds; return the exit code.

        Python loses a signal that comes in the moment between a prompt and its wait for a key.
        """
        for _ in range(5):
            press()
            if self.child.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=10) == 0:
                break
        return self.end()

    @property
    def text(self) -> str:
        """All that has been shown so far, as it was read."""
        return self._heard.getvalue().replace("\r\n", "\n")

    def end(self) -> int:
        """Wait for the end; return the exit code."""
        if not self.child.flag_eof:
            self.child.expect(pexpect.EOF)
        self.child.close()
        assert isinstance(self.child.exitstatus, int), self.text
        return self.child.exitstatus


def _hear_that_the_terminal_is_gone() -> None:
    """Who runs the tests with nohup does not mean this command."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@contextmanager
def conversation(home: Computer, *options: str, **changes: str) -> Iterator[Conversation]:
    """Have ``--setup`` run on a terminal beside the block."""
    heard = StringIO()
    child = pexpect.spawn(
        sys.executable,
        ["-m", "tconnectsync", "--setup", *options],
        cwd=str(home.folder),
        env={**home.environment, **changes},
        timeout=300,
        encoding="utf-8",
        dimensions=(50, 200),
        echo=True,
        preexec_fn=_hear_that_the_terminal_is_gone,
    )
    child.logfile_read = heard
    try:
        yield Conversation(child, heard)
    finally:
        child.close(force=True)
