"""Limits that no pump and no body can exceed.

They are no medical advice; they detect damaged data.
"""

from __future__ import annotations

from datetime import UTC, datetime

PUMP_EPOCH = datetime(2008, 1, 1)
"""The earliest that a pump's clock can show; it counts from there."""
EARLIEST = PUMP_EPOCH.replace(tzinfo=UTC)
"""No pump has data from before."""
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
