"""The loop of ``--auto-update``."""
