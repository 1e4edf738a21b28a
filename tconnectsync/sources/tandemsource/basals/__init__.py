"""Basal insulin from the pump's log, and which pump a basal belongs to."""
