"""``python -m tests.bench``: what a sync costs, in requests, time and memory.

Each case is a simulated cloud with some days of data and an empty Nightscout; the program syncs
all of it twice. The targets are looked at in the end; none of them makes the bench fail.
"""

from __future__ import annotations

import argparse
import compileall
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import product

from tconnectsync.clouds import CLOUDS
from tests.bench import people
from tests.bench.event_log import Rates, measure
from tests.bench.program import CHECKOUT, Cost, fastest_help, run, slowest_imports, status_in_starts
from tests.bench.servers import FIRST_DAY, Counts, Servers, serving
from tests.support.command import EMAIL, NEW_YORK, PASSWORD, SECRET, SERIAL

COLUMNS = (
    "source         days  latency  run  documents  Tandem  Nightscout  writes  seconds  processor"
    "  peak MB"
)
MOST_MEGABYTES = 70
SAME_MEGABYTES = 0.1
"""By which share two peaks may differ and still count as the same."""
MOST_SECONDS = {(90, 0): 5.0, (7, 20): 1.5}
"""By days and latency (ms)."""
MOST_HELP_SECONDS = 0.15
MOST_STARTS = 2.5
MOST_MEGABYTES_FOR_PEOPLE, MOST_SECONDS_AN_HOUR = 300, 36.0
"""For 100 people in one process; 36 seconds are one hundredth of a processor."""
LEAST_JSON, LEAST_BINARY = 100_000, 300_000


@dataclass(frozen=True)
class Measured:
    """One run of the program: the ``number``-th with the same servers; ``latency`` in ms."""

    source: str
    days: int
    latency: int
    number: int
    counts: Counts
    cost: Cost

    @property
    def row(self) -> str:
        counts, cost = self.counts, self.cost
        return (
            f"{self.source:<14}{self.days:5}{self.latency:6} ms{self.number:5}"
            f"{counts.documents:11}"
            f"{counts.tandem_requests:8}{counts.nightscout_requests:12}{counts.writes:8}"
            f"{cost.seconds:9.2f}{cost.processor:11.2f}{cost.megabytes:9.1f}"
        )


@dataclass(frozen=True)
class Target:
    """What is to be reached, and the figure that tells."""

    text: str
    figure: str
    reached: bool


