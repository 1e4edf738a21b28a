"""Nightscout: its REST API, and how what the pump did is written down there."""
