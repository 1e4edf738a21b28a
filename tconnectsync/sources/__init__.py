"""Where the pump's story comes from: one small interface, one adapter per cloud."""
