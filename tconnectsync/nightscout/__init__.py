"""Nightscout: its REST API, and the documents that show the pump's events there."""
