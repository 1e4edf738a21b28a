"""A small Nightscout that behaves like the real one where an uploader can notice."""
