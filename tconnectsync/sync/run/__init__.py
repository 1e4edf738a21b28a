"""One run over a range: read, plan, write, and go on after failures."""
