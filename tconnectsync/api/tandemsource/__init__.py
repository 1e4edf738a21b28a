"""The wire of Tandem Source."""
