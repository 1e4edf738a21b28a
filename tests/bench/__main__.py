"""``python -m tests.bench``: what the program costs, in requests, time, processor and memory.

Each work is a simulated cloud with some days of data and an empty Nightscout; the program syncs all
of it twice. The figures are compared with those of the last release, and with targets; neither
makes the bench fail.
"""

from __future__ import annotations

import argparse
import compileall
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from statistics import median
from zoneinfo import ZoneInfo

from tconnectsync.clouds import CLOUDS
from tests.bench import fleet, people
from tests.bench.event_log import FEATURES, Rates, measure, of_a_window
from tests.bench.program import CHECKOUT, Cost, run, slowest_imports, yardstick
from tests.bench.servers import FIRST_DAY, Counts, Servers, serving
from tests.bench.table import TITLES, Row, released, save, worse
from tests.support.command import EMAIL, NEW_YORK, PASSWORD, SECRET, SERIAL
from tests.support.provision import UnavailableError

IMPORT, NOTHING = "import requests", "pass"
"""The yardsticks: what every program with requests needs, and Python alone."""
QUICK = ("--help", "--version", "--status")
QUIET = "a quiet run"
FIRST, SECOND = "first run", "second run"
WINDOW_DAYS = 7

MOST_MEGABYTES, MOST_QUIET_MEGABYTES = 75, 34
MOST_SECONDS = {(90, 0): 5.0, (90, 20): 6.0, (400, 0): 15.0, (7, 20): 1.5}
"""By days and latency (ms)."""
MOST_IMPORTS, MOST_STARTS = 1.8, 2.5
MOST_MEGABYTES_FOR_PEOPLE, MOST_SECONDS_AN_HOUR = 300, 36.0
"""For 100 people in one process; 36 seconds are one hundredth of a processor."""
LEAST_SYNCS, MOST_LATE, MOST_LATE_OF_MOST = 3.0, 1.0, 3.0
"""Of one worker of a fleet: syncs in a second, as 10,000 people need; how late its steps begin, in
seconds, in the median and of 95 in 100."""
LEAST_JSON, LEAST_BINARY = 100_000, 300_000
Done = tuple[Counts, Cost, float]
"""What one time took, and the yardstick beside it."""


@dataclass(frozen=True)
class Target:
    """What is to be reached, and the figure that shows it."""

    text: str
    figure: str
    reached: bool


