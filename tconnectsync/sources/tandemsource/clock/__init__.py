"""The pump's clock: from what it showed to the instant that was meant."""
