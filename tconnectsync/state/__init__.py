"""Files in the user's cache folder that runs share, private and written atomically."""
