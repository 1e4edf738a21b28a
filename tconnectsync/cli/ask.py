"""Questions on a terminal: asked again until the answer can be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from getpass import getpass
from shutil import get_terminal_size
from textwrap import wrap
from typing import TypeVar

WIDEST = 100
"""Letters of a line; longer ones are hard to read."""

Answer = TypeVar("Answer")


def ask(
    question: str, parse: Callable[[str], Answer], proposed: str = "", shown: str = ""
) -> Answer:
    """Ask until an answer can be read, and return what was read.

    Args:
        question: without a colon.
        parse: reads the answer; a ``ValueError`` completes the sentence "That cannot be used: …".
        proposed: the answer of somebody who only presses Enter; empty for none.
        shown: what is shown of it, if not all.

    Raises:
        EOFError: the terminal was closed.
        KeyboardInterrupt: the person wants to stop.
    """
    return _repeated(lambda: input(_prompt(question, shown or proposed)), parse, proposed)


def ask_unseen(question: str, parse: Callable[[str], Answer], proposed: str = "") -> Answer:
    """Ask for a secret; neither it nor the one that is proposed is shown. See :func:`ask`."""
    prompt = _prompt(question, "kept as it is" if proposed else "")
    return _repeated(lambda: getpass(prompt), parse, proposed)


def choose(question: str, choices: Sequence[str], proposed: int = 1) -> int:
    """Let a person choose; return the number of what was chosen, from 1 on. See :func:`ask`."""
    for number, choice in enumerate(choices, 1):
        print(f"  {number}  {choice}")

    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= len(choices):
            raise ValueError(f"write a number from 1 to {len(choices)}")
        return int(text)

    return ask(question, parse, str(proposed))


def confirm(question: str, *, proposed: bool | None = None) -> bool:
    """Ask for a yes or no. See :func:`ask`."""

    def parse(text: str) -> bool:
        for answer in ("yes", "no"):
            if answer.startswith(text.lower()):
                return answer == "yes"
        raise ValueError("write yes or no")

    shown = {True: "yes", False: "no", None: ""}[proposed]
    return ask(f"{question} (yes/no)", parse, shown)


def say_wrapped(text: str, indent: int) -> None:
    """Print a text in lines that fit the terminal; all but the first begin with some blanks."""
    width = min(get_terminal_size().columns, WIDEST) - 1
    lines = wrap(
        text,
        max(width, indent + 20),
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    print("\n".join(lines), flush=True)


def _prompt(question: str, proposed: str) -> str:
    return f"{question} [{proposed}]: " if proposed else f"{question}: "


def _repeated(read: Callable[[], str], parse: Callable[[str], Answer], proposed: str) -> Answer:
    while True:
        try:
            text = read()
            text.encode()
        except UnicodeError:
            print("  That cannot be used: this terminal sends letters that cannot be read.")
            continue
        if text.strip() and text != text.strip():
            print("  (Blanks at its beginning or end are left out.)")
        text = text.strip() or proposed
        try:
            if not text:
                raise ValueError("nothing was typed")
            if not text.isprintable():
                raise ValueError("it holds a key that is no letter, such as an arrow")
            return parse(text)
        except ValueError as error:
            say_wrapped(f"  That cannot be used: {error}.", 2)
