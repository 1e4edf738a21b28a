"""Compares the pump's events with Nightscout over a range and writes the difference."""
