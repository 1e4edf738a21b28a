"""The law: runs of a week bring what one run over all days does, and that is what was delivered.

Each number makes up another week: pumps, zones, clocks that are set late, wrong dates, a phone that
is off, requests that fail, and a person who edits. ``make law`` tries more of them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.random_week_runs import judged
from tests.support.random_weeks import Kinds, week

A_NEW_PUMP = Kinds(3, switch=False, journey=False, wrong_dates=0, edits=True, faults=True)
A_LATE_CLOCK = Kinds(1, switch=True, journey=True, wrong_dates=0, edits=True, faults=True)
A_WRONG_DATE = Kinds(2, switch=False, journey=False, wrong_dates=2, edits=False, faults=True)
WEEKS: dict[str, tuple[int, Kinds | None]] = {
    "several pumps": (20, A_NEW_PUMP),
    "a clock set late": (37, A_LATE_CLOCK),
    "a wrong date": (4, A_WRONG_DATE),
}
SINCE, MORE = (int(os.environ.get(f"LAW_{name}", "0")) for name in ("FROM", "SEEDS"))
WEEKS |= {f"seed {seed}": (seed, None) for seed in range(SINCE, SINCE + MORE)}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("seed", "kinds"), WEEKS.values(), ids=WEEKS)
def test_runs_of_a_week_bring_what_one_run_does_and_what_was_delivered(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    seed: int,
    kinds: Kinds | None,
) -> None:
    life = week(seed, kinds)
    judge = judged(life, tmp_path, capsys)
    assert judge.wrong == [], str(life)
    assert len(judge.runs) > 60