def main() -> None:
    """Measure, and show every figure as soon as it is there."""
    options = _options()
    # Else the first run would pay for it.
    compileall.compile_dir(CHECKOUT / "tconnectsync", quiet=1)
    _say(COLUMNS)
    measured = []
    for source, days, latency in product(options.source, options.days, options.latency):
        with serving(source, days, latency / 1000) as servers:
            for number in (1, 2):
                counts, cost = _measure(servers, days)
                measured.append(Measured(source, days, latency, number, counts, cost))
                _say(measured[-1].row)
    help_seconds = fastest_help()
    _say("")
    targets = [*_targets(measured), _help_target(help_seconds), *_log_targets(measure())]
    targets.append(_status_target(status_in_starts()))
    targets += _people_targets(options.people) if options.people else []
    for target in targets:
        verdict = "reached" if target.reached else "NOT REACHED"
        _say(f"{verdict:<12} {target.text}: {target.figure}")
    if help_seconds > MOST_HELP_SECONDS:
        _say("\n".join(["", "The slowest imports of --help (µs by itself | with its own):"]))
        _say("\n".join(slowest_imports()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    add = parser.add_argument
    add("--source", nargs="+", default=list(CLOUDS), help="the clouds to sync from")
    add("--days", type=int, nargs="+", default=[7, 28, 90], help="days of data per case")
    add("--latency", type=int, nargs="+", default=[0, 20], help="ms added to every answer")
    add("--people", type=int, default=100, help="people in one process; 0 leaves out these minutes")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _measure(servers: Servers, days: int) -> tuple[Counts, Cost]:
    last_day = FIRST_DAY + timedelta(days=days - 1)
    cost = run(
        [
            *("--start-date", str(FIRST_DAY), "--end-date", str(last_day)),
            *("--features", "BASAL", "BOLUS", "PUMP_EVENTS"),
        ],
        {
            "TCONNECT_EMAIL": EMAIL,
            "TCONNECT_PASSWORD": PASSWORD,
            "PUMP_SERIAL_NUMBER": SERIAL,
            "TIMEZONE_NAME": NEW_YORK,
            "NS_SECRET": SECRET,
            **servers.addresses,
        },
    )
    return servers.counts(), cost


def _targets(measured: Sequence[Measured]) -> Iterator[Target]:
    """Judge the runs; of several that a target is about, by the worst."""
    first = [one for one in measured if one.number == 1]
    second = [one for one in measured if one.number == 2]
    yield _request_target("first", first, 60)
    yield _request_target("second", second, 300)
    writes = max(one.counts.writes for one in second)
    yield Target("writes of a second run, 0", str(writes), writes == 0)
    peak = max(one.cost.megabytes for one in measured)
    yield Target(f"peak memory ≤ {MOST_MEGABYTES} MB", f"{peak:.1f} MB", peak <= MOST_MEGABYTES)
    yield _same_memory_target(measured)
    for (days, latency), limit in MOST_SECONDS.items():
        seconds = [o.cost.seconds for o in measured if (o.days, o.latency) == (days, latency)]
        if seconds:
            text = f"{days} days at {latency} ms ≤ {limit} s"
            yield Target(text, f"{max(seconds):.2f} s", max(seconds) <= limit)


def _request_target(name: str, runs: Sequence[Measured], documents_each: int) -> Target:
    def limit(one: Measured) -> float:
        return one.counts.documents / documents_each + 20

    worst = max(runs, key=lambda one: one.counts.nightscout_requests / limit(one))
    requests = worst.counts.nightscout_requests
    return Target(
        f"Nightscout requests of a {name} run ≤ documents/{documents_each} + 20",
        f"{requests} of {limit(worst):.0f} ({worst.days} days)",
        requests <= limit(worst),
    )


def _same_memory_target(measured: Sequence[Measured]) -> Target:
    peaks = {
        days: max(one.cost.megabytes for one in measured if one.days == days)
        for days in sorted({one.days for one in measured})
    }
    return Target(
        f"peak memory the same for all days, give or take {SAME_MEGABYTES:.0%}",
        ", ".join(f"{days} days {peak:.1f} MB" for days, peak in peaks.items()),
        max(peaks.values()) <= min(peaks.values()) * (1 + SAME_MEGABYTES),
    )


def _log_targets(rates: Rates) -> Iterator[Target]:
    json = f"{rates.json:,.0f} ({rates.text:,.0f} with parsing the text)"
    yield Target(
        f"log entries from JSON to events in a second ≥ {LEAST_JSON:,}",
        json,
        rates.json >= LEAST_JSON,
    )
    binary = f"{rates.binary:,.0f} ({rates.binary_events:,.0f} to events)"
    yield Target(
        f"binary log records decoded in a second ≥ {LEAST_BINARY:,}",
        binary,
        rates.binary >= LEAST_BINARY,
    )


def _people_targets(number: int) -> Iterator[Target]:
    """Judge a process for many people whose pumps upload every hour."""
    cost = people.measure(number)
    yield Target(
        f"peak memory for {number} people in one process ≤ {MOST_MEGABYTES_FOR_PEOPLE} MB",
        f"{cost.megabytes:.0f} MB",
        cost.megabytes <= MOST_MEGABYTES_FOR_PEOPLE,
    )
    yield Target(
        f"processor in an hour of hourly uploads of {number} people ≤ {MOST_SECONDS_AN_HOUR:.0f} s",
        f"{cost.seconds_an_hour:.1f} s",
        cost.seconds_an_hour <= MOST_SECONDS_AN_HOUR,
    )
    yield Target(
        "people of whom all is in Nightscout but the last upload: all",
        f"{cost.synced} of {number}",
        cost.synced == number,
    )


def _help_target(seconds: float) -> Target:
    return Target(
        f"--help ≤ {MOST_HELP_SECONDS} s", f"{seconds:.3f} s", seconds <= MOST_HELP_SECONDS
    )


def _status_target(starts: float) -> Target:
    text = f"--status ≤ {MOST_STARTS} times the processor of python -c pass"
    return Target(text, f"{starts:.2f} times", starts <= MOST_STARTS)


if __name__ == "__main__":
    main()
