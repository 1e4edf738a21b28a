"""Limits that no pump and no body can exceed, and how exactly amounts are known.

The limits are no medical advice; they detect damaged data.
"""

from __future__ import annotations

from datetime import UTC, datetime

from tconnectsync.domain.clock import DAY

PUMP_EPOCH = datetime(2008, 1, 1)
"""The earliest that a pump's clock can show; it counts from there."""
EARLIEST = PUMP_EPOCH.replace(tzinfo=UTC)
"""No pump has data from before."""
AHEAD = DAY
"""How far a clock may be ahead; data from later have a wrong date."""
LOWEST_GLUCOSE, HIGHEST_GLUCOSE = 20, 600
"""mg/dL; no sensor and no meter shows anything else."""
MOST_INSULIN = 80.0
"""U; more than the biggest bolus."""
MOST_RATE = 15.0
"""U/h; the highest basal rate of a pump."""
MOST_IOB = 100.0
"""U; more insulin is not at work in anybody."""
MOST_LEFT = 400.0
"""U; more than any cartridge holds."""
MOST_CARBS = 999.0
"""g; more than a pump lets people enter."""
MOST_BOLUS_MINUTES = 24 * 60
"""No bolus is extended over more than a day."""
HIGHEST_FACTOR = 999.0
"""mg/dL per U, and g per U; more than a pump lets people set."""

ROUNDING = 0.005
"""U or minutes; two numbers that are no further apart may be the same one, rounded."""
SAME_AMOUNT = 0.011
"""U or U/h; some clouds and versions round to hundredths."""
