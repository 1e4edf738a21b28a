"""The log of a pump: its forms, its entries, and what their numbers mean."""
