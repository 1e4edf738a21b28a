"""Helpers for people who use the clients from a Python shell."""

from tconnectsync.util import cli as cli
