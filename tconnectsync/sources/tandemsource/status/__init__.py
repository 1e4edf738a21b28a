"""The state of the pump: battery, reservoir, insulin on board."""
