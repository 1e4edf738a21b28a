"""A page that shows what a pump did: totals, and a picture for each day."""
