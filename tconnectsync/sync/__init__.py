"""Bringing the pump's story and Nightscout together: which range, what differs, writing it."""
