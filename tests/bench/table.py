"""The table of the bench, and what became worse since the last release.

Seconds depend on the computer and on what else it does. So the processor's time is compared as a
multiple of what ``python -c 'import requests'`` takes, measured right beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.program import Cost
from tests.bench.servers import Counts

RELEASE = Path(__file__).with_name("release.json")
"""The figures of the last release; ``--save`` writes them."""
TITLES = f"{'work':<38}documents  Tandem  Nightscout  writes  seconds  processor  import  peak MB"
LEAST_NOISE = 0.1
"""By which share a figure differs between two computers, or two versions of Python."""
MEGABYTES_NOISE = 0.05


@dataclass(frozen=True)
class Row:
    """Some work, done several times in the same way."""

    work: str
    counts: Counts
    """Of the last time."""
    costs: Sequence[Cost]
    yardsticks: Sequence[float]
    """Seconds of processor of the yardstick, measured before each time."""

    @property
    def seconds(self) -> float:
        """On the clock."""
        return median(cost.seconds for cost in self.costs)

    @property
    def processor(self) -> float:
        """Seconds of processor."""
        return median(cost.processor for cost in self.costs)

    @property
    def ratios(self) -> list[float]:
        """How many times as much processor it took as the yardstick, in order."""
        pairs = zip(self.costs, self.yardsticks, strict=True)
        return sorted(cost.processor / unit for cost, unit in pairs)

    @property
    def megabytes(self) -> float:
        """MB (10⁶) at the peak."""
        return median(cost.megabytes for cost in self.costs)

    @property
    def noise(self) -> float:
        """By which share the ratio changes without any reason."""
        ratios = self.ratios
        return max(LEAST_NOISE, (ratios[-1] - ratios[0]) / 2 / median(ratios))

    @property
    def text(self) -> str:
        """The row of the table."""
        counts = self.counts
        return (
            f"{self.work:<38}{counts.documents:9}{counts.tandem_requests:8}"
            f"{counts.nightscout_requests:12}{counts.writes:8}{self.seconds:9.2f}"
            f"{self.processor:11.2f}{median(self.ratios):8.2f}{self.megabytes:9.1f}"
        )

    @property
    def figures(self) -> dict[str, float]:
        """What is kept of it for the next release."""
        return {
            "requests": self.counts.tandem_requests + self.counts.nightscout_requests,
            "processor": round(median(self.ratios), 2),
            "megabytes": round(self.megabytes, 1),
        }


def save(rows: Sequence[Row]) -> None:
    """Keep the figures as those of a release."""
    text = json.dumps({row.work: row.figures for row in rows}, indent=1, ensure_ascii=False)
    RELEASE.write_text(f"{text}\n", "utf-8")


def released() -> dict[str, dict[str, float]]:
    """Return the figures of the last release, by work."""
    figures: dict[str, dict[str, float]] = json.loads(RELEASE.read_text("utf-8"))
    return figures


def worse(rows: Sequence[Row], before: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Yield what became worse by more than the noise."""
    for row in rows:
        allowed = {"requests": 0.0, "processor": row.noise, "megabytes": MEGABYTES_NOISE}
        for name, now in row.figures.items():
            then = before.get(row.work, {}).get(name)
            if then is not None and now > then * (1 + allowed[name]):
                unit = " × the import" if name == "processor" else ""
                yield (f"{row.work}: {name} {then:g} → {now:g}{unit} (noise {allowed[name]:.0%})")
