"""Boluses, carbs and the glucose of boluses from the pump's log."""
