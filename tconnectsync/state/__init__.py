"""What runs leave to each other in the user's cache folder, private and written atomically."""
