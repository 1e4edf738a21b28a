"""Outputs that stay usable on a full disk, and when a pipe or window is closed."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from tconnectsync.cli.letters import take_plain_letters

PASSES = (errno.ENOSPC, errno.EDQUOT, errno.EAGAIN)
"""Errors of a write that later ones may not meet: a disk may be full for a while only."""


class UnreadError(BrokenPipeError):
    """The output was closed of a run that only shows something."""


class Output:
    """The standard output, or that for errors, which may go away while the program works.

    What cannot be written is dropped. Where a run only shows something, ``must_be_read``, and
    its pipe is closed, the next write raises :class:`UnreadError`.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.must_be_read = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, if that is possible."""
        try:
            self._stream.write(text)
        except (OSError, ValueError) as error:
            self._after(error)
        return len(text)

    def flush(self) -> None:
        """Flush, if that is possible."""
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._after(error)

    def close_quietly(self) -> None:
        """Write what is left, or drop it, so that Python does not try again when it ends."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._drop()

    def _after(self, error: Exception) -> None:
        if getattr(error, "errno", None) in PASSES:
            return
        self._drop()
        if self.must_be_read and isinstance(error, BrokenPipeError):
            raise UnreadError from error

    def _drop(self) -> None:
        """Let all that is written from now on, and what is in the buffer, go nowhere."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


def only_shows() -> None:
    """Say that this run does nothing but show something: it ends if the output is closed."""
    if isinstance(sys.stdout, Output):
        sys.stdout.must_be_read = True


@contextmanager
def lasting_outputs() -> Iterator[None]:
    """Have outputs during the block that can be written to, whatever becomes of them."""
    if sys.stdout is None or sys.stderr is None:
        _fill_closed()
    before = sys.stdout, sys.stderr
    streams = [stream or open(os.devnull, "w", encoding="utf-8") for stream in before]  # noqa: SIM115, PTH123
    for stream in streams:
        take_plain_letters(stream)
    outputs = [Output(stream) for stream in streams]
    sys.stdout, sys.stderr = (cast(TextIO, output) for output in outputs)
    try:
        yield
    finally:
        for output in outputs:
            output.close_quietly()
        sys.stdout, sys.stderr = before


def _fill_closed() -> None:
    """Open what is closed of the first three files: no connection may take an output's place."""
    with suppress(OSError):
        while (number := os.open(os.devnull, os.O_RDWR)) < 3:
            pass
        os.close(number)