def main() -> None:
    """Measure, and show every figure as soon as it is there."""
    options = _options()
    # Else the first run would pay for it.
    compileall.compile_dir(CHECKOUT / "tconnectsync", quiet=1)
    _say(TITLES)
    rows, targets = [], []
    for row in _quick(options.times):
        rows.append(row)
        targets.append(_start_target(row))
    rows.append(_quiet(options.times))
    targets += _quiet_targets(rows[-1])
    for source, days, latency in product(options.source, options.days, options.latency):
        runs = _backfill(source, days, latency, options.times)
        rows += runs
        targets += _backfill_targets(*runs, days, latency)
        if (source, days, latency) == ("tandem-source", max(options.days), min(options.latency)):
            shares = _shares(runs[0], days)
    if options.fleet:
        fleet_row, fleet_targets = _fleet(options.fleet)
        rows += fleet_row
        targets += fleet_targets
    _say(f"\n{shares}\n")
    for line in worse(rows, released()) if not options.save else ():
        _say(f"WORSE than the last release: {line}")
    if options.save:
        save(rows)
    targets += _log_targets(measure())
    targets += _people_targets(options.people) if options.people else []
    for target in targets:
        _say(f"{'reached' if target.reached else 'NOT REACHED':<12} {target.text}: {target.figure}")
    if not targets[0].reached:
        _say("\n".join(["", "The slowest imports of --help (µs by itself | with its own):"]))
        _say("\n".join(slowest_imports()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    add = parser.add_argument
    add("--source", nargs="+", default=list(CLOUDS), help="the clouds to sync from")
    add("--days", type=int, nargs="+", default=[7, 90], help="days of data per work")
    add("--latency", type=int, nargs="+", default=[0, 20], help="ms added to every answer")
    add("--times", type=int, default=5, help="how often each work is done; medians are shown")
    add("--people", type=int, default=100, help="people in one process; 0 leaves out these minutes")
    add("--fleet", type=int, default=1000, help="people in a fleet; 0 leaves out these minutes")
    add("--save", action="store_true", help="keep the figures as those of a release")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _row(work: str, done: Sequence[Done]) -> Row:
    counts, costs, yardsticks = zip(*done, strict=True)
    row = Row(work, counts[-1], costs, yardsticks)
    _say(row.text)
    return row


def _quick(times: int) -> Iterator[Row]:
    """Measure what answers without syncing, beside Python alone."""
    nothing = Counts(0, 0, 0, 0)
    for option in QUICK:
        done = [(yardstick(NOTHING), run([option])) for _ in range(times)]
        yield _row(f"{option} (÷ python -c pass)", [(nothing, cost, unit) for unit, cost in done])


def _quiet(times: int) -> Row:
    """Measure a run that finds nothing new, with the login that an earlier one saved."""
    now = datetime.now(ZoneInfo(NEW_YORK)).replace(tzinfo=None)
    with (
        serving("tandem-source", 2, 0, now - timedelta(minutes=4)) as servers,
        tempfile.TemporaryDirectory() as home,
    ):
        for _ in range(2):
            _sync(servers, [], home)
        return _row(QUIET, [_sync(servers, [], home) for _ in range(times)])


def _backfill(source: str, days: int, latency: int, times: int) -> tuple[Row, Row]:
    """Measure runs over some days, into an empty Nightscout and into one that has all."""
    first: list[Done] = []
    second: list[Done] = []
    last_day = FIRST_DAY + timedelta(days=days - 1)
    dates = ("--start-date", str(FIRST_DAY), "--end-date", str(last_day))
    for _ in range(times):
        with serving(source, days, latency / 1000) as servers:
            for done in (first, second):
                with tempfile.TemporaryDirectory() as home:
                    done.append(_sync(servers, [*dates, "--features", *FEATURES], home))
    name = f"{source}, {days} days, {latency} ms"
    return _row(f"{name}, {FIRST}", first), _row(f"{name}, {SECOND}", second)


def _sync(servers: Servers, arguments: Sequence[str], home: str) -> Done:
    unit = yardstick(IMPORT)
    settings = {
        "HOME": home,
        "TCONNECT_EMAIL": EMAIL,
        "TCONNECT_PASSWORD": PASSWORD,
        "PUMP_SERIAL_NUMBER": SERIAL,
        "TIMEZONE_NAME": NEW_YORK,
        "NS_SECRET": SECRET,
    }
    cost = run(arguments, {**settings, **servers.addresses})
    return servers.counts(), cost, unit


def _shares(row: Row, days: int) -> str:
    """Say what a first run spends the processor's time on."""
    parts = {name: it * days / WINDOW_DAYS for name, it in of_a_window().items()}
    parts["HTTP and the rest"] = max(row.processor - sum(parts.values()), 0.0)
    shares = ", ".join(f"{name} {it / row.processor:.0%}" for name, it in parts.items())
    rate = row.counts.documents / row.processor
    return f"{row.work}: {rate:,.0f} documents per second of processor ({shares})"


def _start_target(row: Row) -> Target:
    starts = median(row.ratios)
    text = f"{row.work.split()[0]} ≤ {MOST_STARTS} times the processor of python -c {NOTHING}"
    return Target(text, f"{starts:.2f} times", starts <= MOST_STARTS)


def _quiet_targets(row: Row) -> Iterator[Target]:
    imports, peak = median(row.ratios), row.megabytes
    text = f"{QUIET} ≤ {MOST_IMPORTS} times the processor of python -c '{IMPORT}'"
    yield Target(text, f"{imports:.2f} times", imports <= MOST_IMPORTS)
    text = f"peak memory of {QUIET} ≤ {MOST_QUIET_MEGABYTES} MB"
    yield Target(text, f"{peak:.1f} MB", peak <= MOST_QUIET_MEGABYTES)


def _backfill_targets(first: Row, second: Row, days: int, latency: int) -> Iterator[Target]:
    for row, each in ((first, 60), (second, 300)):
        limit, requests = row.counts.documents / each + 20, row.counts.nightscout_requests
        text = f"{row.work}: Nightscout requests ≤ documents/{each} + 20"
        yield Target(text, f"{requests} of {limit:.0f}", requests <= limit)
    writes, peak = second.counts.writes, max(first.megabytes, second.megabytes)
    yield Target(f"{second.work}: writes 0", str(writes), writes == 0)
    text = f"{first.work}: peak memory ≤ {MOST_MEGABYTES} MB"
    yield Target(text, f"{peak:.1f} MB", peak <= MOST_MEGABYTES)
    if most := MOST_SECONDS.get((days, latency)):
        text = f"{first.work}: ≤ {most} s"
        yield Target(text, f"{first.seconds:.2f} s", first.seconds <= most)


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


def _fleet(people: int) -> tuple[list[Row], list[Target]]:
    """Measure a fleet with one worker; where there is no PostgreSQL, say so."""
    unit = yardstick(IMPORT)
    try:
        found = fleet.measure(people)
    except UnavailableError as reason:
        _say(f"The fleet is left out. {reason}")
        return [], []
    row = _row(f"fleet, one sync of {people:,} people", [(found.counts, found.cost, unit)])
    syncs, late, most = 1 / row.seconds, found.median_late, found.most_late
    text = f"steps for {people:,} people begin late by"
    return [row], [
        Target(
            f"syncs in a second by one worker of a fleet ≥ {LEAST_SYNCS:.0f}",
            f"{syncs:.1f} ({row.processor * 1000:.0f} ms of processor each)",
            syncs >= LEAST_SYNCS,
        ),
        Target(f"{text} ≤ {MOST_LATE:.0f} s in the median", f"{late:.2f} s", late <= MOST_LATE),
        Target(
            f"{text} ≤ {MOST_LATE_OF_MOST:.0f} s in 95 of 100",
            f"{most:.2f} s",
            most <= MOST_LATE_OF_MOST,
        ),
    ]


if __name__ == "__main__":
    main()
