"""A simulation of t:connect."""
