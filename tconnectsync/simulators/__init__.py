"""A simulated Tandem cloud and a small Nightscout, for ``--demo`` and for the tests."""
