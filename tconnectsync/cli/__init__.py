"""The command line: options, sentences and exit codes. The only room that prints."""

from tconnectsync.cli.start import main

__all__ = ["main"]
