"""The command line: options, sentences and exit codes. The only room that prints."""
