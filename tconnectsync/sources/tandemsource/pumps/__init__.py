"""The pumps of an account: which are read, whose they are, and the log of each."""
