"""How far a long run has got, in days: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tconnectsync.domain.words import number_of

if TYPE_CHECKING:
    from tconnectsync.cli.options import Options
    from tconnectsync.domain.clock import TimeRange
    from tconnectsync.sync.run.cycle import Progress

log = logging.getLogger(__name__)

LEAST_DAYS = 2
"""What is shorter than that is done before anybody looks."""
DAYS_PER_LINE = 28
"""In a log, a line follows after this many days at the earliest."""
MOST_LINES = 20
BAR = "{desc} |{bar}| {remaining} left"


def progress_of(options: Options) -> Progress:
    """Return what shows the progress of a run; a plan that fills the terminal shows it itself."""
    if options.pretend and sys.stdout.isatty():
        return lambda windows: windows
    return progress


def progress(windows: list[TimeRange]) -> Iterable[TimeRange]:
    """Hand on the windows of a run, and show which day it has got to and how many there are."""
    lengths = [_days(window) for window in windows]
    if sum(lengths) < LEAST_DAYS or not log.isEnabledFor(logging.INFO):
        return windows
    if sys.stderr.isatty():
        return _with_bar(windows, lengths)
    return _with_lines(windows, lengths)


def _with_bar(windows: list[TimeRange], lengths: list[int]) -> Iterator[TimeRange]:
    from shutil import get_terminal_size

    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    # Of a terminal that does not say how big it is, the library would think that it has no room.
    total, width = sum(lengths), get_terminal_size().columns - 1
    with (
        logging_redirect_tqdm([logging.getLogger("tconnectsync")]),
        tqdm(total=total, bar_format=BAR, ncols=width, nrows=20, leave=False, delay=0.5) as bar,
    ):
        for window, length in zip(windows, lengths, strict=True):
            bar.set_description_str(f"Day {min(bar.n + 1, total)} of {total}")
            yield window
            bar.update(length)


def _with_lines(windows: list[TimeRange], lengths: list[int]) -> Iterator[TimeRange]:
    total, done, said = sum(lengths), 0, 0
    step = max(DAYS_PER_LINE, total // MOST_LINES)
    for window, length in zip(windows, lengths, strict=True):
        yield window
        done += length
        if done - said >= step and done < total:
            said = done
            left = number_of(total - done, "day")
            log.info("Day %d of %d is done; %s left.", done, total, left)


def _days(window: TimeRange) -> int:
    return max(1, round((window.end - window.start).total_seconds() / 86_400))
