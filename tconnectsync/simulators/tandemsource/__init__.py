"""A simulation of Tandem Source."""
