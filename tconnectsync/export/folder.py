"""The folder of an export: one file per kind and month, each replaced as a whole or not at all."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from errno import EACCES, EPERM, EROFS
from itertools import islice
from pathlib import Path

from tconnectsync.clock import Clock
from tconnectsync.domain.words import number_of
from tconnectsync.errors import TconnectsyncError, UsageError
from tconnectsync.export.columns import KINDS, Kind
from tconnectsync.export.fileformat import FileFormat, Row, UnknownFileError
from tconnectsync.state.files import make_folder, unfinished, write_atomically
from tconnectsync.state.lock import TakenError, try_lock

log = logging.getLogger(__name__)

LOCK = ".tconnectsync-export.lock"
"""Held by the export that writes to the folder. It stays: who has it open waits for this file."""
LONGEST_WAIT = 120
"""Seconds for which one export waits for another."""

Month = tuple[int, int]
"""A year and a month of the pump's calendar."""


def month_of(day: date) -> Month:
    """Return the month of a day, or of a time as the pump's clock showed it."""
    return day.year, day.month


@dataclass(frozen=True)
class Folder:
    """The files of one person in one format."""

    path: Path
    format: FileFormat

    def file(self, kind: Kind, month: Month) -> Path:
        """Return the path of one file."""
        year, number = month
        return self.path / f"{kind.name}-{year:04}-{number:02}.{self.format.name}"

    @contextmanager
    def held(self, clock: Clock) -> Iterator[None]:
        """Make the folder if there is none, and let no other export write to it meanwhile.

        Raises:
            UsageError: there is a file of that name, or the user may not write there.
            TakenError: another export goes on writing there.
            TconnectsyncError: nothing can be written there, such as on a full disk.
        """
        try:
            make_folder(self.path)
            file = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except (FileExistsError, NotADirectoryError):
            file_there = next(it for it in (self.path, *self.path.parents) if it.exists())
            raise UsageError(f"--export: {file_there} is a file; name a folder.") from None
        except OSError as error:
            kind = UsageError if error.errno in (EACCES, EPERM, EROFS) else TconnectsyncError
            raise kind(
                f"--export: nothing can be written to the folder {self.path} ({error.strerror}). "
                "Nothing was exported; make it writable, or name another folder."
            ) from None
        try:
            _wait_for(file, self.path, clock)
            self._remove_unfinished()
            yield
        finally:
            os.close(file)

    def _remove_unfinished(self) -> None:
        """Remove what an export that was killed had begun to write."""
        for kind in KINDS:
            for path in self.path.glob(unfinished(f"{kind.name}-????-??.*")):
                with suppress(OSError):
                    path.unlink()

    def check(self, months: Collection[Month]) -> None:
        """Look, before anything is read, whether files of these months can be replaced.

        Raises:
            UsageError: another program, or a newer version, has written one of them.
        """
        for month in months:
            for kind in KINDS:
                list(islice(self.rows(kind, month), 1))

    def rows(self, kind: Kind, month: Month) -> Iterator[Row]:
        """Yield the rows of a file; none if there is no such file.

        Raises:
            UsageError: another program, or a newer version, has written it.
            TconnectsyncError: it cannot be read.
        """
        path = self.file(kind, month)
        try:
            if not path.exists():
                return
            if not path.is_file():
                raise UnknownFileError("it is no ordinary file")
            with path.open(encoding="utf-8", newline="") as file:
                text = file.read()
            yield from self.format.parse(text, kind.names)
        except (UnknownFileError, UnicodeDecodeError) as error:
            why = str(error) if isinstance(error, UnknownFileError) else "it is no text"
            raise UsageError(
                f"{path} cannot be continued: {why}. It is left as it is. Move it away, or "
                "export to another folder."
            ) from None
        except OSError as error:
            raise TconnectsyncError(f"{path} cannot be read ({error.strerror}).") from None

    def months(self, kind: Kind) -> list[Month]:
        """Return the months of which there are files of a kind, in time order."""
        found = []
        for path in self.path.glob(f"{kind.name}-????-??.{self.format.name}"):
            year, _, month = path.stem.removeprefix(f"{kind.name}-").partition("-")
            if year.isdecimal() and month.isdecimal():
                found.append((int(year), int(month)))
        return sorted(found)

    def replace(
        self,
        kind: Kind,
        month: Month,
        new: Collection[Row],
        is_kept: Callable[[Row], bool],
    ) -> bool:
        """Put rows into a file beside those of it that are kept; return whether there is a file.

        Raises:
            UsageError: another program, or a newer version, has written it.
            TconnectsyncError: it cannot be read or written.
        """
        path = self.file(kind, month)
        old = list(self.rows(kind, month))
        if not new and not old:
            return False
        rows = sorted({*new, *filter(is_kept, old)})
        if rows != old:
            self._write(path, kind, rows)
        return True

    def _write(self, path: Path, kind: Kind, rows: Sequence[Row]) -> None:
        text = self.format.heading(kind.names) + "".join(row.line for row in rows)
        try:
            # Where a link stands, the file that it leads to is ours: its rows were read.
            write_atomically(path.resolve(), text, newline="")
        except OSError as error:
            raise TconnectsyncError(
                f"{path} cannot be written ({error.strerror}). It is as it was before, and the "
                "other files are whole. Start the same command again when that is put right."
            ) from None


def _wait_for(file: int, folder: Path, clock: Clock) -> None:
    """Lock an open file. Raises TakenError."""
    for waited in range(LONGEST_WAIT + 1):
        try:
            if try_lock(file):
                return
        except OSError as error:
            log.warning(
                "No file can be locked in %s (%s): start only one export to it at a time.",
                folder,
                error.strerror,
            )
            return
        if waited == 0:
            log.info("Another export is writing to %s. Waiting until it has ended.", folder)
        clock.sleep(1)
    minutes = number_of(LONGEST_WAIT // 60, "minute")
    raise TakenError(
        f"Another export has been writing to {folder} for {minutes}. "
        "Nothing was exported; start this one again when the other one has ended."
    )
