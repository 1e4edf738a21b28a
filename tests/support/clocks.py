"""Clocks of tests that need not wait."""

from __future__ import annotations

from tconnectsync.clock import Clock

NO_WAITING = Clock(sleep=lambda seconds: None, jitter=lambda: 0.0)
"""This computer's time, on which no wait takes any."""
