"""Tandem Source: the log of every pump of an account, read as events."""
