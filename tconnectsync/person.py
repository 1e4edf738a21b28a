"""Whose work is being done, where one process works for several people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

PERSON: ContextVar[str] = ContextVar("PERSON", default="")
"""The name of the person for whom this thread works; empty where there is one person only."""


@contextmanager
def about(name: str) -> Iterator[None]:
    """Let all that is said in this thread during the block bear a person's name."""
    before = PERSON.set(name)
    try:
        yield
    finally:
        PERSON.reset(before)


def named(text: str) -> str:
    """Return a text with the person's name before each line, if there are several people."""
    name = PERSON.get()
    return "\n".join(f"{name}: {line}" for line in text.split("\n")) if name else text
